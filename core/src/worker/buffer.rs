//! Bytes that have come through a socket, and the frames in them: the same on both sides.

use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::frame::{self, HEADER, Malformed};

/// Bytes read at once.
pub(super) const CHUNK: usize = 64 * 1024;
/// What a buffer keeps of its size between executions.
const KEPT: usize = 256 * 1024;

pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Before this, all has been given out.
    start: usize,
    /// The longest frame that is accepted.
    pub max: usize,
}

impl Buffer {
    pub(super) fn new(max: usize) -> Self {
        Buffer { bytes: Vec::new(), start: 0, max }
    }

    /// One that has received this.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of(bytes: &[u8], max: usize) -> Self {
        Buffer { bytes: bytes.to_vec(), start: 0, max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether the longest frame would be in it.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.start >= self.max.saturating_add(HEADER)
    }

    /// Reads a chunk at most, and says how much it was; nothing comes at the end.
    pub(super) fn receive(&mut self, socket: impl AsFd, flags: RecvFlags) -> Result<usize, Errno> {
        if self.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > CHUNK {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.reserve(CHUNK);
        recv(socket, spare_capacity(&mut self.bytes), flags).map(|(_, received)| received)
    }

    /// Whether the next frame is whole.
    pub(super) fn has_frame(&self) -> Result<bool, Malformed> {
        Ok(frame::first_end(&self.bytes[self.start..], self.max)?.is_some())
    }

    /// The next frame, if it is whole.
    pub(super) fn frame(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(end) = frame::first_end(&self.bytes[self.start..], self.max)? else { return Ok(None) };
        let from = self.start + HEADER;
        self.start += end;
        Ok(Some(&self.bytes[from..self.start]))
    }

    /// Lets the memory of a large frame go that has been given out.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
            self.start = 0;
        }
    }
}
