//! [`enclave_pool_stats_t`] and [`enclave_worker_recycled_t`]: what a pool says of itself.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::Arc;

use enclave_core::{Error, Histogram, PoolStats, RecycleReason, SandboxPart, Status, WorkerRecycled};

use crate::boundary::{guard, required};
use crate::callback::Context;
use crate::pinned::{name_or_null, pinned};
use crate::setting::enclave_isolation_t;
use crate::status::enclave_status_t;
use crate::units::ns;

/// Why a worker has left the pool.
pub type enclave_recycle_reason_t = i32;
/// It has served `max_executions_per_worker`.
pub const ENCLAVE_RECYCLE_MAX_EXECUTIONS: enclave_recycle_reason_t = 0;
/// It was idle for `idle_timeout` and the pool had more than `min_workers`.
pub const ENCLAVE_RECYCLE_IDLE: enclave_recycle_reason_t = 1;
/// An execution passed its wall-clock limit.
pub const ENCLAVE_RECYCLE_TIMEOUT: enclave_recycle_reason_t = 2;
/// An execution passed its CPU limit.
pub const ENCLAVE_RECYCLE_CPU_LIMIT: enclave_recycle_reason_t = 3;
/// An execution passed the memory limit.
pub const ENCLAVE_RECYCLE_MEMORY_LIMIT: enclave_recycle_reason_t = 4;
/// An execution passed its console limit.
pub const ENCLAVE_RECYCLE_CONSOLE_LIMIT: enclave_recycle_reason_t = 5;
/// An execution passed its tool call limit.
pub const ENCLAVE_RECYCLE_TOOL_CALL_LIMIT: enclave_recycle_reason_t = 6;
/// An execution sent too many messages.
pub const ENCLAVE_RECYCLE_MESSAGE_FLOOD: enclave_recycle_reason_t = 7;
/// A running execution was cancelled.
pub const ENCLAVE_RECYCLE_CANCELLED: enclave_recycle_reason_t = 8;
/// It did not stop when told to, and was set aside.
pub const ENCLAVE_RECYCLE_UNRESPONSIVE: enclave_recycle_reason_t = 9;
/// It crashed.
pub const ENCLAVE_RECYCLE_CRASH: enclave_recycle_reason_t = 10;
/// It broke the protocol between worker and pool.
pub const ENCLAVE_RECYCLE_PROTOCOL: enclave_recycle_reason_t = 11;
/// A bug of this library was caught in it.
pub const ENCLAVE_RECYCLE_INTERNAL: enclave_recycle_reason_t = 12;
/// The pool shut down.
pub const ENCLAVE_RECYCLE_SHUTDOWN: enclave_recycle_reason_t = 13;

pinned! { RecycleReason as enclave_recycle_reason_t:
    ENCLAVE_RECYCLE_MAX_EXECUTIONS = MaxExecutions,
    ENCLAVE_RECYCLE_IDLE = Idle,
    ENCLAVE_RECYCLE_TIMEOUT = Timeout,
    ENCLAVE_RECYCLE_CPU_LIMIT = CpuLimit,
    ENCLAVE_RECYCLE_MEMORY_LIMIT = MemoryLimit,
    ENCLAVE_RECYCLE_CONSOLE_LIMIT = ConsoleLimit,
    ENCLAVE_RECYCLE_TOOL_CALL_LIMIT = ToolCallLimit,
    ENCLAVE_RECYCLE_MESSAGE_FLOOD = MessageFlood,
    ENCLAVE_RECYCLE_CANCELLED = Cancelled,
    ENCLAVE_RECYCLE_UNRESPONSIVE = Unresponsive,
    ENCLAVE_RECYCLE_CRASH = Crash,
    ENCLAVE_RECYCLE_PROTOCOL = Protocol,
    ENCLAVE_RECYCLE_INTERNAL = Internal,
    ENCLAVE_RECYCLE_SHUTDOWN = Shutdown,
}

/// Parts of the sandbox around a worker process: the constants below, or several of them together (`|`).
pub type enclave_sandbox_part_t = u32;
/// The filter of system calls.
pub const ENCLAVE_SANDBOX_SECCOMP: enclave_sandbox_part_t = 1;
/// No file can be opened, by landlock. The filter of system calls refuses that too.
pub const ENCLAVE_SANDBOX_LANDLOCK_FILES: enclave_sandbox_part_t = 2;
/// No TCP port can be used, by landlock (Linux 6.7). The filter of system calls refuses that too, with all other
/// sockets, so that `ENCLAVE_SETTING_REQUIRE_SANDBOX` does without this part.
pub const ENCLAVE_SANDBOX_LANDLOCK_NETWORK: enclave_sandbox_part_t = 4;
/// Limits of memory, files, processes and core dumps.
pub const ENCLAVE_SANDBOX_RESOURCE_LIMITS: enclave_sandbox_part_t = 8;
/// The group of `enclave_config_set_cgroup`, where one is configured.
pub const ENCLAVE_SANDBOX_CGROUP: enclave_sandbox_part_t = 16;

pinned! { SandboxPart as enclave_sandbox_part_t:
    ENCLAVE_SANDBOX_SECCOMP = Seccomp,
    ENCLAVE_SANDBOX_LANDLOCK_FILES = LandlockFiles,
    ENCLAVE_SANDBOX_LANDLOCK_NETWORK = LandlockNetwork,
    ENCLAVE_SANDBOX_RESOURCE_LIMITS = ResourceLimits,
    ENCLAVE_SANDBOX_CGROUP = Cgroup,
}

/// How long something took, over all executions of a pool. Times are nanoseconds, 0 where nothing was counted. This
/// structure does not grow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enclave_histogram_t {
    /// Executions counted.
    pub count: u64,
    /// Half of them took at most this long.
    pub p50_ns: u64,
    /// 90 % of them took at most this long.
    pub p90_ns: u64,
    /// 99 % of them took at most this long.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

/// The executions that ended in one status. This structure does not grow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enclave_status_count_t {
    /// How many.
    pub count: u64,
    /// The status.
    pub status: enclave_status_t,
}

/// The workers that left for one reason. This structure does not grow.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enclave_recycle_count_t {
    /// How many.
    pub count: u64,
    /// The reason.
    pub reason: enclave_recycle_reason_t,
}

/// A snapshot of a pool's stats. Made by the library, which may append fields; what it points to lives as long as it.
#[repr(C)]
pub struct enclave_pool_stats_t {
    /// Bytes of this structure in the loaded library.
    pub size: usize,
    /// Nanoseconds since the pool was made.
    pub uptime_ns: u64,
    /// Workers that start.
    pub workers_starting: u64,
    /// Workers that wait for an execution.
    pub workers_idle: u64,
    /// Workers that run an execution.
    pub workers_executing: u64,
    /// Workers that are being replaced or stopped.
    pub workers_recycling: u64,
    /// Workers that did not stop when told to, and whose place is free for others.
    pub workers_set_aside: u64,
    /// Workers that run an execution, as `workers_executing`.
    pub active_workers: u64,
    /// Executions waiting for a worker.
    pub queue_depth: u64,
    /// Executions that have ended, in whatever status.
    pub executions_total: u64,
    /// Workers that have left, for whatever reason.
    pub recycles_total: u64,
    /// Tool calls made.
    pub tool_calls: u64,
    /// Console lines written.
    pub console_lines: u64,
    /// Executions ended because they sent too many messages.
    pub rate_limit_hits: u64,
    /// Bytes that the workers hold, as last seen.
    pub memory_current: u64,
    /// The most bytes that the workers have held together, as seen.
    pub memory_peak: u64,
    /// Time in the queue.
    pub queue_wait: enclave_histogram_t,
    /// Wall-clock time on the worker.
    pub run_time: enclave_histogram_t,
    /// Executions by status: every status that the library knows, in ascending order.
    pub executions: *const enclave_status_count_t,
    /// Entries of `executions`.
    pub executions_len: usize,
    /// Workers that have left, by reason: every reason that the library knows, in ascending order.
    pub recycles: *const enclave_recycle_count_t,
    /// Entries of `recycles`.
    pub recycles_len: usize,
    /// Executions whose worker process the kernel has killed for a system call that the sandbox forbids.
    pub sandbox_violations: u64,
    /// Where the workers run.
    pub isolation: enclave_isolation_t,
    /// Parts of the sandbox that worker processes lack, together (`|`); 0 for workers that are threads, which have
    /// none.
    pub sandbox_missing: enclave_sandbox_part_t,
    /// The mean of `queue_wait`, in nanoseconds: times its count, it is their sum.
    pub queue_wait_mean_ns: u64,
    /// The mean of `run_time`, in nanoseconds.
    pub run_time_mean_ns: u64,
}

/// The structure, with the tables that it points to behind it.
#[repr(C)]
struct Snapshot {
    stats: enclave_pool_stats_t,
    executions: [enclave_status_count_t; Status::ALL.len()],
    recycles: [enclave_recycle_count_t; RecycleReason::ALL.len()],
}

impl Snapshot {
    /// Boxed, so that the tables stay where the structure says that they are.
    fn new(stats: &PoolStats) -> Box<Self> {
        let executions =
            Status::ALL.map(|status| enclave_status_count_t { count: stats.executions(status), status: status.code() });
        let recycles = RecycleReason::ALL
            .map(|reason| enclave_recycle_count_t { count: stats.recycles(reason), reason: reason as i32 });
        let mut snapshot = Box::new(Snapshot {
            stats: enclave_pool_stats_t {
                size: size_of::<enclave_pool_stats_t>(),
                uptime_ns: ns(stats.uptime),
                workers_starting: stats.workers.starting as u64,
                workers_idle: stats.workers.idle as u64,
                workers_executing: stats.workers.executing as u64,
                workers_recycling: stats.workers.recycling as u64,
                workers_set_aside: stats.workers.set_aside as u64,
                active_workers: stats.active_workers as u64,
                queue_depth: stats.queue_depth as u64,
                executions_total: executions.iter().map(|entry| entry.count).sum(),
                recycles_total: recycles.iter().map(|entry| entry.count).sum(),
                tool_calls: stats.tool_calls,
                console_lines: stats.console_lines,
                rate_limit_hits: stats.rate_limit_hits,
                memory_current: stats.memory_current,
                memory_peak: stats.memory_peak,
                queue_wait: histogram(&stats.queue_wait),
                run_time: histogram(&stats.run_time),
                executions: std::ptr::null(),
                executions_len: executions.len(),
                recycles: std::ptr::null(),
                recycles_len: recycles.len(),
                sandbox_violations: stats.sandbox_violations,
                isolation: stats.isolation as i32,
                sandbox_missing: stats.sandbox_missing.iter().fold(0, |parts, part| parts | *part as u32),
                queue_wait_mean_ns: ns(stats.queue_wait.mean),
                run_time_mean_ns: ns(stats.run_time.mean),
            },
            executions,
            recycles,
        });
        snapshot.stats.executions = snapshot.executions.as_ptr();
        snapshot.stats.recycles = snapshot.recycles.as_ptr();
        snapshot
    }
}

fn histogram(histogram: &Histogram) -> enclave_histogram_t {
    enclave_histogram_t {
        count: histogram.count,
        p50_ns: ns(histogram.p50),
        p90_ns: ns(histogram.p90),
        p99_ns: ns(histogram.p99),
        max_ns: ns(histogram.max),
    }
}

/// Gives a snapshot to the caller, or NULL if there is none.
pub(crate) fn give(
    out: Option<&mut MaybeUninit<*mut enclave_pool_stats_t>>,
    stats: impl FnOnce() -> Result<PoolStats, Error>,
) -> Result<(), Error> {
    let out = required(out, "stats")?;
    out.write(std::ptr::null_mut());
    out.write(Box::into_raw(Snapshot::new(&stats()?)).cast());
    Ok(())
}

/// Frees a snapshot; NULL is fine. Only for those of `enclave_pool_stats`: those given to callbacks are lent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_pool_stats_free(stats: *mut enclave_pool_stats_t) {
    guard((), || {
        if !stats.is_null() {
            // SAFETY: the caller gives what `give` made: the first field of a boxed snapshot.
            drop(unsafe { Box::from_raw(stats.cast::<Snapshot>()) });
        }
    })
}

/// The executions that ended in this status; 0 for NULL and for a number that is no status.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_stats_executions(stats: Option<&enclave_pool_stats_t>, status: enclave_status_t) -> u64 {
    guard(0, || {
        let place = Status::ALL.iter().position(|known| known.code() == status);
        // SAFETY: the table has an entry for every status, and lives as long as the snapshot.
        place.zip(stats).map_or(0, |(place, stats)| unsafe { (*stats.executions.add(place)).count })
    })
}

/// The workers that left for this reason; 0 for NULL and for a number that is no reason.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_pool_stats_recycles(
    stats: Option<&enclave_pool_stats_t>,
    reason: enclave_recycle_reason_t,
) -> u64 {
    guard(0, || {
        let place = RecycleReason::ALL.iter().position(|known| *known as i32 == reason);
        // SAFETY: the table has an entry for every reason, and lives as long as the snapshot.
        place.zip(stats).map_or(0, |(place, stats)| unsafe { (*stats.recycles.add(place)).count })
    })
}

/// The name of a reason, such as `"memory_limit"`; NULL for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_recycle_reason_name(reason: enclave_recycle_reason_t) -> *const c_char {
    guard(std::ptr::null(), || name_or_null(RecycleReason::from_number(reason).map(RecycleReason::c_name)))
}

/// The name of one part, such as `"landlock_files"`; NULL for a number that is not one. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_sandbox_part_name(part: enclave_sandbox_part_t) -> *const c_char {
    guard(std::ptr::null(), || name_or_null(SandboxPart::from_number(part).map(SandboxPart::c_name)))
}

/// A worker that has left the pool. Made by the library, which may append fields.
#[repr(C)]
pub struct enclave_worker_recycled_t {
    /// Bytes of this structure in the loaded library.
    pub size: usize,
    /// The worker's id, unique in its pool.
    pub worker_id: u64,
    /// Executions that it has served.
    pub executions: u64,
    /// Nanoseconds since it was started.
    pub age_ns: u64,
    /// Why it has left.
    pub reason: enclave_recycle_reason_t,
}

/// Receives the pool's stats, lent until the callback returns.
pub type enclave_stats_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, stats: *const enclave_pool_stats_t)>;

/// Receives a worker that has left; the event is lent until the callback returns.
pub type enclave_worker_recycled_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const enclave_worker_recycled_t)>;

pub(crate) type StatsHandler = Arc<dyn Fn(&PoolStats) + Send + Sync>;
pub(crate) type RecycleHandler = Arc<dyn Fn(&WorkerRecycled) + Send + Sync>;

/// A handler that calls back with a snapshot that it lends.
///
/// # Safety
///
/// `callback` must be good for the data of `context` on any thread, until the context's finalizer has run.
pub(crate) unsafe fn stats_handler(
    callback: unsafe extern "C" fn(*mut c_void, *const enclave_pool_stats_t),
    context: Context,
) -> StatsHandler {
    Arc::new(move |stats| {
        let snapshot = Snapshot::new(stats);
        // SAFETY: by the contract of this function; the snapshot lives during the call.
        unsafe { callback(context.user_data(), &snapshot.stats) }
    })
}

/// A handler that calls back with an event that it lends.
///
/// # Safety
///
/// As for [`stats_handler`].
pub(crate) unsafe fn recycle_handler(
    callback: unsafe extern "C" fn(*mut c_void, *const enclave_worker_recycled_t),
    context: Context,
) -> RecycleHandler {
    Arc::new(move |event| {
        let event = enclave_worker_recycled_t {
            size: size_of::<enclave_worker_recycled_t>(),
            worker_id: event.worker_id,
            executions: event.executions,
            age_ns: ns(event.age),
            reason: event.reason as i32,
        };
        // SAFETY: by the contract of this function; the event lives during the call.
        unsafe { callback(context.user_data(), &event) }
    })
}
