//! A worker in a process of its own: the pool's side of the socket.
//!
//! The driver's thread does all the talking: it sends frames and reads what comes back, so that it never waits for a
//! worker that does not read. Others (who answer a tool call or kill) leave their frames in the [`Channel`]'s outbox and
//! wake it.
//!
//! A worker process is taken for hostile. Every frame is bounded, decoded by [`frame`], and checked here against what
//! the execution may do and where it is; whatever does not fit ends the worker with [`RecycleReason::Protocol`]. What a
//! worker says of its own use of time is believed only as far as our clock allows.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, pidfd_send_signal, waitid,
};

use super::frame::{
    self, Answer, End, Execute, FromWorker, HEADER, Malformed, Ready, Start, ToWorker, Usage, ValuesLeft,
};
use crate::config::PoolConfig;
use crate::contract::{Control, Host, KillReason, Launcher, Pause, RecycleReason, Report, Request, RestDue, Worker};
use crate::error::Error;
use crate::execution::{ConsoleLine, ExecutionStats, ToolCall, ToolReply, is_tool_name};
use crate::pending::{self, Pending};
use crate::sandbox::{Budget, Group, Parts, SandboxPart};
use crate::sync::{Watch, lock, read_clock};
use crate::value::Value;

/// Stack of the driver's thread: it runs the host's callbacks.
pub(crate) const STACK_SIZE: usize = 2 * 1024 * 1024;

/// How long a worker may rest: it collects the garbage of one heap.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a worker may take to start, on the busiest machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// What a buffer keeps of its size between executions.
const KEPT_BUFFER: usize = 256 * 1024;

/// Makes workers that are processes.
pub(crate) struct ProcessLauncher {
    executable: PathBuf,
    config: PoolConfig,
    pool: u64,
}

impl ProcessLauncher {
    /// `pool` tells this pool from all others of this process.
    pub(crate) fn new(config: &PoolConfig, pool: u64) -> Result<Self, Error> {
        let executable = super::locate::executable(config.worker_path.as_deref())?;
        let mut config = config.clone();
        // The host may change its directory later.
        config.cgroup = config.cgroup.map(|path| std::path::absolute(&path).unwrap_or(path));
        Ok(ProcessLauncher { executable, config, pool })
    }

    fn startup(&self, what: impl std::fmt::Display) -> Error {
        Error::WorkerStartup { cause: format!("{} {what}", self.executable.display()) }
    }

    fn budget(&self) -> Budget {
        Budget {
            memory_limit: self.config.memory_limit_per_worker,
            max_message_size: self.config.max_message_size,
            jit: self.config.jit,
        }
    }

    /// Starts the process; nothing of it has been heard yet.
    fn spawn(&self, worker_id: u64) -> Result<ProcessWorker, Error> {
        let cannot = |error: io::Error| self.startup(format!("could not be started: {error}"));
        let (socket, theirs) = sockets(SocketType::STREAM).map_err(cannot)?;
        let (kills, their_kills) = sockets(SocketType::SEQPACKET).map_err(cannot)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| cannot(error.into()))?;
        let wake = beyond_standard(wake).map_err(cannot)?;
        let null = OpenOptions::new().write(true).open("/dev/null");
        let null = null.map_err(|error| cannot(io::Error::other(format!("/dev/null cannot be opened: {error}"))))?;
        let mut child = Command::new(&self.executable)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(their_kills))
            .stderr(Stdio::from(null))
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        let id = child.id();
        let handle = Handle::of(id).map_err(|error| {
            // This once by its id: it has just been started.
            let _ = child.kill().and_then(|()| child.wait());
            cannot(io::Error::other(format!("a handle of its process (pidfd, Linux 5.3) cannot be had: {error}")))
        })?;
        let process = Reaped { handle: Arc::new(handle), status: None };
        let group = self.config.cgroup.as_ref().map(|parent| {
            let name = format!("enclave-{}-{}-{worker_id}", std::process::id(), self.pool);
            Group::new(parent, &name, id, &self.budget())
        });
        Ok(ProcessWorker {
            conversation: Conversation {
                socket,
                incoming: Incoming::new(frame::MAX_GREETING),
                sending: VecDeque::new(),
                sent: 0,
                answered: 0,
            },
            channel: Arc::new(Channel {
                handle: process.handle.clone(),
                kills,
                wake,
                cpu_clock: process_cpu_clock(id),
                max_message_size: self.config.max_message_size,
                calling: AtomicBool::new(false),
                state: Mutex::default(),
            }),
            watch: Watch::default(),
            memory_limit: self.config.memory_limit_per_worker,
            memory: 0,
            rest_due: RestDue::default(),
            sandbox_missing: Parts::default(),
            process,
            group,
        })
    }

    /// Tells the worker what it is to be, and waits until it is.
    fn greet(&self, worker: &mut ProcessWorker) -> Result<(), Error> {
        let start = Start {
            protocol: frame::PROTOCOL,
            version: env!("CARGO_PKG_VERSION").into(),
            memory_limit: self.config.memory_limit_per_worker,
            max_message_size: self.config.max_message_size,
            jit: self.config.jit,
            parent: std::process::id(),
        };
        let until = Instant::now() + START_TIMEOUT;
        worker.conversation.push(frame::encode(&start));
        let mut died = false;
        let ready: Ready = loop {
            let conversation = &mut worker.conversation;
            let heard = conversation.transfer().and_then(|()| conversation.incoming.frame());
            match heard.and_then(|bytes| Ok(bytes.map(|bytes| frame::decode(bytes, ())).transpose()?)) {
                Ok(Some(ready)) => break ready,
                Ok(None) if !died => {}
                Err(Trouble::Protocol(what)) => return Err(self.startup(format!("is no worker of ours: {what}"))),
                Err(Trouble::Limit(error)) => return Err(error),
                Ok(None) | Err(Trouble::Gone) => {
                    let end = worker.process.end();
                    return Err(self.startup(format!("ended before it was ready: {}", describe(end))));
                }
            }
            if Instant::now() >= until {
                return Err(self.startup(format!("was not ready within {START_TIMEOUT:?}")));
            }
            died = worker.conversation.wait(&worker.channel, Some(until));
        };
        if ready.protocol != frame::PROTOCOL || ready.version != start.version {
            return Err(self.startup(format!(
                "is of version {} (protocol {}), but this library of {} (protocol {})",
                ready.version,
                ready.protocol,
                start.version,
                frame::PROTOCOL
            )));
        }
        if let Some(failure) = ready.failure {
            return Err(Error::WorkerStartup { cause: failure });
        }
        let mut missing = Parts(ready.sandbox_missing);
        if matches!(worker.group, Some(None)) {
            missing.add(SandboxPart::Cgroup);
        }
        self.require(missing)?;
        worker.sandbox_missing = missing;
        worker.memory = credible(ready.memory, self.config.memory_limit_per_worker);
        worker.conversation.incoming.max = frame::max_frame(self.config.max_message_size);
        Ok(())
    }
}

impl ProcessLauncher {
    /// Refuses a worker that lacks what the configuration insists on.
    fn require(&self, missing: Parts) -> Result<(), Error> {
        let required = missing.required();
        if self.config.require_sandbox && !required.is_empty() {
            let names: Vec<&str> = required.to_vec().into_iter().map(|part| part.name()).collect();
            return Err(Error::Unsupported {
                feature: "require_sandbox".into(),
                reason: format!(
                    "this system does not give a worker process {}; set require_sandbox to false to do without",
                    names.join(", ")
                ),
            });
        }
        if self.config.require_seccomp && missing.contains(SandboxPart::Seccomp) {
            return Err(Error::Unsupported {
                feature: "require_seccomp".into(),
                reason:
                    "this system does not give a worker process the filter of system calls (seccomp), without which \
                         script that breaks out of the engine can ask anything of the kernel; set require_seccomp to \
                         false to do without"
                        .into(),
            });
        }
        Ok(())
    }
}

impl Launcher for ProcessLauncher {
    type Worker = ProcessWorker;

    fn launch(&self, worker_id: u64) -> Result<ProcessWorker, Error> {
        let mut worker = self.spawn(worker_id)?;
        self.greet(&mut worker)?;
        Ok(worker)
    }
}

/// Two ends of a socket.
fn sockets(kind: SocketType) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    Ok((beyond_standard(ours)?, beyond_standard(theirs)?))
}

/// The same under a number above those of the standard streams. Where a host has closed one of these, a new descriptor gets
/// its number, and whatever is then printed there.
fn beyond_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => Ok(fcntl_dupfd_cloexec(&fd, 3)?),
        _ => Ok(fd),
    }
}

/// What a worker says of its memory, as far as it can be: sums of it are shown, and decided upon.
fn credible(memory: u64, limit: u64) -> u64 {
    memory.min(limit.saturating_mul(2))
}

/// The clock of the CPU time of a process.
fn process_cpu_clock(id: u32) -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place.
    let failed = unsafe { libc::clock_getcpuclockid(id.try_into().ok()?, &mut clock) } != 0;
    (!failed).then_some(clock)
}

/// A child process, by a handle that never means another one: its id may be another's as soon as somebody else in this
/// process has waited for it.
struct Handle {
    pidfd: OwnedFd,
    id: Pid,
}

impl Handle {
    fn of(id: u32) -> io::Result<Handle> {
        let id = id.try_into().ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
        Ok(Handle { pidfd: beyond_standard(pidfd_open(id, PidfdFlags::empty())?)?, id })
    }

    fn kill(&self) {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            // A process that has ended needs none.
            Ok(()) | Err(Errno::SRCH) => {}
            // Where something refuses this call, as filters do that know an older kernel. The process has not ended, so
            // the id is its own.
            Err(_) if !self.has_ended() => drop(kill_process(self.id, Signal::KILL)),
            Err(_) => {}
        }
    }

    fn has_ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// A child process that is killed and waited for when this is dropped.
struct Reaped {
    handle: Arc<Handle>,
    /// Set once it has ended; what is in it is none if somebody else has waited for it.
    status: Option<Option<ExitStatus>>,
}

impl Reaped {
    /// Makes sure that it ends, and gives its status.
    fn end(&mut self) -> Option<ExitStatus> {
        *self.status.get_or_insert_with(|| {
            // What a dying process has as its status stays.
            self.handle.kill();
            let wait = || waitid(WaitId::PidFd(self.handle.pidfd.as_fd()), WaitIdOptions::EXITED);
            let status = rustix::io::retry_on_intr(wait).ok()??;
            // As `wait` has it.
            let code = status.exit_status().map(|code| code << 8);
            code.or(status.terminating_signal()).map(ExitStatus::from_raw)
        })
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a process ended, in words.
fn describe(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => status.to_string(),
        None => "its status is unknown, because something else in this process has waited for it".into(),
    }
}

/// A worker process, in the hands of its driver.
pub(crate) struct ProcessWorker {
    // The process ends before its group is removed.
    process: Reaped,
    /// None: no group was asked for; then, none could be had.
    group: Option<Option<Group>>,
    conversation: Conversation,
    channel: Arc<Channel>,
    /// For what the worker says.
    watch: Watch,
    memory_limit: u64,
    memory: u64,
    rest_due: RestDue,
    sandbox_missing: Parts,
}

impl Worker for ProcessWorker {
    fn control(&self) -> Arc<dyn Control> {
        self.channel.clone()
    }

    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason> {
        match self.conversation.is_quiet() {
            Ok(()) if self.channel.has_died() => return Err(RecycleReason::Crash),
            Ok(()) => {}
            Err(Trouble::Gone) => return Err(RecycleReason::Crash),
            Err(Trouble::Protocol(_)) => return Err(RecycleReason::Protocol),
            Err(Trouble::Limit(_)) => return Err(RecycleReason::ToolCallLimit),
        }
        self.channel.begin(request.id, request.limits.max_pending_bytes);
        self.conversation.push(frame::encode(&ToWorker::Execute(Execute::new(request))));
        let mut execution = Running {
            request,
            host,
            memory_limit: self.memory_limit,
            started: Instant::now(),
            cpu_start: self.channel.cpu_time().unwrap_or_default(),
            tool_calls: 0,
            console_calls: 0,
            console_output: 0,
        };
        let end = self.converse(&mut execution);
        self.channel.end();
        Ok(end.unwrap_or_else(|trouble| self.failed(trouble, &execution)))
    }

    fn rest(&mut self, pause: Pause) {
        let idle = pause == Pause::Long;
        if self.rest_due.at_once || (idle && self.rest_due.when_idle) {
            self.rest_due = RestDue::default();
            self.conversation.push(frame::encode(&ToWorker::Rest { idle }));
            match self.hear_of_rest() {
                Ok(memory) => self.memory = credible(memory, self.memory_limit),
                // The next execution finds it dead.
                Err(_) => drop(self.process.end()),
            }
        }
        self.conversation.incoming.shrink();
    }

    fn memory(&self) -> u64 {
        self.memory
    }

    fn sandbox_missing(&self) -> Parts {
        self.sandbox_missing
    }
}

impl ProcessWorker {
    /// Sends and receives until the execution has ended.
    fn converse(&mut self, execution: &mut Running) -> Result<Report, Trouble> {
        let mut died = false;
        loop {
            let more = self.channel.take_outbox(&mut self.conversation)?;
            self.conversation.transfer()?;
            self.channel.give_back(std::mem::take(&mut self.conversation.answered));
            while let Some(bytes) = self.conversation.incoming.frame()? {
                let frame = frame::decode(bytes, ValuesLeft::of_worker(execution.request.max_message_size))?;
                if let Some(Done { report, memory, rest_due }) = execution.handle(frame, &self.channel)? {
                    self.memory = memory;
                    self.rest_due = rest_due;
                    return Ok(report);
                }
            }
            // All that it had said has been read: its sockets may live on in a fork of ours.
            if died {
                return Err(Trouble::Gone);
            }
            if !more && self.watch.until(|| self.conversation.has_come() || self.channel.calls()) {
                continue;
            }
            // Nothing is waited for while there may be something to do.
            if !more && self.channel.may_sleep() {
                died = self.conversation.wait(&self.channel, None);
                self.channel.awake();
            }
        }
    }

    /// Waits until the worker has rested.
    fn hear_of_rest(&mut self) -> Result<u64, Trouble> {
        let until = Instant::now() + REST_TIMEOUT;
        let mut died = false;
        loop {
            self.conversation.transfer()?;
            if let Some(bytes) = self.conversation.incoming.frame()? {
                return match frame::decode(bytes, ValuesLeft::of_worker(0))? {
                    FromWorker::Rested(memory) => Ok(memory),
                    _ => Err(Trouble::Protocol("it said something else than that it has rested".into())),
                };
            }
            if died || Instant::now() >= until {
                return Err(Trouble::Gone);
            }
            died = self.conversation.wait(&self.channel, Some(until));
        }
    }

    /// The report of an execution whose worker is of no use any more.
    fn failed(&mut self, trouble: Trouble, execution: &Running) -> Report {
        let used = self.channel.cpu_time().unwrap_or_default().saturating_sub(execution.cpu_start);
        let status = self.process.end();
        let signal = status.and_then(|status| status.signal());
        let out_of_memory = self.group.iter().flatten().any(Group::ran_out_of_memory);
        let (error, reason) = match trouble {
            Trouble::Protocol(what) => {
                let reason = format!("it broke the protocol: {what}");
                (Error::WorkerCrashed { reason, signal: None }, RecycleReason::Protocol)
            }
            // The worker itself would have ended it in time; or an answer was too much.
            Trouble::Limit(error) => (error, RecycleReason::ToolCallLimit),
            Trouble::Gone if out_of_memory => {
                let limit = self.memory_limit;
                (Error::MemoryLimit { used: limit, limit }, RecycleReason::MemoryLimit)
            }
            Trouble::Gone => {
                let what = match signal {
                    Some(libc::SIGSYS) => " (a system call that the sandbox forbids)",
                    Some(libc::SIGKILL) => " (not by us: it may be that the system ran out of memory)",
                    _ => "",
                };
                let reason = format!("its process ended: {}{what}", describe(status));
                (Error::WorkerCrashed { reason, signal }, RecycleReason::Crash)
            }
        };
        Report { result: Err(error), stats: execution.stats(Usage::default(), used), condemned: Some(reason) }
    }
}

/// Why a worker is of no use any more.
enum Trouble {
    /// Its end of the socket is closed.
    Gone,
    /// It has said what it may not say.
    Protocol(String),
    /// What its execution has the pool hold is too much.
    Limit(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Limit(error)
    }
}

impl From<Malformed> for Trouble {
    fn from(Malformed(what): Malformed) -> Self {
        Trouble::Protocol(what)
    }
}

/// The end of an execution, and the worker after it.
struct Done {
    report: Report,
    memory: u64,
    rest_due: RestDue,
}

/// The execution that runs, and what it has done so far.
struct Running<'a> {
    request: &'a Request,
    host: &'a dyn Host,
    memory_limit: u64,
    started: Instant,
    /// CPU time of the process then.
    cpu_start: Duration,
    tool_calls: u32,
    console_calls: u32,
    console_output: u64,
}

impl Running<'_> {
    /// Checks a frame and does what it asks for; the last one gives the end.
    fn handle(&mut self, frame: FromWorker, channel: &Arc<Channel>) -> Result<Option<Done>, Trouble> {
        let limits = &*self.request.limits;
        match frame {
            FromWorker::ToolCall { execution, call, name, args } => {
                self.check_execution(execution)?;
                check(self.tool_calls < limits.max_tool_calls, "there are more tool calls than max_tool_calls")?;
                check(call == u64::from(self.tool_calls) + 1, "a tool call has not the number that is next")?;
                check(is_tool_name(&name), "a tool call has no proper name")?;
                self.check_value(&args, "a tool argument")?;
                let most = self.request.max_pending_tool_calls;
                let bytes = pending::of_call(&name, &args);
                check(channel.call(most, bytes)?, "there are more tool calls pending than max_pending_tool_calls")?;
                self.tool_calls += 1;
                let reply = channel.reply(execution, call, bytes, limits.max_value_depth);
                self.host.tool_call(ToolCall { execution_id: execution, name, args, reply });
            }
            FromWorker::Console { execution, level, text } => {
                self.check_execution(execution)?;
                check(self.console_calls < limits.max_console_calls, "there are more lines than max_console_calls")?;
                self.console_calls += 1;
                self.console_output = self.console_output.saturating_add(text.len() as u64);
                check(
                    self.console_output <= limits.max_console_output,
                    "the lines are longer than max_console_output",
                )?;
                check(text.len() as u64 <= self.request.max_message_size, "a console line is too large")?;
                self.host.console(ConsoleLine { execution_id: execution, level, time: SystemTime::now(), text });
            }
            FromWorker::Done { execution, end, condemned, usage, rest_due } => {
                self.check_execution(execution)?;
                if let End::Value(value) = &end {
                    self.check_value(value, "the result")?;
                }
                let kill = channel.kill_reason();
                let condemned = condemned || matches!(end, End::Killed);
                let result = end.into_result(self.request, self.memory_limit, kill)?;
                // A worker says that it is of no use any more; for what reason follows from the end.
                let reason = result.as_ref().err().and_then(RecycleReason::of);
                check(!condemned || reason.is_some(), "it is of no use after an end that is no reason for that")?;
                let condemned = reason.filter(|_| condemned);
                let cpu_time = Duration::from_nanos(usage.cpu_time_ns);
                let report = Report { result, stats: self.stats(usage, cpu_time), condemned };
                return Ok(Some(Done {
                    report,
                    memory: credible(usage.memory, self.memory_limit),
                    rest_due: rest_due.into(),
                }));
            }
            FromWorker::Rested(_) => return Err(Trouble::Protocol("it rests while it executes".into())),
        }
        Ok(None)
    }

    fn check_execution(&self, id: u64) -> Result<(), Trouble> {
        check(id == self.request.id, "a frame belongs to another execution")
    }

    fn check_value(&self, value: &Value, what: &str) -> Result<(), Trouble> {
        let (size, depth) = value.measure();
        if size > self.request.max_message_size {
            return Err(Trouble::Protocol(format!("{what} is larger than max_message_size")));
        }
        if depth > self.request.limits.max_value_depth {
            return Err(Trouble::Protocol(format!("{what} is deeper than max_value_depth")));
        }
        Ok(())
    }

    /// What the execution took, by what the worker says and by our own clock.
    fn stats(&self, usage: Usage, cpu_time: Duration) -> ExecutionStats {
        let limits = &*self.request.limits;
        let elapsed = self.started.elapsed();
        let run_time = match usage.run_time_ns {
            0 => elapsed,
            told => Duration::from_nanos(told).min(elapsed),
        };
        ExecutionStats {
            execution_id: self.request.id,
            worker_id: None,
            queue_wait: Duration::ZERO,
            run_time,
            cpu_time: cpu_time.min(elapsed),
            peak_memory: credible(usage.peak_memory, self.memory_limit),
            tool_calls: usage.tool_calls.clamp(self.tool_calls, limits.max_tool_calls),
            console_calls: usage.console_calls.clamp(self.console_calls, limits.max_console_calls),
        }
    }
}

fn check(fits: bool, problem: &str) -> Result<(), Trouble> {
    if fits { Ok(()) } else { Err(Trouble::Protocol(problem.to_owned())) }
}

/// Bytes on their way to the worker and from it.
struct Conversation {
    socket: OwnedFd,
    incoming: Incoming,
    /// Frames that are not sent yet, but for some bytes of the first.
    sending: VecDeque<Outgoing>,
    sent: usize,
    /// Bytes that answers held which are sent now.
    answered: u64,
}

/// A frame to be sent.
struct Outgoing {
    bytes: Vec<u8>,
    /// Bytes that it holds, as the answer to a tool call, until it is sent.
    held: u64,
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Outgoing { bytes, held: 0 }
    }
}

impl Conversation {
    fn push(&mut self, frame: Vec<u8>) {
        self.sending.push_back(frame.into());
    }

    /// Nothing has come that nobody waits for, and the worker is there.
    fn is_quiet(&mut self) -> Result<(), Trouble> {
        self.incoming.receive(&self.socket)?;
        check(self.incoming.is_empty(), "a frame came while nothing was executed")
    }

    /// Whether there is something to read, or the end.
    fn has_come(&self) -> bool {
        frame::comes_within(&self.socket, Some(Duration::ZERO))
    }

    /// Sends and receives what can be without waiting.
    fn transfer(&mut self) -> Result<(), Trouble> {
        self.flush()?;
        self.incoming.receive(&self.socket)
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        while let Some(frame) = self.sending.front() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(&self.socket, &frame.bytes[self.sent..], flags) {
                Ok(sent) if self.sent + sent < frame.bytes.len() => self.sent += sent,
                Ok(_) => {
                    self.answered += frame.held;
                    self.sending.pop_front();
                    self.sent = 0;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                // What it has said before may still be read; the execution is over, and its counts with it.
                Err(_) => {
                    self.sending.clear();
                    self.sent = 0;
                }
            }
        }
        Ok(())
    }

    /// Waits until the socket has something, or takes something, or the channel wakes us, or the process has ended, or
    /// `until` has come. True if it has ended.
    fn wait(&self, channel: &Channel, until: Option<Instant>) -> bool {
        let mut interest = PollFlags::IN;
        if !self.sending.is_empty() {
            interest |= PollFlags::OUT;
        }
        let mut fds = [
            PollFd::new(&self.socket, interest),
            PollFd::new(&channel.wake, PollFlags::IN),
            PollFd::new(&channel.handle.pidfd, PollFlags::IN),
        ];
        let timeout = until.and_then(|until| Timespec::try_from(until.saturating_duration_since(Instant::now())).ok());
        // If it is interrupted or fails, the caller looks again.
        poll(&mut fds, timeout.as_ref()).is_ok() && !fds[2].revents().is_empty()
    }
}

/// Bytes that have come, and the frames in them.
struct Incoming {
    bytes: Vec<u8>,
    /// Before this, all has been given out.
    start: usize,
    /// The longest frame that is accepted.
    max: usize,
}

impl Incoming {
    fn new(max: usize) -> Self {
        Incoming { bytes: Vec::new(), start: 0, max }
    }

    fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Reads what is there, but no more than a frame and a chunk ahead.
    fn receive(&mut self, socket: &OwnedFd) -> Result<(), Trouble> {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > CHUNK {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        while self.bytes.len() - self.start < self.max + HEADER {
            self.bytes.reserve(CHUNK);
            match recv(socket, spare_capacity(&mut self.bytes), RecvFlags::DONTWAIT) {
                Ok((_, 0)) if self.is_empty() => return Err(Trouble::Gone),
                Ok((_, 0)) => return self.require_whole_frame(),
                Ok((_, received)) if received < CHUNK => return Ok(()),
                Ok(_) => {}
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(_) if self.is_empty() => return Err(Trouble::Gone),
                Err(_) => return self.require_whole_frame(),
            }
        }
        Ok(())
    }

    /// At the end of all that comes, there must be a frame to give out, or there will never be one.
    fn require_whole_frame(&self) -> Result<(), Trouble> {
        match frame::first_end(&self.bytes[self.start..], self.max) {
            Ok(Some(_)) => Ok(()),
            _ => Err(Trouble::Gone),
        }
    }

    /// The next frame, if it is whole.
    fn frame(&mut self) -> Result<Option<&[u8]>, Trouble> {
        let Some(end) = frame::first_end(&self.bytes[self.start..], self.max)? else { return Ok(None) };
        let from = self.start + HEADER;
        self.start += end;
        Ok(Some(&self.bytes[from..self.start]))
    }

    fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > KEPT_BUFFER {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }
}

/// What threads other than the driver's may touch of a worker process.
struct Channel {
    handle: Arc<Handle>,
    /// Where the worker hears of kills while it runs script.
    kills: OwnedFd,
    wake: OwnedFd,
    cpu_clock: Option<libc::clockid_t>,
    max_message_size: u64,
    /// There is something in the outbox.
    calling: AtomicBool,
    state: Mutex<ChannelState>,
}

#[derive(Default)]
struct ChannelState {
    /// The one that runs; 0 when none does.
    execution: u64,
    kill: Option<KillReason>,
    /// Tool calls without an answer.
    calls: u32,
    /// What these and the answers hold that are not sent yet.
    pending: Pending,
    /// Frames to be sent.
    outbox: Vec<Outgoing>,
    /// The driver sleeps, or is about to.
    asleep: bool,
}

impl Channel {
    fn begin(&self, execution: u64, max_pending_bytes: u64) {
        let pending = Pending::new(max_pending_bytes);
        *lock(&self.state) = ChannelState { execution, pending, ..ChannelState::default() };
    }

    fn end(&self) {
        *lock(&self.state) = ChannelState::default();
    }

    /// Moves the outbox to the driver; true if there was something in it.
    fn take_outbox(&self, conversation: &mut Conversation) -> Result<bool, Trouble> {
        self.calling.store(false, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.pending.check()?;
        let frames = std::mem::take(&mut state.outbox);
        drop(state);
        let more = !frames.is_empty();
        conversation.sending.extend(frames);
        Ok(more)
    }

    /// Answers are sent that held so many bytes.
    fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            lock(&self.state).pending.give_back(bytes);
        }
    }

    /// Whether there is something in the outbox.
    fn calls(&self) -> bool {
        self.calling.load(Ordering::Relaxed)
    }

    /// Whether the driver may sleep; from now on it is woken.
    fn may_sleep(&self) -> bool {
        let mut state = lock(&self.state);
        state.asleep = state.outbox.is_empty() && state.pending.check().is_ok();
        state.asleep
    }

    fn awake(&self) {
        let mut state = lock(&self.state);
        state.asleep = false;
        let mut count = [0; 8];
        // It is not signalled if the socket was.
        let _ = rustix::io::read(&self.wake, &mut count);
    }

    fn wake(&self, state: &mut ChannelState) {
        self.calling.store(true, Ordering::Relaxed);
        if std::mem::take(&mut state.asleep) {
            // It fails only if it is signalled already.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }

    /// Counts a tool call that holds so many bytes; false if there are as many as may be.
    fn call(&self, most: u32, bytes: u64) -> Result<bool, Error> {
        let mut state = lock(&self.state);
        if state.calls >= most {
            return Ok(false);
        }
        state.pending.take(bytes)?;
        state.calls += 1;
        Ok(true)
    }

    /// The place for the answer to a tool call that holds so many bytes.
    fn reply(self: &Arc<Self>, execution: u64, call: u64, bytes: u64, max_depth: u32) -> ToolReply {
        // Weak, so that an answer that never comes keeps nothing open.
        let channel = Arc::downgrade(self);
        ToolReply::new(move |answer| {
            let Some(channel) = channel.upgrade() else { return };
            if lock(&channel.state).execution != execution {
                return;
            }
            let answer = Answer::new(answer, channel.max_message_size, max_depth);
            let frame = frame::encode(&ToWorker::Answer { execution, call, answer });
            let mut state = lock(&channel.state);
            if state.execution == execution {
                state.calls -= 1;
                state.pending.give_back(bytes);
                let held = frame.capacity() as u64;
                // If it is too much, the driver ends the worker.
                if state.pending.take(held).is_ok() {
                    state.outbox.push(Outgoing { bytes: frame, held });
                }
                channel.wake(&mut state);
            }
        })
    }

    fn kill_reason(&self) -> Option<KillReason> {
        lock(&self.state).kill
    }
}

impl Control for Channel {
    fn kill(&self, execution: u64, reason: KillReason) {
        let mut state = lock(&self.state);
        if state.execution == execution {
            state.kill.get_or_insert(reason);
            // If it takes no more, it has been told often enough.
            let _ = send(&self.kills, &execution.to_le_bytes(), SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            state.outbox.push(frame::encode(&ToWorker::Kill { execution }).into());
            self.wake(&mut state);
        }
    }

    fn cpu_time(&self) -> Option<Duration> {
        read_clock(self.cpu_clock?)
    }

    fn abandon(&self) {
        self.handle.kill();
    }

    fn has_died(&self) -> bool {
        self.handle.has_ended()
    }
}

/// How a worker's words end that are read by [`hear`].
#[cfg(any(test, fuzzing))]
pub(super) enum Heard {
    /// They end the execution.
    Report(Report),
    /// They break the protocol.
    Refused,
    /// More would have to come.
    Nothing,
}

/// Reads what a worker says during an execution as [`ProcessWorker`] does, without a process.
#[cfg(any(test, fuzzing))]
pub(super) fn hear(request: &Request, host: &dyn Host, stream: &[u8], kill: Option<KillReason>) -> Heard {
    let handle = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("there is a descriptor left");
    let channel = Arc::new(Channel {
        // No process has this id.
        handle: Arc::new(Handle { pidfd: handle(), id: Pid::from_raw(i32::MAX).expect("it is above zero") }),
        kills: handle(),
        wake: handle(),
        cpu_clock: None,
        max_message_size: request.max_message_size,
        calling: AtomicBool::new(false),
        state: Mutex::default(),
    });
    channel.begin(request.id, request.limits.max_pending_bytes);
    lock(&channel.state).kill = kill;
    let mut running = Running {
        request,
        host,
        memory_limit: 1 << 20,
        started: Instant::now(),
        cpu_start: Duration::ZERO,
        tool_calls: 0,
        console_calls: 0,
        console_output: 0,
    };
    let mut incoming = Incoming::new(frame::max_frame(request.max_message_size));
    incoming.bytes.extend_from_slice(stream);
    loop {
        let heard = incoming.frame().and_then(|bytes| {
            let Some(bytes) = bytes else { return Ok(None) };
            let frame = frame::decode(bytes, ValuesLeft::of_worker(request.max_message_size))?;
            running.handle(frame, &channel).map(Some)
        });
        match heard {
            Ok(Some(Some(done))) => return Heard::Report(done.report),
            Ok(Some(None)) => {}
            Ok(None) => return Heard::Nothing,
            Err(_) => return Heard::Refused,
        }
    }
}
