//! Compiled scripts, and sources that workers keep compiled: they give what the source gives, and nothing of one run is
//! in the next.

use std::time::Duration;

use enclave_core::{Error, ExecutionOptions, Isolation, Pool, SourceKind, Status, Value};

use crate::common::{await_late, config, limited};

fn pools() -> [Pool; 2] {
    [Isolation::Thread, Isolation::Process].map(|isolation| Pool::new(config(isolation)).unwrap())
}

fn of_kind(kind: SourceKind) -> ExecutionOptions {
    ExecutionOptions { kind, ..Default::default() }
}

#[test]
fn a_compiled_script_gives_what_its_source_gives_in_a_fresh_realm_each_time() {
    let sources = [
        (SourceKind::Auto, "globalThis.n = (globalThis.n ?? 0) + 1; var m = 1; n"),
        (SourceKind::Auto, "let a = [1, 2, 3].map(x => x * 2); a.push(a.length); a"),
        (SourceKind::Auto, "await Promise.resolve(7)"),
        (SourceKind::Auto, "const f = async () => await 8; return await f()"),
        (
            SourceKind::Script,
            "function f() { return f.toString() } class A { #p = 1; get p() { return this.#p } } f() + new A().p",
        ),
        (SourceKind::Function, "return [typeof input, [...(function* () { yield 1; yield* 'ab' })()]]"),
    ];
    for pool in pools() {
        for (kind, source) in sources {
            let expected = pool.run(source, of_kind(kind)).unwrap();
            let script = pool.compile(source, of_kind(kind)).unwrap();
            assert_eq!((script.source(), script.kind(), script.filename()), (source, kind, "main.js"));
            for _ in 0..5 {
                assert_eq!(pool.run(&script, Default::default()).unwrap(), expected, "{source}");
                // The second time on, workers keep plain sources too.
                assert_eq!(pool.run(source, of_kind(kind)).unwrap(), expected, "{source}");
            }
        }
    }
}

#[test]
fn options_belong_to_the_run() {
    for pool in pools() {
        let script = pool.compile("a + 1", Default::default()).unwrap();
        for a in [1, 2, 3] {
            let options = ExecutionOptions { globals: vec![("a".into(), a.into())], ..Default::default() };
            assert_eq!(pool.run(&script, options).unwrap(), (a + 1).into());
        }
        assert_eq!(pool.run(&script, Default::default()).unwrap_err().status(), Status::Exception);
        let script = pool.compile("new Function('return 1')()", Default::default()).unwrap();
        for allowed in [false, true, false] {
            let result = pool.run(&script, limited(|limits| limits.allow_code_generation = allowed));
            assert_eq!(result.is_ok(), allowed, "{result:?}");
        }
        let script =
            pool.compile("for (let i = 0, a = Date.now(); i < 3e5; i++) ; Date.now()", Default::default()).unwrap();
        for _ in 0..3 {
            assert!(pool.run(&script, limited(|limits| limits.block_timing_apis = true)).is_ok());
        }
    }
}

#[test]
fn compiling_need_not_be_waited_for() {
    for pool in pools() {
        let (sender, outcomes) = std::sync::mpsc::channel();
        for (source, compiles) in [("throw 1", true), ("throw = 1", false)] {
            let sender = sender.clone();
            let on_complete = move |outcome| sender.send(outcome).unwrap();
            let (script, execution) = pool.compile_with(source, Default::default(), on_complete).unwrap();
            assert_eq!(execution.wait().unwrap().result.is_ok(), compiles, "{source}");
            assert_eq!(outcomes.recv().unwrap().result.is_ok(), compiles, "{source}");
            let error = pool.run(&script, Default::default()).unwrap_err();
            assert_eq!(matches!(error, Error::Exception(_)), compiles, "{error}");
        }
    }
}

#[test]
fn a_syntax_error_is_known_before_the_script_is_run_and_has_its_place() {
    for pool in pools() {
        for source in ["let a = 1;\nlet = = 2", "let a = 1;\n\treturn await ]"] {
            let Err(Error::Syntax(compiled)) = pool.compile(source, Default::default()) else { panic!("{source}") };
            let Err(Error::Syntax(run)) = pool.run(source, Default::default()) else { panic!("{source}") };
            assert_eq!((compiled.line, compiled.column), (2, run.column), "{source}");
            assert_eq!(compiled.message, run.message);
        }
        // Nothing of it has run.
        let options = ExecutionOptions { collect_console: true, ..Default::default() };
        assert!(pool.compile("console.log(1); throw 1", options).is_ok());
        assert_eq!(pool.stats().console_lines, 0);
        assert_eq!(pool.run("1 + 1", Default::default()).unwrap(), 2.into());
    }
}

#[test]
fn a_name_is_that_of_the_script() {
    let named = |name: &str| ExecutionOptions { filename: Some(name.into()), ..Default::default() };
    let source = "\nthrow new Error('x')";
    for pool in pools() {
        let scripts = ["one.js", "two.js"].map(|name| pool.compile(source, named(name)).unwrap());
        for sanitize in [true, false, true, false] {
            for script in &scripts {
                let options = limited(|limits| limits.sanitize_stack_traces = sanitize);
                let Err(Error::Exception(error)) = pool.run(script, options) else { panic!("no exception") };
                assert_eq!(error.line, 2);
                let stack = error.stack.unwrap_or_default();
                assert_eq!(stack.contains(script.filename()), !sanitize, "{stack}");
            }
        }
        let bad = pool.compile("1", named("a\nb")).unwrap_err();
        assert_eq!(bad.status(), Status::InvalidArgument, "{bad}");
    }
}

#[test]
fn limits_hold_for_compiling_and_for_running_what_was_compiled() {
    for pool in pools() {
        let endless = pool.compile("for (;;);", Default::default()).unwrap();
        for _ in 0..2 {
            let options = limited(|limits| limits.timeout = Duration::from_millis(50));
            assert_eq!(pool.run(&endless, options).unwrap_err().status(), Status::Timeout);
            await_late(&pool);
        }
        let hungry =
            pool.compile("const a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))", Default::default()).unwrap();
        assert_eq!(pool.run(&hungry, Default::default()).unwrap_err().status(), Status::MemoryLimit);
        if pool.config().isolation == Isolation::Process {
            // Each level is parsed twice, and the parser never looks up: a thread would go on for ever.
            let slow = format!("{}1{}", "(a=".repeat(60), ")=>1".repeat(60));
            let options = limited(|limits| limits.timeout = Duration::from_millis(100));
            assert_eq!(pool.compile(slow, options).unwrap_err().status(), Status::Timeout);
        }
        let large = "1;".repeat(pool.config().max_message_size as usize / 2 + 1);
        assert_eq!(pool.compile(large, Default::default()).unwrap_err().status(), Status::MessageTooLarge);
        assert_eq!(pool.run("1 + 1", Default::default()).unwrap(), 2.into());
    }
}

#[test]
fn what_is_kept_is_bounded() {
    for isolation in [Isolation::Thread, Isolation::Process] {
        let mut config = config(isolation);
        config.max_executions_per_worker = u64::MAX;
        config.memory_limit_per_worker = 64 << 20;
        let pool = Pool::new(config).unwrap();
        let body: String = (0..400).map(|i| format!("function f{i}(a) {{ return a.b{i} + {i} }}\n")).collect();
        let source = |n: usize| format!("{body}\nf1({{ b1: {n} }})");
        let mut held = Vec::new();
        for n in 0..600 {
            let script = pool.compile(source(n), Default::default()).unwrap();
            assert_eq!(pool.run(&script, Default::default()).unwrap(), (n as i32 + 1).into());
            held.push(pool.stats().memory_current);
        }
        // Kept without bound, they would be 600 times some 100 KiB.
        let most = held[300..].iter().max().unwrap();
        assert!(*most < held[10] + (24 << 20), "{held:?}");
        assert_eq!(pool.stats().total_recycles(), 0);
    }
}

#[test]
fn a_script_may_be_run_by_any_pool_and_survives_the_one_that_compiled_it() {
    let [threads, processes] = pools();
    let script = threads.compile("[1, 2].length", Default::default()).unwrap();
    drop(threads);
    assert_eq!(processes.run(&script.clone(), Default::default()).unwrap(), Value::from(2));
    let refused = processes.compile("1", limited(|limits| limits.timeout = Duration::ZERO)).unwrap_err();
    assert_eq!(refused.status(), Status::InvalidArgument);
    processes.shutdown(None).unwrap();
    assert_eq!(processes.compile("1", Default::default()).unwrap_err().status(), Status::PoolClosed);
}
