//! A fresh realm for each execution: its own global in its own compartment, with what the limits allow.
//!
//! All realms of an isolate are in one zone, so that they share what no script can tell apart: the shapes of objects, and
//! the compiled code of the engine's functions that are written in JavaScript. In a zone of its own, a realm costs two
//! to three times as much.
//!
//! Beyond ECMAScript a realm has `callTool`, `tools`, `console`, `setTimeout`, `clearTimeout`, `queueMicrotask`,
//! `structuredClone`, `TextEncoder`, `TextDecoder`, `atob`, `btoa` and `DOMException`. They are made when script first names them,
//! so that an execution pays only for what it uses.

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::{Handle, RootedTraceableBox};
use mozjs::glue::AppendToIdVector;
use mozjs::jsapi::JS::{ColumnNumberOneOrigin, CompartmentSpecifier, RealmBehaviors, SetModuleLoadHook};
use mozjs::jsapi::JSCLASS_RESERVED_SLOTS_SHIFT;
use mozjs::jsapi::js::TempAllocPolicy;
use mozjs::jsapi::{
    CompilationType, ContextOptionsRef, GetObjectZone, HandleId, HandleObject, Heap, JS_GetRuntime,
    JS_GlobalObjectTraceHook, JS_LinearStringEqualsAscii, JS_MayResolveStandardClass, JS_NewEnumerateStandardClasses,
    JS_SetSecurityCallbacks, JSAtomState, JSClass, JSClassOps, JSLinearString, JSObject, JSScript, JSSecurityCallbacks,
    JSString, MutableHandleIdVector, OnNewGlobalHookOption, RuntimeCode, StackGCVector, jsid,
};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{CurrentGlobalOrNull, JS_NewGlobalObject, JS_ResolveStandardClass};
use mozjs::rust::{IdVector, RealmOptions};
use mozjs::{JSCLASS_GLOBAL_SLOT_COUNT, JSCLASS_IS_GLOBAL, JSCLASS_RESERVED_SLOTS_MASK};

use super::native::StaticClass;
use super::state::State;
use super::thrown::{JsResult, Thrown};
use super::{clock, console, convert, dom_exception, exception, memory, object, schedule, tools, web};
use crate::config::ExecutionLimits;
use crate::contract::Request;

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

/// Makes the realms of an isolate.
pub(super) struct Realms {
    options: RealmOptions,
    /// The global of a realm that no script sees: it holds the zone.
    anchor: RootedTraceableBox<Heap<*mut JSObject>>,
    /// The global of a realm that was made while there was time, if there is one.
    ahead: RootedTraceableBox<Heap<*mut JSObject>>,
    /// Whether its clock stands still.
    ahead_clamps_time: bool,
}

impl Realms {
    pub(super) fn new(cx: &mut JSContext) -> JsResult<Realms> {
        let mut options = RealmOptions::default();
        // A mozilla::Maybe: the value, then whether it is there. The engine demands one where the clock is hooked.
        options.behaviors_.rtpCallerType.0 = clock::CALLER;
        options.creationOptions_.sharedMemoryAndAtomics_ = false;
        options.creationOptions_.defineSharedArrayBufferConstructor_ = false;
        // SAFETY: the options are valid, and copy the strings. They are set before there is a realm, because to change
        // those of one throws away all compiled code of its runtime.
        unsafe {
            RealmBehaviors_setLocaleOverride(&mut options.behaviors_, c"en-US".as_ptr());
            RealmBehaviors_setTimeZoneOverride(&mut options.behaviors_, c"UTC".as_ptr());
        }
        let nothing = || RootedTraceableBox::new(Heap::default());
        let mut realms = Realms { options, anchor: nothing(), ahead: nothing(), ahead_clamps_time: false };
        let anchor = realms.create(cx, false)?;
        realms.anchor.set(anchor);
        // SAFETY: it was just made.
        let zone = unsafe { GetObjectZone(anchor) };
        let creation = &mut realms.options.creationOptions_;
        creation.compSpec_ = CompartmentSpecifier::NewCompartmentInExistingZone;
        creation.__bindgen_anon_1.zone_ = zone;
        Ok(realms)
    }

    /// The global of a fresh realm.
    pub(super) fn take(&mut self, cx: &mut JSContext, limits: &ExecutionLimits) -> JsResult<*mut JSObject> {
        let ahead = self.ahead.get();
        self.ahead.set(std::ptr::null_mut());
        match !ahead.is_null() && self.ahead_clamps_time == limits.block_timing_apis {
            true => Ok(ahead),
            false => self.create(cx, limits.block_timing_apis),
        }
    }

    /// Makes the next realm now, like the last one. Without the memory for it, it is made when it is needed.
    pub(super) fn make_ahead(&mut self, cx: &mut JSContext) {
        if self.ahead.get().is_null() {
            let clamps_time = self.options.behaviors_.clampAndJitterTime_;
            if let Ok(global) = self.create(cx, clamps_time) {
                self.ahead.set(global);
                self.ahead_clamps_time = clamps_time;
            }
        }
    }

    fn create(&mut self, cx: &mut JSContext, clamps_time: bool) -> JsResult<*mut JSObject> {
        self.options.behaviors_.clampAndJitterTime_ = clamps_time;
        // SAFETY: the class is static; the options outlive the call.
        let global = unsafe {
            JS_NewGlobalObject(
                cx,
                &GLOBAL_CLASS.0,
                std::ptr::null_mut(),
                OnNewGlobalHookOption::FireOnNewGlobalHook,
                &*self.options,
            )
        };
        if global.is_null() { Err(Thrown) } else { Ok(global) }
    }
}

unsafe extern "C" {
    #[link_name = "_ZN2JS14RealmBehaviors17setLocaleOverrideEPKc"]
    fn RealmBehaviors_setLocaleOverride(behaviors: *mut RealmBehaviors, locale: *const c_char) -> *mut RealmBehaviors;
    #[link_name = "_ZN2JS14RealmBehaviors19setTimeZoneOverrideEPKc"]
    fn RealmBehaviors_setTimeZoneOverride(behaviors: *mut RealmBehaviors, zone: *const c_char) -> *mut RealmBehaviors;
}

/// Puts the request's variables into the current realm.
pub(super) fn install(cx: &mut JSContext, request: &Request) -> JsResult<()> {
    // SAFETY: a plain call inside a realm; rooted at once.
    rooted!(&in(cx) let global = unsafe { CurrentGlobalOrNull(cx) });
    rooted!(&in(cx) let mut item = UndefinedValue());
    for (name, value) in &*request.globals {
        convert::from_value(cx, value, item.handle_mut())?;
        object::define(cx, global.handle(), name, item.handle())?;
    }
    Ok(())
}

/// A property of the global that is made when script first names it.
struct Lazy {
    name: &'static CStr,
    make: fn(&mut JSContext, Handle<*mut JSObject>) -> JsResult<()>,
}

/// In the order of their bits in `Current::resolved`.
static LAZY: [Lazy; 12] = [
    Lazy { name: c"callTool", make: tools::define_call_tool },
    Lazy { name: c"tools", make: tools::define_tools },
    Lazy { name: c"console", make: console::define },
    Lazy { name: c"setTimeout", make: schedule::define_set_timeout },
    Lazy { name: c"clearTimeout", make: schedule::define_clear_timeout },
    Lazy { name: c"queueMicrotask", make: schedule::define_queue_microtask },
    Lazy { name: c"structuredClone", make: web::define_structured_clone },
    Lazy { name: c"TextEncoder", make: web::define_text_encoder },
    Lazy { name: c"TextDecoder", make: web::define_text_decoder },
    Lazy { name: c"atob", make: web::define_atob },
    Lazy { name: c"btoa", make: web::define_btoa },
    Lazy { name: c"DOMException", make: dom_exception::define },
];

/// What the engine defines also where there is no shared memory.
const WITHHELD: &CStr = c"Atomics";

fn is_named(id: jsid, name: &CStr) -> bool {
    // SAFETY: the string of an id is an atom, which is linear and alive as long as the id is in use.
    id.is_string() && unsafe { JS_LinearStringEqualsAscii(id.to_string() as *mut JSLinearString, name.as_ptr()) }
}

/// The lazy property of this id.
fn lazy_index(id: jsid) -> Option<usize> {
    LAZY.iter().position(|lazy| is_named(id, lazy.name))
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
    let made = (LAZY[index].make)(cx, global);
    if made.is_err() {
        // At the end of the stack, for one: it is there when script asks again.
        resolved.set(resolved.get() & !bit);
    }
    made.map(|()| true)
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
        if is_named(id.get(), WITHHELD) {
            *resolved = false;
            return true;
        }
        JS_ResolveStandardClass(&mut cx, Handle::from_raw(global), Handle::from_raw(id), resolved)
    }
}

unsafe extern "C" fn may_resolve(names: *const JSAtomState, id: jsid, global: *mut JSObject) -> bool {
    // SAFETY: called by the engine with its own arguments.
    lazy_index(id).is_some() || unsafe { JS_MayResolveStandardClass(names, id, global) }
}

unsafe extern "C" fn enumerate(
    cx: *mut RawJSContext,
    global: HandleObject,
    properties: MutableHandleIdVector,
    enumerable_only: bool,
) -> bool {
    // SAFETY: as in `resolve`.
    unsafe {
        let mut cx = JSContext::from_ptr(NonNull::new_unchecked(cx));
        let ours = (0..LAZY.len()).all(|index| resolve_lazy(&mut cx, Handle::from_raw(global), index).is_ok());
        let mut standard = IdVector::new(&mut cx);
        ours && JS_NewEnumerateStandardClasses(cx.raw_cx(), global, standard.handle_mut(), enumerable_only)
            && standard.iter().filter(|id| !is_named(**id, WITHHELD)).all(|id| {
                rooted!(&in(cx) let id = *id);
                AppendToIdVector(properties, id.handle().into())
            })
    }
}

static GLOBAL_CLASS_OPS: JSClassOps = JSClassOps {
    addProperty: None,
    delProperty: None,
    enumerate: None,
    newEnumerate: Some(enumerate),
    resolve: Some(resolve),
    mayResolve: Some(may_resolve),
    finalize: None,
    call: None,
    construct: None,
    trace: Some(JS_GlobalObjectTraceHook),
};

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
