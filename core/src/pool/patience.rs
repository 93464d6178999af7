//! How long things may take, and how we tell that they take too long: the pool's [`Patience`] with its workers, the
//! [`Kill`] of an execution, the [`CpuWatch`] over its CPU time. Like all of the state, it is told what time it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::{Control, KillReason};

/// How long the pool waits for things that should not take long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the kill until a worker that has not come back is set aside, if it has worked on meanwhile. One that could
    /// not, because the machine is busy or a callback waits, has [`STARVED`] times as long.
    pub kill: Duration,
    /// From the deadline of a shutdown until workers that tidy up, start or leave are set aside.
    pub shutdown: Duration,
    /// How long the first in the queue waits for a worker that tidies up before another is started.
    pub rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { kill: Duration::from_millis(30), shutdown: Duration::from_secs(1), rest: Duration::from_millis(10) }
    }
}

impl Patience {
    /// How long no worker is started after this many starts in a row have failed: 100 ms, doubled up to 10 s.
    pub(super) fn start_retry(&self, failures: u32) -> Duration {
        Duration::from_millis(100 << failures.saturating_sub(1).min(7)).min(Duration::from_secs(10))
    }
}

/// How many times as long as [`Patience::kill`] a worker has that could not work meanwhile.
const STARVED: u32 = 4;

/// CPU time that an idle worker may use: what is left to do after an outcome was told, on the slowest machine.
pub(super) const IDLE_CPU: Duration = Duration::from_millis(250);

/// A kill that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Kill {
    pub reason: KillReason,
    since: Instant,
    /// CPU time of the worker then.
    cpu: Option<Duration>,
    /// When to ask again.
    pub again: Instant,
}

impl Kill {
    pub(super) const SOONEST: Duration = Duration::from_millis(5);
    const LATEST: Duration = Duration::from_millis(250);

    pub(super) fn new(reason: KillReason, control: Option<&Arc<dyn Control>>, now: Instant) -> Self {
        let cpu = control.and_then(|control| control.cpu_time());
        Kill { reason, since: now, cpu, again: now + Kill::SOONEST }
    }

    /// Whether the worker has had time enough to stop.
    pub(super) fn is_ignored(&self, grace: Duration, control: Option<&Arc<dyn Control>>, now: Instant) -> bool {
        let worked = || {
            let cpu = control.and_then(|control| control.cpu_time()).unwrap_or_default();
            self.cpu.is_none_or(|before| cpu.saturating_sub(before) >= grace / 2)
        };
        self.since + grace * STARVED <= now || (self.since + grace <= now && worked())
    }

    /// Whether it is time to ask again. The pauses grow with the time that has passed: 5 ms at first, 250 ms after 2 s.
    pub(super) fn repeat(&mut self, now: Instant) -> bool {
        let due = self.again <= now;
        if due {
            let passed = now.saturating_duration_since(self.since);
            self.again = now + (passed / 8).clamp(Kill::SOONEST, Kill::LATEST);
        }
        due
    }

    /// When the worker may be set aside for it; which of the two, its CPU time says.
    pub(super) fn set_aside_at(&self, grace: Duration) -> [Instant; 2] {
        [self.since + grace, self.since + grace * STARVED]
    }
}

/// The CPU time of an execution.
pub(super) struct CpuWatch {
    /// What its worker had used before; none if it cannot be told.
    base: Option<Duration>,
    limit: Option<Duration>,
    /// The limit cannot be reached before.
    pub look_at: Option<Instant>,
}

impl CpuWatch {
    pub(super) fn new(base: Option<Duration>, limit: Option<Duration>, now: Instant) -> Self {
        // A thread uses at most as much CPU time as time passes.
        CpuWatch { base, limit, look_at: base.and(limit).map(|limit| now + limit) }
    }

    pub(super) fn used(&self, control: Option<&Arc<dyn Control>>) -> Option<Duration> {
        control?.cpu_time()?.checked_sub(self.base?)
    }

    /// Whether the limit is passed; looks if it may be.
    pub(super) fn is_over(&mut self, control: Option<&Arc<dyn Control>>, now: Instant) -> bool {
        let (Some(limit), Some(_)) = (self.limit, self.look_at.filter(|at| *at <= now)) else { return false };
        match self.used(control) {
            Some(used) if used >= limit => true,
            Some(used) => {
                self.look_at = Some(now + (limit - used).max(Duration::from_millis(1)));
                false
            }
            // The clock is gone, or went back: nothing to measure any more.
            None => {
                self.look_at = None;
                false
            }
        }
    }
}
