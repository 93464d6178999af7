//! The boundary itself: no panic crosses it, and every failure becomes a status and an error of its own.

use std::any::Any;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use enclave_core::{Error, Status};

use crate::error::enclave_error_t;
use crate::status::enclave_status_t;

/// Runs the body of an exported function that cannot fail; `fallback` is given after a panic.
///
/// Nothing that a panic has left half done can be seen afterwards: handles are changed in one step, and what core
/// shares between threads is guarded by core.
pub(crate) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Runs a body that can fail; a panic becomes an error like any other.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(internal(&*panic)))
}

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

/// Gives a new object to the caller through `out`, or NULL if there is none; `name` is the parameter's.
pub(crate) fn put<T>(
    out: Option<&mut MaybeUninit<*mut T>>,
    name: &str,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<(), Error> {
    let out = required(out, name)?;
    out.write(std::ptr::null_mut());
    out.write(Box::into_raw(Box::new(make()?)));
    Ok(())
}

/// A parameter that may not be NULL.
pub(crate) fn required<T>(parameter: Option<T>, name: &str) -> Result<T, Error> {
    parameter.ok_or_else(|| Error::invalid_argument(name, "is NULL"))
}

fn internal(panic: &(dyn Any + Send)) -> Error {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message.as_str(),
        _ => "a panic",
    };
    Error::Internal { message: message.to_owned() }
}
