//! Calling the host's code, and knowing when we are inside it.
//!
//! The host's code runs on a pool's threads and, for what it caused itself (cancelling, shutting down), on its own.
//! There, a call that waits for the same pool could wait for itself, so such calls look here first. A pool's own
//! threads count as inside for all their life, because the host's code also runs there when one of its closures is
//! dropped.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::Error;

crate::sync::thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's macro does not take `const`")]
    /// The pools that this thread is inside of, innermost last.
    static INSIDE: RefCell<Vec<u64>> = RefCell::new(Vec::new());
}

/// Inside a pool until dropped.
pub(super) struct Inside(());

/// Enters a pool.
pub(super) fn enter(pool: u64) -> Inside {
    let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(pool));
    Inside(())
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

/// Whether this thread is inside this pool. A thread so near its end that it cannot tell says yes: better not to wait.
pub(super) fn is_inside(pool: u64) -> bool {
    INSIDE.try_with(|inside| inside.borrow().contains(&pool)).unwrap_or(true)
}

/// [`Error::InvalidState`] if a call that waits is made inside the pool.
pub(super) fn check_may_wait(pool: u64, call: &str, instead: &str) -> Result<(), Error> {
    if !is_inside(pool) {
        return Ok(());
    }
    Err(Error::InvalidState {
        message: format!("{call} was called in a callback of the pool, where it could wait for itself; {instead}"),
    })
}

/// Calls the host's code. Its panic ends here: the panic hook has reported it, and there is nobody to hand it to.
pub(super) fn call(pool: u64, code: impl FnOnce()) {
    let _inside = enter(pool);
    let _ = catch_unwind(AssertUnwindSafe(code));
}
