//! Who gets in, who waits, who is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::fake::*;
use crate::config::{ExecutionLimits, PoolConfig};
use crate::error::{Error, Status};
use crate::execution::ExecutionOptions;
use crate::value::Value;

#[test]
fn a_source_is_run_and_its_value_comes_back() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    assert_eq!(pool.run("hello", Default::default()), Ok(Value::from("hello")));

    let outcome = pool.run_detailed("fail", Default::default()).unwrap();
    assert_eq!(outcome.result, Err(Error::Unsettled));
    assert_eq!(outcome.stats.execution_id, 2);
    assert_eq!(outcome.stats.worker_id, Some(1));
}

#[test]
fn defect_05_executions_are_begun_in_the_order_of_their_submission_also_when_workers_are_replaced() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_executions_per_worker: 3, ..config(1) });
    let sources: Vec<String> =
        (0..60).map(|n| if n % 7 == 0 { "condemn timeout".into() } else { n.to_string() }).collect();
    let gate = pool.submit("gate a", Default::default()).unwrap();
    let executions: Vec<_> =
        sources.iter().map(|source| pool.submit(source.as_str(), Default::default()).unwrap()).collect();
    lab.open("a");
    gate.wait().unwrap();
    for execution in &executions {
        execution.wait().unwrap();
    }
    assert_eq!(lab.seen().begun[1..], sources);
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_try_again() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_queue_size: 2, ..config(1) });
    let running = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let waiting = [pool.submit("1", Default::default()).unwrap(), pool.submit("2", Default::default()).unwrap()];
    assert_eq!(pool.stats().queue_depth, 2);

    let Error::QueueFull { queue_size, retry_after } = pool.submit("3", Default::default()).unwrap_err() else {
        panic!("the queue is full")
    };
    assert_eq!(queue_size, 2);
    assert!(retry_after > Duration::ZERO && retry_after <= LONG);
    // A place that becomes free can be had at once.
    waiting[0].cancel().unwrap();
    let third = pool.submit("3", Default::default()).unwrap();

    lab.open("a");
    for execution in [running, third] {
        assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    }
    assert_eq!(pool.stats().executions(Status::QueueFull), 1);
}

#[test]
fn a_queue_of_size_0_refuses_what_cannot_start_at_once() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_queue_size: 0, ..config(2) });
    // One after the other always finds the worker that has just finished.
    for _ in 0..200 {
        pool.run("1", Default::default()).unwrap();
    }
    let running =
        [pool.submit("gate a", Default::default()).unwrap(), pool.submit("gate a", Default::default()).unwrap()];
    assert!(matches!(pool.submit("1", Default::default()), Err(Error::QueueFull { .. })));
    lab.open("a");
    for execution in running {
        assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    }
}

#[test]
fn defect_04_the_wait_in_the_queue_ends_on_time_also_when_all_workers_are_stuck() {
    let lab = Lab::default();
    let wait = Duration::from_millis(50);
    let pool = lab.pool(PoolConfig { queue_timeout: wait, ..config(1) });
    lab.begin(&pool, "stuck a");
    let before = pool.stats().executions(Status::QueueTimeout);
    let started = Instant::now();
    let waiting: Vec<_> = (0..20).map(|_| pool.submit("1", Default::default()).unwrap()).collect();
    for execution in &waiting {
        let outcome = execution.wait_timeout(FOREVER).unwrap().expect("it times out in the queue");
        let Err(Error::QueueTimeout { waited }) = outcome.result else { panic!("{:?}", outcome.result) };
        assert!(waited >= wait && waited <= started.elapsed());
        assert_eq!(outcome.stats.worker_id, None);
        assert_eq!(outcome.stats.queue_wait, waited);
    }
    assert_eq!(pool.stats().queue_depth, 0);
    assert_eq!(pool.stats().executions(Status::QueueTimeout), before + 20);
    lab.open("a");
}

#[test]
fn ten_thousand_may_wait_and_any_of_them_be_cancelled() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_queue_size: 10_000, ..config(1) });
    pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let done = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..10_000)
        .map(|_| {
            let done = done.clone();
            pool.submit_with("1", Default::default(), move |_| {
                done.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap()
        })
        .collect();
    assert!(matches!(pool.submit("1", Default::default()), Err(Error::QueueFull { queue_size: 10_000, .. })));
    // Every other, from behind: none is the first.
    for execution in waiting.iter().rev().step_by(2) {
        execution.cancel().unwrap();
    }
    assert_eq!(pool.stats().queue_depth, 5000);
    lab.open("a");
    for execution in &waiting {
        execution.wait().unwrap();
    }
    eventually("every callback is called", || done.load(Ordering::Relaxed) == 10_000);
    assert_eq!(pool.stats().executions(Status::Cancelled), 5000);
    assert_eq!(pool.stats().executions(Status::Ok), 5001);
}

#[test]
fn what_is_not_accepted_is_refused_by_name_and_counted() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_message_size: 1024, ..config(1) });
    let limits = ExecutionLimits { max_value_depth: 0, ..Default::default() };
    let refused = [
        (pool.submit("x".repeat(2000), Default::default()), Status::MessageTooLarge, "the source"),
        (
            pool.submit("1", ExecutionOptions { limits: Some(limits), ..Default::default() }),
            Status::InvalidArgument,
            "max_value_depth",
        ),
        (
            pool.submit("1", ExecutionOptions { globals: vec![("a b".into(), Value::Null)], ..Default::default() }),
            Status::InvalidArgument,
            "globals",
        ),
    ];
    for (result, status, name) in refused {
        let error = result.unwrap_err();
        assert_eq!(error.status(), status);
        assert!(error.to_string().starts_with(name), "{error}");
    }
    assert_eq!(pool.stats().executions(Status::InvalidArgument), 2);
    assert_eq!(pool.stats().executions(Status::MessageTooLarge), 1);
    assert_eq!(lab.seen().launched, 0);
}

#[test]
fn ids_grow_with_every_admitted_submission() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let ids: Vec<u64> = (0..5).map(|_| pool.submit("1", Default::default()).unwrap().id()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[test]
fn a_forked_child_gets_forked_from_every_call_and_hangs_in_none() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let execution = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    // The child finds the lock taken, as it would be if a thread of the parent held it in the moment of the fork.
    let held = crate::sync::lock(&pool.shared.state);
    // SAFETY: the child only makes the calls that are to work in a child, and leaves without running anything else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = |result: Result<(), Error>| result == Err(Error::Forked);
        let good = [
            forked(pool.submit("1", Default::default()).map(drop)),
            forked(pool.submit_with("1", Default::default(), |_| {}).map(drop)),
            forked(pool.run("1", Default::default()).map(drop)),
            forked(pool.run_detailed("1", Default::default()).map(drop)),
            forked(pool.register_tool("a", Arc::new(|_| {}))),
            forked(pool.shutdown(None)),
            forked(execution.wait().map(drop)),
            forked(execution.wait_timeout(Duration::ZERO).map(drop)),
            forked(execution.cancel()),
            forked(lab.build(patient(config(1))).map(drop)),
            !execution.is_done(),
            pool.stats().workers == Default::default(),
        ];
        std::mem::forget(held);
        drop(execution);
        drop(pool);
        let code = good.iter().position(|good| !good).map_or(0, |place| place as i32 + 1);
        // SAFETY: ends the child without running the parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    drop(held);
    let mut exit = 0;
    eventually("the child ends", || {
        // SAFETY: `child` is our own child, and `exit` a valid place.
        unsafe { libc::waitpid(child, &mut exit, libc::WNOHANG) == child }
    });
    assert_eq!(exit, 0, "check number {} failed in the child", exit >> 8);
    lab.open("a");
    assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
}
