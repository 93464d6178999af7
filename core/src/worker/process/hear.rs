//! Lets a pool hear a worker's words without a process, for tests.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::Pid;

use super::channel::Channel;
use super::checks::{Supervised, Trouble};
use super::reaped::Handle;
use crate::contract::{Control, Host, KillReason, Report, Request};
use crate::worker::buffer::Buffer;
use crate::worker::frame::{self, ValuesLeft};

/// How a worker's words end that are read by [`hear`].
pub(in crate::worker) enum Heard {
    /// They end the execution.
    Report(Report),
    /// They break the protocol.
    Refused,
    /// More would have to come.
    Nothing,
}

/// Reads what a worker says during an execution as [`ProcessWorker`] does, without a process.
pub(in crate::worker) fn hear(request: &Request, host: &dyn Host, stream: &[u8], kill: Option<KillReason>) -> Heard {
    let handle = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("there is a descriptor left");
    // No process has this id.
    let process = Handle { pidfd: handle(), id: Pid::from_raw(i32::MAX).expect("it is above zero") };
    let channel = Arc::new(Channel::new(Arc::new(process), handle(), handle(), None, request.max_message_size));
    channel.begin(request.id, request.limits.max_pending_bytes);
    if let Some(kill) = kill {
        channel.kill(request.id, kill);
    }
    let mut execution = Supervised::new(request, host, 1 << 20, Duration::ZERO);
    let mut incoming = Buffer::of(stream, frame::max_frame(request.max_message_size));
    loop {
        let heard = incoming.frame().map_err(Trouble::from).and_then(|bytes| {
            let Some(bytes) = bytes else { return Ok(None) };
            let frame = frame::decode(bytes, ValuesLeft::of_worker(request.max_message_size))?;
            execution.handle(frame, &channel).map(Some)
        });
        match heard {
            Ok(Some(Some(done))) => return Heard::Report(done.report),
            Ok(Some(None)) => {}
            Ok(None) => return Heard::Nothing,
            Err(_) => return Heard::Refused,
        }
    }
}
