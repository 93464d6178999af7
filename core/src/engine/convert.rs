//! Values between the engine and [`Value`], by copy, within a budget of bytes and depth.
//!
//! Reading a value may run script (getters, proxy traps), which is inside the execution's limits; a kill ends the
//! conversion at the next look. It recurses, because every level has roots on the stack and the depth is at most
//! `MAX_VALUE_DEPTH`, for which the worker's stack has room beyond what script may use.

use mozjs::context::JSContext;
use mozjs::gc::{Handle, MutableHandle};
use mozjs::jsapi::{
    BigIntToString, ClippedTime, ESClass, ExceptionStackOrNull, GetArrayBufferViewLengthAndData,
    GetFunctionNativeReserved, IsArrayBufferObjectMaybeShared, IsCallable, JS_IsArrayBufferViewObject, JSITER_OWNONLY,
    JSObject, JSPROP_ENUMERATE, JSString, Latin1Char, NewFunctionWithReserved, SetFunctionNativeReserved, StackFormat,
};
use mozjs::jsval::{
    BigIntValue, BooleanValue, DoubleValue, Int32Value, JSVal, NullValue, ObjectValue, StringValue, UndefinedValue,
};
use mozjs::rooted;
use mozjs::rust::IdVector;
use mozjs::rust::wrappers2::*;
use num_bigint::BigInt;

use super::memory::BLOCK;
use super::state::State;
use super::thrown::{JsResult, Thrown, check};
use super::{memory, text};
use crate::config::ExecutionLimits;
use crate::error::{Error, Message};
use crate::value::{ErrorValue, Value};

/// Bits that a bigint of the engine has at most.
const MAX_BIGINT_BITS: u64 = 1024 * 1024;
/// Characters of a key that an error's path shows, and bytes of the whole path.
const MAX_SEGMENT: usize = 64;
const MAX_PATH: usize = 1024;

/// What a conversion may still produce.
pub(super) struct Budget {
    bytes: u64,
    max_depth: u32,
}

impl Budget {
    pub(super) fn new(limits: &ExecutionLimits, max_message_size: u64) -> Self {
        Budget { bytes: max_message_size, max_depth: limits.max_value_depth }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.checked_sub(bytes as u64).ok_or(Failure::TooLarge)?;
        Ok(())
    }
}

/// Why a value cannot be copied out.
pub(super) enum Failure {
    /// Script threw, or the execution is being ended.
    Thrown,
    TooLarge,
    /// The path is built on the way up, innermost segment last.
    NotTransferable {
        path: Vec<String>,
        reason: String,
    },
}

impl From<Thrown> for Failure {
    fn from(_: Thrown) -> Self {
        Failure::Thrown
    }
}

impl Failure {
    fn not_transferable(reason: impl Into<String>) -> Self {
        Failure::NotTransferable { path: Vec::new(), reason: reason.into() }
    }

    fn at(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Failure::NotTransferable { path, .. } = &mut self {
            path.push(segment());
        }
        self
    }

    /// The path with its root. What would make it too long is left out at its end.
    pub(super) fn describe(path: &[String], root: &str) -> String {
        let mut whole = root.to_owned();
        for segment in path.iter().rev() {
            if whole.len() + segment.len() > MAX_PATH {
                whole.push('…');
                break;
            }
            whole.push_str(segment);
        }
        whole
    }

    /// The error of an execution whose result this is; `Thrown` has another one.
    pub(super) fn into_result_error(self, limit: u64) -> Error {
        match self {
            Failure::Thrown => Error::Internal { message: "an exception was lost".into() },
            Failure::TooLarge => Error::MessageTooLarge { what: Message::Result, limit },
            Failure::NotTransferable { path, reason } => {
                Error::ResultNotTransferable { path: Failure::describe(&path, "result"), reason }
            }
        }
    }
}

/// The objects that the conversion is inside of, innermost first.
struct Parents<'a> {
    object: Handle<'a, *mut JSObject>,
    outer: Option<&'a Parents<'a>>,
    depth: u32,
}

impl Parents<'_> {
    fn contains(&self, object: *mut JSObject) -> bool {
        self.object.get() == object || self.outer.is_some_and(|outer| outer.contains(object))
    }
}

/// Copies a value out, and says what the copy counts for in the ledger. Functions and symbols at the top are undefined.
pub(super) fn to_value(
    cx: &mut JSContext,
    state: &State,
    value: Handle<JSVal>,
    mut budget: Budget,
) -> Result<(Value, memory::Reserved), Failure> {
    let mut reader = Reader { state, budget: &mut budget, room: memory::reserve(0)? };
    let copy = reader.read(cx, value, None)?.unwrap_or(Value::Undefined);
    Ok((copy, reader.room))
}

struct Reader<'a> {
    state: &'a State,
    budget: &'a mut Budget,
    /// What the copy takes, in the worker's ledger as long as it is being made.
    room: memory::Reserved,
}

impl Reader<'_> {
    /// None for what is dropped: functions and symbols.
    fn read(
        &mut self,
        cx: &mut JSContext,
        value: Handle<JSVal>,
        parents: Option<&Parents>,
    ) -> Result<Option<Value>, Failure> {
        // Not at objects only: to find each of many values may have taken long.
        if self.state.killed() {
            return Err(Failure::Thrown);
        }
        self.budget.spend(8)?;
        let plain = value.get();
        Ok(Some(if plain.is_undefined() {
            Value::Undefined
        } else if plain.is_null() {
            Value::Null
        } else if plain.is_boolean() {
            Value::Bool(plain.to_boolean())
        } else if plain.is_number() {
            Value::Number(plain.to_number())
        } else if plain.is_string() {
            rooted!(&in(cx) let string = plain.to_string());
            Value::String(self.string(cx, string.handle())?)
        } else if plain.is_bigint() {
            Value::BigInt(self.bigint(cx, value)?)
        } else if plain.is_object() {
            rooted!(&in(cx) let object = plain.to_object());
            return self.object(cx, object.handle(), parents);
        } else {
            return Ok(None);
        }))
    }

    fn string(&mut self, cx: &mut JSContext, string: Handle<*mut JSString>) -> Result<String, Failure> {
        // Checked before the copy: every UTF-16 unit is at least one byte of UTF-8.
        if text::length(string) as u64 > self.budget.bytes {
            return Err(Failure::TooLarge);
        }
        let before = self.room.bytes();
        self.room.grow(text::room(string))?;
        let string = text::to_rust(cx, string)?;
        self.room.shrink_to(before + BLOCK + string.capacity());
        self.budget.spend(string.len())?;
        Ok(string)
    }

    /// Whether the budget has room for so many values: each costs 8 bytes, so a sparse giant is refused at once.
    fn fits(&self, values: u64) -> Result<(), Failure> {
        if values * 8 > self.budget.bytes { Err(Failure::TooLarge) } else { Ok(()) }
    }

    /// A list with room for so many items, which is counted before it is made.
    fn list<T>(&mut self, length: usize) -> JsResult<Vec<T>> {
        self.room.grow(BLOCK + length * size_of::<T>())?;
        Ok(Vec::with_capacity(length))
    }

    fn bigint(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> Result<BigInt, Failure> {
        rooted!(&in(cx) let digits = digits(cx, value, 16)?);
        let digits = self.string(cx, digits.handle())?;
        BigInt::parse_bytes(digits.as_bytes(), 16).ok_or_else(|| Failure::not_transferable("is no readable bigint"))
    }

    fn object(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        outer: Option<&Parents>,
    ) -> Result<Option<Value>, Failure> {
        // SAFETY: `object` is rooted by the caller.
        if unsafe { IsCallable(object.get()) } {
            return Ok(None);
        }
        let mut class = ESClass::Other;
        // SAFETY: `object` is rooted; `class` is a valid place.
        check(unsafe { GetBuiltinClass(cx, object, &mut class) })?;
        if class == ESClass::Other && is_array(cx, object)? {
            // A proxy of an array is one to script too.
            class = ESClass::Array;
        }
        match class {
            ESClass::Number | ESClass::String | ESClass::Boolean | ESClass::BigInt => {
                rooted!(&in(cx) let mut inner = UndefinedValue());
                // SAFETY: `object` is rooted and its class is that of a boxed primitive.
                check(unsafe { mozjs::jsapi::js::Unbox(cx.raw_cx(), object.into(), inner.handle_mut().into()) })?;
                return self.read(cx, inner.handle(), outer);
            }
            ESClass::Date => {
                let mut time = f64::NAN;
                // SAFETY: `object` is rooted and a Date.
                check(unsafe { DateGetMsecSinceEpoch(cx, object, &mut time) })?;
                return Ok(Some(Value::Date(time)));
            }
            ESClass::Error => {
                self.room.grow(BLOCK + size_of::<ErrorValue>())?;
                return self.error(cx, object).map(Some);
            }
            ESClass::ArrayBuffer | ESClass::SharedArrayBuffer => return self.bytes(object).map(Some),
            // SAFETY: `object` is rooted.
            _ if unsafe { JS_IsArrayBufferViewObject(object.get()) } => return self.bytes(object).map(Some),
            ESClass::Promise => return Err(Failure::not_transferable("is a promise: await it first")),
            _ => {}
        }
        if outer.is_some_and(|outer| outer.contains(object.get())) {
            return Err(Failure::not_transferable("is a cycle: an object that holds itself"));
        }
        let depth = outer.map_or(1, |outer| outer.depth + 1);
        if depth > self.budget.max_depth {
            let max = self.budget.max_depth;
            return Err(Failure::not_transferable(format!("is nested deeper than max_value_depth, {max}")));
        }
        let here = Parents { object, outer, depth };
        let value = match class {
            ESClass::Array => self.array(cx, &here)?,
            ESClass::Map => self.map(cx, &here)?,
            ESClass::Set => self.set(cx, &here)?,
            _ => self.plain(cx, &here)?,
        };
        Ok(Some(value))
    }

    fn array(&mut self, cx: &mut JSContext, here: &Parents) -> Result<Value, Failure> {
        rooted!(&in(cx) let mut length = UndefinedValue());
        // SAFETY: `object` and `length` are rooted.
        check(memory::in_engine(|| unsafe {
            JS_GetProperty(cx, here.object, c"length".as_ptr(), length.handle_mut())
        }))?;
        // A proxy of an array may say anything.
        let number = if length.get().is_number() { length.get().to_number() } else { f64::NAN };
        let length = number as u32;
        if f64::from(length) != number {
            return Err(Failure::not_transferable("is a proxy of an array with an impossible length"));
        }
        self.fits(length.into())?;
        let mut items = self.list(length as usize)?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for index in 0..length {
            // SAFETY: `object` and `item` are rooted.
            check(memory::in_engine(|| unsafe { JS_GetElement(cx, here.object, index, item.handle_mut()) }))?;
            let value =
                self.read(cx, item.handle(), Some(here)).map_err(|failure| failure.at(|| format!("[{index}]")))?;
            items.push(value.unwrap_or(Value::Undefined));
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, cx: &mut JSContext, here: &Parents) -> Result<Value, Failure> {
        // SAFETY: the object is a rooted Map.
        self.fits(u64::from(unsafe { MapSize(cx, here.object) }) * 2)?;
        rooted!(&in(cx) let flat = flatten(cx, here.object, true)?);
        let length = self.collected(cx, flat.handle())? / 2;
        let mut entries = self.list(length as usize)?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for index in 0..length {
            let mut one = |which: u32, name: &str| {
                // SAFETY: `flat` is our own array and rooted, as is `item`.
                check(unsafe { JS_GetElement(cx, flat.handle(), index * 2 + which, item.handle_mut()) })?;
                let value = self.read(cx, item.handle(), Some(here));
                value.map(Option::unwrap_or_default).map_err(|failure| failure.at(|| format!(".{name}({index})")))
            };
            entries.push((one(0, "key")?, one(1, "value")?));
        }
        Ok(Value::Map(entries))
    }

    fn set(&mut self, cx: &mut JSContext, here: &Parents) -> Result<Value, Failure> {
        // SAFETY: the object is a rooted Set.
        self.fits(unsafe { SetSize(cx, here.object) }.into())?;
        rooted!(&in(cx) let flat = flatten(cx, here.object, false)?);
        let length = self.collected(cx, flat.handle())?;
        let mut items = self.list(length as usize)?;
        rooted!(&in(cx) let mut item = UndefinedValue());
        for index in 0..length {
            // SAFETY: `flat` is our own array and rooted, as is `item`.
            check(unsafe { JS_GetElement(cx, flat.handle(), index, item.handle_mut()) })?;
            let value = self
                .read(cx, item.handle(), Some(here))
                .map_err(|failure| failure.at(|| format!(".value({index})")))?;
            items.push(value.unwrap_or_default());
        }
        Ok(Value::Set(items))
    }

    fn collected(&mut self, cx: &mut JSContext, flat: Handle<*mut JSObject>) -> JsResult<u32> {
        let mut length = 0;
        // SAFETY: `flat` is our own array and rooted.
        check(unsafe { GetArrayLength(cx, flat, &mut length) })?;
        Ok(length)
    }

    fn error(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> Result<Value, Failure> {
        let name = self.text_property(cx, object, c"name")?.unwrap_or_else(|| "Error".into());
        let message = self.text_property(cx, object, c"message")?.unwrap_or_default();
        let code = self.text_property(cx, object, c"code")?;
        let stack = match stack_of(cx, object)? {
            None => None,
            Some(stack) => {
                rooted!(&in(cx) let stack = stack);
                let mut stack = self.string(cx, stack.handle())?;
                stack.truncate(stack.trim_end().len());
                Some(stack).filter(|stack| !stack.is_empty())
            }
        };
        Ok(Value::Error(Box::new(ErrorValue { name, message, code, stack })))
    }

    /// A property that is a string or a number, as text; anything else is none.
    fn text_property(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        name: &std::ffi::CStr,
    ) -> Result<Option<String>, Failure> {
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
        self.string(cx, string.handle()).map(Some)
    }

    fn bytes(&mut self, object: Handle<*mut JSObject>) -> Result<Value, Failure> {
        let length = byte_length(object);
        if length as u64 > self.budget.bytes {
            return Err(Failure::TooLarge);
        }
        self.budget.spend(length)?;
        self.room.grow(BLOCK + length)?;
        Ok(Value::Bytes(copy_bytes(object).unwrap_or_default()))
    }

    fn plain(&mut self, cx: &mut JSContext, here: &Parents) -> Result<Value, Failure> {
        let mut ids = IdVector::new(cx);
        // SAFETY: `object` is rooted; `ids` roots what it holds.
        check(memory::in_engine(|| unsafe { GetPropertyKeys(cx, here.object, JSITER_OWNONLY, ids.handle_mut()) }))?;
        let mut entries = self.list(ids.len())?;
        rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
        rooted!(&in(cx) let mut value = UndefinedValue());
        for index in 0..ids.len() {
            id.set(ids[index]);
            if self.state.killed() {
                return Err(Failure::Thrown);
            }
            let key = if id.get().is_int() {
                let key = id.get().to_int().to_string();
                self.room.grow(BLOCK + key.capacity())?;
                key
            } else if id.get().is_string() {
                rooted!(&in(cx) let string = id.get().to_string());
                self.string(cx, string.handle())?
            } else {
                continue;
            };
            // SAFETY: all is rooted.
            check(memory::in_engine(|| unsafe {
                JS_GetPropertyById(cx, here.object, id.handle(), value.handle_mut())
            }))?;
            let read = self.read(cx, value.handle(), Some(here));
            if let Some(value) = read.map_err(|failure| failure.at(|| property_segment(&key)))? {
                entries.push((key, value));
            }
        }
        Ok(Value::Object(entries))
    }
}

fn property_segment(key: &str) -> String {
    let (key, more) = match key.char_indices().nth(MAX_SEGMENT) {
        Some((end, _)) => (&key[..end], "…"),
        None => (key, ""),
    };
    let identifier = !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    if identifier { format!(".{key}{more}") } else { format!("[{key:?}{more}]") }
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
        rooted!(&in(cx) let function = mozjs::jsapi::JS_GetFunctionObject(function.get()));
        SetFunctionNativeReserved(function.get(), 0, &ObjectValue(array.get()));
        rooted!(&in(cx) let callback = ObjectValue(function.get()));
        rooted!(&in(cx) let this = UndefinedValue());
        let for_each = if is_map { MapForEach } else { SetForEach };
        check(for_each(cx, object, callback.handle(), this.handle()))?;
        Ok(array.get())
    }
}

/// What `Array.isArray` says.
fn is_array(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<bool> {
    let mut is = false;
    // SAFETY: `object` is rooted; `is` is a valid place.
    check(unsafe { IsArray(cx, object, &mut is) })?;
    Ok(is)
}

/// The digits of a bigint; with a base of 16 that takes time linear in its size.
fn digits(cx: &mut JSContext, value: Handle<JSVal>, base: u8) -> JsResult<*mut JSString> {
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
            mozjs::jsapi::GetArrayBufferMaybeSharedLengthAndData(object.get(), &mut length, &mut shared, &mut data);
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
        && unsafe { mozjs::jsapi::JS_IsTypedArrayObject(object.get()) }
        && unsafe { mozjs::jsapi::JS_GetArrayBufferViewType(object.get()) } == mozjs::jsapi::Type::Uint8;
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
    use mozjs::jsapi::SymbolCode;
    // SAFETY: the symbol is one of the engine's own, which live as long as it; all is rooted.
    unsafe {
        let symbol = mozjs::jsapi::GetWellKnownSymbol(cx.raw_cx(), SymbolCode::toStringTag);
        rooted!(&in(cx) let id = mozjs::jsid::SymbolId(symbol));
        check(JS_DefinePropertyById2(cx, object, id.handle(), tag, mozjs::jsapi::JSPROP_READONLY as u32))
    }
}

unsafe extern "C" fn collect_value(cx: *mut mozjs::context::RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[0]) }
}

unsafe extern "C" fn collect_pair(cx: *mut mozjs::context::RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // Map's forEach gives (value, key).
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[1, 0]) }
}

/// Appends arguments to the array in the callee's slot.
unsafe fn collect(cx: *mut mozjs::context::RawJSContext, argc: u32, vp: *mut JSVal, order: &[u32]) -> bool {
    // SAFETY: the engine gives a live context and arguments that it keeps rooted; the slot was set in `flatten`.
    unsafe {
        let mut cx = JSContext::from_ptr(std::ptr::NonNull::new_unchecked(cx));
        let args = mozjs::jsapi::CallArgs::from_vp(vp, argc);
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

/// Copies a value into the current realm.
pub(super) fn from_value(cx: &mut JSContext, value: &Value, mut out: MutableHandle<JSVal>) -> JsResult<()> {
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
            let clipped = if time.is_finite() && time.abs() <= 8.64e15 { time.trunc() + 0.0 } else { f64::NAN };
            // SAFETY: a plain call.
            object_value(unsafe { NewDateObject(cx, ClippedTime { t: clipped }) })?
        }
        Value::Array(items) => return array_from(cx, items, out),
        Value::Map(entries) => return map_from(cx, entries, out),
        Value::Set(items) => return set_from(cx, items, out),
        Value::Object(entries) => return object_from(cx, entries, out),
        Value::Error(error) => {
            return super::exception::make(cx, &error.name, &error.message, error.code.as_deref(), out);
        }
    });
    Ok(())
}

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

fn object_value(object: *mut JSObject) -> JsResult<JSVal> {
    if object.is_null() { Err(Thrown) } else { Ok(ObjectValue(object)) }
}

fn bigint_from(cx: &mut JSContext, value: &BigInt) -> JsResult<JSVal> {
    // Hexadecimal is linear to write and to read, but JavaScript has it for positive numbers only. What is too large for
    // the engine is not written in decimal in vain.
    let digits = match value.sign() {
        num_bigint::Sign::Minus if value.bits() <= MAX_BIGINT_BITS => value.to_str_radix(10),
        _ => format!("0x{}", value.magnitude().to_str_radix(16)),
    };
    let _room = memory::reserve(digits.capacity())?;
    let start = digits.as_ptr() as *mut Latin1Char;
    let pointer = |ptr| mozjs::jsapi::mozilla::RangedPtr {
        _phantom_0: Default::default(),
        mPtr: ptr,
        #[cfg(feature = "debug-engine")]
        mRangeStart: start,
        #[cfg(feature = "debug-engine")]
        // SAFETY: the end of `digits`.
        mRangeEnd: unsafe { start.add(digits.len()) },
    };
    // SAFETY: the range is that of `digits`, which outlives the call.
    let bigint = unsafe {
        let range = mozjs::jsapi::mozilla::Range {
            _phantom_0: Default::default(),
            mStart: pointer(start),
            mEnd: pointer(start.add(digits.len())),
        };
        StringToBigInt(cx, &raw const range as *const _)
    };
    if bigint.is_null() {
        return Err(Thrown);
    }
    // SAFETY: not null, and stored in a root at once by the caller.
    Ok(BigIntValue(unsafe { &*bigint }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_shows_the_start_of_long_keys_and_of_itself() {
        let table = [
            ("a", ".a".to_owned()),
            ("$_1", ".$_1".into()),
            ("1", "[\"1\"]".into()),
            ("", "[\"\"]".into()),
            ("a b\u{1}", "[\"a b\\u{1}\"]".into()),
            (&"k".repeat(MAX_SEGMENT), format!(".{}", "k".repeat(MAX_SEGMENT))),
            (&"k".repeat(MAX_SEGMENT + 1), format!(".{}…", "k".repeat(MAX_SEGMENT))),
            (&"\u{1}".repeat(1000), format!("[\"{}\"…]", "\\u{1}".repeat(MAX_SEGMENT))),
        ];
        for (key, segment) in table {
            assert_eq!(property_segment(key), segment);
        }
        assert_eq!(Failure::describe(&[".b".into(), "[1]".into(), ".a".into()], "result"), "result.a[1].b");
        let long = vec![".0123456789".to_owned(); 500];
        let path = Failure::describe(&long, "result");
        assert!(path.starts_with("result.0123456789.0123456789") && path.ends_with("9…"), "{path}");
        assert!(path.len() <= MAX_PATH + '…'.len_utf8(), "{}", path.len());
    }
}
