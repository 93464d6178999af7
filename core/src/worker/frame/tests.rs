//! Frames of both sides: what crosses arrives as it was, and what is no frame is refused.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::ExecutionLimits;
use crate::config::MAX_DURATION;
use crate::contract::{KillReason, RecycleReason, Request};
use crate::error::{Error, LimitUnit, Message, ScriptError, Status};
use crate::execution::SourceKind;

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
        globals: vec![("a".into(), Value::Array(vec![Value::Undefined, Value::from("x"), Value::Number(-0.0)]))].into(),
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
    let script = ScriptError { name: "TypeError".into(), line: 3, stack: Some("at x".into()), ..Default::default() };
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
