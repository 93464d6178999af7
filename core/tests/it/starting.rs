//! The first pool of a process that has too few threads or too little address space: it is refused with an error that
//! names the remedy, and the next one is made when there is enough. Each test has a process of its own, because the
//! engine starts once.

use enclave_core::{Error, Isolation, Pool, PoolConfig, Status, Value};

use crate::common::{self, MIB, run};

const NOBODY: u32 = 65534;

fn new_pool() -> Result<Pool, Error> {
    Pool::new(PoolConfig { max_workers: 2, memory_limit_per_worker: 256 * MIB, ..common::config(Isolation::Thread) })
}

fn works(pool: &Pool) {
    assert_eq!(run(pool, "1 + 1"), Value::Number(2.0));
}

/// Sets a soft limit, and leaves the hard one.
fn limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls with a valid place.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limits), 0);
        limits.rlim_cur = soft.min(limits.rlim_max);
        assert_eq!(libc::setrlimit(resource, &limits), 0);
    }
}

fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn too_little_address_space_is_an_error_that_is_not_remembered() {
    if !common::is_alone(module_path!(), "too_little_address_space_is_an_error_that_is_not_remembered") {
        return;
    }
    for more in [256, 1024, 2000] {
        limit(libc::RLIMIT_AS, address_space() + more * MIB);
        let error = new_pool().unwrap_err();
        assert_eq!(error.status(), Status::WorkerStartup, "{more}: {error}");
    }
    assert!(new_pool().unwrap_err().to_string().contains("RLIMIT_AS"));
    limit(libc::RLIMIT_AS, u64::MAX);
    let pool = new_pool().unwrap();
    works(&pool);
    // The engine runs, and there is room for threads, but not for another runtime.
    limit(libc::RLIMIT_AS, address_space() + 22 * MIB);
    let error = new_pool().unwrap_err();
    assert_eq!(error.status(), Status::WorkerStartup, "{error}");
    limit(libc::RLIMIT_AS, u64::MAX);
    works(&new_pool().unwrap());
    works(&pool);
}

#[test]
fn too_few_threads_are_an_error_that_is_not_remembered() {
    if !common::is_alone(module_path!(), "too_few_threads_are_an_error_that_is_not_remembered") {
        return;
    }
    // The number of threads is not limited for root.
    // SAFETY: plain calls; whoever is not root stays who it is.
    unsafe {
        if libc::getuid() == 0 {
            assert_eq!(libc::setgid(NOBODY), 0);
            assert_eq!(libc::setuid(NOBODY), 0);
        }
    }
    // One more thread at a time: any of those that a pool and the engine start is once the first that is not to be had.
    let made = (1..100_000).find_map(|threads| {
        limit(libc::RLIMIT_NPROC, threads);
        match new_pool() {
            Ok(pool) => Some((threads, pool)),
            Err(error) => {
                assert_eq!(error.status(), Status::WorkerStartup, "{threads}: {error}");
                None
            }
        }
    });
    let (threads, pool) = made.unwrap();
    assert!(threads > 3, "the limit had no effect");
    works(&pool);
}
