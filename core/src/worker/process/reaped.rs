//! The process itself: how it is killed and waited for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, pidfd_send_signal, waitid,
};

/// The same under a number above those of the standard streams. Where a host has closed one of these, a new descriptor gets
/// its number, and whatever is then printed there.
pub(super) fn beyond_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    match fd.as_raw_fd() {
        0..=2 => Ok(fcntl_dupfd_cloexec(&fd, 3)?),
        _ => Ok(fd),
    }
}

/// A child process, by a handle that never means another one: its id may be another's as soon as somebody else in this
/// process has waited for it.
pub(super) struct Handle {
    pub(super) pidfd: OwnedFd,
    pub(super) id: Pid,
}

impl Handle {
    pub(super) fn of(id: u32) -> io::Result<Handle> {
        let id = id.try_into().ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
        Ok(Handle { pidfd: beyond_standard(pidfd_open(id, PidfdFlags::empty())?)?, id })
    }

    pub(super) fn kill(&self) {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            // A process that has ended needs none.
            Ok(()) | Err(Errno::SRCH) => {}
            // Where something refuses this call, as filters do that know an older kernel. The process has not ended, so
            // the id is its own.
            Err(_) if !self.has_ended() => drop(kill_process(self.id, Signal::KILL)),
            Err(_) => {}
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

/// A child process that is killed and waited for when this is dropped.
pub(super) struct Reaped {
    pub(super) handle: Arc<Handle>,
    /// Set once it has ended; what is in it is none if somebody else has waited for it.
    status: Option<Option<ExitStatus>>,
}

impl Reaped {
    pub(super) fn new(handle: Handle) -> Self {
        Reaped { handle: Arc::new(handle), status: None }
    }

    /// Makes sure that it ends, and gives its status.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
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
pub(super) fn describe(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => status.to_string(),
        None => "its status is unknown, because something else in this process has waited for it".into(),
    }
}
