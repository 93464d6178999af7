//! The primitives of synchronisation and time: those of `std`, or under `cfg(loom)` those of loom, whose model checker
//! tries every interleaving of the pool's threads (see `pool/loom.rs`).
//!
//! Ownership (`Arc`) and plain counters are always those of `std`: they order nothing here. Locks are never poisoned:
//! what a lock guards is changed only by code that does not panic half-way, and foreign code runs outside of locks.

use std::io;
use std::time::Instant;

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

/// Starts a thread that leaves asynchronous signals to the host's threads.
pub(crate) fn spawn(
    name: String,
    stack_size: usize,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    #[cfg(not(loom))]
    {
        // Blocked by the parent, so that the thread never runs without; the parent gets its own mask back at once.
        let _blocked = signals::Blocked::new();
        std::thread::Builder::new().name(name).stack_size(stack_size).spawn(run)
    }
    #[cfg(loom)]
    {
        let _ = (name, stack_size);
        loom::thread::Builder::new().spawn(run)
    }
}

/// What time it is. Under loom it stands still until [`advance`].
#[cfg(not(loom))]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(loom)]
pub(crate) use model_clock::{advance, now, reset};

/// A clock that does what it is told: branches of a model must not depend on real time.
#[cfg(loom)]
mod model_clock {
    use std::cell::Cell;
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    static START: OnceLock<Instant> = OnceLock::new();
    // All threads of a model run on one thread of the system, so this is one clock for each model.
    std::thread_local!(static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) });

    pub(crate) fn now() -> Instant {
        *START.get_or_init(Instant::now) + ELAPSED.get()
    }

    pub(crate) fn advance(time: Duration) {
        ELAPSED.set(ELAPSED.get() + time);
    }

    pub(crate) fn reset() {
        ELAPSED.set(Duration::ZERO);
    }
}

#[cfg(not(loom))]
pub(crate) use signals::block_signals;

#[cfg(not(loom))]
mod signals {
    use std::marker::PhantomData;
    use std::mem::MaybeUninit;

    /// Signals that stay as they are: those that a thread's own instructions raise, and SIGPROF, so that the host's
    /// profiler sees our threads too.
    const KEPT: [libc::c_int; 8] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGABRT,
        libc::SIGPROF,
    ];

    /// Blocks asynchronous signals on this thread, for good: the host's handlers run on the host's threads.
    pub(crate) fn block_signals() {
        std::mem::forget(Blocked::new());
    }

    /// Asynchronous signals are blocked on this thread until this is dropped on it.
    pub(super) struct Blocked {
        before: Option<libc::sigset_t>,
        /// It belongs to its thread.
        _thread: PhantomData<*const ()>,
    }

    impl Blocked {
        pub(super) fn new() -> Self {
            let mut blocked = MaybeUninit::uninit();
            // SAFETY: sigfillset initialises the set that it is given.
            let blocked = unsafe {
                libc::sigfillset(blocked.as_mut_ptr());
                for signal in KEPT {
                    libc::sigdelset(blocked.as_mut_ptr(), signal);
                }
                blocked.assume_init()
            };
            let mut before = MaybeUninit::uninit();
            // SAFETY: both sets are valid for the call; it changes this thread's mask only.
            let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, before.as_mut_ptr()) } != 0;
            // SAFETY: the call succeeded, so it has written the mask.
            Blocked { before: (!failed).then(|| unsafe { before.assume_init() }), _thread: PhantomData }
        }
    }

    impl Drop for Blocked {
        fn drop(&mut self) {
            if let Some(before) = &self.before {
                // SAFETY: `before` is what pthread_sigmask has given; the null says that the mask now is not wanted.
                unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
            }
        }
    }
}
