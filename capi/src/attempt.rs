//! What can fail: every failure becomes a status, and an error of its own for whoever wants it.

use std::mem::MaybeUninit;

use enclave_core::{Error, Status};

use crate::boundary::{caught, guard};
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;

/// Runs the body of an exported function that can fail: gives its status, and the error to whoever wants it.
pub(crate) fn attempt(
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
    body: impl FnOnce() -> Result<(), Error>,
) -> enclave_status_t {
    let result = caught(body);
    let status = result.as_ref().err().map_or(Status::Ok, Error::status);
    if let Some(error) = error {
        let made = guard(None, || result.err().map(|error| Box::new(enclave_error_t::new(error))));
        error.write(made.map_or(std::ptr::null_mut(), Box::into_raw));
    }
    status.code()
}

/// Like [`attempt`] for a function that makes something: gives it, or NULL and the error.
pub(crate) fn make<T>(
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
    body: impl FnOnce() -> Result<T, Error>,
) -> Option<Box<T>> {
    let mut made = None;
    attempt(error, || body().map(|new| made = Some(Box::new(new))));
    made
}
