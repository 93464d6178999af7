//! Values as JSON and CBOR, whole and in one buffer.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use enclave_core::{Error, MAX_VALUE_DEPTH, Value, cbor, json};

use crate::attempt::{attempt, make};
use crate::boundary::required;
use crate::error::enclave_error_t;
use crate::status::enclave_status_t;
use crate::text::{self, enclave_buffer_t, text};
use crate::value::enclave_value_t;

/// Reads one value of JSON. Owned by the caller. NULL and INVALID_ARGUMENT: NULL, not JSON (the message says where and
/// why), or nested deeper than 512 levels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_from_json(
    json: *const c_char,
    json_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of text.
        let json = unsafe { text(json, json_len, "json") }?;
        from_json(json).map(enclave_value_t)
    })
}

/// Reads one value of CBOR (RFC 8949), the form that keeps every kind of value. Owned by the caller. NULL and
/// INVALID_ARGUMENT: NULL, not CBOR (the message says where and why), or nested deeper than 512 levels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_value_from_cbor(
    cbor: *const c_void,
    cbor_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> Option<Box<enclave_value_t>> {
    make(error, || {
        // SAFETY: the caller keeps the contract of bytes.
        let cbor = unsafe { text::bytes(cbor, cbor_len, "cbor") }?;
        from_cbor(cbor).map(enclave_value_t)
    })
}

/// Writes a value as JSON, without white space. The buffer is filled, to be freed. If JSON has no such value, it writes
/// the nearest: a bigint as its digits in a string, bytes as base64, a `Date` as ISO 8601, a `Map` as an object (or as
/// pairs, if a key is no string), a `Set` as an array, an `Error` as its name and message; `undefined`, `NaN` and the
/// infinities as null. CBOR loses nothing. INVALID_ARGUMENT: a NULL, or a bigint of more than 16384 bits, because so
/// many digits would take time out of proportion.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_to_json(
    value: Option<&enclave_value_t>,
    json: Option<&mut MaybeUninit<enclave_buffer_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        text::give(required(json, "json")?, || {
            json::to_string(&required(value, "value")?.0, "value").map(String::into_bytes)
        })
    })
}

/// Writes a value as CBOR (RFC 8949), the form that keeps every kind of value. The buffer is filled, to be freed.
/// INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_value_to_cbor(
    value: Option<&enclave_value_t>,
    cbor: Option<&mut MaybeUninit<enclave_buffer_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || text::give(required(cbor, "cbor")?, || cbor::to_vec(&required(value, "value")?.0, "value")))
}

pub(crate) fn from_json(text: &str) -> Result<Value, Error> {
    json::from_str(text, MAX_VALUE_DEPTH, "json")
}

pub(crate) fn from_cbor(bytes: &[u8]) -> Result<Value, Error> {
    cbor::from_slice(bytes, MAX_VALUE_DEPTH, "cbor")
}
