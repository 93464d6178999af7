//! Workers that are processes: what only they give, and that a worker which has been taken over harms nobody.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use enclave_core::{
    Error, ExecutionOptions, Isolation, LimitUnit, Pool, PoolConfig, Preset, RecycleReason, SandboxPart, Status,
    ToolCall, Value,
};

use crate::common::{self, LONG, WORKER};

const MISBEHAVING: &str = env!("CARGO_BIN_EXE_misbehaving-worker");

fn config(worker: &str) -> PoolConfig {
    PoolConfig { worker_path: Some(PathBuf::from(worker)), ..common::config(Isolation::Process) }
}

/// For an execution in a pool of a short timeout that is not to end by it.
fn unhurried() -> ExecutionOptions {
    ExecutionOptions { limits: Some(config(WORKER).limits), ..Default::default() }
}

fn run(pool: &Pool, source: &str) -> Result<Value, Error> {
    pool.run(source, ExecutionOptions::default())
}

/// The pool serves on.
fn check_alive(pool: &Pool) {
    assert_eq!(pool.run("20 + 22", unhurried()).unwrap(), Value::Number(42.0));
}

/// Waits until the stats are so.
fn wait_for(pool: &Pool, what: impl Fn(&enclave_core::PoolStats) -> bool) {
    let until = Instant::now() + LONG;
    while !what(&pool.stats()) {
        assert!(Instant::now() < until, "waited in vain: {:?}", pool.stats());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A file in a directory for tests that can be executed.
fn script(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_script_runs_in_a_process_and_its_sandbox_is_whole() {
    let pool = Pool::new(config(WORKER)).unwrap();
    check_alive(&pool);
    let stats = pool.stats();
    assert_eq!(stats.isolation, Isolation::Process);
    assert!(stats.sandbox_missing.iter().all(|part| *part == SandboxPart::LandlockNetwork), "{stats:?}");
    let required = Pool::new(PoolConfig { require_sandbox: true, ..config(WORKER) }).unwrap();
    check_alive(&required);
}

#[test]
fn a_pool_is_of_processes_unless_threads_are_asked_for_and_strict_runs_no_machine_code() {
    assert_eq!(PoolConfig::default().isolation, Isolation::Process);
    for preset in Preset::ALL {
        let config = PoolConfig { worker_path: Some(WORKER.into()), ..PoolConfig::preset(preset) };
        let pool = Pool::new(config).unwrap();
        assert_eq!(pool.stats().isolation, Isolation::Process);
        let loops = "let s = 0; for (let i = 0; i < 200000; i++) s += i % 7; s";
        assert_eq!(run(&pool, loops).unwrap(), Value::Number(599_994.0));
    }
    // Memory that is executable is refused to a worker without machine code, whatever it is.
    let pool = Pool::new(PoolConfig { jit: false, ..config(MISBEHAVING) }).unwrap();
    let error = run(&pool, "misbehave call mmap-rx").unwrap_err();
    assert!(matches!(error, Error::WorkerCrashed { signal: Some(libc::SIGSYS), .. }), "{error}");
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    assert!(matches!(run(&pool, "misbehave call mmap-rx"), Ok(Value::String(_))));
}

#[test]
fn an_endless_loop_ends_on_time_and_the_worker_is_recycled() {
    let mut config = config(WORKER);
    config.limits.timeout = Duration::from_millis(100);
    let pool = Pool::new(config).unwrap();
    for source in ["for (;;);", "await new Promise(() => setTimeout(() => {}, 1e6))", "await callTool('never')"] {
        let pool_with_tool = source.contains("callTool");
        if pool_with_tool {
            let calls: Arc<std::sync::Mutex<Vec<ToolCall>>> = Arc::default();
            pool.register_tool("never", Arc::new(move |call| calls.lock().unwrap().push(call))).unwrap();
        }
        assert_eq!(run(&pool, source).unwrap_err().status(), Status::Timeout, "{source}");
        check_alive(&pool);
    }
    let stats = pool.stats();
    let late = stats.recycles(RecycleReason::Timeout) + stats.recycles(RecycleReason::Unresponsive);
    assert_eq!((late, stats.total_recycles()), (3, 3));
}

#[test]
fn a_native_that_never_polls_is_ended_by_force() {
    let mut config = config(WORKER);
    config.limits.timeout = Duration::from_millis(100);
    let pool = Pool::new(config).unwrap();
    let until = Instant::now() + LONG;
    // On a busy machine some may be ended before they come to what never polls.
    while pool.stats().recycles(RecycleReason::Unresponsive) == 0 {
        // Minutes of comparing.
        let error = run(&pool, "const a = 'a'.repeat(2 ** 24); a.indexOf('a'.repeat(2 ** 23) + 'b')").unwrap_err();
        assert_eq!(error.status(), Status::Timeout);
        check_alive(&pool);
        assert!(Instant::now() < until);
    }
    wait_for(&pool, |stats| stats.workers.set_aside == 0);
}

#[test]
fn tool_calls_and_console_lines_go_both_ways() {
    let pool = Pool::builder(config(WORKER))
        .tool(
            "later",
            Arc::new(|call: ToolCall| {
                std::thread::spawn(move || call.reply.resolve(Value::Array(vec![call.args, Value::from("answer")])));
            }),
        )
        .build()
        .unwrap();
    let options = ExecutionOptions { collect_console: true, ..Default::default() };
    let source = "console.log('a', {b: 1}); console.error('c');
        return await Promise.all([1, 2, 3].map(n => tools.later({n})))";
    let outcome = pool.run_detailed(source, options).unwrap();
    let lines: Vec<_> = outcome.console.iter().map(|line| (line.level.name(), line.text.as_str())).collect();
    assert_eq!(lines, [("log", "a { b: 1 }"), ("error", "c")]);
    let expected =
        |n: f64| Value::Array(vec![Value::Object(vec![("n".into(), Value::Number(n))]), Value::from("answer")]);
    assert_eq!(outcome.result.clone().unwrap(), Value::Array([1.0, 2.0, 3.0].map(expected).to_vec()));
    assert_eq!((outcome.stats.tool_calls, outcome.stats.console_calls), (3, 2));
}

#[test]
fn a_large_message_crosses_in_both_directions() {
    let pool = Pool::builder(config(WORKER))
        .tool("echo", Arc::new(|call: ToolCall| call.reply.resolve(call.args)))
        .build()
        .unwrap();
    let globals = vec![("text".to_owned(), Value::from("é".repeat(4 << 20)))];
    let options = ExecutionOptions { globals, ..Default::default() };
    let result = pool.run("(await tools.echo(text)) === text ? text + text.slice(0, 10) : 'changed'", options).unwrap();
    let Value::String(text) = result else { panic!("{result:?}") };
    assert_eq!(text.len(), 2 * ((4 << 20) + 10));
}

#[test]
fn memory_beyond_the_limit_is_a_memory_limit_and_the_kernel_has_the_last_word() {
    let memory_limit_per_worker = 64 << 20;
    let pool = Pool::new(PoolConfig { memory_limit_per_worker, ..config(MISBEHAVING) }).unwrap();
    let bomb = "let a = []; for (;;) a.push(new Uint8Array(1e6).fill(1))";
    assert_eq!(run(&pool, bomb).unwrap_err().status(), Status::MemoryLimit);
    let Value::Number(taken) = run(&pool, "misbehave take-memory").unwrap() else { panic!() };
    // The quarter that the engine may pass the limit by, four messages and what the documentation says.
    const MIB: f64 = 1024.0 * 1024.0;
    let most = (64.0 * 1.25 + 4.0 * 16.0 + 48.0) * MIB;
    assert!(taken > 64.0 * MIB && taken <= most, "{taken} of {most}");
    // What is not writable costs page tables only, but these are memory too.
    let Value::Number(taken) = run(&pool, "misbehave take-address-space").unwrap() else { panic!() };
    let most = most + 1024.0 * MIB;
    assert!(taken > 512.0 * MIB && taken <= most, "{taken} of {most}");
    check_alive(&pool);
}

#[test]
fn what_a_worker_says_of_its_memory_is_believed_as_far_as_it_can_be() {
    let limit = 64 << 20;
    let pool = Pool::new(PoolConfig { memory_limit_per_worker: limit, ..config(MISBEHAVING) }).unwrap();
    // Done with the value 7, a peak and a memory of 2^64-1.
    let forged =
        "misbehave frame 82 02 85 ID 82 00 81 07 f4 86 00 00 1bffffffffffffffff 1bffffffffffffffff 00 00 82 f4 f4";
    let outcome = pool.run_detailed(forged, ExecutionOptions::default()).unwrap();
    assert_eq!(outcome.result.clone().unwrap(), Value::Number(7.0));
    assert_eq!(outcome.stats.peak_memory, 2 * limit);
    let stats = pool.stats();
    assert!(stats.memory_current <= 2 * limit && stats.memory_peak <= 3 * limit, "{stats:?}");
}

#[test]
fn a_worker_that_works_while_it_has_nothing_to_do_is_replaced() {
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    // An end that is forged, after which it never comes back.
    let forged = "misbehave frame-and-spin 82 02 85 ID 82 00 81 07 f4 86 00 00 00 00 00 00 82 f4 f4";
    assert_eq!(run(&pool, forged).unwrap(), Value::Number(7.0));
    wait_for(&pool, |stats| stats.recycles(RecycleReason::Protocol) == 1 && stats.workers.idle == 1);
    check_alive(&pool);
    assert_eq!(pool.stats().total_recycles(), 1);
}

#[test]
fn every_forbidden_system_call_ends_the_worker_and_is_counted() {
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    let calls = [
        "openat",
        "openat2",
        "readlinkat",
        "unlinkat",
        "newfstatat",
        "getdents64",
        "memfd_create",
        "socket",
        "socketpair",
        "connect",
        "sendmsg",
        "execve",
        "execveat",
        "clone",
        "clone3",
        "ptrace",
        "process_vm_readv",
        "pidfd_open",
        "kill-parent",
        "tgkill-parent",
        "io_uring_setup",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "keyctl",
        "unshare",
        "mount",
        "chdir",
        "dup",
        "fcntl",
        "ioctl",
        "prlimit64",
        "set-dumpable",
        "setuid",
        "sched_setaffinity",
        "mmap-rwx",
        "mprotect-rwx",
        "mmap-shared",
        "mmap-growing",
        "mmap-huge",
        "mmap-file",
        "send-out-of-band",
        "receive-ahead",
        "clock-of-another",
        "sleep-by-another",
        "madvise-poison",
        "madvise-merge",
        "madvise-huge",
        "write-elsewhere",
        "read",
    ];
    for call in calls {
        match run(&pool, &format!("misbehave call {call}")) {
            Err(Error::WorkerCrashed { signal: Some(libc::SIGSYS), reason }) => {
                assert!(reason.contains("the sandbox forbids"), "{reason}")
            }
            other => panic!("{call}: {other:?}"),
        }
        check_alive(&pool);
    }
    let stats = pool.stats();
    assert_eq!(stats.sandbox_violations, calls.len() as u64);
    assert_eq!(stats.recycles(RecycleReason::Crash), calls.len() as u64);
}

#[test]
fn a_worker_that_dies_is_a_crash_with_its_signal_or_exit_code() {
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    for (source, signal, text) in [
        ("misbehave crash", Some(libc::SIGSEGV), "signal: 11"),
        ("misbehave signal 6", Some(libc::SIGABRT), "signal: 6"),
        ("misbehave signal 9", Some(libc::SIGKILL), "it may be that the system ran out of memory"),
        ("misbehave exit 0", None, "exit status: 0"),
        ("misbehave exit 7", None, "exit status: 7"),
    ] {
        match run(&pool, source) {
            Err(Error::WorkerCrashed { signal: got, reason }) => {
                assert_eq!(got, signal, "{source}");
                assert!(reason.contains(text), "{source}: {reason}");
            }
            other => panic!("{source}: {other:?}"),
        }
        check_alive(&pool);
    }
    assert_eq!(pool.stats().recycles(RecycleReason::Crash), 5);
}

#[test]
fn a_worker_that_counts_nothing_cannot_have_its_host_hold_more_than_the_limit() {
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeper = held.clone();
    let mut config = config(MISBEHAVING);
    config.limits.max_pending_bytes = 1 << 20;
    let pool = Pool::builder(config)
        .tool_handler(Arc::new(move |call: ToolCall| keeper.lock().unwrap().push(call)))
        .build()
        .unwrap();
    for _ in 0..3 {
        match run(&pool, "misbehave calls 90 100000") {
            Err(Error::ToolCallLimit { limit: 1_048_576, unit: LimitUnit::PendingBytes, used }) => {
                assert!((1_048_577..1_200_000).contains(&used), "{used}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::mem::take(&mut *held.lock().unwrap()).len(), 10);
        check_alive(&pool);
    }
    assert_eq!(pool.stats().recycles(RecycleReason::ToolCallLimit), 3);
}

#[test]
fn a_worker_that_breaks_the_protocol_is_ended_and_says_nothing_that_is_believed() {
    let called = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = called.clone();
    let mut config = config(MISBEHAVING);
    config.limits.max_console_calls = 2;
    config.limits.max_console_output = 4;
    config.limits.max_tool_calls = 1;
    config.limits.max_value_depth = 2;
    config.max_message_size = 1024;
    let pool = Pool::builder(config)
        .tool_handler(Arc::new(move |call: ToolCall| {
            seen.lock().unwrap().push(call.name.clone());
        }))
        .build()
        .unwrap();
    // In CBOR, an enum is an array of its number and the array of its fields; ID becomes the execution's id.
    let frames = [
        ("garbage", "misbehave frame ffffffff"),
        ("no frame of the table", "misbehave frame 82 18 63 80"),
        ("a frame that ends early", "misbehave frame 82 00 84"),
        ("bytes after a frame", "misbehave frame 82 01 83 ID 01 61 61 00"),
        ("a frame of gigabytes", "misbehave write ffffffff"),
        ("a frame a little too long", "misbehave write 010a1000"),
        ("another execution", "misbehave frame 82 01 83 00 01 61 61"),
        ("a level that does not exist", "misbehave frame 82 01 83 ID 09 61 61"),
        ("too many bytes of console", "misbehave frame 82 01 83 ID 01 65 6161616161"),
        ("a text that is no UTF-8", "misbehave frame 82 01 83 ID 01 61 ff"),
        ("a tool call with a wrong number", "misbehave frame 82 00 84 ID 02 61 61 f6"),
        ("a tool with an improper name", "misbehave frame 82 00 84 ID 01 61 20 f6"),
        ("an argument that is too deep", "misbehave frame 82 00 84 ID 01 61 61 81 81 81 80"),
        ("a value of an unknown tag", "misbehave frame 82 00 84 ID 01 61 61 c9 00"),
        ("a kill that nobody asked for", "misbehave frame 82 02 85 ID 82 05 80 f4 86 00 00 00 00 00 00 82 f4 f4"),
        ("no use after a result", "misbehave frame 82 02 85 ID 82 00 81 07 f5 86 00 00 00 00 00 00 82 f4 f4"),
        ("no use after an exception", "misbehave frame 82 02 85 ID 82 03 80 f5 86 00 00 00 00 00 00 82 f4 f4"),
        ("a limit in a wrong unit", "misbehave frame 82 02 85 ID 82 07 81 02 f5 86 00 00 00 00 00 00 82 f4 f4"),
        (
            "a message that does not exist",
            "misbehave frame 82 02 85 ID 82 0a 81 18 63 f4 86 00 00 00 00 00 00 82 f4 f4",
        ),
    ];
    for (what, source) in frames {
        match run(&pool, source) {
            Err(Error::WorkerCrashed { signal: None, reason }) => {
                assert!(reason.starts_with("it broke the protocol: "), "{what}: {reason}");
                println!("{what}: {reason}");
            }
            other => panic!("{what}: {other:?}"),
        }
        check_alive(&pool);
    }
    assert_eq!(pool.stats().recycles(RecycleReason::Protocol), frames.len() as u64);
    assert_eq!(*called.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_forged_end_is_only_the_executions_own_result() {
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    // Done with the value 7; what the real execution says afterwards belongs to none, and ends the worker.
    let forged = "misbehave frame 82 02 85 ID 82 00 81 07 f4 86 00 00 00 00 00 00 82 f4 f4";
    assert_eq!(run(&pool, forged).unwrap(), Value::Number(7.0));
    // It may come before the next execution or in the middle of it; that one is then the last on this worker.
    let next = run(&pool, "20 + 22");
    assert!(next.is_ok() || next.is_err_and(|error| error.status() == Status::WorkerCrashed));
    check_alive(&pool);
    assert_eq!(pool.stats().recycles(RecycleReason::Protocol), 1);
}

#[test]
fn a_worker_that_stops_halfway_through_a_frame_has_crashed() {
    let pool = Pool::new(config(MISBEHAVING)).unwrap();
    for bytes in ["", "05", "05000000", "0500000082"] {
        let error = run(&pool, &format!("misbehave write-and-exit {bytes}")).unwrap_err();
        assert!(matches!(&error, Error::WorkerCrashed { signal: None, reason } if reason.contains("exit status: 0")));
        check_alive(&pool);
    }
}

#[test]
fn a_worker_that_does_nothing_or_only_floods_ends_at_its_deadline() {
    let mut config = config(MISBEHAVING);
    config.limits.timeout = Duration::from_millis(100);
    let pool = Pool::new(config).unwrap();
    for source in ["misbehave sleep", "misbehave spin"] {
        assert_eq!(run(&pool, source).unwrap_err().status(), Status::Timeout, "{source}");
        check_alive(&pool);
    }
    // Zeroes are frames of length 0, which are none.
    assert_eq!(pool.run("misbehave flood", unhurried()).unwrap_err().status(), Status::WorkerCrashed);
    check_alive(&pool);
}

#[test]
fn a_worker_that_stops_reading_blocks_nobody() {
    let (answered, answers) = mpsc::channel();
    let pool = Pool::builder(config(WORKER))
        .tool(
            "large",
            Arc::new(move |call: ToolCall| {
                // More than the socket takes, for a script that never comes to read it.
                call.reply.resolve(Value::from("x".repeat(8 << 20)));
                let _ = answered.send(());
            }),
        )
        .build()
        .unwrap();
    let running = pool.submit("tools.large(); tools.large(); for (;;);", ExecutionOptions::default()).unwrap();
    // The answers are given, and wait for nobody.
    assert!(answers.recv_timeout(LONG).is_ok() && answers.recv_timeout(LONG).is_ok());
    running.cancel().unwrap();
    assert_eq!(running.wait().unwrap().result, Err(Error::Cancelled));
    check_alive(&pool);
}

/// Whether this runs in a process that runs no other test; if it does not, runs it in such a one.
fn is_alone(test: &str) -> bool {
    common::is_alone(module_path!(), test)
}

#[test]
fn a_worker_that_died_while_it_was_idle_is_replaced_and_harms_no_execution() {
    if !is_alone("a_worker_that_died_while_it_was_idle_is_replaced_and_harms_no_execution") {
        return;
    }
    let pool = Pool::new(config(WORKER)).unwrap();
    check_alive(&pool);
    // An operator may also ask politely.
    for (crashes, signal) in [(1, libc::SIGKILL), (2, libc::SIGTERM), (3, libc::SIGINT)] {
        let worker = children()[0];
        // SAFETY: a signal to a child of ours.
        assert_eq!(unsafe { libc::kill(worker as i32, signal) }, 0);
        let until = Instant::now() + LONG;
        // Its sockets are closed when its last thread has ended.
        let threads = || std::fs::read_dir(format!("/proc/{worker}/task")).map_or(0, |threads| threads.count());
        while children().contains(&worker) || threads() > 1 {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(1));
        }
        if crashes < 3 {
            // Whether it is noticed by the pool or by this execution: it runs, on another worker.
            check_alive(&pool);
        } else {
            wait_for(&pool, |stats| stats.recycles(RecycleReason::Crash) == 3 && stats.workers.idle == 1);
        }
    }
    check_alive(&pool);
    let stats = pool.stats();
    assert_eq!((stats.recycles(RecycleReason::Crash), stats.executions(Status::WorkerCrashed)), (3, 0));
}

/// Worker processes of this thread's process that are alive, newest first.
fn children() -> Vec<u32> {
    let own = std::process::id();
    let mut found: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let Some((name, rest)) = stat.rsplit_once(") ") else { return false };
            let fields: Vec<&str> = rest.split(' ').collect();
            name.ends_with("(enclave-worker") && fields[0] != "Z" && fields[1] == own.to_string()
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
}

#[test]
fn a_missing_or_wrong_executable_is_said_with_all_that_was_tried() {
    let error = |path: &std::path::Path| {
        Pool::new(PoolConfig { worker_path: Some(path.to_owned()), ..config(WORKER) }).unwrap_err()
    };
    let missing = error("/nowhere/enclave-worker".as_ref());
    assert_eq!(missing.status(), Status::Unsupported);
    assert_eq!(
        missing.to_string(),
        "process isolation is not supported: worker_path is /nowhere/enclave-worker, which does not exist; install \
         enclave-worker or name it with worker_path, or set isolation to thread, which runs script inside of this process"
    );
    let plain = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plain");
    std::fs::write(&plain, "").unwrap();
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(error(&plain).to_string().contains("which is not executable; "));
    assert!(error("/".as_ref()).to_string().contains("which is no file; "));

    for (name, text, problem) in [
        ("fails", "#!/bin/sh\nexit 3\n", "ended before it was ready: exit status: 3"),
        ("dies", "#!/bin/sh\nkill -9 $$\n", "ended before it was ready: signal: 9"),
        ("mutters", "#!/bin/sh\nprintf 'hello world' >&0\nsleep 600\n", "is no worker of ours: a frame claims"),
        ("no-program", "\u{7f}ELF", "could not be started"),
        (
            "another-version",
            // What a worker says first, in CBOR: protocol 1, version 9.9.9, nothing missing, no memory, no failure.
            "#!/bin/sh\nprintf '\\013\\000\\000\\000\\205\\001\\1459.9.9\\000\\000\\366' >&0\nsleep 600\n",
            "is of version 9.9.9 (protocol 1), but this library of 0.1.0 (protocol 3)",
        ),
    ] {
        let error = error(&script(name, text));
        assert_eq!(error.status(), Status::WorkerStartup, "{name}: {error}");
        assert!(error.to_string().contains(problem), "{name}: {error}");
    }
}

#[test]
fn a_pool_leaves_no_process_and_no_file_descriptor() {
    if !is_alone("a_pool_leaves_no_process_and_no_file_descriptor") {
        return;
    }
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    drop(Pool::new(config(WORKER)).unwrap());
    let before = fds();
    for _ in 0..5 {
        let pool = Pool::new(PoolConfig { min_workers: 2, max_workers: 2, ..config(WORKER) }).unwrap();
        check_alive(&pool);
        drop(pool);
        assert_eq!(children(), Vec::<u32>::new());
    }
    assert_eq!(fds(), before);
}

#[test]
fn workers_end_with_their_host_however_it_ends() {
    const HOST: &str = "ENCLAVE_TEST_HOST";
    if std::env::var_os(HOST).is_some() {
        let pool = Pool::new(config(WORKER)).unwrap();
        let endless = pool.submit("for (;;);", ExecutionOptions::default()).unwrap();
        wait_for(&pool, |stats| stats.workers.executing == 1);
        println!("workers {:?}", children());
        std::thread::sleep(LONG);
        drop(endless);
        return;
    }
    let mut host = common::only(module_path!(), "workers_end_with_their_host_however_it_ends")
        .env(HOST, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(host.stdout.take().unwrap()));
    let line =
        lines.map_while(Result::ok).find_map(|line| line.split_once("workers [").map(|(_, rest)| rest.to_owned()));
    let worker: u32 = line.unwrap().trim_end_matches(']').parse().unwrap();
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    };
    assert!(runs());
    host.kill().unwrap();
    host.wait().unwrap();
    let until = Instant::now() + LONG;
    while runs() {
        assert!(Instant::now() < until, "the worker outlives its host");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_host_that_waits_for_all_children_or_ignores_them_disturbs_nobody() {
    if !is_alone("a_host_that_waits_for_all_children_or_ignores_them_disturbs_nobody") {
        return;
    }
    let mut config = config(MISBEHAVING);
    config.limits.timeout = Duration::from_millis(200);
    let pool = Pool::new(config).unwrap();
    let use_it = || {
        for _ in 0..5 {
            assert_eq!(pool.run("misbehave exit 3", unhurried()).unwrap_err().status(), Status::WorkerCrashed);
            assert_eq!(run(&pool, "misbehave spin").unwrap_err().status(), Status::Timeout);
            check_alive(&pool);
        }
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                // SAFETY: the status is not asked for.
                unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
                std::thread::yield_now();
            }
        });
        use_it();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // SAFETY: the disposition of a signal that nobody else here uses.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    use_it();
    // The host's own children are its own.
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    let own = std::process::Command::new("true").spawn().unwrap().wait().unwrap();
    assert!(own.success());
    use_it();
}

#[test]
fn a_fork_of_the_host_that_holds_its_files_hides_no_death() {
    if !is_alone("a_fork_of_the_host_that_holds_its_files_hides_no_death") {
        return;
    }
    let pool = Pool::new(PoolConfig { max_executions_per_worker: 1, ..config(MISBEHAVING) }).unwrap();
    let mut forks = Vec::new();
    for round in 0..10 {
        // Some of them are made while a worker starts, and so have both ends of its sockets.
        // SAFETY: the child only sleeps and ends.
        match unsafe { libc::fork() } {
            // SAFETY: as above.
            0 => unsafe {
                libc::sleep(600);
                libc::_exit(0)
            },
            child => forks.push(child),
        }
        let result = run(&pool, if round % 2 == 0 { "misbehave exit 3" } else { "1" });
        let status = result.as_ref().map_or_else(Error::status, |_| Status::Ok);
        assert_eq!(status, if round % 2 == 0 { Status::WorkerCrashed } else { Status::Ok }, "{result:?}");
    }
    drop(pool);
    for child in forks {
        // SAFETY: our own children, which are no workers.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
}

#[test]
fn a_reply_that_is_kept_for_ever_keeps_nothing_of_its_worker_open() {
    if !is_alone("a_reply_that_is_kept_for_ever_keeps_nothing_of_its_worker_open") {
        return;
    }
    let kept: Arc<std::sync::Mutex<Vec<ToolCall>>> = Arc::default();
    let keep = kept.clone();
    let config = PoolConfig { max_executions_per_worker: 1, ..config(WORKER) };
    let builder = Pool::builder(config).tool("keep", Arc::new(move |call| keep.lock().unwrap().push(call)));
    let pool = builder.build().unwrap();
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let settled = || {
        wait_for(&pool, |stats| stats.workers.idle == 1 && stats.workers.recycling == 0);
        fds()
    };
    let before = settled();
    for _ in 0..10 {
        run(&pool, "tools.keep(1); 2").unwrap();
    }
    assert_eq!((settled(), kept.lock().unwrap().len()), (before, 10));
}

#[test]
fn the_executable_is_found_by_its_variable_and_beside_the_program() {
    if !is_alone("the_executable_is_found_by_its_variable_and_beside_the_program") {
        return;
    }
    let search = || Pool::new(PoolConfig { worker_path: None, ..config(WORKER) });
    // Of this test's own directory, and of the one above it.
    check_alive(&search().unwrap());
    // SAFETY: no other thread of this process looks at the environment.
    unsafe { std::env::set_var("ENCLAVE_WORKER", "/nowhere/worker") };
    let error = search().unwrap_err().to_string();
    assert!(error.contains("ENCLAVE_WORKER is /nowhere/worker, which does not exist"), "{error}");
    // SAFETY: as above.
    unsafe { std::env::set_var("ENCLAVE_WORKER", MISBEHAVING) };
    let misbehaving = search().unwrap();
    assert_eq!(run(&misbehaving, "misbehave exit 3").unwrap_err().status(), Status::WorkerCrashed);
}

#[test]
fn without_file_descriptors_no_worker_starts_and_it_is_said() {
    if !is_alone("without_file_descriptors_no_worker_starts_and_it_is_said") {
        return;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a valid place; lowering it only concerns this process.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    let set = |most: u64| {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: limit.rlim_max };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    };
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    for most in open..open + 8 {
        set(most);
        let result = Pool::new(config(WORKER));
        set(limit.rlim_cur);
        if let Err(error) = &result {
            assert_eq!(error.status(), Status::WorkerStartup, "{error}");
            assert!(error.to_string().contains("could not be"), "{error}");
        }
        drop(result);
        assert_eq!(children(), Vec::<u32>::new());
    }
    check_alive(&Pool::new(config(WORKER)).unwrap());
}

/// Refuses a system call to this thread and to whatever it makes from now on, as containers do.
fn deny(call: libc::c_long) {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        // The number of the call is first in what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is valid, and copied.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

#[test]
fn strict_and_secure_insist_on_the_filter_of_system_calls() {
    if !is_alone("strict_and_secure_insist_on_the_filter_of_system_calls") {
        return;
    }
    let of = |preset| PoolConfig { worker_path: Some(WORKER.into()), ..PoolConfig::preset(preset) };
    deny(libc::SYS_seccomp);
    for preset in [Preset::Strict, Preset::Secure] {
        let error = Pool::new(of(preset)).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { feature, .. } if feature == "require_seccomp"), "{error}");
        assert!(error.to_string().contains("set require_seccomp to false to do without"), "{error}");
        let pool = Pool::new(PoolConfig { require_seccomp: false, ..of(preset) }).unwrap();
        check_alive(&pool);
        assert!(pool.stats().sandbox_missing.contains(&SandboxPart::Seccomp));
    }
    for preset in [Preset::Standard, Preset::Permissive] {
        check_alive(&Pool::new(of(preset)).unwrap());
    }
    let error = Pool::new(PoolConfig { require_sandbox: true, ..config(WORKER) }).unwrap_err();
    assert!(
        error.to_string().contains("does not give a worker process seccomp; set require_sandbox to false"),
        "{error}"
    );
}

#[test]
fn a_worker_can_be_killed_where_signals_by_handle_are_refused() {
    if !is_alone("a_worker_can_be_killed_where_signals_by_handle_are_refused") {
        return;
    }
    deny(libc::SYS_pidfd_send_signal);
    let mut config = config(MISBEHAVING);
    config.limits.timeout = Duration::from_millis(100);
    let pool = Pool::new(config).unwrap();
    assert_eq!(run(&pool, "misbehave spin").unwrap_err().status(), Status::Timeout);
    check_alive(&pool);
    wait_for(&pool, |stats| stats.workers.set_aside == 0);
    drop(pool);
    assert_eq!(children(), Vec::<u32>::new());
}

#[test]
fn a_worker_has_no_capabilities_and_no_blocked_signals() {
    if !is_alone("a_worker_has_no_capabilities_and_no_blocked_signals") {
        return;
    }
    let pool = Pool::new(config(WORKER)).unwrap();
    check_alive(&pool);
    // SAFETY: a plain call.
    let is_root = unsafe { libc::geteuid() } == 0;
    for thread in std::fs::read_dir(format!("/proc/{}/task", children()[0])).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), 0, "{status}");
        }
        if is_root {
            assert_eq!(field("CapBnd"), 0, "{status}");
        }
        if status.contains("Name:\tenclave-worker\n") {
            assert_eq!(field("SigBlk"), 0, "{status}");
        }
    }
}

#[test]
fn a_host_that_has_closed_its_standard_streams_does_not_print_to_a_worker() {
    if !is_alone("a_host_that_has_closed_its_standard_streams_does_not_print_to_a_worker") {
        return;
    }
    // SAFETY: what this process prints later goes to the copies that are put back.
    let kept = [0, 1, 2].map(|stream| unsafe { libc::fcntl(stream, libc::F_DUPFD_CLOEXEC, 100) });
    for closed in 1..8 {
        for stream in [0, 1, 2].into_iter().filter(|stream| closed >> stream & 1 != 0) {
            // SAFETY: as above.
            unsafe { libc::close(stream) };
        }
        let pool = Pool::new(config(WORKER));
        let open: Vec<i32> = (0..3)
            .filter(|stream| {
                closed >> stream & 1 != 0 && {
                    // SAFETY: it asks for a flag.
                    unsafe { libc::fcntl(*stream, libc::F_GETFD) != -1 }
                }
            })
            .collect();
        let result = pool.and_then(|pool| run(&pool, "1 + 1"));
        for (stream, kept) in kept.iter().enumerate() {
            // SAFETY: as above.
            unsafe { libc::dup2(*kept, stream as i32) };
        }
        assert_eq!((result, open), (Ok(Value::Number(2.0)), vec![]), "{closed}");
    }
}

#[test]
fn a_host_with_little_address_space_is_told_so() {
    if !is_alone("a_host_with_little_address_space_is_told_so") {
        return;
    }
    let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it only concerns this process and its children.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let error = Pool::new(config(WORKER)).unwrap_err();
    assert_eq!(error.status(), Status::WorkerStartup);
    let text = error.to_string();
    assert!(text.contains("limited to 1073741824 bytes") && text.contains("RLIMIT_AS"), "{text}");
    assert_eq!(text.matches("could not be started").count(), 1, "{text}");
}

#[test]
fn a_program_with_more_rights_than_its_user_takes_no_worker_from_the_environment() {
    const TEST: &str = "process::a_program_with_more_rights_than_its_user_takes_no_worker_from_the_environment";
    const NOBODY: u32 = 65534;
    if std::env::var_os("ENCLAVE_TEST_SETUID").is_some() {
        // SAFETY: a plain call.
        if unsafe { libc::getauxval(libc::AT_SECURE) } == 0 {
            println!("skipped: programs of this file system get no rights by being started");
            return;
        }
        let error = Pool::new(PoolConfig { worker_path: None, ..config(WORKER) }).unwrap_err().to_string();
        assert!(error.contains("the environment is not asked") && !error.contains(MISBEHAVING), "{error}");
        println!("refused");
        return;
    }
    // SAFETY: a plain call.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: only root can make a program that has more rights than its user");
        return;
    }
    let directory = std::env::temp_dir().join(format!("enclave-setuid-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let program = directory.join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(&program)
        .args(["--exact", TEST, "--nocapture"])
        .env("ENCLAVE_TEST_SETUID", "1")
        .env("ENCLAVE_WORKER", MISBEHAVING)
        .env("PATH", std::path::Path::new(MISBEHAVING).parent().unwrap())
        .uid(NOBODY)
        .current_dir("/")
        .output();
    std::fs::remove_dir_all(&directory).unwrap();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && (text.contains("refused") || text.contains("skipped")), "{output:?}");
}
