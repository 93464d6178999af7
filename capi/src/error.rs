//! [`enclave_error_t`]: why something failed, with the numbers of the case.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use enclave_core::{Error, LimitUnit};

use crate::boundary::guard;
use crate::setting::{self, enclave_setting_t};
use crate::status::{ENCLAVE_INVALID_ARGUMENT, enclave_status_t};
use crate::text::{Lent, lend};
use crate::units;

/// Why a call or an execution failed. Immutable; may be read from any thread. An owned one is freed with
/// `enclave_error_free`, one lent by an outcome lives as long as the outcome.
///
/// Texts are lent and live as long as the error. An accessor gives NULL or 0 if the error does not have what it asks
/// for; its documentation says which statuses have it.
pub struct enclave_error_t {
    error: Error,
    facts: Facts,
    message: Lent,
    name: Option<Lent>,
    script_message: Option<Lent>,
    code: Option<Lent>,
    stack: Option<Lent>,
    filename: Option<Lent>,
    source_line: Option<Lent>,
    field: Option<Lent>,
    path: Option<Lent>,
}

impl enclave_error_t {
    pub(crate) fn new(error: Error) -> Self {
        let script = error.script_error();
        let lent = |text: Option<&String>| text.map(Lent::new);
        let (mut field, mut path) = (None, None);
        match &error {
            Error::InvalidArgument { field: name, .. } => field = Some(Lent::new(name)),
            Error::Unsupported { feature, .. } => field = Some(Lent::new(feature)),
            Error::ResultNotTransferable { path: place, .. } => path = Some(Lent::new(place)),
            _ => {}
        }
        enclave_error_t {
            message: Lent::new(error.to_string()),
            name: lent(script.map(|script| &script.name)),
            script_message: lent(script.map(|script| &script.message)),
            code: lent(script.and_then(|script| script.code.as_ref())),
            stack: lent(script.and_then(|script| script.stack.as_ref())),
            filename: lent(script.and_then(|script| script.filename.as_ref())),
            source_line: lent(script.and_then(|script| script.source_line.as_ref())),
            field,
            path,
            facts: facts(&error),
            error,
        }
    }
}

/// The numbers of an error; what it does not have is 0.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// The setting whose limit was passed, and that limit.
    setting: enclave_setting_t,
    limit: u64,
    used_bytes: u64,
    queue_size: u64,
    retry_after_ms: u64,
    waited_ms: u64,
    signal: i32,
}

fn facts(error: &Error) -> Facts {
    let limit = |setting, limit| Facts { setting, limit, ..Facts::default() };
    match error {
        Error::Timeout { limit: time } => limit(setting::ENCLAVE_SETTING_TIMEOUT_MS, units::ms(*time)),
        Error::CpuLimit { limit: time } => limit(setting::ENCLAVE_SETTING_CPU_TIME_LIMIT_MS, units::ms(*time)),
        Error::MemoryLimit { limit: bytes, used } => {
            Facts { used_bytes: *used, ..limit(setting::ENCLAVE_SETTING_MEMORY_LIMIT_PER_WORKER, *bytes) }
        }
        Error::ConsoleLimit { limit: most, unit: LimitUnit::Bytes } => {
            limit(setting::ENCLAVE_SETTING_MAX_CONSOLE_OUTPUT, *most)
        }
        Error::ConsoleLimit { limit: most, .. } => limit(setting::ENCLAVE_SETTING_MAX_CONSOLE_CALLS, *most),
        Error::ToolCallLimit { limit: most, unit: LimitUnit::PendingToolCalls, .. } => {
            limit(setting::ENCLAVE_SETTING_MAX_PENDING_TOOL_CALLS, *most)
        }
        Error::ToolCallLimit { limit: bytes, unit: LimitUnit::PendingBytes, used } => {
            Facts { used_bytes: *used, ..limit(setting::ENCLAVE_SETTING_MAX_PENDING_BYTES, *bytes) }
        }
        Error::ToolCallLimit { limit: most, .. } => limit(setting::ENCLAVE_SETTING_MAX_TOOL_CALLS, *most),
        Error::MessageFlood { limit: most } => {
            limit(setting::ENCLAVE_SETTING_MAX_MESSAGES_PER_SECOND, u64::from(*most))
        }
        Error::MessageTooLarge { limit: bytes, .. } => limit(setting::ENCLAVE_SETTING_MAX_MESSAGE_SIZE, *bytes),
        Error::QueueFull { queue_size, retry_after } => {
            Facts { queue_size: *queue_size as u64, retry_after_ms: units::ms(*retry_after).max(1), ..Facts::default() }
        }
        Error::QueueTimeout { waited } => Facts { waited_ms: units::ms(*waited), ..Facts::default() },
        Error::WorkerCrashed { signal, .. } => Facts { signal: signal.unwrap_or(0), ..Facts::default() },
        _ => Facts::default(),
    }
}

/// Reads something of an error; `fallback` is the answer for NULL.
fn read<T: Copy>(error: Option<&enclave_error_t>, fallback: T, read: impl FnOnce(&Error) -> Option<T>) -> T {
    guard(fallback, || error.and_then(|error| read(&error.error)).unwrap_or(fallback))
}

/// A number of an error, 0 of NULL.
fn fact<T: Default>(error: Option<&enclave_error_t>, read: impl FnOnce(&Facts) -> T) -> T {
    guard(T::default(), || error.map(|error| read(&error.facts)).unwrap_or_default())
}

/// Frees an owned error; NULL is fine.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_free(error: Option<Box<enclave_error_t>>) {
    guard((), || drop(error))
}

/// The status; never `ENCLAVE_OK` (`ENCLAVE_INVALID_ARGUMENT` for NULL).
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_status(error: Option<&enclave_error_t>) -> enclave_status_t {
    read(error, ENCLAVE_INVALID_ARGUMENT, |error| Some(error.status().code()))
}

/// What happened and what to do, in one line that is complete without the status. Every error has it; its length
/// goes to `len`, which may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_message(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.map(|error| &error.message), len))
}

/// EXCEPTION, SYNTAX_ERROR: the JavaScript `error.name`, such as `TypeError`; for a thrown value that is no `Error`,
/// its type.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_name(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.name.as_ref()), len))
}

/// EXCEPTION, SYNTAX_ERROR: the JavaScript `error.message`, without name and place; for a thrown value that is no
/// `Error`, its text.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_script_message(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.script_message.as_ref()), len))
}

/// EXCEPTION: the JavaScript `error.code`, where the script or a tool has set one.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_code(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.code.as_ref()), len))
}

/// EXCEPTION: the JavaScript stack, a frame a line, innermost first.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_stack(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.stack.as_ref()), len))
}

/// EXCEPTION, SYNTAX_ERROR: the name of the source.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_filename(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.filename.as_ref()), len))
}

/// EXCEPTION, SYNTAX_ERROR: the line in the source, from 1; 0 where unknown.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_line(error: Option<&enclave_error_t>) -> u32 {
    read(error, 0, |error| error.script_error().map(|script| script.line))
}

/// EXCEPTION, SYNTAX_ERROR: the column in the line, from 1, in UTF-16 units; 0 where unknown.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_column(error: Option<&enclave_error_t>) -> u32 {
    read(error, 0, |error| error.script_error().map(|script| script.column))
}

/// SYNTAX_ERROR, EXCEPTION: the text of the line, cut to about 120 characters around the column.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_source_line(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.source_line.as_ref()), len))
}

/// INVALID_ARGUMENT, UNSUPPORTED: the argument, setting or feature.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_field(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.field.as_ref()), len))
}

/// RESULT_NOT_TRANSFERABLE: the path to the value that cannot be copied, such as `result.items[3]`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_path(
    error: Option<&enclave_error_t>,
    len: Option<&mut MaybeUninit<usize>>,
) -> *const c_char {
    guard(std::ptr::null(), || lend(error.and_then(|error| error.path.as_ref()), len))
}

/// TIMEOUT, CPU_LIMIT, MEMORY_LIMIT, CONSOLE_LIMIT, TOOL_CALL_LIMIT, MESSAGE_FLOOD, MESSAGE_TOO_LARGE: the setting
/// whose limit was passed, which tells the unit of `enclave_error_limit`. Otherwise `ENCLAVE_SETTING_NONE`.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_setting(error: Option<&enclave_error_t>) -> enclave_setting_t {
    fact(error, |facts| facts.setting)
}

/// The limit that was passed, in the unit of `enclave_error_setting`: milliseconds, bytes or a count.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_limit(error: Option<&enclave_error_t>) -> u64 {
    fact(error, |facts| facts.limit)
}

/// MEMORY_LIMIT, and TOOL_CALL_LIMIT if the setting is `max_pending_bytes`: the bytes in use when the library saw that
/// the limit was passed, including a refused request.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_used_bytes(error: Option<&enclave_error_t>) -> u64 {
    fact(error, |facts| facts.used_bytes)
}

/// QUEUE_FULL: executions waiting.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_queue_size(error: Option<&enclave_error_t>) -> u64 {
    fact(error, |facts| facts.queue_size)
}

/// QUEUE_FULL: milliseconds until a place may be free, judged by the recent pace; at least 1.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_retry_after_ms(error: Option<&enclave_error_t>) -> u64 {
    fact(error, |facts| facts.retry_after_ms)
}

/// QUEUE_TIMEOUT: milliseconds waited in the queue.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_waited_ms(error: Option<&enclave_error_t>) -> u64 {
    fact(error, |facts| facts.waited_ms)
}

/// WORKER_CRASHED: the signal that ended the worker; 0 if it was none.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_error_signal(error: Option<&enclave_error_t>) -> i32 {
    fact(error, |facts| facts.signal)
}
