//! The frames between a pool and a worker process: the same messages as those of a worker thread, written as CBOR, each
//! after its length in four bytes (little-endian).
//!
//! Either side reads what the other wrote with the decoders here, which bound every length, refuse what is not in the
//! table of the frame, and allocate no more than a small multiple of what has arrived. The pool takes its worker for
//! hostile: what a frame *means* it checks in [`process`](super::process).

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use minicbor::{Decode, Decoder, Encode, Encoder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{KillReason, RecycleReason, Report};
use crate::config::{ExecutionLimits, MAX_VALUE_DEPTH};
use crate::error::{Error, LimitUnit, ScriptError};
use crate::execution::{ConsoleLevel, ConsoleLine, Request, SourceKind, ToolError};
use crate::value::{Value, cbor};

/// Counts the changes of what is in this file.
pub(super) const PROTOCOL: u32 = 2;

/// Bytes of the length before a frame.
pub(super) const HEADER: usize = 4;

/// Whether a socket of either side has something to read, or its end, within this time.
pub(super) fn comes_within(socket: impl AsFd, time: Option<Duration>) -> bool {
    let timeout = time.and_then(|time| Timespec::try_from(time).ok());
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

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
    /// What `TZ` is there.
    #[n(6)]
    pub time_zone: Option<String>,
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

/// A [`Request`]. Limits that only the pool watches are not in it.
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(super) struct Execute<'a> {
    #[n(0)]
    id: u64,
    #[b(1)]
    source: &'a str,
    #[n(2)]
    kind: u8,
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
    max_tool_calls: u32,
    #[n(9)]
    max_console_calls: u32,
    #[n(10)]
    max_console_output: u64,
    #[n(11)]
    max_value_depth: u32,
    #[n(12)]
    sanitize_stack_traces: bool,
    #[n(13)]
    block_timing_apis: bool,
    #[n(14)]
    allow_code_generation: bool,
    #[n(15)]
    compiled: bool,
    #[n(16)]
    only_compile: bool,
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
        level: u8,
        #[n(2)]
        text: String,
    },
    #[n(2)]
    Done {
        #[n(0)]
        execution: u64,
        #[n(1)]
        end: End,
        /// Whether, and why, the worker must not be used again.
        #[n(2)]
        condemned: Option<u8>,
        #[n(3)]
        usage: Usage,
        /// Whether the worker should rest before the next one: if nothing waits, and if something does.
        #[n(4)]
        rest_due: (bool, bool),
    },
    /// It has rested, and holds so many bytes.
    #[n(3)]
    Rested(#[n(0)] u64),
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
    Syntax(#[n(0)] Script),
    #[n(2)]
    Exception(#[n(0)] Script),
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
    ConsoleLimit {
        #[n(0)]
        bytes: bool,
    },
    #[n(8)]
    ToolCallLimit {
        #[n(0)]
        pending: bool,
    },
    #[n(9)]
    MessageFlood,
    /// What is too large, by its place in [`MESSAGES`].
    #[n(10)]
    MessageTooLarge(#[n(0)] u8),
    #[n(11)]
    Internal(#[n(0)] String),
    #[n(12)]
    Crashed {
        #[n(0)]
        reason: String,
        #[n(1)]
        signal: Option<i32>,
    },
}

/// A [`ScriptError`].
#[derive(Debug, Encode, Decode)]
pub(super) struct Script {
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

/// What may be larger than a message may be.
const MESSAGES: [&str; 4] = ["the result", "a tool argument", "a tool reply", "a console line"];

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
    pub(super) fn new(request: &'a Request) -> Self {
        let limits = &*request.limits;
        Execute {
            id: request.id,
            source: &request.source,
            kind: request.kind as u8,
            filename: &request.filename,
            globals: Cow::Borrowed(&request.globals),
            tools: request.tools.iter().map(String::as_str).collect(),
            max_messages_per_second: request.max_messages_per_second,
            max_pending_tool_calls: request.max_pending_tool_calls,
            max_tool_calls: limits.max_tool_calls,
            max_console_calls: limits.max_console_calls,
            max_console_output: limits.max_console_output,
            max_value_depth: limits.max_value_depth,
            sanitize_stack_traces: limits.sanitize_stack_traces,
            block_timing_apis: limits.block_timing_apis,
            allow_code_generation: limits.allow_code_generation,
            compiled: request.compiled,
            only_compile: request.only_compile,
        }
    }

    pub(super) fn into_request(self, max_message_size: u64) -> Result<Request, Malformed> {
        let kinds = [SourceKind::Auto, SourceKind::Script, SourceKind::Function];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == self.kind);
        let limits = ExecutionLimits {
            max_tool_calls: self.max_tool_calls,
            max_console_calls: self.max_console_calls,
            max_console_output: self.max_console_output,
            max_value_depth: self.max_value_depth,
            sanitize_stack_traces: self.sanitize_stack_traces,
            block_timing_apis: self.block_timing_apis,
            allow_code_generation: self.allow_code_generation,
            ..ExecutionLimits::default()
        };
        Ok(Request {
            id: self.id,
            source: self.source.into(),
            compiled: self.compiled,
            only_compile: self.only_compile,
            kind: kind.ok_or_else(|| Malformed(format!("there is no kind {} of source", self.kind)))?,
            filename: self.filename.into(),
            globals: self.globals.into_owned().into(),
            limits: limits.into(),
            tools: self.tools.into_iter().map(str::to_owned).collect(),
            max_message_size,
            max_messages_per_second: self.max_messages_per_second,
            max_pending_tool_calls: self.max_pending_tool_calls,
        })
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
    pub(super) fn done(report: Report, memory: u64, rest_due: (bool, bool)) -> Self {
        let Report { result, stats, condemned } = report;
        FromWorker::Done {
            execution: stats.execution_id,
            end: result.map_or_else(End::from, End::Value),
            condemned: condemned.map(|reason| reason as u8),
            usage: Usage {
                run_time_ns: nanoseconds(stats.run_time),
                cpu_time_ns: nanoseconds(stats.cpu_time),
                peak_memory: stats.peak_memory,
                memory,
                tool_calls: stats.tool_calls,
                console_calls: stats.console_calls,
            },
            rest_due,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A console line that a worker tells now.
pub(super) fn console_line(execution_id: u64, level: u8, text: String) -> Result<ConsoleLine, Malformed> {
    let levels = [ConsoleLevel::Debug, ConsoleLevel::Log, ConsoleLevel::Info, ConsoleLevel::Warn, ConsoleLevel::Error];
    match levels.into_iter().find(|known| *known as u8 == level) {
        Some(level) => Ok(ConsoleLine { execution_id, level, time: SystemTime::now(), text }),
        None => Err(Malformed(format!("there is no level {level} of console lines"))),
    }
}

/// The reason of this number.
pub(super) fn recycle_reason(number: u8) -> Result<RecycleReason, Malformed> {
    let reason = RecycleReason::ALL.into_iter().find(|reason| *reason as u8 == number);
    reason.ok_or_else(|| Malformed(format!("there is no reason {number} to recycle a worker")))
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
            Error::ConsoleLimit { unit, .. } => End::ConsoleLimit { bytes: unit == LimitUnit::Bytes },
            Error::ToolCallLimit { unit, .. } => End::ToolCallLimit { pending: unit == LimitUnit::PendingToolCalls },
            Error::MessageFlood { .. } => End::MessageFlood,
            Error::MessageTooLarge { what, .. } => match MESSAGES.iter().position(|known| *known == what) {
                Some(place) => End::MessageTooLarge(place as u8),
                None => End::Internal(format!("{what} is too large")),
            },
            Error::Internal { message } => End::Internal(message),
            Error::WorkerCrashed { reason, signal } => End::Crashed { reason, signal },
            other => End::Internal(other.to_string()),
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
            End::ConsoleLimit { bytes: true } => {
                Error::ConsoleLimit { limit: limits.max_console_output, unit: LimitUnit::Bytes }
            }
            End::ConsoleLimit { bytes: false } => {
                Error::ConsoleLimit { limit: limits.max_console_calls.into(), unit: LimitUnit::Calls }
            }
            End::ToolCallLimit { pending: true } => {
                Error::ToolCallLimit { limit: request.max_pending_tool_calls.into(), unit: LimitUnit::PendingToolCalls }
            }
            End::ToolCallLimit { pending: false } => {
                Error::ToolCallLimit { limit: limits.max_tool_calls.into(), unit: LimitUnit::ToolCalls }
            }
            End::MessageFlood => Error::MessageFlood { limit: request.max_messages_per_second },
            End::MessageTooLarge(what) => match MESSAGES.get(usize::from(what)) {
                Some(what) => Error::MessageTooLarge { what: (*what).to_owned(), limit: request.max_message_size },
                None => return Err(Malformed(format!("there is no message {what}"))),
            },
            End::Internal(message) => Error::Internal { message },
            // The kernel tells of the sandbox's signal, not the worker.
            End::Crashed { reason, signal } => {
                Error::WorkerCrashed { reason, signal: signal.filter(|signal| *signal != libc::SIGSYS) }
            }
        };
        Ok(Err(error))
    }
}

impl From<ScriptError> for Script {
    fn from(error: ScriptError) -> Self {
        let ScriptError { name, message, code, stack, filename, line, column, source_line } = error;
        Script { name, message, code, stack, filename, line, column, source_line }
    }
}

impl From<Script> for ScriptError {
    fn from(error: Script) -> Self {
        let Script { name, message, code, stack, filename, line, column, source_line } = error;
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
    use crate::execution::ExecutionStats;

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
            limits: ExecutionLimits { max_value_depth: 5, ..ExecutionLimits::default() }.into(),
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
        FromWorker::done(Report { result, stats, condemned: Some(RecycleReason::MemoryLimit) }, 99, (true, false))
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
            body(&FromWorker::Console { execution: 7, level: 1, text: "line".into() }),
            body(&done(Ok(Value::Map(vec![(Value::Number(1.5), Value::Date(5.0))])))),
            body(&done(Err(Error::Exception(Box::new(script))))),
        ]
    }

    #[test]
    fn a_request_arrives_as_it_was_but_for_what_only_the_pool_needs() {
        let sent = request();
        let bytes = body(&ToWorker::Execute(Execute::new(&sent)));
        let ToWorker::Execute(execute) = decode(&bytes, ValuesLeft::OF_POOL).unwrap() else { panic!() };
        let received = execute.into_request(sent.max_message_size).unwrap();
        assert_eq!(format!("{received:?}"), format!("{sent:?}"));
    }

    #[test]
    fn every_end_of_an_execution_arrives_as_it_was() {
        let request = request();
        let script = Box::new(ScriptError { name: "E".into(), message: "m".into(), line: 1, ..Default::default() });
        let limits = &request.limits;
        let results = [
            Ok(Value::Bytes(vec![1, 2])),
            Err(Error::Syntax(script.clone())),
            Err(Error::Exception(script)),
            Err(Error::Unsettled),
            Err(Error::ResultNotTransferable { path: "result.a".into(), reason: "is a cycle".into() }),
            Err(Error::MemoryLimit { used: 5, limit: 4 }),
            Err(Error::ConsoleLimit { limit: limits.max_console_calls.into(), unit: LimitUnit::Calls }),
            Err(Error::ConsoleLimit { limit: limits.max_console_output, unit: LimitUnit::Bytes }),
            Err(Error::ToolCallLimit { limit: limits.max_tool_calls.into(), unit: LimitUnit::ToolCalls }),
            Err(Error::ToolCallLimit { limit: 12, unit: LimitUnit::PendingToolCalls }),
            Err(Error::MessageFlood { limit: 11 }),
            Err(Error::MessageTooLarge { what: "a tool reply".into(), limit: 1 << 20 }),
            Err(Error::Internal { message: "oh".into() }),
            Err(Error::WorkerCrashed { reason: "it did".into(), signal: Some(6) }),
        ];
        for result in results {
            let bytes = body(&done(result.clone()));
            let FromWorker::Done { end, execution: 7, .. } = decode(&bytes, of_worker()).unwrap() else { panic!() };
            assert_eq!(end.into_result(&request, 4, None).unwrap(), result);
        }
        for (kill, error) in [
            (KillReason::Timeout, Error::Timeout { limit: limits.timeout }),
            (KillReason::CpuLimit, Error::CpuLimit { limit: Duration::ZERO }),
            (KillReason::Cancelled, Error::Cancelled),
            (KillReason::Shutdown, Error::PoolClosed),
        ] {
            assert_eq!(End::from(error.clone()).into_result(&request, 4, Some(kill)).unwrap(), Err(error.clone()));
            assert!(End::from(error).into_result(&request, 4, None).is_err());
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
            if let Ok(FromWorker::Done { end, condemned, .. }) = decode(&bytes, of_worker()) {
                let _ = end.into_result(&request(), 4, Some(KillReason::Timeout));
                let _ = condemned.map(recycle_reason);
            }
            if let Ok(ToWorker::Execute(execute)) = decode(&bytes, ValuesLeft::OF_POOL) {
                let _ = execute.into_request(1 << 20);
            }
        }
    }
}
