//! Executions that are ended: by time, by CPU time, by their caller, by their own worker.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::fake::*;
use crate::config::{ExecutionLimits, PoolConfig};
use crate::contract::{KillReason, RecycleReason};
use crate::error::{Error, Status};
use crate::execution::ExecutionOptions;
use crate::pool::patience::Patience;

/// Workers that do not come back in time are set aside soon.
const IMPATIENT: Patience = Patience { kill: Duration::from_millis(20), ..PATIENT };

fn within(timeout: Duration) -> ExecutionOptions {
    ExecutionOptions { limits: Some(ExecutionLimits { timeout, ..Default::default() }), ..Default::default() }
}

#[test]
fn defect_06_an_endless_execution_ends_at_its_timeout() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let timeout = Duration::from_millis(80);
    let started = Instant::now();
    let outcome = pool.run_detailed("gate a", within(timeout)).unwrap();
    assert!(started.elapsed() >= timeout);
    assert_eq!(outcome.result, Err(Error::Timeout { limit: timeout }));
    assert!(outcome.stats.run_time >= timeout);
    assert_eq!(pool.stats().recycles(RecycleReason::Timeout), 1);
}

#[test]
fn waiting_in_the_queue_does_not_count_against_the_timeout() {
    // On a busy machine, running may take longer than the first of these; if waiting counted, it would be none.
    let runs_within = |timeout| {
        let lab = Lab::default();
        let pool = lab.pool(config(1));
        let first = pool.submit("gate a", Default::default()).unwrap();
        lab.wait_begun("gate a", 1);
        let second = pool.submit("1", within(timeout)).unwrap();
        std::thread::sleep(2 * timeout);
        lab.open("a");
        first.wait().unwrap();
        let outcome = second.wait().unwrap();
        assert!(outcome.stats.queue_wait >= 2 * timeout);
        status(&outcome) == Status::Ok
    };
    assert!((0..10).map(|doublings| Duration::from_millis(40 << doublings)).any(runs_within));
}

#[test]
fn a_later_submission_with_an_earlier_deadline_ends_first() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let long = pool.submit("gate a", within(LONG)).unwrap();
    lab.wait_begun("gate a", 1);
    let short = pool.run("gate b", within(Duration::from_millis(30)));
    assert_eq!(short.unwrap_err().status(), Status::Timeout);
    assert!(!long.is_done());
    lab.open("a");
}

#[test]
fn cpu_time_is_limited_by_itself() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let limit = Duration::from_millis(60);
    let limits = ExecutionLimits { cpu_time_limit: Some(limit), timeout: LONG, ..Default::default() };
    let options = ExecutionOptions { limits: Some(limits), ..Default::default() };
    let started = Instant::now();
    let outcome = pool.run_detailed("burn", options).unwrap();
    assert_eq!(outcome.result, Err(Error::CpuLimit { limit }));
    assert!(started.elapsed() >= limit);
    assert_eq!(pool.stats().recycles(RecycleReason::CpuLimit), 1);
}

#[test]
fn defect_02_an_execution_that_its_own_worker_ends_is_answered_at_once() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let error = pool.run("condemn memory_limit", Default::default()).unwrap_err();
    assert_eq!(error, Error::MemoryLimit { used: 2, limit: 1 });
    assert_eq!(pool.stats().recycles(RecycleReason::MemoryLimit), 1);
}

#[test]
fn defect_11_a_running_execution_can_be_cancelled() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let execution = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    execution.cancel().unwrap();
    execution.cancel().unwrap();
    assert_eq!(execution.wait().unwrap().result, Err(Error::Cancelled));
    execution.cancel().unwrap();
    assert_eq!(pool.stats().recycles(RecycleReason::Cancelled), 1);
    assert_eq!(pool.stats().executions(Status::Cancelled), 1);
}

#[test]
fn a_waiting_execution_is_cancelled_at_once_and_costs_no_worker() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    let waiting = pool.submit("1", Default::default()).unwrap();
    assert!(!waiting.is_done());
    waiting.cancel().unwrap();
    assert_eq!(waiting.outcome().expect("it is over when cancel returns").result, Err(Error::Cancelled));
    assert_eq!(pool.stats().queue_depth, 0);
    lab.open("a");
    pool.run("2", Default::default()).unwrap();
    assert_eq!(pool.stats().total_recycles(), 0);
}

#[test]
fn cancelling_what_is_done_changes_nothing_also_when_the_pool_is_gone() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let execution = pool.submit("1", Default::default()).unwrap();
    execution.wait().unwrap();
    execution.cancel().unwrap();
    pool.run("2", Default::default()).unwrap();
    drop(pool);
    execution.cancel().unwrap();
    assert_eq!(status(&execution.outcome().unwrap()), Status::Ok);
}

#[test]
fn the_first_reason_stays_and_a_kill_is_asked_for_again_until_it_works() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    let execution = pool.submit("stuck a", within(Duration::from_millis(20))).unwrap();
    lab.wait(|seen| (seen.kills.get(&execution.id())?.len() >= 5).then_some(()));
    execution.cancel().unwrap();
    let kills = lab.seen().kills[&execution.id()].len();
    lab.wait(|seen| (seen.kills[&execution.id()].len() > kills).then_some(()));
    lab.open("a");
    assert_eq!(status(&execution.wait().unwrap()), Status::Timeout);
    assert!(lab.seen().kills[&execution.id()].iter().all(|reason| *reason == KillReason::Timeout));
}

#[test]
fn a_worker_that_does_not_stop_is_set_aside_and_its_caller_answered() {
    let lab = Lab::default();
    let (events, recycled) = mpsc::channel();
    let builder = impatient(config(1), IMPATIENT).on_worker_recycled(move |event| events.send(event.clone()).unwrap());
    let pool = lab.build(builder).unwrap();

    let outcome = pool.run_detailed("stuck a", within(Duration::from_millis(20))).unwrap();
    assert_eq!(status(&outcome), Status::Timeout);
    assert_eq!(outcome.stats.worker_id, Some(1));
    assert!(outcome.stats.run_time >= Duration::from_millis(40));
    let event = recycled.recv_timeout(FOREVER).unwrap();
    assert_eq!((event.worker_id, event.reason, event.executions), (1, RecycleReason::Unresponsive, 1));

    // Another has taken its place, though there may be but one.
    assert_eq!(pool.run_detailed("1", Default::default()).unwrap().stats.worker_id, Some(2));
    assert_eq!(pool.stats().workers.set_aside, 1);
    // It is still asked to stop, and when it does, it only goes.
    let kills = lab.seen().kills[&1].len();
    lab.wait(|seen| (seen.kills[&1].len() > kills).then_some(()));
    lab.open("a");
    lab.wait_until(|seen| seen.alive == 1);
    eventually("nobody is set aside", || pool.stats().workers.set_aside == 0);
    assert_eq!(pool.stats().total_executions(), 2);
    assert_eq!(pool.stats().total_recycles(), 1);
    assert!(recycled.try_recv().is_err());
}

#[test]
fn a_cancelled_execution_that_does_not_stop_is_cancelled_all_the_same() {
    let lab = Lab::default();
    let pool = lab.build(impatient(config(1), IMPATIENT)).unwrap();
    let execution = pool.submit("stuck a", Default::default()).unwrap();
    lab.wait_begun("stuck a", 1);
    execution.cancel().unwrap();
    assert_eq!(execution.wait().unwrap().result, Err(Error::Cancelled));
    lab.open("a");
}

#[test]
fn when_too_many_are_stuck_submissions_are_refused_until_some_come_back() {
    let lab = Lab::default();
    let pool = lab.build(impatient(config(1), IMPATIENT)).unwrap();
    let stuck =
        [pool.submit("stuck a", Default::default()).unwrap(), pool.submit("stuck b", Default::default()).unwrap()];
    let waiting = pool.submit("1", Default::default()).unwrap();
    for execution in &stuck {
        eventually("it runs", || execution.id() <= lab.seen().begun.len() as u64);
        execution.cancel().unwrap();
        assert_eq!(execution.wait().unwrap().result, Err(Error::Cancelled));
    }
    // What waited is told, as no worker is left nor will be started.
    let outcome = waiting.wait().unwrap();
    let Err(Error::WorkerCrashed { reason, .. }) = &outcome.result else { panic!("{:?}", outcome.result) };
    assert!(reason.contains("2 workers are stuck"), "{reason}");
    assert_eq!(pool.run("1", Default::default()).unwrap_err().status(), Status::WorkerCrashed);
    assert_eq!(pool.stats().workers.set_aside, 2);

    lab.open("a");
    eventually("one has come back", || pool.stats().workers.set_aside == 1);
    pool.run("1", Default::default()).unwrap();
    lab.open("b");
}

#[test]
fn a_script_that_calls_on_after_its_end_reaches_nobody() {
    let lab = Lab::default();
    let (lines, seen) = mpsc::channel();
    let (entered, inside) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let builder = impatient(config(1), IMPATIENT).on_console(std::sync::Arc::new(move |line| {
        lines.send(line.text.clone()).unwrap();
        entered.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap_err();
    }));
    let pool = lab.build(builder).unwrap();
    // The host's handler blocks: this holds up its own execution alone, and that only until it is ended.
    let options = ExecutionOptions { collect_console: true, ..Default::default() };
    let execution = pool.submit("log first", options).unwrap();
    inside.recv_timeout(FOREVER).unwrap();
    execution.cancel().unwrap();
    assert_eq!(status(&execution.wait().unwrap()), Status::Cancelled);
    pool.run("1", Default::default()).unwrap();
    drop(go);
    assert_eq!(seen.recv_timeout(FOREVER).unwrap(), "first");
    assert_eq!(pool.stats().console_lines, 1);
}

#[test]
fn the_defaults_of_patience_are_those_that_are_documented() {
    let patience = Patience::default();
    assert_eq!(patience.kill, Duration::from_millis(30));
    assert_eq!(patience.shutdown, Duration::from_secs(1));
    assert_eq!(patience.start_retry(1), Duration::from_millis(100));
    assert_eq!(patience.start_retry(4), Duration::from_millis(800));
    assert_eq!(patience.start_retry(u32::MAX), Duration::from_secs(10));
    let _ = PoolConfig::default();
}
