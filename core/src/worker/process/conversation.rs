//! Bytes to a worker process and from it, without ever waiting for one that does not read.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, send};

use super::channel::{Channel, Outgoing};
use super::checks::{Trouble, check};
use crate::worker::buffer::{Buffer, CHUNK};
use crate::worker::frame;
use crate::worker::socket::comes_within;

/// Bytes on their way to the worker and from it.
pub(super) struct Conversation {
    socket: OwnedFd,
    pub(super) incoming: Buffer,
    /// Frames that are not sent yet, but for some bytes of the first.
    sending: VecDeque<Outgoing>,
    sent: usize,
    /// Bytes that answers held which are sent now.
    pub(super) answered: u64,
}

impl Conversation {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Conversation {
            socket,
            incoming: Buffer::new(frame::MAX_GREETING),
            sending: VecDeque::new(),
            sent: 0,
            answered: 0,
        }
    }

    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.sending.push_back(frame.into());
    }

    pub(super) fn extend(&mut self, frames: Vec<Outgoing>) {
        self.sending.extend(frames);
    }

    /// Nothing has come that nobody waits for, and the worker is there.
    pub(super) fn is_quiet(&mut self) -> Result<(), Trouble> {
        self.receive()?;
        check(self.incoming.is_empty(), "a frame came while nothing was executed")
    }

    /// Whether there is something to read, or the end.
    pub(super) fn has_come(&self) -> bool {
        comes_within(&self.socket, Some(Duration::ZERO))
    }

    /// Sends and receives what can be without waiting.
    pub(super) fn transfer(&mut self) -> Result<(), Trouble> {
        self.flush()?;
        self.receive()
    }

    /// Reads what is there, but no more than a frame and a chunk ahead.
    fn receive(&mut self) -> Result<(), Trouble> {
        while !self.incoming.is_full() {
            match self.incoming.receive(&self.socket, RecvFlags::DONTWAIT) {
                Ok(received) if (1..CHUNK).contains(&received) => return Ok(()),
                Ok(CHUNK..) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                // At the end of all that comes, there must be a frame to give out, or there will never be one.
                Ok(_) | Err(_) => {
                    return if matches!(self.incoming.has_frame(), Ok(true)) { Ok(()) } else { Err(Trouble::Gone) };
                }
            }
        }
        Ok(())
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
    pub(super) fn wait(&self, channel: &Channel, until: Option<Instant>) -> bool {
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
