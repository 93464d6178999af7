//! The execution's event loop: promise jobs, timers, answers to tool calls, in this order, until the result has
//! settled or nothing can settle it any more.

use std::ptr::NonNull;
use std::time::Instant;

use mozjs::context::JSContext;
use mozjs::gc::{Handle, MutableHandle};
use mozjs::glue::JS_GetPromiseResult;
use mozjs::jsapi::{
    ExceptionStackBehavior, GetExecutionGlobalFromJSMicroTask, HandleValueArray, IsCallable, JSObject, PromiseState,
    ToMaybeWrappedJSMicroTask,
};
use mozjs::jsval::{JSVal, ObjectValue, UndefinedValue};
use mozjs::realm::AutoRealm;
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    ClearKeptObjects, CurrentGlobalOrNull, DequeueNextRegularMicroTask, GetArrayLength, GetPromiseState,
    HasAnyMicroTasks, IsPromiseObject, JS_ClearPendingException, JS_GetElement, JS_SetPendingException, RunJSMicroTask,
};

use super::memory::Reserved;
use super::state::{State, Stop};
use super::thrown::{JsResult, Thrown, check};
use super::timers::FIRST_ARGUMENT;
use super::{memory, native, tools};
use crate::error::Error;

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
    let answers = state.link.answers_waiting();
    if answers > 0 {
        // One by one: those that are left are still held for the execution.
        for answer in (0..answers).map_while(|_| state.link.take_answer()) {
            if state.killed() {
                return Err(Stop::Thrown);
            }
            tools::settle_tool_call(cx, state, answer)?;
            run_microtasks(cx, state)?;
        }
        return Ok(());
    }
    let due = current.timers.borrow_mut().take_due(Instant::now());
    if let Some(due) = due {
        rooted!(&in(cx) let due = due);
        run_timer(cx, state, due.handle())?;
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

fn run_timer(cx: &mut JSContext, state: &State, due: Handle<*mut JSObject>) -> JsResult<()> {
    // SAFETY: a plain call inside a realm; rooted at once.
    rooted!(&in(cx) let this = ObjectValue(unsafe { CurrentGlobalOrNull(cx) }));
    rooted!(&in(cx) let mut callback = ObjectValue(due.get()));
    rooted!(&in(cx) let mut args = Vec::<JSVal>::new());
    let mut room = Reserved::default();
    // SAFETY: `due` is rooted. What no script can call is our own array.
    if !unsafe { IsCallable(due.get()) } {
        let mut length = 0;
        // SAFETY: `due` is our own array and rooted, as is `callback`.
        check(unsafe { GetArrayLength(cx, due, &mut length) && JS_GetElement(cx, due, 0, callback.handle_mut()) })?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        room.grow(length as usize * size_of::<JSVal>())?;
        args.as_mut_ref(cx).reserve_exact(length as usize);
        for index in FIRST_ARGUMENT..length {
            if state.killed() {
                return Err(Thrown);
            }
            // SAFETY: as above.
            check(unsafe { JS_GetElement(cx, due, index, item.handle_mut()) })?;
            args.as_mut_ref(cx).push(item.get());
        }
    }
    rooted!(&in(cx) let mut ignored = UndefinedValue());
    native::call(cx, this.handle(), callback.handle(), HandleValueArray::from(&args), ignored.handle_mut())
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
