//! The pool under loom: its real state, drivers and supervisor, with fake workers, in every order in which their
//! threads can meet with two preemptions at most, which keeps it to a minute.
//!
//! A model that leaves a thread waiting for ever is a deadlock, which loom reports: so each of these also shows that no
//! wake-up is lost. Time stands still but for [`Model::pass`]. The notifier runs only in models where the supervisor
//! has something for the host: loom has a place for five threads.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p enclave-core --lib loom`

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::builder::start_thread;
use super::patience::Patience;
use super::shared::Shared;
use super::{Pool, notifier, supervisor};
use crate::config::{Isolation, PoolConfig};
use crate::contract::{Control, Host, KillReason, Launcher, Report, Request, Worker};
use crate::error::{Error, Status};
use crate::execution::{ExecutionStats, Outcome};
use crate::sync::{Condvar, Mutex, lock, wait_until};
use crate::value::Value;

/// Longer than any time limit of a model.
const LATER: Duration = Duration::from_secs(1000);

#[derive(Default)]
struct Lab {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    /// Whether executions that wait for the gate go on.
    open: bool,
    killed: Vec<(u64, KillReason)>,
    alive: usize,
    most_alive: usize,
}

impl Lab {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut lock(&self.seen));
        self.changed.notify_all();
    }
}

struct FakeLauncher(Arc<Lab>);
struct FakeWorker(Arc<Lab>);
struct FakeControl(Arc<Lab>);

impl Launcher for FakeLauncher {
    type Worker = FakeWorker;

    fn launch(&self, _: u64) -> Result<FakeWorker, Error> {
        self.0.change(|seen| {
            seen.alive += 1;
            seen.most_alive = seen.most_alive.max(seen.alive);
        });
        Ok(FakeWorker(self.0.clone()))
    }
}

impl Worker for FakeWorker {
    fn control(&self) -> Arc<dyn Control> {
        Arc::new(FakeControl(self.0.clone()))
    }

    /// `gate` waits for the gate or a kill, `stuck` for the gate only; all else is done at once.
    fn execute(&mut self, request: &Request, _: &dyn Host) -> Result<Report, crate::contract::RecycleReason> {
        let mut seen = lock(&self.0.seen);
        let killed = |seen: &Seen| seen.killed.iter().find(|(id, _)| *id == request.id).map(|(_, reason)| *reason);
        let kind = &*request.source;
        while (kind == "gate" || kind == "stuck") && !seen.open && (kind == "stuck" || killed(&seen).is_none()) {
            seen = wait_until(&self.0.changed, seen, None);
        }
        let error = killed(&seen).filter(|_| kind == "gate").map(|reason| match reason {
            KillReason::Timeout | KillReason::CpuLimit => Error::Timeout { limit: request.limits.timeout },
            KillReason::Cancelled => Error::Cancelled,
            KillReason::Shutdown => Error::PoolClosed,
        });
        let condemned = error.as_ref().map(|_| crate::contract::RecycleReason::Cancelled);
        Ok(Report { result: error.map_or(Ok(Value::Null), Err), stats: ExecutionStats::default(), condemned })
    }

    fn rest(&mut self, _: crate::contract::Pause) {}

    fn memory(&self) -> u64 {
        1
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.0.change(|seen| seen.alive -= 1);
    }
}

impl Control for FakeControl {
    fn kill(&self, execution_id: u64, reason: KillReason) {
        self.0.change(|seen| seen.killed.push((execution_id, reason)));
    }

    fn cpu_time(&self) -> Option<Duration> {
        None
    }
}

/// A pool whose supervisor runs as a thread of the model.
struct Model {
    pool: Pool,
    lab: Arc<Lab>,
    called: Arc<AtomicUsize>,
}

impl Model {
    fn new(config: PoolConfig) -> Arc<Model> {
        crate::sync::reset();
        let lab = Arc::new(Lab::default());
        let patience = Patience { kill: LATER / 2, shutdown: LATER, rest: LATER };
        let builder = Pool::builder(config).patience(patience);
        let shared: Arc<Shared> = builder.share(FakeLauncher(lab.clone()), 0);
        let thread = start_thread(&shared, "supervisor", supervisor::run).unwrap();
        *lock(&shared.supervisor_thread) = Some(thread);
        let pool = Pool::of(shared);
        Arc::new(Model { pool, lab, called: Arc::default() })
    }

    fn with_notifier(config: PoolConfig) -> Arc<Model> {
        let model = Model::new(config);
        let thread = start_thread(&model.pool.shared, "notifier", notifier::run).unwrap();
        *lock(&model.pool.shared.notifier_thread) = Some(thread);
        model
    }

    /// Submits with a callback that counts.
    fn submit(&self, source: &str) -> Result<super::Execution, Error> {
        let called = self.called.clone();
        self.pool.submit_with(source, Default::default(), move |_| {
            called.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Lets time pass, and the supervisor see it.
    fn pass(&self, time: Duration) {
        crate::sync::advance(time);
        lock(&self.pool.shared.state).poked = true;
        self.pool.shared.supervisor.notify_one();
    }

    /// Shuts down, and checks what must hold at the end of every model: each of so many executions has ended once, and
    /// nothing is left.
    fn end(&self, executions: usize) {
        self.pool.shutdown(Some(Duration::ZERO)).unwrap();
        assert_eq!(self.called.load(Ordering::Relaxed), executions);
        let stats = self.pool.stats();
        // A refused submission counts too.
        assert!((executions..=executions + 1).contains(&(stats.total_executions() as usize)));
        assert_eq!(stats.workers, Default::default());
        assert_eq!(stats.queue_depth, 0);
        assert_eq!(lock(&self.lab.seen).alive, 0);
    }
}

fn config(max_workers: usize) -> PoolConfig {
    let mut config = PoolConfig {
        isolation: Isolation::Thread,
        min_workers: 0,
        max_workers,
        warm_on_init: false,
        queue_timeout: LATER * 10,
        idle_timeout: LATER * 10,
        ..PoolConfig::default()
    };
    config.limits.timeout = LATER;
    config
}

fn status(outcome: &Outcome) -> Status {
    outcome.result.as_ref().map_or_else(Error::status, |_| Status::Ok)
}

/// Explores a model whole, in every order with so many preemptions at most. (With 3 it takes hours.)
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 10_000;
    builder.check(model);
}

fn spawn(model: &Arc<Model>, run: impl FnOnce(&Model) + 'static) -> loom::thread::JoinHandle<()> {
    let model = model.clone();
    loom::thread::spawn(move || run(&model))
}

#[test]
fn a_worker_that_goes_idle_misses_no_submission() {
    check(|| {
        let model = Model::new(config(1));
        for _ in 0..2 {
            assert_eq!(status(&model.submit("1").unwrap().wait().unwrap()), Status::Ok);
        }
        model.end(2);
    });
}

#[test]
fn submissions_from_two_threads_are_both_served_by_one_worker() {
    check(|| {
        let model = Model::new(config(1));
        let other = spawn(&model, |model| {
            model.submit("1").unwrap().wait().unwrap();
        });
        model.submit("1").unwrap().wait().unwrap();
        other.join().unwrap();
        assert_eq!(lock(&model.lab.seen).most_alive, 1);
        model.end(2);
    });
}

#[test]
fn two_workers_serve_two_submissions_and_are_never_three() {
    check(|| {
        let model = Model::new(config(2));
        let executions = [model.submit("1").unwrap(), model.submit("1").unwrap(), model.submit("1").unwrap()];
        for execution in executions {
            assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
        }
        assert!(lock(&model.lab.seen).most_alive <= 2);
        model.end(3);
    });
}

#[test]
fn a_replacement_serves_what_waits_and_is_one_worker_more_at_most() {
    check(|| {
        let model = Model::new(PoolConfig { max_executions_per_worker: 1, ..config(1) });
        let executions = [model.submit("1").unwrap(), model.submit("1").unwrap()];
        for execution in executions {
            assert_eq!(status(&execution.wait().unwrap()), Status::Ok);
        }
        assert!(lock(&model.lab.seen).most_alive <= 2);
        model.end(2);
    });
}

#[test]
fn cancelling_ends_an_execution_once_wherever_it_is() {
    check(|| {
        let model = Model::new(config(1));
        let execution = model.submit("gate").unwrap();
        let canceller = loom::thread::spawn({
            let execution = execution.clone();
            move || execution.cancel().unwrap()
        });
        assert_eq!(status(&execution.wait().unwrap()), Status::Cancelled);
        canceller.join().unwrap();
        model.end(1);
    });
}

#[test]
fn finishing_and_cancelling_at_once_give_one_outcome() {
    check(|| {
        let model = Model::new(config(1));
        let execution = model.submit("1").unwrap();
        let canceller = loom::thread::spawn({
            let execution = execution.clone();
            move || execution.cancel().unwrap()
        });
        let status = status(&execution.wait().unwrap());
        assert!(matches!(status, Status::Ok | Status::Cancelled));
        canceller.join().unwrap();
        model.end(1);
    });
}

#[test]
fn submitting_and_shutting_down_at_once_leaves_nothing_unanswered() {
    check(|| {
        let model = Model::new(config(1));
        let closer = spawn(&model, |model| model.pool.shutdown(Some(Duration::ZERO)).unwrap());
        let admitted = match model.submit("gate") {
            Ok(execution) => {
                assert_eq!(status(&execution.wait().unwrap()), Status::PoolClosed);
                1
            }
            Err(error) => {
                assert_eq!(error, Error::PoolClosed);
                0
            }
        };
        closer.join().unwrap();
        model.end(admitted);
    });
}

#[test]
fn finishing_and_shutting_down_at_once_give_one_outcome() {
    check(|| {
        let model = Model::new(config(1));
        let execution = model.submit("1").unwrap();
        let closer = spawn(&model, |model| model.pool.shutdown(Some(Duration::ZERO)).unwrap());
        let status = status(&execution.wait().unwrap());
        assert!(matches!(status, Status::Ok | Status::PoolClosed));
        closer.join().unwrap();
        model.end(1);
    });
}

#[test]
fn two_shutdowns_at_once_both_return() {
    check(|| {
        let model = Model::new(config(1));
        model.submit("1").unwrap();
        let other = spawn(&model, |model| model.pool.shutdown(Some(Duration::ZERO)).unwrap());
        model.pool.shutdown(Some(Duration::ZERO)).unwrap();
        other.join().unwrap();
        model.end(1);
    });
}

#[test]
fn finishing_and_timing_out_at_once_give_one_outcome() {
    check(|| {
        let model = Model::new(config(1));
        let execution = model.submit("gate").unwrap();
        let opener = spawn(&model, |model| model.lab.change(|seen| seen.open = true));
        model.pass(LATER);
        let status = status(&execution.wait().unwrap());
        assert!(matches!(status, Status::Ok | Status::Timeout));
        opener.join().unwrap();
        model.end(1);
    });
}

#[test]
fn coming_back_and_being_set_aside_at_once_give_one_outcome() {
    check(|| {
        let model = Model::with_notifier(config(1));
        let execution = model.submit("stuck").unwrap();
        let opener = spawn(&model, |model| model.lab.change(|seen| seen.open = true));
        execution.cancel().unwrap();
        model.pass(LATER);
        let status = status(&execution.wait().unwrap());
        assert!(matches!(status, Status::Ok | Status::Cancelled));
        opener.join().unwrap();
        // A worker that was set aside may still be about to go, but the callback has been called.
        model.pool.shutdown(Some(Duration::ZERO)).unwrap();
        assert_eq!(model.called.load(Ordering::Relaxed), 1);
        assert_eq!(model.pool.stats().total_executions(), 1);
    });
}

#[test]
fn a_submission_that_meets_the_end_of_an_idle_worker_is_served() {
    check(|| {
        let model = Model::new(PoolConfig { idle_timeout: LATER / 4, ..config(1) });
        model.submit("1").unwrap().wait().unwrap();
        model.pass(LATER / 2);
        assert_eq!(status(&model.submit("1").unwrap().wait().unwrap()), Status::Ok);
        model.end(2);
    });
}

#[test]
fn a_submission_that_meets_the_end_of_its_wait_ends_once() {
    check(|| {
        let model = Model::with_notifier(PoolConfig { queue_timeout: LATER / 4, ..config(1) });
        let execution = model.submit("1").unwrap();
        model.pass(LATER / 2);
        let status = status(&execution.wait().unwrap());
        assert!(matches!(status, Status::Ok | Status::QueueTimeout));
        model.end(1);
    });
}
