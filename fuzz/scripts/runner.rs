//! The child: runs the programs that come on its standard input, and says of each what it found.
//!
//! What must hold, whatever a program does:
//!
//! * It has exactly one outcome, which is neither `INTERNAL` nor `WORKER_CRASHED`.
//! * Nothing of it reaches the host after that: no tool call, no console line.
//! * The next execution, on the same pool, gives the right answer.
//! * A thread that is lost keeps no other from its work, in no pool of the process.
//! * The process holds no more than the memory limit, its headroom and some messages.
//!
//! That an outcome comes at all is the only thing that has to do with time: the child waits far longer than any load of
//! a machine explains.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use enclave_core::{
    ConsoleLine, Error, ExecutionLimits, ExecutionOptions, Isolation, Outcome, Pool, PoolConfig, Preset, SourceKind,
    Status, ToolCall, ToolError, Value,
};

use crate::program::{LIST_BUILTINS, MEMORY_LIMIT_MIB, Options};

/// The argument that makes a process the child.
pub const CHILD: &str = "--child";

/// How much longer than the engine of a release the debug engine takes, under GC zeal as well.
pub const SLOWNESS: u32 = if cfg!(feature = "debug-engine") { 20 } else { 1 };

/// Nothing takes so long, on the busiest machine.
const FOREVER: Duration = Duration::from_secs(if cfg!(feature = "debug-engine") { 900 } else { 120 });

const MIB: u64 = 1 << 20;
const MAX_MESSAGE_SIZE: u64 = 2 * MIB;
const MEMORY_LIMIT: u64 = MEMORY_LIMIT_MIB * MIB;
/// Beyond the limit; what does not fit there is refused.
const HEADROOM: u64 = 8 * MIB;

/// What the process may hold at most for one execution: the limit and its headroom, as SECURITY.md has it what a
/// collection may take beyond them, and messages in several forms, one of each kind that can be under way.
const MAX_GROWTH: u64 = MEMORY_LIMIT + HEADROOM + 32 * MIB + 24 * MAX_MESSAGE_SIZE;

/// A thread that is set aside for longer may be lost: its memory counts no more, so a new child goes on.
const COMES_BACK: Duration = Duration::from_millis(200);

/// What is right after any program: a realm as it is made, and the engine's answer.
const CHECK: &str = "var after = [typeof leaked, typeof v0, [3, 1, 2].sort().map(n => n * 2).join(), JSON.stringify({a: [new Date(0), 'é']}), \
    Object.getOwnPropertyNames(globalThis).length, Object.getOwnPropertyNames(Array.prototype).length, `${[...'ab'].reverse()}`, \
    'aXbX'.replace(/x/gi, '-'), String(new Map([[1, 2]]).get(1)), Error('m').message, typeof console.log]; after.join()";

/// What the engine makes once in a process, on the first thread that asks for it. Where that thread is lost on the way,
/// others must not wait for it.
const CHECK_SERVICES: &str = "[new Intl.DateTimeFormat('zh-u-ca-chinese', {dateStyle: 'full'}).format(0), \
    new Intl.DateTimeFormat('ko-u-ca-dangi', {dateStyle: 'full'}).format(0), Intl.supportedValuesOf('collation').length, \
    new Intl.Collator('de-u-co-phonebk').compare('a', 'b'), 'é'.normalize('NFD'), (1.5).toLocaleString('ar'), /\\p{L}/v.test('é')].length";

/// What is said of a program.
pub enum Verdict {
    /// The status, in capitals.
    Fine(String),
    Finding(String),
}

pub fn main() -> ExitCode {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut say =
        |line: String| writeln!(output, "{}", line.replace('\n', "\\n")).and_then(|()| output.flush()).is_ok();
    let mut runner = match Runner::new() {
        Ok(runner) => runner,
        Err(error) => {
            say(format!("finding no pool can be made: {error}"));
            return ExitCode::FAILURE;
        }
    };
    if !say(runner.builtins.replace('\n', "\t")) {
        return ExitCode::FAILURE;
    }
    while let Some(source) = next_program(&mut input) {
        let told = match runner.run(&source) {
            Verdict::Fine(status) => say(format!("fine {status}")),
            Verdict::Finding(what) => say(format!("finding {what}")),
        };
        if !told || runner.used_up {
            break;
        }
    }
    // Threads that were set aside may still run: they are not waited for.
    std::process::exit(0)
}

/// A program comes as its length in a line, and its text.
fn next_program(input: &mut impl Read) -> Option<String> {
    let mut length = Vec::new();
    let mut byte = [0];
    loop {
        input.read_exact(&mut byte).ok()?;
        match byte[0] {
            b'\n' => break,
            digit => length.push(digit),
        }
    }
    let mut source = vec![0; String::from_utf8(length).ok()?.parse().ok()?];
    input.read_exact(&mut source).ok()?;
    String::from_utf8(source).ok()
}

struct Runner {
    /// Workers of this pool serve one program after the other.
    pool: Watched,
    /// Workers of this one serve one execution each.
    fresh: Watched,
    /// The right answer to [`CHECK`].
    answer: Value,
    builtins: String,
    can_measure: bool,
    /// The largest buffer that is not refused on a fresh worker, once it is known.
    largest: Option<u64>,
    used_up: bool,
}

/// A pool, and what its host sees.
struct Watched {
    pool: Pool,
    seen: Arc<Seen>,
}

/// What the host sees of the execution that runs.
#[derive(Default)]
struct Seen {
    /// Executions up to this one have had their outcomes.
    ended: AtomicU64,
    outcomes: AtomicU32,
    /// Calls and lines that came after the outcome.
    late: AtomicU32,
}

impl Seen {
    fn note(&self, execution: u64) {
        if execution <= self.ended.load(Ordering::SeqCst) {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Runner {
    fn new() -> Result<Self, Error> {
        let (watched, fresh) = (Watched::new(1000)?, Watched::new(1)?);
        let pool = &watched.pool;
        let answer = pool.run(CHECK, ExecutionOptions::default())?;
        let limits = ExecutionLimits { allow_code_generation: true, ..pool.config().limits.clone() };
        let options = ExecutionOptions { limits: Some(limits), kind: SourceKind::Script, ..Default::default() };
        let Value::String(builtins) = pool.run(LIST_BUILTINS, options)? else {
            return Err(Error::Internal { message: "the builtins are no text".into() });
        };
        Ok(Runner { pool: watched, fresh, answer, builtins, can_measure: reset_peak(), largest: None, used_up: false })
    }

    fn run(&mut self, source: &str) -> Verdict {
        let options = Options::of(source);
        let largest = match options.fresh {
            true => *self.largest.get_or_insert_with(|| largest_buffer(&self.fresh.pool)),
            false => 0,
        };
        let Watched { pool, seen } = if options.fresh { &self.fresh } else { &self.pool };
        let before = memory("VmRSS:");
        let can_measure = self.can_measure && reset_peak();
        let outcome = match outcome(pool, seen, source, &options, largest) {
            Ok(outcome) => outcome,
            Err(what) => return Verdict::Finding(what),
        };
        let peak = memory("VmHWM:");
        if let Err(error @ (Error::Internal { .. } | Error::WorkerCrashed { .. } | Error::WorkerStartup { .. })) =
            &outcome.result
        {
            return Verdict::Finding(format!("{}: {error}", error.status().name()));
        }
        let growth = peak.saturating_sub(before);
        if can_measure && growth > MAX_GROWTH {
            return Verdict::Finding(format!("MEMORY: the process grew by more than {} MiB", MAX_GROWTH / MIB));
        }
        let text = outcome.result.as_ref().map_or_else(|error| error.to_string().len(), |_| 0) as u64;
        if text > 4 * MAX_MESSAGE_SIZE {
            return Verdict::Finding("TEXT: the message of an error is longer than messages may be".into());
        }
        // On the same worker, if that was kept, and else on the one that has replaced it.
        match pool.run(CHECK, ExecutionOptions::default()) {
            Ok(value) if value == self.answer => {}
            Ok(value) => return Verdict::Finding(format!("NEXT: the next execution gave {value:?}")),
            Err(error) => {
                return Verdict::Finding(format!(
                    "NEXT: the next execution ended in {}: {error}",
                    error.status().name()
                ));
            }
        }
        match (seen.outcomes.load(Ordering::SeqCst), seen.late.load(Ordering::SeqCst)) {
            (1, 0) => {}
            (1, _) => return Verdict::Finding("LATE: something reached the host after the outcome".into()),
            (outcomes, _) => return Verdict::Finding(format!("OUTCOMES: there were {outcomes}")),
        }
        // Most come back.
        if pool.stats().workers.set_aside > 0 {
            std::thread::sleep(COMES_BACK);
            self.used_up = pool.stats().workers.set_aside > 0;
        }
        if self.used_up {
            let limits = ExecutionLimits { timeout: FOREVER / 4, ..pool.config().limits.clone() };
            let options = ExecutionOptions { limits: Some(limits), ..Default::default() };
            let checked = Watched::new(1).and_then(|other| other.pool.run(CHECK_SERVICES, options));
            if let Err(error) = checked {
                let status = error.status().name();
                return Verdict::Finding(format!(
                    "SERVICES: with a thread lost, another pool cannot go on: {status}: {error}"
                ));
            }
        }
        let status = outcome.result.as_ref().map_or_else(Error::status, |_| Status::Ok);
        Verdict::Fine(status.name().to_owned())
    }
}

/// Runs a program to its outcome.
fn outcome(
    pool: &Pool,
    seen: &Arc<Seen>,
    source: &str,
    options: &Options,
    largest: u64,
) -> Result<Arc<Outcome>, String> {
    let time = Duration::from_millis(options.time_ms) * SLOWNESS;
    let limits = ExecutionLimits {
        // On a busy machine, a program gets its time all the same.
        cpu_time_limit: Some(time),
        timeout: time * 4,
        allow_code_generation: options.code_generation,
        ..pool.config().limits.clone()
    };
    let kind = if options.body { SourceKind::Function } else { SourceKind::Auto };
    let execution_options = ExecutionOptions {
        limits: Some(limits),
        kind,
        globals: vec![("largest".into(), Value::from(largest as f64))],
        ..Default::default()
    };
    seen.outcomes.store(0, Ordering::SeqCst);
    let (send, outcome) = mpsc::channel();
    let seen = seen.clone();
    let completed = move |outcome: Arc<Outcome>| {
        seen.ended.fetch_max(outcome.stats.execution_id, Ordering::SeqCst);
        seen.outcomes.fetch_add(1, Ordering::SeqCst);
        let _ = send.send(outcome);
    };
    let started = Instant::now();
    let submitted = pool.submit_with(source, execution_options, completed);
    let _execution = submitted.map_err(|error| format!("REFUSED: {error}"))?;
    outcome
        .recv_timeout(FOREVER)
        .map_err(|_| format!("HANG: there was no outcome after {} s", started.elapsed().as_secs()))
}
impl Watched {
    /// A pool whose workers serve so many executions each.
    fn new(executions: u64) -> Result<Self, Error> {
        let seen = Arc::new(Seen::default());
        let mut config = PoolConfig::preset(Preset::Standard);
        config.isolation = Isolation::Thread;
        (config.min_workers, config.max_workers) = (1, 4);
        config.max_executions_per_worker = executions;
        config.memory_limit_per_worker = MEMORY_LIMIT;
        config.max_message_size = MAX_MESSAGE_SIZE;
        config.max_messages_per_second = 1_000_000;
        // The answer after a program is never late because the machine is busy.
        config.limits.timeout = FOREVER;
        let console = seen.clone();
        let tool = |act: fn(ToolCall)| {
            let seen = seen.clone();
            Arc::new(move |call: ToolCall| {
                seen.note(call.execution_id);
                act(call)
            })
        };
        let pool = Pool::builder(config)
            .on_console(Arc::new(move |line: &ConsoleLine| console.note(line.execution_id)))
            .tool("echo", tool(|call| call.reply.resolve(call.args)))
            .tool(
                "fail",
                tool(|call| {
                    call.reply.reject(ToolError { name: "Odd".into(), message: "no".into(), code: Some("E".into()) })
                }),
            )
            .tool("never", tool(|call| std::mem::forget(call.reply)))
            .tool("later", tool(|call| drop(std::thread::spawn(|| call.reply.resolve(call.args)))))
            .tool("escaped", tool(|call| drop(call.reply)))
            .build()?;
        Ok(Watched { pool, seen })
    }
}

/// The largest buffer that a worker gives which has run nothing before.
fn largest_buffer(pool: &Pool) -> u64 {
    let (mut low, mut high) = (0, MEMORY_LIMIT * 2);
    while high - low > 256 {
        let middle = low.midpoint(high);
        let used = match pool.run(format!("const filling = new ArrayBuffer({middle}); 1"), ExecutionOptions::default())
        {
            Ok(_) => 0,
            // Beyond the headroom, what was refused counts as well.
            Err(Error::MemoryLimit { used, .. }) => used,
            Err(_) => return 0,
        };
        (low, high) = if used <= MEMORY_LIMIT + HEADROOM { (middle, high) } else { (low, middle) };
    }
    low
}

/// Bytes of this process: `VmRSS:` now, `VmHWM:` at most since [`reset_peak`].
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Begins to measure the most that this process holds; false if that cannot be had.
fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}
