//! The caller's half of a callback: its data and the finalizer that takes the data back.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use enclave_core::Error;

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;

/// Takes back the `user_data` of a callback. It runs exactly once, when the library will not call the callback any
/// more, even if the registration has failed, and possibly on a thread of the library. NULL if there is nothing to take
/// back. It may not call functions that wait.
pub type enclave_finalizer_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The data of a callback. Dropping it runs the finalizer.
pub(crate) struct Context {
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
}

// SAFETY: the header demands that callbacks, their data and their finalizers may be used from any thread.
unsafe impl Send for Context {}
// SAFETY: as above; this side only hands the pointer on.
unsafe impl Sync for Context {}

impl Context {
    /// # Safety
    ///
    /// `finalizer` must take `user_data`, on any thread, and both must be good until it has run.
    pub(crate) unsafe fn new(user_data: *mut c_void, finalizer: enclave_finalizer_fn) -> Self {
        Context { user_data, finalizer }
    }

    pub(crate) fn user_data(&self) -> *mut c_void {
        self.user_data
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            // SAFETY: by the contract of `new`; this is the only call.
            guard((), || unsafe { finalizer(self.user_data) });
        }
    }
}

/// Registers a callback: makes a handler of it and hands that to `put`. If that fails, the finalizer of the context runs.
///
/// # Safety
///
/// `callback` must be good for the data of `context` on any thread, until the context's finalizer has run.
pub(crate) unsafe fn set_callback<C, H>(
    callback: Option<C>,
    context: Context,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
    handler: unsafe fn(C, Context) -> H,
    put: impl FnOnce(H) -> Result<(), Error>,
) -> enclave_status_t {
    attempt(error, || {
        let callback = required(callback, "callback")?;
        // SAFETY: by the contract of this function.
        let handler = unsafe { handler(callback, context) };
        put(handler)
    })
}
