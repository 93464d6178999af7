//! How the end of an execution crosses.

use minicbor::{Decode, Encode};

use super::{Malformed, ValuesLeft, value};
use crate::contract::{KillReason, Request};
use crate::error::{Error, LimitUnit, Message, ScriptError};
use crate::value::Value;

/// What an execution took.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(in crate::worker) struct Usage {
    #[n(0)]
    pub run_time_ns: u64,
    #[n(1)]
    pub cpu_time_ns: u64,
    #[n(2)]
    pub peak_memory: u64,
    /// Bytes that the worker holds after it.
    #[n(3)]
    pub memory: u64,
    #[n(4)]
    pub tool_calls: u32,
    #[n(5)]
    pub console_calls: u32,
}

/// How an execution ended. The numbers of the limits are not in it: the pool knows them better.
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(in crate::worker) enum End {
    #[n(0)]
    Value(#[cbor(n(0), with = "value")] Value),
    #[n(1)]
    Syntax(#[n(0)] ThrownFrame),
    #[n(2)]
    Exception(#[n(0)] ThrownFrame),
    #[n(3)]
    Unsettled,
    #[n(4)]
    NotTransferable {
        #[n(0)]
        path: String,
        #[n(1)]
        reason: String,
    },
    /// As the pool has asked for.
    #[n(5)]
    Killed,
    #[n(6)]
    MemoryLimit {
        #[n(0)]
        used: u64,
    },
    #[n(7)]
    ConsoleLimit(#[n(0)] LimitUnit),
    #[n(8)]
    ToolCallLimit(#[n(0)] LimitUnit),
    #[n(9)]
    MessageFlood,
    #[n(10)]
    MessageTooLarge(#[n(0)] Message),
    #[n(11)]
    Internal(#[n(0)] String),
    #[n(12)]
    Crashed {
        #[n(0)]
        reason: String,
        #[n(1)]
        signal: Option<i32>,
    },
    /// Waiting tool calls and answers held too much.
    #[n(13)]
    PendingBytes {
        #[n(0)]
        used: u64,
    },
}

/// A [`ScriptError`].
#[derive(Debug, Encode, Decode)]
pub(in crate::worker) struct ThrownFrame {
    #[n(0)]
    name: String,
    #[n(1)]
    message: String,
    #[n(2)]
    code: Option<String>,
    #[n(3)]
    stack: Option<String>,
    #[n(4)]
    filename: Option<String>,
    #[n(5)]
    line: u32,
    #[n(6)]
    column: u32,
    #[n(7)]
    source_line: Option<String>,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Syntax(error) => End::Syntax((*error).into()),
            Error::Exception(error) => End::Exception((*error).into()),
            Error::Unsettled => End::Unsettled,
            Error::ResultNotTransferable { path, reason } => End::NotTransferable { path, reason },
            Error::Timeout { .. } | Error::CpuLimit { .. } | Error::Cancelled | Error::PoolClosed => End::Killed,
            Error::MemoryLimit { used, .. } => End::MemoryLimit { used },
            Error::ConsoleLimit { unit, .. } => End::ConsoleLimit(unit),
            Error::ToolCallLimit { unit: LimitUnit::PendingBytes, used, .. } => End::PendingBytes { used },
            Error::ToolCallLimit { unit, .. } => End::ToolCallLimit(unit),
            Error::MessageFlood { .. } => End::MessageFlood,
            Error::MessageTooLarge { what, .. } => End::MessageTooLarge(what),
            Error::Internal { message } => End::Internal(message),
            Error::WorkerCrashed { reason, signal } => End::Crashed { reason, signal },
            // Only a pool ends executions with these.
            Error::InvalidArgument { .. }
            | Error::InvalidState { .. }
            | Error::Forked
            | Error::Unsupported { .. }
            | Error::QueueFull { .. }
            | Error::QueueTimeout { .. }
            | Error::WorkerStartup { .. } => End::Internal(error.to_string()),
        }
    }
}

impl End {
    /// The end of this request, which was killed for `kill`, if it was.
    pub(in crate::worker) fn into_result(
        self,
        request: &Request,
        memory_limit: u64,
        kill: Option<KillReason>,
    ) -> Result<Result<Value, Error>, Malformed> {
        let limits = &*request.limits;
        let error = match self {
            End::Value(value) => return Ok(Ok(value)),
            End::Syntax(error) => Error::Syntax(Box::new(error.into())),
            End::Exception(error) => Error::Exception(Box::new(error.into())),
            End::Unsettled => Error::Unsettled,
            End::NotTransferable { path, reason } => Error::ResultNotTransferable { path, reason },
            End::Killed => match kill {
                Some(kill) => kill.error(limits),
                None => return Err(Malformed("an execution was killed that nobody has asked to kill".into())),
            },
            End::MemoryLimit { used } => Error::MemoryLimit { used, limit: memory_limit },
            End::ConsoleLimit(unit) => {
                let limit = match unit {
                    LimitUnit::Bytes => limits.max_console_output,
                    LimitUnit::Calls => limits.max_console_calls.into(),
                    LimitUnit::ToolCalls | LimitUnit::PendingToolCalls | LimitUnit::PendingBytes => {
                        return Err(Malformed(format!("the console is not limited in {unit}")));
                    }
                };
                Error::ConsoleLimit { limit, unit }
            }
            End::ToolCallLimit(unit) => {
                let limit = match unit {
                    LimitUnit::ToolCalls => limits.max_tool_calls,
                    LimitUnit::PendingToolCalls => request.max_pending_tool_calls,
                    LimitUnit::Calls | LimitUnit::Bytes | LimitUnit::PendingBytes => {
                        return Err(Malformed(format!("tool calls are not limited in {unit}")));
                    }
                };
                let limit = u64::from(limit);
                Error::ToolCallLimit { limit, unit, used: limit + 1 }
            }
            End::PendingBytes { used } => {
                let limit = limits.max_pending_bytes;
                Error::ToolCallLimit { limit, unit: LimitUnit::PendingBytes, used: used.max(limit) }
            }
            End::MessageFlood => Error::MessageFlood { limit: request.max_messages_per_second },
            End::MessageTooLarge(what) => Error::MessageTooLarge { what, limit: request.max_message_size },
            End::Internal(message) => Error::Internal { message },
            // The kernel tells of the sandbox's signal, not the worker.
            End::Crashed { reason, signal } => {
                Error::WorkerCrashed { reason, signal: signal.filter(|signal| *signal != libc::SIGSYS) }
            }
        };
        Ok(Err(error))
    }
}

impl From<ScriptError> for ThrownFrame {
    fn from(error: ScriptError) -> Self {
        let ScriptError { name, message, code, stack, filename, line, column, source_line } = error;
        ThrownFrame { name, message, code, stack, filename, line, column, source_line }
    }
}

impl From<ThrownFrame> for ScriptError {
    fn from(error: ThrownFrame) -> Self {
        let ThrownFrame { name, message, code, stack, filename, line, column, source_line } = error;
        ScriptError { name, message, code, stack, filename, line, column, source_line }
    }
}
