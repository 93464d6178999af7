//! What a worker process costs against a worker thread: `make bench-isolation`. Rounds of both alternate in one run, so
//! compare the two columns; medians over all rounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use enclave_core::{HostAllocator, Isolation, Pool, PoolConfig, Preset, ToolCall};

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

const ROUNDS: usize = 5;
const BOTH: [Isolation; 2] = [Isolation::Thread, Isolation::Process];

fn main() {
    println!("{:<44}{:>14}{:>14}{:>9}", "", "thread", "process", "ratio");
    compare("1+1, one after the other, p50 (µs)", |isolation| sequential(&pool(isolation, 1), "1+1"));
    compare("10 KB in, 10 KB out, p50 (µs)", |isolation| {
        sequential(&pool(isolation, 1), &format!("'{}'", "x".repeat(10_000)))
    });
    compare("1+1, queued, 1 worker (1/s)", |isolation| queued(&pool(isolation, 1)));
    compare("1+1, queued, 2 workers (1/s)", |isolation| queued(&pool(isolation, 2)));
    compare("tool call and answer, p50 (µs)", tool_call);
    compare("start of a worker to its first result (ms)", start);
    compare("endless loop: outcome after the deadline (ms)", |isolation| late(isolation, "for (;;);"));
    // A thread that runs on would disturb what is measured next.
    let native = "const a = 'a'.repeat(2 ** 24); a.indexOf('a'.repeat(2 ** 23) + 'b')";
    println!("native that never polls, in a process: {:.1} ms", late(Isolation::Process, native));
    println!("an idle worker process: {:.1} MB PSS, with one beside it", idle_memory());
}

fn config(isolation: Isolation, workers: usize) -> PoolConfig {
    let mut config = PoolConfig::preset(Preset::Standard);
    config.isolation = isolation;
    config.worker_path = Some(PathBuf::from(env!("CARGO_BIN_EXE_enclave-worker")));
    config.min_workers = workers;
    config.max_workers = workers;
    config.max_queue_size = 10_000;
    config.max_executions_per_worker = u64::MAX;
    config.limits.max_tool_calls = u32::MAX;
    config.max_messages_per_second = u32::MAX;
    config
}

fn pool(isolation: Isolation, workers: usize) -> Pool {
    Pool::new(config(isolation, workers)).expect("a pool")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(name: &str, measure: impl Fn(Isolation) -> f64) {
    let mut results = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (place, isolation) in BOTH.into_iter().enumerate() {
            results[place].push(measure(isolation));
        }
    }
    let [thread, process] = results.map(median);
    println!("{name:<44}{thread:>14.1}{process:>14.1}{:>9.2}", process / thread);
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn sequential(pool: &Pool, source: &str) -> f64 {
    let source: Arc<str> = source.into();
    let run = || {
        let begun = Instant::now();
        pool.run(source.clone(), Default::default()).expect("a value");
        micros(begun.elapsed())
    };
    (0..200).for_each(|_| {
        run();
    });
    median((0..3000).map(|_| run()).collect())
}

fn queued(pool: &Pool) -> f64 {
    const COUNT: usize = 6000;
    let (done, outcomes) = mpsc::channel();
    let start = Instant::now();
    for _ in 0..COUNT {
        let done = done.clone();
        let submitted = pool.submit_with("1+1", Default::default(), move |_| {
            let _ = done.send(());
        });
        submitted.expect("a place in the queue");
    }
    outcomes.iter().take(COUNT).for_each(drop);
    COUNT as f64 / start.elapsed().as_secs_f64()
}

fn tool_call(isolation: Isolation) -> f64 {
    const CALLS: usize = 1000;
    let builder = Pool::builder(config(isolation, 1));
    let pool = builder.tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args))).build().expect("a pool");
    let source = format!("for (let i = 0; i < {CALLS}; i++) await callTool('echo', i)");
    let run = || {
        let begun = Instant::now();
        pool.run(source.as_str(), Default::default()).expect("a value");
        micros(begun.elapsed()) / CALLS as f64
    };
    median((0..10).map(|_| run()).collect())
}

fn start(isolation: Isolation) -> f64 {
    // The engine of this process is started once; what follows is what a worker takes.
    let warm = pool(isolation, 1);
    let run = || {
        let config = PoolConfig { min_workers: 0, warm_on_init: false, ..config(isolation, 1) };
        let cold = Pool::new(config).expect("a pool");
        let begun = Instant::now();
        cold.run("1+1", Default::default()).expect("a value");
        micros(begun.elapsed()) / 1000.0
    };
    let result = median((0..15).map(|_| run()).collect());
    drop(warm);
    result
}

fn late(isolation: Isolation, source: &str) -> f64 {
    let mut config = config(isolation, 1);
    config.limits.timeout = Duration::from_millis(100);
    let pool = Pool::new(config).expect("a pool");
    let run = || {
        let begun = Instant::now();
        let outcome = pool.run_detailed(source, Default::default()).expect("an outcome");
        // The one before has cost the worker: this one has waited for the next.
        let took = begun.elapsed() - outcome.stats.queue_wait;
        outcome.result.as_ref().expect_err("a timeout");
        micros(took) / 1000.0 - 100.0
    };
    median((0..10).map(|_| run()).collect())
}

/// Proportional memory of one of two idle worker processes, in 10^6 bytes.
fn idle_memory() -> f64 {
    let pool = pool(Isolation::Process, 2);
    let executions: Vec<_> =
        (0..20).map(|_| pool.submit("1+1", Default::default()).expect("a place in the queue")).collect();
    executions.into_iter().for_each(|execution| drop(execution.wait()));
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
        let comm = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if comm.trim() == "enclave-worker"
            && let Ok(smaps) = std::fs::read_to_string(entry.path().join("smaps_rollup"))
        {
            let pss = smaps.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
            sizes.extend(pss.trim().trim_end_matches(" kB").trim().parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6));
        }
    }
    if sizes.is_empty() { f64::NAN } else { median(sizes) }
}
