//! Reading values. What has no answer, because the value is NULL or of another kind, gives NULL, 0, false or NaN.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use enclave_core::{Error, ErrorValue, Value, json};

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;
use crate::text::{self, enclave_buffer_t, lend_bytes, text};
use crate::value::*;

/// 2^63, the first number above the range of an int64.
const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

/// Reads something of a value; `fallback` is the answer for NULL and for another kind of value.
fn read<T>(value: Option<&enclave_value_t>, fallback: T, read: impl FnOnce(&Value) -> Option<T>) -> T {
    guard(None, || value.and_then(|value| read(&value.0))).unwrap_or(fallback)
}

/// The kind of a value; `ENCLAVE_VALUE_UNDEFINED` for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_kind(value: Option<&enclave_value_t>) -> enclave_value_kind_t {
    read(value, ENCLAVE_VALUE_UNDEFINED, |value| {
        Some(match value {
            Value::Undefined => ENCLAVE_VALUE_UNDEFINED,
            Value::Null => ENCLAVE_VALUE_NULL,
            Value::Bool(_) => ENCLAVE_VALUE_BOOL,
            Value::Number(_) => ENCLAVE_VALUE_NUMBER,
            Value::BigInt(_) => ENCLAVE_VALUE_BIGINT,
            Value::String(_) => ENCLAVE_VALUE_STRING,
            Value::Bytes(_) => ENCLAVE_VALUE_BYTES,
            Value::Date(_) => ENCLAVE_VALUE_DATE,
            Value::Array(_) => ENCLAVE_VALUE_ARRAY,
            Value::Map(_) => ENCLAVE_VALUE_MAP,
            Value::Set(_) => ENCLAVE_VALUE_SET,
            Value::Object(_) => ENCLAVE_VALUE_OBJECT,
            Value::Error(_) => ENCLAVE_VALUE_ERROR,
        })
    })
}

/// A boolean; false for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_bool(value: Option<&enclave_value_t>) -> bool {
    read(value, false, |value| match value {
        Value::Bool(value) => Some(*value),
        _ => None,
    })
}

/// A number; `NaN` for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_number(value: Option<&enclave_value_t>) -> f64 {
    read(value, f64::NAN, |value| match value {
        Value::Number(value) => Some(*value),
        _ => None,
    })
}

/// A `Date` in milliseconds since 1970-01-01T00:00:00Z; `NaN` for an invalid date and for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_date(value: Option<&enclave_value_t>) -> f64 {
    read(value, f64::NAN, |value| match value {
        Value::Date(ms) => Some(*ms),
        _ => None,
    })
}

/// A whole number of 64 bits. If the value is a bigint or a number that is exactly one, it returns true and writes the
/// number to `integer`, which may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_int64(value: Option<&enclave_value_t>, integer: Option<&mut MaybeUninit<i64>>) -> bool {
    let found = read(value, None, |value| {
        Some(match value {
            Value::BigInt(value) => i64::try_from(value).ok(),
            Value::Number(value) if value.trunc() == *value && (-TWO_POW_63..TWO_POW_63).contains(value) => {
                Some(*value as i64)
            }
            _ => None,
        })
    });
    if let (Some(found), Some(integer)) = (found, integer) {
        integer.write(found);
    }
    found.is_some()
}

/// The decimal digits of a bigint. The buffer is filled, to be freed. INVALID_ARGUMENT: NULL, another kind, or more than
/// 16384 bits: so many digits would take time out of proportion. `enclave_value_to_cbor` gives the bytes of any bigint.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_bigint_text(
    value: Option<&enclave_value_t>,
    digits: Option<&mut MaybeUninit<enclave_buffer_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        text::give(required(digits, "digits")?, || match &required(value, "value")?.0 {
            Value::BigInt(value) => json::decimal(value, "value").map(String::into_bytes),
            other => {
                Err(Error::invalid_argument("value", format!("is of the kind {}; accepted is bigint", other.kind())))
            }
        })
    })
}

/// The UTF-8 of a string, **without a NUL behind it**: its length goes to `len`. Lent by the value. NULL and 0 for
/// any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_string(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend(value, len, |value| match value {
        Value::String(string) => Some(string.as_bytes()),
        _ => None,
    })
}

/// Bytes; their number goes to `len`. Lent by the value. NULL and 0 for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_bytes(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const u8 {
    let bytes = lend(value, len, |value| match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    });
    bytes.cast()
}

/// The number of values in an array or `Set`, of entries in a `Map`, of properties in an object; 0 for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_count(value: Option<&enclave_value_t>) -> usize {
    read(value, 0, |value| match value {
        Value::Array(items) | Value::Set(items) => Some(items.len()),
        Value::Map(entries) => Some(entries.len()),
        Value::Object(entries) => Some(entries.len()),
        _ => None,
    })
}

/// The value at a place, from 0: of an array or `Set` in order, of a `Map` or object the entry's value. Lent by the
/// container. NULL if there is no such place.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_item(value: Option<&enclave_value_t>, index: usize) -> Option<&enclave_value_t> {
    guard(None, || {
        let item = match &value?.0 {
            Value::Array(items) | Value::Set(items) => items.get(index),
            Value::Map(entries) => entries.get(index).map(|(_, value)| value),
            Value::Object(entries) => entries.get(index).map(|(_, value)| value),
            _ => None,
        };
        item.map(enclave_value_t::lend)
    })
}

/// The key of a `Map`'s entry at a place, from 0. Lent by the map. NULL if there is no such place.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_map_key(value: Option<&enclave_value_t>, index: usize) -> Option<&enclave_value_t> {
    guard(None, || match &value?.0 {
        Value::Map(entries) => entries.get(index).map(|(key, _)| enclave_value_t::lend(key)),
        _ => None,
    })
}

/// The key of an object's property at a place, from 0, **without a NUL behind it**: its length goes to `len`. Lent by
/// the object. NULL and 0 if there is no such place.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_object_key(
    value: Option<&enclave_value_t>,
    index: usize,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend(value, len, |value| match value {
        Value::Object(entries) => entries.get(index).map(|(key, _)| key.as_bytes()),
        _ => None,
    })
}

/// The property of an object. Lent by the object. NULL if the object has no such property, or for another kind. It
/// searches the keys; to read all properties, go by index (`enclave_value_object_key`, `enclave_value_item`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_get(
    value: Option<&enclave_value_t>,
    key: *const c_char,
    key_len: usize,
) -> Option<&enclave_value_t> {
    guard(None, || {
        // SAFETY: the caller keeps the contract of text.
        let key = unsafe { text(key, key_len, "key") }.ok()?;
        value?.0.get(key).map(enclave_value_t::lend)
    })
}

/// The `name` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_error_name(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend_of_error(value, len, |error| Some(&error.name))
}

/// The `message` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_error_message(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend_of_error(value, len, |error| Some(&error.message))
}

/// The `code` of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 if it has none, and
/// for any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_error_code(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend_of_error(value, len, |error| error.code.as_ref())
}

/// The stack of an `Error`, **without a NUL behind it**: its length goes to `len`. NULL and 0 if it has none, and for
/// any other kind.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_error_stack(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    lend_of_error(value, len, |error| error.stack.as_ref())
}

fn lend_of_error(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
    text: impl FnOnce(&ErrorValue) -> Option<&String>,
) -> *const c_char {
    lend(value, len, |value| match value {
        Value::Error(error) => text(error).map(|text| text.as_bytes()),
        _ => None,
    })
}

fn lend(
    value: Option<&enclave_value_t>,
    len: Option<&mut MaybeUninit<usize>>,
    bytes: impl FnOnce(&Value) -> Option<&[u8]>,
) -> *const c_char {
    guard(std::ptr::null(), || lend_bytes(value.and_then(|value| bytes(&value.0)), len))
}
