//! Asynchronous signals: the host's handlers run on the host's threads, never on ours.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Signals that stay as they are: those that a thread's own instructions raise, and SIGPROF, so that the host's
/// profiler sees our threads too.
const KEPT: [libc::c_int; 8] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGABRT,
    libc::SIGPROF,
];

/// Blocks asynchronous signals on this thread, for good: the host's handlers run on the host's threads.
pub(crate) fn block_signals() {
    std::mem::forget(Blocked::new());
}

/// Asynchronous signals are blocked on this thread until this is dropped on it.
pub(super) struct Blocked {
    before: Option<libc::sigset_t>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Blocked {
    pub(super) fn new() -> Self {
        let mut blocked = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set that it is given.
        let blocked = unsafe {
            libc::sigfillset(blocked.as_mut_ptr());
            for signal in KEPT {
                libc::sigdelset(blocked.as_mut_ptr(), signal);
            }
            blocked.assume_init()
        };
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are valid for the call; it changes this thread's mask only.
        let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &blocked, before.as_mut_ptr()) } != 0;
        // SAFETY: the call succeeded, so it has written the mask.
        Blocked { before: (!failed).then(|| unsafe { before.assume_init() }), _thread: PhantomData }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: `before` is what pthread_sigmask has given; the null says that the mask now is not wanted.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}
