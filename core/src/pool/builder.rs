//! [`PoolBuilder`]: what a pool is made of, and making it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::inbox::Inbox;
use super::patience::Patience;
use super::shared::{Callbacks, Shared};
use super::state::State;
use super::stats::{PoolStats, Traffic, WorkerRecycled};
use super::tools::Tools;
use super::{Pool, driver, fork, notifier, supervisor, validate};
#[cfg(not(loom))]
use crate::config::Isolation;
use crate::config::PoolConfig;
use crate::contract::Launcher;
use crate::error::Error;
use crate::execution::{ConsoleHandler, ToolHandler};
use crate::sync::{Condvar, JoinHandle, Mutex, Watch, lock, now, spawn};

/// Stack of supervisor and notifier; the latter runs the host's code.
const STACK_SIZE: usize = 2 * 1024 * 1024;

/// Makes a [`Pool`] with callbacks. From [`Pool::builder`].
///
/// Callbacks may run on several threads at the same time, except that those of one execution come one after the other,
/// as do stats updates. They should return soon: a callback that blocks holds up its own execution, worker or
/// successors, but never the limits of others. In a callback, a call that would wait for the same pool ([`Pool::run`],
/// [`Execution::wait`](crate::Execution::wait), [`Pool::shutdown`]) gives INVALID_STATE. A panic in a callback ends there.
pub struct PoolBuilder {
    config: PoolConfig,
    callbacks: Callbacks,
    tools: Tools,
    /// The first name that is none.
    invalid: Option<Error>,
    patience: Patience,
    soft_memory_limit: bool,
}

impl PoolBuilder {
    pub(super) fn new(config: PoolConfig) -> Self {
        PoolBuilder {
            config,
            callbacks: Callbacks::default(),
            tools: Tools::default(),
            invalid: None,
            patience: Patience::default(),
            soft_memory_limit: false,
        }
    }

    /// For tests: the pool waits as long as these say.
    #[cfg(test)]
    pub(super) fn patience(self, patience: Patience) -> Self {
        PoolBuilder { patience, ..self }
    }

    /// Called for every worker that has left, on a thread of the pool.
    pub fn on_worker_recycled(mut self, callback: impl Fn(&WorkerRecycled) + Send + Sync + 'static) -> Self {
        self.callbacks.worker_recycled = Some(Box::new(callback));
        self
    }

    /// Receives the stats every [`stats_interval`](PoolConfig::stats_interval), on a thread of the pool.
    pub fn on_stats_update(mut self, callback: impl Fn(&PoolStats) + Send + Sync + 'static) -> Self {
        self.callbacks.stats_update = Some(Box::new(callback));
        self
    }

    /// Receives the console lines of executions that have no [`on_console`](crate::ExecutionOptions::on_console) of their
    /// own.
    pub fn on_console(mut self, handler: ConsoleHandler) -> Self {
        self.callbacks.console = Some(handler);
        self
    }

    /// Answers tool calls that no named tool answers, of executions that have no
    /// [`tool_handler`](crate::ExecutionOptions::tool_handler) of their own.
    pub fn tool_handler(mut self, handler: ToolHandler) -> Self {
        self.tools.catch_all = Some(handler);
        self
    }

    /// Registers a tool, in place of one of the same name; see [`Pool::register_tool`]. A name that is not accepted
    /// makes [`PoolBuilder::build`] fail.
    pub fn tool(mut self, name: impl Into<String>, handler: ToolHandler) -> Self {
        let name = name.into();
        match validate::tool_name(&name) {
            Ok(()) => drop(self.tools.insert(name, handler)),
            Err(error) => {
                self.invalid.get_or_insert(error);
            }
        }
        self
    }

    /// Accepts that [`memory_limit_per_worker`](PoolConfig::memory_limit_per_worker) is not enforced exactly, in a program
    /// that was linked without the flags of this crate's `build.rs` (`DEP_ENCLAVE_CORE_LINK_ARGS`) or without
    /// [`HostAllocator`](crate::HostAllocator) as its global allocator. Without this, [`PoolBuilder::build`] refuses
    /// there. `libenclave` and the bindings have both.
    pub fn accept_soft_memory_limit(mut self) -> Self {
        self.soft_memory_limit = true;
        self
    }

    /// Makes the pool. With [`warm_on_init`](PoolConfig::warm_on_init) it returns when `min_workers` have started.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a setting or a tool's name, [`Error::Unsupported`] for a setting that is not
    /// available; [`Error::WorkerStartup`] if a thread or a worker cannot be started (none is left then);
    /// [`Error::Forked`].
    #[cfg(not(loom))]
    pub fn build(self) -> Result<Pool, Error> {
        use crate::worker::{process, thread};
        match self.config.isolation {
            Isolation::Thread => {
                let launcher = thread::ThreadLauncher::new(&self.config);
                self.require_exact_memory(&launcher)?;
                self.build_with(launcher, thread::STACK_SIZE)
            }
            Isolation::Process => {
                // Before the executable is looked for.
                fork::check()?;
                self.config.validate()?;
                let launcher = process::ProcessLauncher::new(&self.config, new_pool_id())?;
                self.require_exact_memory(&launcher)?;
                self.build_with(launcher, process::STACK_SIZE)
            }
        }
    }

    /// Refuses workers that cannot enforce their memory limit exactly, unless that was accepted.
    fn require_exact_memory(&self, launcher: &impl Launcher) -> Result<(), Error> {
        if self.soft_memory_limit || launcher.memory_is_exact() {
            return Ok(());
        }
        Err(Error::Unsupported {
            feature: "memory_limit_per_worker".into(),
            reason: "this program was linked without the allocation wrappers of enclave-core or has another global \
                     allocator than HostAllocator; link it with DEP_ENCLAVE_CORE_LINK_ARGS, or call \
                     accept_soft_memory_limit"
                .into(),
        })
    }

    /// Makes a pool of these workers.
    pub(crate) fn build_with(self, launcher: impl Launcher, stack_size: usize) -> Result<Pool, Error> {
        fork::check()?;
        self.config.validate()?;
        if let Some(error) = self.invalid {
            return Err(error);
        }
        fork::watch();
        let warm = self.config.warm_on_init;
        let shared = self.share(launcher, stack_size);
        *lock(&shared.notifier_thread) = Some(start_thread(&shared, "enclave-notifier", notifier::run)?);
        match start_thread(&shared, "enclave-supervisor", supervisor::run) {
            Ok(thread) => *lock(&shared.supervisor_thread) = Some(thread),
            Err(error) => {
                shared.notices.close();
                return Err(error);
            }
        }
        let pool = Pool::of(shared);
        if warm {
            pool.shared.update(|state, now, effects| state.warm_up(now, effects));
            let started = pool.shared.wait_lifecycle(None, |state| state.warmed_up());
            if let Some(Err(error)) = started {
                pool.end(Duration::ZERO);
                return Err(error);
            }
        }
        Ok(pool)
    }

    /// What the threads of the pool will share.
    pub(super) fn share(self, launcher: impl Launcher, stack_size: usize) -> Arc<Shared> {
        let launcher = Arc::new(launcher);
        Arc::new(Shared {
            id: new_pool_id(),
            state: Mutex::new(State::new(&self.config, self.patience, now())),
            limits: Arc::new(self.config.limits.clone()),
            config: self.config,
            callbacks: self.callbacks,
            tools: Mutex::new(Arc::new(self.tools)),
            traffic: Arc::new(Traffic::default()),
            supervisor: Condvar::new(),
            lifecycle: Condvar::new(),
            watch: Watch::default(),
            notices: Inbox::default(),
            spawn: Box::new(move |shared, worker| {
                let (shared, launcher) = (shared.clone(), launcher.clone());
                let name = format!("enclave-worker-{worker}");
                spawn(name, stack_size, move || driver::drive(&shared, &*launcher, worker))
            }),
            supervisor_thread: Mutex::default(),
            notifier_thread: Mutex::default(),
        })
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

fn new_pool_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn start_thread(shared: &Arc<Shared>, name: &str, body: fn(&Arc<Shared>)) -> Result<JoinHandle<()>, Error> {
    let shared = shared.clone();
    spawn(name.to_owned(), STACK_SIZE, move || body(&shared))
        .map_err(|error| driver::no_thread(&format!("the thread {name}"), &error))
}
