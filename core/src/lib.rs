//! Runs untrusted JavaScript in a pool of isolated SpiderMonkey workers.
//!
//! A [`Pool`] has a bounded queue of executions and an autoscaling set of workers. Every [`Execution`] runs in a
//! fresh realm, under [`ExecutionLimits`] that script cannot lift, and ends in exactly one [`Outcome`]. Whatever
//! crosses the boundary is copied as a [`Value`].
//!
//! ```no_run
//! use enclave_core::{Pool, PoolConfig, Preset, Value};
//!
//! let pool = Pool::new(PoolConfig::preset(Preset::Standard))?;
//! assert_eq!(pool.run("1 + 1", Default::default())?, Value::Number(2.0));
//! # Ok::<(), enclave_core::Error>(())
//! ```
//!
//! Knowledge goes one way: `error`, `config`, `value`, `execution` <- `contract` <- `engine` <- `worker` <- `pool` <- this
//! facade. `scripts/check-levels` enforces that.

// Loom's models of the pool need no engine, so the crate is built without it then.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

mod closed;
mod config;
mod contract;
#[cfg(not(loom))]
mod engine;
mod error;
mod execution;
#[cfg(all(any(test, fuzzing), target_os = "linux", not(loom)))]
#[doc(hidden)]
pub mod fuzzing;
mod pending;
mod pool;
mod rate;
mod sandbox;
mod sync;
mod value;
mod worker;

pub use closed::UnknownName;
pub use config::{
    ExecutionLimits, Isolation, MAX_DURATION, MAX_MEMORY_LIMIT, MAX_MESSAGE_SIZE, MAX_QUEUE_SIZE, MAX_VALUE_DEPTH,
    MAX_WORKERS, MIN_MEMORY_LIMIT, PoolConfig, Preset,
};
pub use contract::RecycleReason;
#[cfg(not(loom))]
pub use engine::HostAllocator;
pub use error::{Error, LimitUnit, Message, ScriptError, Status};
pub use execution::{
    ConsoleHandler, ConsoleLevel, ConsoleLine, ExecutionOptions, ExecutionStats, Outcome, Script, Source, SourceKind,
    TOOL_NAME, ToolCall, ToolError, ToolHandler, ToolReply,
};
pub use num_bigint::BigInt;
pub use pool::{Execution, Histogram, Pool, PoolBuilder, PoolStats, WorkerCounts, WorkerRecycled};
pub use sandbox::SandboxPart;
pub use value::{ErrorValue, Value, cbor, json};

/// The body of the executable `enclave-worker`, which worker processes run.
#[cfg(all(target_os = "linux", not(loom)))]
#[doc(hidden)]
pub fn worker_main() -> ! {
    worker::serve::main(None)
}

/// The same for tests of the pool: before it executes a source, it gives it to `misbehave`, and executes what that
/// gives back.
#[cfg(all(target_os = "linux", not(loom)))]
#[doc(hidden)]
pub fn misbehaving_worker_main(misbehave: fn(&str, u64) -> Option<String>) -> ! {
    worker::serve::main(Some(misbehave))
}
