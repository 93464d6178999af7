//! What the numbers say.

use std::sync::mpsc;
use std::time::Duration;

use super::fake::*;
use crate::config::{ExecutionLimits, Isolation, PoolConfig};
use crate::contract::RecycleReason;
use crate::error::Status;
use crate::execution::ExecutionOptions;

#[test]
fn defect_07_every_execution_counts_once_by_how_it_ended() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_queue_size: 1, ..config(1) });
    let limits = ExecutionLimits { timeout: Duration::from_millis(20), ..Default::default() };
    let timing_out = ExecutionOptions { limits: Some(limits), ..Default::default() };
    for _ in 0..3 {
        pool.run("1", Default::default()).unwrap();
    }
    pool.run("fail", Default::default()).unwrap_err();
    pool.run("gate never", timing_out).unwrap_err();
    pool.run("flood", Default::default()).unwrap_err();
    let running = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let waiting = pool.submit("1", Default::default()).unwrap();
    pool.submit("1", Default::default()).unwrap_err();
    waiting.cancel().unwrap();
    running.cancel().unwrap();
    running.wait().unwrap();

    let stats = pool.stats();
    let counts = |status| stats.executions(status);
    let expected = [
        (Status::Ok, 3),
        (Status::Unsettled, 1),
        (Status::Timeout, 1),
        (Status::MessageFlood, 1),
        (Status::QueueFull, 1),
        (Status::Cancelled, 2),
    ];
    for (status, count) in expected {
        assert_eq!(counts(status), count, "{status}");
    }
    assert_eq!(stats.total_executions(), 9);
    assert_eq!(stats.rate_limit_hits, 1);
    assert_eq!(stats.recycles(RecycleReason::Timeout), 1);
    assert_eq!(stats.total_recycles(), 3);
    // Those that ran.
    assert_eq!(stats.run_time.count, 7);
    assert_eq!(stats.queue_wait.count, 7);
    assert!(stats.run_time.max >= Duration::from_millis(20));
    assert!(stats.run_time.mean > Duration::ZERO && stats.run_time.p50 <= stats.run_time.p99);
    assert!(stats.uptime >= stats.run_time.max);
    assert_eq!(stats.isolation, Isolation::Thread);
}

#[test]
fn memory_is_that_of_the_workers_now_and_at_most() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let running = [pool.submit("gate a", Default::default()), pool.submit("gate a", Default::default())];
    lab.wait_begun("gate a", 2);
    assert_eq!(pool.stats().memory_current, 2000);
    lab.open("a");
    for execution in running {
        execution.unwrap().wait().unwrap();
    }
    assert_eq!(pool.stats().memory_current, 2000);
    assert_eq!(pool.stats().memory_peak, 3000);
    pool.run("condemn crash", Default::default()).unwrap_err();
    eventually("its memory is free", || pool.stats().memory_current == 1000);
    pool.shutdown(None).unwrap();
    assert_eq!(pool.stats().memory_current, 0);
}

#[test]
fn stats_are_told_in_intervals_until_the_pool_ends() {
    let lab = Lab::default();
    let (told, stats) = mpsc::channel();
    let builder = patient(PoolConfig { stats_interval: Duration::from_millis(5), ..config(1) })
        .on_stats_update(move |stats| drop(told.send(stats.clone())));
    let pool = lab.build(builder).unwrap();
    pool.run("1", Default::default()).unwrap();
    let mut uptime = Duration::ZERO;
    let mut seen_ok = false;
    while !seen_ok {
        let stats = stats.recv_timeout(FOREVER).unwrap();
        assert!(stats.uptime > uptime);
        uptime = stats.uptime;
        seen_ok = stats.executions(Status::Ok) == 1;
    }
    drop(pool);
    while stats.try_recv().is_ok() {}
    assert_eq!(stats.recv_timeout(FOREVER), Err(mpsc::RecvTimeoutError::Disconnected));
}
