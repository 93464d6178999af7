//! The primitives of synchronisation and time: those of `std`, or under `cfg(loom)` those of loom, whose model checker
//! tries every interleaving of the pool's threads (see `pool/tests/loom.rs`).
//!
//! Ownership (`Arc`) and plain counters are always those of `std`: they order nothing here. Locks are never poisoned:
//! what a lock guards is changed only by code that does not panic half-way, and foreign code runs outside of locks.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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

/// How a thread is woken that waits for a change of what a lock guards. Whoever makes the change holds the lock for it, and
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

    /// From here on [`Bell::rung`] is false until somebody rings. To be called with the lock.
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

/// How long it is watched for what is to come before a thread sleeps: about what it costs to wake it.
const WATCH: Duration = Duration::from_micros(50);
/// Time of it in which the core is not offered to others.
const WATCH_ALONE: Duration = Duration::from_micros(5);
/// Vain watches in a row after which one in so many is tried.
const MAX_MISSES: u32 = 3;
const RETRY: u32 = 256;

/// Threads of this process that watch.
static WATCHING: AtomicUsize = AtomicUsize::new(0);

/// Whether to watch for a moment before sleeping, at one place where threads wait: to sleep and be woken costs more than
/// most small executions. It is done as long as it helps there, and by fewer threads than there are cores.
#[derive(Default)]
pub(crate) struct Watch {
    /// Times in a row that it did not help, or was not tried.
    misses: AtomicU32,
}

impl Watch {
    /// Watches until `ready`; false if that is not worth it, or was in vain.
    pub(crate) fn until(&self, mut ready: impl FnMut() -> bool) -> bool {
        if cfg!(loom) {
            return false;
        }
        let misses = self.misses.load(Ordering::Relaxed);
        let worth_it = misses <= MAX_MISSES || misses.is_multiple_of(RETRY);
        let seen = if worth_it { watch(&mut ready) } else { Seen::Not };
        self.misses.store(if seen == Seen::InTime { 0 } else { misses.wrapping_add(1) }, Ordering::Relaxed);
        seen != Seen::Not
    }
}

/// How many cores there are for this process. To find out takes system calls that a closed worker process cannot make, so
/// it is asked before.
pub(crate) fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Not,
    InTime,
    /// Others had the core meanwhile, for longer than it takes to be woken.
    Late,
}

fn watch(ready: &mut impl FnMut() -> bool) -> Seen {
    let admitted = WATCHING.fetch_add(1, Ordering::Relaxed) + 1 < cores();
    let mut seen = Seen::Not;
    if admitted {
        let start = Instant::now();
        loop {
            let elapsed = start.elapsed();
            if ready() {
                seen = if elapsed < WATCH { Seen::InTime } else { Seen::Late };
                break;
            }
            match elapsed {
                _ if elapsed >= WATCH => break,
                _ if elapsed >= WATCH_ALONE => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
    }
    WATCHING.fetch_sub(1, Ordering::Relaxed);
    seen
}

/// Starts a thread that leaves asynchronous signals to the host's threads.
pub(crate) fn spawn(
    name: String,
    stack_size: usize,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    #[cfg(not(loom))]
    {
        #[cfg(test)]
        let run = shortage::check(run)?;
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

/// For tests: has threads fail to be made, by the thread that asks for it and all that come from it.
#[cfg(all(test, not(loom)))]
pub(crate) mod shortage {
    use std::cell::RefCell;
    use std::io;
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    thread_local!(static PLAN: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) });

    #[derive(Default)]
    struct Plan {
        asked: AtomicUsize,
        /// Which of those asked for are not made.
        refused: Mutex<Range<usize>>,
    }

    /// In force until it is dropped.
    pub(crate) struct Shortage(Arc<Plan>);

    impl Shortage {
        /// From now on, threads are counted from 0, and those of this range are not made.
        pub(crate) fn of(refused: Range<usize>) -> Shortage {
            let plan = Arc::new(Plan { refused: Mutex::new(refused), ..Plan::default() });
            PLAN.set(Some(plan.clone()));
            Shortage(plan)
        }

        /// All are refused, or none.
        pub(crate) fn refuse_all(&self, all: bool) {
            *super::lock(&self.0.refused) = 0..if all { usize::MAX } else { 0 };
        }
    }

    impl Drop for Shortage {
        fn drop(&mut self) {
            self.refuse_all(false);
            PLAN.set(None);
        }
    }

    /// What a new thread is to run, if it may be made.
    pub(super) fn check(run: impl FnOnce() + Send + 'static) -> io::Result<impl FnOnce() + Send + 'static> {
        let plan = PLAN.with_borrow(Clone::clone);
        if let Some(plan) = &plan {
            let place = plan.asked.fetch_add(1, Ordering::Relaxed);
            if super::lock(&plan.refused).contains(&place) {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
        }
        Ok(move || {
            PLAN.set(plan);
            run();
        })
    }
}

/// What time it is. Under loom it stands still until [`advance`].
#[cfg(not(loom))]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(not(loom))]
/// What a clock says, if there is such a clock.
pub(crate) fn read_clock(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place; an id of a clock that is gone gives an error.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) } != 0;
    (!failed).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
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
