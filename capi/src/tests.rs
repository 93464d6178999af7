//! What no C program can show: how the boundary takes a panic.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

use enclave_core::Error;

use crate::attempt::{attempt, make};
use crate::boundary::guard;
use crate::callback::Context;
use crate::error::{enclave_error_free, enclave_error_message, enclave_error_t};
use crate::status::{ENCLAVE_INTERNAL, ENCLAVE_INVALID_ARGUMENT, ENCLAVE_OK};
use crate::text::{ENCLAVE_NUL_TERMINATED, text};

fn message(error: *mut enclave_error_t) -> String {
    // SAFETY: `attempt` and `make` write NULL or an owned error.
    let error = unsafe { error.as_mut().map(|error| Box::from_raw(error)) };
    // SAFETY: the message has a NUL behind it and lives as long as the error.
    let message = unsafe { CStr::from_ptr(enclave_error_message(error.as_deref(), None)) };
    let message = message.to_str().unwrap().to_owned();
    enclave_error_free(error);
    message
}

#[test]
fn a_panic_becomes_internal_and_its_message_is_kept() {
    let mut error = MaybeUninit::uninit();
    assert_eq!(attempt(Some(&mut error), || panic!("number {}", 7)), ENCLAVE_INTERNAL);
    // SAFETY: `attempt` has written it.
    let message = message(unsafe { error.assume_init() });
    assert_eq!(message, "internal error in enclave, please report it: panic: number 7");
}

#[test]
fn a_panic_gives_the_fallback_where_there_is_no_status() {
    assert_eq!(guard(42, || panic!("lost")), 42);
    let mut error = MaybeUninit::uninit();
    assert!(make::<u8>(Some(&mut error), || panic!("lost")).is_none());
    // SAFETY: `make` has written it.
    assert!(message(unsafe { error.assume_init() }).ends_with("lost"));
}

#[test]
fn the_place_for_an_error_is_written_also_on_success() {
    let mut error = MaybeUninit::new(std::ptr::dangling_mut());
    assert_eq!(attempt(Some(&mut error), || Ok(())), ENCLAVE_OK);
    // SAFETY: it was initialised before.
    assert!(unsafe { error.assume_init() }.is_null());
}

#[test]
fn an_error_that_nobody_wants_still_has_its_status() {
    assert_eq!(attempt(None, || Err(Error::invalid_argument("x", "is wrong"))), ENCLAVE_INVALID_ARGUMENT);
}

#[test]
fn the_finalizer_runs_once_also_when_a_panic_drops_the_context() {
    unsafe extern "C" fn count(data: *mut c_void) {
        // SAFETY: the test gives a counter.
        unsafe { &*data.cast::<AtomicU32>() }.fetch_add(1, Ordering::SeqCst);
    }
    let finalized = AtomicU32::new(0);
    let data = std::ptr::from_ref(&finalized).cast_mut().cast();
    // SAFETY: the counter outlives the contexts.
    drop(unsafe { Context::new(data, Some(count)) });
    assert_eq!(finalized.load(Ordering::SeqCst), 1);
    // SAFETY: as above.
    let context = unsafe { Context::new(data, Some(count)) };
    guard((), move || {
        let _context = context;
        panic!("lost")
    });
    assert_eq!(finalized.load(Ordering::SeqCst), 2);
}

#[test]
fn text_that_is_not_utf8_is_refused_with_the_place() {
    let refused = |bytes: &[u8], len| {
        // SAFETY: the bytes end in a NUL and are at least as long as `len` says.
        unsafe { text(bytes.as_ptr().cast::<c_char>(), len, "source") }.unwrap_err().to_string()
    };
    assert_eq!(refused(b"ab\xffc\0", ENCLAVE_NUL_TERMINATED), "source is not valid UTF-8 at byte 2 (0xff)");
    assert_eq!(refused("ä\0".as_bytes(), 1), "source is not valid UTF-8 at byte 0 (0xc3)");
    assert_eq!(
        refused(b"\0", usize::MAX / 2 + 1),
        format!("source has a length of {}; accepted is at most {}", 1u64 << 63, i64::MAX)
    );
}
