//! Values out of the engine.
//!
//! Reading a value may run script (getters, proxy traps), which is inside the execution's limits; a kill ends the
//! conversion at the next look. It recurses, because every level has roots on the stack and the depth is at most
//! `MAX_VALUE_DEPTH`, for which the worker's stack has room beyond what script may use.

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{ESClass, IsCallable, JS_IsArrayBufferViewObject, JSITER_OWNONLY, JSObject, JSString};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::IdVector;
use mozjs::rust::wrappers2::{
    DateGetMsecSinceEpoch, GetArrayLength, GetBuiltinClass, GetPropertyKeys, JS_GetElement, JS_GetProperty,
    JS_GetPropertyById, MapSize, SetSize,
};
use num_bigint::BigInt;

use crate::config::ExecutionLimits;
use crate::engine::memory::BLOCK;
use crate::engine::object::{byte_length, copy_bytes, digits, flatten, is_array, stack_of, text_property};
use crate::engine::state::State;
use crate::engine::thrown::{JsResult, Thrown, check};
use crate::engine::{memory, text};
use crate::error::{Error, Message};
use crate::value::{ErrorValue, Value};

/// Characters of a key that an error's path shows, and bytes of the whole path.
const MAX_SEGMENT: usize = 64;
const MAX_PATH: usize = 1024;

/// What a conversion may still produce.
pub(in crate::engine) struct Budget {
    bytes: u64,
    max_depth: u32,
}

impl Budget {
    pub(in crate::engine) fn new(limits: &ExecutionLimits, max_message_size: u64) -> Self {
        Budget { bytes: max_message_size, max_depth: limits.max_value_depth }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.checked_sub(bytes as u64).ok_or(Failure::TooLarge)?;
        Ok(())
    }
}

/// Why a value cannot be copied out.
pub(in crate::engine) enum Failure {
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
    pub(in crate::engine) fn describe(path: &[String], root: &str) -> String {
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
    pub(in crate::engine) fn into_result_error(self, limit: u64) -> Error {
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
pub(in crate::engine) fn to_value(
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
        text_property(cx, object, name, |cx, string| self.string(cx, string).map(Some))
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
