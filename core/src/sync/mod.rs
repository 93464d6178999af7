//! The primitives of synchronisation and time: those of `std`, or under `cfg(loom)` those of loom, whose model checker
//! tries every interleaving of the pool's threads (see `pool/tests/loom.rs`).
//!
//! Ownership (`Arc`) and plain counters are always those of `std`: they order nothing here. Locks are never poisoned:
//! what a lock guards is changed only by code that does not panic half-way, and foreign code runs outside of locks.

mod bell;
mod clock;
#[cfg(not(loom))]
mod signals;
mod spawn;
mod watch;

use std::time::Instant;

pub(crate) use self::bell::Bell;
pub(crate) use self::clock::now;
#[cfg(not(loom))]
pub(crate) use self::clock::read_clock;
#[cfg(loom)]
pub(crate) use self::clock::{advance, reset};
#[cfg(not(loom))]
pub(crate) use self::signals::block_signals;
#[cfg(all(test, not(loom)))]
pub(crate) use self::spawn::shortage;
pub(crate) use self::spawn::spawn;
pub(crate) use self::watch::{Watch, cores};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(loom)]
pub(crate) use loom::thread::JoinHandle;
#[cfg(loom)]
pub(crate) use loom::thread_local;
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::thread::JoinHandle;
#[cfg(not(loom))]
pub(crate) use std::thread_local;

/// Locks, whether or not a thread has panicked with the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits until notified or until `until` has come; it may also return for no reason.
pub(crate) fn wait_until<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    until: Option<Instant>,
) -> MutexGuard<'a, T> {
    match until {
        None => changed.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner()),
        Some(until) => {
            let left = until.saturating_duration_since(now());
            changed.wait_timeout(guard, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0
        }
    }
}
