//! Alone in its process, because it looks at the memory of all of it.

// Loom's models need no engine.
#![cfg(not(loom))]

use enclave_core::{HostAllocator, Isolation, Pool, PoolConfig, Preset};

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[test]
fn memory_stays_flat_over_many_executions() {
    let mut config = PoolConfig::preset(Preset::Standard);
    config.isolation = Isolation::Thread;
    (config.min_workers, config.max_workers) = (1, 1);
    config.max_executions_per_worker = u64::MAX;
    let pool = Pool::new(config).unwrap();
    let run = |count| {
        for _ in 0..count {
            pool.run("[...'hello world'].reverse().map(c => ({ c })).length", Default::default()).unwrap();
        }
        resident()
    };
    let (after_first, after_all) = (run(1500), run(6000));
    assert!(after_all <= after_first + after_first / 20, "{after_first} KiB, then {after_all} KiB");
}
