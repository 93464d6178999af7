//! What a transition wants done outside of the pool's lock: waking, killing, publishing outcomes, calling the host.
//!
//! The host's code runs on the thread that made the transition, except for the supervisor's: it must never wait for
//! the host, so it hands such code to the notifier.

use std::sync::Arc;

use super::completer::Completer;
use super::delivery::{self, Notice};
use super::shared::Shared;
use super::state::Slot;
use super::stats::WorkerRecycled;
use super::tools::ExecutionHost;
use crate::contract::{Control, KillReason, Request};
use crate::error::Error;
use crate::execution::{ExecutionStats, Outcome};
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

impl Effects {
    /// An execution is to be stopped.
    pub(super) fn kill(&mut self, control: Option<&Arc<dyn Control>>, execution: u64, reason: KillReason) {
        if let Some(control) = control {
            self.kills.push(KillRequest { control: control.clone(), execution, reason });
        }
    }

    /// Does it all on this thread.
    pub(super) fn perform(self, shared: &Shared) {
        delivery::deliver(shared, self.act(shared));
    }

    /// Does it on this thread, but for the host's code, which the notifier gets.
    pub(super) fn perform_without_host(self, shared: &Shared) {
        self.act(shared).for_each(|notice| shared.notifier.post(notice));
    }

    /// Does all but what is for the host. The outcome of an execution is published when its notice is taken.
    fn act(self, shared: &Shared) -> impl Iterator<Item = Notice> {
        self.notify(shared);
        let Effects { ended, recycled, owed, .. } = self;
        let ended = ended.into_iter().map(|ended| {
            let Ended { completer, result, stats, host, request } = ended;
            let announcement = completer.complete(Outcome { result, stats, console: host.take_console() });
            Notice::Ended { announcement, host, request }
        });
        let recycled = recycled.into_iter().map(Notice::Recycled);
        ended.chain(recycled).chain((owed > 0).then_some(Notice::Settle(owed)))
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        let Effects { wake, poke, lifecycle, kills, abandoned, ended, recycled, owed: _, gone } = self;
        let none = wake.is_empty() && kills.is_empty() && abandoned.is_empty() && ended.is_empty();
        none && recycled.is_empty() && gone.is_empty() && !poke && !lifecycle
    }

    fn notify(&self, shared: &Shared) {
        self.wake.iter().for_each(|bell| bell.ring());
        if self.poke {
            shared.supervisor.notify_one();
        }
        if self.lifecycle {
            shared.lifecycle.notify_all();
        }
        for KillRequest { control, execution, reason } in &self.kills {
            control.kill(*execution, *reason);
        }
        self.abandoned.iter().for_each(|control| control.abandon());
    }
}
