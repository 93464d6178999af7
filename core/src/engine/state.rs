//! The state that every native function can reach: the isolate's, and that of the running execution.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mozjs::context::JSContext;
use mozjs::gc::RootedTraceableBox;
use mozjs::jsapi::{Heap, JS_GetContextPrivate, JSObject};

use super::console_state::ConsoleState;
use super::interrupt::{Killed, Link, thread_cpu_time};
use super::kept::Kept;
use super::memory::Ledger;
use super::thrown::Thrown;
use super::timers::Timers;
use crate::contract::{Host, RecycleReason, Report, Request};
use crate::error::{Error, Message};
use crate::execution::ExecutionStats;
use crate::rate::TokenBucket;

/// What host functions can reach.
pub(super) struct State {
    pub link: Arc<Link>,
    pub ledger: Rc<Ledger>,
    pub current: RefCell<Current>,
}

/// The running execution.
pub(super) struct Current {
    pub request: Request,
    /// Valid while `execute` runs, which is as long as this is reachable from script.
    host: Option<NonNull<dyn Host>>,
    pub started: Instant,
    /// CPU time of the thread at the start.
    cpu_start: Duration,
    /// Milliseconds since 1970 at the start, for scripts whose clocks stand still.
    pub frozen_time: f64,
    pub bucket: RefCell<TokenBucket>,
    pub tool_calls: Cell<u32>,
    /// The promises of the tool calls that wait, by their numbers.
    pub pending_tool_calls: RefCell<Kept>,
    pub timers: RefCell<Timers>,
    pub console: ConsoleState,
    /// Which lazy properties of the global have been made, a bit each.
    pub resolved: Cell<u32>,
    /// The prototype of `DOMException`, once it is made.
    pub dom_exception: RefCell<Option<RootedTraceableBox<Heap<*mut JSObject>>>>,
    /// Why the isolate itself ends the execution.
    kill_error: RefCell<Option<Error>>,
    /// An exception from a timer or microtask that nobody can catch any more.
    pub uncaught: RefCell<Option<RootedTraceableBox<Heap<mozjs::jsval::JSVal>>>>,
    /// The last error thrown for a message that was too large, and what the message was.
    pub too_large: RefCell<Option<(RootedTraceableBox<Heap<*mut JSObject>>, Message)>>,
}

impl State {
    /// The state of the isolate that this context belongs to.
    pub(super) fn of(cx: &JSContext) -> &'static State {
        // SAFETY: the private pointer is set to a boxed State right after the context is made, and the box lives
        // until the context is destroyed. 'static stands for "while a host function runs": nobody keeps it.
        unsafe { &*(JS_GetContextPrivate(cx.raw_cx_no_gc()) as *const State) }
    }

    pub(super) fn killed(&self) -> bool {
        self.link.killed()
    }

    /// Ends the execution with this error. Script cannot catch it.
    pub(super) fn kill(&self, error: Error) -> Thrown {
        if self.link.kill_from_inside() {
            *self.current.borrow().kill_error.borrow_mut() = Some(error);
        }
        Thrown
    }

    /// Ends the execution here and now, because this thread cannot go on; false if none runs.
    pub(super) fn lose(&self, error: impl FnOnce(&State) -> Error) -> bool {
        self.ledger.end();
        let Ok(current) = self.current.try_borrow() else { return false };
        let Some(host) = current.host() else { return false };
        self.link.end();
        let error = error(self);
        let condemned = RecycleReason::of(&error).or(Some(RecycleReason::Internal));
        host.lost(Report { result: Err(error), stats: current.stats(&self.ledger), condemned });
        true
    }

    /// The error of an execution that was ended.
    pub(super) fn kill_error(&self, killed: Killed) -> Error {
        let current = self.current.borrow();
        match killed {
            Killed::Outside(reason) => reason.error(&current.request.limits),
            Killed::Inside => {
                let error = current.kill_error.borrow_mut().take();
                error.or_else(|| self.link.pending_error()).unwrap_or_else(|| self.ledger.error())
            }
        }
    }
}

impl Current {
    pub(super) fn new(request: Request, host: Option<NonNull<dyn Host>>, cpu_start: Duration) -> Self {
        let started = Instant::now();
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Current {
            bucket: RefCell::new(TokenBucket::new(request.max_messages_per_second, started)),
            request,
            host,
            started,
            cpu_start,
            frozen_time: since_1970.as_millis() as f64,
            tool_calls: Cell::new(0),
            pending_tool_calls: RefCell::default(),
            timers: RefCell::default(),
            console: ConsoleState::default(),
            resolved: Cell::new(0),
            dom_exception: RefCell::default(),
            kill_error: RefCell::default(),
            uncaught: RefCell::default(),
            too_large: RefCell::default(),
        }
    }

    pub(super) fn none() -> Self {
        let request = Request {
            id: 0,
            compiled: false,
            only_compile: false,
            source: "".into(),
            kind: Default::default(),
            filename: "".into(),
            globals: Arc::default(),
            limits: Default::default(),
            tools: Arc::new([]),
            max_message_size: 0,
            max_messages_per_second: 1,
            max_pending_tool_calls: 0,
        };
        Current::new(request, None, Duration::ZERO)
    }

    /// What the execution has taken so far, but for what only the pool knows.
    pub(super) fn stats(&self, ledger: &Ledger) -> ExecutionStats {
        ExecutionStats {
            execution_id: self.request.id,
            worker_id: None,
            queue_wait: Default::default(),
            run_time: self.started.elapsed(),
            cpu_time: thread_cpu_time().saturating_sub(self.cpu_start),
            peak_memory: ledger.peak(),
            tool_calls: self.tool_calls.get(),
            console_calls: self.console.calls.get(),
        }
    }

    /// The host, while an execution runs.
    pub(super) fn host(&self) -> Option<&dyn Host> {
        // SAFETY: set in `execute` from a reference that outlives it, and cleared before it returns.
        self.host.map(|host| unsafe { host.as_ref() })
    }
}

/// Why `run` ended without a value.
pub(super) enum Stop {
    /// By an exception that is pending, or by a kill.
    Thrown,
    Error(Error),
}

impl From<Thrown> for Stop {
    fn from(_: Thrown) -> Self {
        Stop::Thrown
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}
