//! Workers that cannot be started.

use super::fake::*;
use crate::config::PoolConfig;
use crate::error::{Error, Status};
use crate::pool::Pool;

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
