//! Memory for matching regular expressions. A match that may have to go back keeps its places on a stack, and the
//! engine cannot do without the memory for a larger one: a thread that found none would be lost (see
//! [`crash`](super::crash)). So the linker leads the call that grows the stack through here (`--wrap`, see `build.rs`).
//! If there is no room the call fails, as it does for a stack above the engine's own bound.

use std::ffi::c_void;

use super::memory;

unsafe extern "C" {
    // Without the linker's flags nothing calls what calls this.
    #[link_name = "__real__ZN2v88internal6regexp5Stack14EnsureCapacityEm"]
    fn ensure_capacity(stack: *mut c_void, bytes: usize) -> usize;
}

/// Takes the place of `v8::internal::regexp::Stack::EnsureCapacity(size_t)`, which gives the top of the stack, or 0.
#[unsafe(export_name = "__wrap__ZN2v88internal6regexp5Stack14EnsureCapacityEm")]
unsafe extern "C" fn ensure_capacity_if_there_is_room(stack: *mut c_void, bytes: usize) -> usize {
    if let Some(ledger) = memory::current()
        && ledger.refuses(bytes)
    {
        // The engine reports too much recursion, which script could catch.
        ledger.refused();
        return 0;
    }
    // SAFETY: the arguments are passed on as they are.
    unsafe { ensure_capacity(stack, bytes) }
}
