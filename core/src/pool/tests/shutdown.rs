//! The end of a pool.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::fake::*;
use crate::config::PoolConfig;
use crate::contract::RecycleReason;
use crate::error::{Error, Status};
use crate::pool::patience::Patience;

#[test]
fn it_stops_admission_answers_what_waits_and_lets_what_runs_finish() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let running = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let waiting: Vec<_> = (0..10).map(|_| pool.submit("1", Default::default()).unwrap()).collect();
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| pool.shutdown(Some(LONG)));
        for execution in &waiting {
            assert_eq!(execution.wait().unwrap().result, Err(Error::PoolClosed));
        }
        assert_eq!(pool.submit("1", Default::default()).unwrap_err(), Error::PoolClosed);
        assert!(!running.is_done());
        lab.open("a");
        assert_eq!(shutdown.join().unwrap(), Ok(()));
    });
    assert_eq!(status(&running.outcome().unwrap()), Status::Ok);
    assert_eq!(lab.seen().alive, 0);
    let stats = pool.stats();
    assert_eq!(stats.workers, Default::default());
    assert_eq!(stats.executions(Status::PoolClosed), 11);
    assert_eq!(stats.recycles(RecycleReason::Shutdown), 1);
}

#[test]
fn defect_12_what_still_runs_at_the_end_of_the_timeout_is_ended() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let running =
        [pool.submit("gate a", Default::default()).unwrap(), pool.submit("gate a", Default::default()).unwrap()];
    lab.wait_begun("gate a", 2);
    let timeout = Duration::from_millis(50);
    let started = Instant::now();
    pool.shutdown(Some(timeout)).unwrap();
    assert!(started.elapsed() >= timeout);
    for execution in running {
        assert_eq!(execution.outcome().unwrap().result, Err(Error::PoolClosed));
    }
    assert_eq!(lab.seen().alive, 0);
}

#[test]
fn defect_24_the_configured_timeout_is_the_one_that_is_kept() {
    let lab = Lab::default();
    let timeout = Duration::from_millis(50);
    let pool = lab.pool(PoolConfig { graceful_shutdown_timeout: timeout, ..config(1) });
    let running = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let started = Instant::now();
    drop(pool);
    assert!(started.elapsed() >= timeout);
    assert_eq!(running.outcome().unwrap().result, Err(Error::PoolClosed));
}

#[test]
fn it_is_idempotent_also_at_the_same_time_and_the_earliest_end_holds() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let running = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| pool.shutdown(Some(LONG)));
        eventually("it is closed", || pool.submit("1", Default::default()).is_err());
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| pool.shutdown(Some(Duration::ZERO)))).collect();
        for call in others.into_iter().chain([patient]) {
            assert_eq!(call.join().unwrap(), Ok(()));
            assert!(running.is_done());
            assert_eq!(lab.seen().alive, 0);
        }
    });
    pool.shutdown(None).unwrap();
}

#[test]
fn a_worker_that_does_not_stop_does_not_hold_it_up() {
    let lab = Lab::default();
    let patience = Patience { kill: Duration::from_millis(20), ..PATIENT };
    let (events, recycled) = mpsc::channel();
    let builder = impatient(config(1), patience).on_worker_recycled(move |event| events.send(event.reason).unwrap());
    let pool = lab.build(builder).unwrap();
    let (told, outcome) = mpsc::channel();
    pool.submit_with("stuck a", Default::default(), move |outcome| told.send(outcome).unwrap()).unwrap();
    lab.wait_begun("stuck a", 1);
    pool.shutdown(Some(Duration::ZERO)).unwrap();
    // All has been said when it returns.
    assert_eq!(outcome.try_recv().unwrap().result, Err(Error::PoolClosed));
    assert_eq!(recycled.try_recv(), Ok(RecycleReason::Unresponsive));
    assert_eq!(pool.stats().workers.set_aside, 1);
    drop(pool);
    // The worker ends when it can, and the threads of the pool with it.
    lab.open("a");
    lab.wait_until(|seen| seen.alive == 0);
    assert_eq!(recycled.recv_timeout(FOREVER), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn an_outcome_waits_for_no_callback_of_another_that_ended_with_it() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let _running = lab.begin(&pool, "gate a");
    let (tell, told) = mpsc::channel();
    let (report, heard) = mpsc::channel();
    let callback = move |_| report.send(told.recv_timeout(FOREVER)).unwrap();
    pool.submit_with("1", Default::default(), callback).unwrap();
    let second = pool.submit("2", Default::default()).unwrap();
    let waiter = std::thread::spawn(move || {
        let outcome = second.wait().unwrap();
        tell.send(()).unwrap();
        outcome.result.clone()
    });
    pool.shutdown(Some(Duration::ZERO)).unwrap();
    assert_eq!(heard.recv_timeout(FOREVER), Ok(Ok(())));
    assert_eq!(waiter.join().unwrap(), Err(Error::PoolClosed));
}

#[test]
fn a_callback_that_blocks_does_not_hold_it_up() {
    let lab = Lab::default();
    let patience = Patience { shutdown: Duration::from_millis(20), ..PATIENT };
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let pool = lab.build(impatient(config(1), patience)).unwrap();
    let blocking = move |_| {
        gate.lock().unwrap().recv().unwrap_err();
    };
    let execution = pool.submit_with("1", Default::default(), blocking).unwrap();
    execution.wait().unwrap();
    pool.shutdown(Some(Duration::ZERO)).unwrap();
    assert_eq!(pool.stats().workers.set_aside, 1);
    drop(go);
    eventually("it is gone", || pool.stats().workers.set_aside == 0);
}

#[test]
fn a_worker_that_starts_meanwhile_leaves_again() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    lab.hold_launches(true);
    let execution = pool.submit("1", Default::default()).unwrap();
    lab.wait_until(|seen| seen.launching == 1);
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| pool.shutdown(None));
        assert_eq!(execution.wait().unwrap().result, Err(Error::PoolClosed));
        lab.hold_launches(false);
        shutdown.join().unwrap().unwrap();
    });
    assert_eq!(lab.seen().alive, 0);
    assert!(lab.seen().begun.is_empty());
}

#[test]
fn every_execution_ends_once_however_submission_cancellation_and_shutdown_meet() {
    for round in 0..20 {
        let lab = Lab::default();
        let pool = lab.pool(PoolConfig { max_queue_size: 100_000, ..config(3) });
        let (told, outcomes) = mpsc::channel();
        let admitted: usize = std::thread::scope(|scope| {
            let submitters: Vec<_> = (0..4)
                .map(|thread| {
                    let (pool, told) = (&pool, told.clone());
                    scope.spawn(move || {
                        let mut admitted = 0;
                        for n in 0.. {
                            let told = told.clone();
                            let source = ["1", "gate never", "condemn crash", "fail"][n % 4];
                            let callback = move |outcome: std::sync::Arc<crate::execution::Outcome>| {
                                told.send(outcome.stats.execution_id).unwrap();
                            };
                            match pool.submit_with(source, Default::default(), callback) {
                                Ok(execution) if n % 4 == 1 || (n + thread) % 3 == 0 => execution.cancel().unwrap(),
                                Ok(_) => {}
                                Err(error) => {
                                    assert_eq!(error, Error::PoolClosed);
                                    break;
                                }
                            }
                            admitted += 1;
                        }
                        admitted
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(round));
            pool.shutdown(Some(Duration::from_millis(round % 3))).unwrap();
            submitters.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        drop(told);
        let stats = pool.stats();
        drop(pool);
        let mut ids: Vec<u64> = outcomes.iter().collect();
        ids.sort_unstable();
        assert_eq!(ids, (1..=admitted as u64).collect::<Vec<_>>());
        // The four refusals count too.
        assert_eq!(stats.total_executions(), admitted as u64 + 4);
        assert_eq!(lab.seen().alive, 0);
    }
}

#[test]
fn two_hundred_pools_come_and_go() {
    for _ in 0..200 {
        let lab = Lab::default();
        let pool = lab.pool(PoolConfig { min_workers: 1, warm_on_init: true, ..config(2) });
        pool.run("1", Default::default()).unwrap();
        drop(pool);
        assert_eq!(lab.seen().alive, 0);
    }
}
