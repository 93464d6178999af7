//! [`Watch`]: looking for a moment before sleeping.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread watches before it sleeps: about what it costs to wake it.
const WATCH: Duration = Duration::from_micros(50);
/// How much of that time the thread keeps its core to itself.
const WATCH_ALONE: Duration = Duration::from_micros(5);
/// Failed watches in a row after which only one in so many is tried.
const MAX_MISSES: u32 = 3;
const RETRY: u32 = 256;

/// Threads of this process that watch.
static WATCHING: AtomicUsize = AtomicUsize::new(0);

/// Whether to watch for a moment before sleeping, at one place where threads wait. Sleeping and being woken costs more
/// than most small executions. Threads watch as long as it helps there, and fewer of them than there are cores.
#[derive(Default)]
pub(crate) struct Watch {
    /// How many times in a row watching did not help, or was not tried.
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

/// How many cores this process has. Finding out takes system calls that a closed worker process cannot make, so it is
/// asked before.
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
