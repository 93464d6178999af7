//! Workers that cannot be started.

use super::fake::*;
use crate::config::PoolConfig;
use crate::error::{Error, Status};
use crate::pool::Pool;
use crate::pool::state::STARTS_PER_CORE;
use crate::sync::shortage::Shortage;

#[test]
fn defect_22_a_pool_whose_workers_cannot_start_is_not_made_and_leaves_none_behind() {
    let lab = Lab::default();
    lab.fail_launches(1);
    let error = lab.build(patient(PoolConfig { min_workers: 3, warm_on_init: true, ..config(4) })).unwrap_err();
    assert_eq!(error, Error::WorkerStartup { cause: "the test wants it so".into() });
    assert_eq!(lab.seen().alive, 0);
}

#[test]
fn what_waits_for_a_worker_that_cannot_start_is_told() {
    let lab = Lab::default();
    let pool = lab.pool(config(1));
    lab.fail_launches(1);
    lab.hold_launches(true);
    let executions: Vec<_> = (0..5).map(|_| pool.submit("1", Default::default()).unwrap()).collect();
    lab.hold_launches(false);
    for execution in executions {
        assert_eq!(status(&execution.wait().unwrap()), Status::WorkerStartup);
    }
    // The next submission tries again, at once.
    pool.run("1", Default::default()).unwrap();
    assert_eq!(pool.stats().executions(Status::WorkerStartup), 5);
}

#[test]
fn while_others_serve_a_start_that_fails_is_nobodys_problem() {
    let lab = Lab::default();
    let pool = lab.pool(config(2));
    let first = pool.submit("gate a", Default::default()).unwrap();
    lab.wait_begun("gate a", 1);
    lab.fail_launches(1);
    let second = pool.submit("2", Default::default()).unwrap();
    lab.wait_until(|seen| seen.launched == 2);
    lab.open("a");
    for execution in [first, second] {
        assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    }
}

#[test]
fn the_minimum_is_tried_for_again_and_again() {
    let lab = Lab::default();
    let pool = lab.pool(PoolConfig { min_workers: 1, warm_on_init: true, ..config(1) });
    lab.fail_launches(2);
    pool.run("condemn crash", Default::default()).unwrap_err();
    // Nothing asks for a worker but the minimum.
    lab.wait_until(|seen| seen.launched == 4 && seen.alive == 1);
    eventually("it is idle", || pool.stats().workers.idle == 1);
}

#[test]
fn a_launcher_that_panics_is_a_start_that_fails() {
    struct Panics;
    impl crate::contract::Launcher for Panics {
        type Worker = FakeWorker;
        fn launch(&self, _: u64) -> Result<FakeWorker, Error> {
            panic!("no engine")
        }
    }
    let pool = Pool::builder(config(1)).build_with(Panics, 1024 * 1024).unwrap();
    let error = pool.run("1", Default::default()).unwrap_err();
    assert_eq!(error.status(), Status::WorkerStartup);
    assert!(error.to_string().contains("no engine"), "{error}");
}

#[test]
fn many_workers_start_some_at_a_time() {
    let lab = Lab::default();
    lab.hold_launches(true);
    let most = STARTS_PER_CORE * crate::sync::cores();
    let opener = std::thread::spawn({
        let lab = lab.clone();
        move || {
            lab.wait_until(|seen| seen.launching == most);
            lab.hold_launches(false);
        }
    });
    let workers = 5 * most;
    let pool = lab.pool(PoolConfig { min_workers: workers, warm_on_init: true, ..config(workers) });
    opener.join().unwrap();
    assert_eq!(lab.seen().alive, workers);
    assert_eq!(lab.seen().most_launching, most);
    assert_eq!(pool.stats().workers.starting, 0);
    // Also where work asks for them, and some cannot start.
    let pool = lab.pool(config(workers));
    lab.fail_launches(3);
    lab.hold_launches(true);
    let executions: Vec<_> = (0..workers).map(|_| pool.submit("gate a", Default::default()).unwrap()).collect();
    lab.hold_launches(false);
    lab.wait_begun("gate a", workers);
    lab.open("a");
    for execution in executions {
        assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
    }
    assert_eq!(lab.seen().most_launching, most);
}

#[test]
fn whichever_thread_of_a_pool_cannot_be_made_it_is_one_error_and_nothing_stays_behind() {
    // The notifier, the supervisor and two workers.
    for refused in 0..=4 {
        let lab = Lab::default();
        let config = PoolConfig { min_workers: 2, warm_on_init: true, ..config(2) };
        let shortage = Shortage::of(refused..refused + 1);
        match lab.build(patient(config.clone())) {
            Ok(pool) => {
                assert_eq!(refused, 4);
                pool.run("1", Default::default()).unwrap();
            }
            Err(error) => {
                assert!(refused < 4);
                assert_eq!(error.status(), Status::WorkerStartup);
                let text = error.to_string();
                assert!(text.contains("could not be made: Resource temporarily unavailable"), "{text}");
                assert_eq!(text.matches("a worker could not be started").count(), 1, "{text}");
            }
        }
        drop(shortage);
        lab.wait_until(|seen| seen.alive == 0);
        lab.pool(config).run("1", Default::default()).unwrap();
    }
}

#[test]
fn a_pool_goes_on_when_threads_can_be_made_again() {
    let lab = Lab::default();
    let shortage = Shortage::of(0..0);
    let pool = lab.pool(config(2));
    for _ in 0..3 {
        shortage.refuse_all(true);
        for _ in 0..3 {
            let error = pool.run("1", Default::default()).unwrap_err();
            assert_eq!(error.status(), Status::WorkerStartup);
        }
        shortage.refuse_all(false);
        pool.run("1", Default::default()).unwrap();
        // One is there, and no second can be had.
        shortage.refuse_all(true);
        let gates: Vec<_> = (0..4).map(|_| pool.submit("gate a", Default::default()).unwrap()).collect();
        lab.open("a");
        for gate in gates {
            assert_eq!(status(&gate.wait().unwrap()), Status::Ok);
        }
        pool.run("condemn crash", Default::default()).unwrap_err();
        eventually("its worker has left", || pool.stats().workers.recycling == 0);
    }
    // It also ends while none can be made.
    drop(pool);
    assert_eq!(lab.seen().alive, 0);
}
