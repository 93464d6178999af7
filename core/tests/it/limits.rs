//! Every limit, with its four tests, at several sizes: it trips; script cannot catch it; the next execution does not
//! notice; what is just below passes. The table in `docs/SECURITY.md` says which test here is which.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enclave_core::{
    Error, Execution, ExecutionLimits, ExecutionOptions, Isolation, LimitUnit, MAX_MEMORY_LIMIT, MIN_MEMORY_LIMIT,
    Pool, PoolConfig, RecycleReason, Status, ToolCall, Value,
};

use crate::common::{ISOLATIONS, LONG, MIB, SLOWNESS, await_late, lose_a_worker, run, status};

/// A pool of one worker, in which nothing but what a test sets ends an execution, be it as loud as it likes.
fn config(isolation: Isolation) -> PoolConfig {
    let mut config = crate::common::config(isolation);
    config.memory_limit_per_worker = 256 * MIB;
    config.limits.max_console_calls = 1_000_000;
    config.limits.max_console_output = 1 << 30;
    config.limits.max_tool_calls = 1_000_000;
    config.max_pending_tool_calls = 1000;
    config.max_messages_per_second = 10_000_000;
    config
}

/// The tools: `echo` answers with its argument, `text` with so many bytes, `nested` with so many arrays in each other.
fn pool(config: PoolConfig) -> Pool {
    let number = |call: &ToolCall| match call.args {
        Value::Number(number) => number as usize,
        _ => panic!("no number"),
    };
    let text = move |call: ToolCall| {
        let text = "x".repeat(number(&call));
        call.reply.resolve(text.into());
    };
    let deep = move |call: ToolCall| {
        let value = nested(number(&call));
        call.reply.resolve(value);
    };
    Pool::builder(config)
        .tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args)))
        .tool("text", Arc::new(text))
        .tool("nested", Arc::new(deep))
        .build()
        .unwrap()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::from(1), |inner, _| Value::Array(vec![inner]))
}

/// An array of arrays, made by script.
fn nested_source(depth: usize) -> String {
    format!("(() => {{ let value = 1; for (let i = 0; i < {depth}; i++) value = [value]; return value }})()")
}

fn with_global(value: Value) -> ExecutionOptions {
    ExecutionOptions { globals: vec![("g".into(), value)], ..Default::default() }
}

fn no_worker_has_left(pool: &Pool) {
    let left: Vec<_> = RecycleReason::ALL.iter().filter(|reason| pool.stats().recycles(**reason) > 0).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// That a limit trips, that script cannot catch it, and that the next execution does not notice.
fn check_trips(pool: &Pool, over: &str, expected: Status, reason: RecycleReason) {
    let by_time = matches!(reason, RecycleReason::Timeout | RecycleReason::CpuLimit);
    let recycles = || {
        let stats = pool.stats();
        // On a busy machine, a worker may be longer on its way to a poll point than it has to stop.
        let late = if by_time { stats.recycles(RecycleReason::Unresponsive) } else { 0 };
        (stats.recycles(reason), late)
    };
    let check = |source: &str| {
        assert_eq!(status(pool, source), expected, "{source}");
        if by_time {
            await_late(pool);
        }
    };
    check(over);
    let caught = format!("try {{ {over} }} catch (e) {{}} finally {{ 'caught' }} 'on'");
    check(&caught);
    let later = format!(
        "try {{ await (async () => {{ {over} }})() }} catch (e) {{ return 'caught' }} finally {{ return 'on' }}"
    );
    check(&later);
    // A worker leaves after its outcome is there.
    let mut limits = pool.config().limits.clone();
    (limits.timeout, limits.cpu_time_limit) = (LONG, None);
    let unhurried = ExecutionOptions { limits: Some(limits), ..Default::default() };
    assert_eq!(pool.run("1 + 1", unhurried), Ok(Value::Number(2.0)), "after {over}");
    let (in_time, late) = recycles();
    assert_eq!(in_time + late, 3, "{over}");
    // Not all are late, unless assertions make the engine slow.
    let until = Instant::now() + LONG;
    while recycles().0 == 0 && !cfg!(feature = "debug-engine") {
        check(over);
        assert!(Instant::now() < until, "no worker stops in time: {over}");
    }
}

/// The four tests of a limit whose end script cannot catch.
fn check_limit(config: &PoolConfig, over: &str, below: &str, expected: Status, reason: RecycleReason) {
    let pool = pool(config.clone());
    check_trips(&pool, over, expected, reason);
    for _ in 0..2 {
        assert_eq!(status(&pool, below), Status::Ok, "{below}");
    }
}

/// What must be done in a time, which is longer on a busy machine: it is for one of these times. What would be ended
/// wrongly is so for all of them.
fn is_done_in_some_time(is_done_in: impl Fn(Duration) -> bool) -> bool {
    (0..12).map(|doublings| Duration::from_millis((SLOWNESS * 25) << doublings)).any(is_done_in)
}

/// Waits so long.
fn wait(time: Duration) -> String {
    format!("await new Promise(done => setTimeout(done, {}))", time.as_millis())
}

/// As [`check_limit`], for what changes a configuration, in all isolations.
fn hold(change: impl Fn(&mut PoolConfig), over: &str, below: &str, expected: Status, reason: RecycleReason) {
    for isolation in ISOLATIONS {
        let mut config = config(*isolation);
        change(&mut config);
        check_limit(&config, over, below, expected, reason);
    }
}

#[test]
fn console_tool_calls_and_messages_are_limited() {
    let repeated = |what: &str, n| format!("for (let i = 0; i < {n}; i++) {what}");
    for n in [1, 7, 1000] {
        let (expected, reason) = (Status::ConsoleLimit, RecycleReason::ConsoleLimit);
        let (over, below) = (repeated("console.log(i)", n + 1), repeated("console.log(i)", n));
        hold(|config| config.limits.max_console_calls = n, &over, &below, expected, reason);
        let print = |bytes| format!("console.log('ä'.repeat({}) + 'x'.repeat({}))", bytes / 2, bytes % 2);
        hold(|config| config.limits.max_console_output = n.into(), &print(n + 1), &print(n), expected, reason);

        let (expected, reason) = (Status::ToolCallLimit, RecycleReason::ToolCallLimit);
        let (over, below) = (repeated("await callTool('echo', i)", n + 1), repeated("await callTool('echo', i)", n));
        hold(|config| config.limits.max_tool_calls = n, &over, &below, expected, reason);
        let (over, below) = (repeated("callTool('echo', i)", n + 1), repeated("callTool('echo', i)", n));
        hold(|config| config.max_pending_tool_calls = n, &over, &below, expected, reason);

        // The budget fills up again while the script runs, so only an endless flood is one for certain, and only one that
        // waits for nobody.
        let (expected, reason) = (Status::MessageFlood, RecycleReason::MessageFlood);
        let flood = |config: &mut PoolConfig| {
            (config.max_messages_per_second, config.max_pending_tool_calls) = (n, 1_000_000);
        };
        for (over, below) in
            [("console.log(1)", "console.log(1)"), ("callTool('echo', 1)", "await callTool('echo', 1)")]
        {
            hold(flood, &format!("for (;;) {over}"), &repeated(below, n), expected, reason);
        }
    }
    let mut config = config(Isolation::Thread);
    config.limits.max_tool_calls = 10;
    let error = pool(config).run("for (;;) await callTool('echo')", Default::default()).unwrap_err();
    assert_eq!(error, Error::ToolCallLimit { limit: 10, unit: LimitUnit::ToolCalls, used: 11 });
}

/// What waiting calls and answers hold is memory of the host, outside of the worker's limit.
#[test]
fn what_waiting_calls_and_answers_hold_is_limited() {
    let (expected, reason) = (Status::ToolCallLimit, RecycleReason::ToolCallLimit);
    for bytes in [64 * 1024, MIB, 4 * MIB] {
        let limit = |config: &mut PoolConfig| config.limits.max_pending_bytes = bytes;
        // Half of the limit, and a little less: a call takes something beside its argument.
        let text = |less: u64| format!("'x'.repeat({})", bytes / 2 - less);
        let value = size_of::<Value>() as u64;
        let nulls = |less: u64| format!("Array({}).fill(null)", (bytes / 2 - less) / value);
        for (half, less) in [(text(0), text(500)), (nulls(0), nulls(500))] {
            let over = format!("callTool('echo', {half}); callTool('echo', {half}); for (;;) {{}}");
            let twice = format!("await Promise.all([callTool('echo', {less}), callTool('echo', {less})]);");
            hold(limit, &over, &twice.repeat(3), expected, reason);
        }
    }
    // Answers that the script does not take. A process has some in its socket.
    let limit = |config: &mut PoolConfig| config.limits.max_pending_bytes = 4 * MIB;
    let over = "for (let i = 0; i < 6; i++) callTool('text', 1e6); for (;;) {}";
    let below = "for (let i = 0; i < 3; i++) callTool('text', 1e6); \
                 for (let i = 0; i < 9; i++) await callTool('text', 1e6)";
    hold(limit, over, below, expected, reason);
    // One alone always has a place.
    for isolation in ISOLATIONS {
        let mut config = config(*isolation);
        config.limits.max_pending_bytes = 0;
        let pool = pool(config);
        for source in ["await callTool('echo', Array(1e5).fill(null))", "await callTool('text', 1e6)"] {
            assert_eq!(status(&pool, source), Status::Ok, "{source}");
        }
        let error = pool.run("callTool('echo'); callTool('echo', 'x'.repeat(1e6))", Default::default()).unwrap_err();
        match &error {
            Error::ToolCallLimit { limit: 0, unit: LimitUnit::PendingBytes, used } => assert!(*used > MIB / 2),
            other => panic!("{other:?}"),
        }
        assert!(error.to_string().contains("max_pending_bytes is 0"), "{error}");
    }
}

#[test]
fn wall_and_cpu_time_are_limited() {
    for isolation in ISOLATIONS {
        let within = |timeout, cpu_time_limit| {
            let mut config = config(*isolation);
            (config.limits.timeout, config.limits.cpu_time_limit) = (timeout, cpu_time_limit);
            pool(config)
        };
        for time in [50, 400].map(|ms| Duration::from_millis(ms * SLOWNESS)) {
            for over in ["for (;;) {}", "await new Promise(() => setTimeout(() => {}, 1e9))"] {
                check_trips(&within(time, None), over, Status::Timeout, RecycleReason::Timeout);
            }
            check_trips(&within(LONG, Some(time)), "for (;;) {}", Status::CpuLimit, RecycleReason::CpuLimit);
        }
        // What is just below passes, twice on the same worker; waiting costs no CPU time.
        let twice = |pool: Pool, source: String| (0..2).all(|_| status(&pool, &source) == Status::Ok);
        assert!(is_done_in_some_time(|time| twice(within(time, None), wait(time / 2))));
        assert!(is_done_in_some_time(|time| twice(within(LONG, Some(time)), wait(2 * time))));
    }
}

/// What takes memory without end, and the same in measure.
const HOGS: [(&str, &str); 12] = [
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
    // What our own code keeps for a script: arguments of timers, and the texts of a console call that runs script.
    (
        "let a = new Array(1e5).fill(1.5); for (;;) setTimeout(() => 0, 1e9, ...a)",
        "let a = new Array(1e5).fill(1.5); for (let i = 0; i < 20; i++) setTimeout(() => 0, 1e9, ...a)",
    ),
    (
        "let s = 'y'.repeat(1e6) + '%j', n = 0, o = { toJSON() { if (n++ < 500) console.log(s, o) } }; console.log(s, o)",
        "let s = 'y'.repeat(1e6) + '%j', n = 0, o = { toJSON() { if (n++ < 5) console.log(s, o) } }; console.log(s, o)",
    ),
];

#[test]
fn memory_is_limited_whatever_holds_it() {
    for limit in [48 * MIB, 64 * MIB] {
        let mut config = config(Isolation::Thread);
        config.memory_limit_per_worker = limit;
        for (over, below) in HOGS {
            check_limit(&config, over, below, Status::MemoryLimit, RecycleReason::MemoryLimit);
        }
        let outcome = pool(config).run_detailed(HOGS[1].0, Default::default()).unwrap();
        match &outcome.result {
            Err(Error::MemoryLimit { used, limit: told }) => assert!(*told == limit && *used > limit * 9 / 10),
            other => panic!("{other:?}"),
        }
        let peak = outcome.stats.peak_memory;
        assert!(peak > limit * 8 / 10 && peak <= limit * 5 / 4 + 8 * MIB, "{peak}");
    }
}

#[test]
fn memory_is_limited_at_all_sizes() {
    for mib in [MIN_MEMORY_LIMIT / MIB, 32, 64, 256, 512] {
        let bytes = mib * MIB;
        let over = "const all = []; for (;;) all.push(new Uint8Array(1e5).fill(1))";
        let below = format!("new Uint8Array({}).fill(1).length", bytes / 4 * 3 - 8 * MIB);
        let limit = |config: &mut PoolConfig| config.memory_limit_per_worker = bytes;
        hold(limit, over, &below, Status::MemoryLimit, RecycleReason::MemoryLimit);
    }
}

#[test]
fn garbage_does_not_count_against_the_limit() {
    let pool = pool(PoolConfig { memory_limit_per_worker: 64 * MIB, ..config(Isolation::Thread) });
    run(&pool, "for (let i = 0; i < 300; i++) new Uint8Array(8e6).fill(1)");
    run(&pool, "for (let i = 0; i < 3e6; i++) ({ x: [i] })");
    run(&pool, "let s = ''; for (let i = 0; i < 300; i++) s = 'x'.repeat(1e6) + i; s.length");
    assert_eq!(pool.stats().recycles(RecycleReason::MemoryLimit), 0);
}

#[test]
fn less_memory_than_a_worker_needs_is_refused() {
    for bytes in [0, MIB, MIN_MEMORY_LIMIT - 1, MAX_MEMORY_LIMIT + 1] {
        let Err(error) = Pool::new(PoolConfig { memory_limit_per_worker: bytes, ..config(Isolation::Thread) }) else {
            panic!("{bytes} bytes were accepted");
        };
        assert_eq!(error.status(), Status::InvalidArgument);
        let message = format!("memory_limit_per_worker is {bytes}; accepted is 16777216 to 1099511627776");
        assert_eq!(error.to_string(), message);
    }
}

/// What scripts usually do. (`make test-conformance` runs the whole table with the smallest limit.)
#[test]
fn the_least_memory_suffices_for_ordinary_scripts() {
    let sources = [
        "Array.from({ length: 10_000 }, (_, i) => ({ id: i, name: `user ${i}` })).filter(u => u.id % 2).length",
        "JSON.parse(JSON.stringify(Array.from({ length: 5000 }, (_, i) => [i, String(i)]))).length",
        "[...'the quick brown fox'.repeat(500).matchAll(/(?<word>\\w+)/g)].map(m => m.groups.word).length",
        "new Intl.NumberFormat('de-DE').format(1234.5) + new Date(0).toLocaleDateString('en-US')",
        "class A { #x = 1; *[Symbol.iterator]() { yield this.#x } } [...new A()]",
        "const all = await Promise.all([1, 2, 3].map(i => callTool('echo', i))); return all.reduce((a, b) => a + b)",
        "console.log([{ a: 1, b: [1, 2, 3] }], new Map([[1, 2]])); await new Promise(done => setTimeout(done, 1))",
        "new TextDecoder().decode(new TextEncoder().encode('ä'.repeat(100_000))).length",
        "let n = 1n; for (let i = 1n; i < 500n; i++) n *= i; n",
        "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } fib(20)",
        "'x'.repeat(1_000_000)",
    ];
    for isolation in ISOLATIONS {
        let pool = pool(PoolConfig { memory_limit_per_worker: MIN_MEMORY_LIMIT, ..config(*isolation) });
        for _ in 0..20 {
            for source in sources {
                run(&pool, source);
            }
        }
        no_worker_has_left(&pool);
    }
}

/// A value that is too deep is an exception of the call that it was an argument or the answer of, and RESULT_NOT_TRANSFERABLE
/// as a result, which nothing of the script runs after. It costs no worker.
#[test]
fn the_depth_of_values_is_limited() {
    for isolation in ISOLATIONS {
        for depth in [1, 7, 200, 512] {
            let mut config = config(*isolation);
            config.limits.max_value_depth = depth as u32;
            let pool = pool(config);
            let argument = |depth| format!("callTool('echo', {}); 'on'", nested_source(depth));
            let reply = |depth| format!("await callTool('nested', {depth}); return 'on'");

            // It trips.
            assert_eq!(status(&pool, &nested_source(depth + 1)), Status::ResultNotTransferable);
            assert_eq!(status(&pool, &argument(depth + 1)), Status::Exception);
            assert_eq!(status(&pool, &reply(depth + 1)), Status::Exception);
            let error = pool.run("1", with_global(nested(depth + 1))).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            // What script may catch, and what not.
            let caught = |source| format!("try {{ {source} }} catch (e) {{ return [e.name, e.message] }}");
            let Value::Array(thrown) = run(&pool, &caught(format!("await {}", argument(depth + 1)))) else { panic!() };
            assert_eq!(thrown[0], Value::from("TypeError"), "{thrown:?}");
            let Value::Array(thrown) = run(&pool, &caught(reply(depth + 1))) else { panic!() };
            let message = format!("the tool's reply is nested deeper than max_value_depth, {depth}");
            assert_eq!(thrown, ["RangeError".into(), message.into()]);
            let result = format!("try {{ return {} }} catch (e) {{ return 'caught' }}", nested_source(depth + 1));
            assert_eq!(status(&pool, &result), Status::ResultNotTransferable);
            // What is just below passes, and the next execution has not noticed.
            assert_eq!(run(&pool, &nested_source(depth)), nested(depth));
            assert_eq!(run(&pool, &argument(depth)), Value::from("on"));
            assert_eq!(run(&pool, &reply(depth)), Value::from("on"));
            assert!(pool.run("g", with_global(nested(depth))) == Ok(nested(depth)), "a global of {depth} levels");
            no_worker_has_left(&pool);
        }
    }
}

/// Script may catch that its argument, the answer to it, or a line was too large, and go on; it is not there when a
/// source, a global or the result is. None costs a worker.
#[test]
fn the_size_of_messages_is_limited() {
    for isolation in ISOLATIONS {
        for limit in [1024, 10_000, MIB as usize] {
            let pool = pool(PoolConfig { max_message_size: limit as u64, ..config(*isolation) });
            // A value counts 8 bytes and its text, a global its name as well.
            let text = limit - 8;
            let source = |size: usize| format!("1{}", ";".repeat(size - 1));
            let result = |size| format!("'x'.repeat({size})");
            let argument = |size| format!("callTool('echo', 'x'.repeat({size})); 'on'");
            let reply = |size| format!("await callTool('text', {size}); return 'on'");
            let line = |size| format!("console.log('x'.repeat({size})); 'on'");
            let global = |size: usize| with_global("x".repeat(size).into());

            // It trips.
            let over = [source(limit + 1), result(text + 1), argument(text + 1), reply(text + 1), line(limit + 1)];
            for (over, what) in over.iter().zip(["source", "result", "tool argument", "tool reply", "console line"]) {
                let error = pool.run(over.as_str(), Default::default()).unwrap_err();
                assert_eq!(error.status(), Status::MessageTooLarge, "{what}");
                assert!(error.to_string().contains(what), "{error}");
            }
            assert_eq!(pool.run("1", global(text)).unwrap_err().status(), Status::MessageTooLarge);
            // What script may catch, and what not.
            for over in [&over[2], &over[3], &over[4]] {
                let caught = format!("try {{ await 0; {over} }} catch (e) {{ return [e.name, e.code] }}");
                let expected = Value::Array(vec!["RangeError".into(), "MESSAGE_TOO_LARGE".into()]);
                assert_eq!(run(&pool, &caught), expected, "{over}");
            }
            let uncaught = format!("try {{ return {} }} catch (e) {{ return 'caught' }}", result(text + 1));
            assert_eq!(status(&pool, &uncaught), Status::MessageTooLarge);
            // What is just below passes, and the next execution has not noticed.
            assert_eq!(run(&pool, &source(limit)), Value::from(1));
            assert_eq!(run(&pool, &result(text)), Value::from("x".repeat(text)));
            for below in [argument(text), reply(text), line(limit)] {
                assert_eq!(run(&pool, &below), Value::from("on"));
            }
            assert_eq!(pool.run("g.length", global(text - 1)), Ok(Value::from((text - 1) as i32)));
            no_worker_has_left(&pool);
        }
    }
}

/// Too deep recursion is an exception like any other, which script may catch: nothing is lost by it.
#[test]
fn the_stack_is_limited() {
    let deep = [
        "function f() { f() } f()",
        "function f(n) { const a = n, b = a + 1, c = b + 1, d = c + 1; return f(d) + a + b + c + d } f(0)",
        "class A { get x() { return this.x } } new A().x",
        "const f = () => [1, 2].sort(f); f()",
        "const f = () => 'ab'.replace(/a/g, f); f()",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)",
        "let p = {}; for (let i = 0; i < 3e4; i++) p = new Proxy(p, {}); p.x",
    ];
    for isolation in ISOLATIONS {
        let pool = pool(config(*isolation));
        for source in deep {
            assert_eq!(status(&pool, source), Status::Exception, "{source}");
            let caught = format!("try {{ {source} }} catch (e) {{ if (!(e instanceof Error)) throw 1 }} 'on'");
            assert_eq!(run(&pool, &caught), Value::from("on"), "{source}");
        }
        for depth in [10, 1000, 5000] {
            let below = format!("function f(n) {{ return n ? 1 + f(n - 1) : 0 }} f({depth})");
            assert_eq!(run(&pool, &below), Value::from(depth));
        }
        no_worker_has_left(&pool);
    }
}

/// Their number is limited; as with the stack, one too many is an exception. One that is cleared makes room.
#[test]
fn pending_timers_are_limited() {
    for isolation in ISOLATIONS {
        let pool = pool(config(*isolation));
        let set = |n| format!("for (let i = 0; i < {n}; i++) setTimeout(() => {{}}, 1e6);");
        let Err(Error::Exception(error)) = pool.run(set(10_001).as_str(), Default::default()) else { panic!() };
        assert_eq!(
            (error.name.as_str(), error.message.as_str()),
            ("RangeError", "setTimeout: too many timers are pending")
        );
        let caught = format!("try {{ {} }} catch (e) {{ e.name }}", set(10_001));
        assert_eq!(run(&pool, &caught), Value::from("RangeError"));
        assert_eq!(run(&pool, &format!("{} 'on'", set(10_000))), Value::from("on"));
        let again = format!("{} clearTimeout(1); setTimeout(() => {{}}, 0); 'on'", set(10_000));
        assert_eq!(run(&pool, &again), Value::from("on"));
        no_worker_has_left(&pool);
    }
}

/// What is refused has not been run, so there is nothing to catch it.
#[test]
fn the_queue_is_limited() {
    for isolation in ISOLATIONS {
        for size in [0, 1, 7, 100] {
            let pool = pool(PoolConfig { max_queue_size: size, ..config(*isolation) });
            let running = pool.submit("for (;;) {}", Default::default()).unwrap();
            let until = Instant::now() + LONG;
            while pool.stats().workers.executing == 0 {
                assert!(Instant::now() < until);
            }
            let waiting: Vec<_> = (0..size).map(|_| pool.submit("1", Default::default()).unwrap()).collect();
            for _ in 0..3 {
                match pool.submit("2", Default::default()) {
                    Err(Error::QueueFull { queue_size, .. }) => assert_eq!(queue_size, size),
                    other => panic!("{:?}", other.err()),
                }
            }
            running.cancel().unwrap();
            for waiting in waiting {
                assert_eq!(waiting.wait().unwrap().result, Ok(Value::from(1)));
            }
            while status(&pool, "3") != Status::Ok {
                // Without a queue, the worker that takes the place of the cancelled one must be there first.
                assert!(size == 0 && Instant::now() < until);
            }
            assert_eq!(pool.stats().executions(Status::Cancelled), 1);
        }
    }
}

/// Submits an endless script until one runs: it waits in the queue too until its worker takes it.
fn occupy(pool: &Pool) -> Execution {
    let until = Instant::now() + LONG;
    loop {
        let running = pool.submit("for (;;) {}", Default::default()).unwrap();
        while !running.is_done() {
            if pool.stats().workers.executing > 0 {
                return running;
            }
            assert!(Instant::now() < until);
        }
    }
}

#[test]
fn the_wait_in_the_queue_is_limited() {
    for isolation in ISOLATIONS {
        let with = |queue_timeout| pool(PoolConfig { queue_timeout, ..config(*isolation) });
        for limit in [50, 400].map(|ms| Duration::from_millis(ms * SLOWNESS)) {
            let pool = with(limit);
            let running = occupy(&pool);
            let before = pool.stats().executions(Status::QueueTimeout);
            for _ in 0..3 {
                match pool.run("1", Default::default()) {
                    Err(Error::QueueTimeout { waited }) => assert!(waited >= limit),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(pool.stats().executions(Status::QueueTimeout), before + 3);
            running.cancel().unwrap();
            assert_eq!(running.wait().unwrap().result, Err(Error::Cancelled));
            // The next that finds a worker has not noticed.
            let until = Instant::now() + LONG;
            while let Err(error) = pool.run("2", Default::default()) {
                assert_eq!(error.status(), Status::QueueTimeout);
                assert!(Instant::now() < until);
            }
        }
        // A shorter wait passes, and the time that something runs is no wait.
        assert!(is_done_in_some_time(|time| {
            let pool = with(time);
            let running = pool.submit(wait(time / 4).as_str(), Default::default()).unwrap();
            let next = status(&pool, &wait(2 * time));
            running.wait().unwrap().result.is_ok() && next == Status::Ok
        }));
    }
}

/// Threads that are lost, or do not stop, are bounded, since each holds memory; after that nothing is started. A process
/// can be killed, so there it never comes to that.
#[test]
fn workers_set_aside_are_limited() {
    for max_workers in [1, 3] {
        let mut config = PoolConfig { memory_limit_per_worker: 64 * MIB, ..config(Isolation::Thread) };
        config.max_workers = max_workers;
        let pool = pool(config);
        for set_aside in 1..=2 * max_workers as u64 {
            assert_eq!(run(&pool, "1"), Value::from(1));
            lose_a_worker(&pool);
            assert_eq!(pool.stats().workers.set_aside as u64, set_aside);
        }
        // A worker that is there already may still serve; no other is started.
        let until = Instant::now() + LONG;
        while status(&pool, "for (const kept = [];;) kept.push(new Array(1e5).fill(1))") != Status::WorkerCrashed {
            assert!(Instant::now() < until);
        }
        assert_eq!(status(&pool, "1"), Status::WorkerCrashed);
    }
    if ISOLATIONS.contains(&Isolation::Process) {
        let mut config = config(Isolation::Process);
        config.limits.timeout = Duration::from_millis(50);
        let pool = pool(config);
        let (mut ended, until) = (0, Instant::now() + LONG);
        // On a busy machine some may be ended before they come to what never looks up.
        while pool.stats().recycles(RecycleReason::Unresponsive) < 5 {
            assert_eq!(status(&pool, "'a'.repeat(2 ** 24).indexOf('a'.repeat(2 ** 23) + 'b')"), Status::Timeout);
            let limits = ExecutionLimits { timeout: LONG, ..Default::default() };
            let options = ExecutionOptions { limits: Some(limits), ..Default::default() };
            assert_eq!(pool.run("1", options), Ok(Value::from(1)));
            ended += 1;
            assert!(Instant::now() < until, "{:?}", pool.stats());
        }
        assert_eq!(pool.stats().total_recycles(), ended);
    }
}
