//! A worker in this process: an isolate on its driver's thread.

use std::sync::Arc;

use crate::config::PoolConfig;
use crate::contract::{Control, Host, Launcher, Pause, RecycleReason, Report, Request, Worker};
use crate::engine::{self, Isolate, IsolateConfig};
use crate::error::Error;

/// Stack of a worker's thread. It is only reserved: what a worker does not touch costs no memory. The isolate keeps a
/// part of it for our own code, and the engine a quarter of the rest for its own: script has a little over 2 MiB.
pub(crate) const STACK_SIZE: usize = 4 * 1024 * 1024;

/// Makes workers that are threads.
pub(crate) struct ThreadLauncher {
    memory_limit: u64,
}

impl ThreadLauncher {
    pub(crate) fn new(config: &PoolConfig) -> Self {
        ThreadLauncher { memory_limit: config.memory_limit_per_worker }
    }
}

impl Launcher for ThreadLauncher {
    type Worker = ThreadWorker;

    fn memory_is_exact(&self) -> bool {
        engine::memory_is_exact()
    }

    fn launch(&self, _worker_id: u64) -> Result<ThreadWorker, Error> {
        let config = IsolateConfig { memory_limit: self.memory_limit, stack_size: STACK_SIZE };
        Ok(ThreadWorker { isolate: Isolate::new(config)? })
    }
}

pub(crate) struct ThreadWorker {
    isolate: Isolate,
}

impl Worker for ThreadWorker {
    fn control(&self) -> Arc<dyn Control> {
        self.isolate.link()
    }

    fn execute(&mut self, request: &Request, host: &dyn Host) -> Result<Report, RecycleReason> {
        Ok(self.isolate.execute(request, host))
    }

    fn rest(&mut self, pause: Pause) {
        self.isolate.rest(pause);
    }

    fn memory(&self) -> u64 {
        self.isolate.memory()
    }
}
