//! How native functions are made, and how they are called: what all that script can call of ours stands on.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::{Handle, MutableHandle};
use mozjs::jsapi::{
    CallArgs, HandleValueArray, IsCallable, JS_GetFunctionObject, JSClass, JSFunction, JSNative, JSObject, JSString,
    NewFunctionWithReserved, SetFunctionNativeReserved,
};
use mozjs::jsval::JSVal;
use mozjs::rooted;
use mozjs::rust::ToString;
use mozjs::rust::wrappers2::{Call, JS_DefineFunction, ReportUncatchableException};

use super::state::State;
use super::thrown::{JsResult, Thrown, check};
use super::{exception, memory, text};
use crate::error::Error;

/// Runs the body of a function that script calls: nothing once the execution is being ended, and no panic gets out.
///
/// # Safety
///
/// The arguments must be those that the engine gave to the calling native function.
pub(super) unsafe fn native(
    cx: *mut RawJSContext,
    argc: u32,
    vp: *mut JSVal,
    body: impl FnOnce(&mut JSContext, &State, &CallArgs) -> JsResult<()>,
) -> bool {
    // SAFETY: by the contract of this function; one wrapper is made for this call.
    let (mut cx, args) = unsafe { (JSContext::from_ptr(NonNull::new_unchecked(cx)), CallArgs::from_vp(vp, argc)) };
    let state = State::of(&cx);
    let _host = memory::on(memory::Side::Host);
    let done = !state.killed()
        && match catch_unwind(AssertUnwindSafe(|| body(&mut cx, state, &args))) {
            Ok(result) => result.is_ok(),
            Err(panic) => {
                state.kill(Error::Internal { message: crate::error::panic_message(&*panic) });
                false
            }
        };
    if state.killed() {
        // Also drops an exception, which script could catch.
        // SAFETY: a plain call on this thread's context.
        unsafe { ReportUncatchableException(&cx) };
        return false;
    }
    done
}

/// Defines a function that script can call: `native` around a body with context, state and arguments.
macro_rules! function {
    ($name:ident, $body:expr) => {
        unsafe extern "C" fn $name(
            cx: *mut mozjs::context::RawJSContext,
            argc: u32,
            vp: *mut mozjs::jsval::JSVal,
        ) -> bool {
            type Body = fn(
                &mut mozjs::context::JSContext,
                &$crate::engine::state::State,
                &mozjs::jsapi::CallArgs,
            ) -> $crate::engine::thrown::JsResult<()>;
            let body: Body = $body;
            // SAFETY: called by the engine with its own arguments.
            unsafe { $crate::engine::native::native(cx, argc, vp, body) }
        }
    };
}
pub(super) use function;

/// An argument, or undefined.
///
/// # Safety
///
/// The handle must not outlive the call that the arguments belong to.
pub(super) unsafe fn argument<'a>(args: &CallArgs, index: u32) -> Handle<'a, JSVal> {
    // SAFETY: the engine keeps arguments rooted during the call.
    unsafe { Handle::from_raw(args.get(index)) }
}

/// The text of an argument; `name` is whose it is.
pub(super) fn argument_text(cx: &mut JSContext, args: &CallArgs, index: u32, name: &str) -> JsResult<*mut JSString> {
    if args.argc_ <= index {
        return Err(exception::throw(cx, "TypeError", &format!("{name}: an argument is required")));
    }
    // SAFETY: the engine keeps the argument rooted.
    let string = memory::in_engine(|| unsafe { ToString(cx, argument(args, index)) });
    if string.is_null() { Err(Thrown) } else { Ok(string) }
}

/// The text of an argument that may be left out.
pub(super) fn optional_text(
    cx: &mut JSContext,
    args: &CallArgs,
    index: u32,
) -> JsResult<Option<(memory::Reserved, String)>> {
    // SAFETY: used inside the call.
    if unsafe { argument(args, index) }.get().is_undefined() {
        return Ok(None);
    }
    rooted!(&in(cx) let string = argument_text(cx, args, index, "")?);
    let room = memory::reserve(text::room(string.handle()))?;
    Ok(Some((room, text::to_rust(cx, string.handle())?)))
}

/// Throws if a class was called as a function.
pub(super) fn require_new(cx: &mut JSContext, args: &CallArgs, name: &str) -> JsResult<()> {
    match args.constructing_() {
        true => Ok(()),
        false => Err(exception::throw(cx, "TypeError", &format!("{name} must be called with new"))),
    }
}

/// Defines a function on the global.
pub(super) fn define_function(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    name: &'static CStr,
    function: JSNative,
    arguments: u32,
) -> JsResult<()> {
    // SAFETY: `object` is rooted, the name is static.
    let made = unsafe { JS_DefineFunction(cx, object, name.as_ptr(), function, arguments, 0) };
    if made.is_null() { Err(Thrown) } else { Ok(()) }
}

/// A function with a value in its reserved slot 0.
pub(super) fn function_with(
    cx: &mut JSContext,
    native: JSNative,
    name: &CStr,
    arguments: u32,
    slot: Handle<JSVal>,
) -> JsResult<*mut JSObject> {
    // SAFETY: the slot is rooted; the function is used before the next call that could collect it.
    unsafe {
        let function: *mut JSFunction = NewFunctionWithReserved(cx.raw_cx(), native, arguments, 0, name.as_ptr());
        if function.is_null() {
            return Err(Thrown);
        }
        let object = JS_GetFunctionObject(function);
        SetFunctionNativeReserved(object, 0, &slot.get());
        Ok(object)
    }
}

pub(super) fn require_callable(cx: &mut JSContext, value: Handle<JSVal>, what: &str) -> JsResult<()> {
    // SAFETY: the value is rooted.
    if value.get().is_object() && unsafe { IsCallable(value.get().to_object()) } {
        return Ok(());
    }
    Err(exception::throw(cx, "TypeError", &format!("{what}: the first argument must be a function")))
}

/// Calls a function.
pub(super) fn call(
    cx: &mut JSContext,
    this: Handle<JSVal>,
    function: Handle<JSVal>,
    args: HandleValueArray,
    result: MutableHandle<JSVal>,
) -> JsResult<()> {
    // SAFETY: everything is rooted by the caller.
    check(memory::in_engine(|| unsafe { Call(cx, this, function, &args, result) }))
}

/// A class as a static.
pub(super) struct StaticClass(pub JSClass);

// SAFETY: the pointers in these classes are to statics, and the engine only reads them.
unsafe impl Sync for StaticClass {}
