//! What a pool and its workers say to each other: what a worker is asked to do ([`Request`]), what a pool may ask of
//! any worker ([`Launcher`], [`Worker`], [`Control`]), what an execution may ask of its pool meanwhile ([`Host`]), and
//! what a worker says at the end ([`Report`]).
//!
//! It stands below both, so that neither knows the other: the engine ends an execution for a [`KillReason`] without
//! knowing what a pool is, and a pool is tested with workers that have no engine. The messages are plain data, without an
//! engine's type or a pointer into a worker, so that a worker may live in another process.
//!
//! A worker is driven by one thread of its own (the *driver*), which starts it, hands it executions and drops it.
//! Everybody else reaches it through its [`Control`], which may be used from any thread at any time, also when the
//! worker is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::closed::closed;
use crate::config::ExecutionLimits;
use crate::error::Error;
use crate::execution::{ConsoleLine, ExecutionStats, SourceKind, ToolCall};
use crate::sandbox::Parts;
use crate::value::Value;

/// What a worker is asked to do: one execution with everything it needs.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Unique in the pool; grows with every submission.
    pub id: u64,
    pub source: Arc<str>,
    /// It will come again: the compiled source is worth keeping at once.
    pub compiled: bool,
    /// It is not to be run.
    pub only_compile: bool,
    pub kind: SourceKind,
    pub filename: Arc<str>,
    pub globals: Arc<[(String, Value)]>,
    pub limits: Arc<ExecutionLimits>,
    /// Names of the methods of the global `tools`.
    pub tools: Arc<[String]>,
    pub max_message_size: u64,
    pub max_messages_per_second: u32,
    pub max_pending_tool_calls: u32,
}

closed! {
    /// Why a worker was replaced or stopped.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum RecycleReason: i32, "recycle reason" {
        /// It has served `max_executions_per_worker`.
        MaxExecutions = 0 "max_executions",
        /// It was idle for `idle_timeout` and the pool had more than `min_workers`.
        Idle = 1 "idle",
        /// An execution passed its wall-clock limit.
        Timeout = 2 "timeout",
        /// An execution passed its CPU limit.
        CpuLimit = 3 "cpu_limit",
        /// An execution passed the memory limit.
        MemoryLimit = 4 "memory_limit",
        /// An execution passed its console limit.
        ConsoleLimit = 5 "console_limit",
        /// An execution passed its tool call limit.
        ToolCallLimit = 6 "tool_call_limit",
        /// An execution sent too many messages.
        MessageFlood = 7 "message_flood",
        /// A running execution was cancelled.
        Cancelled = 8 "cancelled",
        /// It did not stop when told to, and was set aside.
        Unresponsive = 9 "unresponsive",
        /// It crashed.
        Crash = 10 "crash",
        /// It broke the protocol between worker and pool.
        Protocol = 11 "protocol",
        /// A bug of this library was caught in it.
        Internal = 12 "internal",
        /// The pool shut down.
        Shutdown = 13 "shutdown",
    }
}

impl RecycleReason {
    /// The reason to recycle a worker whose execution was ended with this error; none where a worker is kept after it, or
    /// never gives it.
    #[cfg(not(loom))]
    pub(crate) fn of(error: &Error) -> Option<RecycleReason> {
        match error {
            Error::Timeout { .. } => Some(RecycleReason::Timeout),
            Error::CpuLimit { .. } => Some(RecycleReason::CpuLimit),
            Error::MemoryLimit { .. } => Some(RecycleReason::MemoryLimit),
            Error::ConsoleLimit { .. } => Some(RecycleReason::ConsoleLimit),
            Error::ToolCallLimit { .. } => Some(RecycleReason::ToolCallLimit),
            Error::MessageFlood { .. } => Some(RecycleReason::MessageFlood),
            Error::Cancelled => Some(RecycleReason::Cancelled),
            Error::PoolClosed => Some(RecycleReason::Shutdown),
            Error::WorkerCrashed { .. } => Some(RecycleReason::Crash),
            Error::Internal { .. } => Some(RecycleReason::Internal),
            Error::Syntax(_)
            | Error::Exception(_)
            | Error::Unsettled
            | Error::ResultNotTransferable { .. }
            | Error::MessageTooLarge { .. } => None,
            Error::InvalidArgument { .. }
            | Error::InvalidState { .. }
            | Error::Forked
            | Error::Unsupported { .. }
            | Error::QueueFull { .. }
            | Error::QueueTimeout { .. }
            | Error::WorkerStartup { .. } => None,
        }
    }
}

/// Makes workers of one kind.
pub(crate) trait Launcher: Send + Sync + 'static {
    type Worker: Worker;

    /// Whether workers of this kind enforce `memory_limit_per_worker` exactly in this program.
    fn memory_is_exact(&self) -> bool {
        true
    }

    /// Starts a worker; called on the thread that will drive it.
    fn launch(&self, worker_id: u64) -> Result<Self::Worker, Error>;
}

/// A worker, in the hands of its driver.
pub(crate) trait Worker {
    /// The handle for everybody else.
    fn control(&self) -> Arc<dyn Control>;

    /// Runs one execution to its end. An error says that nothing of it was run, because the worker is no longer usable,
    /// and why.
    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason>;

    /// Housekeeping (collecting garbage, making ready for the next execution), called after the outcome has been delivered.
    fn rest(&mut self, pause: Pause);

    /// Bytes that the worker holds now.
    fn memory(&self) -> u64;

    /// The parts of the sandbox that it lacks.
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

    /// CPU time of the worker's thread so far, or none if it is unknown. It takes no lock and does not wait: the pool
    /// calls it under its own lock.
    fn cpu_time(&self) -> Option<Duration>;

    /// Nothing is expected of the worker any more: end it by force, if that can be done.
    fn abandon(&self) {}

    /// Whether the worker has ended by itself. Like `cpu_time`, it does not wait.
    fn has_died(&self) -> bool {
        false
    }
}

/// Whether a worker should do housekeeping before its next execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestDue {
    /// Even if the next execution waits.
    pub at_once: bool,
    /// If nothing has come for a while.
    pub when_idle: bool,
}

closed! {
    /// Why somebody outside ends an execution.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum KillReason: u8, "kill reason" {
        Timeout = 1 "timeout",
        CpuLimit = 2 "cpu_limit",
        Cancelled = 3 "cancelled",
        Shutdown = 4 "shutdown",
    }
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
    /// Takes in what has arrived for the execution (answers to tool calls, a kill), after waiting for it at most until
    /// then. False if it arrives by itself.
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
