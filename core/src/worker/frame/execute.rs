//! How a [`Request`] crosses.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{ValuesLeft, globals, nanoseconds};
use crate::config::ExecutionLimits;
use crate::contract::Request;
use crate::execution::SourceKind;
use crate::value::Value;

/// A [`Request`].
#[derive(Debug, Encode, Decode)]
#[cbor(context_bound = "AsMut<ValuesLeft>")]
pub(in crate::worker) struct Execute<'a> {
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

impl<'a> Execute<'a> {
    // Both directions name every field, so that one that is added cannot be forgotten.
    pub(in crate::worker) fn new(request: &'a Request) -> Self {
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

    pub(in crate::worker) fn into_request(self, max_message_size: u64) -> Request {
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
