//! A worker's place in the pool, and what is in it: the stage that the worker is at, the execution that it runs.
//!
//! # A worker's states
//!
//! ```text
//! Starting -> Resting <> Idle -> Called -> Executing -> Resting ...
//!     |          |         |        |          |   \
//!     v          +---------+--------+--------> |    +-> SetAside -> (ends when it can)
//! (start fails)                            Recycling -> (gone)
//! ```
//!
//! * *Starting*: its driver thread is to be made or launches the engine.
//! * *Idle*: its driver sleeps, and its id is in `idle`.
//! * *Called*: taken out of `idle` and notified; it will look at the queue.
//! * *Resting*: it tidies up and will then look at the queue. It does so after each execution, and once more after it has
//!   been idle for a moment.
//! * *Executing*: runs an execution, whose completer is here.
//! * *Recycling*: it will leave, and its driver knows or will know when it looks.
//! * *SetAside*: it did not come back in time, and counts no more.
//!
//! The first five are *live*; never more than `max_workers` are. Recycling workers count beside them, so that the
//! replacement need not wait for the old one to tidy up; never more than twice `max_workers` are live or recycling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::completer::Completer;
use super::patience::{CpuWatch, Kill};
use super::stats::{WorkerCounts, WorkerRecycled};
use super::tools::ExecutionHost;
use crate::config::ExecutionLimits;
use crate::contract::{Control, RecycleReason};
use crate::error::Error;
use crate::sync::{Bell, JoinHandle};

/// Starting workers.
#[derive(Default)]
pub(super) struct Start {
    /// Workers whose thread the supervisor is to make.
    pub wanted: Vec<u64>,
    /// Starts that have failed in a row.
    pub failures: u32,
    /// No start before then, unless nothing else can serve what waits.
    pub retry_at: Option<Instant>,
    /// The first error since the pool was made.
    pub first_error: Option<Error>,
}

pub(super) struct Slot {
    pub stage: Stage,
    pub made_at: Instant,
    pub executions: u64,
    /// Since when it has had nothing to do, if it rests only because of that.
    pub idle_before_rest: Option<Instant>,
    /// Its CPU time when it was first looked at since it is idle.
    pub idle_cpu: Option<Duration>,
    pub memory: u64,
    pub control: Option<Arc<dyn Control>>,
    /// Wakes its driver.
    pub bell: Arc<Bell>,
    pub thread: Option<JoinHandle<()>>,
}

pub(super) enum Stage {
    Starting,
    Idle {
        idle_since: Instant,
    },
    Called,
    Resting,
    Executing(Box<Running>),
    Recycling(RecycleReason),
    /// With the execution that it is stuck in.
    SetAside(Option<(u64, Kill)>),
}

/// An execution on a worker.
pub(super) struct Running {
    pub id: u64,
    pub completer: Completer,
    pub host: Arc<ExecutionHost>,
    pub limits: Arc<ExecutionLimits>,
    pub started: Instant,
    pub queue_wait: Duration,
    pub deadline: Instant,
    pub cpu: CpuWatch,
    pub kill: Option<Kill>,
}

/// How many workers are in each stage.
#[derive(Clone, Copy, Default)]
pub(super) struct Census {
    pub starting: usize,
    pub idle: usize,
    pub called: usize,
    pub resting: usize,
    pub executing: usize,
    pub recycling: usize,
    pub set_aside: usize,
    /// Workers whose thread sleeps for ever; they are no workers any more, but hold what they held.
    pub lost: usize,
}

impl Census {
    pub(super) fn of(&mut self, stage: &Stage) -> &mut usize {
        match stage {
            Stage::Starting => &mut self.starting,
            Stage::Idle { .. } => &mut self.idle,
            Stage::Called => &mut self.called,
            Stage::Resting => &mut self.resting,
            Stage::Executing(_) => &mut self.executing,
            Stage::Recycling(_) => &mut self.recycling,
            Stage::SetAside(_) => &mut self.set_aside,
        }
    }

    /// Workers that count against `max_workers`.
    pub(super) fn live(&self) -> usize {
        self.starting + self.idle + self.called + self.resting + self.executing
    }

    pub(super) fn counts(&self) -> WorkerCounts {
        WorkerCounts {
            starting: self.starting,
            idle: self.idle + self.called + self.resting,
            executing: self.executing,
            recycling: self.recycling,
            set_aside: self.set_aside + self.lost,
        }
    }
}

impl Running {
    /// When something may be due.
    pub(super) fn next_look(&self) -> Instant {
        match &self.kill {
            Some(kill) => kill.again,
            None => self.cpu.look_at.map_or(self.deadline, |at| at.min(self.deadline)),
        }
    }
}

impl Slot {
    pub(super) fn new(now: Instant) -> Self {
        Slot {
            stage: Stage::Starting,
            made_at: now,
            executions: 0,
            idle_before_rest: None,
            idle_cpu: None,
            memory: 0,
            control: None,
            bell: Arc::default(),
            thread: None,
        }
    }

    /// What there is to say of a worker that leaves.
    pub(super) fn recycled(&self, worker_id: u64, reason: RecycleReason, now: Instant) -> WorkerRecycled {
        let age = now.saturating_duration_since(self.made_at);
        WorkerRecycled { worker_id, reason, executions: self.executions, age }
    }
}
