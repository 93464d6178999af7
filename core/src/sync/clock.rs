//! What time it is: by the system's clock, or in a model by one that does what it is told.

#[cfg(not(loom))]
use std::time::{Duration, Instant};

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
