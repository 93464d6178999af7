//! What threads other than the driver's may touch of a worker process.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::net::{SendFlags, send};

use super::reaped::Handle;
use crate::contract::{Control, KillReason};
use crate::error::Error;
use crate::execution::ToolReply;
use crate::pending::Pending;
use crate::sync::{lock, read_clock};
use crate::worker::frame::{self, Answer, ToWorker};

/// What threads other than the driver's may touch of a worker process.
pub(super) struct Channel {
    pub(super) handle: Arc<Handle>,
    /// Where the worker hears of kills while it runs script.
    kills: OwnedFd,
    pub(super) wake: OwnedFd,
    cpu_clock: Option<libc::clockid_t>,
    max_message_size: u64,
    /// There is something in the outbox.
    calling: AtomicBool,
    state: Mutex<ChannelState>,
}

/// A frame to be sent.
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    /// Bytes that it holds, as the answer to a tool call, until it is sent.
    pub(super) held: u64,
}

impl From<Vec<u8>> for Outgoing {
    fn from(bytes: Vec<u8>) -> Self {
        Outgoing { bytes, held: 0 }
    }
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
    /// `kills` and `wake` are descriptors for what their fields say.
    pub(super) fn new(
        handle: Arc<Handle>,
        kills: OwnedFd,
        wake: OwnedFd,
        cpu_clock: Option<libc::clockid_t>,
        max_message_size: u64,
    ) -> Self {
        Channel {
            handle,
            kills,
            wake,
            cpu_clock,
            max_message_size,
            calling: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    pub(super) fn begin(&self, execution: u64, max_pending_bytes: u64) {
        let pending = Pending::new(max_pending_bytes);
        *lock(&self.state) = ChannelState { execution, pending, ..ChannelState::default() };
    }

    pub(super) fn end(&self) {
        *lock(&self.state) = ChannelState::default();
    }

    /// Empties the outbox; fails if the execution has the pool hold too much.
    pub(super) fn take_outbox(&self) -> Result<Vec<Outgoing>, Error> {
        self.calling.store(false, Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.pending.check()?;
        Ok(std::mem::take(&mut state.outbox))
    }

    /// Answers are sent that held so many bytes.
    pub(super) fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            lock(&self.state).pending.give_back(bytes);
        }
    }

    /// Whether there is something in the outbox.
    pub(super) fn calls(&self) -> bool {
        self.calling.load(Ordering::Relaxed)
    }

    /// Whether the driver may sleep; from now on it is woken.
    pub(super) fn may_sleep(&self) -> bool {
        let mut state = lock(&self.state);
        state.asleep = state.outbox.is_empty() && state.pending.check().is_ok();
        state.asleep
    }

    pub(super) fn awake(&self) {
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
    pub(super) fn call(&self, most: u32, bytes: u64) -> Result<bool, Error> {
        let mut state = lock(&self.state);
        if state.calls >= most {
            return Ok(false);
        }
        state.pending.take(bytes)?;
        state.calls += 1;
        Ok(true)
    }

    /// The place for the answer to a tool call that holds so many bytes.
    pub(super) fn reply(self: &Arc<Self>, execution: u64, call: u64, bytes: u64, max_depth: u32) -> ToolReply {
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

    pub(super) fn kill_reason(&self) -> Option<KillReason> {
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
