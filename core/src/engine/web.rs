//! What the web has beside ECMAScript and scripts count on: `structuredClone`, `TextEncoder`, `TextDecoder`, `atob` and
//! `btoa`. Native, so that no script can change how they work; their buffers are in the worker's ledger.

use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding, UTF_8};
use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::Handle;
use mozjs::jsapi::{
    CallArgs, GCContext, JSCLASS_FOREGROUND_FINALIZE, JSCLASS_RESERVED_SLOTS_SHIFT, JSClass, JSClassOps, JSNative,
    JSObject, JSPROP_ENUMERATE, JSStructuredCloneCallbacks,
};
use mozjs::jsval::{BooleanValue, Int32Value, JSVal, ObjectValue, PrivateValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::ToBoolean;
use mozjs::rust::wrappers2::{
    GetArrayLength, IsArrayObject, JS_DefineFunction, JS_DefineProperty1, JS_GetProperty, JS_InitClass,
    JS_NewObjectForConstructor, JS_NewPlainObject, JS_NewStringCopyN, JS_NewUCStringCopyN, JS_StructuredClone,
};

use super::native::StaticClass;
use super::native::{argument, argument_text, define_function, function, require_new};
use super::thrown::{JsResult, Thrown, check};
use super::{dom_exception, exception, memory, object, text};

/// What a decoder counts for in the ledger, which does not see Rust's memory.
const DECODER_BYTES: usize = 256;

pub(super) fn define_atob(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"atob", Some(atob), 1)
}

pub(super) fn define_btoa(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"btoa", Some(btoa), 1)
}

pub(super) fn define_structured_clone(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    define_function(cx, global, c"structuredClone", Some(structured_clone), 1)
}

pub(super) fn define_text_encoder(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    let methods: [(_, JSNative, _); 2] = [(c"encode", Some(encode), 0), (c"encodeInto", Some(encode_into), 2)];
    let getters: [(_, JSNative); 1] = [(c"encoding", Some(encoder_encoding))];
    define_class(cx, global, c"TextEncoder", Some(new_encoder), &methods, &getters)
}

pub(super) fn define_text_decoder(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    let methods: [(_, JSNative, _); 1] = [(c"decode", Some(decode), 0)];
    let getters: [(_, JSNative); 3] = [
        (c"encoding", Some(decoder_encoding)),
        (c"fatal", Some(decoder_fatal)),
        (c"ignoreBOM", Some(decoder_ignore_bom)),
    ];
    define_class(cx, global, c"TextDecoder", Some(new_decoder), &methods, &getters)
}

fn define_class(
    cx: &mut JSContext,
    global: Handle<*mut JSObject>,
    name: &'static CStr,
    constructor: JSNative,
    methods: &[(&'static CStr, JSNative, u32)],
    getters: &[(&'static CStr, JSNative)],
) -> JsResult<()> {
    use std::ptr::null;
    rooted!(&in(cx) let no_parent = std::ptr::null_mut::<JSObject>());
    // SAFETY: the handles are rooted, the name is static, and the tables may be absent.
    rooted!(&in(cx) let prototype = unsafe {
        JS_InitClass(cx, global, null(), no_parent.handle(), name.as_ptr(), constructor, 0, null(), null(), null(), null())
    });
    if prototype.get().is_null() {
        return Err(Thrown);
    }
    let attributes = JSPROP_ENUMERATE as u32;
    for (name, function, arguments) in methods {
        // SAFETY: the prototype is rooted, the name is static.
        let made =
            unsafe { JS_DefineFunction(cx, prototype.handle(), name.as_ptr(), *function, *arguments, attributes) };
        if made.is_null() {
            return Err(Thrown);
        }
    }
    for (name, getter) in getters {
        // SAFETY: as above.
        check(unsafe { JS_DefineProperty1(cx, prototype.handle(), name.as_ptr(), *getter, None, attributes) })?;
    }
    let tag = text::to_js(cx, name.to_str().unwrap_or_default())?;
    // SAFETY: not null, and rooted at once.
    rooted!(&in(cx) let tag = StringValue(unsafe { &*tag }));
    object::define_tag(cx, prototype.handle(), tag.handle())
}

/// A string of bytes, one a character.
fn return_latin1(cx: &mut JSContext, args: &CallArgs, bytes: &[u8]) -> JsResult<()> {
    // SAFETY: the bytes outlive the call, which copies them.
    let string = unsafe { JS_NewStringCopyN(cx, bytes.as_ptr().cast::<c_char>(), bytes.len()) };
    if string.is_null() {
        return Err(Thrown);
    }
    // SAFETY: not null, and rooted by being returned.
    args.rval().set(StringValue(unsafe { &*string }));
    Ok(())
}

/// As the web decodes: padding is optional, and what its last bits say does not matter.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The WHATWG's "forgiving-base64 decode".
fn forgiving_decode(text: &mut Vec<u8>) -> Option<Vec<u8>> {
    text.retain(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r'));
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            if text.last() == Some(&b'=') {
                text.pop();
            }
        }
    }
    FORGIVING.decode(&*text).ok()
}

function!(atob, |cx, _state, args| {
    rooted!(&in(cx) let string = argument_text(cx, args, 0, "atob")?);
    let _room = memory::reserve(text::length(string.handle()) * 2)?;
    let decoded = text::latin1(cx, string.handle())?.and_then(|mut text| forgiving_decode(&mut text));
    match decoded {
        Some(bytes) => return_latin1(cx, args, &bytes),
        None => {
            Err(dom_exception::throw(cx, "InvalidCharacterError", "atob: the string is not correctly encoded base64"))
        }
    }
});

function!(btoa, |cx, _state, args| {
    rooted!(&in(cx) let string = argument_text(cx, args, 0, "btoa")?);
    let _room = memory::reserve(text::length(string.handle()) * 3)?;
    match text::latin1(cx, string.handle())? {
        Some(bytes) => {
            let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
            return_latin1(cx, args, encoded.as_bytes())
        }
        None => {
            let message = "btoa: the string has characters outside of the range from U+0000 to U+00FF";
            Err(dom_exception::throw(cx, "InvalidCharacterError", message))
        }
    }
});

static CLONE_CALLBACKS: JSStructuredCloneCallbacks = JSStructuredCloneCallbacks {
    read: None,
    write: None,
    reportError: Some(on_clone_error),
    readTransfer: None,
    writeTransfer: None,
    freeTransfer: None,
    canTransfer: None,
    sabCloned: None,
};

unsafe extern "C" fn on_clone_error(cx: *mut RawJSContext, _id: u32, _data: *mut c_void, message: *const c_char) {
    // SAFETY: called by the engine with this thread's live context.
    let Some(cx) = std::ptr::NonNull::new(cx) else { return };
    // SAFETY: as above; one wrapper for this call.
    let mut cx = unsafe { JSContext::from_ptr(cx) };
    let _host = memory::on(memory::Side::Host);
    let message = if message.is_null() {
        "the value cannot be cloned".into()
    } else {
        // SAFETY: the engine's messages end in a NUL.
        unsafe { CStr::from_ptr(message) }.to_string_lossy()
    };
    // It is called from C++: a panic must not get out.
    let _ = catch_unwind(AssertUnwindSafe(|| dom_exception::throw(&mut cx, "DataCloneError", &message)));
}

function!(structured_clone, |cx, _state, args| {
    if args.argc_ == 0 {
        return Err(exception::throw(cx, "TypeError", "structuredClone: an argument is required"));
    }
    // SAFETY: used inside the call.
    rooted!(&in(cx) let transfer = member(cx, unsafe { argument(args, 1) }, c"transfer")?);
    refuse_transfer(cx, transfer.handle())?;
    rooted!(&in(cx) let mut copy = UndefinedValue());
    // SAFETY: all is rooted; the callbacks are static and need no data.
    check(memory::in_engine(|| unsafe {
        JS_StructuredClone(cx, argument(args, 0), copy.handle_mut(), &CLONE_CALLBACKS, std::ptr::null_mut())
    }))?;
    args.rval().set(copy.get());
    Ok(())
});

/// Nothing can be transferred, but nothing may be.
fn refuse_transfer(cx: &mut JSContext, transfer: Handle<JSVal>) -> JsResult<()> {
    if transfer.get().is_undefined() {
        return Ok(());
    }
    let (mut is_array, mut length) = (false, 0);
    // SAFETY: all is rooted; the places are valid.
    check(unsafe { IsArrayObject(cx, transfer, &mut is_array) })?;
    if is_array {
        rooted!(&in(cx) let list = transfer.get().to_object());
        // SAFETY: as above.
        check(unsafe { GetArrayLength(cx, list.handle(), &mut length) })?;
        if length == 0 {
            return Ok(());
        }
    }
    if !transfer.get().is_object() {
        return Err(exception::throw(
            cx,
            "TypeError",
            "structuredClone: the option transfer must be a list of objects",
        ));
    }
    let message = "structuredClone: transferring is not supported: leave out the option transfer";
    Err(dom_exception::throw(cx, "DataCloneError", message))
}

/// A member of an argument with options, which may be left out.
fn member(cx: &mut JSContext, options: Handle<JSVal>, name: &CStr) -> JsResult<JSVal> {
    if options.get().is_null_or_undefined() {
        return Ok(UndefinedValue());
    }
    if !options.get().is_object() {
        return Err(exception::throw(cx, "TypeError", "the options must be an object"));
    }
    rooted!(&in(cx) let options = options.get().to_object());
    rooted!(&in(cx) let mut value = UndefinedValue());
    // SAFETY: all is rooted.
    check(memory::in_engine(|| unsafe { JS_GetProperty(cx, options.handle(), name.as_ptr(), value.handle_mut()) }))?;
    Ok(value.get())
}

static ENCODER_CLASS: StaticClass = StaticClass(JSClass {
    name: c"TextEncoder".as_ptr(),
    flags: 0,
    cOps: std::ptr::null(),
    spec: std::ptr::null(),
    ext: std::ptr::null(),
    oOps: std::ptr::null(),
});

static DECODER_CLASS_OPS: JSClassOps = JSClassOps {
    addProperty: None,
    delProperty: None,
    enumerate: None,
    newEnumerate: None,
    resolve: None,
    mayResolve: None,
    finalize: Some(finalize_decoder),
    call: None,
    construct: None,
    trace: None,
};

static DECODER_CLASS: StaticClass = StaticClass(JSClass {
    name: c"TextDecoder".as_ptr(),
    flags: JSCLASS_FOREGROUND_FINALIZE | (1 << JSCLASS_RESERVED_SLOTS_SHIFT),
    cOps: &raw const DECODER_CLASS_OPS,
    spec: std::ptr::null(),
    ext: std::ptr::null(),
    oOps: std::ptr::null(),
});

/// The state of a `TextDecoder`, owned by its object's slot 0.
struct DecoderState {
    encoding: &'static Encoding,
    fatal: bool,
    ignore_bom: bool,
    /// In the middle of a stream.
    decoder: Option<Decoder>,
}

impl DecoderState {
    fn new_decoder(&self) -> Decoder {
        if self.ignore_bom {
            self.encoding.new_decoder_without_bom_handling()
        } else {
            self.encoding.new_decoder_with_bom_removal()
        }
    }
}

unsafe extern "C" fn finalize_decoder(_gc: *mut GCContext, object: *mut JSObject) {
    // The state is ours, so it must not be subtracted from what the engine holds.
    let _host = memory::on(memory::Side::Host);
    let mut slot = UndefinedValue();
    // SAFETY: the engine finalises each object once; slot 0 holds what `new_decoder` has put there, or nothing yet.
    unsafe {
        mozjs::glue::JS_GetReservedSlot(object, 0, &mut slot);
        if !slot.is_undefined() {
            drop(Box::from_raw(slot.to_private() as *mut DecoderState));
            if let Some(ledger) = memory::current() {
                ledger.subtract(DECODER_BYTES);
            }
        }
    }
}

/// The object that `new` is to give.
fn construct(cx: &mut JSContext, args: &CallArgs, class: &'static StaticClass) -> JsResult<*mut JSObject> {
    // SAFETY: the class is static, the arguments are those of a constructor's call.
    let object = memory::in_engine(|| unsafe { JS_NewObjectForConstructor(cx, &class.0, args) });
    if object.is_null() { Err(Thrown) } else { Ok(object) }
}

/// Whether `this` is an object of this class.
fn is_this(args: &CallArgs, class: &'static StaticClass) -> bool {
    let this = args.thisv().get();
    // SAFETY: `this` is rooted by the engine.
    this.is_object() && unsafe { std::ptr::eq(mozjs::rust::get_object_class(this.to_object()), &class.0) }
}

fn require_this_encoder(cx: &mut JSContext, args: &CallArgs) -> JsResult<()> {
    match is_this(args, &ENCODER_CLASS) {
        true => Ok(()),
        false => Err(exception::throw(cx, "TypeError", "this is no TextEncoder")),
    }
}

fn return_encoding(cx: &mut JSContext, args: &CallArgs, encoding: &'static Encoding) -> JsResult<()> {
    return_latin1(cx, args, encoding.name().to_ascii_lowercase().as_bytes())
}

function!(encoder_encoding, |cx, _state, args| {
    require_this_encoder(cx, args)?;
    return_encoding(cx, args, UTF_8)
});

function!(decoder_encoding, |cx, _state, args| {
    let encoding = this_decoder(cx, args)?.encoding;
    return_encoding(cx, args, encoding)
});

function!(decoder_fatal, |cx, _state, args| {
    args.rval().set(BooleanValue(this_decoder(cx, args)?.fatal));
    Ok(())
});

function!(decoder_ignore_bom, |cx, _state, args| {
    args.rval().set(BooleanValue(this_decoder(cx, args)?.ignore_bom));
    Ok(())
});

function!(new_encoder, |cx, _state, args| {
    require_new(cx, args, "TextEncoder")?;
    rooted!(&in(cx) let object = construct(cx, args, &ENCODER_CLASS)?);
    args.rval().set(ObjectValue(object.get()));
    Ok(())
});

/// The text of the first argument, `undefined` being the empty one, with room for it.
fn source_text(cx: &mut JSContext, args: &CallArgs) -> JsResult<(memory::Reserved, String)> {
    // SAFETY: used inside the call.
    if unsafe { argument(args, 0) }.get().is_undefined() {
        return Ok((memory::Reserved::default(), String::new()));
    }
    rooted!(&in(cx) let string = argument_text(cx, args, 0, "TextEncoder")?);
    let room = memory::reserve(text::length(string.handle()) * 3)?;
    let text = text::to_rust(cx, string.handle())?;
    Ok((room, text))
}

function!(encode, |cx, _state, args| {
    require_this_encoder(cx, args)?;
    let (_room, text) = source_text(cx, args)?;
    let bytes = object::bytes_from(cx, text.as_bytes())?;
    args.rval().set(bytes);
    Ok(())
});

function!(encode_into, |cx, _state, args| {
    require_this_encoder(cx, args)?;
    let (_room, text) = source_text(cx, args)?;
    // SAFETY: used inside the call.
    let target = unsafe { argument(args, 1) };
    let target = if target.get().is_object() { target.get().to_object() } else { std::ptr::null_mut() };
    rooted!(&in(cx) let target = target);
    let Some(written) =
        object::write_uint8_array(target.handle(), text.as_bytes(), |room| text.floor_char_boundary(room))
    else {
        return Err(exception::throw(cx, "TypeError", "encodeInto: the second argument must be a Uint8Array"));
    };
    let read = text[..written].encode_utf16().count();
    // SAFETY: rooted at once.
    rooted!(&in(cx) let result = unsafe { JS_NewPlainObject(cx) });
    if result.get().is_null() {
        return Err(Thrown);
    }
    for (name, number) in [("read", read), ("written", written)] {
        rooted!(&in(cx) let number = Int32Value(i32::try_from(number).unwrap_or(i32::MAX)));
        object::define(cx, result.handle(), name, number.handle())?;
    }
    args.rval().set(ObjectValue(result.get()));
    Ok(())
});

/// An option that is true or false.
fn option(cx: &mut JSContext, options: Handle<JSVal>, name: &CStr) -> JsResult<bool> {
    rooted!(&in(cx) let value = member(cx, options, name)?);
    // SAFETY: the value is rooted.
    Ok(unsafe { ToBoolean(value.handle()) })
}

function!(new_decoder, |cx, _state, args| {
    require_new(cx, args, "TextDecoder")?;
    // SAFETY: used inside the call, here and below.
    let label = unsafe { argument(args, 0) };
    let encoding = if label.get().is_undefined() {
        UTF_8
    } else {
        rooted!(&in(cx) let label = argument_text(cx, args, 0, "TextDecoder")?);
        let label = text::prefix(cx, label.handle(), 100)?;
        match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) => encoding,
            None => {
                let message = format!("TextDecoder: {label:?} is no known encoding");
                return Err(exception::throw(cx, "RangeError", &message));
            }
        }
    };
    // SAFETY: as above.
    let options = unsafe { argument(args, 1) };
    let (fatal, ignore_bom) = (option(cx, options, c"fatal")?, option(cx, options, c"ignoreBOM")?);
    rooted!(&in(cx) let object = construct(cx, args, &DECODER_CLASS)?);
    if let Some(ledger) = memory::current() {
        ledger.add(DECODER_BYTES);
    }
    let state = Box::new(DecoderState { encoding, fatal, ignore_bom, decoder: None });
    // SAFETY: the object is new and has the slot; from here on it owns the state.
    unsafe { mozjs::jsapi::JS_SetReservedSlot(object.get(), 0, &PrivateValue(Box::into_raw(state).cast::<c_void>())) };
    args.rval().set(ObjectValue(object.get()));
    Ok(())
});

/// The state of the decoder that a method is called on.
fn this_decoder<'a>(cx: &mut JSContext, args: &CallArgs) -> JsResult<&'a mut DecoderState> {
    if is_this(args, &DECODER_CLASS) {
        let mut slot = UndefinedValue();
        // SAFETY: `this` is rooted by the engine. Only objects of this class have the slot, and only with a state in
        // it; the object lives as long as the call, and one call at a time uses it.
        unsafe {
            mozjs::glue::JS_GetReservedSlot(args.thisv().get().to_object(), 0, &mut slot);
            if !slot.is_undefined() {
                return Ok(&mut *(slot.to_private() as *mut DecoderState));
            }
        }
    }
    Err(exception::throw(cx, "TypeError", "this is no TextDecoder"))
}

/// Copies the bytes of a buffer or a view out.
fn source_bytes(cx: &mut JSContext, source: Handle<JSVal>) -> JsResult<Vec<u8>> {
    if source.get().is_undefined() {
        return Ok(Vec::new());
    }
    if source.get().is_object() {
        rooted!(&in(cx) let object = source.get().to_object());
        if let Some(bytes) = object::copy_bytes(object.handle()) {
            return Ok(bytes);
        }
    }
    Err(exception::throw(cx, "TypeError", "decode: the argument must be an ArrayBuffer, a typed array or a DataView"))
}

function!(decode, |cx, _state, args| {
    this_decoder(cx, args)?;
    // SAFETY: used inside the call, here and below.
    let stream = option(cx, unsafe { argument(args, 1) }, c"stream")?;
    // SAFETY: as above.
    let source = unsafe { argument(args, 0) };
    let length = if source.get().is_object() {
        rooted!(&in(cx) let object = source.get().to_object());
        object::byte_length(object.handle())
    } else {
        0
    };
    // The bytes, and two for each of them as UTF-16, and two for what a stream still holds.
    let _room = memory::reserve(length * 3 + 16)?;
    let bytes = source_bytes(cx, source)?;
    let state = this_decoder(cx, args)?;
    let mut decoder = state.decoder.take().unwrap_or_else(|| state.new_decoder());
    let mut units = vec![0u16; decoder.max_utf16_buffer_length(bytes.len()).unwrap_or(bytes.len() + 8)];
    let written = if state.fatal {
        let (result, _, written) = decoder.decode_to_utf16_without_replacement(&bytes, &mut units, !stream);
        (result == DecoderResult::InputEmpty).then_some(written)
    } else {
        let (result, _, written, _) = decoder.decode_to_utf16(&bytes, &mut units, !stream);
        (result == CoderResult::InputEmpty).then_some(written)
    };
    let Some(written) = written else {
        let message = format!("decode: the bytes are not valid {}", state.encoding.name().to_ascii_lowercase());
        return Err(exception::throw(cx, "TypeError", &message));
    };
    if stream {
        state.decoder = Some(decoder);
    }
    // SAFETY: the units outlive the call, which copies them.
    let string = unsafe { JS_NewUCStringCopyN(cx, units.as_ptr(), written) };
    if string.is_null() {
        return Err(Thrown);
    }
    // SAFETY: not null, and rooted by being returned.
    args.rval().set(StringValue(unsafe { &*string }));
    Ok(())
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_as_forgivingly_as_the_web_does() {
        let decode = |text: &str| forgiving_decode(&mut text.as_bytes().to_vec());
        assert_eq!(decode("YQ==").as_deref(), Some(&b"a"[..]));
        assert_eq!(decode(" Y\tQ\n= =").as_deref(), Some(&b"a"[..]));
        assert_eq!(decode("YR").as_deref(), Some(&b"a"[..]));
        assert_eq!(decode("").as_deref(), Some(&b""[..]));
        assert_eq!(decode("Y"), None);
        assert_eq!(decode("YQ="), None);
        assert_eq!(decode("Y=Q="), None);
        assert_eq!(decode("YQ-_"), None);
    }
}
