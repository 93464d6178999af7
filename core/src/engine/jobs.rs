//! The execution's event loop: promise jobs, timers, answers to tool calls, in this order, until the result has
//! settled or nothing can settle it any more.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use mozjs::context::JSContext;
use mozjs::gc::{Handle, MutableHandle, RootedTraceableBox};
use mozjs::glue::JS_GetPromiseResult;
use mozjs::jsapi::{
    ExceptionStackBehavior, GetExecutionGlobalFromJSMicroTask, HandleValueArray, Heap, JSObject, PromiseState,
    ToMaybeWrappedJSMicroTask,
};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::realm::AutoRealm;
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    ClearKeptObjects, DequeueNextRegularMicroTask, GetPromiseState, HasAnyMicroTasks, IsPromiseObject,
    JS_CallFunctionValue, JS_ClearPendingException, JS_SetPendingException, RunJSMicroTask,
};

use super::isolate::{JsResult, State, Stop, Thrown, check};
use super::{host, memory};
use crate::error::Error;

/// Timers of one execution at once; a flood of them would be memory that only the deadline ends.
const MAX_TIMERS: usize = 10_000;
/// The longest delay of a timer, as in browsers.
const MAX_DELAY_MS: f64 = 2_147_483_647.0;

/// The timers of one execution.
#[derive(Default)]
pub(super) struct Timers {
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    callbacks: HashMap<u32, Timer>,
    last_id: u32,
}

/// A callback with its arguments: the callback first.
type Timer = RootedTraceableBox<Vec<Heap<JSVal>>>;

impl Timers {
    /// Sets a timer; none if there are too many.
    pub(super) fn set(&mut self, delay_ms: f64, call: Vec<JSVal>) -> Option<u32> {
        if self.callbacks.len() >= MAX_TIMERS {
            return None;
        }
        // NaN and negative delays are 0.
        let delay = Duration::from_secs_f64(delay_ms.clamp(0.0, MAX_DELAY_MS).max(0.0) / 1000.0);
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let boxed = RootedTraceableBox::new(call.iter().map(|_| Heap::default()).collect::<Vec<Heap<JSVal>>>());
        for (slot, value) in boxed.iter().zip(call) {
            slot.set(value);
        }
        self.due.push(Reverse((Instant::now() + delay, self.last_id)));
        self.callbacks.insert(self.last_id, boxed);
        Some(self.last_id)
    }

    pub(super) fn clear(&mut self, id: u32) {
        self.callbacks.remove(&id);
        // Cleared timers stay in the heap until they are due, unless they outnumber the live ones.
        if self.due.len() > 2 * self.callbacks.len() + 16 {
            self.due.retain(|Reverse((_, id))| self.callbacks.contains_key(id));
        }
    }

    /// When the next timer is due.
    fn next_due(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, id))) = self.due.peek() {
            if self.callbacks.contains_key(id) {
                return Some(*at);
            }
            self.due.pop();
        }
        None
    }

    fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((_, id)) = self.due.pop()?;
        self.callbacks.remove(&id)
    }
}

/// Runs the event loop until `result` is no promise, or a settled one, and puts what it settled to in its place.
/// A rejection becomes the pending exception.
pub(super) fn settle(cx: &mut JSContext, state: &State, mut result: MutableHandle<JSVal>) -> Result<(), Stop> {
    run_microtasks(cx, state)?;
    rooted!(&in(cx) let promise = if result.get().is_object() { result.get().to_object() } else { std::ptr::null_mut() });
    // SAFETY: `promise` is rooted and not null where it is looked at.
    if promise.is_null() || !unsafe { IsPromiseObject(promise.handle()) } {
        return Ok(());
    }
    loop {
        if state.killed() {
            return Err(Stop::Thrown);
        }
        // SAFETY: `promise` is a rooted promise.
        match unsafe { GetPromiseState(promise.handle()) } {
            PromiseState::Pending => {}
            PromiseState::Fulfilled => {
                // SAFETY: as above.
                unsafe { JS_GetPromiseResult(promise.handle().into(), result.reborrow().into()) };
                return Ok(());
            }
            PromiseState::Rejected => {
                // SAFETY: as above.
                unsafe {
                    JS_GetPromiseResult(promise.handle().into(), result.reborrow().into());
                    JS_SetPendingException(cx, result.handle(), ExceptionStackBehavior::DoNotCapture);
                }
                return Err(Stop::Thrown);
            }
        }
        turn(cx, state)?;
    }
}

/// One turn: answers that have come, else a timer that is due, else sleep until there is one of them.
fn turn(cx: &mut JSContext, state: &State) -> Result<(), Stop> {
    let current = state.current.borrow();
    if !current.pending_tool_calls.borrow().is_empty()
        && let Some(host) = current.host()
    {
        host.receive(Some(Instant::now()));
    }
    let answers = state.link.take_answers();
    if !answers.is_empty() {
        for answer in answers {
            host::settle_tool_call(cx, state, answer)?;
            run_microtasks(cx, state)?;
        }
        return Ok(());
    }
    let timer = current.timers.borrow_mut().take_due(Instant::now());
    if let Some(timer) = timer {
        run_timer(cx, timer)?;
        run_microtasks(cx, state)?;
        return Ok(());
    }
    let next_timer = current.timers.borrow_mut().next_due();
    if next_timer.is_none() && current.pending_tool_calls.borrow().is_empty() {
        return Err(Error::Unsettled.into());
    }
    if !current.host().is_some_and(|host| host.receive(next_timer)) {
        state.link.wait(next_timer);
    }
    Ok(())
}

fn run_timer(cx: &mut JSContext, timer: Timer) -> JsResult<()> {
    rooted!(&in(cx) let callback = timer[0].get());
    rooted!(&in(cx) let args = timer[1..].iter().map(|value| value.get()).collect::<Vec<JSVal>>());
    rooted!(&in(cx) let mut ignored = UndefinedValue());
    call(cx, callback.handle(), HandleValueArray::from(&args), ignored.handle_mut())
}

/// Calls a function with an undefined `this`.
pub(super) fn call(
    cx: &mut JSContext,
    function: Handle<JSVal>,
    args: HandleValueArray,
    result: MutableHandle<JSVal>,
) -> JsResult<()> {
    rooted!(&in(cx) let this = std::ptr::null_mut::<JSObject>());
    // SAFETY: everything is rooted by this function or its caller.
    check(memory::in_engine(|| unsafe { JS_CallFunctionValue(cx, this.handle(), function, &args, result) }))
}

/// Runs promise jobs until none is left. An exception that came out of one where nobody can catch it becomes the
/// pending exception.
pub(super) fn run_microtasks(cx: &mut JSContext, state: &State) -> JsResult<()> {
    rooted!(&in(cx) let mut task = UndefinedValue());
    rooted!(&in(cx) let mut job = std::ptr::null_mut::<JSObject>());
    // SAFETY: what is dequeued is rooted before the engine runs again.
    unsafe {
        while HasAnyMicroTasks(cx) {
            if state.killed() {
                return Err(Thrown);
            }
            task.set(DequeueNextRegularMicroTask(cx));
            job.set(ToMaybeWrappedJSMicroTask(task.as_ptr()));
            let Some(global) =
                NonNull::new(job.get()).and_then(|job| NonNull::new(GetExecutionGlobalFromJSMicroTask(job.as_ptr())))
            else {
                continue;
            };
            let ran = memory::in_engine(|| RunJSMicroTask(&mut AutoRealm::new(cx, global), job.handle()));
            if !ran {
                if state.killed() {
                    return Err(Thrown);
                }
                JS_ClearPendingException(cx);
            }
            let uncaught = state.current.borrow().uncaught.borrow_mut().take();
            if let Some(exception) = uncaught {
                JS_SetPendingException(cx, exception.handle(), ExceptionStackBehavior::DoNotCapture);
                return Err(Thrown);
            }
        }
        ClearKeptObjects(cx);
    }
    Ok(())
}

/// Throws away the jobs that are left.
pub(super) fn discard(cx: &mut JSContext) {
    // SAFETY: plain calls on this thread's context; what is dequeued is not looked at.
    unsafe {
        while HasAnyMicroTasks(cx) {
            DequeueNextRegularMicroTask(cx);
        }
    }
}
