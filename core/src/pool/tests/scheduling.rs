//! How many workers there are, which of them works, and when one is replaced.

use std::sync::mpsc;
use std::time::Duration;

use super::fake::*;
use crate::config::PoolConfig;
use crate::contract::RecycleReason;
use crate::error::Status;
use crate::pool::patience::Patience;
use crate::pool::{Execution, Pool};

fn submit_all(pool: &Pool, sources: &[&str]) -> Vec<Execution> {
    sources.iter().map(|source| pool.submit(*source, Default::default()).unwrap()).collect()
}

#[test]
fn defect_03_max_workers_is_never_overshot() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    lab.hold_launches(true);
    let executions = submit_all(&pool, &["gate a"; 20]);
    lab.wait_until(|seen| seen.launching == 2);
    assert_eq!(pool.stats().workers.starting, 2);
    lab.hold_launches(false);
    lab.open("a");
    for execution in executions {
        execution.wait().unwrap();
    }
    // The second may still be on its way when the first has served all.
    lab.wait_until(|seen| seen.launched == 2);
    assert_eq!(lab.seen().most_alive, 2);
}

#[test]
fn a_worker_is_started_only_if_work_waits_and_nobody_is_free() {
    let lab = Lab::default();
    let pool = lab.pool(config(8));
    for _ in 0..500 {
        pool.run("1", Default::default()).unwrap();
    }
    assert_eq!(lab.seen().launched, 1);
    submit_all(&pool, &["gate a"; 3]);
    lab.wait_begun("gate a", 3);
    assert_eq!(lab.seen().launched, 3);
    assert_eq!(pool.stats().workers.executing, 3);
    assert_eq!(pool.stats().active_workers, 3);
    lab.open("a");
}

#[test]
fn min_workers_are_started_in_parallel_and_kept() {
    let lab = Lab::default();
    lab.hold_launches(true);
    let opener = std::thread::spawn({
        let lab = lab.clone();
        move || {
            lab.wait_until(|seen| seen.launching == 3);
            lab.hold_launches(false);
        }
    });
    let pool = lab.pool(PoolConfig { min_workers: 3, warm_on_init: true, ..config(4) });
    opener.join().unwrap();
    assert_eq!(lab.seen().launched, 3);
    // One that dies is replaced, though nothing waits.
    pool.run("condemn crash", Default::default()).unwrap_err();
    lab.wait_until(|seen| seen.launched == 4 && seen.alive == 3);
    assert_eq!(pool.stats().recycles(RecycleReason::Crash), 1);
}

#[test]
fn without_warm_on_init_the_first_submission_starts_the_minimum() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { min_workers: 2, warm_on_init: false, ..config(4) });
    assert_eq!(pool.stats().workers, Default::default());
    pool.run("1", Default::default()).unwrap();
    lab.wait_until(|seen| seen.launched == 2);
}

#[test]
fn defect_18_idle_workers_are_stopped_by_time_alone() {
    let lab = Lab::default();
    let (events, recycled) = mpsc::channel();
    let idle_timeout = Duration::from_millis(50);
    let builder = patient(PoolConfig { min_workers: 1, idle_timeout, ..config(4) })
        .on_worker_recycled(move |event| events.send(event.clone()).unwrap());
    let pool = lab.build(builder).unwrap();
    let executions = submit_all(&pool, &["gate a"; 3]);
    lab.wait_begun("gate a", 3);
    lab.open("a");
    for execution in executions {
        execution.wait().unwrap();
    }
    // From here on nothing happens but the passing of time.
    for _ in 0..2 {
        let event = recycled.recv_timeout(FOREVER).unwrap();
        assert_eq!(event.reason, RecycleReason::Idle);
        assert_eq!(event.executions, 1);
        assert!(event.age >= idle_timeout);
    }
    lab.wait_until(|seen| seen.alive == 1);
    eventually("one worker is left, idle", || pool.stats().workers.idle == 1);
    assert_eq!(pool.stats().recycles(RecycleReason::Idle), 2);
    assert!(recycled.recv_timeout(4 * idle_timeout).is_err(), "the minimum stays");
}

#[test]
fn the_last_to_become_idle_works_first_so_that_the_others_stay_idle() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let first = pool.submit("gate a", Default::default()).unwrap();
    let second = pool.submit("gate b", Default::default()).unwrap();
    lab.wait_until(|seen| seen.begun.len() == 2);
    lab.open("a");
    let cold = first.wait().unwrap().stats.worker_id;
    // Idle in the census may still mean tidying up, which a worker does once more after a moment: wait until it has, here
    // and below. Then it sleeps until it is called.
    let idle = |number| eventually("they sleep", || crate::sync::lock(&pool.shared.state).idle.len() == number);
    lab.wait_until(|seen| seen.rested_long == 1);
    idle(1);
    lab.open("b");
    let warm = second.wait().unwrap().stats.worker_id;
    assert_ne!(cold, warm);
    for rested in 2..50 {
        lab.wait_until(|seen| seen.rested_long == rested);
        idle(2);
        assert_eq!(pool.run_detailed("1", Default::default()).unwrap().stats.worker_id, warm);
    }
}

#[test]
fn defect_04_replacing_a_worker_wakes_the_queue() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_executions_per_worker: 1, ..config(2) });
    let executions = submit_all(&pool, &["1"; 50]);
    for execution in executions {
        assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    }
    assert_eq!(pool.stats().recycles(RecycleReason::MaxExecutions), 50);
    assert_eq!(lab.seen().launched, 50);
    // Two that work, and two that tidy up before they leave.
    assert!(lab.seen().most_alive <= 4);
}

#[test]
fn a_planned_replacement_starts_before_the_old_worker_has_left() {
    let lab = Lab::default();
    let (leave, left) = mpsc::channel::<()>();
    let left = std::sync::Mutex::new(left);
    let builder = patient(PoolConfig { max_executions_per_worker: 1, ..config(1) })
        // The old worker stays as long as the test wants.
        .on_worker_recycled(move |_| {
            let _ = left.lock().unwrap().recv();
        });
    let pool = lab.build(builder).unwrap();
    pool.run("1", Default::default()).unwrap();
    pool.run("2", Default::default()).unwrap();
    assert_eq!(pool.stats().workers.recycling, 2);
    // Not more than max_workers leave at once beside those that work.
    let third = pool.submit("3", Default::default()).unwrap();
    assert_eq!(third.wait_timeout(Duration::from_millis(50)).unwrap().map(|_| ()), None);
    leave.send(()).unwrap();
    assert_eq!(status(&third.wait().unwrap()), Status::Ok);
    drop(leave);
}

#[test]
fn defect_09_a_worker_whose_execution_was_ended_runs_nothing_more() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    for source in ["flood", "condemn tool_call_limit", "condemn console_limit", "condemn memory_limit", "panic"] {
        let outcome = pool.run_detailed(source, Default::default()).unwrap();
        assert_ne!(status(&outcome), Status::Ok);
        let next = pool.run_detailed("1", Default::default()).unwrap();
        assert_eq!(status(&next), Status::Ok);
        assert_ne!(next.stats.worker_id, outcome.stats.worker_id, "{source}");
    }
    // A failure of the script alone costs no worker.
    let failed = pool.run_detailed("fail", Default::default()).unwrap().stats.worker_id;
    assert_eq!(pool.run_detailed("1", Default::default()).unwrap().stats.worker_id, failed);
}

#[test]
fn a_panic_in_a_worker_is_internal_and_the_worker_is_replaced() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let error = pool.run("panic", Default::default()).unwrap_err();
    assert_eq!(error.status(), Status::Internal);
    assert!(error.to_string().contains("the fake panics"), "{error}");
    assert_eq!(pool.stats().recycles(RecycleReason::Internal), 1);
    pool.run("1", Default::default()).unwrap();
}

#[test]
fn a_worker_whose_thread_is_lost_counts_as_set_aside_and_shutdown_does_not_wait_for_it() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    for _ in 0..2 {
        let error = pool.run("lose", Default::default()).unwrap_err();
        assert_eq!(error.status(), Status::MemoryLimit);
    }
    assert_eq!(pool.stats().recycles(RecycleReason::MemoryLimit), 2);
    assert_eq!(pool.stats().workers.set_aside, 2);
    // That is twice max_workers: no more are started.
    assert_eq!(pool.run("1", Default::default()).unwrap_err().status(), Status::WorkerCrashed);
    pool.shutdown(None).unwrap();
}

#[test]
fn defect_17_a_worker_that_dies_at_rest_hurts_nobody() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    pool.run("rest-panic", Default::default()).unwrap();
    lab.wait_until(|seen| seen.launched == 1 && seen.alive == 0);
    pool.run("1", Default::default()).unwrap();
    assert_eq!(pool.stats().recycles(RecycleReason::Internal), 1);
}

#[test]
fn an_execution_that_a_dead_worker_gives_back_is_run_by_another_in_its_turn() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let executions = submit_all(&pool, &["given-back-by 2", "next"]);
    for (execution, value) in executions.into_iter().zip(["given-back-by 2", "next"]) {
        assert_eq!(execution.wait().unwrap().result.clone().unwrap(), value.into());
    }
    assert_eq!(lab.seen().begun, ["given-back-by 2", "next"]);
    let stats = pool.stats();
    assert_eq!((lab.seen().launched, stats.recycles(RecycleReason::Crash), stats.queue_depth), (3, 2, 0));
    assert_eq!(stats.total_executions(), 2);
}

#[test]
fn a_worker_that_tidies_up_for_too_long_is_not_waited_for() {
    let lab = Lab::default();
    let patience = Patience { rest: Duration::from_millis(10), ..PATIENT };
    let pool = lab.build(impatient(config(2), patience)).unwrap();
    pool.run("rest-gate a", Default::default()).unwrap();
    lab.wait_until(|seen| seen.rested == 1);
    assert_eq!(pool.run_detailed("1", Default::default()).unwrap().stats.worker_id, Some(2));
    lab.open("a");
}

#[test]
fn many_threads_are_served_exactly_and_never_by_too_many_workers() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { max_queue_size: 10_000, max_executions_per_worker: 7, ..config(3) });
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let pool = &pool;
            scope.spawn(move || {
                for n in 0..60 {
                    let source = if n % 10 == 0 { "condemn timeout" } else { "1" };
                    let execution = pool.submit(source, Default::default()).unwrap();
                    if (n + thread) % 4 == 0 {
                        execution.cancel().unwrap();
                    }
                    execution.wait().unwrap();
                    let workers = pool.stats().workers;
                    assert!(workers.starting + workers.idle + workers.executing <= 3, "{workers:?}");
                    assert!(workers.recycling <= 3 + 3, "{workers:?}");
                }
            });
        }
    });
    let stats = pool.stats();
    assert_eq!(stats.total_executions(), 16 * 60);
    assert_eq!((stats.queue_depth, stats.active_workers), (0, 0));
}
