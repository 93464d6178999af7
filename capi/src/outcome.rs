//! [`enclave_outcome_t`]: how an execution ended, with its value or error, its stats and its console lines.

use std::sync::Arc;

use enclave_core::{Error, ExecutionStats, Outcome};

use crate::boundary::guard;
use crate::console::{Line, enclave_console_line_t};
use crate::error::enclave_error_t;
use crate::status::{ENCLAVE_INVALID_ARGUMENT, ENCLAVE_OK, enclave_status_t};
use crate::units::ns;
use crate::value::enclave_value_t;

/// How an execution ended. Immutable; may be read from any thread. Owned by the caller. What its accessors give is lent
/// until it is freed. It does not need its execution or pool any more.
pub struct enclave_outcome_t {
    outcome: Arc<Outcome>,
    error: Option<enclave_error_t>,
    stats: enclave_execution_stats_t,
    console: Vec<Line>,
}

/// What one execution took. Made by the library, which may append fields.
#[repr(C)]
pub struct enclave_execution_stats_t {
    /// Bytes of this structure in the loaded library.
    pub size: usize,
    /// The execution's id, unique in its pool; 0 if it was refused.
    pub execution_id: u64,
    /// The id of the worker that ran it; 0 if it never started.
    pub worker_id: u64,
    /// Nanoseconds in the queue.
    pub queue_wait_ns: u64,
    /// Wall-clock nanoseconds on the worker.
    pub run_time_ns: u64,
    /// CPU nanoseconds on the worker.
    pub cpu_time_ns: u64,
    /// The most bytes that the worker held during the execution.
    pub peak_memory: u64,
    /// Tool calls made.
    pub tool_calls: u32,
    /// Console calls made.
    pub console_calls: u32,
}

impl enclave_execution_stats_t {
    fn new(stats: &ExecutionStats) -> Self {
        enclave_execution_stats_t {
            size: size_of::<Self>(),
            execution_id: stats.execution_id,
            worker_id: stats.worker_id.unwrap_or(0),
            queue_wait_ns: ns(stats.queue_wait),
            run_time_ns: ns(stats.run_time),
            cpu_time_ns: ns(stats.cpu_time),
            peak_memory: stats.peak_memory,
            tool_calls: stats.tool_calls,
            console_calls: stats.console_calls,
        }
    }
}

impl enclave_outcome_t {
    pub(crate) fn new(outcome: Arc<Outcome>) -> Self {
        enclave_outcome_t {
            error: outcome.result.as_ref().err().cloned().map(enclave_error_t::new),
            stats: enclave_execution_stats_t::new(&outcome.stats),
            console: outcome.console.iter().map(Line::new).collect(),
            outcome,
        }
    }

    /// The outcome of an execution that was refused.
    pub(crate) fn refused(error: Error) -> Self {
        let outcome = Outcome { result: Err(error), stats: ExecutionStats::default(), console: Vec::new() };
        enclave_outcome_t::new(Arc::new(outcome))
    }

    pub(crate) fn status(&self) -> enclave_status_t {
        self.outcome.result.as_ref().err().map_or(ENCLAVE_OK, |error| error.status().code())
    }
}

/// Frees an outcome and what its accessors have given; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_free(outcome: Option<Box<enclave_outcome_t>>) {
    guard((), || drop(outcome))
}

/// How the execution ended: `ENCLAVE_OK` if it has a value. INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_status(outcome: Option<&enclave_outcome_t>) -> enclave_status_t {
    guard(ENCLAVE_INVALID_ARGUMENT, || outcome.map_or(ENCLAVE_INVALID_ARGUMENT, enclave_outcome_t::status))
}

/// The result of the script. Lent by the outcome; NULL unless the status is `ENCLAVE_OK`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_value(outcome: Option<&enclave_outcome_t>) -> Option<&enclave_value_t> {
    guard(None, || outcome?.outcome.result.as_ref().ok().map(enclave_value_t::lend))
}

/// What went wrong. Lent by the outcome; NULL if the status is `ENCLAVE_OK`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_error(outcome: Option<&enclave_outcome_t>) -> Option<&enclave_error_t> {
    guard(None, || outcome?.error.as_ref())
}

/// What the execution took. Lent by the outcome; NULL for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_stats(outcome: Option<&enclave_outcome_t>) -> Option<&enclave_execution_stats_t> {
    guard(None, || outcome.map(|outcome| &outcome.stats))
}

/// The number of console lines: 0 unless `enclave_options_set_collect_console` was on.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_console_count(outcome: Option<&enclave_outcome_t>) -> usize {
    guard(0, || outcome.map_or(0, |outcome| outcome.console.len()))
}

/// The console line at a place, from 0. Lent by the outcome; NULL if there is no such line.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_outcome_console_line(
    outcome: Option<&enclave_outcome_t>,
    index: usize,
) -> Option<&enclave_console_line_t> {
    guard(None, || outcome?.console.get(index).map(Line::get))
}
