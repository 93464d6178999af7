//! What the pool costs: `make bench`. Each number is measured in the same run as the others, so compare them within one
//! run; medians of several rounds, with the spread. `make bench ARGS=soak` runs a million executions, every
//! twentieth of them hostile, and fails if memory, threads or files grow; `ARGS="soak 100000"` runs fewer.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use enclave_core::{HostAllocator, Pool, PoolConfig, Preset, ToolCall};
use hdrhistogram::Histogram;

#[path = "../tests/soak/mod.rs"]
mod soak;

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

const ROUNDS: usize = 5;
const SEQUENTIAL: usize = 4000;
const QUEUED: usize = 8000;
const TOOL_CALLS: usize = 1000;

fn main() {
    if std::env::args().any(|argument| argument == "soak") {
        let count = std::env::args().find_map(|argument| argument.parse().ok());
        return soak::soak(count.unwrap_or(1_000_000));
    }
    println!("{:<46}{:>12}{:>10}{:>10}{:>12}", "", "median/s", "p50 µs", "p99 µs", "spread");
    for (name, source) in [("1+1", "1+1"), ("1000 steps", "let s=0; for (let i=0;i<1000;i++) s+=i; s")] {
        let pool = pool(1);
        report(&format!("{name}, one after the other"), || sequential(&pool, source));
    }
    for workers in [1, 2] {
        let pool = pool(workers);
        report(&format!("1+1, queued, {workers} worker(s)"), || queued(&pool));
    }
    let pool = pool_with_tool();
    report("tool call and answer (per call)", || tool_calls(&pool));
}

fn config(workers: usize) -> PoolConfig {
    let mut config = PoolConfig::preset(Preset::Standard);
    config.min_workers = workers;
    config.max_workers = workers;
    config.max_queue_size = QUEUED;
    config.max_executions_per_worker = u64::MAX;
    config.limits.max_tool_calls = u32::MAX;
    config.max_messages_per_second = u32::MAX;
    config
}

fn pool(workers: usize) -> Pool {
    Pool::new(config(workers)).expect("a pool")
}

fn pool_with_tool() -> Pool {
    let builder = Pool::builder(config(1));
    builder.tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args))).build().expect("a pool")
}

/// One round: how many per second, and how long each took.
struct Round {
    per_second: f64,
    latencies: Histogram<u64>,
}

fn round(count: usize, took: Duration, latencies: Histogram<u64>) -> Round {
    Round { per_second: count as f64 / took.as_secs_f64(), latencies }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits")
}

fn report(name: &str, mut run: impl FnMut() -> Round) {
    run();
    let mut rounds: Vec<Round> = (0..ROUNDS).map(|_| run()).collect();
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let (least, most) = (rounds[0].per_second, rounds[ROUNDS - 1].per_second);
    let median = &rounds[ROUNDS / 2];
    let micros = |quantile| median.latencies.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "{name:<46}{:>12.0}{:>10.1}{:>10.1}{:>11.0}%",
        median.per_second,
        micros(0.5),
        micros(0.99),
        (most - least) / median.per_second * 100.0
    );
}

fn sequential(pool: &Pool, source: &str) -> Round {
    let source: Arc<str> = source.into();
    let mut latencies = histogram();
    let start = Instant::now();
    for _ in 0..SEQUENTIAL {
        let begun = Instant::now();
        pool.run(source.clone(), Default::default()).expect("a value");
        latencies.record(begun.elapsed().as_nanos() as u64).expect("less than years");
    }
    round(SEQUENTIAL, start.elapsed(), latencies)
}

fn queued(pool: &Pool) -> Round {
    let source: Arc<str> = "1+1".into();
    let (done, outcomes) = mpsc::channel();
    let mut latencies = histogram();
    let start = Instant::now();
    for _ in 0..QUEUED {
        let done = done.clone();
        let submitted = pool.submit_with(source.clone(), Default::default(), move |outcome| {
            let _ = done.send(outcome.stats.run_time);
        });
        submitted.expect("a place in the queue");
    }
    for run_time in outcomes.iter().take(QUEUED) {
        latencies.record(run_time.as_nanos() as u64).expect("less than years");
    }
    round(QUEUED, start.elapsed(), latencies)
}

fn tool_calls(pool: &Pool) -> Round {
    let source = format!("for (let i = 0; i < {TOOL_CALLS}; i++) await callTool('echo', i)");
    let mut latencies = histogram();
    let start = Instant::now();
    for _ in 0..10 {
        let begun = Instant::now();
        pool.run(source.as_str(), Default::default()).expect("a value");
        latencies.record(begun.elapsed().as_nanos() as u64 / TOOL_CALLS as u64).expect("less than years");
    }
    round(10 * TOOL_CALLS, start.elapsed(), latencies)
}
