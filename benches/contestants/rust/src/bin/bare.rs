//! SpiderMonkey without anything around it, the limit of what enclave can reach: one thread and one runtime; for each
//! execution a fresh realm, compile, run; all garbage is collected every 50 executions. No limits, no copies of values
//! but where the workload has input, no host functions, and helper threads off, as in enclave: it is one thread's work.
//!
//! `bench-bare` makes each realm in a zone of its own, `bench-bare shared-zone` all of them in one.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::time::Instant;

use enclave_bench::{Failure, count, round, serve, text, unsupported};
use mozjs::context::JSContext;
use mozjs::gc::RootedTraceableBox;
use mozjs::jsapi::JS::CompartmentSpecifier;
use mozjs::jsapi::{GCReason, GetObjectZone, Heap, JSGCParamKey, JSJitCompilerOption, JSObject, OnNewGlobalHookOption};
use mozjs::jsval::UndefinedValue;
use mozjs::realm::AutoRealm;
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    Compile1, JS_ClearPendingException, JS_DefineProperty, JS_ExecuteScript, JS_GC, JS_NewGlobalObject, JS_ParseJSON,
    JS_SetGCParameter, JS_SetGlobalJitCompilerOption, ToJSON,
};
use mozjs::rust::{
    CompileOptionsWrapper, JSEngine, RealmOptions, Runtime, SIMPLE_GLOBAL_CLASS, transform_str_to_source_text,
};
use serde_json::{Value, json};

const EXECUTIONS_PER_GC: u32 = 50;
/// As the thread of a process has it.
const STACK_SIZE: usize = 8 * 1024 * 1024;
const MAX_NURSERY: u32 = 4 * 1024 * 1024;

unsafe extern "C" {
    // js::DisableExtraThreads(), which the bindings do not have.
    #[link_name = "_ZN2js19DisableExtraThreadsEv"]
    fn js_disable_extra_threads();
}

fn main() {
    let shared = std::env::args().nth(1).is_some_and(|argument| argument == "shared-zone");
    // SAFETY: it takes and returns nothing, and is called before the first runtime, as it demands.
    unsafe { js_disable_extra_threads() };
    let engine = JSEngine::init().unwrap_or_else(|error| panic!("SpiderMonkey does not start: {error:?}"));
    let mut parent = Runtime::new(engine.handle());
    // As enclave: else a script is compiled to machine code at once if another of its name was worth it.
    // SAFETY: a plain call; it holds for the runtimes that come.
    unsafe { JS_SetGlobalJitCompilerOption(parent.cx(), JSJitCompilerOption::JSJITCOMPILER_JIT_HINTS_ENABLE, 0) };
    let runtime = parent.prepare_for_new_child();
    // One thread has one runtime; this one only waits for the other.
    let thread = std::thread::Builder::new().stack_size(STACK_SIZE);
    // SAFETY: the parent lives longer than its child, whose thread is waited for.
    let run = move || measure(unsafe { Runtime::create_with_parent(runtime) }, shared);
    thread.spawn(run).expect("a thread").join().expect("no panic");
}

fn measure(runtime: Runtime, shared: bool) {
    let mut bare = Bare::new(runtime, shared);
    let notes = match shared {
        true => "one thread, no limits, no pool; realms in one zone",
        false => "one thread, no limits, no pool; each realm in a zone of its own",
    };
    let greeting = json!({
        "contestant": if shared { "bare-shared-zone" } else { "bare" },
        "version": "mozjs 0.26.14",
        "engine": "SpiderMonkey 153",
        "notes": notes,
    });
    serve(greeting, |request| match request["op"].as_str() {
        Some("run") => bare.round(request),
        _ => unsupported("only run"),
    });
}

struct Bare {
    // Dropped before the runtime.
    _anchor: RootedTraceableBox<Heap<*mut JSObject>>,
    options: RealmOptions,
    executions: u32,
    runtime: Runtime,
}

impl Bare {
    fn new(mut runtime: Runtime, shared: bool) -> Bare {
        let mut options = RealmOptions::default();
        options.creationOptions_.sharedMemoryAndAtomics_ = false;
        options.creationOptions_.defineSharedArrayBufferConstructor_ = false;
        // As enclave's: a small nursery stays in the caches, and nothing is gained by collecting in steps.
        // SAFETY: plain calls on this thread's context.
        unsafe {
            JS_SetGCParameter(runtime.cx(), JSGCParamKey::JSGC_MAX_NURSERY_BYTES, MAX_NURSERY);
            JS_SetGCParameter(runtime.cx(), JSGCParamKey::JSGC_INCREMENTAL_GC_ENABLED, 0);
        }
        let anchor = RootedTraceableBox::new(Heap::default());
        if shared {
            anchor.set(new_global(runtime.cx(), &options));
            let creation = &mut options.creationOptions_;
            creation.compSpec_ = CompartmentSpecifier::NewCompartmentInExistingZone;
            // SAFETY: the object was just made.
            creation.__bindgen_anon_1.zone_ = unsafe { GetObjectZone(anchor.get()) };
        }
        Bare { _anchor: anchor, options, executions: 0, runtime }
    }

    fn round(&mut self, request: &Value) -> Result<Value, Failure> {
        if request["mode"] != "sequential" || request["workers"].as_u64().unwrap_or(1) != 1 {
            return unsupported("it is one thread");
        }
        if request["tool_calls"].as_u64().unwrap_or(0) > 0 {
            return unsupported("it has no host functions");
        }
        if request["options"]["compiled"] == true {
            return unsupported("each execution compiles");
        }
        let source = text(request, "source")?;
        let input: Option<Vec<u16>> = request.get("input").map(|input| input.to_string().encode_utf16().collect());
        let rounds = count(request, "count")?;
        let mut nanos = Vec::with_capacity(rounds);
        let start = Instant::now();
        for number in 0..rounds {
            let begun = Instant::now();
            let wanted = input.is_some() || number == 0 || number == rounds - 1;
            let result = self.execute(source, input.as_deref(), wanted)?;
            nanos.push(begun.elapsed().as_nanos() as u64);
            if number == 0 || number == rounds - 1 {
                let json: Value = serde_json::from_str(&String::from_utf16(&result)?)?;
                if json != request["expect"] {
                    return Err(Failure::Error(format!("the result is {json}")));
                }
            }
            // Between executions, as in enclave, where nobody waits for that; but it takes time of the round.
            self.executions += 1;
            if self.executions.is_multiple_of(EXECUTIONS_PER_GC) {
                // SAFETY: a plain call on this thread's context, outside of any realm.
                unsafe { JS_GC(self.runtime.cx(), GCReason::API) };
            }
        }
        Ok(round(start.elapsed(), &mut nanos))
    }

    /// Gives the result as JSON if it is wanted.
    fn execute(&mut self, source: &str, input: Option<&[u16]>, wanted: bool) -> Result<Vec<u16>, Failure> {
        let cx = self.runtime.cx();
        rooted!(&in(cx) let global = new_global(cx, &self.options));
        let mut realm = AutoRealm::new_from_handle(cx, global.handle());
        let cx = &mut *realm;
        rooted!(&in(cx) let mut value = UndefinedValue());
        // SAFETY: plain calls on this thread's context and inside a realm; all texts outlive them, all values are
        // rooted, and the callback gets the place that it writes to.
        unsafe {
            if let Some(input) = input {
                let parsed = JS_ParseJSON(cx, input.as_ptr(), input.len() as u32, value.handle_mut());
                if !parsed || !JS_DefineProperty(cx, global.handle(), c"input".as_ptr(), value.handle(), 0) {
                    return Err(Failure::Error("the input is not accepted".into()));
                }
            }
            let options = CompileOptionsWrapper::new(cx, c"main.js".to_owned(), 1);
            // There is no debugger that would want a list of all scripts.
            (*options.ptr)._base.hideScriptFromDebugger_ = true;
            let mut units = transform_str_to_source_text(source);
            rooted!(&in(cx) let script = Compile1(cx, options.ptr, &mut units));
            if script.get().is_null() || !JS_ExecuteScript(cx, script.handle(), value.handle_mut()) {
                JS_ClearPendingException(cx);
                return Err(Failure::Error("the script has failed".into()));
            }
            let mut json: Vec<u16> = Vec::new();
            if wanted {
                rooted!(&in(cx) let nothing = null_mut::<JSObject>());
                rooted!(&in(cx) let space = UndefinedValue());
                let place = (&raw mut json).cast::<c_void>();
                if !ToJSON(cx, value.handle(), nothing.handle(), space.handle(), Some(append), place) {
                    return Err(Failure::Error("the result is no JSON".into()));
                }
            }
            Ok(json)
        }
    }
}

fn new_global(cx: &mut JSContext, options: &RealmOptions) -> *mut JSObject {
    let hook = OnNewGlobalHookOption::FireOnNewGlobalHook;
    // SAFETY: the class is static, and the options outlive the call.
    let global = unsafe { JS_NewGlobalObject(cx, &SIMPLE_GLOBAL_CLASS, null_mut(), hook, &**options) };
    assert!(!global.is_null(), "a realm could not be made");
    global
}

unsafe extern "C" fn append(units: *const u16, length: u32, place: *mut c_void) -> bool {
    // SAFETY: the engine gives as many units, and the place is the vector of `execute`.
    unsafe { (*place.cast::<Vec<u16>>()).extend_from_slice(std::slice::from_raw_parts(units, length as usize)) };
    true
}
