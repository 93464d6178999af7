//! A worker in a process of its own: the worker's side of the socket, and the body of the executable `enclave-worker`.
//!
//! Three threads: one runs the isolate, reads frames and writes them; the first one hears of kills, through a socket of
//! their own; and there is the engine's keeper. They all exist before the sandbox closes; no more can be made then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::buffer::Buffer;
use super::frame::{self, FromWorker, HEADER, Ready, Start, ToWorker, ValuesLeft};
use super::socket::comes_within;
use super::thread::STACK_SIZE;
use crate::contract::{Control, Host, KillReason, Pause, Report, RestDue};
use crate::engine::{self, Isolate, IsolateConfig};
use crate::error::{Error, Message};
use crate::execution::{ConsoleLine, ToolCall, ToolReply};
use crate::sandbox::{self, Budget};
use crate::sync::Watch;

/// Bytes that an execution has taken beyond what the worker held at rest, after which free memory is given back to the
/// system when nothing waits.
const WORTH_TRIMMING: u64 = 8 * 1024 * 1024;

/// Exit codes, for whoever looks at a worker that did not start.
const BAD_CALL: i32 = 2;
const CUT_OFF: i32 = 3;

/// What tests of the pool put in; see [`misbehaving_worker_main`](crate::misbehaving_worker_main).
type Misbehave = Option<fn(&str, u64) -> Option<String>>;

/// The body of the executable. It ends when the pool closes the socket, and the process with it.
pub(crate) fn main(misbehave: Misbehave) -> ! {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--version") {
        println!("enclave-worker {} (protocol {})", env!("CARGO_PKG_VERSION"), frame::PROTOCOL);
        std::process::exit(0);
    }
    if rustix::net::sockopt::socket_type(rustix::stdio::stdin()).is_err() {
        eprintln!("enclave-worker is started by libenclave, as the process in which untrusted script runs");
        std::process::exit(BAD_CALL);
    }
    // Nobody reads what a panic prints.
    std::panic::set_hook(Box::new(|_| {}));
    // SAFETY: nothing but file descriptors 0 to 2 is in use yet, and there is one thread.
    if unsafe { sandbox::detach() }.is_err() {
        exit(CUT_OFF);
    }
    exit(if serve(misbehave).is_some() { 0 } else { CUT_OFF })
}

/// Ends the process at once: nothing is torn down while other threads may use it.
fn exit(code: i32) -> ! {
    // SAFETY: it does not return and runs no code of this process.
    unsafe { libc::_exit(code) }
}

/// From the first frame to the end of the sockets. None if what comes makes no sense, which the pool never sends.
fn serve(misbehave: Misbehave) -> Option<()> {
    let mut frames = Frames::new();
    let start: Start = frame::decode(frames.next()?, ()).ok()?;
    if !sandbox::parent_is(start.parent) {
        return None;
    }
    set_time_zone();
    let memory = sandbox::Memory::open();
    let dropped = sandbox::drop_capabilities();
    let mut missing = sandbox::close_files();
    let engine = (start.protocol == frame::PROTOCOL).then(|| {
        dropped.map_err(|error| format!("its capabilities could not be dropped: {error}"))?;
        start_engine(&start, misbehave)
    });
    let (failure, engine) = match engine {
        // The pool says what is wrong with versions that differ.
        None => (None, None),
        Some(Ok(engine)) => (None, Some(engine)),
        Some(Err(failure)) => (Some(failure), None),
    };
    let budget = Budget { memory_limit: start.memory_limit, max_message_size: start.max_message_size, jit: start.jit };
    missing.0 |= sandbox::close_system(&budget, memory).0;
    let ready = Ready {
        protocol: frame::PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        sandbox_missing: missing.0,
        memory: engine.as_ref().map_or(0, |engine| engine.memory),
        failure,
    };
    write(&frame::encode(&ready));
    let engine = engine?;
    // What the pool sends from now on is as long as it likes.
    frames.buffer.max = usize::MAX;
    engine.begin.send(frames).ok()?;
    watch(&*engine.control);
    Some(())
}

/// Hears of kills, while the isolate's thread runs script. Returns when the pool has closed the socket.
fn watch(control: &dyn Control) {
    loop {
        let mut message = [0; frame::KILL];
        match recv(kills(), &mut message, RecvFlags::empty()) {
            // Whatever the reason: the pool knows it. A kill that comes too early is asked for again.
            Ok((_, frame::KILL)) => control.kill(u64::from_le_bytes(message), KillReason::Cancelled),
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

/// Gives the process the time zone that realms have. The engine looks for that of the process at first use all the same,
/// and where `TZ` does not name it, in files: these cannot be opened then.
fn set_time_zone() {
    unsafe extern "C" {
        fn tzset();
    }
    // SAFETY: there is one thread.
    unsafe {
        std::env::set_var("TZ", "UTC");
        tzset();
    }
}

/// The thread that runs the isolate.
struct Engine {
    /// Lets it read what comes after the first frame.
    begin: mpsc::Sender<Frames>,
    control: Arc<dyn Control>,
    memory: u64,
}

/// Gives the cause where it fails.
fn start_engine(start: &Start, misbehave: Misbehave) -> Result<Engine, String> {
    if let Some(problem) = sandbox::address_space_problem(start.jit) {
        return Err(problem);
    }
    let _ = crate::sync::cores();
    engine::leave_trimming_to_isolates();
    if !start.jit {
        engine::disable_jit();
    }
    let (begin, may_begin) = mpsc::channel();
    let (started, is_started) = mpsc::channel();
    let (memory_limit, max_message_size) = (start.memory_limit, start.max_message_size);
    crate::sync::spawn("enclave-isolate".into(), STACK_SIZE, move || {
        let isolate = match Isolate::new(IsolateConfig { memory_limit, stack_size: STACK_SIZE }) {
            Ok(isolate) => isolate,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let control: Arc<dyn Control> = isolate.link();
        let _ = started.send(Ok((control.clone(), isolate.memory())));
        let Ok(frames) = may_begin.recv() else { return };
        let pool =
            FarPool { frames: RefCell::new(frames), calls: RefCell::default(), control, max_message_size, misbehave };
        // A panic that the isolate has not caught is a bug of ours: the pool sees the process end.
        let served = catch_unwind(AssertUnwindSafe(|| pool.serve(isolate)));
        exit(if matches!(served, Ok(Some(()))) { 0 } else { CUT_OFF })
    })
    .map_err(|error| format!("the isolate's thread could not be made: {error}"))?;
    let started = is_started.recv().map_err(|_| "the isolate's thread has ended".to_owned())?;
    let (control, memory) = started.map_err(|error| match error {
        Error::WorkerStartup { cause } => cause,
        other => other.to_string(),
    })?;
    Ok(Engine { begin, control, memory })
}

/// The pool, as the isolate reaches it.
struct FarPool {
    frames: RefCell<Frames>,
    calls: RefCell<Calls>,
    control: Arc<dyn Control>,
    max_message_size: u64,
    misbehave: Misbehave,
}

/// Tool calls of the running execution that wait for their answers.
#[derive(Default)]
struct Calls {
    execution: u64,
    last: u64,
    replies: HashMap<u64, ToolReply>,
}

impl FarPool {
    /// Executes what comes, until the socket is closed. None if what comes makes no sense.
    fn serve(&self, mut isolate: Isolate) -> Option<()> {
        let mut at_rest = isolate.memory();
        // The C library keeps much memory that is not in use any more.
        let mut trim_due = false;
        loop {
            let mut request = match frame::decode(self.frames.borrow_mut().next()?, ValuesLeft::OF_POOL).ok()? {
                ToWorker::Execute(execute) => execute.into_request(self.max_message_size),
                ToWorker::Rest { idle } => {
                    match std::mem::take(&mut trim_due) {
                        true => {
                            isolate.trim();
                            at_rest = isolate.memory();
                        }
                        false => isolate.rest(if idle { Pause::Long } else { Pause::None }),
                    }
                    write(&frame::encode(&FromWorker::Rested(isolate.memory())));
                    continue;
                }
                // They came too late.
                ToWorker::Answer { .. } | ToWorker::Kill { .. } => continue,
            };
            if let Some(source) = self.misbehave.and_then(|misbehave| misbehave(&request.source, request.id)) {
                request.source = source.into();
            }
            self.frames.borrow_mut().buffer.shrink();
            *self.calls.borrow_mut() = Calls { execution: request.id, ..Calls::default() };
            let report = isolate.execute(&request, self);
            // Dropping a reply answers it, to an execution that is over.
            drop(self.calls.take());
            let grown = report.stats.peak_memory.saturating_sub(at_rest);
            trim_due |= grown > WORTH_TRIMMING;
            let rest_due = RestDue {
                at_once: isolate.rest_is_due(Pause::None),
                when_idle: isolate.rest_is_due(Pause::Long) || trim_due,
            };
            self.report(report, isolate.memory(), rest_due);
            isolate.make_ready();
        }
    }

    /// The longest frame that the pool accepts.
    fn max_frame(&self) -> usize {
        frame::max_frame(self.max_message_size)
    }

    fn report(&self, report: Report, memory: u64, rest_due: RestDue) {
        let (stats, condemned) = (report.stats.clone(), report.condemned);
        let mut bytes = frame::encode(&FromWorker::done(report, memory, rest_due));
        if bytes.len() - HEADER > self.max_frame() {
            let result = Err(Error::MessageTooLarge { what: Message::Result, limit: self.max_message_size });
            bytes = frame::encode(&FromWorker::done(Report { result, stats, condemned }, memory, rest_due));
        }
        write(&bytes);
    }

    /// Does what a frame says that came while an execution runs.
    fn handle(&self, frame: ToWorker<'_>) -> Option<()> {
        match frame {
            ToWorker::Answer { execution, call, answer } => {
                let mut calls = self.calls.borrow_mut();
                if calls.execution == execution
                    && let Some(reply) = calls.replies.remove(&call)
                {
                    drop(calls);
                    reply.send(answer.into_result(self.max_message_size));
                }
            }
            ToWorker::Kill { execution } => self.control.kill(execution, KillReason::Cancelled),
            // The pool waits for the end of one before it sends the next.
            ToWorker::Execute(_) | ToWorker::Rest { .. } => return None,
        }
        Some(())
    }
}

impl Host for FarPool {
    fn tool_call(&self, call: ToolCall) {
        let ToolCall { execution_id, name, args, reply } = call;
        let number = self.calls.borrow().last + 1;
        let bytes = frame::encode(&FromWorker::ToolCall { execution: execution_id, call: number, name, args });
        // One that cannot be sent is rejected by being dropped.
        if bytes.len() - HEADER <= self.max_frame() {
            let mut calls = self.calls.borrow_mut();
            calls.last = number;
            calls.replies.insert(number, reply);
            drop(calls);
            write(&bytes);
        }
    }

    fn console(&self, line: ConsoleLine) {
        let ConsoleLine { execution_id, level, text, .. } = line;
        write(&frame::encode(&FromWorker::Console { execution: execution_id, level, text }));
    }

    fn lost(&self, report: Report) {
        self.report(report, 0, RestDue::default());
        exit(0);
    }

    fn receive(&self, until: Option<Instant>) -> bool {
        let mut frames = self.frames.borrow_mut();
        if frames.wait(until) {
            let frame = frames.next().and_then(|bytes| frame::decode(bytes, ValuesLeft::OF_POOL).ok());
            if frame.and_then(|frame| self.handle(frame)).is_none() {
                exit(CUT_OFF);
            }
            frames.buffer.shrink();
        }
        true
    }
}

/// Where frames come from and go to.
fn socket() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}

/// Where kills come from.
fn kills() -> BorrowedFd<'static> {
    rustix::stdio::stdout()
}

/// Sends all of it; the process ends if the pool is gone.
fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match send(socket(), bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(Errno::INTR) => {}
            Err(_) => exit(0),
        }
    }
}

/// Frames as they come.
struct Frames {
    buffer: Buffer,
    watch: Watch,
}

impl Frames {
    fn new() -> Self {
        Frames { buffer: Buffer::new(frame::MAX_GREETING), watch: Watch::default() }
    }

    /// The next frame. None at the end, and where a frame is too long.
    fn next(&mut self) -> Option<&[u8]> {
        while !self.buffer.has_frame().ok()? {
            self.receive()?;
        }
        self.buffer.frame().ok()?
    }

    /// Whether there is something to read, or the end; waits for it, at most until then.
    fn wait(&self, until: Option<Instant>) -> bool {
        if !self.buffer.is_empty() {
            return true;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left != Some(Duration::ZERO) && self.watch.until(|| comes_within(socket(), Some(Duration::ZERO))) {
            return true;
        }
        comes_within(socket(), left)
    }

    fn receive(&mut self) -> Option<()> {
        // If it is in vain, the call below sleeps.
        self.watch.until(|| comes_within(socket(), Some(Duration::ZERO)));
        loop {
            match self.buffer.receive(socket(), RecvFlags::empty()) {
                Ok(1..) => return Some(()),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }
}
