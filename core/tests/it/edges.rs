//! Every way from a script into our own code, where the engine has no more stack, and where it has no more memory:
//! whatever the engine does there, our code takes it, and the next execution does not notice.

use std::sync::Arc;

use enclave_core::{
    Error, ExecutionOptions, Isolation, MIN_MEMORY_LIMIT, Outcome, Pool, PoolConfig, Preset, SourceKind, Status,
    ToolCall, ToolError, Value,
};

use crate::common::LONG;

/// What values are made by: each time a new one, because the engine makes much of a value only when it is asked.
const MAKERS: &[&str] = &[
    "() => (0, function f() { return class {} })",
    "() => class A { m() { return () => 1 } }",
    "() => class extends Array { static { this.x = 1 } }",
    "() => async () => await 1",
    "() => function* g() { yield 1 }",
    "() => ({ m() {}, get g() { return 1 }, set s(v) {} })",
    "() => (function () {}).bind(null, 1)",
    "() => new Proxy(function () {}, {})",
    "() => new Proxy([1, [2]], { get: (t, k) => Reflect.get(t, k) })",
    "() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy }",
    "() => [1, , [2, { a: [3, { b: 4 }] }], 'text']",
    "() => Object.assign([1.5, 2n], { named: 1 })",
    "() => new Uint8Array(3)",
    "() => new DataView(new ArrayBuffer(8), 1)",
    "() => new Map([[{ k: 1 }, new Set([1, 'a'])], [2, new Map()]])",
    "() => new WeakMap()",
    "() => Promise.resolve({ a: 1 })",
    "() => new Promise(() => {})",
    "() => new Error('m', { cause: new TypeError('inner') })",
    "() => new AggregateError([new RangeError('one'), 2], 'many')",
    "() => { class Mine extends Error { get name() { return 'Mine' } } return new Mine('m') }",
    "() => ({ name: 'Like', message: 'an error', code: 1, toString() { return 'text' } })",
    "() => new Date(1e12)",
    "() => new Date(NaN)",
    "() => /a+(b)\\1[\\u0100-\\u0200]/dgimsuy",
    "() => [new Number(1), new String('boxed'), new Boolean(false), Object(1n), Object(Symbol('s'))]",
    "() => Symbol('description')",
    "() => 2n ** 5000n",
    "() => 'rope'.repeat(2000) + Math.random() + 'end'.repeat(50)",
    "() => ({ __proto__: null, ['k'.repeat(300)]: 1, '': 2, 7: 3, [Symbol('s')]: 4 })",
    "() => { const o = { a: {} }; o.a.back = o; return o }",
    "() => ({ get a() { return { b: [1] } }, toJSON() { return [this.a] }, then: 1 })",
    "() => (function () { return arguments })(1, 2)",
    "() => Object.create(Object.create({ x: 1 }, { [Symbol.toStringTag]: { value: 'Tag' } }))",
];

/// What is done with them. `echo` and `fail` are tools.
const ENTRIES: &[&str] = &[
    "v => console.log(v)",
    "v => console.log('%s %o %O %j %d %i', v, v, v, v, v, v)",
    "v => console.dir(v)",
    "v => console.table([v, { a: v }], ['a'])",
    "v => console.table(v)",
    "v => console.trace(v)",
    "v => console.assert(false, v)",
    "v => { console.group(v); console.groupEnd() }",
    "v => { console.count(v); console.countReset(v) }",
    "v => { console.time(v); console.timeLog(v, v); console.timeEnd(v) }",
    "v => callTool('echo', v)",
    "v => tools.echo({ a: [v] })",
    "v => { tools.fail(v).catch(() => {}); callTool(v).catch(() => {}) }",
    "v => structuredClone(v)",
    "v => structuredClone({ a: [v] }, { transfer: [v] })",
    "v => new TextEncoder().encode(v)",
    "v => new TextEncoder().encodeInto(v, new Uint8Array(20))",
    "v => new TextDecoder('utf-16le', { fatal: true, ignoreBOM: true }).decode(v)",
    "v => new TextDecoder(v)",
    "v => atob(v)",
    "v => atob(btoa(v))",
    "v => clearTimeout(setTimeout(() => v, v, v, v))",
    "v => clearTimeout(v)",
    "v => queueMicrotask(() => v)",
    "v => { setTimeout(v); queueMicrotask(v) }",
    "v => import(v).catch(() => {})",
    "v => Promise.reject(v).catch(() => {})",
    "v => { eval(v) }",
    "v => new DOMException(v, v)",
    "v => new Date() + v + Date.now()",
];

/// What becomes of a value at the end of an execution.
const ENDS: &[&str] = &["v", "[v, { a: v }]", "new Map([[v, v]])", "(() => { throw v })()", "Promise.reject(v)"];

fn pool(memory_limit: u64) -> Pool {
    let mut config = PoolConfig::preset(Preset::Permissive);
    config.isolation = Isolation::Thread;
    (config.min_workers, config.max_workers) = (1, 1);
    config.memory_limit_per_worker = memory_limit;
    (config.queue_timeout, config.limits.timeout) = (LONG, LONG);
    config.limits.max_console_calls = 10_000_000;
    config.limits.max_console_output = 1 << 40;
    config.limits.max_tool_calls = 10_000_000;
    config.max_pending_tool_calls = 100_000;
    config.max_messages_per_second = 10_000_000;
    Pool::builder(config)
        .tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args)))
        .tool("fail", Arc::new(|call: ToolCall| call.reply.reject(ToolError::new("no"))))
        .on_console(Arc::new(|_| ()))
        .build()
        .unwrap()
}

fn check(pool: &Pool, source: &str, kind: SourceKind) -> Arc<Outcome> {
    let options = ExecutionOptions { kind, ..Default::default() };
    let outcome = pool.run_detailed(source, options).unwrap();
    let status = outcome.result.as_ref().err().map_or(Status::Ok, |error| error.status());
    let expected = [
        Status::Ok,
        Status::Exception,
        Status::MemoryLimit,
        Status::ResultNotTransferable,
        Status::MessageTooLarge,
        Status::Unsettled,
    ];
    assert!(expected.contains(&status), "{:?}\n{source}", outcome.result);
    let next = pool.run("console.log(class {}, 6 * 7); 6 * 7", Default::default());
    assert_eq!(next.unwrap(), Value::Number(42.0), "{source}");
    outcome
}

/// Every entry with every kind of value, at each of the last frames that fit on the stack.
#[test]
fn the_end_of_the_stack_is_the_same_for_all_of_our_code() {
    // The frames are small: what an entry needs is found to be missing at each of its calls into the engine in turn.
    const FRAMES: usize = if cfg!(feature = "debug-engine") { 30 } else { 100 };
    let pool = pool(256 << 20);
    for entry in ENTRIES {
        let source = format!(
            "const entry = {entry}, makers = [{}];
            const fresh = Array.from({{ length: {FRAMES} }}, () => makers.map((make) => make()));
            const attempt = (value) => {{ try {{ entry(value) }} catch {{}} }};
            const deep = () => {{ try {{ deep() }} catch (e) {{
                try {{ fresh.pop()?.forEach(attempt) }} catch {{}}
                throw e
            }} }};
            try {{ deep() }} catch {{}}
            'through'",
            MAKERS.join(", ")
        );
        let outcome = check(&pool, &source, SourceKind::Script);
        // A callback of a microtask may be what throws: that is an exception of the execution.
        match &outcome.result {
            Ok(value) => assert_eq!(*value, Value::from("through"), "{entry}"),
            Err(error) => assert_eq!(error.status(), Status::Exception, "{entry}: {error}"),
        }
    }
}

/// Getters that run at the end of an execution, when the result and errors are read, use the stack up.
#[test]
fn the_end_of_the_stack_may_be_met_while_a_result_is_read() {
    let pool = pool(256 << 20);
    for end in ["o", "(() => { throw o })()", "console.log('%j', o)", "tools.echo(o)"] {
        for entry in ENTRIES.iter().step_by(3) {
            let source = format!(
                "const entry = {entry};
                let n = 0;
                const deep = () => {{ try {{ deep() }} catch (e) {{
                    if (n++ < 20) try {{ entry(class {{ m() {{ }} }}) }} catch {{}}
                    throw e
                }} }};
                const use = {{ get() {{ try {{ deep() }} catch {{}} return 'x' }}, enumerable: true }};
                const o = Object.defineProperties({{}}, {{ name: use, message: use, code: use, toString: {{ value: deep }} }});
                {end}"
            );
            check(&pool, &source, SourceKind::Script);
        }
    }
}

/// Every entry with some values, and every value in some entries, with less and less memory until the engine is refused
/// some. Nothing looks for the limit in between, so the refusal is met inside.
#[test]
fn a_refusal_of_memory_is_the_same_for_all_of_our_code() {
    let limit = MIN_MEMORY_LIMIT;
    let refused_at = limit + (limit / 4).max(8 << 20);
    let mut distances =
        vec![0, 100, 1000, 4000, 16_000, 50_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000];
    if cfg!(feature = "debug-engine") {
        distances = vec![1000, 50_000, 150_000, 500_000];
    }
    let mut cases = Vec::new();
    for (index, entry) in ENTRIES.iter().enumerate() {
        for make in MAKERS.iter().skip(index % 5).step_by(5) {
            cases.push((format!("const entry = {entry}, make = {make};"), "entry(v); 1"));
        }
    }
    for make in MAKERS {
        cases.extend(ENDS.iter().map(|end| (format!("const make = {make};"), *end)));
        cases.push((format!("const make = {make}, entry = {};", ENTRIES[0]), "entry(v); 1"));
    }
    let (mut refused, mut passed) = (0, 0);
    for (set_up, act) in cases {
        let pool = pool(limit);
        for distance in &distances {
            let before = check(&pool, "1", SourceKind::Script).stats.peak_memory;
            let size = refused_at.saturating_sub(before + distance);
            // `console` and the tools are there already, so that their making does not stand for all else.
            let source =
                format!("{set_up} console; callTool; tools; const v = make(), hold = new ArrayBuffer({size}); {act}");
            let outcome = check(&pool, &source, SourceKind::Script);
            match &outcome.result {
                Err(Error::MemoryLimit { .. }) => refused += 1,
                _ => passed += 1,
            }
        }
    }
    assert!(refused > 100 && passed > 100, "the distances are wrong: {refused} refused, {passed} passed");
}
