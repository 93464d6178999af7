//! What time does to a pool: deadlines, kills, what follows if a kill does not help, and shutdown. Part of [`State`].
//!
//! An execution that must end is *killed*: its worker's [`Control`] is asked to stop it, again and again until it has.
//! If the worker has not come back after a grace, the execution ends without it: the caller gets the outcome that the
//! kill has asked for, the worker is *set aside* and its place is free for another. When its driver returns at last,
//! it finds its worker set aside, and ends.
//!
//! [`State::tick`] does all that is due and then says when it wants to be called again. In between, a transition only
//! has to tell of what comes earlier ([`State::expect`]): with one timeout for all, that is the first execution after
//! a pause, and a busy pool wakes its supervisor about once per timeout.
//!
//! [`Control`]: crate::contract::Control

use std::time::Instant;

use super::effects::Effects;
use super::patience::{IDLE_CPU, Kill, Patience};
use super::slot::{Slot, Stage};
use super::state::{Phase, State};
use super::stats::WorkerRecycled;
use crate::contract::{KillReason, RecycleReason};
use crate::error::Error;
use crate::execution::ExecutionStats;

impl State {
    /// Ends an execution with CANCELLED: at once if it waits, through its worker if it runs.
    pub(super) fn cancel(&mut self, execution: u64, now: Instant, effects: &mut Effects) {
        if let Some((since, job)) = self.queue.remove(execution) {
            self.end_waiting(job, since, Error::Cancelled, now, effects);
            return;
        }
        let running = |slot: &Slot| matches!(&slot.stage, Stage::Executing(running) if running.id == execution);
        if let Some(worker) = self.workers.iter().find_map(|(id, slot)| running(slot).then_some(*id)) {
            self.kill(worker, KillReason::Cancelled, now, effects);
        }
    }

    /// Ends what waits longer than it may.
    pub(super) fn expire_queue(&mut self, now: Instant, effects: &mut Effects) {
        while self.queue.first_since().is_some_and(|since| since + self.rules.queue_timeout <= now)
            && let Some((since, job)) = self.queue.pop()
        {
            let waited = now.saturating_duration_since(since);
            self.end_waiting(job, since, Error::QueueTimeout { waited }, now, effects);
        }
    }

    /// Asks a worker to end its execution, unless that was done already: the first reason stays.
    fn kill(&mut self, worker: u64, reason: KillReason, now: Instant, effects: &mut Effects) {
        let Some(slot) = self.workers.get_mut(&worker) else { return };
        let Stage::Executing(running) = &mut slot.stage else { return };
        if running.kill.is_some() {
            return;
        }
        running.kill = Some(Kill::new(reason, slot.control.as_ref(), now));
        effects.kill(slot.control.as_ref(), running.id, reason);
        self.expect(now + Kill::SOONEST.min(self.rules.patience.kill), effects);
    }

    /// Stops admission, answers what waits, and lets what runs go on until `deadline`. An earlier deadline than that of
    /// a call before replaces it.
    pub(super) fn close(&mut self, deadline: Instant, now: Instant, effects: &mut Effects) {
        match &mut self.phase {
            Phase::Open => self.phase = Phase::Closing { deadline },
            Phase::Closing { deadline: before } => *before = deadline.min(*before),
            Phase::Closed => return,
        }
        self.end_all_waiting(&Error::PoolClosed, now, effects);
        for worker in std::mem::take(&mut self.idle) {
            self.recycle(worker, RecycleReason::Shutdown);
            effects.wake.push(self.workers[&worker].bell.clone());
        }
        // Workers whose thread was never made.
        for worker in std::mem::take(&mut self.start.wanted) {
            self.gone(worker, now, effects);
        }
        self.expect(deadline, effects);
        self.check_closed(effects);
    }

    /// Notices that the last worker has left.
    pub(super) fn check_closed(&mut self, effects: &mut Effects) {
        if matches!(self.phase, Phase::Closing { .. }) && self.census.live() + self.census.recycling == 0 {
            self.phase = Phase::Closed;
            effects.lifecycle = true;
        }
        if self.is_over() {
            self.poke(effects);
        }
    }

    /// Does all that is due, and sets the alarm for what is due next.
    pub(super) fn tick(&mut self, now: Instant, effects: &mut Effects) {
        self.expire_queue(now, effects);
        let workers: Vec<u64> = self.workers.keys().copied().collect();
        for worker in workers {
            self.look_at_worker(worker, now, effects);
        }
        self.reap_idle(now, effects);
        self.reap_dead(effects);
        self.balance(now, effects);
        self.alarm = self.next_alarm(now);
    }

    fn look_at_worker(&mut self, worker: u64, now: Instant, effects: &mut Effects) {
        let closing = match self.phase {
            Phase::Closing { deadline } => Some(deadline),
            _ => None,
        };
        let Some(slot) = self.workers.get_mut(&worker) else { return };
        match &mut slot.stage {
            Stage::Executing(running) => match &mut running.kill {
                None => {
                    let reason = if running.deadline <= now {
                        KillReason::Timeout
                    } else if running.cpu.is_over(slot.control.as_ref(), now) {
                        KillReason::CpuLimit
                    } else if closing.is_some_and(|deadline| deadline <= now) {
                        KillReason::Shutdown
                    } else {
                        return;
                    };
                    self.kill(worker, reason, now, effects);
                }
                Some(kill) if kill.is_ignored(self.rules.patience.kill, slot.control.as_ref(), now) => {
                    self.set_aside_executing(worker, now, effects);
                }
                Some(kill) => {
                    if kill.repeat(now) {
                        effects.kill(slot.control.as_ref(), running.id, kill.reason);
                    }
                }
            },
            Stage::SetAside(Some((execution, kill))) => {
                if kill.repeat(now) {
                    effects.kill(slot.control.as_ref(), *execution, kill.reason);
                }
            }
            Stage::SetAside(None) => {}
            Stage::Starting | Stage::Idle { .. } | Stage::Called | Stage::Resting | Stage::Recycling(_) => {
                if closing.is_some_and(|deadline| deadline + self.rules.patience.shutdown <= now) {
                    self.set_aside_closing(worker, now, effects);
                }
            }
        }
    }

    /// Ends an execution without its worker, which does not come back.
    fn set_aside_executing(&mut self, worker: u64, now: Instant, effects: &mut Effects) {
        let Some(Stage::Executing(running)) = self.enter(worker, Stage::SetAside(None)) else { return };
        let (Some(slot), Some(kill)) = (self.workers.get_mut(&worker), running.kill) else { return };
        slot.stage = Stage::SetAside(Some((running.id, kill)));
        effects.abandoned.extend(slot.control.clone());
        let (tool_calls, console_calls) = running.host.calls();
        let stats = ExecutionStats {
            run_time: now.saturating_duration_since(running.started),
            cpu_time: running.cpu.used(slot.control.as_ref()).unwrap_or_default(),
            peak_memory: slot.memory,
            tool_calls,
            console_calls,
            ..ExecutionStats::default()
        };
        let event = slot.recycled(worker, RecycleReason::Unresponsive, now);
        self.tell_recycled(event, effects);
        self.metrics.recycled(RecycleReason::Unresponsive);
        self.metrics.ran(stats.run_time);
        self.owe(effects);
        let error = kill.reason.error(&running.limits);
        self.end(running.into_ended(worker, Err(error), stats), effects);
    }

    /// Gives up waiting for a worker at the end of a shutdown.
    fn set_aside_closing(&mut self, worker: u64, now: Instant, effects: &mut Effects) {
        effects.abandoned.extend(self.workers.get(&worker).and_then(|slot| slot.control.clone()));
        let before = self.enter(worker, Stage::SetAside(None));
        let reason = match before {
            // It has never been a worker.
            None | Some(Stage::Starting) => return,
            // Counted already.
            Some(Stage::Recycling(reason)) => reason,
            Some(_) => {
                self.metrics.recycled(RecycleReason::Unresponsive);
                RecycleReason::Unresponsive
            }
        };
        if let Some(event) = self.workers.get(&worker).map(|slot| slot.recycled(worker, reason, now)) {
            self.tell_recycled(event, effects);
        }
    }

    /// The host is to be told of a worker whose driver cannot.
    pub(super) fn tell_recycled(&mut self, event: WorkerRecycled, effects: &mut Effects) {
        self.owe(effects);
        effects.recycled.push(event);
    }

    /// Stops workers that are beyond the minimum and were idle for too long.
    fn reap_idle(&mut self, now: Instant, effects: &mut Effects) {
        while self.census.live() > self.rules.min_workers
            && let Some(worker) = self.idle.front().copied()
            && self.idle_since(worker).is_some_and(|since| since + self.rules.idle_timeout <= now)
        {
            self.idle.pop_front();
            self.recycle(worker, RecycleReason::Idle);
            effects.wake.push(self.workers[&worker].bell.clone());
        }
    }

    /// Lets go of idle workers that have ended by themselves, or that work though nobody has asked them to.
    fn reap_dead(&mut self, effects: &mut Effects) {
        if self.rules.look_for_dead.is_none() {
            return;
        }
        for worker in self.idle.clone() {
            let Some(slot) = self.workers.get_mut(&worker) else { continue };
            let Some(control) = &slot.control else { continue };
            let reason = match control.cpu_time() {
                _ if control.has_died() => RecycleReason::Crash,
                Some(now) if now.saturating_sub(*slot.idle_cpu.get_or_insert(now)) > IDLE_CPU => {
                    RecycleReason::Protocol
                }
                _ => continue,
            };
            effects.wake.push(slot.bell.clone());
            self.idle.retain(|idle| *idle != worker);
            self.recycle(worker, reason);
        }
    }

    fn idle_since(&self, worker: u64) -> Option<Instant> {
        match self.workers.get(&worker)?.stage {
            Stage::Idle { idle_since } => Some(idle_since),
            _ => None,
        }
    }

    /// When something is due next; what is due by now has been done.
    fn next_alarm(&self, now: Instant) -> Option<Instant> {
        let Patience { kill: grace, shutdown, rest } = self.rules.patience;
        let workers = self.workers.values().filter_map(|slot| match &slot.stage {
            Stage::Executing(running) => {
                let set_aside = running.kill.map(|kill| kill.set_aside_at(grace));
                set_aside.into_iter().flatten().filter(|at| *at > now).chain([running.next_look()]).min()
            }
            Stage::SetAside(Some((_, kill))) => Some(kill.again),
            _ => None,
        });
        let closing = match self.phase {
            Phase::Closing { deadline } if now < deadline => Some(deadline),
            Phase::Closing { deadline } => Some(deadline + shutdown),
            _ => None,
        };
        let waiting = self.queue.first_since();
        let queue = waiting.map(|since| since + self.rules.queue_timeout);
        let overdue = waiting.filter(|_| self.census.resting > 0).map(|since| since + rest);
        let longest_idle = self.idle.front().filter(|_| self.census.live() > self.rules.min_workers);
        let idle = longest_idle.and_then(|worker| self.idle_since(*worker)).map(|at| at + self.rules.idle_timeout);
        let start = self.start.retry_at.filter(|_| self.is_open());
        let dead = self.rules.look_for_dead.filter(|_| self.census.live() > 0).map(|pause| now + pause);
        let pool = [closing, queue, overdue, idle, start, dead].into_iter().flatten();
        workers.chain(pool).filter(|at| *at > now).min()
    }
}
