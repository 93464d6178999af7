//! [`enclave_options_t`]: settings of one execution.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use enclave_core::{Error, ExecutionLimits, ExecutionOptions, SourceKind, Value};

use crate::attempt::attempt;
use crate::boundary::{guard, required};
use crate::callback::{Context, enclave_finalizer_fn, set_callback};
use crate::console::{self, enclave_console_fn};
use crate::error::enclave_error_t;
use crate::pinned::pinned;
use crate::setting::{Overrides, enclave_setting_t};
use crate::status::enclave_status_t;
use crate::text::{bytes, text};
use crate::tool::{self, enclave_tool_fn};
use crate::value::{self, enclave_value_t};

/// How a source is read.
pub type enclave_source_kind_t = i32;
/// The default. A source that parses as a script and does not use `await` at its top level is a script, whose
/// completion value is the result (`1 + 1` gives 2). Otherwise it is the body of an async function, where `return`
/// gives the result, or a lone expression with `await`, whose value is the result.
pub const ENCLAVE_SOURCE_AUTO: enclave_source_kind_t = 0;
/// A script: the result is its completion value.
pub const ENCLAVE_SOURCE_SCRIPT: enclave_source_kind_t = 1;
/// The body of an async function: the result is what it returns.
pub const ENCLAVE_SOURCE_FUNCTION: enclave_source_kind_t = 2;

pinned! { SourceKind as enclave_source_kind_t:
    ENCLAVE_SOURCE_AUTO = Auto,
    ENCLAVE_SOURCE_SCRIPT = Script,
    ENCLAVE_SOURCE_FUNCTION = Function,
}

/// Settings of one execution. Any number of executions may use them, also at the same time. They may be changed or
/// freed as soon as an execution is submitted. Only one thread at a time may change them.
pub struct enclave_options_t {
    options: ExecutionOptions,
    limits: Overrides,
}

impl enclave_options_t {
    /// The options of an execution in a pool with these limits.
    pub(crate) fn effective(&self, limits: &ExecutionLimits) -> Result<ExecutionOptions, Error> {
        Ok(ExecutionOptions { limits: self.limits.apply_limits(limits)?, ..self.options.clone() })
    }

    fn set_global(&mut self, name: &str, value: Value) {
        let globals = &mut self.options.globals;
        globals.retain(|(known, _)| known != name);
        globals.push((name.to_owned(), value));
    }
}

/// Makes options that change nothing: an `auto` source with the pool's limits and callbacks. Owned by the caller.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_options_new() -> Option<Box<enclave_options_t>> {
    guard(None, || {
        Some(Box::new(enclave_options_t { options: ExecutionOptions::default(), limits: Overrides::default() }))
    })
}

/// Frees options; NULL is fine. Executions submitted with them keep what they need.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_options_free(options: Option<Box<enclave_options_t>>) {
    guard((), || drop(options))
}

/// Changes a limit of the execution, one of the settings from `ENCLAVE_SETTING_TIMEOUT_MS` on; the others belong to the
/// pool. You may ignore the status, because the value is checked when the options are used. INVALID_ARGUMENT: NULL, or
/// not such a setting.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_options_set(
    options: Option<&mut enclave_options_t>,
    setting: enclave_setting_t,
    value: u64,
) -> enclave_status_t {
    attempt(None, || required(options, "options")?.limits.set_limit(setting, value))
}

/// Sets how the source is read. INVALID_ARGUMENT: NULL, or not an `ENCLAVE_SOURCE_*`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_options_set_kind(
    options: Option<&mut enclave_options_t>,
    kind: enclave_source_kind_t,
) -> enclave_status_t {
    attempt(None, || {
        required(options, "options")?.options.kind = SourceKind::from_number(kind)
            .ok_or_else(|| Error::invalid_argument("kind", format!("is {kind}; accepted are ENCLAVE_SOURCE_*")))?;
        Ok(())
    })
}

/// Sets the name of the source in stack traces; default `main.js`. INVALID_ARGUMENT: NULL, or not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_set_filename(
    options: Option<&mut enclave_options_t>,
    filename: *const c_char,
    filename_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text.
        let filename = unsafe { text(filename, filename_len, "filename") }?;
        required(options, "options")?.options.filename = Some(filename.to_owned());
        Ok(())
    })
}

/// Sets a global variable of the script, replacing one of the same name. `value` is taken, even on failure.
/// INVALID_ARGUMENT: a NULL, or a name that is not UTF-8. Submission checks that the name is an identifier.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_set_global(
    options: Option<&mut enclave_options_t>,
    name: *const c_char,
    name_len: usize,
    value: Option<Box<enclave_value_t>>,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text.
        let name = unsafe { text(name, name_len, "name") }?;
        required(options, "options")?.set_global(name, required(value, "value")?.into_value());
        Ok(())
    })
}

/// Sets a global variable of the script to a value given as JSON. INVALID_ARGUMENT: a NULL, a name that is not UTF-8,
/// or not JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_set_global_json(
    options: Option<&mut enclave_options_t>,
    name: *const c_char,
    name_len: usize,
    json: *const c_char,
    json_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text.
        let (name, json) = unsafe { (text(name, name_len, "name")?, text(json, json_len, "json")?) };
        required(options, "options")?.set_global(name, value::from_json(json)?);
        Ok(())
    })
}

/// Sets a global variable of the script to a value given as CBOR. INVALID_ARGUMENT: a NULL, a name that is not UTF-8,
/// or not CBOR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_set_global_cbor(
    options: Option<&mut enclave_options_t>,
    name: *const c_char,
    name_len: usize,
    cbor: *const c_void,
    cbor_len: usize,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    attempt(error, || {
        // SAFETY: the caller keeps the contract of text and bytes.
        let (name, cbor) = unsafe { (text(name, name_len, "name")?, bytes(cbor, cbor_len, "cbor")?) };
        required(options, "options")?.set_global(name, value::from_cbor(cbor)?);
        Ok(())
    })
}

/// Sets whether the outcome holds the console lines (default: no). INVALID_ARGUMENT: NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_options_set_collect_console(
    options: Option<&mut enclave_options_t>,
    collect: bool,
) -> enclave_status_t {
    attempt(None, || {
        required(options, "options")?.options.collect_console = collect;
        Ok(())
    })
}

/// Sets the callback that receives the console lines of the execution as they come, instead of the pool's.
/// INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_on_console(
    options: Option<&mut enclave_options_t>,
    callback: enclave_console_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, console::handler, |handler| {
            required(options, "options")?.options.on_console = Some(handler);
            Ok(())
        })
    }
}

/// Adds a tool for this execution alone, beside the pool's tools. It replaces a tool of the same name, here or in the
/// pool. The callback answers `callTool(name, args)` and `tools.name(args)`. INVALID_ARGUMENT: a NULL, or a name that
/// is not UTF-8. Submission checks that it is the name of a tool (`enclave_pool_register_tool`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_add_tool(
    options: Option<&mut enclave_options_t>,
    name: *const c_char,
    name_len: usize,
    callback: enclave_tool_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
    error: Option<&mut MaybeUninit<*mut enclave_error_t>>,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contracts of text and of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), error, tool::handler, |handler| {
            let name = text(name, name_len, "name")?;
            let tools = &mut required(options, "options")?.options.tools;
            tools.retain(|(known, _)| known != name);
            tools.push((name.to_owned(), handler));
            Ok(())
        })
    }
}

/// Sets the callback that answers all tool calls of the execution, instead of the pool's and of
/// `enclave_options_add_tool`. INVALID_ARGUMENT: a NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn enclave_options_on_tool_call(
    options: Option<&mut enclave_options_t>,
    callback: enclave_tool_fn,
    user_data: *mut c_void,
    finalizer: enclave_finalizer_fn,
) -> enclave_status_t {
    // SAFETY: the caller keeps the contract of callbacks.
    unsafe {
        set_callback(callback, Context::new(user_data, finalizer), None, tool::handler, |handler| {
            required(options, "options")?.options.tool_handler = Some(handler);
            Ok(())
        })
    }
}
