//! The frames between a pool and a worker process: the same messages as those of a worker thread, written as CBOR, each
//! after its length in four bytes (little-endian).
//!
//! Either side reads what the other wrote with the decoders here. They bound every length, refuse anything that is not
//! in the table of the frame, and allocate no more than a small multiple of what has arrived. The pool treats its
//! worker as hostile: [`process`](super::process) checks what a frame *means*.

mod end;
mod execute;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use std::time::Duration;

use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::config::MAX_VALUE_DEPTH;
use crate::contract::{Report, RestDue};

use crate::execution::{ConsoleLevel, ExecutionStats, ToolError};
use crate::value::{Value, cbor};

pub(super) use end::{End, Usage};
pub(super) use execute::Execute;

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
