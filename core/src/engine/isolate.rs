//! [`Isolate`]: one runtime on this thread, which runs executions one after the other, each in a realm of its own.
//!
//! What belongs to the running execution (budgets, timers, pending tool calls) is its [`Current`], made anew for each
//! and dropped before the runtime. Native functions find it through the context's private pointer.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::glue::{CreateJobQueue, DeleteJobQueue, JobQueueTraps};
use mozjs::jsapi::{
    GCReason, JS_SetContextPrivate, JSGCParamKey, JSGCStatus, JSTracer, MutableHandleObject, SetOutOfMemoryCallback,
};
use mozjs::realm::AutoRealm;
use mozjs::rooted;
use mozjs::rust::Runtime;
use mozjs::rust::wrappers2::{
    JS_AddInterruptCallback, JS_ClearPendingException, JS_SetGCCallback, JS_SetGCParameter, JS_SetNativeStackQuota,
    SetJobQueue,
};

use super::cache::Cache;
use super::interrupt::{Link, thread_cpu_time};
use super::realm::{self, Realms};
use super::state::{Current, State, Stop};
use super::{convert, exception, jobs, keeper, memory, script, trim};
use crate::contract::{Host, Pause, RecycleReason, Report, Request};
use crate::error::Error;
use crate::value::Value;
use memory::{Attached, Ledger};

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
        let _ = keeper::forget_sources();
    }
}

fn no_realm() -> Error {
    Error::WorkerStartup { cause: keeper::no_memory("a realm could not be made") }
}

impl Isolate {
    /// Makes a runtime on this thread.
    pub(crate) fn new(config: IsolateConfig) -> Result<Isolate, Error> {
        keeper::expect_memory()?;
        let ledger = Ledger::new(config.memory_limit);
        let attached = ledger.attach();
        let mut runtime = keeper::new_runtime()?;
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
        let _ = keeper::forget_sources().recv();
        trim::give_back();
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
            let _ = keeper::forget_sources();
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
    let _host = memory::on(memory::Side::Host);
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
    if let Some(ledger) = memory::current() {
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
