//! What a transition wants done outside of the pool's lock (waking, killing, publishing outcomes, calling the host), and
//! what it tells the driver that made it. Data only: `perform` does it.

use std::sync::Arc;

use super::completer::{Announcement, Completer};
use super::slot::{Running, Slot};
use super::stats::WorkerRecycled;
use super::tools::ExecutionHost;
use crate::contract::{Control, KillReason, Pause, Request};
use crate::error::Error;
use crate::execution::ExecutionStats;
use crate::sync::Bell;
use crate::value::Value;

/// Things to do, in the order in which they are done.
#[derive(Default)]
pub(super) struct Effects {
    /// Drivers to wake.
    pub wake: Vec<Arc<Bell>>,
    /// The supervisor is to look.
    pub poke: bool,
    /// Whoever waits for the pool to start or to end is to look.
    pub lifecycle: bool,
    /// Executions to stop.
    pub kills: Vec<KillRequest>,
    /// Workers of which nothing is expected any more.
    pub abandoned: Vec<Arc<dyn Control>>,
    /// Executions that have ended.
    pub ended: Vec<Ended>,
    /// Workers to tell the host of.
    pub recycled: Vec<WorkerRecycled>,
    /// Deliveries among these that are counted in the state until they are made.
    pub owed: usize,
    /// Workers to drop.
    pub gone: Vec<Slot>,
}

/// A request to stop an execution.
pub(super) struct KillRequest {
    pub control: Arc<dyn Control>,
    pub execution: u64,
    pub reason: KillReason,
}

/// An execution that has ended, with what is to be dropped with it.
pub(super) struct Ended {
    pub completer: Completer,
    pub result: Result<Value, Error>,
    pub stats: ExecutionStats,
    pub host: Arc<ExecutionHost>,
    /// If no worker has it.
    pub request: Option<Request>,
}

impl Running {
    /// The execution has ended on this worker, which says so much of it.
    pub(super) fn into_ended(self, worker: u64, result: Result<Value, Error>, stats: ExecutionStats) -> Ended {
        let Running { id, completer, host, queue_wait, .. } = self;
        let stats = ExecutionStats { execution_id: id, worker_id: Some(worker), queue_wait, ..stats };
        Ended { completer, result, stats, host, request: None }
    }
}

/// Something that the host is to be told, or that follows when it has been.
pub(super) enum Notice {
    /// An execution has ended, with what is to be dropped after that.
    Ended { announcement: Announcement, host: Arc<ExecutionHost>, request: Option<Request> },
    /// A worker has left.
    Recycled(WorkerRecycled),
    /// So many deliveries that the state counts are made.
    Settle(usize),
}

/// An execution that waits.
pub(super) struct Job {
    pub request: Request,
    pub host: Arc<ExecutionHost>,
    pub completer: Completer,
}

/// What a driver is given to run.
pub(super) struct Assignment {
    pub request: Request,
    pub host: Arc<ExecutionHost>,
}

/// What a driver that looks for work finds.
pub(super) enum Next {
    Execute(Box<Assignment>),
    /// Nothing: wait to be notified, and look again.
    Wait,
    /// Nothing for so long that there is time for housekeeping: look again after it.
    Rest,
    /// The worker is to leave.
    Leave,
}

/// What a driver does after an execution.
pub(super) enum After {
    Rest(Pause),
    Leave,
}

impl Effects {
    /// An execution is to be stopped.
    pub(super) fn kill(&mut self, control: Option<&Arc<dyn Control>>, execution: u64, reason: KillReason) {
        if let Some(control) = control {
            self.kills.push(KillRequest { control: control.clone(), execution, reason });
        }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        let Effects { wake, poke, lifecycle, kills, abandoned, ended, recycled, owed: _, gone } = self;
        let none = wake.is_empty() && kills.is_empty() && abandoned.is_empty() && ended.is_empty();
        none && recycled.is_empty() && gone.is_empty() && !poke && !lifecycle
    }
}
