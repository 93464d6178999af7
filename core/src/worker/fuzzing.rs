//! Fuzz targets for what pool and worker process say to each other.

use std::cell::RefCell;
use std::mem::discriminant;

use minicbor::Encode;

use super::frame::{self, Answer, FromWorker, HEADER, Ready, Start, ToWorker, ValuesLeft};
use super::process::{self, Heard};
use crate::config::ExecutionLimits;
use crate::contract::{Host, KillReason, Report, Request};
use crate::execution::{ConsoleLine, SourceKind, ToolCall};
use crate::fuzzing::{exact, linear};
use crate::value::Value;

/// Messages are small here, so that what is too large is found.
const MAX_MESSAGE_SIZE: u64 = 4096;

fn request() -> Request {
    let limits = ExecutionLimits {
        max_tool_calls: 3,
        max_console_calls: 3,
        max_console_output: 64,
        max_value_depth: 4,
        ..ExecutionLimits::default()
    };
    Request {
        id: 7,
        source: "1".into(),
        compiled: false,
        only_compile: false,
        kind: SourceKind::Auto,
        filename: "main.js".into(),
        globals: Vec::new().into(),
        limits: limits.into(),
        tools: Vec::new().into(),
        max_message_size: MAX_MESSAGE_SIZE,
        max_messages_per_second: 1,
        max_pending_tool_calls: 2,
    }
}

/// The body of a frame.
fn body(frame: &impl Encode<ValuesLeft>) -> Vec<u8> {
    frame::encode(frame).split_off(HEADER)
}

/// What a host is told while a worker says whatever it likes.
#[derive(Default)]
struct Witness {
    calls: RefCell<Vec<ToolCall>>,
    lines: RefCell<Vec<ConsoleLine>>,
}

impl Host for Witness {
    fn tool_call(&self, call: ToolCall) {
        self.calls.borrow_mut().push(call);
    }

    fn console(&self, line: ConsoleLine) {
        self.lines.borrow_mut().push(line);
    }

    fn lost(&self, _: Report) {
        unreachable!("a process is not lost");
    }
}

/// What a worker process sends while an execution runs: frames with their lengths, of which the first byte says how the
/// execution was killed.
pub fn frames_of_worker(data: &[u8]) {
    let (kill, stream) = match data.split_first() {
        Some((kill, stream)) => (*kill, stream),
        None => return,
    };
    let kill = match kill {
        0..128 => None,
        128..192 => Some(KillReason::Timeout),
        _ => Some(KillReason::Cancelled),
    };
    // What one frame means by itself.
    linear(stream.len(), || {
        if let Ok(frame) = frame::decode::<_, FromWorker>(stream, ValuesLeft::of_worker(MAX_MESSAGE_SIZE)) {
            let again = body(&frame);
            let read = frame::decode::<_, FromWorker>(&again, ValuesLeft::of_worker(MAX_MESSAGE_SIZE));
            assert_eq!(format!("{:?}", read.unwrap()), format!("{frame:?}"));
        }
    });
    if let Ok(ready) = frame::decode::<_, Ready>(stream, ()) {
        assert_eq!(
            format!("{:?}", frame::decode::<_, Ready>(&frame::encode(&ready)[HEADER..], ()).unwrap()),
            format!("{ready:?}")
        );
    }
    // What the pool makes of all of them.
    let (request, witness) = (request(), Witness::default());
    let heard = linear(stream.len(), || process::hear(&request, &witness, stream, kill));
    let (calls, lines) = (witness.calls.take(), witness.lines.take());
    assert!(calls.len() <= 2, "calls beyond max_pending_tool_calls");
    for call in &calls {
        assert_eq!(call.execution_id, request.id);
        check_value(&call.args, &request);
    }
    assert!(
        lines.len() <= 3 && lines.iter().map(|line| line.text.len()).sum::<usize>() <= 64,
        "lines beyond the limits"
    );
    if let Heard::Report(report) = heard {
        if let Ok(value) = &report.result {
            check_value(value, &request);
        }
        let stats = &report.stats;
        assert!(stats.tool_calls as usize >= calls.len() && stats.tool_calls <= request.limits.max_tool_calls);
        assert!(stats.console_calls as usize >= lines.len() && stats.console_calls <= request.limits.max_console_calls);
    }
}

fn check_value(value: &Value, request: &Request) {
    let (size, depth) = value.measure();
    assert!(size <= request.max_message_size && depth <= request.limits.max_value_depth);
}

/// What a pool sends to a worker process: one frame.
pub fn frames_of_pool(data: &[u8]) {
    if let Ok(start) = frame::decode::<_, Start>(data, ()) {
        assert_eq!(
            format!("{:?}", frame::decode::<_, Start>(&frame::encode(&start)[HEADER..], ()).unwrap()),
            format!("{start:?}")
        );
    }
    let frame = linear(data.len(), || frame::decode::<_, ToWorker>(data, ValuesLeft::OF_POOL));
    let Ok(frame) = frame else { return };
    let again = body(&frame);
    let read = frame::decode::<_, ToWorker>(&again, ValuesLeft::OF_POOL).unwrap();
    assert_eq!(discriminant(&read), discriminant(&frame));
    assert_eq!(format!("{read:?}"), format!("{frame:?}"));
    match frame {
        ToWorker::Execute(execute) => {
            let request = execute.into_request(MAX_MESSAGE_SIZE);
            let sent = body(&ToWorker::Execute(frame::Execute::new(&request)));
            let Ok(ToWorker::Execute(execute)) = frame::decode(&sent, ValuesLeft::OF_POOL) else {
                panic!("a request that was read is not read again")
            };
            assert_eq!(format!("{:?}", execute.into_request(MAX_MESSAGE_SIZE)), format!("{request:?}"));
        }
        ToWorker::Answer { answer, .. } => {
            let is_value = matches!(answer, Answer::Resolve(_));
            if let (Ok(value), true) = (answer.into_result(MAX_MESSAGE_SIZE), is_value) {
                // What is within the limits stays what it is.
                let (size, depth) = value.measure();
                let kept = Answer::new(Ok(value.clone()), size, depth).into_result(size).unwrap();
                assert_eq!(exact(&kept), exact(&value));
            }
        }
        ToWorker::Kill { .. } | ToWorker::Rest { .. } => {}
    }
}
