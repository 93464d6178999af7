//! A worker in a process of its own: the worker's side of the socket, and the body of the executable `enclave-worker`.
//!
//! Three threads: this one reads frames, one runs the isolate and writes frames, and the engine's keeper. They all exist
//! before the sandbox closes; no more can be made then.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, mpsc};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::frame::{self, FromWorker, HEADER, Ready, Start, ToWorker};
use super::thread::STACK_SIZE;
use super::{Control, Host, KillReason, Report};
use crate::engine::{self, Isolate, IsolateConfig};
use crate::error::Error;
use crate::execution::{ConsoleLine, Request, ToolCall, ToolReply};
use crate::sandbox::{self, Budget};
use crate::sync::lock;

/// Exit codes, for whoever looks at a worker that did not start.
const BAD_CALL: i32 = 2;
const CUT_OFF: i32 = 3;

/// The body of the executable. It ends when the pool closes the socket, and the process with it.
pub(crate) fn main() -> ! {
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
    exit(if serve().is_some() { 0 } else { CUT_OFF })
}

/// Ends the process at once: nothing is torn down while other threads may use it.
fn exit(code: i32) -> ! {
    // SAFETY: it does not return and runs no code of this process.
    unsafe { libc::_exit(code) }
}

/// From the first frame to the end of the socket. None if what comes makes no sense, which the pool never sends.
fn serve() -> Option<()> {
    let mut frames = Frames::default();
    let start: Start = frame::decode(frames.next(frame::MAX_GREETING)?).ok()?;
    if !sandbox::parent_is(start.parent) {
        return None;
    }
    set_time_zone(start.time_zone.as_deref());
    let mut missing = sandbox::close_files();
    let calls = Arc::new(Calls::default());
    let engine = (start.protocol == frame::PROTOCOL).then(|| start_engine(&start, &calls));
    let (failure, engine) = match engine {
        // The pool says what is wrong with versions that differ.
        None => (None, None),
        Some(Ok(engine)) => (None, Some(engine)),
        Some(Err(error)) => (Some(error.to_string()), None),
    };
    let budget =
        Budget { memory_limit: start.memory_limit, max_message_size: start.max_message_size, jit: start.jit };
    missing.0 |= sandbox::close_system(&budget).0;
    let ready = Ready {
        protocol: frame::PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        sandbox_missing: missing.0,
        memory: engine.as_ref().map_or(0, |engine| engine.memory),
        failure,
    };
    write(&frame::encode(&ready));
    let engine = engine?;
    loop {
        match frame::decode(frames.next(usize::MAX)?).ok()? {
            ToWorker::Execute(execute) => {
                let request = execute.into_request(start.max_message_size).ok()?;
                engine.work.send(Work::Execute(Box::new(request))).ok()?;
            }
            ToWorker::Answer { execution, call, answer } => {
                if let Some(reply) = calls.take(execution, call) {
                    reply.send(answer.into_result(start.max_message_size));
                }
            }
            // Whatever the reason: the pool knows it. A kill that comes too early is asked for again.
            ToWorker::Kill { execution } => engine.control.kill(execution, KillReason::Cancelled),
            ToWorker::Rest { idle } => engine.work.send(Work::Rest { idle }).ok()?,
        }
    }
}

/// Makes this process tell the local time that its host tells: later, the files to look it up cannot be opened.
fn set_time_zone(of_host: Option<&str>) {
    unsafe extern "C" {
        fn tzset();
    }
    let link = || std::fs::read_link("/etc/localtime");
    let zone = match (of_host, link()) {
        (Some(zone), _) => Some(zone.to_owned()),
        (None, Ok(target)) => {
            target.to_str().and_then(|target| target.split_once("/zoneinfo/")).map(|(_, name)| name.to_owned())
        }
        (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => Some("UTC".to_owned()),
        (None, Err(_)) => None,
    };
    // SAFETY: there is one thread.
    unsafe {
        if let Some(zone) = zone {
            std::env::set_var("TZ", zone);
        }
        tzset();
    }
}

/// The thread that runs the isolate.
struct Engine {
    work: mpsc::Sender<Work>,
    control: Arc<dyn Control>,
    memory: u64,
}

enum Work {
    Execute(Box<Request>),
    Rest { idle: bool },
}

fn start_engine(start: &Start, calls: &Arc<Calls>) -> Result<Engine, Error> {
    let startup = |cause: String| Error::WorkerStartup { cause };
    if !start.jit {
        engine::disable_jit();
    }
    let (work, inbox) = mpsc::channel();
    let (started, is_started) = mpsc::channel();
    let memory_limit = start.memory_limit;
    let max_frame = frame::max_frame(start.max_message_size);
    let calls = calls.clone();
    crate::sync::spawn("enclave-isolate".into(), STACK_SIZE, move || {
        let mut isolate = match Isolate::new(IsolateConfig { memory_limit, stack_size: STACK_SIZE }) {
            Ok(isolate) => isolate,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let control: Arc<dyn Control> = isolate.link();
        let _ = started.send(Ok((control, isolate.memory())));
        while let Ok(work) = inbox.recv() {
            match work {
                Work::Execute(request) => {
                    calls.begin(request.id);
                    let report = isolate.execute(&request, &Pool { calls: &calls, max_frame });
                    calls.end();
                    write_report(report, isolate.memory(), max_frame);
                }
                Work::Rest { idle } => isolate.rest(idle),
            }
        }
    })
    .map_err(|error| startup(format!("the isolate's thread could not be made: {error}")))?;
    let (control, memory) =
        is_started.recv().map_err(|_| startup("the isolate's thread has ended".to_owned()))??;
    Ok(Engine { work, control, memory })
}

/// The pool, as the running execution reaches it.
struct Pool<'a> {
    calls: &'a Calls,
    max_frame: usize,
}

impl Host for Pool<'_> {
    fn tool_call(&self, call: ToolCall) {
        let ToolCall { execution_id, name, args, reply } = call;
        self.calls.make(reply, |number| {
            let frame = frame::encode(&FromWorker::ToolCall { execution: execution_id, call: number, name, args });
            let fits = frame.len() - HEADER <= self.max_frame;
            if fits {
                write(&frame);
            }
            fits
        });
    }

    fn console(&self, line: ConsoleLine) {
        let ConsoleLine { execution_id, level, text, .. } = line;
        write(&frame::encode(&FromWorker::Console { execution: execution_id, level: level as u8, text }));
    }

    fn lost(&self, report: Report) {
        write_report(report, 0, self.max_frame);
        exit(0);
    }
}

fn write_report(report: Report, memory: u64, max_frame: usize) {
    let (stats, condemned) = (report.stats.clone(), report.condemned);
    let mut bytes = frame::encode(&FromWorker::done(report, memory));
    if bytes.len() - HEADER > max_frame {
        // The pool knows the limit.
        let result = Err(Error::MessageTooLarge { what: "the result".into(), limit: 0 });
        bytes = frame::encode(&FromWorker::done(Report { result, stats, condemned }, memory));
    }
    write(&bytes);
}

/// Tool calls of the running execution that wait for their answers.
#[derive(Default)]
struct Calls(Mutex<Pending>);

#[derive(Default)]
struct Pending {
    execution: u64,
    last: u64,
    replies: HashMap<u64, ToolReply>,
}

impl Calls {
    fn begin(&self, execution: u64) {
        *lock(&self.0) = Pending { execution, ..Pending::default() };
    }

    fn end(&self) {
        let pending = std::mem::take(&mut *lock(&self.0));
        // Outside of the lock: dropping a reply answers it.
        drop(pending);
    }

    /// Numbers a call and sends it; one that cannot be sent is not counted, and is rejected.
    fn make(&self, reply: ToolReply, send: impl FnOnce(u64) -> bool) {
        let number = {
            let mut pending = lock(&self.0);
            let number = pending.last + 1;
            pending.replies.insert(number, reply);
            number
        };
        // The answer may come before this returns.
        let sent = send(number);
        let mut pending = lock(&self.0);
        if sent {
            pending.last = number;
        } else {
            let reply = pending.replies.remove(&number);
            drop(pending);
            drop(reply);
        }
    }

    fn take(&self, execution: u64, call: u64) -> Option<ToolReply> {
        let mut pending = lock(&self.0);
        if pending.execution != execution {
            return None;
        }
        pending.replies.remove(&call)
    }
}

fn socket() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
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
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// Where the last frame began, and where it ended.
    start: usize,
    end: usize,
}

impl Frames {
    /// The next frame. None at the end, and where a frame is too long.
    fn next(&mut self, max: usize) -> Option<&[u8]> {
        self.start = self.end;
        loop {
            let rest = &self.bytes[self.start..];
            if let Some(header) = rest.first_chunk() {
                let length = frame::length(*header, max).ok()?;
                if rest.len() >= HEADER + length {
                    let from = self.start + HEADER;
                    self.end = from + length;
                    return Some(&self.bytes[from..self.end]);
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Option<()> {
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > CHUNK * 4 {
            self.bytes = Vec::new();
        }
        self.bytes.reserve(CHUNK);
        loop {
            match recv(socket(), spare_capacity(&mut self.bytes), RecvFlags::empty()) {
                Ok((_, 0)) => return None,
                Ok(_) => return Some(()),
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

const CHUNK: usize = 64 * 1024;
