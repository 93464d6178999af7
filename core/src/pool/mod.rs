//! The pool: admission, scheduling and supervision of executions. It knows nothing of the engine: a [`Launcher`] makes
//! its workers.
//!
//! # Who does what
//!
//! * The *caller's thread* validates a submission and puts it into the queue, or is refused immediately.
//! * A worker's *driver* ([`driver`]) takes executions from the queue in order, runs them and delivers the outcomes.
//! * The *supervisor* ([`supervisor`]) acts on time: deadlines, kills, idle workers, starts.
//! * The *notifier* ([`notifier`]) calls the host for the supervisor, so that limits never wait for the host.
//!
//! Every decision is made in one place, [`state`], under one lock that is held for about a microsecond and never while
//! foreign code runs. [`deadlines`] is its part that deals with time. What follows from a decision is data
//! ([`effects`]), which is carried out after the lock is released ([`perform`]). `README.md` in this folder has the
//! map.
//!
//! # An execution ends exactly once
//!
//! Its [`Completer`](completer::Completer) is in the queue, then in its worker's slot in the state. Whoever takes it
//! out, under the lock, ends the execution: the driver that finishes, the supervisor on a timeout, the caller who
//! cancels or shuts down. It exists once and is used up, so the others have nothing left to end.
//!
//! # In what order it dies
//!
//! Shutdown stops admission and answers what waits; workers without an execution leave at once, others when they have
//! finished or were killed at the deadline. When no worker is left (but those set aside), shutdown returns. When these
//! have gone too, the supervisor ends, and the notifier after it. All threads hold the [`Shared`], so nothing that
//! they use is freed before they end; handles of executions do not.

mod admission;
mod builder;
mod callback;
mod completer;
mod deadlines;
mod driver;
mod effects;
mod execution;
mod fork;
mod inbox;
#[cfg(all(test, loom))]
#[path = "tests/loom.rs"]
mod loom;
mod notifier;
mod patience;
mod perform;
mod queue;
mod shared;
mod slot;
mod state;
mod stats;
mod supervisor;
#[cfg(all(test, not(loom)))]
mod tests;
mod tools;
mod validate;

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::PoolBuilder;
use self::completer::Callback;
pub use self::execution::Execution;
use self::shared::Shared;
use self::state::Phase;
pub use self::stats::{Histogram, PoolStats, WorkerCounts, WorkerRecycled};
use crate::config::{MAX_DURATION, PoolConfig};
use crate::error::Error;
use crate::execution::{ExecutionOptions, Outcome, Script, Source, ToolHandler};
use crate::sync::{lock, now};
use crate::value::Value;

/// A bounded queue of executions, served by workers that come and go with the load.
///
/// All methods may be called from any thread; share it by reference or in an `Arc`. Dropping it shuts it down as
/// [`Pool::shutdown`] does with the configured timeout, unless that was done; in a callback of the pool it does not
/// wait, and in a forked child it does nothing.
pub struct Pool {
    // Not dropped in a forked child.
    shared: ManuallyDrop<Arc<Shared>>,
}

impl Pool {
    /// A pool without callbacks; see [`PoolBuilder::build`].
    #[cfg(not(loom))]
    pub fn new(config: PoolConfig) -> Result<Pool, Error> {
        Pool::builder(config).build()
    }

    /// The pool of these threads.
    fn of(shared: Arc<Shared>) -> Pool {
        Pool { shared: ManuallyDrop::new(shared) }
    }

    /// Begins a pool with callbacks.
    pub fn builder(config: PoolConfig) -> PoolBuilder {
        PoolBuilder::new(config)
    }

    /// The configuration in force.
    pub fn config(&self) -> &PoolConfig {
        &self.shared.config
    }

    /// Submits a source and returns immediately; the outcome comes through the [`Execution`].
    ///
    /// # Errors
    ///
    /// [`Error::QueueFull`], with a hint when to try again. [`Error::PoolClosed`] after a shutdown.
    /// [`Error::InvalidArgument`] for a global, filename or limit that is not accepted. [`Error::MessageTooLarge`] for
    /// a source, or globals together, above `max_message_size`. [`Error::WorkerCrashed`] if all workers are stuck.
    /// [`Error::Forked`].
    pub fn submit(&self, source: impl Into<Source>, options: ExecutionOptions) -> Result<Execution, Error> {
        self.submit_source(source.into(), options, None)
    }

    /// Submits a source and returns immediately. `on_complete` is called with the outcome, once, on the thread that
    /// made it: one of the pool's, or one that cancels or shuts down. That may be before this returns.
    ///
    /// # Errors
    ///
    /// As for [`Pool::submit`]; `on_complete` is dropped uncalled then.
    pub fn submit_with(
        &self,
        source: impl Into<Source>,
        options: ExecutionOptions,
        on_complete: impl FnOnce(Arc<Outcome>) + Send + 'static,
    ) -> Result<Execution, Error> {
        self.submit_source(source.into(), options, Some(Box::new(on_complete)))
    }

    /// Runs a source and gives its value.
    ///
    /// # Errors
    ///
    /// How the execution failed; or as for [`Pool::run_detailed`].
    pub fn run(&self, source: impl Into<Source>, options: ExecutionOptions) -> Result<Value, Error> {
        let outcome = self.run_detailed(source, options)?;
        Arc::try_unwrap(outcome).map_or_else(|shared| shared.result.clone(), |outcome| outcome.result)
    }

    /// Runs a source and gives its outcome; how the execution ended is in [`Outcome::result`].
    ///
    /// # Errors
    ///
    /// That there is no execution: as for [`Pool::submit`]. [`Error::InvalidState`] in a callback of the pool.
    pub fn run_detailed(&self, source: impl Into<Source>, options: ExecutionOptions) -> Result<Arc<Outcome>, Error> {
        fork::check()?;
        callback::check_may_wait(self.shared.id, "Pool::run", "use submit_with")?;
        self.submit(source, options)?.into_outcome()
    }

    /// Compiles a source without running it, and waits for that. It takes a place in the queue and the time that the
    /// pool's limits allow, and counts as an execution. Of `options` only the kind, the filename and the limits matter.
    /// To run the [`Script`], pass it in place of a source.
    ///
    /// Workers also keep a plain source compiled when it comes twice. A script is kept from the first time on, and its
    /// syntax errors are known before it runs.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`], or whatever else ends an execution or refuses one, as for [`Pool::run`].
    pub fn compile(&self, source: impl Into<Arc<str>>, options: ExecutionOptions) -> Result<Script, Error> {
        fork::check()?;
        callback::check_may_wait(self.shared.id, "Pool::compile", "use compile_with")?;
        let (script, execution) = self.submit_compile(source.into(), options, None)?;
        execution.into_outcome()?.result.clone().map(|_| script)
    }

    /// Compiles a source as [`Pool::compile`] does, and returns immediately: the execution succeeds, with undefined, if
    /// the source compiles. `on_complete` is called as for [`Pool::submit_with`].
    ///
    /// # Errors
    ///
    /// As for [`Pool::submit`]; `on_complete` is dropped uncalled then.
    pub fn compile_with(
        &self,
        source: impl Into<Arc<str>>,
        options: ExecutionOptions,
        on_complete: impl FnOnce(Arc<Outcome>) + Send + 'static,
    ) -> Result<(Script, Execution), Error> {
        self.submit_compile(source.into(), options, Some(Box::new(on_complete)))
    }

    fn submit_compile(
        &self,
        source: Arc<str>,
        options: ExecutionOptions,
        on_complete: Option<Callback>,
    ) -> Result<(Script, Execution), Error> {
        fork::check()?;
        let filename = options.filename.as_deref().unwrap_or(validate::DEFAULT_FILENAME).into();
        let script = Script { source, kind: options.kind, filename };
        let ExecutionOptions { filename, limits, .. } = options;
        let options = ExecutionOptions { filename, limits, ..ExecutionOptions::default() };
        let execution = admission::admit(&self.shared, Source::from(&script), true, options, on_complete)?;
        Ok((script, execution))
    }

    fn submit_source(
        &self,
        source: Source,
        options: ExecutionOptions,
        on_complete: Option<Callback>,
    ) -> Result<Execution, Error> {
        fork::check()?;
        admission::admit(&self.shared, source, false, options, on_complete)
    }

    /// Registers a tool for executions submitted from now on, in place of one of the same name. It answers
    /// `callTool(name, args)` and `tools.name(args)`; what a name matches is [`TOOL_NAME`](crate::TOOL_NAME).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a name that is not accepted, [`Error::PoolClosed`], [`Error::Forked`].
    pub fn register_tool(&self, name: impl Into<String>, handler: ToolHandler) -> Result<(), Error> {
        fork::check()?;
        let name = name.into();
        validate::tool_name(&name)?;
        if !lock(&self.shared.state).is_open() {
            return Err(Error::PoolClosed);
        }
        let before = Arc::make_mut(&mut *lock(&self.shared.tools)).insert(name, handler);
        // Outside of the lock: it may be the last reference to a handler of the host.
        drop(before);
        Ok(())
    }

    /// A snapshot of what the pool does and has done. In a forked child, all of it is zero.
    pub fn stats(&self) -> PoolStats {
        if fork::forked() { PoolStats::unknown() } else { self.shared.stats() }
    }

    /// Shuts the pool down: refuses further submissions, ends what waits in the queue with POOL_CLOSED, lets what runs
    /// finish for at most `timeout` (none: the configured
    /// [`graceful_shutdown_timeout`](PoolConfig::graceful_shutdown_timeout)), and then kills it, which also gives
    /// POOL_CLOSED. Returns when every execution has its outcome and all workers are gone or, where they do not stop,
    /// set aside: at the latest about two seconds after the timeout.
    ///
    /// It may be called again, also at the same time: all calls return when it is done, and the earliest end of a
    /// timeout holds.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] in a callback of the pool (dropping the pool there is possible); [`Error::Forked`].
    pub fn shutdown(&self, timeout: Option<Duration>) -> Result<(), Error> {
        fork::check()?;
        callback::check_may_wait(self.shared.id, "Pool::shutdown", "call it on another thread, or drop the pool")?;
        self.end(timeout.unwrap_or(self.shared.config.graceful_shutdown_timeout));
        Ok(())
    }

    fn close(&self, timeout: Duration) {
        self.shared.update(|state, now, effects| state.close(now + timeout.min(MAX_DURATION), now, effects));
    }

    fn end(&self, timeout: Duration) {
        let shared = &self.shared;
        self.close(timeout);
        shared.wait_lifecycle(None, |state| (state.phase == Phase::Closed).then_some(()));
        // The host may block in a callback, so from here on nothing is waited for without end.
        let until = now() + shared.patience().shutdown;
        let settled = shared.wait_lifecycle(Some(until), |state| {
            (state.owed == 0).then(|| (state.is_over(), std::mem::take(&mut state.ended_threads)))
        });
        let Some((true, workers)) = settled else { return };
        // No thread of a worker runs any code of ours or the host's any more, and the supervisor never runs the
        // host's. It ends now, and closes the notifier.
        for thread in workers.into_iter().chain(lock(&shared.supervisor_thread).take()) {
            let _ = thread.join();
        }
        if shared.notices.flush(until)
            && let Some(thread) = lock(&shared.notifier_thread).take()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if fork::forked() {
            return;
        }
        let timeout = self.shared.config.graceful_shutdown_timeout;
        if callback::is_inside(self.shared.id) {
            self.close(timeout);
        } else {
            self.end(timeout);
        }
        // SAFETY: this is the only place that drops it, and nothing uses it afterwards.
        unsafe { ManuallyDrop::drop(&mut self.shared) };
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("config", self.config()).finish_non_exhaustive()
    }
}
