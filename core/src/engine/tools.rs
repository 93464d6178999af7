//! Tool calls: `callTool` and the methods of `tools`, and what becomes of the answers.

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{CallArgs, GetFunctionNativeReserved, JSObject};
use mozjs::jsval::{JSVal, ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{JS_FreezeObject, JS_NewPlainObject, NewPromiseObject, RejectPromise, ResolvePromise};

use super::convert::{self, Budget, Failure};
use super::interrupt::{Answer, Reply};
use super::message::{make_too_large, send_message, throw_too_large};
use super::native::{argument, define_function, function, function_with};
use super::state::{Current, State};
use super::thrown::{JsResult, Thrown, check};
use super::{exception, memory, object, text};
use crate::error::{Error, LimitUnit, Message};
use crate::execution::{ToolCall, ToolError, ToolReply};
use crate::pending;

pub(super) fn define_call_tool(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"callTool", Some(call_tool), 2)
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

function!(call_tool, |cx, state, args| {
    // SAFETY: used inside the call, here and below.
    let name = unsafe { argument(args, 0) };
    if !name.get().is_string() {
        return Err(exception::throw(
            cx,
            "TypeError",
            "callTool: the first argument must be the tool's name, a string",
        ));
    }
    rooted!(&in(cx) let name = name.get().to_string());
    // Longer than any name may be, so that the text need not be copied.
    let name = if text::length(name.handle()) > 1024 { "…".into() } else { text::to_rust(cx, name.handle())? };
    // SAFETY: as above.
    start_tool_call(cx, state, name, unsafe { argument(args, 1) }, args)
});

function!(call_named_tool, |cx, state, args| {
    // SAFETY: slot 0 holds the name.
    rooted!(&in(cx) let name = unsafe { *GetFunctionNativeReserved(args.callee(), 0) }.to_string());
    let name = text::to_rust(cx, name.handle())?;
    // SAFETY: used inside the call.
    start_tool_call(cx, state, name, unsafe { argument(args, 0) }, args)
});

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
