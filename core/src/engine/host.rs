//! What script can ask of its host: `callTool`, the methods of `tools`, timers and microtasks, each inside its budget.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::{Handle, RootedTraceableBox};
use mozjs::jsapi::{
    CallArgs, GetFunctionNativeReserved, HandleValueArray, Heap, IsCallable, JS_GetFunctionObject, JSFunction,
    JSNative, JSObject, NewFunctionWithReserved, SetFunctionNativeReserved,
};
use mozjs::jsval::{JSVal, ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    AddPromiseReactions, CallOriginalPromiseResolve, JS_ClearPendingException, JS_DefineFunction, JS_FreezeObject,
    JS_GetPendingException, JS_NewPlainObject, NewPromiseObject, RejectPromise, ReportUncatchableException,
    ResolvePromise,
};

use super::convert::{self, Budget, Failure};
use super::interrupt::{Answer, Reply};
use super::state::{Current, State};
use super::thrown::{JsResult, Thrown, check};
use super::{exception, jobs, memory, object, text, timers};
use crate::error::{Error, LimitUnit, Message};
use crate::execution::{ToolCall, ToolError, ToolReply};
use crate::pending;

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

/// An argument, or undefined.
///
/// # Safety
///
/// The handle must not outlive the call that the arguments belong to.
pub(super) unsafe fn argument<'a>(args: &CallArgs, index: u32) -> Handle<'a, JSVal> {
    // SAFETY: the engine keeps arguments rooted during the call.
    unsafe { Handle::from_raw(args.get(index)) }
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

fn require_callable(cx: &mut JSContext, value: Handle<JSVal>, what: &str) -> JsResult<()> {
    // SAFETY: the value is rooted.
    if value.get().is_object() && unsafe { IsCallable(value.get().to_object()) } {
        return Ok(());
    }
    Err(exception::throw(cx, "TypeError", &format!("{what}: the first argument must be a function")))
}

pub(super) fn define_call_tool(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"callTool", Some(call_tool), 2)
}

pub(super) fn define_set_timeout(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"setTimeout", Some(set_timeout), 2)
}

pub(super) fn define_clear_timeout(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"clearTimeout", Some(clear_timeout), 1)
}

pub(super) fn define_queue_microtask(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"queueMicrotask", Some(queue_microtask), 1)
}

/// The frozen object `tools`: a method for every registered tool.
pub(super) fn define_tools(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    let tools = State::of(cx).current.borrow().request.tools.clone();
    // SAFETY: all that is made is rooted before the next call.
    unsafe {
        rooted!(&in(cx) let object = JS_NewPlainObject(cx));
        if object.get().is_null() {
            return Err(Thrown);
        }
        for name in tools.iter() {
            rooted!(&in(cx) let slot = StringValue(&*text::to_js(cx, name)?));
            rooted!(&in(cx) let method = function_with(cx, Some(call_named_tool), &text::c_string(name), 1, slot.handle())?);
            rooted!(&in(cx) let method = ObjectValue(method.get()));
            object::define(cx, object.handle(), name, method.handle())?;
        }
        check(JS_FreezeObject(cx, object.handle()))?;
        rooted!(&in(cx) let value = ObjectValue(object.get()));
        object::define_with(cx, global, "tools", value.handle(), 0)
    }
}

unsafe extern "C" fn call_tool(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine.
    unsafe {
        native(cx, argc, vp, |cx, state, args| {
            let name = argument(args, 0);
            if !name.get().is_string() {
                return Err(exception::throw(
                    cx,
                    "TypeError",
                    "callTool: the first argument must be the tool's name, a string",
                ));
            }
            rooted!(&in(cx) let name = name.get().to_string());
            // Longer than any name may be, so that the text need not be copied.
            let name =
                if text::length(name.handle()) > 1024 { "…".into() } else { text::to_rust(cx, name.handle())? };
            start_tool_call(cx, state, name, argument(args, 1), args)
        })
    }
}

unsafe extern "C" fn call_named_tool(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine; slot 0 holds the name.
    unsafe {
        native(cx, argc, vp, |cx, state, args| {
            rooted!(&in(cx) let name = (*GetFunctionNativeReserved(args.callee(), 0)).to_string());
            let name = text::to_rust(cx, name.handle())?;
            start_tool_call(cx, state, name, argument(args, 0), args)
        })
    }
}

/// Sends a tool call to the host and gives script the promise of its answer.
fn start_tool_call(
    cx: &mut JSContext,
    state: &State,
    name: String,
    argument: Handle<JSVal>,
    args: &CallArgs,
) -> JsResult<()> {
    let current = state.current.borrow();
    if !crate::execution::is_tool_name(&name) {
        let message = format!(
            "callTool: {name:?} is no tool name; accepted are letters, digits and _ : . - after a letter or _, up to 256"
        );
        return Err(exception::throw(cx, "TypeError", &message));
    }
    let limits = &current.request.limits;
    if current.tool_calls.get() >= limits.max_tool_calls {
        let limit = limits.max_tool_calls.into();
        return Err(state.kill(Error::ToolCallLimit { limit, unit: LimitUnit::ToolCalls, used: limit + 1 }));
    }
    check_pending(state, &current)?;
    send_message(state, &current)?;
    // Taken here: reading the argument may run a getter that calls another tool.
    let call_id = u64::from(current.tool_calls.get()) + 1;
    current.tool_calls.set(current.tool_calls.get() + 1);

    let budget = Budget::new(limits, current.request.max_message_size);
    let (value, room) = match convert::to_value(cx, state, argument, budget) {
        Ok(copied) => copied,
        Err(Failure::Thrown) => return Err(Thrown),
        Err(Failure::TooLarge) => return Err(throw_too_large(cx, state, Message::ToolArgument)),
        Err(Failure::NotTransferable { path, reason }) => {
            let message = format!("callTool: {} {reason}", Failure::describe(&path, "args"));
            return Err(exception::throw(cx, "TypeError", &message));
        }
    };

    rooted!(&in(cx) let no_executor = std::ptr::null_mut::<JSObject>());
    // SAFETY: a null executor makes a promise that only its maker settles.
    rooted!(&in(cx) let promise = unsafe { NewPromiseObject(cx, no_executor.handle()) });
    if promise.get().is_null() {
        return Err(Thrown);
    }
    check_pending(state, &current)?;
    let bytes = pending::of_call(&name, &value);
    state.link.call(bytes).map_err(|error| state.kill(error))?;
    // The argument counts until it is answered: the host has it so long.
    current.pending_tool_calls.borrow_mut().insert(call_id, promise.get(), room)?;
    args.rval().set(ObjectValue(promise.get()));

    let execution_id = current.request.id;
    let link = state.link.clone();
    let (max_size, max_depth) = (current.request.max_message_size, limits.max_value_depth);
    let reply = ToolReply::new(move |result| {
        let reply = Reply::new(result, max_size, max_depth);
        link.answer(execution_id, bytes, Answer { call_id, reply });
    });
    if let Some(host) = current.host() {
        host.tool_call(ToolCall { execution_id, name, args: value, reply });
    }
    Ok(())
}

/// Ends the execution if as many tool calls wait as may.
fn check_pending(state: &State, current: &Current) -> JsResult<()> {
    let pending = current.pending_tool_calls.borrow().len();
    if pending >= current.request.max_pending_tool_calls as usize {
        let limit = current.request.max_pending_tool_calls.into();
        return Err(state.kill(Error::ToolCallLimit { limit, unit: LimitUnit::PendingToolCalls, used: limit + 1 }));
    }
    Ok(())
}

/// Takes a message from the execution's budget of messages per second.
pub(super) fn send_message(state: &State, current: &Current) -> JsResult<()> {
    if current.bucket.borrow_mut().take(Instant::now()) {
        return Ok(());
    }
    Err(state.kill(Error::MessageFlood { limit: current.request.max_messages_per_second }))
}

/// Throws the error of a message over `max_message_size`, which script may catch; if it does not, the execution ends
/// with MESSAGE_TOO_LARGE.
pub(super) fn throw_too_large(cx: &mut JSContext, state: &State, what: Message) -> Thrown {
    rooted!(&in(cx) let mut error = UndefinedValue());
    if make_too_large(cx, state, what, error.handle_mut()).is_ok() {
        use mozjs::jsapi::ExceptionStackBehavior::Capture;
        // SAFETY: `error` is rooted.
        unsafe { mozjs::rust::wrappers2::JS_SetPendingException(cx, error.handle(), Capture) }
    }
    Thrown
}

fn make_too_large(
    cx: &mut JSContext,
    state: &State,
    what: Message,
    mut error: mozjs::gc::MutableHandle<JSVal>,
) -> JsResult<()> {
    let current = state.current.borrow();
    let message = Error::MessageTooLarge { what, limit: current.request.max_message_size }.to_string();
    exception::make(cx, "RangeError", &message, Some("MESSAGE_TOO_LARGE"), error.reborrow())?;
    let root = RootedTraceableBox::new(Heap::default());
    root.set(error.get().to_object());
    *current.too_large.borrow_mut() = Some((root, what));
    Ok(())
}

/// Settles the promise of a tool call with its answer.
pub(super) fn settle_tool_call(cx: &mut JSContext, state: &State, answer: Answer) -> JsResult<()> {
    let current = state.current.borrow();
    let Some(promise) = current.pending_tool_calls.borrow_mut().remove(answer.call_id) else {
        return Ok(());
    };
    rooted!(&in(cx) let promise = promise);
    rooted!(&in(cx) let mut value = UndefinedValue());
    let fulfilled = match &answer.reply {
        Reply::Value(reply) => {
            convert::from_value(cx, reply, value.handle_mut())?;
            true
        }
        Reply::TooLarge => {
            make_too_large(cx, state, Message::ToolReply, value.handle_mut())?;
            false
        }
        Reply::TooDeep => {
            let max_depth = current.request.limits.max_value_depth;
            let message = format!("the tool's reply is nested deeper than max_value_depth, {max_depth}");
            exception::make(cx, "RangeError", &message, None, value.handle_mut())?;
            false
        }
        Reply::Error(ToolError { name, message, code }) => {
            exception::make(cx, name, message, code.as_deref(), value.handle_mut())?;
            false
        }
    };
    // Resolving looks for a method `then`, which script may have put on a prototype.
    // SAFETY: `promise` is our own promise and rooted, as is the value.
    check(memory::in_engine(|| unsafe {
        if fulfilled {
            ResolvePromise(cx, promise.handle(), value.handle())
        } else {
            RejectPromise(cx, promise.handle(), value.handle())
        }
    }))
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
            let called =
                jobs::call(cx, this.handle(), callback.handle(), HandleValueArray::empty(), ignored.handle_mut());
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
