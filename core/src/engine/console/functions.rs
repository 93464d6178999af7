//! How functions look, and which of them are classes.

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{JS_GetObjectFunction, JS_ObjectIsFunction, JSObject};
use mozjs::rooted;
use mozjs::rust::wrappers2::JS_DecompileFunction;

use super::read;
use crate::engine::text;
use crate::engine::thrown::{JsResult, Thrown};

/// Constructors of functions that `Function` has not made.
const OTHER_FUNCTIONS: [&str; 3] = ["AsyncFunction", "GeneratorFunction", "AsyncGeneratorFunction"];

/// A function, such as `[Function: f]` or `[class A extends B]`.
pub(super) fn function(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    constructor: Option<&str>,
    tag: &str,
) -> JsResult<String> {
    let name = read::function_name(cx, object)?;
    let tagged = if tag.is_empty() || Some(tag) == constructor { String::new() } else { format!(" [{tag}]") };
    if is_class(cx, object)? {
        let name = if name.is_empty() { "(anonymous)" } else { &name };
        let extends = match (constructor, read::super_name(cx, object)?) {
            (None, _) => " extends [null prototype]".into(),
            (_, parent) if parent.is_empty() => String::new(),
            (_, parent) => format!(" extends {parent}"),
        };
        return Ok(format!("[class {name}{tagged}{extends}]"));
    }
    let kind = constructor.filter(|name| OTHER_FUNCTIONS.contains(name)).unwrap_or("Function");
    let null = if constructor.is_none() { " (null prototype)" } else { "" };
    let name = if name.is_empty() { " (anonymous)".into() } else { format!(": {name}") };
    let other = constructor.filter(|name| *name != kind).map_or(String::new(), |name| format!(" {name}"));
    Ok(format!("[{kind}{null}{name}]{other}{tagged}"))
}

/// Whether a function was written as a class: its `prototype` is read-only, and it says so. It need not have been
/// compiled yet, and is not compiled for this: the engine has no way to fail at it.
fn is_class(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<bool> {
    // SAFETY: `object` is rooted.
    if !unsafe { JS_ObjectIsFunction(object.get()) } || !read::is_read_only(cx, object, c"prototype")? {
        return Ok(false);
    }
    // SAFETY: a function; all is rooted at once.
    rooted!(&in(cx) let function = unsafe { JS_GetObjectFunction(object.get()) });
    // SAFETY: as above.
    rooted!(&in(cx) let source = unsafe { JS_DecompileFunction(cx, function.handle()) });
    if source.get().is_null() {
        return Err(Thrown);
    }
    let start = text::prefix(cx, source.handle(), "class ".len())?;
    // A method of this name goes on with its parameters.
    Ok(start.strip_prefix("class").is_some_and(|rest| !rest.starts_with('(')))
}
