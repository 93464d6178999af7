//! Memory that workers have freed and the C library keeps.
//!
//! It keeps a heap for each of several threads, and gives back only what is free at the end of one. What many workers
//! have allocated and freed in turns would stay for ever: after 100 000 sources of all sizes, some hundred MiB. So the
//! keeper asks it to give back all that is free. That takes a while, during which one heap after the other is locked;
//! so it is done only when much may be had.

use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that the process has to have grown by, and the share of its memory.
const GROWN: u64 = 64 * 1024 * 1024;
const GROWN_SHARE: u64 = 8;

static LEFT_TO_ISOLATES: AtomicBool = AtomicBool::new(false);

/// The keeper looks after nothing: for a process whose only isolate does so itself, and where no file can be read.
pub(crate) fn leave_to_isolates() {
    LEFT_TO_ISOLATES.store(true, Ordering::Relaxed);
}

/// Gives free memory of this process back to the system.
pub(super) struct Trimmer {
    /// The least resident memory that was seen since the last time, in bytes.
    least: u64,
}

impl Trimmer {
    pub(super) fn new() -> Self {
        Trimmer { least: resident() }
    }

    /// Gives back what is free, if the process has grown much.
    pub(super) fn trim(&mut self) {
        if LEFT_TO_ISOLATES.load(Ordering::Relaxed) {
            return;
        }
        let before = resident();
        self.least = self.least.min(before);
        if before - self.least < GROWN.max(self.least / GROWN_SHARE) {
            return;
        }
        give_back();
        self.least = resident();
    }
}

/// Gives all free memory of this process back to the system.
pub(super) fn give_back() {
    // SAFETY: it only gives free memory back.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    // SAFETY: a plain call.
    pages.unwrap_or(0u64) * unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(0) as u64
}
