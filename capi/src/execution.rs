//! [`enclave_execution_t`]: a submitted execution, to be waited for or cancelled.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::time::Duration;

use enclave_core::{Execution, MAX_DURATION};

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::error::enclave_error_t;
use crate::outcome::enclave_outcome_t;
use crate::status::enclave_status_t;

/// As a time to wait: without end.
pub const ENCLAVE_NO_TIMEOUT: u64 = u64::MAX;

/// Receives the outcome of an execution and owns it: the callback, or whoever it hands the outcome to, frees it. It is
/// called once, on the thread that made the outcome, and should return soon. The finalizer runs right after it. If it
/// ends other executions of the pool, their callbacks are called after it has returned.
pub type enclave_complete_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, outcome: *mut enclave_outcome_t)>;

/// A submitted execution. Owned by the caller. Several threads may use it at the same time. Freeing it neither cancels
/// the execution nor waits for it. It may outlive its pool.
pub struct enclave_execution_t(Execution);

impl enclave_execution_t {
    pub(crate) fn new(execution: Execution) -> Self {
        enclave_execution_t(execution)
    }
}

/// A time to wait; none is without end.
pub(crate) fn time_to_wait(ms: u64) -> Option<Duration> {
    (ms != ENCLAVE_NO_TIMEOUT).then(|| Duration::from_millis(ms).min(MAX_DURATION))
}

/// Frees the handle of an execution, which goes on; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_execution_free(execution: Option<Box<enclave_execution_t>>) {
    guard((), || drop(execution))
}

/// The id, unique in the pool and growing with every submission; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_execution_id(execution: Option<&enclave_execution_t>) -> u64 {
    guard(0, || execution.map_or(0, |execution| execution.0.id()))
}

/// Whether the execution has its outcome.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_execution_is_done(execution: Option<&enclave_execution_t>) -> bool {
    guard(false, || execution.is_some_and(|execution| execution.0.is_done()))
}

/// Waits until the execution has its outcome, at most `timeout_ms` milliseconds (0 only looks, `ENCLAVE_NO_TIMEOUT`
/// waits without end). The status is that of the wait, not of the execution: OK with an outcome owned by the caller, or
/// OK with NULL if the time is over. It may be called again, and gives the same outcome to every caller.
/// INVALID_ARGUMENT: a NULL. INVALID_STATE: inside a callback of the library. FORKED.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_execution_wait(
    execution: Option<&enclave_execution_t>,
    timeout_ms: u64,
    outcome: Option<&mut MaybeUninit<*mut enclave_outcome_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        let out = required(outcome, "outcome")?;
        out.write(std::ptr::null_mut());
        let execution = &required(execution, "execution")?.0;
        let outcome = match time_to_wait(timeout_ms) {
            None => Some(execution.wait()?),
            Some(time) => execution.wait_timeout(time)?,
        };
        if let Some(outcome) = outcome {
            out.write(Box::into_raw(Box::new(enclave_outcome_t::new(outcome))));
        }
        Ok(())
    })
}

/// Cancels the execution and returns immediately. A waiting execution is CANCELLED right away, a running one as soon as
/// its worker can be stopped; one that is done stays as it is. It may be called any number of times, also from
/// callbacks. INVALID_ARGUMENT: NULL. FORKED.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_execution_cancel(
    execution: Option<&enclave_execution_t>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || required(execution, "execution")?.0.cancel())
}
