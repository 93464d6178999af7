//! How a source is read: as a script, or as the body of an async function.
//!
//! An `auto` source that parses as a script is one, unless it uses `await` at its top level: there `await (x)` is a
//! call of a function named await, which nobody means. The parser itself decides whether an `await` stands at the top
//! level: if every `await` is inside an async function, then the source still parses as a script with an operand put
//! behind each (`await x+ (f)`). If not, one of them may also be a name, or no operator: it stands at the top level if
//! the operand breaks the script, and does not break the body of an async function.

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::MutableHandle;
use mozjs::jsapi::JS::{
    DelazificationOption, EagerBaselineOption, InstantiateOptions, ReadOnlyCompileOptions, SourceText,
    Stencil as RawStencil,
};
use mozjs::jsapi::mozilla::Utf8Unit;
use mozjs::jsapi::{HandleValueArray, JSScript, already_AddRefed};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{Compile1, InstantiateGlobalStencil, JS_ExecuteScript};
use mozjs::rust::{CompileOptionsWrapper, Stencil, transform_str_to_source_text};

use super::cache::{Cache, Found};
use super::reading::{
    MOST_ENDS, Reading, contains_word, ends_before_comments, expression, may_be_a_name, probe, without_hashbang, words,
    wrap,
};
use super::state::{State, Stop};
use super::thrown::{JsResult, check};
use super::{exception, memory, native, text};
use crate::contract::Request;
use crate::error::{Error, ScriptError};
use crate::execution::SourceKind;

/// Compiles the source of a request, or takes it from the cache, and runs it up to its first `await`.
pub(super) fn evaluate(
    cx: &mut JSContext,
    state: &State,
    cache: &mut Cache,
    request: &Request,
    mut result: MutableHandle<JSVal>,
) -> Result<(), Stop> {
    rooted!(&in(cx) let mut script = std::ptr::null_mut::<JSScript>());
    let reading = match cache.find(request) {
        Found::Kept(stencil, reading) => {
            instantiate(cx, stencil, script.handle_mut())?;
            reading
        }
        Found::Nothing { worth_keeping } => {
            let mut compiled = worth_keeping.then(|| Compiled { stencil: None, bytes: 0 });
            let reading = compile_as_asked(cx, state, request, &mut compiled, script.handle_mut())?;
            if let Some(Compiled { stencil: Some(stencil), bytes }) = compiled {
                cache.keep(request, stencil, reading, bytes);
            }
            reading
        }
    };
    if state.killed() {
        return Err(Stop::Thrown);
    }
    if request.only_compile {
        return Ok(());
    }
    // SAFETY: `script` is rooted and was compiled for the current realm.
    check(memory::in_engine(|| unsafe { JS_ExecuteScript(cx, script.handle(), result.reborrow()) }))?;
    if reading != Reading::Script {
        rooted!(&in(cx) let function = result.get());
        result.set(UndefinedValue());
        rooted!(&in(cx) let this = UndefinedValue());
        native::call(cx, this.handle(), function.handle(), HandleValueArray::empty(), result)?;
    }
    Ok(())
}

/// A source that has been compiled to be kept.
struct Compiled {
    stencil: Option<Stencil>,
    bytes: u64,
}

fn compile_as_asked(
    cx: &mut JSContext,
    state: &State,
    request: &Request,
    compiled: &mut Option<Compiled>,
    mut script: MutableHandle<*mut JSScript>,
) -> Result<Reading, Stop> {
    let source = &*request.source;
    let has_await = request.kind != SourceKind::Script && contains_word(source, "await");
    let mut errors = Vec::new();
    let readings: &[Reading] = match request.kind {
        SourceKind::Script => &[Reading::Script],
        SourceKind::Function => &[Reading::FunctionBody],
        SourceKind::Auto if has_await => &[Reading::Script, Reading::AwaitedExpression, Reading::FunctionBody],
        SourceKind::Auto => &[Reading::Script, Reading::FunctionBody],
    };
    for (place, &reading) in readings.iter().enumerate() {
        if reading == Reading::Script && has_await && awaits_at_top_level(cx, state, request)? {
            // Kept as the last resort, for a source that uses `await` as a name.
            continue;
        }
        let whole = expression(source).len();
        let ends = std::iter::once(whole).chain(ends_before_comments(source)).take(MOST_ENDS);
        let ends: Vec<usize> = if reading == Reading::AwaitedExpression { ends.collect() } else { vec![source.len()] };
        let mut first_error = None;
        for end in ends {
            match compile(cx, state, request, &wrap(&source[..end], reading), compiled, script.reborrow())? {
                Ok(()) if reading == Reading::Script => return Ok(reading),
                Ok(()) => match stays_inside(cx, state, request, &source[..end], reading)? {
                    Ok(()) => return Ok(reading),
                    Err(error) => first_error = first_error.or(Some(error)),
                },
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        errors.extend(first_error.map(|error| (place, error)));
    }
    if readings[0] == Reading::Script && errors.len() < readings.len() {
        match compile(cx, state, request, source, compiled, script)? {
            Ok(()) => return Ok(Reading::Script),
            Err(error) => errors.push((0, error)),
        }
    }
    // The reading that got farthest is the one that was meant.
    errors.sort_by_key(|(place, error)| (error.line, error.column, std::cmp::Reverse(*place)));
    let error = errors.pop().map(|(_, error)| error).unwrap_or_default();
    Err(Stop::Error(Error::Syntax(Box::new(error))))
}

/// Compiles; the inner error is a syntax error of the source.
fn compile(
    cx: &mut JSContext,
    state: &State,
    request: &Request,
    source: &str,
    compiled: &mut Option<Compiled>,
    mut script: MutableHandle<*mut JSScript>,
) -> Result<Result<(), ScriptError>, Stop> {
    let wrapped = !std::ptr::eq(source.as_ptr(), request.source.as_ptr());
    let filename = if request.limits.sanitize_stack_traces { exception::SANITIZED_NAME } else { &*request.filename };
    let options = CompileOptionsWrapper::new(cx, text::c_string(filename), if wrapped { 0 } else { 1 });
    // SAFETY: the options are ours alone.
    let base = unsafe { &mut (*options.ptr)._base };
    // For a debugger, the engine would keep the name of each script in an array of its realm: there is none.
    base.hideScriptFromDebugger_ = true;
    let mut units = transform_str_to_source_text(source);
    match compiled {
        // SAFETY: `source` outlives the call; the engine copies it.
        None => script.set(memory::in_engine(|| unsafe { Compile1(cx, options.ptr, &mut units) })),
        Some(compiled) => {
            // Else each function would be parsed again in each realm that calls it.
            base.eagerDelazificationStrategy_ = DelazificationOption::ParseEverythingEagerly;
            let before = state.ledger.used();
            // SAFETY: as above.
            let stencil = memory::in_engine(|| unsafe { compile_to_stencil(cx, options.ptr, &mut units) });
            compiled.bytes = state.ledger.used().saturating_sub(before);
            if !stencil.is_null() {
                instantiate(cx, &stencil, script.reborrow())?;
            } else {
                script.set(std::ptr::null_mut());
            }
            compiled.stencil = Some(stencil);
        }
    }
    if !script.get().is_null() {
        return Ok(Ok(()));
    }
    if state.killed() {
        return Err(Stop::Thrown);
    }
    match exception::take(cx, state) {
        Error::Exception(mut error) if error.name == "SyntaxError" => {
            if wrapped {
                move_into_source(&mut error, &request.source);
            }
            Ok(Err(*error))
        }
        error => Err(Stop::Error(error)),
    }
}

/// Makes the functions of a compiled source in the current realm.
fn instantiate(cx: &mut JSContext, stencil: &Stencil, mut script: MutableHandle<*mut JSScript>) -> JsResult<()> {
    let options = InstantiateOptions {
        skipFilenameValidation: false,
        hideScriptFromDebugger: true,
        deferDebugMetadata: false,
        eagerDelazificationStrategy_: DelazificationOption::ParseEverythingEagerly,
        eagerBaselineStrategy_: EagerBaselineOption::None,
    };
    // SAFETY: the stencil is of this engine and not null; rooted at once.
    script
        .set(memory::in_engine(|| unsafe { InstantiateGlobalStencil(cx, &options, **stencil, std::ptr::null_mut()) }));
    check(!script.get().is_null())
}

/// Compiles without a realm's objects.
///
/// # Safety
///
/// As for [`Compile1`].
unsafe fn compile_to_stencil(
    cx: &mut JSContext,
    options: *const ReadOnlyCompileOptions,
    units: *mut SourceText<Utf8Unit>,
) -> Stencil {
    // How C++ returns a pointer with an owner: in a register, like any pointer; but with assertions it has a destructor
    // of its own, and is returned in memory like a larger struct.
    #[cfg(not(feature = "debug-engine"))]
    type Returned = [*mut RawStencil; 1];
    #[cfg(feature = "debug-engine")]
    type Returned = [*mut RawStencil; 3];
    #[repr(C)]
    struct Owned(std::mem::MaybeUninit<Returned>);
    unsafe extern "C" {
        #[link_name = "_ZN2JS28CompileGlobalScriptToStencilEP9JSContextRKNS_22ReadOnlyCompileOptionsERNS_10SourceTextIN7mozilla8Utf8UnitEEE"]
        fn CompileGlobalScriptToStencil(
            cx: *mut RawJSContext,
            options: *const ReadOnlyCompileOptions,
            units: *mut SourceText<Utf8Unit>,
        ) -> Owned;
    }
    // SAFETY: the caller's contract; the first pointer is always written.
    unsafe {
        let Owned(returned) = CompileGlobalScriptToStencil(cx.raw_cx(), options, units);
        let pointer = returned.as_ptr().cast::<*mut RawStencil>().read();
        Stencil::from_raw(already_AddRefed { mRawPtr: pointer, _phantom_0: std::marker::PhantomData })
    }
}

/// Whether a source that parses inside its wrapper also ends inside it. What closes the wrapper to go on behind it does
/// not parse inside another one: behind the body of an arrow in parentheses comes a comma or a parenthesis, and behind
/// that of a declaration neither.
fn stays_inside(
    cx: &mut JSContext,
    state: &State,
    request: &Request,
    source: &str,
    reading: Reading,
) -> Result<Result<(), ScriptError>, Stop> {
    let source = without_hashbang(source);
    let other = match reading {
        Reading::Script => return Ok(Ok(())),
        Reading::FunctionBody => format!("async function f() {{\n{source}\n}}"),
        Reading::AwaitedExpression => format!("(async () => [\n{source}\n])"),
    };
    rooted!(&in(cx) let mut script = std::ptr::null_mut::<JSScript>());
    compile(cx, state, request, &other, &mut None, script.handle_mut())
}

/// An error behind the end of the source, in what it was wrapped in, is an error at its end.
fn move_into_source(error: &mut ScriptError, source: &str) {
    let lines = source.lines().count().max(1) as u32;
    if error.line > lines {
        let last = source.lines().next_back().unwrap_or_default();
        error.line = lines;
        error.column = last.encode_utf16().count() as u32 + 1;
        error.source_line = exception::source_line(source, error.line, error.column);
    }
}

/// Whether a source that has the word `await` uses it outside of its async functions, or is no script for another reason.
fn awaits_at_top_level(cx: &mut JSContext, state: &State, request: &Request) -> Result<bool, Stop> {
    let source = &*request.source;
    rooted!(&in(cx) let mut script = std::ptr::null_mut::<JSScript>());
    let mut parses = |text: &str| -> Result<bool, Stop> {
        Ok(compile(cx, state, request, text, &mut None, script.handle_mut())?.is_ok())
    };
    let ends: Vec<usize> = words(source, "await").map(|at| at + "await".len()).collect();
    let ends: Vec<usize> = ends.into_iter().filter(|end| may_be_a_name(&source[*end..])).collect();
    if !parses(source)? {
        return Ok(true);
    }
    if ends.is_empty() || parses(&probe(source, &ends))? {
        return Ok(false);
    }
    for end in ends {
        let probe = probe(source, &[end]);
        if !parses(&probe)? && parses(&wrap(&probe, Reading::FunctionBody))? {
            return Ok(true);
        }
    }
    Ok(false)
}
