//! Worker processes that are killed, stopped and crashed at random moments under load; and many that are recycled.
//!
//! The numbers are small, so that the tests are short; `ENCLAVE_KILLS=1000` and `ENCLAVE_RECYCLES=10000` make them long.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use enclave_core::{Isolation, Outcome, Pool, PoolConfig, RecycleReason, Status};

#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(300);

/// The tests count and kill the children of this process, so they run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

fn config(workers: usize) -> PoolConfig {
    let mut config = PoolConfig {
        isolation: Isolation::Process,
        worker_path: Some(PathBuf::from(env!("CARGO_BIN_EXE_enclave-worker"))),
        min_workers: workers,
        max_workers: workers,
        ..PoolConfig::default()
    };
    config.queue_timeout = LONG;
    // What a stopped worker runs ends by this.
    config.limits.timeout = Duration::from_secs(1);
    config
}

/// Worker processes that are children of this process, also those that nobody has waited for yet.
fn workers() -> Vec<i32> {
    let own = std::process::id().to_string();
    let parent_and_name = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        Some((rest.split(' ').nth(1)?.to_owned(), name.ends_with("(enclave-worker")))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_and_name(*pid).is_some_and(|(parent, is_worker)| parent == own && is_worker))
        .collect()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Numbers that look random, and are the same in every run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn whatever_happens_to_workers_every_execution_has_one_outcome_and_the_pool_recovers() {
    let _alone = alone();
    drop(Pool::new(config(2)).unwrap());
    let descriptors_before = descriptors();
    let pool = Pool::new(config(2)).unwrap();
    let (completed, succeeded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut statuses = BTreeMap::<Status, u64>::new();
    let mut submitted = 0;
    std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut state = 0x9e37_79b9_7f4a_7c15;
            for _ in 0..setting("ENCLAVE_KILLS", 15) {
                // After some more have come through, however long that takes, and not at a moment between two of them.
                let enough = succeeded.load(Ordering::Relaxed) + 50 + random(&mut state) % 200;
                let until = Instant::now() + LONG;
                while succeeded.load(Ordering::Relaxed) < enough {
                    assert!(Instant::now() < until, "the pool does not recover: {:?}", pool.stats());
                    std::thread::sleep(Duration::from_millis(1));
                }
                std::thread::sleep(Duration::from_micros(random(&mut state) % 2000));
                let alive = workers();
                if let Some(worker) = alive.get(random(&mut state) as usize % alive.len().max(1)) {
                    let signals = [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV];
                    // SAFETY: a signal to a child of ours, or to nobody.
                    unsafe { libc::kill(*worker, signals[random(&mut state) as usize % signals.len()]) };
                }
            }
        });
        let sources = ["1 + 1", "let s = 0; for (let i = 0; i < 1e6; i++) s += i; s", "console.log('x'); [1, {a: 2}]"];
        while !killer.is_finished() {
            let batch: Vec<_> = (0..50)
                .map(|index| {
                    let source = sources[index % sources.len()];
                    let (completed, succeeded) = (completed.clone(), succeeded.clone());
                    submitted += 1;
                    let count = move |outcome: Arc<Outcome>| {
                        succeeded.fetch_add(u64::from(outcome.result.is_ok()), Ordering::Relaxed);
                        completed.fetch_add(1, Ordering::Relaxed);
                    };
                    pool.submit_with(source, Default::default(), count).unwrap()
                })
                .collect();
            for execution in batch {
                let outcome = execution.wait_timeout(LONG).unwrap().expect("an outcome");
                let status = outcome.result.as_ref().map_or_else(enclave_core::Error::status, |_| Status::Ok);
                *statuses.entry(status).or_default() += 1;
            }
        }
    });
    println!("{submitted} executions: {statuses:?}");
    // One that is killed while it starts could not be started, which ends what waits for nobody else.
    let known = [Status::Ok, Status::Timeout, Status::WorkerCrashed, Status::WorkerStartup];
    assert!(statuses.keys().all(|status| known.contains(status)), "{statuses:?}");
    assert!(statuses[&Status::Ok] > submitted / 2, "{statuses:?}");
    assert!(pool.stats().recycles(RecycleReason::Crash) > 0, "{:?}", pool.stats());

    // The last victims are noticed, replaced, and gone.
    let until = Instant::now() + LONG;
    let whole = || {
        let counts = pool.stats().workers;
        (counts.idle, counts.starting, counts.executing, counts.recycling, counts.set_aside) == (2, 0, 0, 0, 0)
    };
    while !whole() || workers().len() != 2 {
        assert!(Instant::now() < until, "{:?}, {:?}", pool.stats(), workers());
        // One that was stopped while it was idle is only found by an execution.
        let _ = pool.run("1", Default::default());
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(pool);
    assert_eq!(completed.load(Ordering::Relaxed), submitted);
    // One that was stopped while it tidied up was set aside, and killed, when the pool had waited long enough.
    let until = Instant::now() + LONG;
    while (workers(), descriptors()) != (Vec::new(), descriptors_before) {
        assert!(Instant::now() < until, "{:?}, {} descriptors, not {descriptors_before}", workers(), descriptors());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn recycled_workers_leave_nothing_behind() {
    let _alone = alone();
    let recycles = setting("ENCLAVE_RECYCLES", 300);
    let pool = Pool::new(PoolConfig { max_executions_per_worker: 1, ..config(2) }).unwrap();
    let run = |count: u64| {
        for _ in 0..count {
            pool.run("1 + 1", Default::default()).unwrap();
        }
    };
    let settled = |pool: &Pool| {
        let until = Instant::now() + LONG;
        while pool.stats().workers.idle != 2 || pool.stats().workers.recycling != 0 {
            assert!(Instant::now() < until, "{:?}", pool.stats());
            std::thread::sleep(Duration::from_millis(1));
        }
        (workers().len(), descriptors())
    };
    run(recycles / 10);
    let before = settled(&pool);
    let resident_before = resident();
    run(recycles);
    assert_eq!(settled(&pool), before);
    let grown = resident().saturating_sub(resident_before);
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert_eq!(pool.stats().recycles(RecycleReason::MaxExecutions), recycles + recycles / 10);
}
