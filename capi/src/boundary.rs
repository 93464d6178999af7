//! The boundary itself: no panic crosses it.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use enclave_core::Error;

/// Runs the body of an exported function that cannot fail; `fallback` is given after a panic.
///
/// Nothing that a panic has left half done can be seen afterwards: handles are changed in one step, and what core
/// shares between threads is guarded by core.
pub(crate) fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Runs a body that can fail; a panic becomes an error like any other.
pub(crate) fn caught<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(Error::from_panic(&*panic)))
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
