//! Alone in its process, because it looks at the memory of all of it.

// Loom's models need no engine.
#![cfg(all(not(loom), target_os = "linux", target_env = "gnu"))]

use std::time::{Duration, Instant};

use enclave_core::{ExecutionOptions, HostAllocator, Isolation, Pool, PoolConfig, Preset};

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

/// Resident memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}

fn run_and_close(sources: usize) {
    let mut config = PoolConfig::preset(Preset::Standard);
    config.isolation = Isolation::Thread;
    (config.min_workers, config.max_workers) = (1, 1);
    let pool = Pool::new(config).unwrap();
    for number in 0..sources {
        let source = format!("const f = () => {number}; /*{}*/ f()", "x".repeat(130_000));
        pool.run(source.as_str(), ExecutionOptions::default()).unwrap();
    }
}

/// The C library keeps what is free between what is not, unless it is asked to give it back.
#[test]
fn what_is_free_is_given_back_when_the_workers_of_a_pool_end() {
    run_and_close(1);
    let before = resident();
    // As many workers leave it: much that is free, and a little that is not here and there.
    let kept = std::thread::spawn(|| {
        let mut blocks: Vec<_> = (0..3000).map(|_| vec![1u8; 100_000]).collect();
        let kept: Vec<_> = (0..100).map(|_| vec![1u8; 1000]).collect();
        let at = std::cell::Cell::new(0);
        blocks.retain(|_| at.replace(at.get() + 1) % 100 == 99);
        (blocks, kept)
    });
    let kept = kept.join().unwrap();
    let most = resident();
    assert!(most > before + 200, "{before} MiB, then {most}: there is nothing to give back");
    run_and_close(100);
    // The last worker leaves after its pool.
    let start = Instant::now();
    while resident() > before + 60 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(resident() <= before + 60, "{before} MiB, then {most}, {} in the end", resident());
    drop(kept);
}
