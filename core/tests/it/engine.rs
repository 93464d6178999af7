//! The engine through the public API: what each execution can and cannot do, and what is left of it afterwards. The
//! table in `tests/conformance` says what scripts give; here is what no table can say.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enclave_core::{
    Error, ExecutionOptions, Isolation, Pool, PoolConfig, RecycleReason, ScriptError, Status, ToolCall, ToolReply,
    Value,
};

use crate::common::{self, LONG, MIB, await_late, limited, run, status, status_with};

fn config() -> PoolConfig {
    common::config(Isolation::Thread)
}

fn pool() -> Pool {
    Pool::new(config()).unwrap()
}

fn exception(pool: &Pool, source: &str) -> ScriptError {
    match pool.run(source, Default::default()) {
        Err(Error::Exception(error)) => *error,
        other => panic!("{source}: {other:?}"),
    }
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
        assert_eq!(status_with(&pool, way, allowed), Status::Ok, "{way}");
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
        // Nothing else would end them.
        assert_eq!(status_with(&pool, source, options), Status::Timeout, "{source}");
        await_late(&pool);
        assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0), "after {source}");
    }
    assert_eq!(status(&pool, "for (let i = 0; i < 1e6; i++);"), Status::Ok);
}

#[test]
fn a_regexp_that_the_compiler_has_no_memory_for_ends_its_own_execution_only() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    common::lose_a_worker(&pool);
    assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
}

#[test]
fn a_regexp_that_goes_far_back_costs_no_thread() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    let far = "/(?:(a)|(b))*c/.exec('ab'.repeat(1e6))";
    for source in [far, &format!("try {{ {far} }} catch {{}} 'on'")] {
        assert_eq!(status(&pool, source), Status::MemoryLimit, "{source}");
        assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
    }
    assert_eq!(run(&pool, "/(?:(a)|(b))*c/.exec('ab'.repeat(1e3))"), Value::Null);
    assert_eq!(pool.stats().workers.set_aside, 0);
}

/// What the library catches of crashes takes nothing from the handlers that Rust has: a panic unwinds, and a stack that
/// overflows says so and aborts.
#[test]
fn a_lost_worker_leaves_panics_and_overflows_of_the_host_to_rust() {
    const CHILD: &str = "ENCLAVE_TEST_OVERFLOWS";
    if std::env::var_os(CHILD).is_some() {
        let mut config = config();
        config.memory_limit_per_worker = 64 * MIB;
        let pool = Pool::new(config).unwrap();
        common::lose_a_worker(&pool);
        assert!(std::panic::catch_unwind(|| panic!("caught")).is_err());
        assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
        eprintln!("{}", overflow(0));
    }
    let test = "a_lost_worker_leaves_panics_and_overflows_of_the_host_to_rust";
    let output = common::only(module_path!(), test).env(CHILD, "1").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("has overflowed its stack"), "{errors}");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{errors}");
}

#[allow(unconditional_recursion)]
fn overflow(depth: u64) -> u64 {
    black_box(overflow(black_box(depth) + 1)) + 1
}

#[test]
fn a_native_that_never_looks_up_costs_its_worker_and_nobody_else() {
    let pool = pool();
    // Minutes of comparing; the thread ends with the process.
    let source = "'a'.repeat(2 ** 24).indexOf('a'.repeat(2 ** 23) + 'b')";
    let until = Instant::now() + LONG;
    // On a busy machine some may be ended before they come to what never looks up.
    while pool.stats().recycles(RecycleReason::Unresponsive) == 0 {
        let options = limited(|limits| limits.timeout = Duration::from_millis(100));
        assert_eq!(status_with(&pool, source, options), Status::Timeout);
        assert_eq!(run(&pool, "1 + 1"), Value::Number(2.0));
        assert!(Instant::now() < until);
    }
    // It works on behind all others; 19 is the last place.
    let mine = nice_values().into_iter().min().unwrap();
    while !nice_values().contains(&(mine + 5).min(19)) {
        assert!(Instant::now() < until);
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
        assert_eq!(status(&pool, source), Status::SyntaxError, "{source}");
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
        assert_eq!(status(&pool, source), Status::MemoryLimit, "{source}");
    }
    assert_eq!(status(&pool, "const o = new Map([[1, 1]]); Array(9e4).fill(o)"), Status::Ok);
}

#[test]
fn what_the_engine_allocates_in_rust_is_in_the_limit_too() {
    let mut config = config();
    config.memory_limit_per_worker = 64 * MIB;
    let pool = Pool::new(config).unwrap();
    let sources = [
        "'\\ufdfa'.repeat(2 ** 24).normalize('NFKD').length",
        "({ get a() { return '\\ufdfa'.repeat(2 ** 24).normalize('NFKD').length } })",
    ];
    for source in sources {
        let outcome = pool.run_detailed(source, Default::default()).unwrap();
        assert!(matches!(outcome.result, Err(Error::MemoryLimit { .. })), "{source}: {:?}", outcome.result);
        assert!(outcome.stats.peak_memory <= 88 * MIB, "{source}: {}", outcome.stats.peak_memory);
        // The engine is asked for the room before it starts: else each would cost its worker's thread.
        assert_eq!(pool.stats().workers.set_aside, 0);
    }
    assert_eq!(run(&pool, "'\\ufdfa'.repeat(1000).normalize('NFKD').length"), Value::from(18_000));
}

#[test]
fn bigints_of_either_sign_go_in_up_to_the_engines_largest() {
    let pool = pool();
    let run_with = |value: num_bigint::BigInt, source: &str| {
        let globals = vec![("v".into(), Value::BigInt(value))];
        pool.run(source, ExecutionOptions { globals, ..Default::default() })
    };
    let largest: num_bigint::BigInt = (num_bigint::BigInt::from(1) << (1 << 20)) - 1;
    for (value, source) in [
        (largest.clone(), "v === BigInt('0x' + 'f'.repeat(2 ** 18))"),
        (-largest.clone(), "v === -BigInt('0x' + 'f'.repeat(2 ** 18))"),
    ] {
        assert_eq!(run_with(value, source), Ok(Value::Bool(true)));
    }
    for value in [&largest + 1, -&largest - 1] {
        let Err(Error::Exception(error)) = run_with(value, "1") else { panic!("it is too large") };
        assert_eq!(error.name, "RangeError");
    }
}
