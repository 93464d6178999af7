//! Exceptions: taking one out of the engine as a [`ScriptError`], and throwing one into it.
//!
//! Taking one out runs no script where it can be helped: name, message, code and stack of an error are read as data,
//! and only strings and numbers count. Reading a property may still run a getter, which is inside the execution's
//! limits; what cannot be read is left out.

use std::ffi::CStr;

use mozjs::context::JSContext;
use mozjs::gc::{Handle, MutableHandle};
use mozjs::jsapi::{ESClass, IsCallable, JSErrorReport, JSExnType, JSObject, JSString};
use mozjs::jsval::{JSVal, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::borrowed_error_report;
use mozjs::rust::wrappers2::{
    GetBuiltinClass, GetSymbolDescription, JS_ClearPendingException, JS_ErrorFromException, JS_GetPendingException,
    PendingExceptionStackInfo,
};

use super::state::State;
use super::thrown::{JsResult, Thrown, check};
use super::{memory, object, text};
use crate::error::{Error, ScriptError};

/// The name of the source where stack traces are sanitised.
pub(super) const SANITIZED_NAME: &str = "<script>";
/// Bytes of a name, and of a message or stack, that are kept.
const MAX_NAME: usize = 256;
const MAX_TEXT: usize = 64 * 1024;
/// Characters of a source line that are kept.
const MAX_LINE: usize = 120;

/// Takes the pending exception and says what is known of it.
pub(super) fn take(cx: &mut JSContext, state: &State) -> Error {
    rooted!(&in(cx) let mut exception = UndefinedValue());
    // SAFETY: `exception` is rooted.
    if !unsafe { JS_GetPendingException(cx, exception.handle_mut()) } {
        return Error::Internal { message: "the engine failed without an exception".into() };
    }
    rooted!(&in(cx) let object = if exception.get().is_object() { exception.get().to_object() } else { std::ptr::null_mut() });
    if let Some(error) = too_large(state, object.handle()) {
        // SAFETY: a plain call.
        unsafe { JS_ClearPendingException(cx) };
        return error;
    }
    let mut error = if is_error(cx, object.handle()) {
        // SAFETY: a plain call.
        unsafe { JS_ClearPendingException(cx) };
        from_error(cx, object.handle())
    } else {
        from_thrown_value(cx, exception.handle())
    };
    if error.line == 0 {
        // Without a place the engine says column 1.
        error.column = 0;
    }
    let current = state.current.borrow();
    let request = &current.request;
    if error.line > 0
        && error.filename.as_deref().is_none_or(|name| name == &*request.filename || name == SANITIZED_NAME)
    {
        error.source_line = source_line(&request.source, error.line, error.column);
        error.filename = Some(request.filename.to_string());
    }
    Error::Exception(Box::new(error))
}

fn too_large(state: &State, object: Handle<*mut JSObject>) -> Option<Error> {
    let current = state.current.borrow();
    let last = current.too_large.borrow();
    let (thrown, what) = last.as_ref()?;
    (!object.get().is_null() && thrown.get() == object.get())
        .then(|| Error::MessageTooLarge { what: *what, limit: current.request.max_message_size })
}

fn is_error(cx: &mut JSContext, object: Handle<*mut JSObject>) -> bool {
    let mut class = ESClass::Other;
    // SAFETY: `object` is rooted and not null where the call is made.
    !object.get().is_null() && unsafe { GetBuiltinClass(cx, object, &mut class) } && class == ESClass::Error
}

fn from_error(cx: &mut JSContext, object: Handle<*mut JSObject>) -> ScriptError {
    let mut error = ScriptError {
        name: text_property(cx, object, c"name", MAX_NAME).unwrap_or_else(|| "Error".into()),
        message: text_property(cx, object, c"message", MAX_TEXT).unwrap_or_default(),
        code: text_property(cx, object, c"code", MAX_NAME),
        stack: stack_text(cx, object),
        ..ScriptError::default()
    };
    clear(cx);
    borrowed_error_report(cx, |cx, borrowed| {
        // SAFETY: `object` is rooted and an error; the report lives as long as `borrowed` does.
        unsafe {
            if JS_ErrorFromException(cx, object, borrowed) {
                place(&mut error, &*borrowed.report_);
            }
        }
    });
    error
}

fn stack_text(cx: &mut JSContext, error: Handle<*mut JSObject>) -> Option<String> {
    let Ok(Some(stack)) = object::stack_of(cx, error) else {
        clear(cx);
        return None;
    };
    rooted!(&in(cx) let stack = stack);
    let stack = bounded_text(cx, stack.handle(), MAX_TEXT)?;
    Some(stack.trim_end().to_owned()).filter(|stack| !stack.is_empty())
}

fn place(error: &mut ScriptError, report: &JSErrorReport) {
    error.line = report._base.lineno;
    error.column = report._base.column._base;
    let filename = report._base.filename.data_;
    if !filename.is_null() {
        // SAFETY: the engine keeps its file names NUL-terminated, as long as the report lives.
        error.filename = Some(unsafe { CStr::from_ptr(filename) }.to_string_lossy().into_owned());
    }
}

/// What the engine puts before the text of a value that nobody has caught, and what it has for a text if there is none.
const UNCAUGHT: &[u8] = b"uncaught exception: ";
const NO_TEXT: &[u8] = b"unknown (can't convert to string)";

/// A thrown value that is no error: its type and its text.
fn from_thrown_value(cx: &mut JSContext, exception: Handle<JSVal>) -> ScriptError {
    let (mut line, mut column) = (0, 0);
    let (mut text, mut filename): (Vec<u8>, Vec<u8>) = Default::default();
    rooted!(&in(cx) let mut again = UndefinedValue());
    // It makes text of the value, which for a large bigint takes seconds in one native.
    if !exception.get().is_bigint() {
        // SAFETY: the targets are vectors that outlive the call. It takes the pending exception, and for an object it
        // may run its toString.
        memory::in_engine(|| unsafe {
            PendingExceptionStackInfo(
                cx,
                Some(append_bytes),
                (&raw mut text).cast(),
                (&raw mut filename).cast(),
                &mut line,
                &mut column,
                again.handle_mut(),
            );
        });
    }
    clear(cx);
    let (name, message, code) = if exception.get().is_object() {
        // Taken from its root only now: what has run may have moved it.
        rooted!(&in(cx) let object = exception.get().to_object());
        // What its toString says, if it says anything.
        let text = text.strip_prefix(UNCAUGHT).filter(|text| *text != NO_TEXT).unwrap_or_default();
        let text = cut(String::from_utf8_lossy(text).into_owned(), MAX_TEXT);
        // SAFETY: `object` is rooted.
        if unsafe { IsCallable(object.get()) } {
            ("function".into(), text, None)
        } else {
            // Many objects are thrown as if they were errors: { name, message, code }.
            (
                text_property(cx, object.handle(), c"name", MAX_NAME).unwrap_or_else(|| "object".into()),
                text_property(cx, object.handle(), c"message", MAX_TEXT).unwrap_or(text),
                text_property(cx, object.handle(), c"code", MAX_NAME),
            )
        }
    } else {
        (type_name(exception.get()).to_owned(), primitive_text(cx, exception).unwrap_or_default(), None)
    };
    let filename = (!filename.is_empty()).then(|| String::from_utf8_lossy(&filename).into_owned());
    ScriptError { name, message, code, filename, line, column, ..ScriptError::default() }
}

/// Takes the first bytes of a text: one more than are kept of it, so that it shows that there were more.
unsafe extern "C" fn append_bytes(chars: *const std::ffi::c_char, length: usize, target: *mut std::ffi::c_void) {
    // The vector is ours.
    let _host = memory::on(memory::Side::Host);
    if !chars.is_null() {
        // SAFETY: the engine gives `length` readable bytes; the target is the vector handed over with this function.
        unsafe {
            (*target.cast::<Vec<u8>>())
                .extend_from_slice(std::slice::from_raw_parts(chars.cast(), length.min(MAX_TEXT + 1)))
        }
    }
}

fn clear(cx: &mut JSContext) {
    // SAFETY: a plain call.
    unsafe { JS_ClearPendingException(cx) }
}

fn type_name(value: JSVal) -> &'static str {
    match value {
        value if value.is_undefined() => "undefined",
        value if value.is_null() => "null",
        value if value.is_boolean() => "boolean",
        value if value.is_number() => "number",
        value if value.is_bigint() => "bigint",
        value if value.is_symbol() => "symbol",
        _ => "string",
    }
}

fn primitive_text(cx: &mut JSContext, value: Handle<JSVal>) -> Option<String> {
    if value.get().is_symbol() {
        rooted!(&in(cx) let symbol = value.get().to_symbol());
        // SAFETY: `symbol` is rooted; what it gives is rooted at once.
        rooted!(&in(cx) let description = unsafe { GetSymbolDescription(symbol.handle()) });
        let description = bounded_text(cx, description.handle(), MAX_TEXT).unwrap_or_default();
        return Some(format!("Symbol({description})"));
    }
    if value.get().is_bigint() {
        let text = object::bigint_text(cx, value, MAX_TEXT).ok();
        clear(cx);
        return text.map(|text| cut(text, MAX_TEXT));
    }
    // SAFETY: the value is a rooted primitive, so no script runs.
    rooted!(&in(cx) let string = unsafe { mozjs::rust::ToString(cx, value) });
    let text = bounded_text(cx, string.handle(), MAX_TEXT);
    clear(cx);
    text
}

/// A property that is a string or a number, as text; none where it cannot be read.
fn text_property(cx: &mut JSContext, object: Handle<*mut JSObject>, name: &CStr, max: usize) -> Option<String> {
    if State::of(cx).killed() {
        return None;
    }
    let read = object::text_property(cx, object, name, |cx, string| Ok::<_, Thrown>(bounded_text(cx, string, max)));
    if read.is_err() {
        clear(cx);
    }
    read.ok().flatten()
}

/// A string cut to about `max` bytes; none for a null string, or one too long to be worth flattening.
fn bounded_text(cx: &mut JSContext, string: Handle<*mut JSString>, max: usize) -> Option<String> {
    const LONGEST: usize = 16 * 1024 * 1024;
    if string.get().is_null() || text::length(string) > LONGEST {
        return None;
    }
    // Every UTF-16 unit is at least one byte of UTF-8.
    let text = text::prefix(cx, string, max + 1).ok();
    if text.is_none() {
        clear(cx);
    }
    Some(cut(text?, max))
}

fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
    text
}

/// The text of a line, cut around the column.
pub(super) fn source_line(source: &str, line: u32, column: u32) -> Option<String> {
    let line = source.lines().nth(line.checked_sub(1)? as usize)?;
    let start = (column as usize).saturating_sub(MAX_LINE / 2);
    Some(line.chars().skip(if line.chars().nth(MAX_LINE).is_some() { start } else { 0 }).take(MAX_LINE).collect())
}

/// Makes an `Error` of the current realm: of the type that the name says, with message and code.
pub(super) fn make(
    cx: &mut JSContext,
    name: &str,
    message: &str,
    code: Option<&str>,
    mut out: MutableHandle<JSVal>,
) -> JsResult<()> {
    throw(cx, name, message);
    // SAFETY: `out` is rooted.
    check(unsafe { JS_GetPendingException(cx, out.reborrow()) })?;
    if !out.get().is_object() {
        // "out of memory", a string of the engine's, in the place of the error.
        return Err(Thrown);
    }
    clear(cx);
    rooted!(&in(cx) let object = out.get().to_object());
    let mut set = |key: &str, text: &str| {
        let string = text::to_js(cx, text)?;
        // SAFETY: not null, and rooted at once.
        rooted!(&in(cx) let value = StringValue(unsafe { &*string }));
        object::define_with(cx, object.handle(), key, value.handle(), 0)
    };
    if exception_type(name).is_none() && name != "Error" {
        set("name", name)?;
    }
    if message.contains('\0') {
        set("message", message)?;
    }
    if let Some(code) = code {
        set("code", code)?;
    }
    Ok(())
}

/// Throws an error of the type that the name says (`Error` where it says none).
pub(super) fn throw(cx: &mut JSContext, name: &str, message: &str) -> Thrown {
    let message = text::c_string(message);
    let kind = exception_type(name).unwrap_or(JSExnType::JSEXN_ERR);
    // SAFETY: the message is NUL-terminated and outlives the call; the callback knows every number that
    // `exception_type` gives.
    unsafe {
        mozjs::jsapi::JS_ReportErrorNumberUTF8(
            cx.raw_cx(),
            Some(error_format),
            std::ptr::null_mut(),
            kind as u32,
            message.as_ptr(),
        );
    }
    Thrown
}

fn exception_type(name: &str) -> Option<JSExnType> {
    Some(match name {
        "TypeError" => JSExnType::JSEXN_TYPEERR,
        "RangeError" => JSExnType::JSEXN_RANGEERR,
        "SyntaxError" => JSExnType::JSEXN_SYNTAXERR,
        "ReferenceError" => JSExnType::JSEXN_REFERENCEERR,
        "URIError" => JSExnType::JSEXN_URIERR,
        "EvalError" => JSExnType::JSEXN_EVALERR,
        _ => return None,
    })
}

struct Format(mozjs::jsapi::JSErrorFormatString);

// SAFETY: the pointers are to static C strings.
unsafe impl Sync for Format {}

const fn format_of(kind: JSExnType) -> Format {
    Format(mozjs::jsapi::JSErrorFormatString {
        name: c"ENCLAVE_ERROR".as_ptr(),
        format: c"{0}".as_ptr(),
        argCount: 1,
        exnType: kind as i16,
    })
}

static FORMATS: [Format; 7] = [
    format_of(JSExnType::JSEXN_ERR),
    format_of(JSExnType::JSEXN_TYPEERR),
    format_of(JSExnType::JSEXN_RANGEERR),
    format_of(JSExnType::JSEXN_SYNTAXERR),
    format_of(JSExnType::JSEXN_REFERENCEERR),
    format_of(JSExnType::JSEXN_URIERR),
    format_of(JSExnType::JSEXN_EVALERR),
];

unsafe extern "C" fn error_format(_: *mut std::ffi::c_void, number: u32) -> *const mozjs::jsapi::JSErrorFormatString {
    let format = FORMATS.iter().find(|format| format.0.exnType as u32 == number).unwrap_or(&FORMATS[0]);
    &raw const format.0
}
