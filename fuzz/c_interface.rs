//! Fuzz targets for what goes through the C interface, called as C would.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use enclave_c::config::*;
use enclave_c::error::*;
use enclave_c::options::*;
use enclave_c::setting::*;
use enclave_c::status::*;
use enclave_c::text::*;
use enclave_c::value::codec::*;
use enclave_c::value::make::*;
use enclave_c::value::*;

/// Bytes that are taken from the front; zeros at the end.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        self.some(1).first().copied().unwrap_or_default()
    }

    fn number<const N: usize>(&mut self) -> [u8; N] {
        let mut number = [0; N];
        let some = self.some(N);
        number[..some.len()].copy_from_slice(some);
        number
    }

    fn some(&mut self, length: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        some
    }

    fn short(&mut self) -> &'a [u8] {
        let length = self.byte() % 32;
        self.some(length.into())
    }
}

type Place = MaybeUninit<*mut enclave_error_t>;

/// The status in the place of an error: OK where there is none. A message is there exactly where it is not OK.
fn status_of(place: Place) -> enclave_status_t {
    // SAFETY: every function that is given a place writes NULL or an owned error.
    let error = unsafe { place.assume_init().as_mut().map(|error| Box::from_raw(error)) };
    let status = error.as_deref().map_or(ENCLAVE_OK, |error| enclave_error_status(Some(error)));
    if let Some(error) = &error {
        let mut length = MaybeUninit::uninit();
        // SAFETY: the message lives as long as the error.
        let message = unsafe { CStr::from_ptr(enclave_error_message(Some(error), Some(&mut length))) };
        assert!(!message.is_empty() && status != ENCLAVE_OK && status != ENCLAVE_INTERNAL, "{message:?}");
    }
    enclave_error_free(error);
    status
}

/// Builds a value by a stack: each byte is a call.
pub fn values(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut stack: Vec<Box<enclave_value_t>> = Vec::new();
    while !bytes.0.is_empty() && stack.len() < 100 {
        let mut place = Place::uninit();
        let text = |text: &[u8]| (text.as_ptr().cast::<c_char>(), text.len());
        match bytes.byte() % 18 {
            0 => stack.extend(enclave_value_new_undefined()),
            1 => stack.extend(enclave_value_new_null()),
            2 => stack.extend(enclave_value_new_bool(bytes.byte() % 2 == 1)),
            3 => stack.extend(enclave_value_new_number(f64::from_le_bytes(bytes.number()))),
            4 => stack.extend(enclave_value_new_bigint(i64::from_le_bytes(bytes.number()))),
            5 => stack.extend(enclave_value_new_date(f64::from_le_bytes(bytes.number()))),
            6 => stack.extend(enclave_value_new_array()),
            7 => stack.extend(enclave_value_new_map()),
            8 => stack.extend(enclave_value_new_set()),
            9 => stack.extend(enclave_value_new_object()),
            10 => {
                let digits = bytes.short();
                let (data, length) = text(digits);
                // SAFETY: the text is as long as said.
                let made = unsafe { enclave_value_new_bigint_text(data, length, Some(&mut place)) };
                let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
                let is_number = !unsigned.is_empty() && unsigned.iter().all(u8::is_ascii_digit);
                assert_eq!((made.is_some(), status_of(place)), (is_number, expected(is_number)), "{digits:?}");
                stack.extend(made);
            }
            11 => {
                let string = bytes.short();
                let (data, length) = text(string);
                // SAFETY: the text is as long as said.
                let made = unsafe { enclave_value_new_string(data, length, Some(&mut place)) };
                let is_text = std::str::from_utf8(string).is_ok();
                assert_eq!((made.is_some(), status_of(place)), (is_text, expected(is_text)), "{string:?}");
                stack.extend(made);
            }
            12 => {
                let (data, length) = text(bytes.short());
                // SAFETY: the bytes are as many as said.
                stack.extend(unsafe { enclave_value_new_bytes(data.cast(), length, Some(&mut place)) });
                assert_eq!(status_of(place), ENCLAVE_OK);
            }
            13 => {
                let (name, name_len) = text(bytes.short());
                let (message, message_len) = text(bytes.short());
                let (code, code_len) = text(bytes.short());
                // SAFETY: the texts are as long as said.
                let made = unsafe {
                    enclave_value_new_error(name, name_len, message, message_len, code, code_len, Some(&mut place))
                };
                assert_eq!(made.is_some(), status_of(place) == ENCLAVE_OK);
                stack.extend(made);
            }
            14 => {
                let value = taken(stack.pop());
                let container = stack.last_mut().map(|container| &mut **container);
                // SAFETY: the value is owned, or NULL.
                let status = unsafe { enclave_value_push(container, value, Some(&mut place)) };
                assert_eq!(status_of(place), status);
            }
            15 => {
                let (value, key) = (taken(stack.pop()), taken(stack.pop()));
                let container = stack.last_mut().map(|container| &mut **container);
                // SAFETY: both are owned, or NULL.
                let status = unsafe { enclave_value_map_set(container, key, value, Some(&mut place)) };
                assert_eq!(status_of(place), status);
            }
            16 => {
                let value = taken(stack.pop());
                let (key, key_len) = text(bytes.short());
                let container = stack.last_mut().map(|container| &mut **container);
                // SAFETY: the key is as long as said, the value owned or NULL.
                let status = unsafe { enclave_value_object_set(container, key, key_len, value, Some(&mut place)) };
                assert_eq!(status_of(place), status);
            }
            _ => {
                let copy = stack.last().and_then(|value| enclave_value_clone(Some(value)));
                stack.extend(copy);
            }
        }
    }
    for value in stack {
        let bytes = encoded(&value, enclave_value_to_cbor);
        let mut place = Place::uninit();
        // SAFETY: the bytes are as many as said.
        let read = unsafe { enclave_value_from_cbor(bytes.as_ptr().cast(), bytes.len(), Some(&mut place)) };
        assert_eq!(status_of(place), ENCLAVE_OK);
        assert_eq!(encoded(read.as_ref().unwrap(), enclave_value_to_cbor), bytes);

        let text = encoded(&value, enclave_value_to_json);
        assert_eq!(encoded(read.as_ref().unwrap(), enclave_value_to_json), text);
        let mut place = Place::uninit();
        // SAFETY: the text is as long as said.
        let from_json = unsafe { enclave_value_from_json(text.as_ptr().cast(), text.len(), Some(&mut place)) };
        assert!(status_of(place) == ENCLAVE_OK && from_json.is_some());
        for value in [Some(value), read, from_json] {
            enclave_value_free(value);
        }
    }
}

fn expected(fine: bool) -> enclave_status_t {
    if fine { ENCLAVE_OK } else { ENCLAVE_INVALID_ARGUMENT }
}

fn taken(value: Option<Box<enclave_value_t>>) -> *mut enclave_value_t {
    value.map_or(std::ptr::null_mut(), Box::into_raw)
}

type Encode = extern "C" fn(
    Option<&enclave_value_t>,
    Option<&mut MaybeUninit<enclave_buffer_t>>,
    Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t;

fn encoded(value: &enclave_value_t, encode: Encode) -> Vec<u8> {
    let (mut buffer, mut place) = (MaybeUninit::uninit(), Place::uninit());
    assert_eq!(encode(Some(value), Some(&mut buffer), Some(&mut place)), ENCLAVE_OK);
    assert_eq!(status_of(place), ENCLAVE_OK);
    // SAFETY: it has been filled.
    let mut buffer = unsafe { buffer.assume_init() };
    // SAFETY: the buffer has so many bytes, and a NUL behind them.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.data.cast::<u8>(), buffer.len + 1) };
    let (nul, bytes) = bytes.split_last().unwrap();
    assert_eq!(*nul, 0);
    let bytes = bytes.to_vec();
    // SAFETY: it was filled by the library, and is freed once.
    unsafe { enclave_buffer_free(Some(&mut buffer)) };
    bytes
}

/// Settings by number and by name, on a config and on options: what was set is read back, or refused with a reason.
pub fn settings(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some(mut config) = enclave_config_new(i32::from(bytes.byte() % 6)) else { return };
    let mut options = enclave_options_new().unwrap();
    let mut given = Vec::new();
    while !bytes.0.is_empty() {
        let setting = match bytes.byte() {
            // By its name, or what looks like one.
            255 => {
                let name = bytes.short();
                // SAFETY: the name is as long as said.
                unsafe { enclave_setting_from_name(name.as_ptr().cast(), name.len()) }
            }
            254 => i32::from_le_bytes(bytes.number()),
            number => number.into(),
        };
        let value = match bytes.byte() {
            255 => u64::from_le_bytes(bytes.number()),
            254 => u32::from_le_bytes(bytes.number()).into(),
            shift @ 200..254 => 1 << (shift - 200),
            small => small.into(),
        };
        let name = enclave_setting_name(setting);
        let status = enclave_config_set(Some(&mut config), setting, value);
        assert_eq!(status, expected(!name.is_null()), "{setting}");
        let limit = enclave_options_set(Some(&mut options), setting, value);
        assert!(limit == ENCLAVE_OK || limit == ENCLAVE_INVALID_ARGUMENT);
        assert!(limit != ENCLAVE_OK || setting >= ENCLAVE_SETTING_TIMEOUT_MS && !name.is_null());
        if name.is_null() {
            assert_eq!(enclave_config_get(Some(&config), setting), 0);
            // It is not forgotten: the config cannot be used any more.
            given.clear();
            given.push((ENCLAVE_SETTING_NONE, 0));
            break;
        }
        // SAFETY: the name is a constant with a NUL behind it.
        let text = unsafe { CStr::from_ptr(name) };
        // SAFETY: as above.
        assert_eq!(unsafe { enclave_setting_from_name(name, text.count_bytes()) }, setting);
        given.retain(|(known, _)| *known != setting);
        given.push((setting, value));
        for (known, value) in &given {
            assert_eq!(enclave_config_get(Some(&config), *known), *value);
        }
    }
    let mut place = Place::uninit();
    let status = enclave_config_validate(Some(&config), Some(&mut place));
    assert_eq!(status_of(place), status);
    if given.contains(&(ENCLAVE_SETTING_NONE, 0)) {
        assert_eq!(status, ENCLAVE_INVALID_ARGUMENT);
    }
    assert!([ENCLAVE_OK, ENCLAVE_INVALID_ARGUMENT, ENCLAVE_UNSUPPORTED].contains(&status));
    enclave_options_free(Some(options));
    enclave_config_free(Some(config));
}
