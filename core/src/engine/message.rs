//! Messages to the host, of tool calls and console lines: how many there may be, and how large.

use std::time::Instant;

use mozjs::context::JSContext;
use mozjs::gc::{MutableHandle, RootedTraceableBox};
use mozjs::jsapi::{ExceptionStackBehavior, Heap};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::JS_SetPendingException;

use super::exception;
use super::state::{Current, State};
use super::thrown::{JsResult, Thrown};
use crate::error::{Error, Message};

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
        // SAFETY: `error` is rooted.
        unsafe { JS_SetPendingException(cx, error.handle(), ExceptionStackBehavior::Capture) }
    }
    Thrown
}

pub(super) fn make_too_large(
    cx: &mut JSContext,
    state: &State,
    what: Message,
    mut error: MutableHandle<JSVal>,
) -> JsResult<()> {
    let current = state.current.borrow();
    let message = Error::MessageTooLarge { what, limit: current.request.max_message_size }.to_string();
    exception::make(cx, "RangeError", &message, Some("MESSAGE_TOO_LARGE"), error.reborrow())?;
    let root = RootedTraceableBox::new(Heap::default());
    root.set(error.get().to_object());
    *current.too_large.borrow_mut() = Some((root, what));
    Ok(())
}
