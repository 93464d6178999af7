//! What happens where the engine cannot go on without memory.
//!
//! Some of its allocations have no way to fail (the compiler of regular expressions has many): there it ends the
//! process, through one function. The linker leads its calls here (`--wrap`, see `build.rs`). The thread cannot
//! return, but nothing else is wrong: the refused request was the engine's own, on a worker's thread, and no garbage
//! was being collected, for then nothing is refused. So the execution ends with MEMORY_LIMIT, the pool goes on with
//! another worker, and this thread sleeps for ever with what it holds. The pool bounds how many may.

use std::ffi::c_char;

use mozjs::context::JSContext;
use mozjs::rust::Runtime;

use super::isolate::State;
use super::memory;

/// Takes the place of `js::AutoEnterOOMUnsafeRegion::crash_impl(const char*)`.
#[unsafe(export_name = "__wrap__ZN2js24AutoEnterOOMUnsafeRegion10crash_implEPKc")]
unsafe extern "C" fn out_of_memory_where_that_cannot_be(_reason: *const c_char) -> ! {
    out_of_memory()
}

/// Ends the execution on this thread, which cannot go on.
pub(super) fn out_of_memory() -> ! {
    // From here on nothing is the engine's, and nothing is refused.
    std::mem::forget(memory::on(memory::Side::Host));
    if let Some(cx) = Runtime::get() {
        // SAFETY: this thread's live context, looked at for its private pointer only.
        let cx = unsafe { JSContext::from_ptr(cx) };
        if State::of(&cx).lose() {
            loop {
                std::thread::park();
            }
        }
    }
    // Not in an execution: then no limit has caused it.
    std::process::abort()
}
