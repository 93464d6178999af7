//! Fuzz targets: functions that take bytes and panic if a property does not hold. They are driven from elsewhere: by
//! the tests at the end of this file, with the corpus of `fuzz/corpus` and inputs that a fixed seed makes from it, and
//! by libFuzzer through `fuzz/targets`. This module exists only in tests, and where the compiler is told `--cfg
//! fuzzing`.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use crate::worker::fuzzing::{frames_of_pool, frames_of_worker};
use crate::{
    Error, ExecutionLimits, ExecutionOptions, HostAllocator, Isolation, Outcome, Pool, PoolConfig, ScriptError,
    SourceKind, Status, ToolCall, ToolHandler, Value, cbor, json,
};

/// [`HostAllocator`], which counts what a thread takes; for [`linear`].
pub struct CountingAllocator;

/// Bytes that a thread has taken.
#[derive(Clone, Copy, Default)]
struct Taken {
    in_all: usize,
    /// Less what it has given back; below 0 where that was taken before, or by another thread.
    held: isize,
    peak: isize,
}

thread_local! {
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { in_all: 0, held: 0, peak: 0 }) };
}

fn note(taken: usize, given: usize) {
    // A thread that ends has no such value any more.
    let _ = TAKEN.try_with(|cell| {
        let Taken { in_all, held, peak } = cell.get();
        // What is moved is there twice for a moment.
        let most = held.saturating_add_unsigned(taken);
        let held = most.saturating_sub_unsigned(given);
        cell.set(Taken { in_all: in_all.saturating_add(taken), held, peak: peak.max(most) });
    });
}

// SAFETY: the calls are those of `HostAllocator`, unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's contract.
        unsafe { HostAllocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's contract.
        unsafe { HostAllocator.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller's contract.
        unsafe { HostAllocator.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: the caller's contract.
        unsafe { HostAllocator.realloc(block, layout, size) }
    }
}

/// What reading may take for each byte of its input, at once: the head of an array or map is one byte, and gets room for
/// up to 32 items; while a vector grows, it is there twice.
const BYTES_AT_ONCE: usize = 40 * size_of::<(String, Value)>();
/// And in all: as much again for each time that it is copied.
const BYTES_IN_ALL: usize = 4 * BYTES_AT_ONCE;
/// What it may take for nothing: messages of errors, and the state of a reader.
const BYTES_FOR_NOTHING: usize = 16 * 1024;

/// Does something with so many bytes of input, which may take so much memory that its time is linear as well.
pub(crate) fn linear<T>(input: usize, act: impl FnOnce() -> T) -> T {
    TAKEN.set(Taken::default());
    let result = act();
    let Taken { in_all, peak, .. } = TAKEN.get();
    let most = BYTES_FOR_NOTHING + input * BYTES_AT_ONCE;
    assert!(peak <= most as isize, "{peak} bytes at once for {input} bytes of input; {most} are accepted");
    let most = BYTES_FOR_NOTHING + input * BYTES_IN_ALL;
    assert!(in_all <= most, "{in_all} bytes in all for {input} bytes of input; {most} are accepted");
    result
}

/// Exact text: unlike `==` it tells `-0` from `0` and finds `NaN` the same as itself.
pub(crate) fn exact(value: &Value) -> String {
    format!("{value:?}")
}

/// The first byte, and the rest.
fn split(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(first, rest)| (*first, rest))
}

/// CBOR: the first byte is the depth that is accepted.
pub fn cbor(data: &[u8]) {
    let Some((max_depth, bytes)) = split(data) else { return };
    let max_depth = max_depth.into();
    let Ok(value) = linear(bytes.len(), || cbor::from_slice(bytes, max_depth, "bytes")) else { return };
    assert!(value.depth() <= max_depth);
    let size = value.approximate_size();
    let again = cbor::to_vec(&value, "value").unwrap();
    // A value's head has at most 9 bytes, an error's 45 with its field names.
    assert!(again.len() as u64 <= 10 * size, "{} bytes for a value of {size}", again.len());
    let read = cbor::from_slice(&again, max_depth, "bytes").unwrap();
    assert_eq!(exact(&read), exact(&value));
    assert_eq!(cbor::to_vec(&read, "value").unwrap(), again);
    if let Some(too_few) = value.depth().checked_sub(1) {
        assert!(cbor::from_slice(&again, too_few, "bytes").is_err());
    }
    for end in [0, again.len() / 2, again.len() - 1] {
        assert!(cbor::from_slice(&again[..end], max_depth, "bytes").is_err());
    }
    is_json(&value);
}

/// The JSON of a value can be read, by us and by others.
fn is_json(value: &Value) {
    let text = json::to_string(value, "value").unwrap();
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
    let read = json::from_str(&text, 512, "text").unwrap();
    assert_eq!(json::to_string(&read, "value").unwrap(), text);
}

/// JSON: the first byte is the depth that is accepted.
pub fn json(data: &[u8]) {
    let Some((max_depth, bytes)) = split(data) else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let max_depth = max_depth.into();
    let read = linear(text.len(), || json::from_str(text, max_depth, "text"));
    let others = serde_json::from_str::<serde::de::IgnoredAny>(text);
    match read {
        Ok(value) => {
            assert!(others.is_ok(), "{text:?} is no JSON");
            assert!(value.depth() <= max_depth);
            is_json(&value);
            let bytes = cbor::to_vec(&value, "value").unwrap();
            assert_eq!(exact(&cbor::from_slice(&bytes, 512, "bytes").unwrap()), exact(&value));
        }
        Err(error) => {
            assert_eq!(error.status(), Status::InvalidArgument);
            if let Some(too_few) = max_depth.checked_sub(1) {
                assert!(json::from_str(text, too_few, "text").is_err());
            }
        }
    }
}

/// A pool of one worker, in which what is not asked for does not end an execution.
fn engine() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut config = PoolConfig { isolation: Isolation::Thread, ..PoolConfig::default() };
        (config.min_workers, config.max_workers) = (1, 4);
        config.memory_limit_per_worker = 64 << 20;
        config.max_messages_per_second = 1_000_000;
        config.limits.timeout = Duration::from_secs(60);
        config.limits.max_tool_calls = 10_000;
        Pool::new(config).expect("a pool can be made")
    })
}

/// How a source compiles; none for what says nothing about the source.
fn compiles(source: &str, kind: SourceKind) -> Option<Result<(), Box<ScriptError>>> {
    match engine().compile(source, ExecutionOptions { kind, ..Default::default() }) {
        Ok(_) => Some(Ok(())),
        Err(Error::Syntax(error)) => Some(Err(error)),
        Err(error) => {
            assert!(matches!(error.status(), Status::Timeout | Status::MemoryLimit | Status::Exception), "{error}");
            None
        }
    }
}

/// How a source is read. The body of an async function is what the engine's own constructor takes for one.
pub fn sources(data: &[u8]) {
    // Longer ones say nothing more.
    let data = &data[..data.len().min(400)];
    let source = &*String::from_utf8_lossy(data);
    let kinds = [SourceKind::Script, SourceKind::Function, SourceKind::Auto];
    let [Some(script), Some(function), Some(auto)] = kinds.map(|kind| compiles(source, kind)) else { return };
    for error in [&script, &function, &auto].into_iter().filter_map(|read| read.as_ref().err()) {
        // The engine ends lines where JavaScript does.
        let lines = 1 + source.matches(['\n', '\r', '\u{2028}', '\u{2029}']).count() as u32;
        assert!((1..=lines).contains(&error.line), "an error in line {} of {lines}: {source:?}", error.line);
        assert!(!error.message.is_empty() && error.name == "SyntaxError");
    }
    if script.is_ok() || function.is_ok() {
        assert!(auto.is_ok(), "one reading is possible, but not found: {source:?}");
    } else if !source.contains("await") {
        assert!(auto.is_err(), "no reading is possible, but one is found: {source:?}");
    }
    // An arrow function at the top level has no `new.target`, other functions have.
    if !source.contains("target") && !source.contains('\\') {
        let options = ExecutionOptions {
            kind: SourceKind::Script,
            // A first line of `#!` is left out of every reading.
            globals: vec![(
                "source".into(),
                Value::from(source.replacen("#!", "//", usize::from(source.starts_with("#!")))),
            )],
            limits: Some(ExecutionLimits { allow_code_generation: true, ..engine().config().limits.clone() }),
            ..Default::default()
        };
        const ASK: &str =
            "try { (async () => 0).constructor(source); true } catch (e) { e instanceof SyntaxError ? false : null }";
        if let Ok(Value::Bool(is_body)) = engine().run(ASK, options) {
            assert_eq!(function.is_ok(), is_body, "whether this is the body of an async function: {source:?}");
        }
    }
}

/// Names of tools, a line each, and the first line as the name of a global and of a source.
pub fn tools(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let names: Vec<&str> = text.lines().take(8).collect();
    let is_name = |name: &&str| {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_other = |c: char| is_first(c) || c.is_ascii_digit() || c == ':' || c == '.' || c == '-';
        name.len() <= 256 && name.starts_with(is_first) && name.chars().all(is_other)
    };
    let handler = |name: &str| -> ToolHandler {
        let name = name.to_owned();
        Arc::new(move |call: ToolCall| {
            assert_eq!(call.name, name);
            call.reply.resolve(Value::Array(vec![Value::from(name.as_str()), call.args]));
        })
    };
    let with_tools = |names: &[&str]| ExecutionOptions {
        kind: SourceKind::Function,
        tools: names.iter().map(|name| ((*name).to_owned(), handler(name))).collect(),
        globals: vec![("names".into(), names.iter().map(|name| Value::from(*name)).collect::<Vec<_>>().into())],
        ..Default::default()
    };
    let (good, bad): (Vec<&str>, Vec<&str>) = names.iter().copied().partition(is_name);
    for name in &bad {
        let error = engine().submit("", with_tools(&[name])).err().unwrap_or_else(|| panic!("{name:?} is accepted"));
        assert_eq!(error.status(), Status::InvalidArgument);
    }
    const CALL: &str = "const all = [];
        for (const name of names) all.push([await callTool(name, 1), await tools[name](2), Object.keys(tools).includes(name)]);
        return JSON.stringify(all) === JSON.stringify(names.map(name => [[name, 1], [name, 2], true]))";
    assert_eq!(engine().run(CALL, with_tools(&good)).unwrap(), Value::Bool(true), "{good:?}");

    let Some(first) = names.first() else { return };
    // No tool has a name that is none, and asking for it is an error like any other.
    let options = ExecutionOptions {
        kind: SourceKind::Function,
        globals: vec![("name".into(), Value::from(*first))],
        ..Default::default()
    };
    let asked = engine().run("try { await callTool(name) } catch (e) { return e instanceof Error }", options);
    assert_eq!(asked.unwrap(), Value::Bool(true), "{first:?}");

    let global = ExecutionOptions { globals: vec![((*first).to_owned(), Value::from(5))], ..Default::default() };
    match engine().run(format!("({first})"), global) {
        Ok(value) => assert_eq!(value, Value::from(5), "{first:?}"),
        Err(error) => assert_eq!(error.status(), Status::InvalidArgument, "{first:?}"),
    }

    let is_filename = first.len() <= 1024 && !first.chars().any(char::is_control);
    let named = ExecutionOptions { filename: Some((*first).to_owned()), ..Default::default() };
    match engine().run("throw new Error('m')", named).unwrap_err() {
        Error::Exception(error) => assert!(is_filename && error.line == 1, "{error:?}"),
        error => assert!(!is_filename && error.status() == Status::InvalidArgument, "{first:?}: {error}"),
    }
}

/// What the console makes of values, which are made of the bytes; of the same values it makes the same.
pub fn console(data: &[u8]) {
    let data = &data[..data.len().min(300)];
    let outcome = |source: &str| -> Outcome {
        let options = ExecutionOptions {
            kind: SourceKind::Function,
            globals: vec![("bytes".into(), Value::Bytes(data.to_vec()))],
            collect_console: true,
            ..Default::default()
        };
        let outcome = engine().run_detailed(source, options).unwrap();
        Outcome::clone(&outcome)
    };
    let outcome = outcome(include_str!("fuzzing/console.js"));
    match &outcome.result {
        Ok(value) => {
            let printed = outcome.console.iter().filter(|line| line.text != "between").count();
            assert!(printed <= 2 && *value == Value::Undefined);
            let mut halves = outcome
                .console
                .split(|line| line.text == "between")
                .map(|lines| lines.iter().map(|line| (line.level, line.text.as_str())).collect::<Vec<_>>());
            let (first, second) = (halves.next(), halves.next());
            // Some text may itself be the mark.
            if halves.next().is_none() {
                assert_eq!(first, second);
            }
        }
        Err(error) => assert!(matches!(error.status(), Status::ConsoleLimit | Status::MemoryLimit), "{error}"),
    }
    assert!(outcome.stats.console_calls as usize >= outcome.console.len());
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn what_a_thread_takes_is_counted() {
        linear(1000, || drop(vec![0u8; 1000 * BYTES_AT_ONCE]));
        let too_much = || linear(1000, || drop(vec![0u8; 1001 * BYTES_AT_ONCE + BYTES_FOR_NOTHING]));
        assert!(std::panic::catch_unwind(too_much).is_err());
        let too_often = || linear(10, || (0..1000).for_each(|_| drop(vec![0u8; 1000])));
        assert!(std::panic::catch_unwind(too_often).is_err());
    }

    /// The inputs of the corpus, and as many that are made of them; the seed is fixed, so that a test fails always or
    /// never.
    fn replay(target: fn(&[u8]), name: &str, cases: u32) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert!(!corpus.is_empty(), "{} has no input", directory.display());
        for (input, file) in corpus.iter().zip(&files) {
            println!("{}", file.display());
            target(input);
        }
        let changed =
            (select(corpus.clone()), vec((any::<Index>(), any::<u8>()), 0..5)).prop_map(|(mut input, changes)| {
                for (place, byte) in changes {
                    if !input.is_empty() {
                        let place = place.index(input.len());
                        input[place] = byte;
                    }
                }
                input
            });
        let joined = (select(corpus.clone()), select(corpus), any::<Index>(), any::<Index>()).prop_map(
            |(one, other, end, start)| {
                [&one[..end.index(one.len() + 1)], &other[start.index(other.len() + 1)..]].concat()
            },
        );
        let any_bytes = vec(any::<u8>(), 0..100);
        let config =
            ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let inputs = prop_oneof![3 => changed, 2 => joined, 1 => any_bytes];
        runner
            .run(&inputs, |input| {
                target(&input);
                Ok(())
            })
            .unwrap_or_else(|failure| panic!("{name}: {failure}"));
    }

    #[test]
    fn frames_of_a_worker() {
        replay(frames_of_worker, "frames_of_worker", 20_000);
    }

    #[test]
    fn frames_of_a_pool() {
        replay(frames_of_pool, "frames_of_pool", 20_000);
    }

    #[test]
    fn cbor_of_any_bytes() {
        replay(cbor, "cbor", 20_000);
    }

    #[test]
    fn json_of_any_bytes() {
        replay(json, "json", 20_000);
    }

    #[test]
    fn sources_of_any_bytes() {
        replay(sources, "sources", 400);
    }

    #[test]
    fn tools_of_any_bytes() {
        replay(tools, "tools", 400);
    }

    #[test]
    fn console_of_any_bytes() {
        replay(console, "console", 1000);
    }
}
