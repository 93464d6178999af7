//! Many executions, every twentieth of them hostile: memory, threads and open files stay what they are. A test runs
//! some, the benchmark a million.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use enclave_core::{Execution, ExecutionOptions, Isolation, Pool, PoolConfig, Preset, RecycleReason, Status};

const ORDINARY: [(&str, Status); 6] = [
    ("1+1", Status::Ok),
    ("[...'hello world'].reverse().join('')", Status::Ok),
    ("JSON.parse(JSON.stringify({a: [1, 2, {b: 'c'}]}))", Status::Ok),
    ("let m = new Map(); for (let i = 0; i < 500; i++) m.set('k' + i, {i}); m.size", Status::Ok),
    ("await new Promise(resolve => setTimeout(resolve, 0)); return 'x'.repeat(20000)", Status::Ok),
    ("throw new Error('no')", Status::Exception),
];
const HOSTILE: [(&str, Status); 8] = [
    ("for (;;) {}", Status::Timeout),
    ("let a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", Status::MemoryLimit),
    ("const o = {}; for (let i = 0; ; i++) o['k' + i] = [i]", Status::MemoryLimit),
    ("for (;;) console.log('x'.repeat(1e5))", Status::ConsoleLimit),
    ("for (;;) callTool('none')", Status::ToolCallLimit),
    ("/^(a+)+$/.exec('a'.repeat(40) + 'b')", Status::Timeout),
    ("(function f() { f() })()", Status::Exception),
    ("(async () => { for (;;) await null })()", Status::Timeout),
];
/// Executions under way at a time.
const AHEAD: usize = 100;

/// What is in use by the process.
#[derive(Debug, PartialEq)]
struct InUse {
    mib: u64,
    threads: usize,
    files: usize,
}

impl InUse {
    fn now() -> InUse {
        let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
        let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
        let entries = |dir| std::fs::read_dir(dir).expect("Linux").count();
        InUse {
            mib: pages * 4096 / (1024 * 1024),
            threads: entries("/proc/self/task"),
            files: entries("/proc/self/fd"),
        }
    }
}

/// Runs so many executions, and panics if one ends in another way than it must or if what is in use grows.
pub fn soak(count: usize) {
    let mut config = PoolConfig::preset(Preset::Standard);
    // What grows would grow in this process.
    config.isolation = Isolation::Thread;
    (config.min_workers, config.max_workers) = (2, 2);
    config.max_executions_per_worker = 1000;
    config.memory_limit_per_worker = 32 * 1024 * 1024;
    config.max_messages_per_second = u32::MAX;
    config.queue_timeout = Duration::from_secs(600);
    // Ordinary ones may wait for a busy machine.
    config.limits.timeout = Duration::from_secs(300);
    let mut impatient = config.limits.clone();
    impatient.timeout = Duration::from_millis(5);
    let impatient = || ExecutionOptions { limits: Some(impatient.clone()), ..Default::default() };
    let pool = Pool::new(config).expect("a pool");

    let start = Instant::now();
    let mut executions: VecDeque<(Execution, &str, Status)> = VecDeque::new();
    let mut used = Vec::new();
    for index in 0..count {
        let (source, status) = match index % 20 {
            7 => HOSTILE[index / 20 % HOSTILE.len()],
            _ => ORDINARY[index % ORDINARY.len()],
        };
        let options = if status == Status::Timeout { impatient() } else { Default::default() };
        executions.push_back((pool.submit(source, options).expect("a place in the queue"), source, status));
        if executions.len() > AHEAD {
            executions.pop_front().into_iter().for_each(check);
        }
        if (index + 1) % (count / 10) == 0 {
            executions.drain(..).for_each(check);
            used.push(at_rest(&pool, used.first()));
        }
    }
    executions.into_iter().for_each(check);
    let stats = pool.stats();
    let recycles: u64 = RecycleReason::ALL.iter().map(|reason| stats.recycles(*reason)).sum();
    println!(
        "soak of {count} executions: {:.0}/s, {recycles} workers replaced; MiB after each tenth {:?}, {} threads, {} files",
        count as f64 / start.elapsed().as_secs_f64(),
        used.iter().map(|used| used.mib).collect::<Vec<_>>(),
        used[9].threads,
        used[9].files,
    );
    // What malloc and the kernel make of the same workload differs from time to time.
    let early = used[..3].iter().map(|used| used.mib).max().expect("three");
    let late = used[7..].iter().map(|used| used.mib).min().expect("three");
    assert!(late <= early + early / 10, "{used:?}");
}

fn check((execution, source, expected): (Execution, &str, Status)) {
    let outcome = execution.wait().expect("not a callback");
    let status = outcome.result.as_ref().map_or_else(|error| error.status(), |_| Status::Ok);
    assert_eq!(status, expected, "{source}: {:?}", outcome.result);
}

/// What is in use once the workers that were replaced have gone: no more threads and files than at first.
fn at_rest(pool: &Pool, first: Option<&InUse>) -> InUse {
    let start = Instant::now();
    loop {
        let workers = pool.stats().workers;
        let used = InUse::now();
        let settled = workers.idle == 2 && workers.set_aside == 0 && workers.recycling == 0;
        // The system forgets a thread a moment after it has ended.
        let gone = first.is_none_or(|first| used.threads <= first.threads && used.files <= first.files);
        if settled && gone {
            return used;
        }
        assert!(start.elapsed() < Duration::from_secs(300), "{workers:?}, {used:?}, {first:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
