//! What scripts print and what they find of the web, through the public API. The tables in `node/` hold what Node
//! gives, and the scripts that have made them.

use std::time::Duration;

use enclave_core::{
    ConsoleLevel, Error, ExecutionLimits, ExecutionOptions, Isolation, LimitUnit, Message, Outcome, Pool, PoolConfig,
    Status, Value, json,
};

use crate::common;

fn config() -> PoolConfig {
    PoolConfig { max_messages_per_second: 100_000, ..common::config(Isolation::Thread) }
}

fn pool() -> Pool {
    Pool::new(config()).unwrap()
}

fn run(pool: &Pool, source: &str, limits: Option<ExecutionLimits>) -> Outcome {
    let options = ExecutionOptions { limits, collect_console: true, ..Default::default() };
    Outcome::clone(&pool.run_detailed(source, options).unwrap())
}

/// The lines that a script prints, which must succeed.
fn lines(pool: &Pool, source: &str) -> Vec<String> {
    let outcome = run(pool, source, None);
    assert!(outcome.result.is_ok(), "{source}: {:?}", outcome.result);
    outcome.console.into_iter().map(|line| line.text).collect()
}

/// The pairs of a table.
fn table(text: &str) -> Vec<(String, String)> {
    let Value::Array(rows) = json::from_str(text, 3, "the table").unwrap() else { panic!("the table is no array") };
    let pair = |row: &Value| match row {
        Value::Array(pair) => match &pair[..] {
            [Value::String(source), Value::String(expected)] => (source.clone(), expected.clone()),
            other => panic!("{other:?} is no pair of strings"),
        },
        other => panic!("{other:?} is no pair of strings"),
    };
    rows.iter().map(pair).collect()
}

#[test]
fn the_console_prints_what_node_prints() {
    let pool = pool();
    for (source, expected) in table(include_str!("node/console.json")) {
        assert_eq!(lines(&pool, &source).join("\n"), expected, "{source}");
    }
}

#[test]
fn the_web_functions_give_what_node_gives() {
    let pool = pool();
    for (source, expected) in table(include_str!("node/web.json")) {
        let given =
            format!("try {{ JSON.stringify(({source})) ?? 'undefined' }} catch (error) {{ `throws ${{error.name}}` }}");
        assert_eq!(run(&pool, &given, None).result, Ok(Value::String(expected)), "{source}");
    }
}

#[test]
fn methods_have_their_levels() {
    let source = "for (const m of ['debug', 'trace', 'log', 'dir', 'dirxml', 'table', 'group', 'count', 'info', 'warn',
        'error']) console[m]('x'); console.assert(false); console.countReset('none'); console.timeEnd('none')";
    let outcome = run(&pool(), source, None);
    use ConsoleLevel::{Debug, Error, Info, Log, Warn};
    let levels: Vec<ConsoleLevel> = outcome.console.iter().map(|line| line.level).collect();
    assert_eq!(levels, [Debug, Debug, Log, Log, Log, Log, Log, Log, Info, Warn, Error, Error, Warn, Warn]);
    assert_eq!(outcome.stats.console_calls, 14);
}

#[test]
fn methods_need_no_this_and_give_undefined() {
    let pool = pool();
    assert_eq!(lines(&pool, "const { log } = console; [1, 2].forEach(x => log(x))"), ["1", "2"]);
    assert_eq!(
        run(&pool, "[console.log(), console.count(), console.clear()].every(x => x === undefined)", None).result,
        Ok(true.into())
    );
    assert_eq!(
        run(&pool, "String(console) + Object.keys(console).length", None).result,
        Ok("[object console]20".into())
    );
}

#[test]
fn an_error_is_shown_with_its_stack_its_properties_and_its_cause() {
    let pool = pool();
    let source = "class ValidationError extends Error {}
function fail() { throw Object.assign(new ValidationError('bad', { cause: 1 }), { code: 'E' }) }
try { fail() } catch (error) { console.log([error]) }";
    let expected = "[\n  ValidationError: bad\n      at ValidationError (main.js:1:1)\n      at fail (main.js:2:39)\n      \
                    at main.js:3:7 {\n    code: 'E',\n    [cause]: 1\n  }\n]";
    assert_eq!(lines(&pool, source), [expected]);
    let table = [
        ("new Error('m')", "Error: m\n    at main.js:1:13"),
        ("Object.assign(new Error('m'), { name: 'Custom' })", "Custom: m\n    at main.js:1:27"),
        ("Object.assign(new Error('m'), { stack: 'my own' })", "my own"),
        ("Object.assign(Object.create(Error.prototype), { x: 1 })", "Error { x: 1 }"),
        ("new AggregateError([1], 'm')", "AggregateError: m\n    at main.js:1:13 {\n  [errors]: [ 1 ]\n}"),
    ];
    for (source, expected) in table {
        assert_eq!(lines(&pool, &format!("console.log({source})")), [expected], "{source}");
    }
}

#[test]
fn trace_prints_the_stack() {
    let text = lines(&pool(), "function f() { console.trace('at %d', 1) }\nf()");
    assert_eq!(text, ["Trace: at 1\n    at f (main.js:1:24)\n    at main.js:2:1"]);
}

#[test]
fn a_stack_is_sanitized_where_the_limits_say_so() {
    let limits = ExecutionLimits { sanitize_stack_traces: true, ..Default::default() };
    let outcome = run(&pool(), "console.log(new Error('m'))", Some(limits));
    assert_eq!(outcome.console[0].text, "Error: m\n    at <script>:1:13");
}

#[test]
fn timers_print_the_time_that_has_passed() {
    let text = lines(
        &pool(),
        "console.time('t'); console.time('t'); console.timeLog('t', 1, {a: 1}); console.timeEnd('t'); console.timeEnd('t')",
    );
    assert_eq!(text[0], "Timer 't' already exists");
    assert!(text[1].starts_with("t: ") && text[1].ends_with("ms 1 { a: 1 }"), "{}", text[1]);
    assert!(text[2].starts_with("t: ") && text[2].ends_with("ms"), "{}", text[2]);
    assert_eq!(text[3], "Timer 't' does not exist");
}

#[test]
fn timers_stand_still_where_clocks_do() {
    let limits = ExecutionLimits { block_timing_apis: true, ..Default::default() };
    let source = "console.time(); for (let i = 0; i < 1e6; i++); console.timeEnd(); Date.now()";
    let outcome = run(&pool(), source, Some(limits));
    assert_eq!(outcome.console[0].text, "default: 0ms");
    let at = outcome.console[0].time.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as f64;
    assert_eq!(outcome.result, Ok(Value::Number(at)));
}

#[test]
fn formatting_runs_no_script() {
    let source = "let ran = [];
        const trap = new Proxy({}, { get: (_, name) => () => { ran.push(name); return undefined } });
        class A { get x() { ran.push('getter') } static get name() { ran.push('name') } }
        const o = {
            get a() { ran.push('a') }, toString() { ran.push('toString') }, valueOf() { ran.push('valueOf') },
            toJSON() { ran.push('toJSON') }, [Symbol.toPrimitive]() { ran.push('toPrimitive') },
            get [Symbol.toStringTag]() { ran.push('tag') }, get constructor() { ran.push('constructor') },
        };
        const values = [o, new A, A, new Proxy(o, trap), Object.create(new Proxy({}, trap)), new Map([[o, o]]),
            new Set([o]), new Date(0), /x/g, new Error('m'), Object.create(o), function () {}, [o]];
        Array.prototype[Symbol.iterator] = Map.prototype.forEach = Set.prototype.forEach = () => ran.push('forEach');
        Map.prototype[Symbol.iterator] = () => ran.push('iterator');
        Date.prototype.toISOString = RegExp.prototype.toString = () => ran.push('builtin');
        Object.defineProperty(RegExp.prototype, 'flags', { get() { ran.push('flags') } });
        Object.defineProperty(Error.prototype, 'stack', { get() { ran.push('stack') } });
        Object.defineProperty(Error.prototype, 'name', { get() { ran.push('error name') } });
        for (let i = 0; i < values.length; i++) {
            const value = values[i];
            console.log(value); console.log('%s %d %i %f %o %O', value, value, value, value, value, value);
            console.dir(value); console.table(value); console.table([value]); console.count(value);
            console.assert(false, value); console.group(value); console.time(value);
        }
        ran.join()";
    assert_eq!(run(&pool(), source, None).result, Ok("".into()));
}

#[test]
fn json_directives_run_to_json_and_take_what_json_does_not() {
    let pool = pool();
    let table = [
        ("'%j', { toJSON: () => [1] }", "[1]"),
        ("'%j', (() => { const a = {}; a.a = a; return a })()", "<ref *1> { a: [Circular *1] }"),
        ("'%j', 1n", "1n"),
        ("'%j', { toJSON() { throw 1 } }", "{ toJSON: [Function: toJSON] }"),
    ];
    for (source, expected) in table {
        assert_eq!(lines(&pool, &format!("console.log({source})")), [expected], "{source}");
    }
}

#[test]
fn large_values_are_cut() {
    let pool = pool();
    let table = [
        ("Object.fromEntries(Array.from({ length: 1002 }, (_, i) => ['k' + i, 0]))", "... 2 more properties\n}"),
        ("Object.assign([], { 4294967294: 1 })", "[ <100000 empty items>, ... 4294867295 more items ]"),
        ("1n << 20000n", "000n"),
        ("{ [Symbol.toStringTag]: 1, get constructor() { throw 1 } }", "[Symbol(Symbol.toStringTag)]: 1 }"),
    ];
    for (source, expected) in table {
        let text = lines(&pool, &format!("console.log({source})"));
        assert!(text[0].ends_with(expected), "{source}: {}", &text[0][text[0].len().saturating_sub(200)..]);
    }
    let rows = lines(&pool, "console.table(Array.from({ length: 1001 }, () => 0))");
    assert!(rows[0].ends_with("\n... 1 more row"));
}

fn calls(max_console_calls: u32) -> Option<ExecutionLimits> {
    Some(ExecutionLimits { max_console_calls, ..Default::default() })
}

fn bytes(max_console_output: u64) -> Option<ExecutionLimits> {
    Some(ExecutionLimits { max_console_output, ..Default::default() })
}

#[test]
fn the_last_call_within_the_limit_passes_and_the_next_ends_the_execution() {
    let pool = pool();
    let source = "for (let i = 0; i < 5; i++) console.log(i)";
    let outcome = run(&pool, source, calls(5));
    assert_eq!((outcome.result, outcome.stats.console_calls, outcome.console.len()), (Ok(Value::Undefined), 5, 5));
    let outcome = run(&pool, source, calls(4));
    assert_eq!(outcome.result, Err(Error::ConsoleLimit { limit: 4, unit: LimitUnit::Calls }));
    assert_eq!((outcome.stats.console_calls, outcome.console.len()), (4, 4));
    assert_eq!(run(&pool, "console.log()", calls(0)).result.unwrap_err().status(), Status::ConsoleLimit);
}

#[test]
fn the_last_byte_within_the_limit_passes_and_the_next_ends_the_execution() {
    let pool = pool();
    // 3 bytes of UTF-8, 2 of indentation.
    let source = "console.log('€'); console.group(); console.log(''); console.log('ab')";
    let outcome = run(&pool, source, bytes(9));
    assert_eq!((outcome.result, outcome.console.len()), (Ok(Value::Undefined), 3));
    let outcome = run(&pool, source, bytes(8));
    assert_eq!(outcome.result, Err(Error::ConsoleLimit { limit: 8, unit: LimitUnit::Bytes }));
    assert_eq!(outcome.console.len(), 2);
    assert!(run(&pool, "console.log()", bytes(0)).result.is_ok());
}

#[test]
fn calls_that_print_nothing_cost_nothing() {
    let source = "for (let i = 0; i < 1000; i++) {
        console.assert(true); console.group(); console.groupEnd(); console.time(); console.countReset; console.clear();
    }";
    let outcome = run(&pool(), source, calls(999));
    // Only the first of the timers is new.
    assert_eq!((outcome.result, outcome.console.len()), (Ok(Value::Undefined), 999));
}

#[test]
fn a_limit_cannot_be_caught_and_does_not_touch_the_next_execution() {
    let pool = pool();
    for (limits, flood) in [(calls(3), "console.log(1)"), (bytes(3), "console.log('x')")] {
        let source = format!(
            "const spill = () => {{ for (;;) {flood} }};
             let f = async () => {{ try {{ spill() }} catch {{ spill() }} finally {{ tools.after() }} }};
             f().catch(() => tools.after()).finally(() => tools.after()); 1"
        );
        let outcome = run(&pool, &source, limits.clone());
        assert_eq!(outcome.result.unwrap_err().status(), Status::ConsoleLimit);
        assert_eq!((outcome.console.len(), outcome.stats.tool_calls), (3, 0));
        let next = run(&pool, "console.log('y')", limits);
        assert_eq!((next.result, next.console.len(), next.stats.console_calls), (Ok(Value::Undefined), 1, 1));
    }
}

#[test]
fn lines_count_as_messages() {
    let pool = Pool::new(PoolConfig { max_messages_per_second: 10, ..config() }).unwrap();
    let outcome = run(&pool, "for (let i = 0; i < 1000; i++) console.log(i)", None);
    assert_eq!(outcome.result, Err(Error::MessageFlood { limit: 10 }));
    assert!((10..20).contains(&outcome.console.len()), "{}", outcome.console.len());
}

#[test]
fn a_line_above_max_message_size_throws_and_the_script_may_go_on() {
    let pool = Pool::new(PoolConfig { max_message_size: 1024, ..config() }).unwrap();
    let too_large = Err(Error::MessageTooLarge { what: Message::ConsoleLine, limit: 1024 });
    assert_eq!(lines(&pool, "console.log('x'.repeat(1024))").len(), 1);
    assert_eq!(run(&pool, "console.log('x'.repeat(1025))", None).result, too_large);
    assert_eq!(run(&pool, "console.log(Array(100).fill('x'.repeat(20)))", None).result, too_large);
    let source = "try { console.log('x'.repeat(1025)) } catch (error) { console.log(error.code) }";
    assert_eq!(lines(&pool, source), ["MESSAGE_TOO_LARGE"]);
}

#[test]
fn nothing_of_the_console_leaks_to_the_next_execution() {
    let pool = pool();
    let source = "console.group(); console.time('t'); console.count('c'); console.log = 1; console.mine = 1";
    lines(&pool, source);
    let source = "console.count('c'); console.timeEnd('t'); console.log(typeof console.log, console.mine)";
    assert_eq!(lines(&pool, source), ["c: 1", "Timer 't' does not exist", "function undefined"]);
}

#[test]
fn counters_and_timers_are_limited_in_number() {
    let limits = ExecutionLimits { max_console_calls: 5000, ..Default::default() };
    for method in ["count", "time"] {
        let source =
            format!("for (let i = 0; ; i++) try {{ console.{method}('l' + i) }} catch (e) {{ i + e.name; break }}");
        assert_eq!(run(&pool(), &source, Some(limits.clone())).result, Ok("1000RangeError".into()), "{method}");
    }
}

#[test]
fn hostile_values_are_printed_or_end_the_execution_on_time() {
    let sources = [
        "console.log(Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['key' + i, i])))",
        "let deep = []; for (let i = 0; i < 1e5; i++) deep = [deep]; console.log(deep); console.log('%o', deep)",
        "let text = 'a'; for (let i = 0; i < 26; i++) text += text; console.log(text)",
        "let text = 'a'; for (let i = 0; i < 24; i++) text += text; console.log([text], { [text]: 1 }, Symbol(text))",
        "let proxy = {}; for (let i = 0; i < 1e5; i++) proxy = new Proxy(proxy, {}); console.log(proxy)",
        "let child = {}; for (let i = 0; i < 1e5; i++) child = Object.create(child); console.log(child)",
        "console.log(new Map(Array.from({ length: 1e5 }, (_, i) => [i, i])))",
        "console.log(new Uint8Array(1e7), new Uint8Array(1e7).buffer, new DataView(new ArrayBuffer(1e7)))",
        "console.log(new String('x'.repeat(1e7)), new Array(2 ** 32 - 1))",
        "console.log(Object.defineProperty(function () {}, 'name', { value: 'n'.repeat(1e7) }))",
        "console.log(Object.create({ constructor: class {} }, { constructor: { value: 'c'.repeat(1e7) } }))",
        "let error = new Error('m'.repeat(1e7)); console.log(error)",
        "let error = new Error('m'); error.cause = error; console.log([error, { error }])",
        "let error = 0; for (let i = 0; i < 1e4; i++) error = new Error(i, { cause: error }); console.log(error)",
        "const again = { toJSON() { console.log('%j', again) } }; console.log('%j', again)",
        "console.log('%j', Array(1e6).fill('x'))",
        "console.log(1n << 1000000n, -(1n << 1000000n), '%d', 1n << 1000000n)",
        "console.table(Array.from({ length: 1e5 }, (_, i) => ({ ['k' + i]: i })))",
        "console.table(['x'.repeat(9999), ...Array(999)].map(v => ({ a: v, b: v, c: v })))",
        "for (let i = 0; i < 1e5; i++) console.group(); console.log('\\n'.repeat(1e5))",
        "const wide = n => n ? Array(100).fill(wide(n - 1)) : 'x'.repeat(1e4); console.log(wide(3)); console.log(wide(3))",
        "const holes = () => { const a = []; a[99999] = 1; return a }; console.log(Array.from({ length: 100 }, holes))",
        "(function recurse() { console.log([[{ a: new Map([[{}, {}]]) }]]); recurse() })()",
        "console.log(new RegExp('(?:x|y)'.repeat(1e5)), '%s'.repeat(1e5), ...Array(1e5).fill({ a: 1 }))",
        "let f = () => {}; for (let i = 0; i < 1e4; i++) f = f.bind(); console.log(f); console.trace(f)",
    ];
    let limits = ExecutionLimits { timeout: Duration::from_secs(5), ..Default::default() };
    let pool = pool();
    for source in sources {
        let outcome = run(&pool, source, Some(limits.clone()));
        // Of its own time: on a busy machine, more passes.
        assert!(outcome.stats.cpu_time < Duration::from_secs(8), "{source} took {:?}", outcome.stats.cpu_time);
        let printed: usize = outcome.console.iter().map(|line| line.text.len()).sum();
        assert!(printed as u64 <= limits.max_console_output, "{source} printed {printed} bytes");
        if let Err(error) = outcome.result {
            let fair = [Status::ConsoleLimit, Status::MemoryLimit, Status::Timeout, Status::Exception];
            assert!(fair.contains(&error.status()), "{source}: {error:?}");
        }
        assert_eq!(lines(&pool, "console.log('well')"), ["well"], "after {source}");
    }
}

#[test]
fn a_kill_ends_formatting() {
    let limits = ExecutionLimits {
        timeout: Duration::from_millis(300),
        max_console_calls: u32::MAX,
        max_console_output: u64::MAX,
        ..Default::default()
    };
    let source = "const holes = []; holes[99999] = 1; for (;;) console.log(Array(100).fill(Array(100).fill(holes)))";
    let outcome = run(&pool(), source, Some(limits));
    assert_eq!(outcome.result.unwrap_err().status(), Status::Timeout);
    assert!(outcome.stats.cpu_time < Duration::from_secs(3), "{:?}", outcome.stats.cpu_time);
}

#[test]
fn the_states_of_decoders_are_apart() {
    let source = "const s = { stream: true }, a = new TextDecoder(), b = new TextDecoder('utf-16le');
        const bytes = (...list) => new Uint8Array(list);
        a.decode(bytes(0xe2), s) + b.decode(bytes(0x61), s) + a.decode(bytes(0x82, 0xac), s) + b.decode(bytes(0), s)";
    assert_eq!(run(&pool(), source, None).result, Ok("€a".into()));
}

#[test]
fn a_failed_fatal_decoding_leaves_no_state() {
    let source = "const d = new TextDecoder('utf-8', { fatal: true });
        try { d.decode(new Uint8Array([0x61, 0xff]), { stream: true }) } catch {}
        d.decode(new Uint8Array([0xef, 0xbb, 0xbf, 0x62]))";
    assert_eq!(run(&pool(), source, None).result, Ok("b".into()));
}

#[test]
fn web_functions_end_in_an_error_where_memory_does_not_suffice() {
    let config = PoolConfig { memory_limit_per_worker: 32 << 20, ..config() };
    let pool = Pool::new(config).unwrap();
    let sources = [
        "const text = 'ä'.repeat(2e7); for (const all = []; ;) all.push(new TextEncoder().encode(text))",
        "const bytes = new Uint8Array(1.5e7).fill(97); for (const all = []; ;) all.push(new TextDecoder().decode(bytes))",
        "const text = 'a'.repeat(1e7); for (const all = []; ;) all.push(btoa(text))",
        "const text = 'aaaa'.repeat(3e6); for (const all = []; ;) all.push(atob(text))",
        "const list = Array.from({ length: 1e5 }, (_, i) => ({ i })); for (const all = []; ;) all.push(structuredClone(list))",
        "for (const all = []; ;) { const d = new TextDecoder('gb18030'); d.decode(new Uint8Array([0x81]), { stream: true }); all.push(d) }",
    ];
    for source in sources {
        let outcome = run(&pool, source, None);
        assert_eq!(outcome.result.map_err(|error| error.status()), Err(Status::MemoryLimit), "{source}");
        assert_eq!(run(&pool, "atob(btoa('well'))", None).result, Ok("well".into()), "after {source}");
    }
}

#[test]
fn what_is_dropped_is_freed() {
    let config = PoolConfig { memory_limit_per_worker: 32 << 20, ..config() };
    let source = "const bytes = new Uint8Array(1e5).fill(97), s = { stream: true };
        for (let i = 0; i < 2000; i++) {
            const d = new TextDecoder('gb18030');
            structuredClone(bytes); new TextEncoder().encode(d.decode(bytes, s)); atob(btoa('x'.repeat(1e5)));
        }
        'done'";
    assert_eq!(run(&Pool::new(config).unwrap(), source, None).result, Ok("done".into()));
}

#[test]
fn a_deep_value_is_cloned() {
    let source = "let deep = {}; for (let i = 0; i < 1e5; i++) deep = { deep };
        let depth = 0; for (let o = structuredClone(deep); o; o = o.deep) depth++; depth";
    assert_eq!(run(&pool(), source, None).result, Ok(100_001.into()));
}

#[test]
fn what_cannot_be_cloned_is_a_data_clone_error() {
    let source = "['f', Symbol(), () => 1, new WeakMap(), Promise.resolve(), [[class {}]]].map(value => {
        try { structuredClone(value); return 'cloned' } catch (error) { return (error instanceof Error) + error.name }
    }).join()";
    let expected = ["cloned"].into_iter().chain(["trueDataCloneError"; 5]).collect::<Vec<_>>().join(",");
    assert_eq!(run(&pool(), source, None).result, Ok(expected.into()));
}
