//! The frames between a pool and a worker process: the same messages as those of a worker thread, written as CBOR, each
//! after its length in four bytes (little-endian).
//!
//! Either side reads what the other wrote with the decoders here, which bound every length, refuse what is not in the
//! table of the frame, and allocate no more than a small multiple of what has arrived. The pool takes its worker for
//! hostile: what a frame *means* it checks in [`process`](super::process).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::config::{ExecutionLimits, MAX_VALUE_DEPTH};
use crate::contract::{KillReason, Report, Request, RestDue};
use crate::error::{Error, LimitUnit, Message, ScriptError};
use crate::execution::{ConsoleLevel, ExecutionStats, SourceKind, ToolError};
use crate::value::{Value, cbor};

/// Counts the changes of what is in this file.
pub(super) const PROTOCOL: u32 = 3;

/// Bytes of the length before a frame.
pub(super) const HEADER: usize = 4;

/// The longest first frame of either side.
pub(super) const MAX_GREETING: usize = 64 * 1024;

/// Bytes of a message that asks to kill, on the socket that has only such: the execution's id, little-endian.
pub(super) const KILL: usize = 8;

/// Bytes that a frame may have beyond its message: the texts of an exception, names, numbers.
const ENVELOPE: u64 = 1024 * 1024;

/// The longest frame of a worker whose messages are limited to this size. As CBOR, a value takes at most twice of what
/// it is taken for in messages, but for errors: they have many short texts.
pub(super) fn max_frame(max_message_size: u64) -> usize {
    usize::try_from(max_message_size.saturating_mul(2).saturating_add(ENVELOPE)).unwrap_or(usize::MAX)
}

/// What a pool says first.
#[derive(Debug, Encode, Decode)]
pub(super) struct Start {
    #[n(0)]
    pub protocol: u32,
    /// The version of the library.
    #[n(1)]
    pub version: String,
    #[n(2)]
    pub memory_limit: u64,
    #[n(3)]
    pub max_message_size: u64,
    #[n(4)]
    pub jit: bool,
    /// The process that started the worker, as the worker sees it.
    #[n(5)]
    pub parent: u32,
}

/// What a worker says first.
#[derive(Debug, Encode, Decode)]
pub(super) struct Ready {
    #[n(0)]
    pub protocol: u32,
    #[n(1)]
    pub version: String,
    /// The parts of the sandbox that could not be had: [`SandboxPart`](crate::sandbox::SandboxPart)s, a bit each.
    #[n(2)]
    pub sandbox_missing: u32,
    /// Bytes held.
    #[n(3)]
    pub memory: u64,
    /// Why it cannot start, if it cannot.
    #[n(4)]
    pub failure: Option<String>,
}

/// What a pool tells a worker that is ready.
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(super) enum ToWorker<'a> {
    #[n(0)]
    Execute(#[b(0)] Execute<'a>),
    #[n(1)]
    Answer {
        #[n(0)]
        execution: u64,
        #[n(1)]
        call: u64,
        #[n(2)]
        answer: Answer,
    },
    /// For a worker that waits; one that runs script hears of it from the other socket.
    #[n(2)]
    Kill {
        #[n(0)]
        execution: u64,
    },
    #[n(3)]
    Rest {
        #[n(0)]
        idle: bool,
    },
}

/// A [`Request`].
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(super) struct Execute<'a> {
    #[n(0)]
    id: u64,
    #[b(1)]
    source: &'a str,
    #[n(2)]
    kind: SourceKind,
    #[b(3)]
    filename: &'a str,
    #[cbor(n(4), with = "globals")]
    globals: Cow<'a, [(String, Value)]>,
    #[b(5)]
    tools: Vec<&'a str>,
    #[n(6)]
    max_messages_per_second: u32,
    #[n(7)]
    max_pending_tool_calls: u32,
    #[n(8)]
    limits: Limits,
    #[n(9)]
    compiled: bool,
    #[n(10)]
    only_compile: bool,
}

/// [`ExecutionLimits`]. Some of them only the pool watches, but which these are is not decided here.
#[derive(Debug, Encode, Decode)]
struct Limits {
    #[n(0)]
    timeout_ns: u64,
    #[n(1)]
    cpu_time_limit_ns: Option<u64>,
    #[n(2)]
    max_tool_calls: u32,
    #[n(3)]
    max_console_calls: u32,
    #[n(4)]
    max_console_output: u64,
    #[n(5)]
    max_value_depth: u32,
    #[n(6)]
    sanitize_stack_traces: bool,
    #[n(7)]
    block_timing_apis: bool,
    #[n(8)]
    allow_code_generation: bool,
    #[n(9)]
    allow_wasm: bool,
    #[n(10)]
    max_pending_bytes: u64,
}

/// How a tool call was answered.
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(super) enum Answer {
    #[n(0)]
    Resolve(#[cbor(n(0), with = "value")] Value),
    #[n(1)]
    Reject {
        #[n(0)]
        name: String,
        #[n(1)]
        message: String,
        #[n(2)]
        code: Option<String>,
    },
    /// Larger than `max_message_size`: it stayed where it was.
    #[n(2)]
    TooLarge,
    /// Deeper than `max_value_depth`.
    #[n(3)]
    TooDeep,
}

/// What a worker that is ready tells its pool.
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(super) enum FromWorker {
    #[n(0)]
    ToolCall {
        #[n(0)]
        execution: u64,
        /// 1 for the first call of an execution, one more for each that follows.
        #[n(1)]
        call: u64,
        #[n(2)]
        name: String,
        #[cbor(n(3), with = "value")]
        args: Value,
    },
    #[n(1)]
    Console {
        #[n(0)]
        execution: u64,
        #[n(1)]
        level: ConsoleLevel,
        #[n(2)]
        text: String,
    },
    #[n(2)]
    Done {
        #[n(0)]
        execution: u64,
        #[n(1)]
        end: End,
        /// Whether the worker must not be used again; why is told by the end.
        #[n(2)]
        condemned: bool,
        #[n(3)]
        usage: Usage,
        #[n(4)]
        rest_due: Rest,
    },
    /// It has rested, and holds so many bytes.
    #[n(3)]
    Rested(#[n(0)] u64),
}

/// A [`RestDue`].
#[derive(Debug, Encode, Decode)]
pub(super) struct Rest {
    #[n(0)]
    at_once: bool,
    #[n(1)]
    when_idle: bool,
}

/// What an execution took.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(super) struct Usage {
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
pub(super) enum End {
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
pub(super) struct ThrownFrame {
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

/// What cannot be read, and why.
#[derive(Debug)]
pub(super) struct Malformed(pub String);

/// A frame with its length.
pub(super) fn encode(frame: &impl Encode<ValuesLeft>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    // Writing to a Vec cannot fail, nor can any of the encoders here.
    let _ = Encoder::new(&mut bytes).encode_with(frame, &mut { ValuesLeft::OF_POOL });
    let length = u32::try_from(bytes.len() - HEADER).unwrap_or(u32::MAX);
    bytes[..HEADER].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// How many values may still come in a frame.
pub(super) struct ValuesLeft(u64);

impl ValuesLeft {
    /// In a frame of the pool, which a worker trusts.
    pub(super) const OF_POOL: ValuesLeft = ValuesLeft(u64::MAX);

    /// In a frame of a worker: every value counts 8 bytes at least in a message.
    pub(super) fn of_worker(max_message_size: u64) -> Self {
        ValuesLeft(max_message_size / 8 + 1)
    }
}

/// The decoders that are derived ask for a trait.
impl AsMut<ValuesLeft> for ValuesLeft {
    fn as_mut(&mut self) -> &mut ValuesLeft {
        self
    }
}

/// Reads a frame, without its length.
pub(super) fn decode<'b, C, T: Decode<'b, C>>(bytes: &'b [u8], mut from: C) -> Result<T, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let frame = decoder.decode_with(&mut from).map_err(|error| Malformed(error.to_string()))?;
    match decoder.position() {
        end if end == bytes.len() => Ok(frame),
        end => Err(Malformed(format!("{} bytes follow the frame", bytes.len() - end))),
    }
}

/// Where the first of these frames ends, once all of it is there.
pub(super) fn first_end(frames: &[u8], max: usize) -> Result<Option<usize>, Malformed> {
    let Some(header) = frames.first_chunk() else { return Ok(None) };
    let end = HEADER + length(*header, max)?;
    Ok((end <= frames.len()).then_some(end))
}

/// The length in a header, if a frame may be so long.
pub(super) fn length(header: [u8; HEADER], max: usize) -> Result<usize, Malformed> {
    match usize::try_from(u32::from_le_bytes(header)) {
        Ok(length) if length <= max => Ok(length),
        _ => Err(Malformed(format!("a frame claims {} bytes; at most {max} are accepted", u32::from_le_bytes(header)))),
    }
}

impl<'a> Execute<'a> {
    // Both directions name every field, so that one that is added cannot be forgotten.
    pub(super) fn new(request: &'a Request) -> Self {
        let Request {
            id,
            source,
            compiled,
            only_compile,
            kind,
            filename,
            globals,
            limits,
            tools,
            // The worker knows it from its start.
            max_message_size: _,
            max_messages_per_second,
            max_pending_tool_calls,
        } = request;
        Execute {
            id: *id,
            source,
            kind: *kind,
            filename,
            globals: Cow::Borrowed(globals),
            tools: tools.iter().map(String::as_str).collect(),
            max_messages_per_second: *max_messages_per_second,
            max_pending_tool_calls: *max_pending_tool_calls,
            limits: Limits::from(&**limits),
            compiled: *compiled,
            only_compile: *only_compile,
        }
    }

    pub(super) fn into_request(self, max_message_size: u64) -> Request {
        let Execute {
            id,
            source,
            kind,
            filename,
            globals,
            tools,
            max_messages_per_second,
            max_pending_tool_calls,
            limits,
            compiled,
            only_compile,
        } = self;
        Request {
            id,
            source: source.into(),
            compiled,
            only_compile,
            kind,
            filename: filename.into(),
            globals: globals.into_owned().into(),
            limits: Arc::new(limits.into()),
            tools: tools.into_iter().map(str::to_owned).collect(),
            max_message_size,
            max_messages_per_second,
            max_pending_tool_calls,
        }
    }
}

impl From<&ExecutionLimits> for Limits {
    fn from(limits: &ExecutionLimits) -> Self {
        let ExecutionLimits {
            timeout,
            cpu_time_limit,
            max_tool_calls,
            max_pending_bytes,
            max_console_calls,
            max_console_output,
            max_value_depth,
            sanitize_stack_traces,
            block_timing_apis,
            allow_code_generation,
            allow_wasm,
        } = *limits;
        Limits {
            timeout_ns: nanoseconds(timeout),
            cpu_time_limit_ns: cpu_time_limit.map(nanoseconds),
            max_tool_calls,
            max_pending_bytes,
            max_console_calls,
            max_console_output,
            max_value_depth,
            sanitize_stack_traces,
            block_timing_apis,
            allow_code_generation,
            allow_wasm,
        }
    }
}

impl From<Limits> for ExecutionLimits {
    fn from(limits: Limits) -> Self {
        let Limits {
            timeout_ns,
            cpu_time_limit_ns,
            max_tool_calls,
            max_pending_bytes,
            max_console_calls,
            max_console_output,
            max_value_depth,
            sanitize_stack_traces,
            block_timing_apis,
            allow_code_generation,
            allow_wasm,
        } = limits;
        ExecutionLimits {
            timeout: Duration::from_nanos(timeout_ns),
            cpu_time_limit: cpu_time_limit_ns.map(Duration::from_nanos),
            max_tool_calls,
            max_pending_bytes,
            max_console_calls,
            max_console_output,
            max_value_depth,
            sanitize_stack_traces,
            block_timing_apis,
            allow_code_generation,
            allow_wasm,
        }
    }
}

impl From<RestDue> for Rest {
    fn from(due: RestDue) -> Self {
        let RestDue { at_once, when_idle } = due;
        Rest { at_once, when_idle }
    }
}

impl From<Rest> for RestDue {
    fn from(due: Rest) -> Self {
        let Rest { at_once, when_idle } = due;
        RestDue { at_once, when_idle }
    }
}

impl Answer {
    pub(super) fn new(answer: Result<Value, ToolError>, max_message_size: u64, max_depth: u32) -> Self {
        match answer {
            Ok(value) => match value.measure() {
                (size, _) if size > max_message_size => Answer::TooLarge,
                (_, depth) if depth > max_depth => Answer::TooDeep,
                _ => Answer::Resolve(value),
            },
            Err(ToolError { name, message, code }) => Answer::Reject { name, message, code },
        }
    }

    /// What the engine is to be told. What was left behind is replaced by something that is refused alike.
    pub(super) fn into_result(self, max_message_size: u64) -> Result<Value, ToolError> {
        match self {
            Answer::Resolve(value) => Ok(value),
            Answer::Reject { name, message, code } => Err(ToolError { name, message, code }),
            // Zeroes that are never touched take no memory.
            Answer::TooLarge => Ok(Value::Bytes(vec![0; usize::try_from(max_message_size).unwrap_or_default()])),
            Answer::TooDeep => Ok((0..=MAX_VALUE_DEPTH).fold(Value::Null, |inner, _| Value::Array(vec![inner]))),
        }
    }
}

impl FromWorker {
    /// The end of an execution as its worker reports it; `memory` is what the worker holds after it.
    pub(super) fn done(report: Report, memory: u64, rest_due: RestDue) -> Self {
        let Report { result, stats, condemned } = report;
        let ExecutionStats {
            execution_id,
            // The pool knows these.
            worker_id: _,
            queue_wait: _,
            run_time,
            cpu_time,
            peak_memory,
            tool_calls,
            console_calls,
        } = stats;
        FromWorker::Done {
            execution: execution_id,
            end: result.map_or_else(End::from, End::Value),
            condemned: condemned.is_some(),
            usage: Usage {
                run_time_ns: nanoseconds(run_time),
                cpu_time_ns: nanoseconds(cpu_time),
                peak_memory,
                memory,
                tool_calls,
                console_calls,
            },
            rest_due: rest_due.into(),
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
    pub(super) fn into_result(
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

/// A [`Value`] inside of a frame.
mod value {
    use super::*;

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        value: &Value,
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        cbor::write(to, value)
    }

    pub(super) fn decode<C: AsMut<ValuesLeft>>(
        from: &mut Decoder<'_>,
        left: &mut C,
    ) -> Result<Value, minicbor::decode::Error> {
        cbor::read(from, &mut left.as_mut().0).map_err(minicbor::decode::Error::message)
    }
}

/// Named values inside of a frame, in their order.
mod globals {
    use super::*;

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        globals: &[(String, Value)],
        to: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        to.map(globals.len() as u64)?;
        globals.iter().try_for_each(|(name, value)| cbor::write(to.str(name)?, value))
    }

    pub(super) fn decode<C: AsMut<ValuesLeft>>(
        from: &mut Decoder<'_>,
        left: &mut C,
    ) -> Result<Cow<'static, [(String, Value)]>, minicbor::decode::Error> {
        // Not as one object, in which each of them would be a level deeper.
        let length = from.map()?.ok_or_else(|| minicbor::decode::Error::message("globals of no known number"))?;
        (0..length).map(|_| Ok((from.str()?.to_owned(), value::decode(from, left)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::MAX_DURATION;
    use crate::contract::RecycleReason;
    use crate::error::Status;

    /// Limits of which none is the default.
    fn limits() -> impl Strategy<Value = ExecutionLimits> {
        let ExecutionLimits {
            timeout,
            cpu_time_limit,
            max_tool_calls,
            max_pending_bytes,
            max_console_calls,
            max_console_output,
            max_value_depth,
            sanitize_stack_traces,
            block_timing_apis,
            allow_code_generation,
            allow_wasm,
        } = ExecutionLimits::default();
        assert_eq!(cpu_time_limit, None);
        let time = || (1..=MAX_DURATION.as_nanos() as u64).prop_map(Duration::from_nanos);
        let bytes = |default: u64| any::<u64>().prop_filter("the default", move |limit| *limit != default);
        let other = |default: u32| any::<u32>().prop_filter("the default", move |limit| *limit != default);
        (
            time().prop_filter("the default", move |limit| *limit != timeout),
            time().prop_map(Some),
            other(max_tool_calls),
            bytes(max_pending_bytes),
            other(max_console_calls),
            bytes(max_console_output),
            other(max_value_depth),
        )
            .prop_map(
                move |(timeout, cpu_time_limit, tool_calls, pending, console_calls, console_output, value_depth)| {
                    ExecutionLimits {
                        timeout,
                        cpu_time_limit,
                        max_tool_calls: tool_calls,
                        max_pending_bytes: pending,
                        max_console_calls: console_calls,
                        max_console_output: console_output,
                        max_value_depth: value_depth,
                        sanitize_stack_traces: !sanitize_stack_traces,
                        block_timing_apis: !block_timing_apis,
                        allow_code_generation: !allow_code_generation,
                        allow_wasm: !allow_wasm,
                    }
                },
            )
    }

    fn received(sent: &Request) -> Request {
        let bytes = body(&ToWorker::Execute(Execute::new(sent)));
        let ToWorker::Execute(execute) = decode(&bytes, ValuesLeft::OF_POOL).unwrap() else { panic!() };
        execute.into_request(sent.max_message_size)
    }

    /// Errors of this status, with the numbers of this request and of a memory limit of 4.
    fn errors(status: Status, request: &Request) -> Vec<Error> {
        let script = || {
            Box::new(ScriptError {
                name: "E".into(),
                message: "m".into(),
                code: Some("C".into()),
                stack: Some("at x".into()),
                filename: Some("f.js".into()),
                line: 1,
                column: 2,
                source_line: Some("x".into()),
            })
        };
        let limits = &request.limits;
        let text = || "text".to_owned();
        match status {
            Status::Ok => vec![],
            Status::InvalidArgument => vec![Error::invalid_argument("field", "is wrong")],
            Status::InvalidState => vec![Error::InvalidState { message: text() }],
            Status::PoolClosed => vec![Error::PoolClosed],
            Status::Forked => vec![Error::Forked],
            Status::Unsupported => vec![Error::Unsupported { feature: text(), reason: text() }],
            Status::SyntaxError => vec![Error::Syntax(script())],
            Status::Exception => vec![Error::Exception(script())],
            Status::Unsettled => vec![Error::Unsettled],
            Status::ResultNotTransferable => {
                vec![Error::ResultNotTransferable { path: "result.a".into(), reason: "is a cycle".into() }]
            }
            Status::Timeout => vec![Error::Timeout { limit: limits.timeout }],
            Status::CpuLimit => vec![Error::CpuLimit { limit: limits.cpu_time_limit.unwrap_or_default() }],
            Status::MemoryLimit => vec![Error::MemoryLimit { used: 5, limit: 4 }],
            Status::ConsoleLimit => vec![
                Error::ConsoleLimit { limit: limits.max_console_calls.into(), unit: LimitUnit::Calls },
                Error::ConsoleLimit { limit: limits.max_console_output, unit: LimitUnit::Bytes },
            ],
            Status::ToolCallLimit => vec![
                Error::ToolCallLimit { limit: 100, unit: LimitUnit::ToolCalls, used: 101 },
                Error::ToolCallLimit { limit: 12, unit: LimitUnit::PendingToolCalls, used: 13 },
                Error::ToolCallLimit { limit: 13, unit: LimitUnit::PendingBytes, used: 99 },
            ],
            Status::MessageFlood => vec![Error::MessageFlood { limit: request.max_messages_per_second }],
            Status::MessageTooLarge => [
                Message::Source,
                Message::Globals,
                Message::Result,
                Message::ToolArgument,
                Message::ToolReply,
                Message::ConsoleLine,
            ]
            .map(|what| Error::MessageTooLarge { what, limit: request.max_message_size })
            .into(),
            Status::Cancelled => vec![Error::Cancelled],
            Status::QueueFull => vec![Error::QueueFull { queue_size: 1, retry_after: Duration::from_secs(1) }],
            Status::QueueTimeout => vec![Error::QueueTimeout { waited: Duration::from_secs(1) }],
            Status::WorkerCrashed => vec![Error::WorkerCrashed { reason: text(), signal: Some(6) }],
            Status::WorkerStartup => vec![Error::WorkerStartup { cause: text() }],
            Status::Internal => vec![Error::Internal { message: text() }],
        }
    }

    fn request() -> Request {
        Request {
            id: 7,
            source: "return a".into(),
            compiled: true,
            only_compile: false,
            kind: SourceKind::Function,
            filename: "söme.js".into(),
            globals: vec![("a".into(), Value::Array(vec![Value::Undefined, Value::from("x"), Value::Number(-0.0)]))]
                .into(),
            limits: ExecutionLimits { max_value_depth: 5, max_pending_bytes: 13, ..ExecutionLimits::default() }.into(),
            tools: vec!["one".to_owned(), "two".to_owned()].into(),
            max_message_size: 1 << 20,
            max_messages_per_second: 11,
            max_pending_tool_calls: 12,
        }
    }

    fn of_worker() -> ValuesLeft {
        ValuesLeft::of_worker(1 << 20)
    }

    fn body(frame: &impl Encode<ValuesLeft>) -> Vec<u8> {
        let bytes = encode(frame);
        let header = *bytes.first_chunk().unwrap();
        assert_eq!(length(header, usize::MAX).unwrap(), bytes.len() - HEADER);
        bytes[HEADER..].to_vec()
    }

    fn done(result: Result<Value, Error>) -> FromWorker {
        let stats = ExecutionStats { execution_id: 7, tool_calls: 3, ..Default::default() };
        let rest_due = RestDue { at_once: true, when_idle: false };
        FromWorker::done(Report { result, stats, condemned: Some(RecycleReason::MemoryLimit) }, 99, rest_due)
    }

    /// Frames of both directions, for mutation.
    fn frames() -> Vec<Vec<u8>> {
        let script =
            ScriptError { name: "TypeError".into(), line: 3, stack: Some("at x".into()), ..Default::default() };
        let answer = Answer::new(Ok(Value::from(vec![Value::Null])), 1 << 20, 5);
        let call = FromWorker::ToolCall { execution: 7, call: 1, name: "one".into(), args: Value::from("argument") };
        vec![
            body(&ToWorker::Execute(Execute::new(&request()))),
            body(&ToWorker::Answer { execution: 7, call: 1, answer }),
            body(&ToWorker::Kill { execution: 7 }),
            body(&ToWorker::Rest { idle: true }),
            body(&call),
            body(&FromWorker::Console { execution: 7, level: ConsoleLevel::Log, text: "line".into() }),
            body(&done(Ok(Value::Map(vec![(Value::Number(1.5), Value::Date(5.0))])))),
            body(&done(Err(Error::Exception(Box::new(script))))),
        ]
    }

    #[test]
    fn a_request_arrives_as_it_was() {
        for kind in [SourceKind::Auto, SourceKind::Script, SourceKind::Function] {
            let sent = Request { kind, ..request() };
            assert_eq!(format!("{:?}", received(&sent)), format!("{sent:?}"));
        }
    }

    #[test]
    fn every_end_of_an_execution_arrives_as_it_was() {
        let request = request();
        let arrived = |result, kill| {
            let bytes = body(&done(result));
            let FromWorker::Done { end, execution: 7, condemned: true, rest_due, .. } =
                decode(&bytes, of_worker()).unwrap()
            else {
                panic!()
            };
            assert_eq!(RestDue::from(rest_due), RestDue { at_once: true, when_idle: false });
            end.into_result(&request, 4, kill)
        };
        assert_eq!(arrived(Ok(Value::Bytes(vec![1, 2])), None).unwrap(), Ok(Value::Bytes(vec![1, 2])));
        for error in Status::ALL.into_iter().flat_map(|status| errors(status, &request)) {
            match error.status() {
                Status::Timeout | Status::CpuLimit | Status::Cancelled | Status::PoolClosed => {
                    let kill = KillReason::ALL.into_iter().find(|kill| kill.error(&request.limits) == error);
                    assert_eq!(arrived(Err(error.clone()), kill).unwrap(), Err(error.clone()));
                    assert!(arrived(Err(error), None).is_err(), "nobody has asked for it");
                }
                // A worker ends no execution with these.
                Status::InvalidArgument
                | Status::InvalidState
                | Status::Forked
                | Status::Unsupported
                | Status::QueueFull
                | Status::QueueTimeout
                | Status::WorkerStartup => {
                    let internal = Error::Internal { message: error.to_string() };
                    assert_eq!(arrived(Err(error), None).unwrap(), Err(internal));
                }
                _ => assert_eq!(arrived(Err(error.clone()), None).unwrap(), Err(error)),
            }
        }
    }

    #[test]
    fn a_limit_in_a_unit_that_it_has_not_is_refused() {
        for end in [End::ConsoleLimit(LimitUnit::ToolCalls), End::ToolCallLimit(LimitUnit::Bytes)] {
            assert!(end.into_result(&request(), 4, None).is_err());
        }
    }

    #[test]
    fn every_console_level_arrives_as_it_was() {
        use ConsoleLevel::*;
        for sent in [Debug, Log, Info, Warn, Error] {
            let bytes = body(&FromWorker::Console { execution: 7, level: sent, text: String::new() });
            let FromWorker::Console { level, .. } = decode(&bytes, of_worker()).unwrap() else { panic!() };
            assert_eq!(level, sent);
        }
    }

    #[test]
    fn a_frame_that_is_cut_short_or_goes_on_is_refused() {
        for bytes in frames() {
            for end in 0..bytes.len() {
                assert!(decode::<_, FromWorker>(&bytes[..end], of_worker()).is_err());
                assert!(decode::<_, ToWorker>(&bytes[..end], ValuesLeft::OF_POOL).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(
                decode::<_, FromWorker>(&longer, of_worker()).is_err()
                    && decode::<_, ToWorker>(&longer, ValuesLeft::OF_POOL).is_err()
            );
        }
    }

    #[test]
    fn no_length_makes_the_reader_allocate_what_has_not_come() {
        // An array, a map, a text and bytes of 2^62 entries, as the value of an end.
        for head in [0x9b, 0xbb, 0x7b, 0x5b] {
            let mut bytes = vec![0x82, 0x02, 0x84, 0x07, 0x82, 0x00, 0x81, head];
            bytes.extend((1u64 << 62).to_be_bytes());
            assert!(decode::<_, FromWorker>(&bytes, of_worker()).is_err());
        }
        assert!(length(u32::MAX.to_le_bytes(), max_frame(1 << 20)).is_err());
        assert!(length(0u32.to_le_bytes(), 0).is_ok());
    }

    #[test]
    fn a_frame_of_many_small_values_is_refused_before_it_takes_their_memory() {
        let array = |length: usize| body(&done(Ok(Value::Array(vec![Value::Null; length]))));
        assert!(decode::<_, FromWorker>(&array(1000), ValuesLeft::of_worker(8000)).is_ok());
        let Malformed(problem) = decode::<_, FromWorker>(&array(1001), ValuesLeft::of_worker(8000)).unwrap_err();
        assert!(problem.contains("there are too many values"), "{problem}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn no_limit_is_lost_on_the_way(limits in limits()) {
            let sent = Request { limits: limits.into(), ..request() };
            prop_assert_eq!(received(&sent).limits, sent.limits);
        }

        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<_, FromWorker>(&bytes, of_worker());
            let _ = decode::<_, ToWorker>(&bytes, ValuesLeft::OF_POOL);
            let _ = decode::<_, Start>(&bytes, ());
            let _ = decode::<_, Ready>(&bytes, ());
        }

        #[test]
        fn a_frame_with_some_bytes_changed_is_read_or_refused(
            which in 0usize..8,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = frames().swap_remove(which);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Ok(FromWorker::Done { end, .. }) = decode(&bytes, of_worker()) {
                let _ = end.into_result(&request(), 4, Some(KillReason::Timeout));
            }
            if let Ok(ToWorker::Execute(execute)) = decode(&bytes, ValuesLeft::OF_POOL) {
                let _ = execute.into_request(1 << 20);
            }
        }
    }
}
