//! What all threads of a pool share: the state under its lock, the ways to wait for it, and the host's callbacks.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::callback;
use super::effects::{Effects, Next, Notice};
use super::inbox::Inbox;
use super::patience::Patience;
use super::state::State;
use super::stats::{PoolStats, Traffic, WorkerRecycled};
use super::tools::Tools;
use crate::config::{ExecutionLimits, PoolConfig};
use crate::execution::ConsoleHandler;
use crate::sync::{Bell, Condvar, JoinHandle, Mutex, Watch, lock, now, wait_until};

/// Makes the thread that drives the worker with this id.
pub(super) type Spawn = Box<dyn Fn(&Arc<Shared>, u64) -> io::Result<JoinHandle<()>> + Send + Sync>;

/// The host's callbacks for the whole pool.
#[derive(Default)]
pub(super) struct Callbacks {
    pub worker_recycled: Option<Box<dyn Fn(&WorkerRecycled) + Send + Sync>>,
    pub stats_update: Option<Box<dyn Fn(&PoolStats) + Send + Sync>>,
    pub console: Option<ConsoleHandler>,
}

/// A worker that has waited for so long has time for housekeeping.
const REST_AFTER: Duration = Duration::from_millis(10);

/// A worker's driver, as one that waits.
pub(super) struct Waiting {
    pub id: u64,
    pub bell: Arc<Bell>,
    pub watch: Watch,
}

pub(super) struct Shared {
    /// Unique in the process.
    pub id: u64,
    pub config: PoolConfig,
    /// Those of `config`.
    pub limits: Arc<ExecutionLimits>,
    pub callbacks: Callbacks,
    pub tools: Mutex<Arc<Tools>>,
    pub traffic: Arc<Traffic>,
    pub state: Mutex<State>,
    /// The supervisor waits here, with the state's lock.
    pub supervisor: Condvar,
    /// Whoever waits for the pool to start or to end waits here, with the state's lock.
    pub lifecycle: Condvar,
    /// Of those who wait for outcomes.
    pub watch: Watch,
    /// For the notifier.
    pub notices: Inbox<Notice>,
    pub spawn: Spawn,
    /// Until shutdown joins it.
    pub supervisor_thread: Mutex<Option<JoinHandle<()>>>,
    /// Until shutdown joins it.
    pub notifier_thread: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    /// Makes a transition and does what follows from it.
    pub(super) fn update<R>(&self, transition: impl FnOnce(&mut State, Instant, &mut Effects) -> R) -> R {
        let (result, effects) = self.transition(transition);
        effects.perform(self);
        result
    }

    /// The same on the supervisor's thread.
    pub(super) fn update_without_host<R>(&self, transition: impl FnOnce(&mut State, Instant, &mut Effects) -> R) -> R {
        let (result, effects) = self.transition(transition);
        effects.perform_without_host(self);
        result
    }

    fn transition<R>(&self, transition: impl FnOnce(&mut State, Instant, &mut Effects) -> R) -> (R, Effects) {
        let mut effects = Effects::default();
        let mut state = lock(&self.state);
        // Asked under the lock, so that time never goes back from one transition to the next.
        let result = transition(&mut state, now(), &mut effects);
        (result, effects)
    }

    /// Waits until there is work for a worker, or it is to leave. Never gives [`Next::Wait`].
    /// With `may_rest` it gives [`Next::Rest`] when there was none for a while.
    pub(super) fn next(&self, worker: &Waiting, may_rest: bool, cpu_time: Option<Duration>) -> Next {
        let Waiting { id, bell, watch } = worker;
        let mut watched = false;
        let mut state = lock(&self.state);
        loop {
            let mut effects = Effects::default();
            match state.next(*id, cpu_time, now(), &mut effects) {
                Next::Wait if effects.is_empty() && watched => {
                    let rest_at = may_rest.then(|| now() + REST_AFTER);
                    state = bell.sleep(state, rest_at);
                    if rest_at.is_some_and(|at| at <= now()) && state.rest(*id) {
                        return Next::Rest;
                    }
                }
                next => {
                    bell.hush();
                    drop(state);
                    effects.perform(self);
                    if !matches!(next, Next::Wait) {
                        return next;
                    }
                    watch.until(|| bell.rung());
                    watched = true;
                    state = lock(&self.state);
                }
            }
        }
    }

    /// Waits until `ready` gives something, or `until` has come.
    pub(super) fn wait_lifecycle<R>(
        &self,
        until: Option<Instant>,
        mut ready: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let mut state = lock(&self.state);
        loop {
            if let Some(result) = ready(&mut state) {
                return Some(result);
            }
            if until.is_some_and(|until| until <= now()) {
                return None;
            }
            state = wait_until(&self.lifecycle, state, until);
        }
    }

    pub(super) fn tell_recycled(&self, event: &WorkerRecycled) {
        if let Some(worker_recycled) = &self.callbacks.worker_recycled {
            callback::call(self.id, || worker_recycled(event));
        }
    }

    /// As many of the deliveries that the state counts have been made.
    pub(super) fn settle(&self, deliveries: usize) {
        if deliveries > 0 {
            let mut state = lock(&self.state);
            state.owed -= deliveries;
            if state.owed == 0 && !state.is_open() {
                // The supervisor may be waiting for this to end.
                state.poked = true;
                self.supervisor.notify_one();
            }
            drop(state);
            self.lifecycle.notify_all();
        }
    }

    pub(super) fn patience(&self) -> Patience {
        lock(&self.state).rules.patience
    }

    pub(super) fn stats(&self) -> PoolStats {
        lock(&self.state).stats(now(), &self.traffic)
    }
}
