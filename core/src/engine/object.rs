//! Objects of the engine, as our own code makes and looks at them without running script.

use std::ffi::CStr;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::Handle;
use mozjs::jsapi::{
    BigIntToString, CallArgs, ExceptionStackOrNull, GetArrayBufferMaybeSharedLengthAndData,
    GetArrayBufferViewLengthAndData, GetFunctionNativeReserved, IsArrayBufferObjectMaybeShared,
    JS_GetArrayBufferViewType, JS_GetFunctionObject, JS_IsArrayBufferViewObject, JS_IsTypedArrayObject, JSObject,
    JSPROP_ENUMERATE, JSPROP_READONLY, JSString, NewFunctionWithReserved, SetFunctionNativeReserved, StackFormat,
    SymbolCode,
};
use mozjs::jsval::{DoubleValue, Int32Value, JSVal, ObjectValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    BuildStackString, GetArrayLength, IsArray, JS_AtomizeStringN, JS_AtomizeUCStringN, JS_DefineElement,
    JS_DefinePropertyById2, JS_GetProperty, JS_NewUint8Array, JS_StringToId, MapForEach, NewArrayObject1, SetForEach,
};

use super::state::State;
use super::thrown::{JsResult, Thrown, check};
use super::{memory, text};

pub(super) fn number(value: f64) -> JSVal {
    let integer = value as i32;
    if f64::from(integer) == value && (integer != 0 || value.is_sign_positive()) {
        Int32Value(integer)
    } else if value.is_nan() {
        // One NaN only: the engine boxes values in the others.
        DoubleValue(f64::NAN)
    } else {
        DoubleValue(value)
    }
}

pub(super) fn object_value(object: *mut JSObject) -> JsResult<JSVal> {
    if object.is_null() { Err(Thrown) } else { Ok(ObjectValue(object)) }
}

/// Defines an own property, also one called `__proto__`.
pub(super) fn define(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: &str,
    value: Handle<JSVal>,
) -> JsResult<()> {
    define_with(cx, object, key, value, JSPROP_ENUMERATE as u32)
}

pub(super) fn define_with(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: &str,
    value: Handle<JSVal>,
    attributes: u32,
) -> JsResult<()> {
    // SAFETY: `object` and `value` are rooted, and so is what is made; the characters outlive the calls.
    unsafe {
        rooted!(&in(cx) let name = if key.is_ascii() {
            JS_AtomizeStringN(cx, key.as_ptr().cast(), key.len())
        } else {
            let units: Vec<u16> = key.encode_utf16().collect();
            JS_AtomizeUCStringN(cx, units.as_ptr(), units.len())
        });
        if name.get().is_null() {
            return Err(Thrown);
        }
        rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
        check(JS_StringToId(cx, name.handle(), id.handle_mut()))?;
        check(JS_DefinePropertyById2(cx, object, id.handle(), value, attributes))
    }
}

pub(super) fn bytes_from(cx: &mut JSContext, bytes: &[u8]) -> JsResult<JSVal> {
    // SAFETY: the array is rooted; its data is written before anything can run that could move it.
    unsafe {
        rooted!(&in(cx) let array = JS_NewUint8Array(cx, bytes.len()));
        let value = object_value(array.get())?;
        let (mut length, mut shared, mut data) = (0, false, std::ptr::null_mut());
        GetArrayBufferViewLengthAndData(array.get(), &mut length, &mut shared, &mut data);
        if length > 0 {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, length.min(bytes.len()));
        }
        Ok(value)
    }
}

/// A property as text, if it is a number, or a string, which `copy` copies; reading it may run script.
pub(super) fn text_property<E: From<Thrown>>(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    name: &CStr,
    copy: impl FnOnce(&mut JSContext, Handle<*mut JSString>) -> Result<Option<String>, E>,
) -> Result<Option<String>, E> {
    rooted!(&in(cx) let mut value = UndefinedValue());
    // SAFETY: `object` and `value` are rooted.
    check(memory::in_engine(|| unsafe { JS_GetProperty(cx, object, name.as_ptr(), value.handle_mut()) }))?;
    if value.get().is_number() {
        return Ok(Some(value.get().to_number().to_string()));
    }
    if !value.get().is_string() {
        return Ok(None);
    }
    rooted!(&in(cx) let string = value.get().to_string());
    copy(cx, string.handle())
}

/// The text of the stack that the engine recorded when it made this error, which script cannot forge; none if it is no
/// error. The caller roots it.
pub(super) fn stack_of(cx: &mut JSContext, error: Handle<*mut JSObject>) -> JsResult<Option<*mut JSString>> {
    // SAFETY: `error` is rooted, and so is what the calls give.
    unsafe {
        rooted!(&in(cx) let stack = ExceptionStackOrNull(error.into()));
        if stack.get().is_null() {
            return Ok(None);
        }
        rooted!(&in(cx) let mut string = std::ptr::null_mut::<JSString>());
        let principals = std::ptr::null_mut();
        check(BuildStackString(cx, principals, stack.handle(), string.handle_mut(), 0, StackFormat::SpiderMonkey))?;
        Ok(Some(string.get()))
    }
}

/// The keys and values of a map, or the values of a set, in an array, through the engine's own iteration, which
/// script cannot have replaced.
pub(super) fn flatten(cx: &mut JSContext, object: Handle<*mut JSObject>, is_map: bool) -> JsResult<*mut JSObject> {
    // SAFETY: what is made is rooted before the next call; slot 0 holds the array that `collect` fills.
    unsafe {
        rooted!(&in(cx) let array = NewArrayObject1(cx, 0));
        let collector = if is_map { collect_pair } else { collect_value };
        rooted!(&in(cx) let function = NewFunctionWithReserved(cx.raw_cx(), Some(collector), 2, 0, c"".as_ptr()));
        if array.get().is_null() || function.get().is_null() {
            return Err(Thrown);
        }
        rooted!(&in(cx) let function = JS_GetFunctionObject(function.get()));
        SetFunctionNativeReserved(function.get(), 0, &ObjectValue(array.get()));
        rooted!(&in(cx) let callback = ObjectValue(function.get()));
        rooted!(&in(cx) let this = UndefinedValue());
        let for_each = if is_map { MapForEach } else { SetForEach };
        check(for_each(cx, object, callback.handle(), this.handle()))?;
        Ok(array.get())
    }
}

/// What `Array.isArray` says.
pub(super) fn is_array(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<bool> {
    let mut is = false;
    // SAFETY: `object` is rooted; `is` is a valid place.
    check(unsafe { IsArray(cx, object, &mut is) })?;
    Ok(is)
}

/// The digits of a bigint; with a base of 16 that takes time linear in its size.
pub(super) fn digits(cx: &mut JSContext, value: Handle<JSVal>, base: u8) -> JsResult<*mut JSString> {
    rooted!(&in(cx) let bigint = value.get().to_bigint());
    // SAFETY: `bigint` is rooted.
    let digits = unsafe { BigIntToString(cx.raw_cx(), bigint.handle().into(), base) };
    if digits.is_null() { Err(Thrown) } else { Ok(digits) }
}

/// A bigint for people: in decimal if that is no more than `max` digits and quickly done, else in hexadecimal.
pub(super) fn bigint_text(cx: &mut JSContext, value: Handle<JSVal>, max: usize) -> JsResult<String> {
    const QUICKLY: usize = 4096;
    rooted!(&in(cx) let hexadecimal = digits(cx, value, 16)?);
    if text::length(hexadecimal.handle()) > QUICKLY {
        let text = text::prefix(cx, hexadecimal.handle(), max.saturating_add(1))?;
        return Ok(match text.strip_prefix('-') {
            Some(digits) => format!("-0x{digits}"),
            None => format!("0x{text}"),
        });
    }
    rooted!(&in(cx) let decimal = digits(cx, value, 10)?);
    text::to_rust(cx, decimal.handle())
}

/// Where the bytes of a buffer or view are; none of anything else.
///
/// The pointer is good until anything runs that could move or free them.
fn raw_bytes(object: Handle<*mut JSObject>) -> Option<(*mut u8, usize)> {
    let (mut length, mut shared, mut data) = (0, false, std::ptr::null_mut());
    // SAFETY: `object` is rooted, and what it is asked for fits its class.
    unsafe {
        if IsArrayBufferObjectMaybeShared(object.get()) {
            GetArrayBufferMaybeSharedLengthAndData(object.get(), &mut length, &mut shared, &mut data);
        } else if JS_IsArrayBufferViewObject(object.get()) {
            GetArrayBufferViewLengthAndData(object.get(), &mut length, &mut shared, &mut data);
        } else {
            return None;
        }
    }
    Some((data, if data.is_null() { 0 } else { length }))
}

/// The number of bytes of a buffer or view; 0 of anything else.
pub(super) fn byte_length(object: Handle<*mut JSObject>) -> usize {
    raw_bytes(object).map_or(0, |(_, length)| length)
}

/// Copies the bytes of a buffer or view out; none of anything else.
pub(super) fn copy_bytes(object: Handle<*mut JSObject>) -> Option<Vec<u8>> {
    let (data, length) = raw_bytes(object)?;
    // SAFETY: nothing has run since the pointer was taken.
    Some(if length == 0 { Vec::new() } else { unsafe { std::slice::from_raw_parts(data, length) }.to_vec() })
}

/// Writes the first bytes of `bytes` over those of a `Uint8Array`, as many as `fit` says for the room that it has. None
/// of anything else.
pub(super) fn write_uint8_array(
    object: Handle<*mut JSObject>,
    bytes: &[u8],
    fit: impl FnOnce(usize) -> usize,
) -> Option<usize> {
    // SAFETY: `object` is rooted; it is asked for its type only if it is a typed array.
    let is_uint8_array = !object.get().is_null()
        && unsafe { JS_IsTypedArrayObject(object.get()) }
        && unsafe { JS_GetArrayBufferViewType(object.get()) } == mozjs::jsapi::Type::Uint8;
    if !is_uint8_array {
        return None;
    }
    let (data, length) = raw_bytes(object)?;
    let written = fit(length).min(length).min(bytes.len());
    if written > 0 {
        // SAFETY: nothing has run since the pointer was taken; both are at least that long, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, written) };
    }
    Some(written)
}

/// Gives a prototype its `Symbol.toStringTag`.
pub(super) fn define_tag(cx: &mut JSContext, object: Handle<*mut JSObject>, tag: Handle<JSVal>) -> JsResult<()> {
    // SAFETY: the symbol is one of the engine's own, which live as long as it; all is rooted.
    unsafe {
        let symbol = mozjs::jsapi::GetWellKnownSymbol(cx.raw_cx(), SymbolCode::toStringTag);
        rooted!(&in(cx) let id = mozjs::jsid::SymbolId(symbol));
        check(JS_DefinePropertyById2(cx, object, id.handle(), tag, JSPROP_READONLY as u32))
    }
}

unsafe extern "C" fn collect_value(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[0]) }
}

unsafe extern "C" fn collect_pair(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // Map's forEach gives (value, key).
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[1, 0]) }
}

/// Appends arguments to the array in the callee's slot.
unsafe fn collect(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal, order: &[u32]) -> bool {
    // SAFETY: the engine gives a live context and arguments that it keeps rooted; the slot was set in `flatten`.
    unsafe {
        let mut cx = JSContext::from_ptr(std::ptr::NonNull::new_unchecked(cx));
        let args = CallArgs::from_vp(vp, argc);
        rooted!(&in(cx) let array = (*GetFunctionNativeReserved(args.callee(), 0)).to_object());
        let mut length = 0;
        if State::of(&cx).killed() || !GetArrayLength(&mut cx, array.handle(), &mut length) {
            return false;
        }
        for (offset, index) in order.iter().enumerate() {
            let item = Handle::from_raw(args.get(*index));
            if !JS_DefineElement(&mut cx, array.handle(), length + offset as u32, item, JSPROP_ENUMERATE as u32) {
                return false;
            }
        }
        args.rval().set(UndefinedValue());
        true
    }
}
