//! Making values: a function for every kind, and what adds to containers.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use enclave_core::{Error, ErrorValue, MAX_VALUE_DEPTH, Value, json};

use crate::attempt::{attempt, make};
use crate::boundary::{guard, required};
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;
use crate::text::{self, text};
use crate::value::enclave_value_t;

fn give(make: impl FnOnce() -> Value) -> Option<Box<enclave_value_t>> {
    guard(None, || Some(Box::new(enclave_value_t(make()))))
}

/// Makes `undefined`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_undefined() -> Option<Box<enclave_value_t>> {
    give(|| Value::Undefined)
}

/// Makes `null`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_null() -> Option<Box<enclave_value_t>> {
    give(|| Value::Null)
}

/// Makes `true` or `false`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_bool(value: bool) -> Option<Box<enclave_value_t>> {
    give(|| Value::Bool(value))
}

/// Makes a number; `NaN`, the infinities and `-0` are kept.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_number(value: f64) -> Option<Box<enclave_value_t>> {
    give(|| Value::Number(value))
}

/// Makes a bigint of a number of 64 bits.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_bigint(value: i64) -> Option<Box<enclave_value_t>> {
    give(|| Value::BigInt(value.into()))
}

/// Makes a bigint of at most 4933 decimal digits, with a `-` before them if it is negative. NULL and INVALID_ARGUMENT:
/// anything else. `enclave_value_from_cbor` makes a bigint of any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_new_bigint_text(
    digits: *const c_char,
    digits_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of text.
        let digits = unsafe { text(digits, digits_len, "digits") }?;
        json::from_decimal(digits, "digits").map(|number| enclave_value_t(Value::BigInt(number)))
    })
}

/// Makes a string. NULL and INVALID_ARGUMENT: NULL, or not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_new_string(
    string: *const c_char,
    string_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of text.
        let string = unsafe { text(string, string_len, "string") }?;
        Ok(enclave_value_t(Value::String(string.to_owned())))
    })
}

/// Makes bytes, a `Uint8Array` in a script. NULL and INVALID_ARGUMENT: NULL with a length above 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_new_bytes(
    bytes: *const c_void,
    bytes_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of bytes.
        let bytes = unsafe { text::bytes(bytes, bytes_len, "bytes") }?;
        Ok(enclave_value_t(Value::Bytes(bytes.to_vec())))
    })
}

/// Makes a `Date` from milliseconds since 1970-01-01T00:00:00Z. `NaN` and anything beyond 8.64e15 give an invalid date.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_date(ms: f64) -> Option<Box<enclave_value_t>> {
    give(|| Value::date(ms))
}

/// Makes an empty array.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_array() -> Option<Box<enclave_value_t>> {
    give(|| Value::Array(Vec::new()))
}

/// Makes an empty `Map`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_map() -> Option<Box<enclave_value_t>> {
    give(|| Value::Map(Vec::new()))
}

/// Makes an empty `Set`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_set() -> Option<Box<enclave_value_t>> {
    give(|| Value::Set(Vec::new()))
}

/// Makes an empty object.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_new_object() -> Option<Box<enclave_value_t>> {
    give(|| Value::Object(Vec::new()))
}

/// Makes an `Error`; `name` may be NULL for `Error`, `code` for none. NULL and INVALID_ARGUMENT: `message` is NULL, or
/// something is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_new_error(
    name: *const c_char,
    name_len: usize,
    message: *const c_char,
    message_len: usize,
    code: *const c_char,
    code_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of text.
        let (name, message, code) = unsafe {
            (
                text::optional(name, name_len, "name")?.unwrap_or("Error"),
                text(message, message_len, "message")?,
                text::optional(code, code_len, "code")?,
            )
        };
        let code = code.map(str::to_owned);
        let value = ErrorValue { name: name.to_owned(), message: message.to_owned(), code, stack: None };
        Ok(enclave_value_t(Value::Error(Box::new(value))))
    })
}

/// Takes a value that goes into `container`.
///
/// # Safety
///
/// `value` must be NULL or an owned value.
unsafe fn take(value: *mut enclave_value_t, container: &enclave_value_t, name: &str) -> Result<Value, Error> {
    if std::ptr::eq(value, container) {
        return Err(Error::invalid_argument(name, "is the container itself; a value cannot be inside itself"));
    }
    if value.is_null() {
        return Err(Error::invalid_argument(name, "is NULL"));
    }
    // SAFETY: by the contract of this function.
    let value = unsafe { Box::from_raw(value) }.into_value();
    match value.depth() {
        0..MAX_VALUE_DEPTH => Ok(value),
        depth => Err(Error::invalid_argument(
            name,
            format!("has {depth} levels of nesting; accepted are at most {} inside a container", MAX_VALUE_DEPTH - 1),
        )),
    }
}

/// Frees a value that was to go into a container that is NULL.
///
/// # Safety
///
/// `value` must be NULL or an owned value.
unsafe fn discard(value: *mut enclave_value_t) {
    if !value.is_null() {
        // SAFETY: by the contract of this function.
        drop(unsafe { Box::from_raw(value) });
    }
}

fn wrong_kind(container: &Value, accepted: &str) -> Error {
    Error::invalid_argument("container", format!("is of the kind {}; accepted is {accepted}", container.kind()))
}

/// Adds a value at the end of an array or a `Set`; the value is taken. INVALID_ARGUMENT: a NULL, a container of another
/// kind, or more than 512 levels of nesting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_push(
    container: Option<&mut enclave_value_t>,
    value: *mut enclave_value_t,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        let Some(container) = container else {
            // SAFETY: the caller gives an owned value.
            unsafe { discard(value) };
            return required(None, "container");
        };
        // SAFETY: the caller gives an owned value.
        let value = unsafe { take(value, container, "value") }?;
        match &mut container.0 {
            Value::Array(items) | Value::Set(items) => items.push(value),
            other => return Err(wrong_kind(other, "array and set")),
        }
        Ok(())
    })
}

/// Adds an entry to a `Map`; key and value are taken. If two entries have the same key, a script sees the later one.
/// INVALID_ARGUMENT: a NULL, a container of another kind, or more than 512 levels of nesting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_map_set(
    map: Option<&mut enclave_value_t>,
    key: *mut enclave_value_t,
    value: *mut enclave_value_t,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        let Some(map) = map else {
            // SAFETY: the caller gives owned values.
            unsafe {
                discard(key);
                discard(value);
            }
            return required(None, "map");
        };
        if key == value {
            return Err(Error::invalid_argument("value", "is the key itself, or both are NULL"));
        }
        // SAFETY: the caller gives owned values, which are two.
        let (key, value) = unsafe { (take(key, map, "key"), take(value, map, "value")) };
        match &mut map.0 {
            Value::Map(entries) => entries.push((key?, value?)),
            other => return Err(wrong_kind(other, "map")),
        }
        Ok(())
    })
}

/// Sets a property of an object, replacing one of the same key; the value is taken. It searches the keys that the
/// object has. If there are thousands, make a `Map` instead, or use `enclave_value_from_json` or `_from_cbor`.
/// INVALID_ARGUMENT: a NULL, a key that is not UTF-8, a container of another kind, or more than 512 levels of nesting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_object_set(
    object: Option<&mut enclave_value_t>,
    key: *const c_char,
    key_len: usize,
    value: *mut enclave_value_t,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        let Some(object) = object else {
            // SAFETY: the caller gives an owned value.
            unsafe { discard(value) };
            return required(None, "object");
        };
        // SAFETY: the caller gives an owned value and keeps the contract of text.
        let (value, key) = unsafe { (take(value, object, "value"), text(key, key_len, "key")) };
        let (value, key) = (value?, key?);
        match &mut object.0 {
            Value::Object(entries) => match entries.iter_mut().find(|(known, _)| known == key) {
                Some((_, place)) => *place = value,
                None => entries.push((key.to_owned(), value)),
            },
            other => return Err(wrong_kind(other, "object")),
        }
        Ok(())
    })
}
