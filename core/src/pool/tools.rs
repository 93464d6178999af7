//! The host's side of a running execution: which handlers answer its tool calls and receive its console lines.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::callback;
use super::stats::Traffic;
use crate::execution::{ConsoleHandler, ConsoleLine, ExecutionOptions, ToolCall, ToolError, ToolHandler};
use crate::sync::{Mutex, lock};

/// The tools of a pool. Executions share the set that they were submitted with; a shared set is copied before it
/// changes.
#[derive(Clone, Default)]
pub(super) struct Tools {
    /// Answers the calls that no named tool answers.
    pub catch_all: Option<ToolHandler>,
    named: BTreeMap<String, ToolHandler>,
    /// Made on demand, once for each set.
    names: OnceLock<Arc<[String]>>,
}

impl Tools {
    /// Adds a tool and gives back the one of the same name that it replaces.
    pub(super) fn insert(&mut self, name: String, handler: ToolHandler) -> Option<ToolHandler> {
        self.names.take();
        self.named.insert(name, handler)
    }

    /// These, and an execution's own.
    pub(super) fn with(self: Arc<Self>, own: Vec<(String, ToolHandler)>) -> Arc<Self> {
        if own.is_empty() {
            return self;
        }
        let mut named = self.named.clone();
        named.extend(own);
        Arc::new(Tools { catch_all: self.catch_all.clone(), named, names: OnceLock::new() })
    }

    /// The names of the tools, sorted.
    pub(super) fn names(&self) -> Arc<[String]> {
        self.names.get_or_init(|| self.named.keys().cloned().collect()).clone()
    }

    fn handler(&self, name: &str) -> Option<&ToolHandler> {
        self.named.get(name).or(self.catch_all.as_ref())
    }
}

/// What one execution can reach of its host.
pub(super) struct ExecutionHost {
    pool: u64,
    traffic: Arc<Traffic>,
    tools: Arc<Tools>,
    /// Instead of the pool's tools.
    tool_handler: Option<ToolHandler>,
    on_console: Option<ConsoleHandler>,
    /// The lines so far, if they are collected.
    console: Option<Mutex<Vec<ConsoleLine>>>,
    tool_calls: AtomicU32,
    console_calls: AtomicU32,
    ended: AtomicBool,
}

impl ExecutionHost {
    /// For an execution in this pool. These tools and this console handler stand in for what its options lack.
    pub(super) fn new(
        pool: u64,
        traffic: Arc<Traffic>,
        tools: Arc<Tools>,
        on_console: Option<ConsoleHandler>,
        options: ExecutionOptions,
    ) -> Self {
        ExecutionHost {
            pool,
            traffic,
            tools,
            tool_handler: options.tool_handler,
            on_console: options.on_console.or(on_console),
            console: options.collect_console.then(Mutex::default),
            tool_calls: AtomicU32::new(0),
            console_calls: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// The execution has its outcome: anything that its worker may still say is dropped.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The lines collected.
    pub(super) fn take_console(&self) -> Vec<ConsoleLine> {
        self.console.as_ref().map(|lines| std::mem::take(&mut *lock(lines))).unwrap_or_default()
    }

    /// Tool calls and console lines so far.
    pub(super) fn calls(&self) -> (u32, u32) {
        (self.tool_calls.load(Ordering::Relaxed), self.console_calls.load(Ordering::Relaxed))
    }
}

impl ExecutionHost {
    pub(super) fn tool_call(&self, call: ToolCall) {
        if self.has_ended() {
            return;
        }
        self.tool_calls.fetch_add(1, Ordering::Relaxed);
        self.traffic.tool_calls.fetch_add(1, Ordering::Relaxed);
        match self.tool_handler.as_ref().or_else(|| self.tools.handler(&call.name)) {
            // If the handler panics, the call is dropped, and with it rejected.
            Some(handler) => callback::call(self.pool, || handler(call)),
            None => {
                let message = format!("there is no tool named {}", call.name);
                let code = Some("TOOL_NOT_FOUND".into());
                call.reply.reject(ToolError { code, ..ToolError::new(message) });
            }
        }
    }

    pub(super) fn console(&self, line: ConsoleLine) {
        if self.has_ended() {
            return;
        }
        self.console_calls.fetch_add(1, Ordering::Relaxed);
        self.traffic.console_lines.fetch_add(1, Ordering::Relaxed);
        if let Some(on_console) = &self.on_console {
            callback::call(self.pool, || on_console(&line));
        }
        if let Some(lines) = &self.console {
            lock(lines).push(line);
        }
    }
}
