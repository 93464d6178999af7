//! A worker: one isolated engine that runs executions one after the other. This module says what a pool may ask of
//! any worker; [`thread`] runs one on a thread of this process, `process` in a process of its own, whose body is
//! [`serve`].
//!
//! A worker is driven by one thread of its own (the *driver*), which starts it, hands it executions and drops it.
//! Everybody else reaches it through its [`Control`], which may be used from any thread at any time, also when the
//! worker is gone.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::ExecutionLimits;
use crate::error::Error;
use crate::execution::{ConsoleLine, ExecutionStats, Request, ToolCall};
use crate::sandbox::Parts;
use crate::value::Value;

#[cfg(all(target_os = "linux", not(loom)))]
mod frame;
#[cfg(all(any(test, fuzzing), target_os = "linux", not(loom)))]
pub(crate) mod fuzzing;
#[cfg(all(target_os = "linux", not(loom)))]
mod locate;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod process;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod serve;
#[cfg(not(loom))]
pub(crate) mod thread;

/// Why a worker was replaced or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum RecycleReason {
    /// It has served `max_executions_per_worker`.
    MaxExecutions = 0,
    /// It was idle for `idle_timeout` and the pool had more than `min_workers`.
    Idle = 1,
    /// An execution passed its wall-clock limit.
    Timeout = 2,
    /// An execution passed its CPU limit.
    CpuLimit = 3,
    /// An execution passed the memory limit.
    MemoryLimit = 4,
    /// An execution passed its console limit.
    ConsoleLimit = 5,
    /// An execution passed its tool call limit.
    ToolCallLimit = 6,
    /// An execution sent too many messages.
    MessageFlood = 7,
    /// A running execution was cancelled.
    Cancelled = 8,
    /// It did not stop when told to, and was set aside.
    Unresponsive = 9,
    /// It crashed.
    Crash = 10,
    /// It broke the protocol between worker and pool.
    Protocol = 11,
    /// A bug of this library was caught in it.
    Internal = 12,
    /// The pool shut down.
    Shutdown = 13,
}

impl RecycleReason {
    /// Every reason, in the order of its number.
    pub const ALL: [RecycleReason; 14] = [
        RecycleReason::MaxExecutions,
        RecycleReason::Idle,
        RecycleReason::Timeout,
        RecycleReason::CpuLimit,
        RecycleReason::MemoryLimit,
        RecycleReason::ConsoleLimit,
        RecycleReason::ToolCallLimit,
        RecycleReason::MessageFlood,
        RecycleReason::Cancelled,
        RecycleReason::Unresponsive,
        RecycleReason::Crash,
        RecycleReason::Protocol,
        RecycleReason::Internal,
        RecycleReason::Shutdown,
    ];

    /// The reason to recycle a worker whose execution was ended with this error.
    #[cfg(not(loom))]
    pub(crate) fn of(error: &Error) -> RecycleReason {
        match error {
            Error::Timeout { .. } => RecycleReason::Timeout,
            Error::CpuLimit { .. } => RecycleReason::CpuLimit,
            Error::MemoryLimit { .. } => RecycleReason::MemoryLimit,
            Error::ConsoleLimit { .. } => RecycleReason::ConsoleLimit,
            Error::ToolCallLimit { .. } => RecycleReason::ToolCallLimit,
            Error::MessageFlood { .. } => RecycleReason::MessageFlood,
            Error::Cancelled => RecycleReason::Cancelled,
            Error::PoolClosed => RecycleReason::Shutdown,
            Error::WorkerCrashed { .. } => RecycleReason::Crash,
            _ => RecycleReason::Internal,
        }
    }

    /// The name in lower case, such as `max_executions`.
    pub fn name(self) -> &'static str {
        match self {
            RecycleReason::MaxExecutions => "max_executions",
            RecycleReason::Idle => "idle",
            RecycleReason::Timeout => "timeout",
            RecycleReason::CpuLimit => "cpu_limit",
            RecycleReason::MemoryLimit => "memory_limit",
            RecycleReason::ConsoleLimit => "console_limit",
            RecycleReason::ToolCallLimit => "tool_call_limit",
            RecycleReason::MessageFlood => "message_flood",
            RecycleReason::Cancelled => "cancelled",
            RecycleReason::Unresponsive => "unresponsive",
            RecycleReason::Crash => "crash",
            RecycleReason::Protocol => "protocol",
            RecycleReason::Internal => "internal",
            RecycleReason::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for RecycleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Makes workers of one kind.
pub(crate) trait Launcher: Send + Sync + 'static {
    type Worker: Worker;

    /// Starts a worker; called on the thread that will drive it.
    fn launch(&self, worker_id: u64) -> Result<Self::Worker, Error>;
}

/// A worker, in the hands of its driver.
pub(crate) trait Worker {
    /// The handle for everybody else.
    fn control(&self) -> Arc<dyn Control>;

    /// Runs one execution to its end. An error says that nothing of it was run, because the worker is of no use any more,
    /// and why.
    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason>;

    /// Housekeeping (collecting garbage, making ready for the next execution), called after the outcome has been delivered.
    fn rest(&mut self, pause: Pause);

    /// Bytes that the worker holds now.
    fn memory(&self) -> u64;

    /// The parts of its sandbox that could not be had.
    fn sandbox_missing(&self) -> Parts {
        Parts::default()
    }
}

/// How much time a worker has for housekeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The next execution waits.
    None,
    /// Nothing waits, but something may come at any moment.
    Short,
    /// Nothing has come for a while.
    Long,
}

/// How others stop an execution on a worker.
pub(crate) trait Control: Send + Sync {
    /// Ends the execution with this id, if it is the one that runs, with the status of `reason`. Script cannot catch
    /// it. The first reason stays; a late call does nothing, and never hits another execution.
    ///
    /// It may be called again and again while the worker does not answer.
    fn kill(&self, execution_id: u64, reason: KillReason);

    /// CPU time of the worker's thread so far, or none if it cannot be told. It takes no lock and does not wait: the
    /// pool calls it under its own lock.
    fn cpu_time(&self) -> Option<Duration>;

    /// Nothing is expected of the worker any more: it is ended by force, if that can be done.
    fn abandon(&self) {}

    /// Whether the worker has ended by itself. Like `cpu_time`, it does not wait.
    fn has_died(&self) -> bool {
        false
    }
}

/// Why somebody outside ends an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum KillReason {
    Timeout = 1,
    CpuLimit = 2,
    Cancelled = 3,
    Shutdown = 4,
}

impl KillReason {
    /// The error of an execution with these limits that was ended so.
    pub(crate) fn error(self, limits: &ExecutionLimits) -> Error {
        match self {
            KillReason::Timeout => Error::Timeout { limit: limits.timeout },
            KillReason::CpuLimit => Error::CpuLimit { limit: limits.cpu_time_limit.unwrap_or_default() },
            KillReason::Cancelled => Error::Cancelled,
            KillReason::Shutdown => Error::PoolClosed,
        }
    }
}

/// What an execution asks of its host while it runs; called on the driver's thread.
pub(crate) trait Host {
    fn tool_call(&self, call: ToolCall);
    fn console(&self, line: ConsoleLine);
    /// Takes in what has come for the execution (answers to tool calls, a kill), after waiting for it at most until then.
    /// False if it comes by itself.
    fn receive(&self, _until: Option<Instant>) -> bool {
        false
    }
    /// The worker ends the execution with this report, but its thread cannot go on: it will sleep for ever.
    fn lost(&self, report: Report);
}

/// What a worker says of one execution. `stats` has all but the queue wait and the worker's id.
#[derive(Debug)]
pub(crate) struct Report {
    pub result: Result<Value, Error>,
    pub stats: ExecutionStats,
    /// Set if the worker must not be used again.
    pub condemned: Option<RecycleReason>,
}
