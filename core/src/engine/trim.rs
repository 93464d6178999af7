//! Memory that workers have freed and the C library keeps.
//!
//! The C library keeps a heap for each of several threads, and gives back only free memory at the end of one. Memory
//! that many workers have allocated and freed in turns would stay for ever: after 100 000 sources of all sizes, some
//! hundred MiB. So the keeper asks it to give back everything that is free. That takes a while, in which one heap after
//! the other is locked, so it is done only when much can be gained.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
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
    /// Where the system says how much is resident. Kept open, so that the number of open files does not change.
    statm: Option<File>,
    /// The least resident memory that was seen since the last time, in bytes.
    least: u64,
}

impl Trimmer {
    pub(super) fn new() -> Self {
        let is_mine = !LEFT_TO_ISOLATES.load(Ordering::Relaxed);
        let mut trimmer = Trimmer { statm: is_mine.then(|| File::open("/proc/self/statm").ok()).flatten(), least: 0 };
        trimmer.least = trimmer.resident();
        trimmer
    }

    /// Gives back what is free, if the process has grown much.
    pub(super) fn trim(&mut self) {
        let before = self.resident();
        self.least = self.least.min(before);
        if before - self.least < GROWN.max(self.least / GROWN_SHARE) {
            return;
        }
        give_back();
        self.least = self.resident();
    }

    /// Resident memory of this process in bytes; 0 where the system does not tell.
    fn resident(&self) -> u64 {
        let mut line = [0; 128];
        let Some(Ok(length)) = self.statm.as_ref().map(|statm| statm.read_at(&mut line, 0)) else { return 0 };
        let line = String::from_utf8_lossy(&line[..length]);
        let pages = line.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        // SAFETY: a plain call.
        pages.unwrap_or(0u64) * unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(0) as u64
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
