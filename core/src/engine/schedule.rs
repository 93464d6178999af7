//! What is done later: `setTimeout`, `clearTimeout` and `queueMicrotask`.

use std::time::Duration;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::{Handle, RootedTraceableBox};
use mozjs::jsapi::{GetFunctionNativeReserved, HandleValueArray, Heap, JSObject};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    AddPromiseReactions, CallOriginalPromiseResolve, JS_ClearPendingException, JS_GetPendingException,
};

use super::native::{argument, call, define_function, function_with, native, require_callable};
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

unsafe extern "C" fn set_timeout(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine.
    unsafe {
        native(cx, argc, vp, |cx, state, args| {
            require_callable(cx, argument(args, 0), "setTimeout")?;
            // As in browsers: modulo 2 to the 32, and what is negative then is 0.
            let delay = memory::in_engine(|| mozjs::rust::ToInt32(cx, argument(args, 1))).map_err(|()| Thrown)?;
            let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
            if state.current.borrow().timers.borrow().is_full() {
                return Err(exception::throw(cx, "RangeError", "setTimeout: too many timers are pending"));
            }
            rooted!(&in(cx) let call = match argc {
                0..=2 => args.get(0).to_object(),
                _ => timers::with_arguments(cx, args)?,
            });
            let id = state.current.borrow().timers.borrow_mut().set(delay, call.get())?;
            args.rval().set(object::number(id as f64));
            Ok(())
        })
    }
}

unsafe extern "C" fn clear_timeout(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine.
    unsafe {
        native(cx, argc, vp, |cx, state, args| {
            let id = argument(args, 0);
            // What is neither names no timer, and to make a number of it could run script, or throw.
            if id.get().is_number() || id.get().is_string() {
                let id = mozjs::rust::ToInt32(cx, id).map_err(|()| Thrown)?;
                if let Ok(id) = u64::try_from(id) {
                    state.current.borrow().timers.borrow_mut().clear(id);
                }
            }
            args.rval().set(UndefinedValue());
            Ok(())
        })
    }
}

unsafe extern "C" fn queue_microtask(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine; all that is made is rooted before the next call.
    unsafe {
        native(cx, argc, vp, |cx, _state, args| {
            let callback = argument(args, 0);
            require_callable(cx, callback, "queueMicrotask")?;
            rooted!(&in(cx) let undefined = UndefinedValue());
            rooted!(&in(cx) let resolved = CallOriginalPromiseResolve(cx, undefined.handle()));
            if resolved.get().is_null() {
                return Err(Thrown);
            }
            rooted!(&in(cx) let run = function_with(cx, Some(run_microtask), c"", 1, callback)?);
            rooted!(&in(cx) let none = std::ptr::null_mut::<JSObject>());
            check(AddPromiseReactions(cx, resolved.handle(), run.handle(), none.handle()))?;
            args.rval().set(UndefinedValue());
            Ok(())
        })
    }
}

/// Runs a microtask; its exception ends the execution, because no promise carries it on.
unsafe extern "C" fn run_microtask(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine; slot 0 holds the callback.
    unsafe {
        native(cx, argc, vp, |cx, state, args| {
            rooted!(&in(cx) let callback = *GetFunctionNativeReserved(args.callee(), 0));
            rooted!(&in(cx) let mut ignored = UndefinedValue());
            rooted!(&in(cx) let this = UndefinedValue());
            let called = call(cx, this.handle(), callback.handle(), HandleValueArray::empty(), ignored.handle_mut());
            if called.is_err() {
                rooted!(&in(cx) let mut exception = UndefinedValue());
                if state.killed() || !JS_GetPendingException(cx, exception.handle_mut()) {
                    return Err(Thrown);
                }
                JS_ClearPendingException(cx);
                let root = RootedTraceableBox::new(Heap::default());
                root.set(exception.get());
                *state.current.borrow().uncaught.borrow_mut() = Some(root);
            }
            args.rval().set(UndefinedValue());
            Ok(())
        })
    }
}
