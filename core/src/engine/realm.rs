//! A fresh realm for each execution: its own global in its own zone, with what the limits allow.
//!
//! Beyond ECMAScript a realm has `callTool`, `tools`, `console`, `setTimeout`, `clearTimeout`, `queueMicrotask`,
//! `structuredClone`, `TextEncoder`, `TextDecoder`, `atob` and `btoa`. They are made when script first names them,
//! so that an execution pays only for what it uses.

use std::ffi::CStr;
use std::ptr::NonNull;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::Handle;
use mozjs::jsapi::JS::{ColumnNumberOneOrigin, SetModuleLoadHook};
use mozjs::jsapi::JSCLASS_RESERVED_SLOTS_SHIFT;
use mozjs::jsapi::js::TempAllocPolicy;
use mozjs::jsapi::{
    CompilationType, ContextOptionsRef, HandleId, HandleObject, JS_GetRuntime, JS_GlobalObjectTraceHook,
    JS_LinearStringEqualsAscii, JS_MayResolveStandardClass, JS_SetSecurityCallbacks, JSAtomState, JSClass, JSClassOps,
    JSLinearString, JSObject, JSScript, JSSecurityCallbacks, JSString, OnNewGlobalHookOption, RTPCallerTypeToken,
    RuntimeCode, SetRealmLocaleOverride, SetRealmTimezoneOverride, SetReduceMicrosecondTimePrecisionCallback,
    StackGCVector, jsid,
};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::RealmOptions;
use mozjs::rust::wrappers2::{
    CurrentGlobalOrNull, GetCurrentRealmOrNull, JS_DeleteProperty1, JS_EnumerateStandardClasses, JS_NewGlobalObject,
    JS_ResolveStandardClass,
};
use mozjs::{JSCLASS_GLOBAL_SLOT_COUNT, JSCLASS_IS_GLOBAL, JSCLASS_RESERVED_SLOTS_MASK};

use super::isolate::{JsResult, State, Thrown, check};
use super::{console, convert, exception, host, memory, web};
use crate::config::ExecutionLimits;
use crate::execution::Request;

/// Sets what a context allows for all its realms.
pub(super) fn configure_context(cx: &mut JSContext) {
    // SAFETY: the context is this thread's and has run no script; the callbacks are static.
    unsafe {
        let options = &mut *ContextOptionsRef(cx.raw_cx());
        options.set_wasm_(false);
        options.set_wasmIon_(false);
        options.set_wasmBaseline_(false);
        JS_SetSecurityCallbacks(cx.raw_cx(), &SECURITY_CALLBACKS);
        SetModuleLoadHook(JS_GetRuntime(cx.raw_cx()), Some(refuse_import));
    }
}

/// Called for `import()`: there are no modules, and the promise that script gets is rejected with this exception.
/// (Without a hook the engine would throw into nowhere, and the promise would never settle.)
unsafe extern "C" fn refuse_import(
    cx: *mut RawJSContext,
    _referrer: mozjs::jsapi::Handle<*mut JSScript>,
    _request: HandleObject,
    _host_defined: mozjs::jsapi::Handle<JSVal>,
    _payload: mozjs::jsapi::Handle<JSVal>,
    _line: u32,
    _column: ColumnNumberOneOrigin,
) -> bool {
    // SAFETY: the engine hands us this thread's live context, and we make one wrapper of it for this call.
    let mut cx = unsafe { JSContext::from_ptr(NonNull::new_unchecked(cx)) };
    exception::throw(&mut cx, "TypeError", "import(): modules are not supported");
    false
}

/// Puts the one process-wide hook on the engine's clock. It acts only in realms that ask for it.
pub(super) fn install_clock() {
    // SAFETY: called once, before the first realm.
    unsafe { SetReduceMicrosecondTimePrecisionCallback(Some(frozen_clock)) }
}

/// Every clock of a realm that clamps time reads what it read at the start of the execution, in microseconds.
unsafe extern "C" fn frozen_clock(_now: f64, _caller: RTPCallerTypeToken, cx: *mut RawJSContext) -> f64 {
    // SAFETY: the engine hands us this thread's live context.
    let cx = unsafe { JSContext::from_ptr(std::ptr::NonNull::new_unchecked(cx)) };
    State::of(&cx).current.borrow().frozen_time * 1000.0
}

/// The name under which the source's own realm calls the clock: any value does, but there must be one.
const CLOCK_CALLER: [u8; 2] = [0, 1];

/// Makes a global in a new zone.
pub(super) fn create(cx: &mut JSContext, limits: &ExecutionLimits) -> JsResult<*mut JSObject> {
    let mut options = RealmOptions::default();
    options.behaviors_.clampAndJitterTime_ = limits.block_timing_apis;
    // A mozilla::Maybe: the value, then whether it is there. The engine demands one where the clock is hooked.
    options.behaviors_.rtpCallerType.0 = CLOCK_CALLER;
    options.creationOptions_.sharedMemoryAndAtomics_ = false;
    options.creationOptions_.defineSharedArrayBufferConstructor_ = false;
    // SAFETY: the class is static; the options outlive the call.
    let global = unsafe {
        JS_NewGlobalObject(
            cx,
            &GLOBAL_CLASS.0,
            std::ptr::null_mut(),
            OnNewGlobalHookOption::FireOnNewGlobalHook,
            &*options,
        )
    };
    if global.is_null() { Err(Thrown) } else { Ok(global) }
}

/// Puts the request's variables into the current realm, and what every realm has.
pub(super) fn install(cx: &mut JSContext, request: &Request) -> JsResult<()> {
    // SAFETY: plain calls inside a realm; the names are static.
    unsafe {
        let realm = GetCurrentRealmOrNull(cx);
        SetRealmLocaleOverride(realm, c"en-US".as_ptr());
        SetRealmTimezoneOverride(realm, c"UTC".as_ptr());
    }
    // SAFETY: as above; rooted at once.
    rooted!(&in(cx) let global = unsafe { CurrentGlobalOrNull(cx) });
    // The engine defines Atomics also where there is no shared memory.
    // SAFETY: `global` is rooted.
    check(unsafe { JS_DeleteProperty1(cx, global.handle(), c"Atomics".as_ptr()) })?;
    rooted!(&in(cx) let mut item = UndefinedValue());
    for (name, value) in &request.globals {
        convert::from_value(cx, value, item.handle_mut())?;
        convert::define(cx, global.handle(), name, item.handle())?;
    }
    Ok(())
}

/// A property of the global that is made when script first names it.
struct Lazy {
    name: &'static CStr,
    make: fn(&mut JSContext, Handle<*mut JSObject>) -> JsResult<()>,
}

/// In the order of their bits in `Current::resolved`.
static LAZY: [Lazy; 11] = [
    Lazy { name: c"callTool", make: host::define_call_tool },
    Lazy { name: c"tools", make: host::define_tools },
    Lazy { name: c"console", make: console::define },
    Lazy { name: c"setTimeout", make: host::define_set_timeout },
    Lazy { name: c"clearTimeout", make: host::define_clear_timeout },
    Lazy { name: c"queueMicrotask", make: host::define_queue_microtask },
    Lazy { name: c"structuredClone", make: web::define_structured_clone },
    Lazy { name: c"TextEncoder", make: web::define_text_encoder },
    Lazy { name: c"TextDecoder", make: web::define_text_decoder },
    Lazy { name: c"atob", make: web::define_atob },
    Lazy { name: c"btoa", make: web::define_btoa },
];

/// The lazy property of this id.
fn lazy_index(id: jsid) -> Option<usize> {
    if !id.is_string() {
        return None;
    }
    let name = id.to_string() as *mut JSLinearString;
    // SAFETY: the string of an id is an atom, which is linear and alive as long as the id is in use.
    LAZY.iter().position(|lazy| unsafe { JS_LinearStringEqualsAscii(name, lazy.name.as_ptr()) })
}

/// Makes a lazy property once; script may delete it for good.
fn resolve_lazy(cx: &mut JSContext, global: Handle<*mut JSObject>, index: usize) -> JsResult<bool> {
    let resolved = &State::of(cx).current.borrow().resolved;
    let bit = 1 << index;
    if resolved.get() & bit != 0 {
        return Ok(false);
    }
    resolved.set(resolved.get() | bit);
    let _host = memory::on(memory::Side::Host);
    (LAZY[index].make)(cx, global)?;
    Ok(true)
}

unsafe extern "C" fn resolve(cx: *mut RawJSContext, global: HandleObject, id: HandleId, resolved: *mut bool) -> bool {
    // SAFETY: called by the engine with a live context, rooted arguments and a valid place for the answer.
    unsafe {
        let mut cx = JSContext::from_ptr(NonNull::new_unchecked(cx));
        if let Some(index) = lazy_index(id.get()) {
            let made = resolve_lazy(&mut cx, Handle::from_raw(global), index);
            *resolved = matches!(made, Ok(true));
            return made.is_ok();
        }
        JS_ResolveStandardClass(&mut cx, Handle::from_raw(global), Handle::from_raw(id), resolved)
    }
}

unsafe extern "C" fn may_resolve(names: *const JSAtomState, id: jsid, global: *mut JSObject) -> bool {
    // SAFETY: called by the engine with its own arguments.
    lazy_index(id).is_some() || unsafe { JS_MayResolveStandardClass(names, id, global) }
}

unsafe extern "C" fn enumerate(cx: *mut RawJSContext, global: HandleObject) -> bool {
    // SAFETY: as in `resolve`.
    unsafe {
        let mut cx = JSContext::from_ptr(NonNull::new_unchecked(cx));
        let global = Handle::from_raw(global);
        (0..LAZY.len()).all(|index| resolve_lazy(&mut cx, global, index).is_ok())
            && JS_EnumerateStandardClasses(&mut cx, global)
    }
}

static GLOBAL_CLASS_OPS: JSClassOps = JSClassOps {
    addProperty: None,
    delProperty: None,
    enumerate: Some(enumerate),
    newEnumerate: None,
    resolve: Some(resolve),
    mayResolve: Some(may_resolve),
    finalize: None,
    call: None,
    construct: None,
    trace: Some(JS_GlobalObjectTraceHook),
};

/// A class as a static.
pub(super) struct StaticClass(pub JSClass);

// SAFETY: the pointers in these classes are to statics, and the engine only reads them.
unsafe impl Sync for StaticClass {}

static GLOBAL_CLASS: StaticClass = StaticClass(JSClass {
    name: c"global".as_ptr(),
    flags: JSCLASS_IS_GLOBAL
        | ((JSCLASS_GLOBAL_SLOT_COUNT & JSCLASS_RESERVED_SLOTS_MASK) << JSCLASS_RESERVED_SLOTS_SHIFT),
    cOps: &raw const GLOBAL_CLASS_OPS,
    spec: std::ptr::null(),
    ext: std::ptr::null(),
    oOps: std::ptr::null(),
});

static SECURITY_CALLBACKS: JSSecurityCallbacks =
    JSSecurityCallbacks { contentSecurityPolicyAllows: Some(allows_code), codeForEvalGets: None, subsumes: None };

/// Whether a realm may make code from strings.
unsafe extern "C" fn allows_code(
    cx: *mut RawJSContext,
    kind: RuntimeCode,
    _code: mozjs::jsapi::Handle<*mut JSString>,
    _compilation: CompilationType,
    _parameter_strings: mozjs::jsapi::Handle<StackGCVector<*mut JSString, TempAllocPolicy>>,
    _body_string: mozjs::jsapi::Handle<*mut JSString>,
    _parameter_args: mozjs::jsapi::Handle<StackGCVector<JSVal, TempAllocPolicy>>,
    _body_arg: mozjs::jsapi::Handle<JSVal>,
    allowed: *mut bool,
) -> bool {
    // SAFETY: called by the engine with a live context and a valid place for the answer.
    unsafe {
        let cx = JSContext::from_ptr(NonNull::new_unchecked(cx));
        *allowed = kind == RuntimeCode::JS && State::of(&cx).current.borrow().request.limits.allow_code_generation;
    }
    true
}
