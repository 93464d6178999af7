//! [`Bell`]: waking a thread that waits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::{Condvar, MutexGuard, wait_until};

/// Wakes a thread that waits for a change of what a lock guards. Whoever makes the change holds the lock for it, and
/// rings afterwards, without the lock.
#[derive(Default)]
pub(crate) struct Bell {
    changed: Condvar,
    /// Rung since [`Bell::hush`].
    rung: AtomicBool,
    /// Threads that sleep; changed only with the lock.
    sleeping: AtomicUsize,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        // Whoever missed the change under the lock went to sleep before it was made, and so has been counted.
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }

    /// From here on [`Bell::rung`] is false until somebody rings. Call it with the lock.
    pub(crate) fn hush(&self) {
        self.rung.store(false, Ordering::Relaxed);
    }

    /// Whether somebody has rung; true means that the lock is worth taking.
    pub(crate) fn rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Sleeps until somebody rings or `until` has come; it may also return for no reason.
    pub(crate) fn sleep<'a, T>(&self, guard: MutexGuard<'a, T>, until: Option<Instant>) -> MutexGuard<'a, T> {
        self.sleeping.fetch_add(1, Ordering::Relaxed);
        let guard = wait_until(&self.changed, guard, until);
        self.sleeping.fetch_sub(1, Ordering::Relaxed);
        guard
    }
}
