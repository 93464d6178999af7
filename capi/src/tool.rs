//! [`enclave_tool_call_t`]: a call of a script into its host, answered now or later, from any thread.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use enclave_core::{Error, ToolCall, ToolError, ToolHandler, ToolReply, Value};

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::callback::Context;
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;
use crate::text::{self, Lent, bytes, lend, text};
use crate::value::{self, enclave_value_t};

/// Answers tool calls. It owns `call`: the callback, or whoever it hands the call to, answers the call once, now or
/// later, from any thread, and frees it.
///
/// It runs on the worker's thread and should return soon: while it runs, its script stands still, but no longer than
/// its timeout.
pub type enclave_tool_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, call: *mut enclave_tool_call_t)>;

/// A tool call that waits for its answer. The first of `enclave_tool_call_resolve`, `_resolve_json`, `_resolve_cbor`
/// and `_reject` answers it. Any further answer gives INVALID_STATE and changes nothing, so several threads may try.
/// Free it with `enclave_tool_call_free` when no thread uses it any more. If it has no answer then, the script's
/// promise is rejected.
///
/// A call may outlive its execution and its pool; an answer that comes too late is dropped.
pub struct enclave_tool_call_t {
    execution_id: u64,
    name: Lent,
    args: Value,
    reply: Mutex<Option<ToolReply>>,
}

impl enclave_tool_call_t {
    fn new(call: ToolCall) -> Self {
        let ToolCall { execution_id, name, args, reply } = call;
        enclave_tool_call_t { execution_id, name: Lent::new(name), args, reply: Mutex::new(Some(reply)) }
    }

    /// Answers the call, if it has no answer yet. The lock is not held while the answer is sent.
    fn answer(&self, answer: Result<Value, ToolError>) -> Result<(), Error> {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        let reply =
            reply.ok_or_else(|| Error::InvalidState { message: "the tool call has been answered already".into() })?;
        reply.send(answer);
        Ok(())
    }
}

/// A handler that calls back with a call that the callback owns.
///
/// # Safety
///
/// `callback` must be good for the data of `context` on any thread, until the context's finalizer has run.
pub(crate) unsafe fn handler(
    callback: unsafe extern "C" fn(*mut c_void, *mut enclave_tool_call_t),
    context: Context,
) -> ToolHandler {
    Arc::new(move |call| {
        let call = Box::into_raw(Box::new(enclave_tool_call_t::new(call)));
        // SAFETY: by the contract of this function; the callback owns the call.
        unsafe { callback(context.user_data(), call) }
    })
}

/// Frees a tool call; NULL is fine. If it has no answer, the script's promise is rejected with an `Error`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_tool_call_free(call: Option<Box<enclave_tool_call_t>>) {
    guard((), || drop(call))
}

/// The id of the execution that calls, as `enclave_execution_id` gives it; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_tool_call_execution_id(call: Option<&enclave_tool_call_t>) -> u64 {
    guard(0, || call.map_or(0, |call| call.execution_id))
}

/// The name of the tool, with a NUL behind it; its length goes to `len`, which may be NULL. Lent by the call.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_tool_call_name(
    call: Option<&enclave_tool_call_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(call.map(|call| &call.name), len))
}

/// The argument, `undefined` if the script gave none. Lent by the call; NULL for NULL. `enclave_value_to_json` and
/// `enclave_value_to_cbor` give it in one buffer.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_tool_call_args(call: Option<&enclave_tool_call_t>) -> Option<&enclave_value_t> {
    guard(None, || call.map(|call| enclave_value_t::lend(&call.args)))
}

/// Fulfils the script's promise; the value is taken, also on failure. The call still has to be freed.
/// INVALID_ARGUMENT: a NULL. INVALID_STATE: the call has an answer already.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_tool_call_resolve(
    call: Option<&enclave_tool_call_t>,
    value: Option<Box<enclave_value_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || required(call, "call")?.answer(Ok(required(value, "value")?.into_value())))
}

/// Fulfils the script's promise with a value given as JSON. The call still has to be freed. INVALID_ARGUMENT: a NULL,
/// or not JSON; the call can then still be answered. INVALID_STATE: the call has an answer already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_tool_call_resolve_json(
    call: Option<&enclave_tool_call_t>,
    json: *const c_char,
    json_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text.
        let json = unsafe { text(json, json_len, "json") }?;
        required(call, "call")?.answer(Ok(value::from_json(json)?))
    })
}

/// Fulfils the script's promise with a value given as CBOR. The call still has to be freed. INVALID_ARGUMENT: a NULL,
/// or not CBOR; the call can then still be answered. INVALID_STATE: the call has an answer already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_tool_call_resolve_cbor(
    call: Option<&enclave_tool_call_t>,
    cbor: *const c_void,
    cbor_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of bytes.
        let cbor = unsafe { bytes(cbor, cbor_len, "cbor") }?;
        required(call, "call")?.answer(Ok(value::from_cbor(cbor)?))
    })
}

/// Rejects the script's promise with an `Error` of this name, message and code; `name` may be NULL for `Error`, `code`
/// for none. Nothing else of the host's error reaches the script. The call still has to be freed.
/// INVALID_ARGUMENT: `call` or `message` is NULL, or something is not UTF-8; the call can then still be answered.
/// INVALID_STATE: the call has an answer already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_tool_call_reject(
    call: Option<&enclave_tool_call_t>,
    name: *const c_char,
    name_len: usize,
    message: *const c_char,
    message_len: usize,
    code: *const c_char,
    code_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text.
        let (name, message, code) = unsafe {
            (
                text::optional(name, name_len, "name")?.unwrap_or("Error"),
                text(message, message_len, "message")?,
                text::optional(code, code_len, "code")?,
            )
        };
        let answer = ToolError { name: name.to_owned(), message: message.to_owned(), code: code.map(str::to_owned) };
        required(call, "call")?.answer(Err(answer))
    })
}
