//! What both sides of a socket ask the kernel.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Whether a socket of either side has something to read, or its end, within this time.
pub(super) fn comes_within(socket: impl AsFd, time: Option<Duration>) -> bool {
    let timeout = time.and_then(|time| Timespec::try_from(time).ok());
    poll(&mut [PollFd::new(&socket, PollFlags::IN)], timeout.as_ref()).is_ok_and(|ready| ready > 0)
}
