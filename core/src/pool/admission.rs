//! How an execution enters the pool: it is checked on the caller's thread, before any lock is taken, and then put into
//! the queue or refused immediately.

use std::sync::Arc;

use super::completer::Callback;
use super::effects::Job;
use super::execution::{self, Execution};
use super::shared::Shared;
use super::tools::ExecutionHost;
use super::validate;
use crate::contract::Request;
use crate::error::Error;
use crate::execution::{ExecutionOptions, Source};
use crate::sync::lock;

/// Validates a submission and puts it into the queue.
pub(super) fn admit(
    shared: &Arc<Shared>,
    source: Source,
    only_compile: bool,
    mut options: ExecutionOptions,
    on_complete: Option<Callback>,
) -> Result<Execution, Error> {
    let Source { text, script } = source;
    let compiled = script.is_some();
    let limits = options.limits.take().map_or_else(|| shared.limits.clone(), Arc::new);
    if let Err(error) = validate::submission(&text, &options, &limits, &shared.config) {
        shared.update(|state, _, _| state.refused(&error));
        return Err(error);
    }
    let tools = lock(&shared.tools).clone().with(std::mem::take(&mut options.tools));
    let config = &shared.config;
    let (kind, filename) = script.unwrap_or_else(|| {
        let filename = options.filename.take().map_or_else(|| validate::DEFAULT_FILENAME.into(), Arc::from);
        (options.kind, filename)
    });
    let request = Request {
        id: 0,
        source: text,
        compiled,
        only_compile,
        kind,
        filename,
        globals: std::mem::take(&mut options.globals).into(),
        limits,
        tools: tools.names(),
        max_message_size: config.max_message_size,
        max_messages_per_second: config.max_messages_per_second,
        max_pending_tool_calls: config.max_pending_tool_calls,
    };
    let (completer, execution) = execution::pair(shared, on_complete);
    let on_console = shared.callbacks.console.clone();
    let host = ExecutionHost::new(shared.id, shared.traffic.clone(), tools, on_console, options);
    let job = Box::new(Job { request, host: Arc::new(host), completer });
    match shared.update(|state, now, effects| state.submit(job, now, effects)) {
        Ok(id) => Ok(execution(id)),
        Err((job, error)) => {
            job.completer.abandon();
            Err(error)
        }
    }
}
