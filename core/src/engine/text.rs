//! Strings between the engine's forms (Latin-1, UTF-16, ropes) and UTF-8.

use std::ffi::CString;

use mozjs::context::JSContext;
use mozjs::conversions::Utf8Chars;
use mozjs::gc::Handle;
use mozjs::jsapi::{
    JS_DeprecatedStringHasLatin1Chars, JS_GetLatin1StringCharsAndLength, JS_GetStringLength,
    JS_GetTwoByteStringCharsAndLength, JSString,
};
use mozjs::rust::wrappers2::JS_NewStringCopyUTF8N;

use super::memory::BLOCK;
use super::thrown::{JsResult, Thrown};

/// The number of UTF-16 units of a string.
pub(super) fn length(string: Handle<*mut JSString>) -> usize {
    // SAFETY: the handle holds a live string.
    unsafe { JS_GetStringLength(string.get()) }
}

/// Bytes that a copy of a string takes at most while it is made.
pub(super) fn room(string: Handle<*mut JSString>) -> usize {
    // SAFETY: the handle holds a live string.
    let most = if unsafe { JS_DeprecatedStringHasLatin1Chars(string.get()) } { 2 } else { 3 };
    BLOCK + most * length(string)
}

/// The characters of a string as the engine holds them.
enum Chars<'a> {
    Latin1(&'a [u8]),
    TwoByte(&'a [u16]),
}

/// Hands the characters of a string to `read`, which must not touch the engine. Flattening a rope may run out of memory.
fn with_chars<R>(cx: &mut JSContext, string: Handle<*mut JSString>, read: impl FnOnce(Chars) -> R) -> JsResult<R> {
    // SAFETY: the handle holds a live string. The characters are there as long as nothing touches the engine, and the
    // lifetime of `Chars` keeps `read` from letting them out.
    unsafe {
        let mut length = 0;
        if JS_DeprecatedStringHasLatin1Chars(string.get()) {
            let chars = JS_GetLatin1StringCharsAndLength(cx.raw_cx(), std::ptr::null(), string.get(), &mut length);
            if chars.is_null() {
                return Err(Thrown);
            }
            return Ok(read(Chars::Latin1(std::slice::from_raw_parts(chars, length))));
        }
        let chars = JS_GetTwoByteStringCharsAndLength(cx.raw_cx(), std::ptr::null(), string.get(), &mut length);
        if chars.is_null() {
            return Err(Thrown);
        }
        Ok(read(Chars::TwoByte(std::slice::from_raw_parts(chars, length))))
    }
}

/// Copies a string out as UTF-8; lone surrogates become U+FFFD.
pub(super) fn to_rust(cx: &mut JSContext, string: Handle<*mut JSString>) -> JsResult<String> {
    prefix(cx, string, usize::MAX)
}

/// The first `max` UTF-16 units of a string, or all.
pub(super) fn prefix(cx: &mut JSContext, string: Handle<*mut JSString>, max: usize) -> JsResult<String> {
    with_chars(cx, string, |chars| match chars {
        Chars::Latin1(chars) => encoding_rs::mem::decode_latin1(&chars[..chars.len().min(max)]).into_owned(),
        Chars::TwoByte(units) => from_utf16(&units[..units.len().min(max)]),
    })
}

/// The characters of a string as bytes; none if one is above U+00FF.
pub(super) fn latin1(cx: &mut JSContext, string: Handle<*mut JSString>) -> JsResult<Option<Vec<u8>>> {
    with_chars(cx, string, |chars| match chars {
        Chars::Latin1(chars) => Some(chars.to_vec()),
        Chars::TwoByte(units) => units.iter().map(|unit| u8::try_from(*unit).ok()).collect(),
    })
}

/// UTF-16 as UTF-8; lone surrogates become U+FFFD.
fn from_utf16(units: &[u16]) -> String {
    let mut bytes = vec![0; units.len() * 3];
    let written = encoding_rs::mem::convert_utf16_to_utf8(units, &mut bytes);
    bytes.truncate(written);
    bytes.shrink_to_fit();
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Copies a string into the engine.
pub(super) fn to_js(cx: &mut JSContext, text: &str) -> JsResult<*mut JSString> {
    let chars = Utf8Chars::from(text);
    // SAFETY: `chars` borrows `text`, which outlives the call.
    let string = unsafe { JS_NewStringCopyUTF8N(cx, &*chars) };
    if string.is_null() { Err(Thrown) } else { Ok(string) }
}

/// `text` as a C string, cut at an inner NUL: for messages that the engine takes as such.
pub(super) fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}
