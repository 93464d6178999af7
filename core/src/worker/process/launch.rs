//! How a worker process is started, and how it learns its settings.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::channel::Channel;
use super::checks::{Trouble, credible};
use super::conversation::Conversation;
use super::reaped::{Handle, Reaped, beyond_standard, describe};
use super::worker::ProcessWorker;
use crate::config::PoolConfig;
use crate::contract::{Launcher, RestDue};
use crate::error::Error;
use crate::sandbox::{Budget, Group, Parts, SandboxPart};
use crate::sync::Watch;
use crate::worker::frame::{self, Ready, Start};
use crate::worker::locate;

/// Stack of the driver's thread: it runs the host's callbacks.
pub(crate) const STACK_SIZE: usize = 2 * 1024 * 1024;

/// How long a worker may take to start, on the busiest machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Makes workers that are processes.
pub(crate) struct ProcessLauncher {
    executable: PathBuf,
    config: PoolConfig,
    pool: u64,
}

impl ProcessLauncher {
    /// `pool` tells this pool from all others of this process.
    pub(crate) fn new(config: &PoolConfig, pool: u64) -> Result<Self, Error> {
        let executable = locate::executable(config.worker_path.as_deref())?;
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
        let process = Reaped::new(handle);
        let group = self.config.cgroup.as_ref().map(|parent| {
            let name = format!("enclave-{}-{}-{worker_id}", std::process::id(), self.pool);
            Group::new(parent, &name, id, &self.budget())
        });
        Ok(ProcessWorker {
            conversation: Conversation::new(socket),
            channel: Arc::new(Channel::new(
                process.handle.clone(),
                kills,
                wake,
                process_cpu_clock(id),
                self.config.max_message_size,
            )),
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
            let heard = conversation.transfer().and_then(|()| Ok(conversation.incoming.frame()?));
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

/// The clock of the CPU time of a process.
fn process_cpu_clock(id: u32) -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: `clock` is a valid place.
    let failed = unsafe { libc::clock_getcpuclockid(id.try_into().ok()?, &mut clock) } != 0;
    (!failed).then_some(clock)
}
