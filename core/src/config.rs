//! What a pool is allowed to use: [`PoolConfig`], [`ExecutionLimits`] and the four [`Preset`] tables.
//!
//! The effective configuration is *defaults <- preset <- overrides*: start from [`PoolConfig::default`] or
//! [`PoolConfig::preset`], assign the fields that should differ, and hand it to the pool, which validates it.
//! Sizes are in bytes, times are [`Duration`]s. The worker counts, memory limits, execution counts, queue sizes
//! and message rates of the presets are the published ones of the Worker Pool this library succeeds.

use std::path::PathBuf;
use std::time::Duration;

use crate::closed::closed;
use crate::error::Error;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The smallest accepted [`PoolConfig::memory_limit_per_worker`]. Measured: with 4 MiB not even `1 + 1` runs (a realm at
/// rest takes 4.6), with 6 all attacks on memory end as they must. The rest is for scripts to do something in.
pub const MIN_MEMORY_LIMIT: u64 = 16 * MIB;
/// The largest accepted [`PoolConfig::memory_limit_per_worker`].
pub const MAX_MEMORY_LIMIT: u64 = 1024 * 1024 * MIB;
/// The largest accepted [`PoolConfig::max_workers`].
pub const MAX_WORKERS: usize = 1024;
/// The largest accepted [`PoolConfig::max_queue_size`].
pub const MAX_QUEUE_SIZE: usize = 10_000_000;
/// The largest accepted [`PoolConfig::max_message_size`]: the engine's own limit for a string.
pub const MAX_MESSAGE_SIZE: u64 = 1024 * MIB - 2;
/// The largest accepted [`ExecutionLimits::max_value_depth`]: every level costs native stack.
pub const MAX_VALUE_DEPTH: u32 = 512;
/// The longest accepted duration, 365 days: far enough, and never an overflow in clock arithmetic.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

closed! {
    /// A named table of settings, from the tightest to the loosest.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Preset: i32, "preset" {
        /// For code from strangers: 4 workers of 64 MiB, 5 s wall, 2 s CPU, no code generation, no clocks.
        Strict = 0 "strict",
        /// For untrusted code with a purpose: 8 workers of 128 MiB, 15 s wall, 10 s CPU.
        Secure = 1 "secure",
        /// For code of known origin: 16 workers of 256 MiB, 30 s wall.
        Standard = 2 "standard",
        /// For trusted code: 32 workers of 512 MiB, 60 s wall, `eval` allowed.
        Permissive = 3 "permissive",
    }
}

closed! {
    /// Where a worker runs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Isolation: i32, "isolation" {
        /// A thread of this process.
        Thread = 0 "thread",
        /// A child process that runs the executable `enclave-worker`, in a sandbox of the operating system.
        Process = 1 "process",
    }
}

/// How many workers a pool has and what they may use.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// Where workers run. Default, and in all presets: process.
    pub isolation: Isolation,
    /// Path of the executable `enclave-worker`, for process isolation. Default: none. The pool then looks for it in
    /// this order: the environment variable `ENCLAVE_WORKER`; beside the library or program that this is linked into;
    /// in `../libexec/enclave` from there; in `PATH`.
    pub worker_path: Option<PathBuf>,
    /// Refuse to make a pool if any part of the sandbox of process isolation is missing. Default false: the missing
    /// parts are in [`PoolStats::sandbox_missing`](crate::PoolStats::sandbox_missing).
    pub require_sandbox: bool,
    /// Refuse to make a pool if the filter of system calls (seccomp) is missing, the most important part of the
    /// sandbox. It does not concern threads. Default false; STRICT and SECURE true.
    pub require_seccomp: bool,
    /// A directory of cgroup v2 that is delegated to this process, with the controllers `memory` and `pids` enabled for
    /// its children. Every worker process gets a group of its own in it, with `memory.max` and `pids.max`. Default
    /// none.
    pub cgroup: Option<PathBuf>,
    /// Let worker processes compile scripts to machine code. Otherwise scripts are interpreted: that is slower, exposes
    /// less of the engine, and no memory of the process is ever executable and writable. Default true; STRICT false.
    /// Workers that are threads share one setting with all others and always compile.
    pub jit: bool,
    /// Workers kept warm, at least 0. Default 2 (or `max_workers`, where that is smaller and this is untouched);
    /// PERMISSIVE 4.
    pub min_workers: usize,
    /// Most workers at a time, 1 to 1024. Default: the number of CPUs; presets 4, 8, 16, 32.
    pub max_workers: usize,
    /// Bytes of memory one worker may hold, 16 MiB to 1 TiB. Default 128 MiB; presets 64, 128, 256, 512 MiB.
    pub memory_limit_per_worker: u64,
    /// Executions after which a worker is replaced, at least 1. Default 1000; presets 100, 500, 1000, 5000.
    pub max_executions_per_worker: u64,
    /// Most executions waiting for a worker; 0 refuses whatever cannot start at once. Default 100; presets 20, 50, 100, 500.
    pub max_queue_size: usize,
    /// Longest wait in the queue, more than 0. Default 30 s; presets 10, 20, 30, 60 s.
    pub queue_timeout: Duration,
    /// Messages (tool calls and console lines) an execution may send in a second, at least 1: a token bucket of
    /// this size, full at the start of every execution. Default 1000; presets 100, 500, 1000, 5000.
    pub max_messages_per_second: u32,
    /// Time after which an idle worker beyond `min_workers` is stopped, more than 0. Default 30 s; presets 15, 30, 30, 60 s.
    pub idle_timeout: Duration,
    /// Time that shutdown waits for running executions before it terminates them; 0 terminates them immediately.
    /// Default 5 s; presets 2, 3, 5, 10 s.
    pub graceful_shutdown_timeout: Duration,
    /// Most bytes in one source, result, tool argument, tool reply or console line, at least 1 KiB.
    /// Default 16 MiB; presets 1, 4, 16, 64 MiB.
    pub max_message_size: u64,
    /// Tool calls of one execution that may wait for their replies at a time. Default 100; presets 10, 50, 100, 1000.
    pub max_pending_tool_calls: u32,
    /// Start `min_workers` workers when the pool is made, and fail if one cannot start. Default true.
    pub warm_on_init: bool,
    /// Time between two calls of `on_stats_update`, at least 1 ms. Default 1 s.
    pub stats_interval: Duration,
    /// Limits of every execution that does not bring its own.
    pub limits: ExecutionLimits,
}

/// What one execution may use. A pool has limits for all executions; an execution may override them.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionLimits {
    /// Wall-clock time from the start on a worker (waiting in the queue not counted), more than 0. Presets 5, 15, 30, 60 s.
    pub timeout: Duration,
    /// CPU time of the worker's thread. Each wait for a tool or a timer costs about 50 µs of it, in which the worker
    /// watches before it sleeps. STRICT 2 s, SECURE 10 s, otherwise none.
    pub cpu_time_limit: Option<Duration>,
    /// Tool calls, at least 0. Presets 10, 50, 100, 1000.
    pub max_tool_calls: u32,
    /// Bytes of memory that the arguments of unanswered tool calls, and the answers that the script has not taken yet,
    /// may hold together. If nothing is held, the next one always has a place, so a single call or answer is limited
    /// only by [`PoolConfig::max_message_size`]. Presets 4, 16, 64, 256 MiB: four times `max_message_size`, which is
    /// what an array of so many bytes takes.
    pub max_pending_bytes: u64,
    /// Console calls, at least 0. Presets 100, 500, 1000, 10 000.
    pub max_console_calls: u32,
    /// UTF-8 bytes of console output. Presets 64 KiB, 256 KiB, 1 MiB, 10 MiB.
    pub max_console_output: u64,
    /// Levels of nesting in a value that crosses the boundary, 1 to 512. Presets 32, 64, 128, 256.
    pub max_value_depth: u32,
    /// Remove file names and native frames from stack traces, leaving function names and positions. STRICT and SECURE.
    pub sanitize_stack_traces: bool,
    /// Every clock that the script can read stands still during one execution. STRICT.
    pub block_timing_apis: bool,
    /// Allow `eval` and the `Function` constructors. PERMISSIVE.
    pub allow_code_generation: bool,
    /// Allow WebAssembly. Must be false: WebAssembly is not supported yet.
    pub allow_wasm: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        let max_workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_WORKERS);
        PoolConfig {
            isolation: Isolation::Process,
            worker_path: None,
            require_sandbox: false,
            require_seccomp: false,
            cgroup: None,
            jit: true,
            min_workers: 2.min(max_workers),
            max_workers,
            memory_limit_per_worker: 128 * MIB,
            max_executions_per_worker: 1000,
            max_queue_size: 100,
            queue_timeout: Duration::from_secs(30),
            max_messages_per_second: 1000,
            idle_timeout: Duration::from_secs(30),
            graceful_shutdown_timeout: Duration::from_secs(5),
            max_message_size: 16 * MIB,
            max_pending_tool_calls: 100,
            warm_on_init: true,
            stats_interval: Duration::from_secs(1),
            limits: ExecutionLimits::default(),
        }
    }
}

impl PoolConfig {
    /// The configuration of a preset, ready to use or to edit.
    pub fn preset(preset: Preset) -> Self {
        // A row of the preset table, in the order STRICT, SECURE, STANDARD, PERMISSIVE.
        let pick = |row: [u64; 4]| row[preset as usize];
        let secs = |row| Duration::from_secs(pick(row));
        PoolConfig {
            isolation: Isolation::Process,
            worker_path: None,
            require_sandbox: false,
            require_seccomp: matches!(preset, Preset::Strict | Preset::Secure),
            cgroup: None,
            jit: preset != Preset::Strict,
            min_workers: pick([2, 2, 2, 4]) as usize,
            max_workers: pick([4, 8, 16, 32]) as usize,
            memory_limit_per_worker: pick([64, 128, 256, 512]) * MIB,
            max_executions_per_worker: pick([100, 500, 1000, 5000]),
            max_queue_size: pick([20, 50, 100, 500]) as usize,
            queue_timeout: secs([10, 20, 30, 60]),
            max_messages_per_second: pick([100, 500, 1000, 5000]) as u32,
            idle_timeout: secs([15, 30, 30, 60]),
            graceful_shutdown_timeout: secs([2, 3, 5, 10]),
            max_message_size: pick([1, 4, 16, 64]) * MIB,
            max_pending_tool_calls: pick([10, 50, 100, 1000]) as u32,
            warm_on_init: true,
            stats_interval: Duration::from_secs(1),
            limits: ExecutionLimits::preset(preset),
        }
    }

    /// Checks every field; the error names the first that is out of range and what it accepts.
    pub fn validate(&self) -> Result<(), Error> {
        count("max_workers", self.max_workers as u64, 1, MAX_WORKERS as u64)?;
        if self.min_workers > self.max_workers {
            return Err(Error::invalid_argument(
                "min_workers",
                format!("is {}; it may not be above max_workers, which is {}", self.min_workers, self.max_workers),
            ));
        }
        count("memory_limit_per_worker", self.memory_limit_per_worker, MIN_MEMORY_LIMIT, MAX_MEMORY_LIMIT)?;
        count("max_executions_per_worker", self.max_executions_per_worker, 1, u64::MAX)?;
        count("max_queue_size", self.max_queue_size as u64, 0, MAX_QUEUE_SIZE as u64)?;
        count("max_messages_per_second", self.max_messages_per_second.into(), 1, u32::MAX.into())?;
        count("max_message_size", self.max_message_size, KIB, MAX_MESSAGE_SIZE)?;
        duration("queue_timeout", self.queue_timeout, Duration::from_nanos(1))?;
        duration("idle_timeout", self.idle_timeout, Duration::from_nanos(1))?;
        duration("graceful_shutdown_timeout", self.graceful_shutdown_timeout, Duration::ZERO)?;
        duration("stats_interval", self.stats_interval, Duration::from_millis(1))?;
        self.limits.validate()
    }
}

impl Default for ExecutionLimits {
    /// The limits of STANDARD.
    fn default() -> Self {
        ExecutionLimits::preset(Preset::Standard)
    }
}

impl ExecutionLimits {
    /// The limits of a preset.
    pub fn preset(preset: Preset) -> Self {
        let pick = |row: [u64; 4]| row[preset as usize];
        ExecutionLimits {
            timeout: Duration::from_secs(pick([5, 15, 30, 60])),
            cpu_time_limit: match preset {
                Preset::Strict => Some(Duration::from_secs(2)),
                Preset::Secure => Some(Duration::from_secs(10)),
                Preset::Standard | Preset::Permissive => None,
            },
            max_tool_calls: pick([10, 50, 100, 1000]) as u32,
            max_pending_bytes: pick([4, 16, 64, 256]) * MIB,
            max_console_calls: pick([100, 500, 1000, 10_000]) as u32,
            max_console_output: pick([64, 256, 1024, 10 * 1024]) * KIB,
            max_value_depth: pick([32, 64, 128, 256]) as u32,
            sanitize_stack_traces: matches!(preset, Preset::Strict | Preset::Secure),
            block_timing_apis: preset == Preset::Strict,
            allow_code_generation: preset == Preset::Permissive,
            allow_wasm: false,
        }
    }

    /// Checks every field; the error names the first that is out of range and what it accepts.
    pub fn validate(&self) -> Result<(), Error> {
        duration("timeout", self.timeout, Duration::from_nanos(1))?;
        if let Some(limit) = self.cpu_time_limit {
            duration("cpu_time_limit", limit, Duration::from_nanos(1))?;
        }
        count("max_value_depth", self.max_value_depth.into(), 1, MAX_VALUE_DEPTH.into())?;
        if self.allow_wasm {
            return Err(Error::Unsupported {
                feature: "allow_wasm".into(),
                reason: "WebAssembly cannot be allowed in this version; set it to false".into(),
            });
        }
        Ok(())
    }
}

fn count(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid_argument(field, format!("is {value}; accepted is {min} to {max}")))
}

fn duration(field: &'static str, value: Duration, min: Duration) -> Result<(), Error> {
    if (min..=MAX_DURATION).contains(&value) {
        return Ok(());
    }
    let least = if min.is_zero() { "0".to_string() } else { format!("at least {min:?}") };
    Err(Error::invalid_argument(field, format!("is {value:?}; accepted is {least}, at most 365 days")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid() {
        for preset in Preset::ALL {
            PoolConfig::preset(preset).validate().unwrap();
        }
        PoolConfig::default().validate().unwrap();
    }

    #[test]
    fn an_error_names_the_field_the_value_and_what_is_accepted() {
        let config = PoolConfig { max_workers: 0, min_workers: 0, ..PoolConfig::default() };
        let message = config.validate().unwrap_err().to_string();
        assert_eq!(message, "max_workers is 0; accepted is 1 to 1024");

        let config = PoolConfig { queue_timeout: Duration::ZERO, ..PoolConfig::default() };
        let message = config.validate().unwrap_err().to_string();
        assert!(message.starts_with("queue_timeout is 0ns; accepted is at least 1ns"), "{message}");
    }

    #[test]
    fn a_preset_is_found_by_its_name_in_any_case() {
        assert_eq!("STRICT".parse::<Preset>().unwrap(), Preset::Strict);
        assert!("loose".parse::<Preset>().unwrap_err().to_string().contains("loose"));
    }
}
