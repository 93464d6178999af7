//! [`Isolate`]: one runtime on this thread, which runs executions one after the other, each in a realm of its own.
//!
//! What belongs to the running execution (budgets, timers, pending tool calls) is its [`Current`], made anew for each
//! and dropped before the runtime. Host functions find it through the context's private pointer.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::RootedTraceableBox;
use mozjs::glue::{CreateJobQueue, DeleteJobQueue, JobQueueTraps};
use mozjs::jsapi::{
    GCReason, Heap, JS_GetContextPrivate, JS_SetContextPrivate, JSGCParamKey, JSGCStatus, JSObject, JSTracer,
    MutableHandleObject, SetOutOfMemoryCallback,
};
use mozjs::realm::AutoRealm;
use mozjs::rooted;
use mozjs::rust::Runtime;
use mozjs::rust::wrappers2::{
    JS_AddInterruptCallback, JS_ClearPendingException, JS_SetGCCallback, JS_SetGCParameter, JS_SetNativeStackQuota,
    SetJobQueue,
};

use super::cache::Cache;
use super::console_state::ConsoleState;
use super::interrupt::{Killed, Link, thread_cpu_time};
use super::kept::Kept;
use super::memory::{Attached, Ledger};
use super::realm::{self, Realms};
use super::thrown::Thrown;
use super::timers::Timers;
use super::{convert, exception, jobs, new_runtime, script};
use crate::contract::{Host, Pause, RecycleReason, Report, Request};
use crate::error::{Error, Message};
use crate::execution::ExecutionStats;
use crate::rate::TokenBucket;
use crate::value::Value;

/// Stack that the engine leaves to our own code when script recurses as deep as it may.
const STACK_RESERVE: usize = 1024 * 1024;
/// Nursery: small, because most executions are small and every worker has one.
const MAX_NURSERY: u32 = 4 * 1024 * 1024;
/// The engine collects a heap, or the buffers of one, for the first time when it holds this share of the limit, or so
/// many MiB: then it has not passed the limit by what was garbage already.
const FIRST_COLLECTION_SHARE: u64 = 4;
const MAX_FIRST_COLLECTION: u64 = 27;
const MIB: u64 = 1024 * 1024;
/// Executions after which garbage is collected if nothing else asked for it.
const EXECUTIONS_PER_GC: u32 = 50;
/// Collections of a worker at rest after which the sources that nobody uses any more are forgotten; the last worker's
/// are when it ends.
const COLLECTIONS_PER_PURGE: u32 = 16;

/// What an isolate is made with.
pub(crate) struct IsolateConfig {
    /// Bytes that heap and buffers may hold together.
    pub memory_limit: u64,
    /// Size of the thread's stack.
    pub stack_size: usize,
}

/// A runtime with its state. It lives and dies on one thread.
pub(crate) struct Isolate {
    // Fields are dropped in this order: what holds roots goes before the runtime.
    realms: Realms,
    cache: Cache,
    state: Box<State>,
    job_queue: *mut mozjs::glue::RustJobQueue,
    executions_since_gc: u32,
    collections: u32,
    runtime: Runtime,
    /// The thread counts until the runtime is gone.
    _attached: Attached,
    _leaving: Leaving,
}

/// Tells the keeper when an isolate is gone.
struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = super::forget_sources();
    }
}

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
    fn kill_error(&self, killed: Killed) -> Error {
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
    fn new(request: Request, host: Option<NonNull<dyn Host>>, cpu_start: Duration) -> Self {
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

    fn none() -> Self {
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
    fn stats(&self, ledger: &Ledger) -> ExecutionStats {
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

fn no_realm() -> Error {
    Error::WorkerStartup { cause: super::no_memory("a realm could not be made") }
}

impl Isolate {
    /// Makes a runtime on this thread.
    pub(crate) fn new(config: IsolateConfig) -> Result<Isolate, Error> {
        super::expect_memory()?;
        let ledger = Ledger::new(config.memory_limit);
        let attached = ledger.attach();
        let mut runtime = new_runtime()?;
        let link = Link::new(runtime.thread_safe_js_context());
        ledger.set_link(link.clone());
        let state = Box::new(State { link, ledger, current: RefCell::new(Current::none()) });
        let cx = runtime.cx();
        let usable = config.stack_size.saturating_sub(STACK_RESERVE);
        let max_bytes = u32::try_from(config.memory_limit).unwrap_or(u32::MAX);
        let first_collection = (config.memory_limit / FIRST_COLLECTION_SHARE / MIB).min(MAX_FIRST_COLLECTION) as u32;
        // SAFETY: the context is this thread's and no script has run in it yet. The state is boxed and outlives the
        // context. The job queue is deleted after the context has let go of it.
        let (realms, job_queue) = unsafe {
            JS_SetContextPrivate(cx.raw_cx(), &raw const *state as *mut _);
            JS_SetNativeStackQuota(cx, usable, usable - usable / 8, usable - usable / 4);
            JS_SetGCParameter(cx, JSGCParamKey::JSGC_MAX_BYTES, max_bytes.saturating_mul(2));
            JS_SetGCParameter(cx, JSGCParamKey::JSGC_MAX_NURSERY_BYTES, MAX_NURSERY);
            JS_SetGCParameter(cx, JSGCParamKey::JSGC_ALLOCATION_THRESHOLD, first_collection);
            JS_SetGCParameter(cx, JSGCParamKey::JSGC_MALLOC_THRESHOLD_BASE, first_collection);
            JS_SetGCParameter(cx, JSGCParamKey::JSGC_INCREMENTAL_GC_ENABLED, 0);
            JS_AddInterruptCallback(cx, Some(on_interrupt));
            JS_SetGCCallback(cx, Some(on_collection), std::ptr::null_mut());
            SetOutOfMemoryCallback(cx.raw_cx(), Some(on_out_of_memory), std::ptr::null_mut());
            mozjs::jsapi::SetWarningReporter(cx.raw_cx(), Some(ignore_warning));
            realm::configure_context(cx);
            let realms = Realms::new(cx).map_err(|_| no_realm())?;
            let queue = CreateJobQueue(&JOB_QUEUE_TRAPS);
            SetJobQueue(cx, queue as *mut _);
            (realms, queue)
        };
        let cache = Cache::new(config.memory_limit);
        Ok(Isolate {
            realms,
            cache,
            state,
            job_queue,
            executions_since_gc: 0,
            collections: 0,
            runtime,
            _attached: attached,
            _leaving: Leaving,
        })
    }

    /// The handle for other threads.
    pub(crate) fn link(&self) -> Arc<Link> {
        self.state.link.clone()
    }

    /// Bytes in use.
    pub(crate) fn memory(&self) -> u64 {
        self.state.ledger.used()
    }

    /// Runs one execution to its end.
    pub(crate) fn execute(&mut self, request: &Request, host: &dyn Host) -> Report {
        // SAFETY: only the lifetime is erased; the pointer is dropped below, before this function returns.
        let host = unsafe { std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host>>(NonNull::from(host)) };
        *self.state.current.borrow_mut() = Current::new(request.clone(), Some(host), thread_cpu_time());
        self.state.ledger.begin();
        self.state.link.begin(request.id, request.limits.max_pending_bytes);

        let result = catch_unwind(AssertUnwindSafe(|| self.run()));

        let killed = self.state.link.end();
        self.state.ledger.end();
        let mut condemned = None;
        let result = match result {
            Err(panic) => {
                condemned = Some(RecycleReason::Internal);
                Err(Error::Internal { message: crate::error::panic_message(&*panic) })
            }
            Ok(result) => match killed {
                Some(killed) => Err(self.state.kill_error(killed)),
                None => result,
            },
        };
        if condemned.is_none() && killed.is_some() {
            condemned = result.as_ref().err().and_then(RecycleReason::of).or(Some(RecycleReason::Internal));
        }
        let current = std::mem::replace(&mut *self.state.current.borrow_mut(), Current::none());
        let stats = current.stats(&self.state.ledger);
        drop(current);
        if condemned.is_none() {
            self.forget();
        }
        self.executions_since_gc += 1;
        Report { result, stats, condemned }
    }

    fn run(&mut self) -> Result<Value, Error> {
        let state = &*self.state;
        let cx = self.runtime.cx();
        let current = state.current.borrow();
        let request = &current.request;
        rooted!(&in(cx) let global = self.realms.take(cx, &request.limits)
            .map_err(|_| no_realm())?);
        let mut realm = AutoRealm::new_from_handle(cx, global.handle());
        let cx = &mut *realm;
        let result = Self::run_in_realm(cx, state, &mut self.cache, request);
        result.map_err(|stop| match stop {
            Stop::Error(error) => error,
            // Replaced by the error of the kill.
            Stop::Thrown if state.killed() => Error::Cancelled,
            Stop::Thrown => exception::take(cx, state),
        })
    }

    fn run_in_realm(cx: &mut JSContext, state: &State, cache: &mut Cache, request: &Request) -> Result<Value, Stop> {
        realm::install(cx, request)?;
        rooted!(&in(cx) let mut result = mozjs::jsval::UndefinedValue());
        script::evaluate(cx, state, cache, request, result.handle_mut())?;
        jobs::settle(cx, state, result.handle_mut())?;
        let budget = convert::Budget::new(&request.limits, request.max_message_size);
        match convert::to_value(cx, state, result.handle(), budget) {
            Ok((value, _room)) => Ok(value),
            Err(convert::Failure::Thrown) => Err(Stop::Thrown),
            Err(failure) => Err(Stop::Error(failure.into_result_error(request.max_message_size))),
        }
    }

    /// Leaves nothing of the last execution behind: jobs, a pending exception, objects kept for its turn.
    fn forget(&mut self) {
        let cx = self.runtime.cx();
        jobs::discard(cx);
        // SAFETY: plain calls on this thread's context.
        unsafe {
            JS_ClearPendingException(cx);
            mozjs::jsapi::ClearKeptObjects(cx.raw_cx());
        }
    }

    /// Collects garbage when enough has gathered, or when there is time; makes ready for the next execution, if that does
    /// not wait already.
    pub(crate) fn rest(&mut self, pause: Pause) {
        if self.rest_is_due(pause) {
            self.collect_garbage();
        }
        if pause != Pause::None {
            self.make_ready();
        }
    }

    /// Does now what the next execution would have to.
    pub(crate) fn make_ready(&mut self) {
        self.realms.make_ahead(self.runtime.cx());
    }

    /// Collects all garbage, forgets all sources, and gives what is free then back to the system. For a process that has
    /// this isolate alone.
    pub(crate) fn trim(&mut self) {
        self.collect_garbage();
        // It ends: the keeper is never gone.
        let _ = super::forget_sources().recv();
        super::trim::give_back();
    }

    /// Whether [`Isolate::rest`] would do anything.
    pub(crate) fn rest_is_due(&self, pause: Pause) -> bool {
        let due = if pause == Pause::Long { 1 } else { EXECUTIONS_PER_GC };
        self.executions_since_gc >= due || self.state.ledger.wants_collection()
    }

    fn collect_garbage(&mut self) {
        self.executions_since_gc = 0;
        self.state.ledger.collect_at_rest(self.runtime.cx());
        self.collections += 1;
        if self.collections.is_multiple_of(COLLECTIONS_PER_PURGE) {
            let _ = super::forget_sources();
        }
    }
}

impl Drop for Isolate {
    fn drop(&mut self) {
        self.state.link.leave();
        *self.state.current.borrow_mut() = Current::none();
        let cx = self.runtime.cx();
        jobs::discard(cx);
        // SAFETY: the context forgets the queue before the queue is deleted, and no script runs any more.
        unsafe {
            SetJobQueue(cx, std::ptr::null_mut());
            DeleteJobQueue(self.job_queue);
        }
    }
}

/// Called by the engine at its poll points after a request; false ends the script, uncatchably.
unsafe extern "C" fn on_interrupt(cx: *mut RawJSContext) -> bool {
    // SAFETY: the engine hands us this thread's live context, and we make one wrapper of it for this call.
    let mut cx = unsafe { JSContext::from_ptr(NonNull::new_unchecked(cx)) };
    let _host = super::memory::on(super::memory::Side::Host);
    let state = State::of(&cx);
    if state.killed() {
        return false;
    }
    state.ledger.on_interrupt(&mut cx);
    !state.killed()
}

/// Called by the engine before and after it collects the whole heap.
unsafe extern "C" fn on_collection(
    _cx: *mut RawJSContext,
    status: JSGCStatus,
    _reason: GCReason,
    _data: *mut std::ffi::c_void,
) {
    if let Some(ledger) = super::memory::current() {
        match status {
            JSGCStatus::JSGC_BEGIN => ledger.collection_starts(),
            JSGCStatus::JSGC_END => ledger.collection_ends(),
        }
    }
}

/// Called by the engine when an allocation was refused, before it throws: the execution ends here.
unsafe extern "C" fn on_out_of_memory(cx: *mut RawJSContext, _data: *mut std::ffi::c_void) {
    // SAFETY: as in `on_interrupt`.
    let cx = unsafe { JSContext::from_ptr(NonNull::new_unchecked(cx)) };
    State::of(&cx).ledger.refused();
}

/// Puts the process-wide hook for large requests that cannot be met; the engine tries again after it.
pub(super) fn install_large_allocation_callback() {
    // SAFETY: called once, before the first script runs.
    unsafe { mozjs::jsapi::JS::SetProcessLargeAllocationFailureCallback(Some(on_large_allocation_failure)) }
}

unsafe extern "C" fn on_large_allocation_failure() {
    let Some(cx) = Runtime::get() else { return };
    // SAFETY: this thread's live context, at a point where the engine may collect; one wrapper for this call.
    let mut cx = unsafe { JSContext::from_ptr(cx) };
    if let Some(ledger) = super::memory::current() {
        ledger.make_room(&mut cx);
    }
}

unsafe extern "C" fn ignore_warning(_cx: *mut RawJSContext, _report: *mut mozjs::jsapi::JSErrorReport) {}

/// The engine's own queue of jobs is emptied by `jobs`; it asks the embedder for nothing else.
static JOB_QUEUE_TRAPS: JobQueueTraps = JobQueueTraps {
    getHostDefinedData: Some(no_host_defined_data),
    getHostDefinedGlobal: Some(no_host_defined_global),
    runJobs: Some(run_no_jobs),
    traceNonGCThingMicroTask: Some(trace_nothing),
};

unsafe extern "C" fn no_host_defined_data(
    _cx: *mut RawJSContext,
    global: MutableHandleObject,
    data: MutableHandleObject,
) -> bool {
    global.set(std::ptr::null_mut());
    data.set(std::ptr::null_mut());
    true
}

unsafe extern "C" fn no_host_defined_global(_cx: *mut RawJSContext, data: MutableHandleObject) -> bool {
    data.set(std::ptr::null_mut());
    true
}

unsafe extern "C" fn run_no_jobs(_cx: *mut RawJSContext) {}

unsafe extern "C" fn trace_nothing(_tracer: *mut JSTracer, _value: *mut mozjs::jsapi::Value) {}
