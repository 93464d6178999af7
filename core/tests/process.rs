//! Workers that are processes: the same behaviour as threads, and what only a process can give.

use std::path::PathBuf;
use std::time::Duration;

use enclave_core::{ExecutionOptions, Isolation, Pool, PoolConfig, Status, Value};

#[global_allocator]
static ALLOCATOR: enclave_core::HostAllocator = enclave_core::HostAllocator;

fn config(workers: usize) -> PoolConfig {
    PoolConfig {
        isolation: Isolation::Process,
        worker_path: Some(PathBuf::from(env!("CARGO_BIN_EXE_enclave-worker"))),
        min_workers: workers,
        max_workers: workers,
        ..PoolConfig::default()
    }
}

fn run(pool: &Pool, source: &str) -> Result<Value, enclave_core::Error> {
    pool.run(source, ExecutionOptions::default())
}

#[test]
fn a_script_runs_in_a_process_and_its_sandbox_is_whole() {
    let pool = Pool::new(config(1)).unwrap();
    assert_eq!(run(&pool, "1 + 1").unwrap(), Value::Number(2.0));
    println!("{:?}", pool.stats());
    assert_eq!(pool.stats().sandbox_missing, []);
}

#[test]
fn an_endless_loop_ends_on_time_and_the_next_execution_works() {
    let mut config = config(1);
    config.limits.timeout = Duration::from_millis(200);
    let pool = Pool::new(config).unwrap();
    assert_eq!(run(&pool, "for (;;);").unwrap_err().status(), Status::Timeout);
    assert_eq!(run(&pool, "2 + 2").unwrap(), Value::Number(4.0));
}

#[test]
fn a_native_that_never_polls_is_ended_by_force() {
    let mut config = config(1);
    config.memory_limit_per_worker = 512 << 20;
    config.limits.timeout = Duration::from_millis(200);
    let pool = Pool::new(config).unwrap();
    let source = "const a = 'a'.repeat(2 ** 24); a.indexOf('a'.repeat(2 ** 23) + 'b')";
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let outcome = pool.run_detailed(source, ExecutionOptions::default()).unwrap();
        println!("{:?} {:?} {:?}", begun.elapsed(), outcome.result, outcome.stats);
        assert_eq!(run(&pool, "2 + 2").unwrap(), Value::Number(4.0));
    }
    println!("{:?}", pool.stats());
}
