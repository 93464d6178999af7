//! The engine through the public API: what each execution can and cannot do, and what is left of it afterwards. The
//! table in `tests/conformance` says what scripts give; here is what no table can say.

// Loom's models need no engine.
#![cfg(not(loom))]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enclave_core::{
    Error, ExecutionLimits, ExecutionOptions, HostAllocator, LimitUnit, MIN_MEMORY_LIMIT, Pool, PoolConfig, Preset,
    RecycleReason, ScriptError, Status, ToolCall, ToolReply, Value,
};

#[global_allocator]
static ALLOCATOR: HostAllocator = HostAllocator;

const MIB: u64 = 1024 * 1024;

/// How much longer than the engine of a release the debug engine takes, at most, under GC zeal as well.
const SLOWNESS: u64 = if cfg!(feature = "debug-engine") { 10 } else { 1 };

/// A pool of one worker that never times out by accident.
fn config() -> PoolConfig {
    let mut config = PoolConfig::preset(Preset::Standard);
    (config.min_workers, config.max_workers) = (1, 1);
    config
}

fn pool() -> Pool {
    Pool::new(config()).unwrap()
}

fn limited(limits: impl FnOnce(&mut ExecutionLimits)) -> ExecutionOptions {
    let mut options = ExecutionOptions { limits: Some(config().limits), ..Default::default() };
    limits(options.limits.as_mut().unwrap());
    options
}

fn run(pool: &Pool, source: &str) -> Value {
    pool.run(source, Default::default()).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn status(pool: &Pool, source: &str, options: ExecutionOptions) -> Status {
    pool.run(source, options).map_or_else(|error| error.status(), |_| Status::Ok)
}

fn exception(pool: &Pool, source: &str) -> ScriptError {
    match pool.run(source, Default::default()) {
        Err(Error::Exception(error)) => *error,
        other => panic!("{source}: {other:?}"),
    }
}

/// The four tests of a limit: it trips, script cannot catch it, the next execution is unaffected, and what is just
/// below passes.
fn check_limit(pool: &Pool, over: &str, below: &str, expected: Status, reason: RecycleReason) {
    let by_time = matches!(reason, RecycleReason::Timeout | RecycleReason::CpuLimit);
    let recycles = || {
        let stats = pool.stats();
        // With assertions, the engine may be longer on its way to a poll point than a worker has to stop.
        let late =
            if cfg!(feature = "debug-engine") && by_time { stats.recycles(RecycleReason::Unresponsive) } else { 0 };
        stats.recycles(reason) + late
    };
    let before = recycles();
    assert_eq!(status(pool, over, Default::default()), expected, "{over}");
    let caught = format!("try {{ {over} }} catch (e) {{}} finally {{ 'caught' }} 'on'");
    assert_eq!(status(pool, &caught, Default::default()), expected, "{caught}");
    let later = format!(
        "try {{ await (async () => {{ {over} }})() }} catch (e) {{ return 'caught' }} finally {{ return 'on' }}"
    );
    assert_eq!(status(pool, &later, Default::default()), expected, "{later}");
    assert_eq!(recycles(), before + 3, "{over}");
    assert_eq!(run(pool, "1 + 1"), Value::Number(2.0));
    assert_eq!(status(pool, below, Default::default()), Status::Ok, "{below}");
}

#[test]
fn nothing_is_left_of_an_execution() {
    let pool = pool();
    let leave = "
        globalThis.left = 1; var declared = 2; Object.prototype.left = 3; Array.prototype.map = null;
        /(a)/.exec('a'); Math.left = 4; JSON.parse = null; delete globalThis.Map; console.count('c'); console.group();
        console.left = 5; setTimeout(() => { globalThis.later = 6 }, 0); queueMicrotask(() => {});
        Promise.resolve().then(() => new Promise(() => {})); Error.stackTraceLimit = 0; 'done'";
    assert_eq!(run(&pool, leave), Value::from("done"));
    let look = "[typeof left, typeof declared, ({}).left, [1].map(x => x)[0], RegExp.$1, Math.left, JSON.parse('7'),
        typeof Map, console.left, typeof later]";
    let expected = [
        Value::from("undefined"),
        Value::from("undefined"),
        Value::Undefined,
        Value::from(1),
        Value::from(""),
        Value::Undefined,
        Value::from(7),
        Value::from("function"),
        Value::Undefined,
        Value::from("undefined"),
    ];
    assert_eq!(run(&pool, look), Value::Array(expected.into()));
    let options = ExecutionOptions { collect_console: true, ..Default::default() };
    let outcome = pool.run_detailed("console.count('c')", options).unwrap();
    assert_eq!(outcome.console[0].text, "c: 1");
}

#[test]
fn the_global_has_ecmascript_and_the_documented_names_only() {
    let pool = pool();
    let names = run(
        &pool,
        "Object.getOwnPropertyNames(globalThis).filter(n => !/^[A-Z]/.test(n) || n.startsWith('Text')).sort().join()",
    );
    let expected = "TextDecoder,TextEncoder,atob,btoa,callTool,clearTimeout,console,decodeURI,decodeURIComponent,\
                    encodeURI,encodeURIComponent,escape,eval,globalThis,isFinite,isNaN,parseFloat,parseInt,\
                    queueMicrotask,setTimeout,structuredClone,tools,undefined,unescape";
    assert_eq!(names, Value::from(expected));
    for absent in ["WebAssembly", "SharedArrayBuffer", "Atomics", "process", "require", "fetch", "performance"] {
        assert_eq!(run(&pool, &format!("typeof {absent}")), Value::from("undefined"), "{absent}");
    }
}

#[test]
fn code_is_made_from_strings_only_where_that_is_allowed() {
    let pool = pool();
    let ways = [
        "eval('1')",
        "(0, eval)('1')",
        "new Function('return 1')()",
        "(() => {}).constructor('return 1')()",
        "(async () => {}).constructor('return 1'), 1",
        "(function*(){}).constructor('yield 1'), 1",
    ];
    for way in ways {
        assert_eq!(exception(&pool, way).name, "EvalError", "{way}");
        let allowed = limited(|limits| limits.allow_code_generation = true);
        assert_eq!(status(&pool, way, allowed), Status::Ok, "{way}");
    }
    assert_eq!(exception(&pool, "await import('fs')").message, "import(): modules are not supported");
    assert_eq!(run(&pool, "await import('fs').catch(e => e.name)"), Value::from("TypeError"));
}

#[test]
fn clocks_stand_still_where_they_are_blocked() {
    let pool = pool();
    let source = "const a = Date.now(), b = +new Date(); for (let i = 0; i < 3e6; i++);
        await new Promise(resolve => setTimeout(resolve, 30));
        return [Date.now() - a, +new Date() - b, a > 1.6e12]";
    let blocked = limited(|limits| limits.block_timing_apis = true);
    assert_eq!(pool.run(source, blocked).unwrap(), Value::Array(vec![0.into(), 0.into(), true.into()]));
    let Value::Array(open) = run(&pool, source) else { panic!("no array") };
    assert!(matches!(open[0], Value::Number(ms) if ms >= 29.0), "{open:?}");
}

#[test]
fn timeout_ends_loops_jobs_conversion_and_error_extraction() {
    let pool = pool();
    let endless = [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch (e) {} }",
        "function f() { try { for (;;) {} } finally { f() } } f()",
        "const f = () => Promise.resolve().then(f); await f()",
        "await new Promise(() => setTimeout(function again() { setTimeout(again, 0) }, 0))",
        "await callTool('never')",
        "({ get a() { for (;;) {} } })",
        "new Proxy({}, { ownKeys() { for (;;) {} } })",
        "throw { get name() { for (;;) {} } }",
        "throw Object.defineProperty(new Error('x'), 'message', { get() { for (;;) {} } })",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "[3, 1, 2].sort(() => { for (;;) {} })",
        "Array.prototype.reverse.call({ length: 2 ** 53 - 1 })",
        "JSON.stringify({ toJSON() { for (;;) {} } })",
        "`${{ toString() { for (;;) {} } }}`",
    ];
    let waiting: Arc<Mutex<Vec<ToolReply>>> = Arc::default();
    for source in endless {
        let mut options = limited(|limits| limits.timeout = Duration::from_millis(100));
        let waiting = waiting.clone();
        options.tool_handler = Some(Arc::new(move |call: ToolCall| waiting.lock().unwrap().push(call.reply)));
        let start = Instant::now();
        assert_eq!(status(&pool, source, options), Status::Timeout, "{source}");
        assert!(start.elapsed() < Duration::from_secs(5), "{source}");
        assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0), "after {source}");
    }
    let below = limited(|limits| limits.timeout = Duration::from_secs(20));
    assert_eq!(status(&pool, "for (let i = 0; i < 1e6; i++);", below), Status::Ok);
}

#[test]
fn cpu_time_is_limited_and_waiting_costs_none() {
    let pool = pool();
    let limit = |ms| limited(|limits| limits.cpu_time_limit = Some(Duration::from_millis(ms)));
    assert_eq!(status(&pool, "for (;;) {}", limit(50)), Status::CpuLimit);
    assert_eq!(status(&pool, "try { for (;;) {} } finally { for (;;) {} }", limit(50)), Status::CpuLimit);
    assert_eq!(pool.stats().recycles(RecycleReason::CpuLimit), 2);
    assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
    let wait = "await new Promise(resolve => setTimeout(resolve, 300))";
    assert_eq!(status(&pool, wait, limit(150)), Status::Ok);
}

/// What takes memory without end, and the same in measure.
const HOGS: [(&str, &str); 10] = [
    ("let a = []; for (;;) a.push({ x: 1, y: [1, 2] })", "let a = []; for (let i = 0; i < 1e5; i++) a.push({ x: 1 })"),
    (
        "let a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))",
        "let a = []; for (let i = 0; i < 24; i++) a.push(new Uint8Array(1e6).fill(1))",
    ),
    ("let s = []; for (let i = 0;; i++) s.push('x'.repeat(1e5) + i)", "'x'.repeat(2e7).length"),
    ("new ArrayBuffer(2 ** 34)", "new ArrayBuffer(2e7).byteLength"),
    ("new Array(2 ** 32 - 1).fill(0)", "new Array(1e6).fill(0).length"),
    (
        "let m = new Map(); for (let i = 0;; i++) m.set(i, {})",
        "let m = new Map(); for (let i = 0; i < 1e5; i++) m.set(i, i)",
    ),
    (
        "let a = [1]; for (;;) a = [].concat(a, a, a)",
        "let a = [1]; for (let i = 0; i < 10; i++) a = [].concat(a, a, a)",
    ),
    ("'a'.repeat(2 ** 28).split('').length", "'a'.repeat(2 ** 18).split('').length"),
    ("structuredClone(new Uint8Array(4e7))", "structuredClone(new Uint8Array(5e6)).length"),
    ("new TextDecoder().decode(new Uint8Array(4e7))", "new TextDecoder().decode(new Uint8Array(3e6)).length"),
];

#[test]
fn memory_is_limited_whatever_holds_it() {
    for limit in [48 * MIB, 64 * MIB] {
        let mut config = config();
        config.memory_limit_per_worker = limit;
        let pool = Pool::new(config).unwrap();
        for (over, below) in HOGS {
            check_limit(&pool, over, below, Status::MemoryLimit, RecycleReason::MemoryLimit);
        }
        let outcome = pool.run_detailed(HOGS[1].0, Default::default()).unwrap();
        match &outcome.result {
            Err(Error::MemoryLimit { used, limit: told }) => assert!(*told == limit && *used > limit * 9 / 10),
            other => panic!("{other:?}"),
        }
        let peak = outcome.stats.peak_memory;
        assert!(peak > limit * 8 / 10 && peak <= limit * 5 / 4 + 8 * MIB, "{peak}");
    }
}

#[test]
fn garbage_does_not_count_against_the_limit() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    run(&pool, "for (let i = 0; i < 300; i++) new Uint8Array(8e6).fill(1)");
    run(&pool, "for (let i = 0; i < 3e6; i++) ({ x: [i] })");
    run(&pool, "let s = ''; for (let i = 0; i < 300; i++) s = 'x'.repeat(1e6) + i; s.length");
    assert_eq!(pool.stats().recycles(RecycleReason::MemoryLimit), 0);
}

#[test]
fn a_regexp_that_the_compiler_has_no_memory_for_ends_its_own_execution_only() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    assert_eq!(status(&pool, "/(?:(a)|(b))*c/.exec('ab'.repeat(1e6))", Default::default()), Status::MemoryLimit);
    assert_eq!(pool.stats().workers.set_aside, 1);
    assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
}

#[test]
fn console_tools_and_messages_are_limited() {
    let mut config = config();
    config.limits.max_console_calls = 10;
    config.limits.max_console_output = 1000;
    config.limits.max_tool_calls = 10;
    config.max_pending_tool_calls = 5;
    let echo = Arc::new(|call: ToolCall| call.reply.resolve(call.args));
    let pool = Pool::builder(config.clone()).tool("t", echo).build().unwrap();
    let console = RecycleReason::ConsoleLimit;
    check_limit(
        &pool,
        "for (let i = 0; i < 11; i++) console.log(i)",
        "for (let i = 0; i < 10; i++) console.log(i)",
        Status::ConsoleLimit,
        console,
    );
    let (over, below) = ("console.log('ä'.repeat(501))", "console.log('ä'.repeat(500))");
    check_limit(&pool, over, below, Status::ConsoleLimit, console);
    check_limit(
        &pool,
        "for (let i = 0; i < 6; i++) callTool('t', i)",
        "for (let i = 0; i < 5; i++) callTool('t', i)",
        Status::ToolCallLimit,
        RecycleReason::ToolCallLimit,
    );
    let error = pool.run("for (let i = 0; i < 11; i++) await callTool('t', i)", Default::default()).unwrap_err();
    assert_eq!(error, Error::ToolCallLimit { limit: 10, unit: LimitUnit::ToolCalls });
    assert_eq!(status(&pool, "for (let i = 0; i < 10; i++) await callTool('t', i)", Default::default()), Status::Ok);

    config.max_messages_per_second = 3;
    let pool = Pool::new(config).unwrap();
    check_limit(
        &pool,
        "for (let i = 0; i < 9; i++) console.log(i)",
        "for (let i = 0; i < 3; i++) console.log(i)",
        Status::MessageFlood,
        RecycleReason::MessageFlood,
    );
}

#[test]
fn every_limit_holds_at_several_sizes() {
    let hold = |build: &dyn Fn(&mut PoolConfig), over: &str, below: &str, status, reason| {
        let mut config = config();
        config.limits.max_console_calls = 1_000_000;
        config.limits.max_tool_calls = 1_000_000;
        config.max_pending_tool_calls = 1000;
        config.max_messages_per_second = 10_000_000;
        build(&mut config);
        let echo = Arc::new(|call: ToolCall| call.reply.resolve(call.args));
        check_limit(&Pool::builder(config).tool("t", echo).build().unwrap(), over, below, status, reason);
    };
    for n in [1, 7, 1000] {
        let calls = |call: &str, n| format!("for (let i = 0; i < {n}; i++) {call}");
        let (lines, tools) = ((Status::ConsoleLimit, RecycleReason::ConsoleLimit), "callTool('t', i)");
        let (over, below) = (calls("console.log(i)", n + 1), calls("console.log(i)", n));
        hold(&|config| config.limits.max_console_calls = n, &over, &below, lines.0, lines.1);
        let print = |n| format!("console.log('x'.repeat({n}))");
        hold(&|config| config.limits.max_console_output = n.into(), &print(n + 1), &print(n), lines.0, lines.1);
        let (over, below) = (calls(tools, n + 1), calls(tools, n));
        let (status, reason) = (Status::ToolCallLimit, RecycleReason::ToolCallLimit);
        hold(&|config| config.limits.max_tool_calls = n, &over, &below, status, reason);
        hold(&|config| config.max_pending_tool_calls = n, &over, &below, status, reason);
        // The budget fills up again while the script runs, so only an endless flood is one for certain.
        let flood = "for (;;) console.log(1)";
        let (status, reason) = (Status::MessageFlood, RecycleReason::MessageFlood);
        hold(&|config| config.max_messages_per_second = n, flood, &calls("console.log(i)", n), status, reason);
    }
    for ms in [50 * SLOWNESS, 400 * SLOWNESS] {
        let time = Duration::from_millis(ms);
        let wait = |ms| format!("await new Promise(done => setTimeout(done, {ms}))");
        let (status, reason) = (Status::Timeout, RecycleReason::Timeout);
        hold(&|config| config.limits.timeout = time, "for (;;) {}", &wait(ms / 20), status, reason);
        let (status, reason) = (Status::CpuLimit, RecycleReason::CpuLimit);
        hold(&|config| config.limits.cpu_time_limit = Some(time), "for (;;) {}", &wait(2 * ms), status, reason);
    }
    for mib in [MIN_MEMORY_LIMIT / MIB, 32, 64, 256] {
        let bytes = mib * MIB;
        let over = "const all = []; for (;;) all.push(new Uint8Array(1e5).fill(1))";
        let below = format!("new Uint8Array({}).fill(1).length", bytes / 4 * 3 - 8 * MIB);
        let (status, reason) = (Status::MemoryLimit, RecycleReason::MemoryLimit);
        hold(&|config| config.memory_limit_per_worker = bytes, over, &below, status, reason);
    }
    for depth in [1, 7, 200] {
        let nested = |depth| format!("let value = 1; for (let i = 0; i < {depth}; i++) value = [value]; value");
        let pool = pool();
        let limited = || limited(|limits| limits.max_value_depth = depth);
        assert_eq!(status(&pool, &nested(depth + 1), limited()), Status::ResultNotTransferable);
        assert_eq!(status(&pool, &nested(depth), limited()), Status::Ok);
    }
}

#[test]
fn a_message_that_is_too_large_costs_no_worker() {
    let mut config = config();
    config.max_message_size = 10_000;
    let big = Arc::new(|call: ToolCall| call.reply.resolve("x".repeat(10_001).into()));
    let pool = Pool::builder(config).tool("big", big).build().unwrap();
    let over = [
        "'x'.repeat(10_001)",
        "callTool('t', 'x'.repeat(10_001))",
        "await callTool('big')",
        "console.log('x'.repeat(10_001))",
    ];
    for over in over {
        assert_eq!(status(&pool, over, Default::default()), Status::MessageTooLarge, "{over}");
    }
    assert_eq!(status(&pool, "'x'.repeat(9_992)", Default::default()), Status::Ok);
    let caught = "try { await callTool('big') } catch (e) { return [e.name, e.code] }";
    assert_eq!(run(&pool, caught), Value::Array(vec!["RangeError".into(), "MESSAGE_TOO_LARGE".into()]));
    assert!(RecycleReason::ALL.iter().all(|reason| pool.stats().recycles(*reason) == 0));
}

#[test]
fn a_native_that_never_looks_up_costs_its_worker_and_nobody_else() {
    let pool = pool();
    let options = limited(|limits| limits.timeout = Duration::from_millis(100));
    let start = Instant::now();
    // Minutes of comparing; the thread ends with the process.
    let source = "'a'.repeat(2 ** 24).indexOf('a'.repeat(2 ** 23) + 'b')";
    assert_eq!(status(&pool, source, options), Status::Timeout);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(pool.stats().recycles(RecycleReason::Unresponsive), 1);
    assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
    // It works on behind all others; 19 is the last place.
    let mine = nice_values().into_iter().min().unwrap();
    while !nice_values().contains(&(mine + 5).min(19)) {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
}

/// Of all threads of this process.
fn nice_values() -> Vec<i32> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    // The name, which is in brackets, may hold spaces.
    stats.map(|stat| stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_source_cannot_end_what_it_is_wrapped_in() {
    let pool = pool();
    let escapes = [
        "return 1 }); callTool('escaped'); (async () => {",
        "}); callTool('escaped'); (async () => {",
        "await 1 }), f(), (async () => { return 2",
        "await 1\n)), f(), (async () => (2",
        "await 1))((2",
    ];
    for source in escapes {
        assert_eq!(status(&pool, source, Default::default()), Status::SyntaxError, "{source}");
    }
    assert_eq!(run(&pool, "const f = async () => { await null; return 7 }; f()"), Value::from(7));
    assert_eq!(run(&pool, "with ({ a: 3 }) { return a }"), Value::from(3));
    assert_eq!(run(&pool, "await 1, await 2;"), Value::from(2));
}

#[test]
fn a_getter_in_an_argument_may_call_a_tool() {
    let echo = Arc::new(|call: ToolCall| call.reply.resolve(call.args));
    let pool = Pool::builder(config()).tool("echo", echo).build().unwrap();
    let source = "await callTool('echo', { get a() { callTool('echo', 1); return 2 } })";
    assert_eq!(run(&pool, source), [("a", Value::from(2))].into_iter().collect());
}

#[test]
fn a_copy_is_in_the_memory_limit_while_it_is_made() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    for source in ["const o = new Map([[1, 1]]); Array(9e5).fill(o)", "const e = new Error(''); Array(9e5).fill(e)"] {
        assert_eq!(status(&pool, source, Default::default()), Status::MemoryLimit, "{source}");
    }
    assert_eq!(status(&pool, "const o = new Map([[1, 1]]); Array(9e4).fill(o)", Default::default()), Status::Ok);
}

#[test]
fn what_the_engine_allocates_in_rust_is_in_the_limit_too() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    // Each of these costs its worker's thread.
    config.max_workers = 4;
    let pool = Pool::new(config).unwrap();
    let sources = [
        "'\\ufdfa'.repeat(2 ** 24).normalize('NFKD').length",
        "({ get a() { return '\\ufdfa'.repeat(2 ** 24).normalize('NFKD').length } })",
    ];
    for source in sources {
        let outcome = pool.run_detailed(source, Default::default()).unwrap();
        assert!(matches!(outcome.result, Err(Error::MemoryLimit { .. })), "{source}: {:?}", outcome.result);
        assert!(outcome.stats.peak_memory <= 88 * MIB, "{source}: {}", outcome.stats.peak_memory);
    }
    assert_eq!(run(&pool, "'\\ufdfa'.repeat(1000).normalize('NFKD').length"), Value::from(18_000));
}
