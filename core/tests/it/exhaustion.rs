//! A host that runs out of descriptors or of address space while a pool starts, works and ends: one clear error, no crash,
//! and all is well when there is enough again. Each step has a process of its own, to have its own limits.

use enclave_core::{Error, Isolation, Pool, PoolConfig, Status, Value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{self, MIB};

const STEP: &str = "ENCLAVE_TEST_EXHAUSTION";

fn config(isolation: Isolation) -> PoolConfig {
    PoolConfig { max_workers: 3, memory_limit_per_worker: 256 * MIB, ..common::config(isolation) }
}

/// Runs a step of a test in a process of its own.
fn in_a_process(test: &str, step: &str) {
    let output = common::only(module_path!(), test).env(STEP, step).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} {step}: {}\n{said}", output.status);
}

fn isolation(name: &str) -> Isolation {
    if name == "thread" { Isolation::Thread } else { Isolation::Process }
}

/// So much of a resource there is, until it is lifted.
fn limit(resource: Resource, to: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: to.or(maximum), maximum }).unwrap();
}

fn descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1
}

/// Bytes of address space that this process has.
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

fn check(error: &Error) {
    let text = error.to_string();
    assert!(matches!(error.status(), Status::WorkerStartup | Status::WorkerCrashed | Status::MemoryLimit), "{text}");
    assert!(!text.contains("panic") && !text.contains("please report"), "{text}");
    assert!(text.matches("could not be started").count() <= 2, "{text}");
}

/// A pool from its start to its end, with work for more workers than it starts with.
fn use_a_pool(config: &PoolConfig) -> Result<(), Error> {
    let pool = Pool::new(config.clone())?;
    let source = "await new Promise(done => setTimeout(done, 5)); return [1 + 1]";
    let executions: Vec<_> = (0..6).map(|_| pool.submit(source, Default::default()).unwrap()).collect();
    for execution in executions {
        match &execution.wait().unwrap().result {
            Ok(value) => assert_eq!(*value, Value::from(vec![Value::from(2)])),
            Err(error) => check(error),
        }
    }
    // Its worker is replaced.
    match pool.run("for (;;) console.log(1)", Default::default()).unwrap_err() {
        Error::ConsoleLimit { .. } => {}
        error => check(&error),
    }
    if let Err(error) = pool.run("1", Default::default()) {
        check(&error);
    }
    pool.shutdown(None)
}

/// One step: a pool that lives while there is little of something, another that was there before, and a third afterwards.
fn step(config: &PoolConfig, little: impl Fn(bool)) {
    let before = Pool::new(config.clone()).ok();
    little(true);
    if let Err(error) = use_a_pool(config) {
        check(&error);
    }
    if let Some(pool) = &before
        && let Err(error) = pool.run("1", Default::default())
    {
        check(&error);
    }
    little(false);
    use_a_pool(config).unwrap();
    if let Some(pool) = before {
        assert_eq!(pool.run("1", Default::default()), Ok(Value::from(1)));
    }
}

#[test]
fn descriptors_may_run_out_at_any_step() {
    let Ok(name) = std::env::var(STEP) else {
        return ["thread", "process"].into_iter().for_each(|isolation| {
            in_a_process("descriptors_may_run_out_at_any_step", isolation);
        });
    };
    let config = config(isolation(&name));
    // What the process opens once for itself is open after this.
    use_a_pool(&config).unwrap();
    let at_rest = descriptors();
    let mut failures = 0;
    for more in 0..24 {
        limit(Resource::Nofile, Some(at_rest + more));
        let made = use_a_pool(&config).inspect_err(check);
        failures += usize::from(made.is_err());
        limit(Resource::Nofile, None);
        use_a_pool(&config).unwrap();
        assert_eq!(descriptors(), at_rest, "with {more} more");
    }
    assert_eq!(failures > 0, name == "process", "{failures}");
    for more in [0, 2, 4, 6, 8] {
        step(&config, |little| {
            limit(Resource::Nofile, little.then(|| descriptors() + more));
        });
        assert_eq!(descriptors(), at_rest, "with {more} more");
    }
}

#[test]
fn address_space_may_run_out_at_any_step() {
    let Ok(name) = std::env::var(STEP) else {
        for isolation in ["thread", "process"] {
            for mib in [0, 1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] {
                // Before the first pool is made, and when there is one.
                for started in ["new", "started"] {
                    in_a_process("address_space_may_run_out_at_any_step", &format!("{isolation} {mib} {started}"));
                }
            }
        }
        return;
    };
    let [name, mib, started] = *name.split(' ').collect::<Vec<_>>() else { panic!("{name}") };
    let config = config(isolation(name));
    let little = |little: bool| {
        limit(Resource::As, little.then(|| address_space() + mib.parse::<u64>().unwrap() * 1024 * 1024));
    };
    if started == "started" {
        return step(&config, little);
    }
    little(true);
    if let Err(error) = use_a_pool(&config) {
        check(&error);
        let text = error.to_string();
        assert!(text.contains("RLIMIT_AS") || text.contains("os error"), "{text}");
    }
    little(false);
    use_a_pool(&config).unwrap();
}
