//! Looking at objects without running any script: getters are not called and proxies are not asked.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::{Handle, MutableHandle};
use mozjs::glue::GetProxyPrivate;
use mozjs::jsapi::{
    CallArgs, ExceptionStackBehavior, GetFunctionNativeReserved, IsCallable, JS_GetFunctionObject, JSCLASS_IS_PROXY,
    JSITER_OWNONLY, JSITER_SYMBOLS, JSObject, JSPROP_ENUMERATE, NewFunctionWithReserved, PropertyDescriptor,
    SetFunctionNativeReserved, SymbolCode, jsid,
};
use mozjs::jsval::{Int32Value, JSVal, ObjectValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    GetArrayLength, GetPropertyKeys, GetWellKnownSymbolKey, JS_ClearPendingException, JS_DefineElement,
    JS_GetOwnPropertyDescriptor, JS_GetOwnPropertyDescriptorById, JS_GetPrototypeIfOrdinary, JS_SetPendingException,
    MapForEach, NewArrayObject1, SetForEach,
};
use mozjs::rust::{IdVector, get_object_class};

use crate::engine::state::State;
use crate::engine::text;
use crate::engine::thrown::{JsResult, Thrown, check};

/// Prototypes that are looked at in search of a property.
const MAX_PROTOTYPES: usize = 1000;
/// UTF-16 units of a name that are shown.
const MAX_NAME: usize = 256;

/// What an own property is.
pub(super) enum Own {
    Missing,
    /// The value is where the caller wanted it.
    Value {
        enumerable: bool,
    },
    /// It has a getter or a setter, and this stands for its value.
    Accessor(&'static str),
}

/// How a property is named.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Name(&'static CStr),
    Id(Handle<'a, jsid>),
}

/// Looks at an own property.
pub(super) fn own(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: Key,
    mut value: MutableHandle<JSVal>,
) -> JsResult<Own> {
    rooted!(&in(cx) let mut descriptor: PropertyDescriptor);
    if !find(cx, object, key, descriptor.handle_mut())? {
        return Ok(Own::Missing);
    }
    let has_getter = descriptor.hasGetter_() && !descriptor.getter_.is_null();
    let has_setter = descriptor.hasSetter_() && !descriptor.setter_.is_null();
    Ok(match (has_getter, has_setter) {
        (true, true) => Own::Accessor("[Getter/Setter]"),
        (true, false) => Own::Accessor("[Getter]"),
        (false, true) => Own::Accessor("[Setter]"),
        (false, false) => {
            value.set(descriptor.value_);
            Own::Value { enumerable: descriptor.enumerable_() }
        }
    })
}

fn find(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: Key,
    descriptor: MutableHandle<PropertyDescriptor>,
) -> JsResult<bool> {
    if is_proxy(object.get()) {
        return Ok(false);
    }
    // All that walks along objects comes through here.
    if State::of(cx).killed() {
        return Err(Thrown);
    }
    let mut missing = true;
    // SAFETY: all is rooted, and the object is no proxy, so that the lookup runs no script.
    check(unsafe {
        match key {
            Key::Name(name) => JS_GetOwnPropertyDescriptor(cx, object, name.as_ptr(), descriptor, &mut missing),
            Key::Id(id) => JS_GetOwnPropertyDescriptorById(cx, object, id, descriptor, &mut missing),
        }
    })?;
    Ok(!missing)
}

/// Whether an own property cannot be assigned to.
pub(super) fn is_read_only(cx: &mut JSContext, object: Handle<*mut JSObject>, name: &'static CStr) -> JsResult<bool> {
    rooted!(&in(cx) let mut descriptor: PropertyDescriptor);
    let found = find(cx, object, Key::Name(name), descriptor.handle_mut())?;
    Ok(found && descriptor.hasWritable_() && !descriptor.writable_())
}

/// The value of an own data property. False if there is none.
pub(super) fn own_value(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: Key,
    value: MutableHandle<JSVal>,
) -> JsResult<bool> {
    Ok(matches!(own(cx, object, key, value)?, Own::Value { .. }))
}

/// The value of a data property that the object has or inherits. False if there is none, or an accessor or a proxy is
/// in its way.
pub(super) fn value(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    key: Key,
    mut value: MutableHandle<JSVal>,
) -> JsResult<bool> {
    rooted!(&in(cx) let mut holder = object.get());
    for _ in 0..MAX_PROTOTYPES {
        match own(cx, holder.handle(), key, value.reborrow())? {
            Own::Missing => {}
            Own::Value { .. } => return Ok(true),
            Own::Accessor(_) => return Ok(false),
        }
        if !to_prototype(cx, holder.handle_mut())? {
            return Ok(false);
        }
    }
    Ok(false)
}

/// Goes on to the prototype. False if there is none, or only a proxy knows it.
fn to_prototype(cx: &mut JSContext, mut object: MutableHandle<*mut JSObject>) -> JsResult<bool> {
    rooted!(&in(cx) let current = object.get());
    let mut ordinary = false;
    // SAFETY: all is rooted.
    check(unsafe { JS_GetPrototypeIfOrdinary(cx, current.handle(), &mut ordinary, object.reborrow()) })?;
    Ok(ordinary && !object.get().is_null())
}

/// Whether this is a proxy, which could run script for whatever it is asked.
pub(super) fn is_proxy(object: *mut JSObject) -> bool {
    // SAFETY: callers pass live objects, and the class of an object is static.
    unsafe { (*get_object_class(object)).flags & JSCLASS_IS_PROXY != 0 }
}

/// Puts the target in the place of a proxy. False if it was revoked.
pub(super) fn unwrap_proxies(state: &State, mut object: MutableHandle<*mut JSObject>) -> JsResult<bool> {
    while is_proxy(object.get()) {
        if state.killed() {
            return Err(Thrown);
        }
        let mut target = UndefinedValue();
        // SAFETY: `object` is a live proxy. Nothing can collect before its target is rooted.
        unsafe { GetProxyPrivate(object.get(), &mut target) };
        if !target.is_object() {
            return Ok(false);
        }
        object.set(target.to_object());
    }
    Ok(true)
}

/// The name of the engine's class, such as `Uint8Array`, which script cannot change.
pub(super) fn class(object: *mut JSObject) -> &'static str {
    // SAFETY: callers pass live objects, and classes and their names are static.
    unsafe { CStr::from_ptr((*get_object_class(object)).name) }.to_str().unwrap_or("Object")
}

/// The name of the function whose instance the object seems to be; none if it has no prototype.
pub(super) fn constructor_name(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<Option<String>> {
    rooted!(&in(cx) let mut holder = object.get());
    if !to_prototype(cx, holder.handle_mut())? {
        return Ok(None);
    }
    rooted!(&in(cx) let mut value = UndefinedValue());
    rooted!(&in(cx) let mut constructor = std::ptr::null_mut::<JSObject>());
    for _ in 0..MAX_PROTOTYPES {
        if own_value(cx, holder.handle(), Key::Name(c"constructor"), value.handle_mut())? && value.get().is_object() {
            constructor.set(value.get().to_object());
            let made_it = own_value(cx, constructor.handle(), Key::Name(c"prototype"), value.handle_mut())?
                && value.get().is_object()
                && value.get().to_object() == holder.get();
            if made_it {
                let name = function_name(cx, constructor.handle())?;
                if !name.is_empty() {
                    return Ok(Some(name));
                }
            }
        }
        if !to_prototype(cx, holder.handle_mut())? {
            break;
        }
    }
    Ok(Some("Object".into()))
}

/// The name of a function; empty if it has none.
pub(super) fn function_name(cx: &mut JSContext, function: Handle<*mut JSObject>) -> JsResult<String> {
    rooted!(&in(cx) let mut name = UndefinedValue());
    // SAFETY: `function` is rooted.
    if !unsafe { IsCallable(function.get()) } || !own_value(cx, function, Key::Name(c"name"), name.handle_mut())? {
        return Ok(String::new());
    }
    short_text(cx, name.handle())
}

/// The prototype of a function, if it is a function with a name.
pub(super) fn super_name(cx: &mut JSContext, function: Handle<*mut JSObject>) -> JsResult<String> {
    rooted!(&in(cx) let mut prototype = function.get());
    if !to_prototype(cx, prototype.handle_mut())? {
        return Ok(String::new());
    }
    function_name(cx, prototype.handle())
}

/// The object's `Symbol.toStringTag`, unless it is one of the properties that are shown anyway.
pub(super) fn tag(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<String> {
    // SAFETY: the key of a well-known symbol; rooted at once.
    rooted!(&in(cx) let id = unsafe { GetWellKnownSymbolKey(cx, SymbolCode::toStringTag) });
    rooted!(&in(cx) let mut tag = UndefinedValue());
    let shown = matches!(own(cx, object, Key::Id(id.handle()), tag.handle_mut())?, Own::Value { enumerable: true });
    if shown || !value(cx, object, Key::Id(id.handle()), tag.handle_mut())? {
        return Ok(String::new());
    }
    short_text(cx, tag.handle())
}

/// The start of a string; empty for any other value.
pub(super) fn short_text(cx: &mut JSContext, value: Handle<JSVal>) -> JsResult<String> {
    if !value.get().is_string() {
        return Ok(String::new());
    }
    rooted!(&in(cx) let string = value.get().to_string());
    let mut short = text::prefix(cx, string.handle(), MAX_NAME)?;
    if text::length(string.handle()) > MAX_NAME {
        short.push('…');
    }
    Ok(short)
}

/// The own enumerable keys of an object that is no proxy, symbols last.
pub(super) fn keys(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<IdVector> {
    let mut ids = IdVector::new(cx);
    // SAFETY: `object` is rooted; `ids` roots what it holds.
    check(unsafe { GetPropertyKeys(cx, object, JSITER_OWNONLY | JSITER_SYMBOLS, ids.handle_mut()) })?;
    Ok(ids)
}

/// What [`entries`] has found.
pub(super) struct Entries {
    pub array: *mut JSObject,
    /// Entries of the array: two for each of a map.
    pub count: u32,
}

/// The first entries of a map (keys and values alternate) or set, in an array that the caller roots.
pub(super) fn entries(
    cx: &mut JSContext,
    state: &State,
    object: Handle<*mut JSObject>,
    is_map: bool,
    max: usize,
) -> JsResult<Entries> {
    // SAFETY: what is made is rooted before the next call. The slots hold the array that `collect` fills, and how
    // many entries it may get.
    unsafe {
        rooted!(&in(cx) let array = NewArrayObject1(cx, 0));
        let collector = if is_map { collect_pair } else { collect_value };
        let function = NewFunctionWithReserved(cx.raw_cx(), Some(collector), 2, 0, c"".as_ptr() as *const c_char);
        if array.get().is_null() || function.is_null() {
            return Err(Thrown);
        }
        rooted!(&in(cx) let function = JS_GetFunctionObject(function));
        let most = if is_map { max * 2 } else { max } as u32;
        SetFunctionNativeReserved(function.get(), 0, &ObjectValue(array.get()));
        SetFunctionNativeReserved(function.get(), 1, &Int32Value(most as i32));
        rooted!(&in(cx) let callback = ObjectValue(function.get()));
        rooted!(&in(cx) let this = UndefinedValue());
        let for_each = if is_map { MapForEach } else { SetForEach };
        let ended = for_each(cx, object, callback.handle(), this.handle());
        let mut count = 0;
        check(GetArrayLength(cx, array.handle(), &mut count))?;
        if !ended {
            if state.killed() || count < most {
                return Err(Thrown);
            }
            // The exception of `collect`, which has had enough.
            JS_ClearPendingException(cx);
        }
        Ok(Entries { array: array.get(), count })
    }
}

unsafe extern "C" fn collect_value(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[0]) }
}

unsafe extern "C" fn collect_pair(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
    // The engine's forEach gives (value, key).
    // SAFETY: called by the engine with its own arguments.
    unsafe { collect(cx, argc, vp, &[1, 0]) }
}

/// Appends arguments to the array in the callee's slot; throws when it is full, which ends the iteration.
unsafe fn collect(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal, order: &[u32]) -> bool {
    // SAFETY: the engine gives a live context and arguments that it keeps rooted; the slots were set in `entries`.
    unsafe {
        let mut cx = JSContext::from_ptr(NonNull::new_unchecked(cx));
        let args = CallArgs::from_vp(vp, argc);
        rooted!(&in(cx) let array = (*GetFunctionNativeReserved(args.callee(), 0)).to_object());
        let most = (*GetFunctionNativeReserved(args.callee(), 1)).to_int32() as u32;
        let mut length = 0;
        if !GetArrayLength(&mut cx, array.handle(), &mut length) {
            return false;
        }
        args.rval().set(UndefinedValue());
        if length >= most {
            rooted!(&in(cx) let enough = UndefinedValue());
            JS_SetPendingException(&mut cx, enough.handle(), ExceptionStackBehavior::DoNotCapture);
            return false;
        }
        order.iter().zip(length..).all(|(index, place)| {
            let item = Handle::from_raw(args.get(*index));
            JS_DefineElement(&mut cx, array.handle(), place, item, JSPROP_ENUMERATE as u32)
        })
    }
}
