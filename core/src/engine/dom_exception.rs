//! `DOMException`: the errors of what the web has beside ECMAScript. Each is a real `Error` of the engine, with a stack,
//! under a prototype of its own.

use std::ffi::CStr;

use mozjs::context::JSContext;
use mozjs::gc::{Handle, RootedTraceableBox};
use mozjs::jsapi::{
    ExceptionStackBehavior, Heap, JSObject, JSPROP_ENUMERATE, JSPROP_PERMANENT, JSPROP_READONLY, JSProtoKey,
};
use mozjs::jsval::{Int32Value, ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    JS_DefineProperty, JS_GetClassPrototype, JS_GetConstructor, JS_GetProperty, JS_InitClass, JS_NewPlainObject,
    JS_SetPendingException, JS_SetPrototype,
};

use super::native::{function, optional_text, require_new};
use super::state::State;
use super::thrown::{JsResult, Thrown, check};
use super::{exception, memory, object, text};

/// The constants, by their numbers from 1 on, and the names that have these codes.
const CODES: [(&CStr, &str); 25] = [
    (c"INDEX_SIZE_ERR", "IndexSizeError"),
    (c"DOMSTRING_SIZE_ERR", ""),
    (c"HIERARCHY_REQUEST_ERR", "HierarchyRequestError"),
    (c"WRONG_DOCUMENT_ERR", "WrongDocumentError"),
    (c"INVALID_CHARACTER_ERR", "InvalidCharacterError"),
    (c"NO_DATA_ALLOWED_ERR", ""),
    (c"NO_MODIFICATION_ALLOWED_ERR", "NoModificationAllowedError"),
    (c"NOT_FOUND_ERR", "NotFoundError"),
    (c"NOT_SUPPORTED_ERR", "NotSupportedError"),
    (c"INUSE_ATTRIBUTE_ERR", "InUseAttributeError"),
    (c"INVALID_STATE_ERR", "InvalidStateError"),
    (c"SYNTAX_ERR", "SyntaxError"),
    (c"INVALID_MODIFICATION_ERR", "InvalidModificationError"),
    (c"NAMESPACE_ERR", "NamespaceError"),
    (c"INVALID_ACCESS_ERR", "InvalidAccessError"),
    (c"VALIDATION_ERR", ""),
    (c"TYPE_MISMATCH_ERR", "TypeMismatchError"),
    (c"SECURITY_ERR", "SecurityError"),
    (c"NETWORK_ERR", "NetworkError"),
    (c"ABORT_ERR", "AbortError"),
    (c"URL_MISMATCH_ERR", "URLMismatchError"),
    (c"QUOTA_EXCEEDED_ERR", "QuotaExceededError"),
    (c"TIMEOUT_ERR", "TimeoutError"),
    (c"INVALID_NODE_TYPE_ERR", "InvalidNodeTypeError"),
    (c"DATA_CLONE_ERR", "DataCloneError"),
];

fn code(name: &str) -> i32 {
    let place = CODES.iter().position(|(_, named)| !name.is_empty() && *named == name);
    place.map_or(0, |place| place as i32 + 1)
}

/// Defines the class on the global.
pub(super) fn define(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    rooted!(&in(cx) let prototype = prototype(cx)?);
    // SAFETY: the prototype is rooted, and what is found is rooted at once.
    rooted!(&in(cx) let constructor = unsafe { JS_GetConstructor(cx, prototype.handle()) });
    if constructor.get().is_null() {
        return Err(Thrown);
    }
    rooted!(&in(cx) let constructor = ObjectValue(constructor.get()));
    object::define_with(cx, global, "DOMException", constructor.handle(), 0)
}

/// The prototype of the current realm, which is made when it is first needed: also if script has taken the class away.
fn prototype(cx: &mut JSContext) -> JsResult<*mut JSObject> {
    use std::ptr::null;
    let state = State::of(cx);
    if let Some(made) = &*state.current.borrow().dom_exception.borrow() {
        return Ok(made.get());
    }
    rooted!(&in(cx) let mut error = std::ptr::null_mut::<JSObject>());
    // SAFETY: a plain call; rooted at once.
    rooted!(&in(cx) let holder = unsafe { JS_NewPlainObject(cx) });
    // SAFETY: `error` is rooted.
    if holder.get().is_null() || !unsafe { JS_GetClassPrototype(cx, JSProtoKey::JSProto_Error, error.handle_mut()) } {
        return Err(Thrown);
    }
    let (parent, name) = (error.handle(), c"DOMException".as_ptr());
    // SAFETY: the handles are rooted, the name is static, and the tables may be absent.
    rooted!(&in(cx) let prototype = unsafe {
        JS_InitClass(cx, holder.handle(), null(), parent, name, Some(construct), 0, null(), null(), null(), null())
    });
    if prototype.get().is_null() {
        return Err(Thrown);
    }
    // SAFETY: the prototype is rooted; what is found is rooted at once.
    rooted!(&in(cx) let constructor = unsafe { JS_GetConstructor(cx, prototype.handle()) });
    if constructor.get().is_null() {
        return Err(Thrown);
    }
    for (place, (name, _)) in CODES.iter().enumerate() {
        rooted!(&in(cx) let code = Int32Value(place as i32 + 1));
        let attributes = (JSPROP_ENUMERATE | JSPROP_READONLY | JSPROP_PERMANENT) as u32;
        for object in [prototype.handle(), constructor.handle()] {
            // SAFETY: all is rooted, the name is static.
            check(unsafe { JS_DefineProperty(cx, object, name.as_ptr(), code.handle(), attributes) })?;
        }
    }
    let tag = text::to_js(cx, "DOMException")?;
    // SAFETY: not null, and rooted at once.
    rooted!(&in(cx) let tag = StringValue(unsafe { &*tag }));
    object::define_tag(cx, prototype.handle(), tag.handle())?;
    let root = RootedTraceableBox::new(Heap::default());
    root.set(prototype.get());
    *state.current.borrow().dom_exception.borrow_mut() = Some(root);
    Ok(prototype.get())
}

/// Makes one under this prototype.
fn make(cx: &mut JSContext, name: &str, message: &str, prototype: Handle<*mut JSObject>) -> JsResult<*mut JSObject> {
    rooted!(&in(cx) let mut error = UndefinedValue());
    exception::make(cx, "Error", message, None, error.handle_mut())?;
    rooted!(&in(cx) let error = error.get().to_object());
    // SAFETY: both are rooted.
    check(unsafe { JS_SetPrototype(cx, error.handle(), prototype) })?;
    rooted!(&in(cx) let code = Int32Value(code(name)));
    for (key, text) in [("name", name), ("message", message)] {
        let text = text::to_js(cx, text)?;
        // SAFETY: not null, and rooted at once.
        rooted!(&in(cx) let text = StringValue(unsafe { &*text }));
        object::define_with(cx, error.handle(), key, text.handle(), 0)?;
    }
    object::define_with(cx, error.handle(), "code", code.handle(), 0)?;
    Ok(error.get())
}

/// Throws one.
pub(super) fn throw(cx: &mut JSContext, name: &str, message: &str) -> Thrown {
    // What could not be made has thrown something else.
    let _ = try_throw(cx, name, message);
    Thrown
}

fn try_throw(cx: &mut JSContext, name: &str, message: &str) -> JsResult<()> {
    rooted!(&in(cx) let prototype = prototype(cx)?);
    rooted!(&in(cx) let error = ObjectValue(make(cx, name, message, prototype.handle())?));
    // SAFETY: `error` is rooted.
    unsafe { JS_SetPendingException(cx, error.handle(), ExceptionStackBehavior::Capture) }
    Ok(())
}

function!(construct, |cx, _state, args| {
    require_new(cx, args, "DOMException")?;
    let (_room, message) = optional_text(cx, args, 0)?.unwrap_or_default();
    let name = optional_text(cx, args, 1)?;
    let name = name.as_ref().map_or("Error", |(_room, name)| name);
    rooted!(&in(cx) let target = args.new_target().to_object());
    rooted!(&in(cx) let mut prototype = UndefinedValue());
    // A subclass has a prototype of its own.
    // SAFETY: all is rooted.
    check(memory::in_engine(|| unsafe {
        JS_GetProperty(cx, target.handle(), c"prototype".as_ptr(), prototype.handle_mut())
    }))?;
    let prototype = if prototype.get().is_object() { prototype.get().to_object() } else { self::prototype(cx)? };
    rooted!(&in(cx) let prototype = prototype);
    args.rval().set(ObjectValue(make(cx, name, &message, prototype.handle())?));
    Ok(())
});
