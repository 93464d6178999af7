//! Starting threads.

use std::io;

use super::JoinHandle;
#[cfg(not(loom))]
use super::signals;

/// Starts a thread that leaves asynchronous signals to the host's threads.
pub(crate) fn spawn(
    name: String,
    stack_size: usize,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    #[cfg(not(loom))]
    {
        #[cfg(test)]
        let run = shortage::check(run)?;
        // Blocked by the parent, so that the thread never runs without; the parent gets its own mask back at once.
        let _blocked = signals::Blocked::new();
        std::thread::Builder::new().name(name).stack_size(stack_size).spawn(run)
    }
    #[cfg(loom)]
    {
        let _ = (name, stack_size);
        loom::thread::Builder::new().spawn(run)
    }
}

/// For tests: has threads fail to be made, by the thread that asks for it and all that come from it.
#[cfg(all(test, not(loom)))]
pub(crate) mod shortage {
    use std::cell::RefCell;
    use std::io;
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    thread_local!(static PLAN: RefCell<Option<Arc<Plan>>> = const { RefCell::new(None) });

    #[derive(Default)]
    struct Plan {
        asked: AtomicUsize,
        /// Which of those asked for are not made.
        refused: Mutex<Range<usize>>,
    }

    /// In force until it is dropped.
    pub(crate) struct Shortage(Arc<Plan>);

    impl Shortage {
        /// From now on, threads are counted from 0, and those of this range are not made.
        pub(crate) fn of(refused: Range<usize>) -> Shortage {
            let plan = Arc::new(Plan { refused: Mutex::new(refused), ..Plan::default() });
            PLAN.set(Some(plan.clone()));
            Shortage(plan)
        }

        /// All are refused, or none.
        pub(crate) fn refuse_all(&self, all: bool) {
            *crate::sync::lock(&self.0.refused) = 0..if all { usize::MAX } else { 0 };
        }
    }

    impl Drop for Shortage {
        fn drop(&mut self) {
            self.refuse_all(false);
            PLAN.set(None);
        }
    }

    /// What a new thread is to run, if it may be made.
    pub(super) fn check(run: impl FnOnce() + Send + 'static) -> io::Result<impl FnOnce() + Send + 'static> {
        let plan = PLAN.with_borrow(Clone::clone);
        if let Some(plan) = &plan {
            let place = plan.asked.fetch_add(1, Ordering::Relaxed);
            if crate::sync::lock(&plan.refused).contains(&place) {
                return Err(io::Error::from_raw_os_error(libc::EAGAIN));
            }
        }
        Ok(move || {
            PLAN.set(plan);
            run();
        })
    }
}
