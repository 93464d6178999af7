//! What is done later: `setTimeout`, `clearTimeout` and `queueMicrotask`.

use std::time::Duration;

use mozjs::context::JSContext;
use mozjs::gc::{Handle, RootedTraceableBox};
use mozjs::jsapi::{GetFunctionNativeReserved, HandleValueArray, Heap, JSObject};
use mozjs::jsval::UndefinedValue;
use mozjs::rooted;
use mozjs::rust::ToInt32;
use mozjs::rust::wrappers2::{
    AddPromiseReactions, CallOriginalPromiseResolve, JS_ClearPendingException, JS_GetPendingException,
};

use super::native::{argument, call, define_function, function, function_with, require_callable};
use super::thrown::{JsResult, Thrown, check};
use super::{exception, memory, object, timers};

pub(super) fn define_set_timeout(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"setTimeout", Some(set_timeout), 2)
}

pub(super) fn define_clear_timeout(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"clearTimeout", Some(clear_timeout), 1)
}

pub(super) fn define_queue_microtask(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"queueMicrotask", Some(queue_microtask), 1)
}

function!(set_timeout, |cx, state, args| {
    // SAFETY: used inside the call, here and below.
    require_callable(cx, unsafe { argument(args, 0) }, "setTimeout")?;
    // As in browsers: modulo 2 to the 32, and what is negative then is 0.
    // SAFETY: as above.
    let delay = memory::in_engine(|| unsafe { ToInt32(cx, argument(args, 1)) }).map_err(|()| Thrown)?;
    let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
    if state.current.borrow().timers.borrow().is_full() {
        return Err(exception::throw(cx, "RangeError", "setTimeout: too many timers are pending"));
    }
    rooted!(&in(cx) let call = match args.argc_ {
        0..=2 => args.get(0).to_object(),
        _ => timers::with_arguments(cx, args)?,
    });
    let id = state.current.borrow().timers.borrow_mut().set(delay, call.get())?;
    args.rval().set(object::number(id as f64));
    Ok(())
});

function!(clear_timeout, |cx, state, args| {
    // SAFETY: used inside the call.
    let id = unsafe { argument(args, 0) };
    // What is neither names no timer, and to make a number of it could run script, or throw.
    if id.get().is_number() || id.get().is_string() {
        // SAFETY: it is rooted.
        let id = unsafe { ToInt32(cx, id) }.map_err(|()| Thrown)?;
        if let Ok(id) = u64::try_from(id) {
            state.current.borrow().timers.borrow_mut().clear(id);
        }
    }
    args.rval().set(UndefinedValue());
    Ok(())
});

function!(queue_microtask, |cx, _state, args| {
    // SAFETY: used inside the call.
    let callback = unsafe { argument(args, 0) };
    require_callable(cx, callback, "queueMicrotask")?;
    rooted!(&in(cx) let undefined = UndefinedValue());
    // SAFETY: all is rooted, here and below.
    rooted!(&in(cx) let resolved = unsafe { CallOriginalPromiseResolve(cx, undefined.handle()) });
    if resolved.get().is_null() {
        return Err(Thrown);
    }
    rooted!(&in(cx) let run = function_with(cx, Some(run_microtask), c"", 1, callback)?);
    rooted!(&in(cx) let none = std::ptr::null_mut::<JSObject>());
    // SAFETY: as above.
    check(unsafe { AddPromiseReactions(cx, resolved.handle(), run.handle(), none.handle()) })?;
    args.rval().set(UndefinedValue());
    Ok(())
});

// Runs a microtask; its exception ends the execution, because no promise carries it on.
function!(run_microtask, |cx, state, args| {
    // SAFETY: slot 0 holds the callback.
    rooted!(&in(cx) let callback = unsafe { *GetFunctionNativeReserved(args.callee(), 0) });
    rooted!(&in(cx) let mut ignored = UndefinedValue());
    rooted!(&in(cx) let this = UndefinedValue());
    let called = call(cx, this.handle(), callback.handle(), HandleValueArray::empty(), ignored.handle_mut());
    if called.is_err() {
        rooted!(&in(cx) let mut exception = UndefinedValue());
        // SAFETY: `exception` is rooted.
        if state.killed() || !unsafe { JS_GetPendingException(cx, exception.handle_mut()) } {
            return Err(Thrown);
        }
        // SAFETY: a plain call.
        unsafe { JS_ClearPendingException(cx) };
        let root = RootedTraceableBox::new(Heap::default());
        root.set(exception.get());
        *state.current.borrow().uncaught.borrow_mut() = Some(root);
    }
    args.rval().set(UndefinedValue());
    Ok(())
});
