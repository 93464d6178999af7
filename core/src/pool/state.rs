//! The state of a pool and its transitions: pure, told what time it is, and always called under the pool's one lock.
//!
//! A transition changes the counts and lists what is to be done outside of the lock as [`Effects`]; it calls no foreign
//! code but [`Control::cpu_time`]. This file has the way of an execution through the stages of a worker ([`Stage`]) and the
//! way of a worker; `deadlines.rs` has what time does to them. It is one long file because its transitions must be
//! read together.
//!
//! # Why no wake-up is lost
//!
//! Every transition ends in [`State::balance`], which establishes: if more executions wait than workers are called,
//! nobody is idle; if more wait than workers are about to look at the queue, as many are starting as may at once. A worker
//! goes idle only in [`State::next`], under the same lock, after it found the queue empty. So an execution that waits
//! always has a worker that will look, or no worker may be had; and whatever changes that (a worker gone, a start that
//! failed, a back-off that is over) is a transition too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::effects::{After, Assignment, Effects, Ended, Job, Next};
use super::patience::{CpuWatch, Patience};
use super::queue::Queue;
use super::slot::{Census, Running, Slot, Stage, Start};
use super::stats::{Metrics, PoolStats, Traffic, WorkerRecycled};
use crate::config::{Isolation, PoolConfig};
use crate::contract::{Control, Pause, RecycleReason, Report};
use crate::error::Error;
use crate::execution::ExecutionStats;
use crate::sandbox::Parts;
use crate::sync::{JoinHandle, cores};

/// Workers set aside for each of `max_workers`, at which no worker is started any more.
const SET_ASIDE_PER_WORKER: usize = 2;

/// Workers that start at once, for each core. Starting is work; more of them at once would all be slow together, until
/// they seem not to start at all.
pub(super) const STARTS_PER_CORE: usize = 4;

/// Pause between two looks at idle worker processes; one that has died meanwhile is also noticed when it is needed.
const LOOK_FOR_DEAD: Duration = Duration::from_secs(1);

pub(super) struct State {
    pub(super) rules: Rules,
    pub(super) phase: Phase,
    pub(super) queue: Queue<Box<Job>>,
    pub(super) workers: BTreeMap<u64, Slot>,
    /// Idle workers, the longest idle first. The last is called first, so that those that are not needed stay idle.
    pub(super) idle: VecDeque<u64>,
    pub(super) census: Census,
    next_worker: u64,
    next_execution: u64,
    /// Whether `min_workers` are to be kept: from the start, or from the first submission.
    warm: bool,
    pub(super) start: Start,
    pub(super) metrics: Metrics,
    /// When the supervisor looks again at the latest; it waits for no later time.
    pub(super) alarm: Option<Instant>,
    /// The supervisor is to look now.
    pub(super) poked: bool,
    /// Outcomes and events that no worker delivers and that have not reached the host yet. Shutdown waits for them;
    /// for what a worker delivers, it waits with the worker.
    pub(super) owed: usize,
    /// Threads of workers that are gone, to be joined or forgotten.
    pub(super) ended_threads: Vec<JoinHandle<()>>,
    /// Workers whose thread sleeps for ever: nobody may wait for it. As many as may be set aside.
    lost: Vec<u64>,
}

/// What of the configuration matters here.
pub(super) struct Rules {
    pub min_workers: usize,
    pub max_workers: usize,
    /// Most workers that start at once; the rest wait for these.
    pub max_starting: usize,
    pub max_executions: u64,
    pub max_queue_size: usize,
    pub queue_timeout: Duration,
    pub idle_timeout: Duration,
    pub patience: Patience,
    /// How often idle workers are looked after that may end by themselves.
    pub look_for_dead: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Nothing is admitted; what runs may run until then.
    Closing {
        deadline: Instant,
    },
    /// No worker is left but those set aside.
    Closed,
}

impl State {
    pub(super) fn new(config: &PoolConfig, patience: Patience, now: Instant) -> Self {
        State {
            rules: Rules {
                min_workers: config.min_workers,
                max_workers: config.max_workers,
                max_starting: STARTS_PER_CORE * cores(),
                max_executions: config.max_executions_per_worker,
                max_queue_size: config.max_queue_size,
                queue_timeout: config.queue_timeout,
                idle_timeout: config.idle_timeout,
                patience,
                look_for_dead: (config.isolation == Isolation::Process).then_some(LOOK_FOR_DEAD),
            },
            phase: Phase::Open,
            queue: Queue::new(),
            workers: BTreeMap::new(),
            idle: VecDeque::new(),
            census: Census::default(),
            next_worker: 1,
            next_execution: 1,
            warm: false,
            start: Start::default(),
            metrics: Metrics::new(now, config.isolation),
            alarm: None,
            poked: false,
            owed: 0,
            ended_threads: Vec::new(),
            lost: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether all is over, also for the workers set aside and for what the notifier has to deliver.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Closed && self.workers.is_empty() && self.owed == 0
    }

    pub(super) fn stats(&self, now: Instant, traffic: &Traffic) -> PoolStats {
        self.metrics.snapshot(now, self.census.counts(), self.queue.len(), traffic)
    }

    /// The supervisor is to look at `at`, if not before.
    pub(super) fn expect(&mut self, at: Instant, effects: &mut Effects) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
            self.poke(effects);
        }
    }

    pub(super) fn poke(&mut self, effects: &mut Effects) {
        self.poked = true;
        effects.poke = true;
    }

    /// Moves a worker to a stage and returns the one that it was in. None if there is no such worker.
    pub(super) fn enter(&mut self, id: u64, stage: Stage) -> Option<Stage> {
        let slot = self.workers.get_mut(&id)?;
        *self.census.of(&stage) += 1;
        let before = std::mem::replace(&mut slot.stage, stage);
        *self.census.of(&before) -= 1;
        Some(before)
    }

    // The way of an execution.

    /// Admits an execution, or gives it back with the reason. Returns its id.
    pub(super) fn submit(
        &mut self,
        mut job: Box<Job>,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<u64, (Box<Job>, Error)> {
        let refusal = if !self.is_open() {
            Some(Error::PoolClosed)
        } else if self.census.live() == 0 && self.too_many_set_aside() {
            Some(self.all_stuck())
        } else if self.queue.len() >= self.rules.max_queue_size + self.free(now) {
            let retry_after = self.metrics.retry_after(self.census.executing).min(self.rules.queue_timeout);
            Some(Error::QueueFull { queue_size: self.queue.len(), retry_after })
        } else {
            None
        };
        if let Some(error) = refusal {
            self.metrics.ended::<()>(&Err(error.clone()));
            return Err((job, error));
        }
        let id = self.next_execution;
        self.next_execution += 1;
        job.request.id = id;
        self.queue.push(id, now, job);
        self.warm = true;
        self.expect(now + self.rules.queue_timeout, effects);
        self.balance(now, effects);
        Ok(id)
    }

    /// An execution was refused before it came here.
    pub(super) fn refused(&mut self, error: &Error) {
        self.metrics.ended::<()>(&Err(error.clone()));
    }

    /// The driver of an idle, called or resting worker looks for work. `cpu_time` is its worker's so far.
    pub(super) fn next(
        &mut self,
        worker: u64,
        cpu_time: Option<Duration>,
        now: Instant,
        effects: &mut Effects,
    ) -> Next {
        let Some(slot) = self.workers.get(&worker) else { return Next::Leave };
        match slot.stage {
            Stage::Called | Stage::Resting => {}
            Stage::Idle { .. } => return Next::Wait,
            _ => return Next::Leave,
        }
        if !self.is_open() {
            self.recycle(worker, RecycleReason::Shutdown);
            return Next::Leave;
        }
        self.expire_queue(now, effects);
        let next = match self.queue.pop() {
            Some((since, job)) => Next::Execute(self.assign(worker, job, since, cpu_time, now, effects)),
            None => {
                self.be_idle(worker, now);
                if self.census.live() > self.rules.min_workers {
                    self.expect(now + self.rules.idle_timeout, effects);
                }
                Next::Wait
            }
        };
        self.balance(now, effects);
        next
    }

    /// An idle worker takes the time for housekeeping; false if it has something else to do.
    pub(super) fn rest(&mut self, worker: u64) -> bool {
        let Some(slot) = self.workers.get_mut(&worker) else { return false };
        let Stage::Idle { idle_since } = slot.stage else { return false };
        slot.idle_before_rest = Some(idle_since);
        self.idle.retain(|idle| *idle != worker);
        self.enter(worker, Stage::Resting);
        true
    }

    /// A worker has nothing to do, since now or since before it rested.
    fn be_idle(&mut self, worker: u64, now: Instant) {
        let Some(slot) = self.workers.get_mut(&worker) else { return };
        let idle_since = slot.idle_before_rest.take().unwrap_or(now);
        slot.idle_cpu = None;
        let earlier =
            |id: &u64| !matches!(self.workers[id].stage, Stage::Idle { idle_since: other } if other > idle_since);
        let place = self.idle.iter().rposition(earlier).map_or(0, |last| last + 1);
        self.idle.insert(place, worker);
        self.enter(worker, Stage::Idle { idle_since });
    }

    fn assign(
        &mut self,
        worker: u64,
        job: Box<Job>,
        since: Instant,
        cpu_time: Option<Duration>,
        now: Instant,
        effects: &mut Effects,
    ) -> Box<Assignment> {
        let Job { request, host, completer } = *job;
        let limits = request.limits.clone();
        let running = Running {
            id: request.id,
            completer,
            host: host.clone(),
            started: now,
            queue_wait: now.saturating_duration_since(since),
            deadline: now + limits.timeout,
            cpu: CpuWatch::new(cpu_time, limits.cpu_time_limit, now),
            limits,
            kill: None,
        };
        self.metrics.waited(running.queue_wait);
        self.expect(running.next_look(), effects);
        self.enter(worker, Stage::Executing(Box::new(running)));
        if let Some(slot) = self.workers.get_mut(&worker) {
            slot.executions += 1;
            slot.idle_before_rest = None;
        }
        Box::new(Assignment { request, host })
    }

    /// A worker has run its execution, and holds `memory` bytes.
    pub(super) fn finish(
        &mut self,
        worker: u64,
        report: Report,
        memory: u64,
        now: Instant,
        effects: &mut Effects,
    ) -> After {
        let Some(slot) = self.workers.get_mut(&worker) else { return After::Leave };
        let (held, executions) = (std::mem::replace(&mut slot.memory, memory), slot.executions);
        self.metrics.memory(held, report.stats.peak_memory, memory);
        if !matches!(slot.stage, Stage::Executing(_)) {
            // Set aside meanwhile: the execution has its outcome.
            return After::Leave;
        }
        let worn_out = (executions >= self.rules.max_executions).then_some(RecycleReason::MaxExecutions);
        let closing = (!self.is_open()).then_some(RecycleReason::Shutdown);
        let reason = report.condemned.or(closing).or(worn_out);
        let after = match reason {
            Some(reason) => {
                self.metrics.recycled(reason);
                self.enter(worker, Stage::Recycling(reason))
            }
            None => self.enter(worker, Stage::Resting),
        };
        if let Some(Stage::Executing(running)) = after {
            self.metrics.ran(report.stats.run_time);
            self.end(running.into_ended(worker, report.result, report.stats), effects);
        }
        self.balance(now, effects);
        match reason {
            Some(_) => After::Leave,
            None => After::Rest(if self.queue.len() == 0 { Pause::Short } else { Pause::None }),
        }
    }

    /// A worker that is no longer usable gives back an execution of which nothing was run. The rest of the execution is
    /// returned, for the caller to drop outside the lock.
    pub(super) fn give_back(
        &mut self,
        worker: u64,
        assignment: Assignment,
        reason: RecycleReason,
        now: Instant,
        effects: &mut Effects,
    ) -> Option<Assignment> {
        let executions = match self.workers.get(&worker) {
            Some(Slot { stage: Stage::Executing(_), executions, .. }) => *executions,
            // Set aside meanwhile: the execution has its outcome.
            _ => return Some(assignment),
        };
        self.metrics.recycled(reason);
        let Some(Stage::Executing(running)) = self.enter(worker, Stage::Recycling(reason)) else {
            return Some(assignment);
        };
        if executions == 1 {
            // It had not served any: as if it had not started.
            let retry_at = now + self.rules.patience.start_retry(1);
            self.start.retry_at = Some(retry_at);
            self.expect(retry_at, effects);
        }
        let Running { id, completer, limits, started, queue_wait, kill, .. } = *running;
        let Assignment { request, host } = assignment;
        let since = started - queue_wait;
        let job = Box::new(Job { request, host, completer });
        match kill {
            Some(kill) => self.end_waiting(job, since, kill.reason.error(&limits), now, effects),
            None if !self.is_open() => self.end_waiting(job, since, Error::PoolClosed, now, effects),
            None => {
                self.queue.put_back(id, since, job);
                self.expect(since + self.rules.queue_timeout, effects);
            }
        }
        self.balance(now, effects);
        None
    }

    /// An execution has its outcome, to be published outside of the lock.
    pub(super) fn end(&mut self, ended: Ended, effects: &mut Effects) {
        self.metrics.ended(&ended.result);
        ended.host.end();
        effects.ended.push(ended);
    }

    /// An execution that waited ends without having run.
    pub(super) fn end_waiting(
        &mut self,
        job: Box<Job>,
        since: Instant,
        error: Error,
        now: Instant,
        effects: &mut Effects,
    ) {
        let queue_wait = now.saturating_duration_since(since);
        let stats = ExecutionStats { execution_id: job.request.id, queue_wait, ..Default::default() };
        let Job { request, host, completer } = *job;
        self.owe(effects);
        self.end(Ended { completer, result: Err(error), stats, host, request: Some(request) }, effects);
    }

    /// A delivery that no worker makes is in the effects.
    pub(super) fn owe(&mut self, effects: &mut Effects) {
        self.owed += 1;
        effects.owed += 1;
    }

    /// Everything that waits ends with this error.
    pub(super) fn end_all_waiting(&mut self, error: &Error, now: Instant, effects: &mut Effects) {
        while let Some((since, job)) = self.queue.pop() {
            self.end_waiting(job, since, error.clone(), now, effects);
        }
    }

    // The way of a worker.

    /// Starts keeping `min_workers`.
    pub(super) fn warm_up(&mut self, now: Instant, effects: &mut Effects) {
        self.warm = true;
        self.balance(now, effects);
    }

    /// Whether `min_workers` have started, or the error of one that could not.
    pub(super) fn warmed_up(&self) -> Option<Result<(), Error>> {
        match &self.start.first_error {
            Some(error) => Some(Err(error.clone())),
            None => (self.census.live() - self.census.starting >= self.rules.min_workers).then_some(Ok(())),
        }
    }

    /// Calls idle workers and starts new ones, as far as what waits asks for it and the rules allow it. Ends every
    /// transition that may change either.
    pub(super) fn balance(&mut self, now: Instant, effects: &mut Effects) {
        if !self.is_open() {
            self.check_closed(effects);
            return;
        }
        while self.queue.len() > self.census.called
            && let Some(worker) = self.idle.pop_back()
        {
            self.enter(worker, Stage::Called);
            effects.wake.push(self.workers[&worker].bell.clone());
        }
        loop {
            let too_few = self.warm && self.census.live() < self.rules.min_workers;
            let may_start = self.census.starting < self.rules.max_starting && self.startable(now) > 0;
            if !(too_few || self.queue.len() > self.coming(now)) || !may_start {
                break;
            }
            let id = self.next_worker;
            self.next_worker += 1;
            self.workers.insert(id, Slot::new(now));
            self.census.starting += 1;
            self.start.wanted.push(id);
            self.poke(effects);
        }
        if self.queue.len() > 0 && self.census.live() == 0 && self.too_many_set_aside() {
            self.end_all_waiting(&self.all_stuck(), now, effects);
        }
        // Those who rest may rest too long: look again then.
        if self.queue.len() > self.census.called + self.census.starting
            && self.census.resting > 0
            && let Some(since) = self.queue.first_since()
            && now < since + self.rules.patience.rest
            && self.startable(now) > 0
        {
            self.expect(since + self.rules.patience.rest, effects);
        }
    }

    /// Workers that will soon look at the queue. Those who rest count, unless the first has waited for them too long.
    fn coming(&self, now: Instant) -> usize {
        let overdue = self.queue.first_since().is_some_and(|since| since + self.rules.patience.rest <= now);
        self.census.called + self.census.starting + if overdue { 0 } else { self.census.resting }
    }

    /// Workers that could be started now.
    fn startable(&self, now: Instant) -> usize {
        let live = self.census.live();
        let backing_off = self.start.retry_at.is_some_and(|retry_at| now < retry_at);
        if self.too_many_set_aside() || (backing_off && (live > 0 || self.queue.len() == 0)) {
            return 0;
        }
        let max = self.rules.max_workers;
        (max - live).min((2 * max).saturating_sub(live + self.census.recycling))
    }

    /// Executions that could start at once, those included that wait for a worker that is about to take them.
    fn free(&self, now: Instant) -> usize {
        let census = &self.census;
        let startable = if census.live() == 0 { self.rules.max_workers } else { self.startable(now) };
        census.idle + census.called + census.resting + census.starting + startable
    }

    fn too_many_set_aside(&self) -> bool {
        self.census.set_aside + self.census.lost >= SET_ASIDE_PER_WORKER * self.rules.max_workers
    }

    fn all_stuck(&self) -> Error {
        let reason = format!(
            "{} workers are stuck in executions that do not stop or cannot end, and no more are started until some of them do",
            self.census.set_aside + self.census.lost
        );
        Error::WorkerCrashed { reason, signal: None }
    }

    /// The supervisor has made a worker's thread.
    pub(super) fn spawned(&mut self, worker: u64, thread: JoinHandle<()>) {
        match self.workers.get_mut(&worker) {
            Some(slot) => slot.thread = Some(thread),
            None if self.lost.contains(&worker) => {}
            None => self.ended_threads.push(thread),
        }
    }

    /// Takes the threads that are over, so that their handles do not gather.
    pub(super) fn take_finished_threads(&mut self) -> Vec<JoinHandle<()>> {
        #[cfg(not(loom))]
        return self.ended_threads.extract_if(.., |thread| thread.is_finished()).collect();
        #[cfg(loom)]
        return Vec::new();
    }

    /// A worker has started; its driver looks for work next.
    pub(super) fn started(
        &mut self,
        worker: u64,
        control: Arc<dyn Control>,
        memory: u64,
        sandbox_missing: Parts,
        now: Instant,
        effects: &mut Effects,
    ) {
        self.metrics.sandbox_missing.0 |= sandbox_missing.0;
        if let Some(pause) = self.rules.look_for_dead {
            self.expect(now + pause, effects);
        }
        self.start.failures = 0;
        self.start.retry_at = None;
        self.metrics.memory(0, memory, memory);
        if let Some(slot) = self.workers.get_mut(&worker) {
            slot.control = Some(control);
            slot.memory = memory;
            if matches!(slot.stage, Stage::Starting) {
                self.enter(worker, Stage::Resting);
            }
        }
        effects.lifecycle = true;
        // The next may start.
        self.balance(now, effects);
    }

    /// A worker could not be started. What waits for nobody else is answered.
    pub(super) fn start_failed(&mut self, worker: u64, error: Error, now: Instant, effects: &mut Effects) {
        effects.gone.extend(self.remove(worker));
        self.start.failures += 1;
        let retry_at = now + self.rules.patience.start_retry(self.start.failures);
        self.start.retry_at = Some(retry_at);
        if self.is_open() {
            self.expect(retry_at, effects);
        }
        if self.census.live() == 0 {
            self.end_all_waiting(&error, now, effects);
        }
        self.start.first_error.get_or_insert(error);
        effects.lifecycle = true;
        self.balance(now, effects);
    }

    /// Decides that a worker leaves; its driver sees it when it looks.
    pub(super) fn recycle(&mut self, worker: u64, reason: RecycleReason) {
        self.metrics.recycled(reason);
        self.enter(worker, Stage::Recycling(reason));
    }

    /// A worker has been stopped and is about to go: what there is to say of it.
    pub(super) fn leaving(&mut self, worker: u64, now: Instant) -> Option<WorkerRecycled> {
        let slot = self.workers.get_mut(&worker)?;
        self.metrics.memory(std::mem::take(&mut slot.memory), 0, 0);
        match slot.stage {
            Stage::Recycling(reason) => Some(slot.recycled(worker, reason, now)),
            _ => None,
        }
    }

    /// A worker ends its execution, but its thread will never come back.
    pub(super) fn lose(&mut self, worker: u64, report: Report, now: Instant, effects: &mut Effects) {
        if let Some(slot) = self.workers.get_mut(&worker) {
            slot.thread = None;
        }
        let Some(mut slot) = self.remove(worker) else { return };
        self.lost.push(worker);
        self.census.lost += 1;
        if let Stage::Executing(running) = std::mem::replace(&mut slot.stage, Stage::Starting) {
            self.metrics.ran(report.stats.run_time);
            let reason = report.condemned.unwrap_or(RecycleReason::Crash);
            self.metrics.recycled(reason);
            self.tell_recycled(slot.recycled(worker, reason, now), effects);
            self.owe(effects);
            self.end(running.into_ended(worker, report.result, report.stats), effects);
        }
        effects.gone.push(slot);
        self.balance(now, effects);
    }

    /// A worker's driver ends.
    pub(super) fn gone(&mut self, worker: u64, now: Instant, effects: &mut Effects) {
        let Some(mut slot) = self.remove(worker) else { return };
        if let Stage::Executing(running) = std::mem::replace(&mut slot.stage, Stage::Starting) {
            // Only a bug of ours leads here.
            let error = Error::Internal { message: "a worker ended in the middle of an execution".into() };
            self.metrics.recycled(RecycleReason::Internal);
            self.end(running.into_ended(worker, Err(error), ExecutionStats::default()), effects);
        }
        effects.gone.push(slot);
        self.balance(now, effects);
    }

    fn remove(&mut self, worker: u64) -> Option<Slot> {
        let mut slot = self.workers.remove(&worker)?;
        *self.census.of(&slot.stage) -= 1;
        self.metrics.memory(slot.memory, 0, 0);
        self.ended_threads.extend(slot.thread.take());
        if matches!(slot.stage, Stage::Idle { .. }) {
            self.idle.retain(|idle| *idle != worker);
        }
        Some(slot)
    }
}
