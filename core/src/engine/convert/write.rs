//! Values into the engine: made of the intrinsics of the current realm, by defining own properties.

use mozjs::context::JSContext;
use mozjs::gc::MutableHandle;
use mozjs::jsapi::JS::SimpleStringToBigInt;
use mozjs::jsapi::{__BindgenOpaqueArray, ClippedTime, JSPROP_ENUMERATE};
use mozjs::jsval::{BigIntValue, BooleanValue, JSVal, NullValue, ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    JS_DefineElement, JS_NewPlainObject, MapSet, NewArrayObject1, NewDateObject, NewMapObject, NewSetObject, SetAdd,
};
use num_bigint::BigInt;

use crate::engine::object::{bytes_from, define, number, object_value};
use crate::engine::state::State;
use crate::engine::thrown::{JsResult, Thrown, check};
use crate::engine::{exception, memory, text};
use crate::value::{Value, time_clip};

/// Copies a value into the current realm.
pub(in crate::engine) fn from_value(cx: &mut JSContext, value: &Value, mut out: MutableHandle<JSVal>) -> JsResult<()> {
    if State::of(cx).killed() {
        return Err(Thrown);
    }
    out.set(match value {
        Value::Undefined => UndefinedValue(),
        Value::Null => NullValue(),
        Value::Bool(value) => BooleanValue(*value),
        Value::Number(value) => number(*value),
        Value::BigInt(value) => bigint_from(cx, value)?,
        Value::String(value) => {
            let string = text::to_js(cx, value)?;
            // SAFETY: not null, and stored in a root at once.
            StringValue(unsafe { &*string })
        }
        Value::Bytes(bytes) => bytes_from(cx, bytes)?,
        Value::Date(time) => {
            // SAFETY: a plain call.
            object_value(unsafe { NewDateObject(cx, ClippedTime { t: time_clip(*time) }) })?
        }
        Value::Array(items) => return array_from(cx, items, out),
        Value::Map(entries) => return map_from(cx, entries, out),
        Value::Set(items) => return set_from(cx, items, out),
        Value::Object(entries) => return object_from(cx, entries, out),
        Value::Error(error) => {
            return exception::make(cx, &error.name, &error.message, error.code.as_deref(), out);
        }
    });
    Ok(())
}

fn bigint_from(cx: &mut JSContext, value: &BigInt) -> JsResult<JSVal> {
    // Hexadecimal is linear to write and to read.
    let digits = value.to_str_radix(16);
    let _room = memory::reserve(digits.capacity())?;
    // A mozilla::Span: the length, then the first.
    let span = __BindgenOpaqueArray([digits.len() as u64, digits.as_ptr() as u64]);
    // SAFETY: the span is that of `digits`, which outlives the call.
    let bigint = unsafe { SimpleStringToBigInt(cx.raw_cx(), span, 16) };
    if bigint.is_null() {
        return Err(Thrown);
    }
    // SAFETY: not null, and stored in a root at once by the caller.
    Ok(BigIntValue(unsafe { &*bigint }))
}

fn array_from(cx: &mut JSContext, items: &[Value], mut out: MutableHandle<JSVal>) -> JsResult<()> {
    // SAFETY: all that is made is rooted before the next call.
    unsafe {
        rooted!(&in(cx) let array = NewArrayObject1(cx, items.len()));
        object_value(array.get())?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for (index, value) in items.iter().enumerate() {
            from_value(cx, value, item.handle_mut())?;
            check(JS_DefineElement(cx, array.handle(), index as u32, item.handle(), JSPROP_ENUMERATE as u32))?;
        }
        out.set(ObjectValue(array.get()));
    }
    Ok(())
}

fn map_from(cx: &mut JSContext, entries: &[(Value, Value)], mut out: MutableHandle<JSVal>) -> JsResult<()> {
    // SAFETY: as in `array_from`.
    unsafe {
        rooted!(&in(cx) let map = NewMapObject(cx));
        object_value(map.get())?;
        rooted!(&in(cx) let mut key = UndefinedValue());
        rooted!(&in(cx) let mut item = UndefinedValue());
        for (k, v) in entries {
            from_value(cx, k, key.handle_mut())?;
            from_value(cx, v, item.handle_mut())?;
            check(MapSet(cx, map.handle(), key.handle(), item.handle()))?;
        }
        out.set(ObjectValue(map.get()));
    }
    Ok(())
}

fn set_from(cx: &mut JSContext, items: &[Value], mut out: MutableHandle<JSVal>) -> JsResult<()> {
    // SAFETY: as in `array_from`.
    unsafe {
        rooted!(&in(cx) let set = NewSetObject(cx));
        object_value(set.get())?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for value in items {
            from_value(cx, value, item.handle_mut())?;
            check(SetAdd(cx, set.handle(), item.handle()))?;
        }
        out.set(ObjectValue(set.get()));
    }
    Ok(())
}

fn object_from(cx: &mut JSContext, entries: &[(String, Value)], mut out: MutableHandle<JSVal>) -> JsResult<()> {
    // SAFETY: as in `array_from`.
    unsafe {
        rooted!(&in(cx) let object = JS_NewPlainObject(cx));
        object_value(object.get())?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for (key, value) in entries {
            from_value(cx, value, item.handle_mut())?;
            define(cx, object.handle(), key, item.handle())?;
        }
        out.set(ObjectValue(object.get()));
    }
    Ok(())
}
