//! What happens where the engine cannot go on.
//!
//! Some of its allocations have no way to fail (the compiler of regular expressions has many): there it ends the
//! process, through one function. And where its parts written in Rust panic, they call `abort`, because what called
//! them cannot unwind. The linker leads both here (`--wrap`, see `build.rs`). The thread cannot return, but nothing
//! else is wrong: the engine's own code ran, on a worker's thread, with no lock of ours and none of the allocator's. So
//! the execution ends with MEMORY_LIMIT or WORKER_CRASHED, the pool goes on with another worker, and this thread sleeps
//! for ever with what it holds. The pool bounds how many may.
//!
//! What it holds must not be a lock of the process, or something half made that is made once for all threads: any
//! thread that came there later would wait for ever, in every pool. The engine has such places (calendars and
//! collations of ICU4X, the tables of ICU). None of them requests much memory in one piece, and small requests of code
//! that cannot fail are always met (`Ledger::can_give`). Requests of code that can fail are refused, which ends nothing
//! here.
//!
//! All other crashes of the engine (`MOZ_CRASH`, a failed assertion, a stack that is exhausted in spite of all checks)
//! are signals for instructions of the thread: SIGSEGV, SIGILL. To contain those, we would have to replace handlers of
//! the host's process, and to guess which locks are held and what is damaged. Worker processes are the answer to them.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use mozjs::context::JSContext;
use mozjs::rust::Runtime;

use super::memory;
use super::state::State;
use crate::error::Error;

/// Takes the place of `js::AutoEnterOOMUnsafeRegion::crash_impl(const char*)`.
#[unsafe(export_name = "__wrap__ZN2js24AutoEnterOOMUnsafeRegion10crash_implEPKc")]
unsafe extern "C" fn out_of_memory_where_that_cannot_be(_reason: *const c_char) -> ! {
    out_of_memory()
}

/// Takes the place of `abort`, for all that is linked into this library: the engine, and Rust.
#[unsafe(export_name = "__wrap_abort")]
extern "C" fn abort() -> ! {
    // Where our own code runs, it may hold a lock that everybody needs.
    if memory::of_engine().is_some() {
        let reason = "the engine has called abort()".to_owned();
        lose(|_| Error::WorkerCrashed { reason, signal: Some(libc::SIGABRT) });
    }
    abort_process()
}

/// Ends the execution on this thread, which cannot go on.
pub(super) fn out_of_memory() -> ! {
    lose(|state| state.ledger.error());
    // Not in an execution: then no limit has caused it.
    abort_process()
}

/// Does not return if an execution runs on this thread.
fn lose(error: impl FnOnce(&State) -> Error) {
    // From here on nothing is the engine's, and nothing is refused.
    std::mem::forget(memory::on(memory::Side::Host));
    if let Some(cx) = Runtime::get() {
        // SAFETY: this thread's live context, looked at for its private pointer only.
        let cx = unsafe { JSContext::from_ptr(cx) };
        if State::of(&cx).lose(error) {
            loop {
                std::thread::park();
            }
        }
    }
}

/// What `abort` does in the C library. By its name might be found another one: that of the engine, which crashes in its
/// own way.
fn abort_process() -> ! {
    // SAFETY: plain calls; the set is made before it is used.
    unsafe {
        let mut signals = MaybeUninit::uninit();
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGABRT);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, signals.as_ptr(), std::ptr::null_mut());
        libc::raise(libc::SIGABRT);
        // It is ignored, or its handler has returned.
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        libc::raise(libc::SIGABRT);
        libc::_exit(134)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Isolation, PoolConfig, Preset};
    use crate::contract::RecycleReason;
    use crate::error::Status;
    use crate::pool::Pool;
    use crate::value::Value;

    #[test]
    fn an_abort_in_the_engine_costs_one_execution_and_its_thread() {
        let mut config = PoolConfig::preset(Preset::Standard);
        config.isolation = Isolation::Thread;
        (config.min_workers, config.max_workers) = (1, 1);
        // The callback runs on the worker's thread, where it stands for the engine's own code.
        let abort = |_| memory::in_engine(|| std::process::abort());
        let pool = Pool::builder(config).tool("abort", Arc::new(abort)).accept_soft_memory_limit().build().unwrap();
        assert_eq!(pool.run("1", Default::default()).unwrap(), Value::Number(1.0));
        let error = pool.run("await tools.abort()", Default::default()).unwrap_err();
        assert_eq!(error.status(), Status::WorkerCrashed, "{error}");
        let Error::WorkerCrashed { signal, .. } = error else { panic!() };
        assert_eq!(signal, Some(libc::SIGABRT));
        assert_eq!(pool.run("2", Default::default()).unwrap(), Value::Number(2.0));
        let stats = pool.stats();
        assert_eq!((stats.recycles(RecycleReason::Crash), stats.workers.set_aside), (1, 1));
    }
}
