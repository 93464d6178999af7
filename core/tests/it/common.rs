//! What the tests have in common: pools in which nothing ends by accident, and short ways to run a source.

use std::process::Command;
use std::time::{Duration, Instant};

use enclave_core::{ExecutionLimits, ExecutionOptions, Isolation, Pool, PoolConfig, Status, Value};

pub const MIB: u64 = 1024 * 1024;

/// How much longer than the engine of a release the debug engine takes, at most, under GC zeal as well.
pub const SLOWNESS: u64 = if cfg!(feature = "debug-engine") { 10 } else { 1 };

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(300 * SLOWNESS);

/// The program that is the worker, of isolation in processes.
pub const WORKER: &str = env!("CARGO_BIN_EXE_enclave-worker");

/// Where workers run. The sandbox is made for the engine of a release.
pub const ISOLATIONS: &[Isolation] = match cfg!(feature = "debug-engine") {
    true => &[Isolation::Thread],
    false => &[Isolation::Thread, Isolation::Process],
};

/// A pool of one worker, in which nothing but what a test sets ends an execution.
pub fn config(isolation: Isolation) -> PoolConfig {
    let mut config = PoolConfig {
        isolation,
        worker_path: Some(WORKER.into()),
        min_workers: 1,
        max_workers: 1,
        queue_timeout: LONG,
        ..PoolConfig::default()
    };
    config.limits.timeout = LONG;
    config
}

/// The value of a source, which must have one.
pub fn run(pool: &Pool, source: &str) -> Value {
    pool.run(source, ExecutionOptions::default()).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// How a source ends.
pub fn status(pool: &Pool, source: &str) -> Status {
    status_with(pool, source, ExecutionOptions::default())
}

pub fn status_with(pool: &Pool, source: &str, options: ExecutionOptions) -> Status {
    pool.run(source, options).map_or_else(|error| error.status(), |_| Status::Ok)
}

/// Waits for workers that have come too late to their end, as they may on a busy machine, and were set aside: when too
/// many are, a pool runs nothing more.
pub fn await_late(pool: &Pool) {
    let until = Instant::now() + LONG;
    while pool.stats().workers.set_aside > 0 {
        assert!(Instant::now() < until, "{:?}", pool.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Loses a thread of a pool of threads with 64 MiB: the compiler of regular expressions cannot fail, and sleeps for ever
/// where it finds no memory. How much has to be taken before, to leave it less than it needs, differs between engines.
pub fn lose_a_worker(pool: &Pool) {
    let before = pool.stats().workers.set_aside;
    for mib in (71..79).cycle().take(80) {
        let lost = format!(
            "try {{ const kept = new ArrayBuffer({mib} * 2 ** 20); /\\p{{RGI_Emoji}}/v.test('x'); for (;;); }}
             catch (e) {{}} finally {{ 'caught' }} 'on'"
        );
        assert_eq!(status(pool, &lost), Status::MemoryLimit);
        if pool.stats().workers.set_aside > before {
            return;
        }
    }
    panic!("no thread was lost");
}

/// The limits of [`config`], changed.
pub fn limited(change: impl FnOnce(&mut ExecutionLimits)) -> ExecutionOptions {
    let mut limits = config(Isolation::Thread).limits;
    change(&mut limits);
    ExecutionOptions { limits: Some(limits), ..Default::default() }
}

/// This program, for one of its tests alone.
pub fn only(module_path: &str, test: &str) -> Command {
    let (_, module) = module_path.split_once("::").expect("a module of this program");
    let mut command = Command::new(std::env::current_exe().expect("Linux"));
    command.args(["--exact", &format!("{module}::{test}"), "--nocapture"]);
    command
}

/// Whether this runs in a process that runs no other test; if it does not, runs it in such a one.
pub fn is_alone(module_path: &str, test: &str) -> bool {
    const ALONE: &str = "ENCLAVE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    assert!(only(module_path, test).env(ALONE, "1").status().expect("it starts").success());
    false
}
