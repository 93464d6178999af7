//! A worker process, as its driver uses it.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::checks::{Done, Supervised, Trouble, credible};
use super::conversation::Conversation;
use super::reaped::{Reaped, describe};
use crate::contract::{Control, Host, Pause, RecycleReason, Report, Request, RestDue, Worker};
use crate::error::Error;
use crate::sandbox::{Group, Parts};
use crate::sync::Watch;
use crate::worker::frame::{self, Execute, FromWorker, ToWorker, Usage, ValuesLeft};

/// How long a worker may rest: it collects the garbage of one heap.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker process, in the hands of its driver.
pub(crate) struct ProcessWorker {
    // The process ends before its group is removed.
    pub(super) process: Reaped,
    /// None: no group was asked for; then, none could be had.
    pub(super) group: Option<Option<Group>>,
    pub(super) conversation: Conversation,
    pub(super) channel: Arc<Channel>,
    /// For what the worker says.
    pub(super) watch: Watch,
    pub(super) memory_limit: u64,
    pub(super) memory: u64,
    pub(super) rest_due: RestDue,
    pub(super) sandbox_missing: Parts,
}

impl Worker for ProcessWorker {
    fn control(&self) -> Arc<dyn Control> {
        self.channel.clone()
    }

    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason> {
        match self.conversation.is_quiet() {
            Ok(()) if self.channel.has_died() => return Err(RecycleReason::Crash),
            Ok(()) => {}
            Err(Trouble::Gone) => return Err(RecycleReason::Crash),
            Err(Trouble::Protocol(_)) => return Err(RecycleReason::Protocol),
            Err(Trouble::Limit(_)) => return Err(RecycleReason::ToolCallLimit),
        }
        self.channel.begin(request.id, request.limits.max_pending_bytes);
        self.conversation.push(frame::encode(&ToWorker::Execute(Execute::new(request))));
        let cpu_start = self.channel.cpu_time().unwrap_or_default();
        let mut execution = Supervised::new(request, host, self.memory_limit, cpu_start);
        let end = self.converse(&mut execution);
        self.channel.end();
        Ok(end.unwrap_or_else(|trouble| self.failed(trouble, &execution)))
    }

    fn rest(&mut self, pause: Pause) {
        let idle = pause == Pause::Long;
        if self.rest_due.at_once || (idle && self.rest_due.when_idle) {
            self.rest_due = RestDue::default();
            self.conversation.push(frame::encode(&ToWorker::Rest { idle }));
            match self.hear_of_rest() {
                Ok(memory) => self.memory = credible(memory, self.memory_limit),
                // The next execution finds it dead.
                Err(_) => drop(self.process.end()),
            }
        }
        self.conversation.incoming.shrink();
    }

    fn memory(&self) -> u64 {
        self.memory
    }

    fn sandbox_missing(&self) -> Parts {
        self.sandbox_missing
    }
}

impl ProcessWorker {
    /// Sends and receives until the execution has ended.
    fn converse(&mut self, execution: &mut Supervised) -> Result<Report, Trouble> {
        let mut died = false;
        loop {
            let frames = self.channel.take_outbox()?;
            let more = !frames.is_empty();
            self.conversation.extend(frames);
            self.conversation.transfer()?;
            self.channel.give_back(std::mem::take(&mut self.conversation.answered));
            while let Some(bytes) = self.conversation.incoming.frame()? {
                let frame = frame::decode(bytes, ValuesLeft::of_worker(execution.request.max_message_size))?;
                if let Some(Done { report, memory, rest_due }) = execution.handle(frame, &self.channel)? {
                    self.memory = memory;
                    self.rest_due = rest_due;
                    return Ok(report);
                }
            }
            // All that it had said has been read: its sockets may live on in a fork of ours.
            if died {
                return Err(Trouble::Gone);
            }
            if !more && self.watch.until(|| self.conversation.has_come() || self.channel.calls()) {
                continue;
            }
            // Nothing is waited for while there may be something to do.
            if !more && self.channel.may_sleep() {
                died = self.conversation.wait(&self.channel, None);
                self.channel.awake();
            }
        }
    }

    /// Waits until the worker has rested.
    fn hear_of_rest(&mut self) -> Result<u64, Trouble> {
        let until = Instant::now() + REST_TIMEOUT;
        let mut died = false;
        loop {
            self.conversation.transfer()?;
            if let Some(bytes) = self.conversation.incoming.frame()? {
                return match frame::decode(bytes, ValuesLeft::of_worker(0))? {
                    FromWorker::Rested(memory) => Ok(memory),
                    _ => Err(Trouble::Protocol("it said something else than that it has rested".into())),
                };
            }
            if died || Instant::now() >= until {
                return Err(Trouble::Gone);
            }
            died = self.conversation.wait(&self.channel, Some(until));
        }
    }

    /// The report of an execution whose worker is of no use any more.
    fn failed(&mut self, trouble: Trouble, execution: &Supervised) -> Report {
        let used = self.channel.cpu_time().unwrap_or_default().saturating_sub(execution.cpu_start);
        let status = self.process.end();
        let signal = status.and_then(|status| status.signal());
        let out_of_memory = self.group.iter().flatten().any(Group::ran_out_of_memory);
        let (error, reason) = match trouble {
            Trouble::Protocol(what) => {
                let reason = format!("it broke the protocol: {what}");
                (Error::WorkerCrashed { reason, signal: None }, RecycleReason::Protocol)
            }
            // The worker itself would have ended it in time; or an answer was too much.
            Trouble::Limit(error) => (error, RecycleReason::ToolCallLimit),
            Trouble::Gone if out_of_memory => {
                let limit = self.memory_limit;
                (Error::MemoryLimit { used: limit, limit }, RecycleReason::MemoryLimit)
            }
            Trouble::Gone => {
                let what = match signal {
                    Some(libc::SIGSYS) => " (a system call that the sandbox forbids)",
                    Some(libc::SIGKILL) => " (not by us: it may be that the system ran out of memory)",
                    _ => "",
                };
                let reason = format!("its process ended: {}{what}", describe(status));
                (Error::WorkerCrashed { reason, signal }, RecycleReason::Crash)
            }
        };
        Report { result: Err(error), stats: execution.stats(Usage::default(), used), condemned: Some(reason) }
    }
}
