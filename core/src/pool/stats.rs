//! What a pool has done and is doing: [`Metrics`], kept under the pool's lock, and [`PoolStats`], a snapshot of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram as HdrHistogram;

use crate::config::Isolation;
use crate::contract::RecycleReason;
use crate::error::{Error, Status};
use crate::sandbox::{Parts, SandboxPart};

/// A snapshot of a pool, at one moment: the numbers fit each other.
///
/// It costs the same however much waits or runs, and does not involve the workers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Workers by state.
    pub workers: WorkerCounts,
    /// Workers that run an execution: the same as `workers.executing`.
    pub active_workers: usize,
    /// Executions that wait for a worker, including those that a free worker is about to take.
    pub queue_depth: usize,
    /// Tool calls that reached the pool.
    pub tool_calls: u64,
    /// Console lines that reached the pool.
    pub console_lines: u64,
    /// Executions that were ended for sending too many messages per second.
    pub rate_limit_hits: u64,
    /// Time in the queue, of executions that got a worker.
    pub queue_wait: Histogram,
    /// Wall-clock time on the worker, of executions that have ended.
    pub run_time: Histogram,
    /// Bytes that all workers hold together. A worker is measured when it has started and after each execution.
    pub memory_current: u64,
    /// The most that `memory_current` has been, with each execution's own peak in place of what its worker held after
    /// it.
    pub memory_peak: u64,
    /// Time since the pool was made.
    pub uptime: Duration,
    /// Where the workers run.
    pub isolation: Isolation,
    /// Parts of the sandbox that worker processes lack; empty for workers that are threads, which have none.
    pub sandbox_missing: Vec<SandboxPart>,
    /// Executions whose worker process the kernel has killed for a system call that the sandbox forbids.
    pub sandbox_violations: u64,
    executions: [u64; Status::COUNT],
    recycles: [u64; RecycleReason::COUNT],
}

impl PoolStats {
    /// Executions that have ended with this status. Each counts once, also one that was refused at submission.
    pub fn executions(&self, status: Status) -> u64 {
        self.executions[status.index()]
    }

    /// Executions that have ended, with whatever status.
    pub fn total_executions(&self) -> u64 {
        self.executions.iter().sum()
    }

    /// Workers that were replaced or stopped for this reason. Each counts once, when it is decided.
    pub fn recycles(&self, reason: RecycleReason) -> u64 {
        self.recycles[reason as usize]
    }

    /// Workers that were replaced or stopped, for whatever reason.
    pub fn total_recycles(&self) -> u64 {
        self.recycles.iter().sum()
    }

    /// What there is to say where nothing can be known.
    pub(super) fn unknown() -> Self {
        Metrics::new(crate::sync::now(), Isolation::Thread).snapshot(
            crate::sync::now(),
            WorkerCounts::default(),
            0,
            &Traffic::default(),
        )
    }
}

/// Workers by state. `starting`, `idle` and `executing` together are never more than
/// [`max_workers`](crate::PoolConfig::max_workers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounts {
    /// Being started.
    pub starting: usize,
    /// Without an execution: waiting for one, or tidying up after one.
    pub idle: usize,
    /// Running an execution.
    pub executing: usize,
    /// Leaving. No worker is started while these and the former together are twice `max_workers`.
    pub recycling: usize,
    /// Stuck in an execution that has been ended, and replaced; they end when they can. While there are twice as many
    /// as `max_workers`, no worker is started.
    pub set_aside: usize,
}

/// Times measured: their number, mean, quantiles (to 1 % at least) and maximum. All zero if there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Histogram {
    /// How many.
    pub count: u64,
    /// Half of them were not longer.
    pub p50: Duration,
    /// 90 % of them were not longer.
    pub p90: Duration,
    /// 99 % of them were not longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// The mean.
    pub mean: Duration,
}

/// A worker that has left its pool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerRecycled {
    /// The worker's id, unique in its pool.
    pub worker_id: u64,
    /// Why it left.
    pub reason: RecycleReason,
    /// Executions that it was given.
    pub executions: u64,
    /// Time since it began to start.
    pub age: Duration,
}

/// Counters of what passes between running scripts and the host, which take no lock.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub tool_calls: AtomicU64,
    pub console_lines: AtomicU64,
}

/// The counters, under the pool's lock.
pub(super) struct Metrics {
    started: Instant,
    isolation: Isolation,
    pub sandbox_missing: Parts,
    sandbox_violations: u64,
    executions: [u64; Status::COUNT],
    recycles: [u64; RecycleReason::COUNT],
    queue_wait: Times,
    run_time: Times,
    memory_current: u64,
    memory_peak: u64,
    /// Recent run time of an execution: a moving average over about eight.
    recent_run_time: Option<Duration>,
}

impl Metrics {
    pub(super) fn new(now: Instant, isolation: Isolation) -> Self {
        Metrics {
            started: now,
            isolation,
            sandbox_missing: Parts::default(),
            sandbox_violations: 0,
            executions: [0; Status::COUNT],
            recycles: [0; RecycleReason::COUNT],
            queue_wait: Times::new(),
            run_time: Times::new(),
            memory_current: 0,
            memory_peak: 0,
            recent_run_time: None,
        }
    }

    /// An execution has ended.
    pub(super) fn ended<T>(&mut self, result: &Result<T, Error>) {
        let status = result.as_ref().map_or_else(Error::status, |_| Status::Ok);
        self.executions[status.index()] += 1;
        if let Err(Error::WorkerCrashed { signal: Some(libc::SIGSYS), .. }) = result {
            self.sandbox_violations += 1;
        }
    }

    /// An execution has got a worker.
    pub(super) fn waited(&mut self, time: Duration) {
        self.queue_wait.record(time);
    }

    /// An execution has left its worker.
    pub(super) fn ran(&mut self, time: Duration) {
        self.run_time.record(time);
        self.recent_run_time = Some(match self.recent_run_time {
            Some(recent) => recent - recent / 8 + time / 8,
            None => time,
        });
    }

    /// A worker leaves.
    pub(super) fn recycled(&mut self, reason: RecycleReason) {
        self.recycles[reason as usize] += 1;
    }

    /// A worker that held `before` bytes holds `after`, and `peak` in between.
    pub(super) fn memory(&mut self, before: u64, peak: u64, after: u64) {
        let others = self.memory_current.saturating_sub(before);
        self.memory_current = others.saturating_add(after);
        self.memory_peak = self.memory_peak.max(others.saturating_add(peak.max(after)));
    }

    /// When a place in the queue may be free: when one of `executing` workers may have finished, judged by the recent
    /// run time.
    pub(super) fn retry_after(&self, executing: usize) -> Duration {
        let run_time = self.recent_run_time.unwrap_or(Duration::from_millis(100));
        (run_time / executing.max(1) as u32).max(Duration::from_millis(1))
    }

    pub(super) fn snapshot(
        &self,
        now: Instant,
        workers: WorkerCounts,
        queue_depth: usize,
        traffic: &Traffic,
    ) -> PoolStats {
        PoolStats {
            workers,
            active_workers: workers.executing,
            queue_depth,
            tool_calls: traffic.tool_calls.load(Ordering::Relaxed),
            console_lines: traffic.console_lines.load(Ordering::Relaxed),
            rate_limit_hits: self.executions[Status::MessageFlood.index()],
            queue_wait: self.queue_wait.summary(),
            run_time: self.run_time.summary(),
            memory_current: self.memory_current,
            memory_peak: self.memory_peak,
            uptime: now.saturating_duration_since(self.started),
            isolation: self.isolation,
            sandbox_missing: self.sandbox_missing.to_vec(),
            sandbox_violations: self.sandbox_violations,
            executions: self.executions,
            recycles: self.recycles,
        }
    }
}

/// Times in buckets of 1 %, from a nanosecond to a day; about 50 KiB.
struct Times {
    buckets: HdrHistogram<u64>,
    total: Duration,
    max: Duration,
}

impl Times {
    fn new() -> Self {
        let day = Duration::from_secs(24 * 60 * 60).as_nanos() as u64;
        let buckets = HdrHistogram::new_with_bounds(1, day, 2).expect("the bounds are valid");
        Times { buckets, total: Duration::ZERO, max: Duration::ZERO }
    }

    fn record(&mut self, time: Duration) {
        self.buckets.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        self.total = self.total.saturating_add(time);
        self.max = self.max.max(time);
    }

    fn summary(&self) -> Histogram {
        let mut quantiles = self.buckets.value_at_quantiles([0.5, 0.9, 0.99]);
        // A bucket's upper end may lie above what was measured.
        let mut next = || Duration::from_nanos(quantiles.next().unwrap_or(0)).min(self.max);
        let (p50, p90, p99) = (next(), next(), next());
        let count = self.buckets.len();
        let mean = Duration::from_nanos((self.total.as_nanos() / u128::from(count.max(1))) as u64);
        Histogram { count, p50, p90, p99, max: self.max, mean }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_of_nothing_is_zero() {
        assert_eq!(Times::new().summary(), Histogram::default());
    }

    #[test]
    fn quantiles_are_right_to_a_hundredth_and_the_maximum_is_exact() {
        let mut times = Times::new();
        (1..=1000).for_each(|ms| times.record(Duration::from_millis(ms)));
        let summary = times.summary();
        let near = |time: Duration, ms: f64| (time.as_secs_f64() * 1000.0 / ms - 1.0).abs() < 0.01;
        assert_eq!(summary.count, 1000);
        assert!(near(summary.p50, 500.0) && near(summary.p90, 900.0) && near(summary.p99, 990.0), "{summary:?}");
        assert_eq!(summary.max, Duration::from_secs(1));
        assert_eq!(summary.mean, Duration::from_micros(500_500));
    }

    #[test]
    fn a_time_beyond_a_day_is_kept() {
        let mut times = Times::new();
        times.record(Duration::from_secs(1_000_000));
        assert_eq!(times.summary().max, Duration::from_secs(1_000_000));
        assert_eq!(times.summary().count, 1);
    }

    #[test]
    fn memory_is_the_sum_of_the_workers_and_its_peak_has_the_peak_of_each_execution() {
        let mut metrics = Metrics::new(Instant::now(), Isolation::Thread);
        metrics.memory(0, 0, 10);
        metrics.memory(0, 0, 20);
        metrics.memory(10, 100, 15);
        assert_eq!((metrics.memory_current, metrics.memory_peak), (35, 120));
        metrics.memory(20, 0, 0);
        assert_eq!((metrics.memory_current, metrics.memory_peak), (15, 120));
    }

    #[test]
    fn the_retry_hint_follows_the_recent_pace() {
        let mut metrics = Metrics::new(Instant::now(), Isolation::Thread);
        assert_eq!(metrics.retry_after(0), Duration::from_millis(100));
        (0..100).for_each(|_| metrics.ran(Duration::from_secs(2)));
        assert!(metrics.retry_after(2).abs_diff(Duration::from_secs(1)) < Duration::from_millis(1));
        (0..100).for_each(|_| metrics.ran(Duration::from_micros(1)));
        assert_eq!(metrics.retry_after(2), Duration::from_millis(1));
    }
}
