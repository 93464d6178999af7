//! enclave through its Rust API; also everything that only one contestant has to measure: how a worker starts, how
//! late a kill is, what an idle worker holds, what submitters and stats cost.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use enclave_bench::{Failure, count, latencies, round, serve, text, unsupported};
use enclave_core::{
    ExecutionOptions, HostAllocator, Isolation, Outcome, Pool, PoolConfig, Preset, Script, Source, ToolCall, Value,
    json as enclave_json,
};
use serde_json::{Value as Json, json};

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

const MAX_IN_FLIGHT: usize = 100_000;
const MAX_DEPTH: u32 = 512;

fn main() {
    let greeting = json!({
        "contestant": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "engine": "SpiderMonkey 153",
        "notes": "timeout 5 s and memory 128 MiB a worker, both also inside of native functions",
    });
    let mut pools = HashMap::new();
    serve(greeting, |request| match request["op"].as_str() {
        Some("run") => run(&mut pools, request),
        Some("cold_start") => cold_start(&mut pools, request),
        Some("kill") => kill(request),
        Some("memory") => idle_memory(request),
        _ => unsupported("no such op"),
    });
    // Without waiting for what does not end.
    std::process::exit(0);
}

/// What pools differ in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    isolation: Isolation,
    workers: usize,
    /// Stats are given to a callback every millisecond.
    stats: bool,
}

impl Kind {
    fn of(request: &Json) -> Result<Kind, Failure> {
        let isolation = match request["isolation"].as_str() {
            Some("thread") | None => Isolation::Thread,
            Some("process") => Isolation::Process,
            Some(_) => return unsupported("no such isolation"),
        };
        Ok(Kind { isolation, workers: count(request, "workers")?, stats: request["options"]["stats"] == "callback" })
    }

    /// STANDARD, with the limits of the protocol. What would end a benchmark (queue, messages) is wide.
    fn config(self) -> PoolConfig {
        let mut config = PoolConfig::preset(Preset::Standard);
        config.isolation = self.isolation;
        config.min_workers = self.workers;
        config.max_workers = self.workers;
        config.memory_limit_per_worker = 128 << 20;
        config.max_queue_size = MAX_IN_FLIGHT;
        config.queue_timeout = Duration::from_secs(600);
        config.max_executions_per_worker = u64::MAX;
        config.max_messages_per_second = 1_000_000;
        config.stats_interval = Duration::from_millis(1);
        config.limits.timeout = Duration::from_secs(5);
        config
    }

    fn pool(self) -> Result<Pool, Failure> {
        let mut builder = Pool::builder(self.config());
        if self.stats {
            builder = builder.on_stats_update(|stats| assert!(stats.active_workers < usize::MAX));
        }
        Ok(builder.tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args))).build()?)
    }
}

/// What is executed, and what must come out.
struct Work {
    source: Arc<str>,
    form: Form,
    /// JSON: it is read for each execution, and the result is written as JSON.
    input: Option<String>,
    expect: Json,
}

/// In which form a source is given to the pool.
enum Form {
    /// The same text again and again.
    Same,
    /// A text that was not there before: with a comment that counts.
    New(AtomicU64),
    Compiled(Script),
}

impl Work {
    fn of(request: &Json, pool: &Pool) -> Result<Work, Failure> {
        // No two texts are the same in all rounds.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let source: Arc<str> = text(request, "source")?.into();
        let options = &request["options"];
        let form = match options["compiled"] == true {
            true => Form::Compiled(pool.compile(source.clone(), Default::default())?),
            false if options["source"] == "new" => Form::New(NEXT.fetch_add(1 << 32, Ordering::Relaxed).into()),
            false => Form::Same,
        };
        let input = request.get("input").map(Json::to_string);
        Ok(Work { source, form, input, expect: request["expect"].clone() })
    }

    fn source(&self) -> Source {
        match &self.form {
            Form::Same => self.source.clone().into(),
            Form::New(next) => format!("{}\n// {}", self.source, next.fetch_add(1, Ordering::Relaxed)).into(),
            Form::Compiled(script) => script.into(),
        }
    }

    fn options(&self) -> ExecutionOptions {
        let read = |input: &String| enclave_json::from_str(input, MAX_DEPTH, "input").expect("it is JSON");
        let globals = self.input.iter().map(|input| ("input".to_owned(), read(input))).collect();
        ExecutionOptions { globals, ..Default::default() }
    }

    /// Takes a result as a user would, and compares it if it `counts`.
    fn take(&self, value: &Value, counts: bool) -> Result<(), String> {
        if self.input.is_none() && !counts {
            return Ok(());
        }
        let result = enclave_json::to_string(value, "result").map_err(|error| error.to_string())?;
        let is_expected = || serde_json::from_str::<Json>(&result).is_ok_and(|result| result == self.expect);
        if counts && !is_expected() { Err(format!("the result is {result:.200}")) } else { Ok(()) }
    }
}

fn run(pools: &mut HashMap<Kind, Pool>, request: &Json) -> Result<Json, Failure> {
    let options = &request["options"];
    let kind = Kind::of(request)?;
    let pool = match pools.entry(kind) {
        Entry::Occupied(kept) => kept.into_mut(),
        Entry::Vacant(place) => place.insert(kind.pool()?),
    };
    let pool = &*pool;
    let work = Arc::new(Work::of(request, pool)?);
    let rounds = count(request, "count")?;
    let polling = AtomicBool::new(options["stats"] == "poll");
    std::thread::scope(|scope| {
        if polling.load(Ordering::Relaxed) {
            scope.spawn(|| {
                while polling.load(Ordering::Relaxed) {
                    std::hint::black_box(pool.stats());
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let result = match request["mode"].as_str() {
            Some("sequential") => sequential(pool, &work, rounds),
            Some("concurrent") => match options.get("submitters") {
                None => concurrent(pool, &work, rounds, count(request, "in_flight")?),
                Some(_) => many_submit(pool, &work, rounds, count(options, "submitters")?),
            },
            _ => unsupported("no such mode"),
        };
        polling.store(false, Ordering::Relaxed);
        result
    })
}

fn sequential(pool: &Pool, work: &Work, rounds: usize) -> Result<Json, Failure> {
    let mut nanos = Vec::with_capacity(rounds);
    let start = Instant::now();
    for number in 0..rounds {
        let begun = Instant::now();
        let value = pool.run(work.source(), work.options())?;
        work.take(&value, number == 0 || number == rounds - 1).map_err(Failure::Error)?;
        nanos.push(begun.elapsed().as_nanos() as u64);
    }
    Ok(round(start.elapsed(), &mut nanos))
}

/// A round whose outcomes come in callbacks.
struct Round {
    work: Arc<Work>,
    nanos: Vec<AtomicU64>,
    left: AtomicUsize,
    error: Mutex<Option<String>>,
}

impl Round {
    fn new(work: &Arc<Work>, rounds: usize) -> Arc<Round> {
        Arc::new(Round {
            work: work.clone(),
            nanos: (0..rounds).map(|_| AtomicU64::new(0)).collect(),
            left: AtomicUsize::new(rounds),
            error: Mutex::new(None),
        })
    }

    /// Takes an outcome; true if it was the last.
    fn done(&self, number: usize, begun: Instant, outcome: &Outcome) -> bool {
        let counts = number == 0 || number == self.nanos.len() - 1;
        let taken = match &outcome.result {
            Ok(value) => self.work.take(value, counts),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = taken {
            *self.error.lock().expect("nobody panics with it") = Some(error);
        }
        self.nanos[number].store(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }

    fn end(&self, took: Duration) -> Result<Json, Failure> {
        if let Some(error) = self.error.lock().expect("nobody panics with it").take() {
            return Err(Failure::Error(error));
        }
        let mut nanos: Vec<u64> = self.nanos.iter().map(|nanos| nanos.load(Ordering::Relaxed)).collect();
        Ok(round(took, &mut nanos))
    }
}

/// One thread keeps so many in flight.
fn concurrent(pool: &Pool, work: &Arc<Work>, rounds: usize, in_flight: usize) -> Result<Json, Failure> {
    let state = Round::new(work, rounds);
    let (sender, outcomes) = mpsc::channel();
    // Where all are submitted at once, nobody is told but of the last.
    let each = in_flight < rounds;
    let start = Instant::now();
    for number in 0..rounds {
        if number >= in_flight {
            outcomes.recv()?;
        }
        let (state, sender, begun) = (state.clone(), sender.clone(), Instant::now());
        pool.submit_with(work.source(), work.options(), move |outcome| {
            if state.done(number, begun, &outcome) || each {
                let _ = sender.send(());
            }
        })?;
    }
    for _ in 0..if each { in_flight } else { 1 } {
        outcomes.recv()?;
    }
    state.end(start.elapsed())
}

/// So many threads submit and wait, each for its own.
fn many_submit(pool: &Pool, work: &Arc<Work>, rounds: usize, submitters: usize) -> Result<Json, Failure> {
    let state = Round::new(work, rounds);
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..submitters {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rounds {
                        return;
                    }
                    let begun = Instant::now();
                    match pool.run_detailed(work.source(), work.options()) {
                        Ok(outcome) => drop(state.done(number, begun, &outcome)),
                        Err(error) => *state.error.lock().expect("nobody panics with it") = Some(error.to_string()),
                    }
                }
            });
        }
    });
    state.end(start.elapsed())
}

/// From no worker to the first result, in a pool of its own. The first one in a process also starts the engine;
/// after that, the engine is there.
fn cold_start(pools: &mut HashMap<Kind, Pool>, request: &Json) -> Result<Json, Failure> {
    let kind = Kind { workers: 1, ..Kind::of(request)? };
    let first = pools.is_empty();
    let mut nanos = Vec::new();
    for _ in 0..count(request, "count")? {
        let begun = Instant::now();
        let pool = Pool::new(PoolConfig { min_workers: 0, warm_on_init: false, ..kind.config() })?;
        pool.run("1+1", Default::default())?;
        nanos.push(begun.elapsed().as_nanos() as u64);
        drop(pool);
    }
    if first {
        pools.insert(kind, kind.pool()?);
    }
    let mut result = latencies(&mut nanos);
    result["seconds"] = json!(nanos.iter().sum::<u64>() as f64 / 1e9);
    result["first"] = json!(first);
    Ok(result)
}

/// How long after its deadline an execution has its outcome.
fn kill(request: &Json) -> Result<Json, Failure> {
    let kind = Kind { workers: 1, ..Kind::of(request)? };
    let timeout = Duration::from_millis(count(request, "timeout_ms")? as u64);
    let source = text(request, "source")?;
    let mut config = kind.config();
    config.limits.timeout = timeout;
    let pool = Pool::new(config)?;
    let mut nanos = Vec::new();
    for _ in 0..count(request, "count")? {
        let begun = Instant::now();
        let outcome = pool.run_detailed(source, Default::default())?;
        // The one before has cost the worker: this one has waited for the next, and its time counts from there.
        let took = begun.elapsed().saturating_sub(outcome.stats.queue_wait);
        if outcome.result.is_ok() {
            return Err(Failure::Error("it has ended by itself".into()));
        }
        nanos.push(took.saturating_sub(timeout).as_nanos() as u64);
    }
    // Not dropped: that would wait for what does not end.
    std::mem::forget(pool);
    Ok(latencies(&mut nanos))
}

/// What each worker of a pool holds while it rests.
fn idle_memory(request: &Json) -> Result<Json, Failure> {
    let kind = Kind::of(request)?;
    let warm = |workers| {
        let pool = Kind { workers, ..kind }.pool()?;
        // All at once, so that all workers run some.
        concurrent(
            &pool,
            &Arc::new(Work { source: "1+1".into(), form: Form::Same, input: None, expect: json!(2) }),
            workers * 200,
            usize::MAX,
        )?;
        std::thread::sleep(Duration::from_millis(500));
        Ok::<Pool, Failure>(pool)
    };
    // The engine itself, and what all workers share, is there before.
    let first = warm(1)?;
    let (before, before_rss) = smaps("self")?;
    let pool = warm(kind.workers)?;
    let result = match kind.isolation {
        Isolation::Thread => {
            let (after, after_rss) = smaps("self")?;
            let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / kind.workers as f64;
            json!({"pss_bytes": each(after, before), "rss_bytes": each(after_rss, before_rss)})
        }
        Isolation::Process => {
            let mut sizes = Vec::new();
            for entry in std::fs::read_dir("/proc/self/task")?.flatten() {
                let children = std::fs::read_to_string(entry.path().join("children"))?;
                sizes.extend(children.split_whitespace().filter_map(|child| smaps(child).ok()));
            }
            sizes.sort_unstable();
            let Some(&(pss, rss)) = sizes.get(sizes.len() / 2) else { return unsupported("no children are seen") };
            json!({"pss_bytes": pss, "rss_bytes": rss})
        }
    };
    drop((first, pool));
    Ok(result)
}

/// Proportional and resident memory of a process, in bytes.
fn smaps(process: &str) -> Result<(u64, u64), Failure> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    };
    Ok((of("Pss:"), of("Rss:")))
}
