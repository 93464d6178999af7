//! [`Status`], the closed table of outcomes, and [`Error`], one variant for every status but OK.

use std::fmt;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::closed::{UnknownName, closed};

closed! {
    /// How an execution or a call ended. The numbers are pinned, banded and never reused: 1-99 misuse, 100-199 the
    /// script, 200-299 limits, 300-399 admission, 400-499 workers, 500 this library.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Status: i32, "status" {
        /// It worked.
        Ok = 0 "OK",
        /// An argument or field is wrong; the message names it and what it accepts.
        InvalidArgument = 1 "INVALID_ARGUMENT",
        /// The call is not possible now, such as a shutdown from a callback.
        InvalidState = 2 "INVALID_STATE",
        /// Submitted after shutdown, or dropped by it.
        PoolClosed = 3 "POOL_CLOSED",
        /// Used in a forked child.
        Forked = 4 "FORKED",
        /// Not available here.
        Unsupported = 5 "UNSUPPORTED",
        /// The source does not parse.
        SyntaxError = 100 "SYNTAX_ERROR",
        /// An exception was not caught.
        Exception = 101 "EXCEPTION",
        /// The script waits for a promise that nothing can settle.
        Unsettled = 102 "UNSETTLED",
        /// The result cannot be copied out.
        ResultNotTransferable = 103 "RESULT_NOT_TRANSFERABLE",
        /// The wall-clock limit.
        Timeout = 200 "TIMEOUT",
        /// The CPU limit.
        CpuLimit = 201 "CPU_LIMIT",
        /// The memory limit.
        MemoryLimit = 202 "MEMORY_LIMIT",
        /// Console calls or bytes.
        ConsoleLimit = 203 "CONSOLE_LIMIT",
        /// Tool calls, or tool calls pending at once, or the memory that they hold.
        ToolCallLimit = 204 "TOOL_CALL_LIMIT",
        /// Messages per second.
        MessageFlood = 205 "MESSAGE_FLOOD",
        /// A source, result, argument, reply or console line over `max_message_size`.
        MessageTooLarge = 206 "MESSAGE_TOO_LARGE",
        /// Cancelled by the caller.
        Cancelled = 207 "CANCELLED",
        /// No place in the queue.
        QueueFull = 300 "QUEUE_FULL",
        /// Waited too long in the queue.
        QueueTimeout = 301 "QUEUE_TIMEOUT",
        /// The worker crashed.
        WorkerCrashed = 400 "WORKER_CRASHED",
        /// A worker could not be started.
        WorkerStartup = 401 "WORKER_STARTUP",
        /// A bug in this library.
        Internal = 500 "INTERNAL",
    }
}

impl Status {
    /// The pinned number.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number, if there is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Status::from_number(code)
    }

    /// The place of this status in [`Status::ALL`], for tables indexed by status.
    pub(crate) fn index(self) -> usize {
        Status::ALL.iter().position(|s| *s == self).expect("ALL has every status")
    }
}

/// What is known about an exception or a syntax error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptError {
    /// The error's name, such as `TypeError`; for a thrown value that is no `Error`, its type.
    pub name: String,
    /// The error's message; for a thrown value that is no `Error`, its text.
    pub message: String,
    /// `error.code`, where the script or a tool has set one.
    pub code: Option<String>,
    /// The JavaScript stack, a frame a line, innermost first.
    pub stack: Option<String>,
    /// The name of the source.
    pub filename: Option<String>,
    /// Line in the source, from 1; 0 where unknown.
    pub line: u32,
    /// Column in the line, from 1, in UTF-16 units; 0 where unknown.
    pub column: u32,
    /// The text of the line, cut to about 120 characters around the column.
    pub source_line: Option<String>,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.as_str(), self.message.as_str()) {
            (name, "") => f.write_str(name)?,
            (name, message) => write!(f, "{name}: {message}")?,
        }
        if self.line > 0 {
            write!(f, " ({}:{}:{})", self.filename.as_deref().unwrap_or("<script>"), self.line, self.column)?;
        }
        Ok(())
    }
}

/// Why a call or an execution failed: what happened and what to do, with the numbers of the case.
///
/// Every variant is one [`Status`]; the text (by `Display`) is complete without the status.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// [`Status::InvalidArgument`].
    #[error("{field} {problem}")]
    InvalidArgument {
        /// The field or argument.
        field: String,
        /// What is wrong with it and what it accepts.
        problem: String,
    },
    /// [`Status::InvalidState`].
    #[error("{message}")]
    InvalidState {
        /// What was called, why it cannot work now, what to do instead.
        message: String,
    },
    /// [`Status::PoolClosed`].
    #[error("the pool is shut down")]
    PoolClosed,
    /// [`Status::Forked`].
    #[error("this process is a fork of the one that made the pool: make a new process (exec, spawn) and a pool there")]
    Forked,
    /// [`Status::Unsupported`].
    #[error("{feature} is not supported: {reason}")]
    Unsupported {
        /// What was asked for.
        feature: String,
        /// Why it cannot be had, and what was tried.
        reason: String,
    },
    /// [`Status::SyntaxError`].
    #[error("{0}")]
    Syntax(Box<ScriptError>),
    /// [`Status::Exception`].
    #[error("{0}")]
    Exception(Box<ScriptError>),
    /// [`Status::Unsettled`].
    #[error("the script waits for a promise that nothing can settle: no tool call, timer or job is left")]
    Unsettled,
    /// [`Status::ResultNotTransferable`].
    #[error("the result cannot be copied out: {path} {reason}")]
    ResultNotTransferable {
        /// Where the value is, such as `result.items[3]`.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// [`Status::Timeout`].
    #[error("the execution ran longer than its timeout of {limit:?}")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// [`Status::CpuLimit`].
    #[error("the execution used more CPU time than its limit of {limit:?}")]
    CpuLimit {
        /// The limit.
        limit: Duration,
    },
    /// [`Status::MemoryLimit`].
    #[error("the worker used {used} bytes of memory; its limit is {limit}")]
    MemoryLimit {
        /// Bytes in use when the limit was seen to be passed (with a refused request included).
        used: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// [`Status::ConsoleLimit`].
    #[error("the execution passed its console limit of {limit} {unit}")]
    ConsoleLimit {
        /// The limit.
        limit: u64,
        /// `calls` or `bytes`.
        unit: LimitUnit,
    },
    /// [`Status::ToolCallLimit`].
    #[error("{}", tool_call_limit(*limit, *unit, *used))]
    ToolCallLimit {
        /// The limit.
        limit: u64,
        /// `tool calls`, `pending tool calls` or `pending bytes`.
        unit: LimitUnit,
        /// What it would have been with the call or answer that was refused.
        used: u64,
    },
    /// [`Status::MessageFlood`].
    #[error("the execution sent more than {limit} messages per second (tool calls and console lines)")]
    MessageFlood {
        /// The limit per second.
        limit: u32,
    },
    /// [`Status::MessageTooLarge`].
    #[error("{what} is larger than max_message_size, {limit} bytes")]
    MessageTooLarge {
        /// What is too large.
        what: Message,
        /// The limit in bytes.
        limit: u64,
    },
    /// [`Status::Cancelled`].
    #[error("the execution was cancelled")]
    Cancelled,
    /// [`Status::QueueFull`].
    #[error("the queue is full with {queue_size} waiting executions; try again in about {retry_after:?}")]
    QueueFull {
        /// Executions waiting.
        queue_size: usize,
        /// When a place may be free, judged by the recent pace.
        retry_after: Duration,
    },
    /// [`Status::QueueTimeout`].
    #[error("the execution waited {waited:?} in the queue without getting a worker")]
    QueueTimeout {
        /// The time waited.
        waited: Duration,
    },
    /// [`Status::WorkerCrashed`].
    #[error("the worker crashed: {reason}")]
    WorkerCrashed {
        /// What is known: the signal or exit code, or that it does not respond.
        reason: String,
        /// The signal, where there was one.
        signal: Option<i32>,
    },
    /// [`Status::WorkerStartup`].
    #[error("a worker could not be started: {cause}")]
    WorkerStartup {
        /// The cause.
        cause: String,
    },
    /// [`Status::Internal`].
    #[error("internal error in enclave, please report it: {message}")]
    Internal {
        /// What was caught.
        message: String,
    },
}

/// What crosses the boundary and may be larger than `max_message_size`. Displayed as it begins a sentence: `the source`,
/// `a tool reply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Message {
    /// The source, with nothing else.
    #[n(0)]
    Source,
    /// The global variables of an execution, all together.
    #[n(1)]
    Globals,
    /// The result.
    #[n(2)]
    Result,
    /// The argument of a tool call.
    #[n(3)]
    ToolArgument,
    /// The answer to a tool call.
    #[n(4)]
    ToolReply,
    /// One console call, formatted.
    #[n(5)]
    ConsoleLine,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Message::Source => "the source",
            Message::Globals => "the globals",
            Message::Result => "the result",
            Message::ToolArgument => "a tool argument",
            Message::ToolReply => "a tool reply",
            Message::ConsoleLine => "a console line",
        })
    }
}

/// The unit of a limit that counts two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LimitUnit {
    /// Console calls.
    #[n(0)]
    Calls,
    /// UTF-8 bytes.
    #[n(1)]
    Bytes,
    /// Tool calls.
    #[n(2)]
    ToolCalls,
    /// Tool calls waiting for their reply.
    #[n(3)]
    PendingToolCalls,
    /// Bytes of memory that waiting tool calls and their answers hold in the host.
    #[n(4)]
    PendingBytes,
}

impl fmt::Display for LimitUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitUnit::Calls => "calls",
            LimitUnit::Bytes => "bytes",
            LimitUnit::ToolCalls => "tool calls",
            LimitUnit::PendingToolCalls => "pending tool calls",
            LimitUnit::PendingBytes => "pending bytes",
        })
    }
}

fn tool_call_limit(limit: u64, unit: LimitUnit, used: u64) -> String {
    match unit {
        LimitUnit::PendingBytes => format!(
            "the execution's waiting tool calls and answers would hold {used} bytes of the host's memory; \
             max_pending_bytes is {limit}"
        ),
        unit => format!("the execution passed its limit of {limit} {unit}"),
    }
}

impl Error {
    /// The status of this error; never [`Status::Ok`].
    pub fn status(&self) -> Status {
        match self {
            Error::InvalidArgument { .. } => Status::InvalidArgument,
            Error::InvalidState { .. } => Status::InvalidState,
            Error::PoolClosed => Status::PoolClosed,
            Error::Forked => Status::Forked,
            Error::Unsupported { .. } => Status::Unsupported,
            Error::Syntax(_) => Status::SyntaxError,
            Error::Exception(_) => Status::Exception,
            Error::Unsettled => Status::Unsettled,
            Error::ResultNotTransferable { .. } => Status::ResultNotTransferable,
            Error::Timeout { .. } => Status::Timeout,
            Error::CpuLimit { .. } => Status::CpuLimit,
            Error::MemoryLimit { .. } => Status::MemoryLimit,
            Error::ConsoleLimit { .. } => Status::ConsoleLimit,
            Error::ToolCallLimit { .. } => Status::ToolCallLimit,
            Error::MessageFlood { .. } => Status::MessageFlood,
            Error::MessageTooLarge { .. } => Status::MessageTooLarge,
            Error::Cancelled => Status::Cancelled,
            Error::QueueFull { .. } => Status::QueueFull,
            Error::QueueTimeout { .. } => Status::QueueTimeout,
            Error::WorkerCrashed { .. } => Status::WorkerCrashed,
            Error::WorkerStartup { .. } => Status::WorkerStartup,
            Error::Internal { .. } => Status::Internal,
        }
    }

    /// The exception or syntax error, if that is what this is.
    pub fn script_error(&self) -> Option<&ScriptError> {
        match self {
            Error::Syntax(error) | Error::Exception(error) => Some(error),
            _ => None,
        }
    }

    /// An [`Error::InvalidArgument`]: `problem` continues the sentence that starts with the field.
    pub fn invalid_argument(field: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::InvalidArgument { field: field.into(), problem: problem.into() }
    }

    /// An [`Error::Internal`]: a panic that was caught.
    pub fn from_panic(panic: &(dyn std::any::Any + Send)) -> Error {
        Error::Internal { message: panic_message(panic) }
    }
}

impl From<UnknownName> for Error {
    fn from(unknown: UnknownName) -> Self {
        Error::invalid_argument(unknown.what, unknown.problem())
    }
}

/// The message of a caught panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of unknown type"))
}
