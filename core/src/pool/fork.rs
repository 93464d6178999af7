//! Forked children. A child has none of the parent's threads, and locks that nobody will ever unlock: so there, every
//! call gives FORKED before it touches anything, and dropping a pool does nothing.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// True in a process that was forked, after a pool was made, from one where it was false, and in its children.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Marks children that are forked from now on.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    // SAFETY: the handler only stores to an atomic, which may be done in a forked child. The library is never
    // unloaded, so the handler stays where it is. Failure (no memory) leaves forks undetected, as before.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

unsafe extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether this is a forked child.
pub(super) fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// [`Error::Forked`] in a forked child.
pub(super) fn check() -> Result<(), Error> {
    if forked() { Err(Error::Forked) } else { Ok(()) }
}
