//! [`enclave_console_line_t`]: what a script has printed.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use enclave_core::{ConsoleHandler, ConsoleLevel, ConsoleLine};

use crate::boundary::guard;
use crate::callback::Context;
use crate::pinned::{name_or_null, pinned};
use crate::text::Lent;

/// The level of a console line, in ascending order.
pub type enclave_console_level_t = i32;
/// `console.debug`, `console.trace`.
pub const ENCLAVE_CONSOLE_DEBUG: enclave_console_level_t = 0;
/// `console.log` and the methods that print like it.
pub const ENCLAVE_CONSOLE_LOG: enclave_console_level_t = 1;
/// `console.info`.
pub const ENCLAVE_CONSOLE_INFO: enclave_console_level_t = 2;
/// `console.warn`.
pub const ENCLAVE_CONSOLE_WARN: enclave_console_level_t = 3;
/// `console.error`, `console.assert`.
pub const ENCLAVE_CONSOLE_ERROR: enclave_console_level_t = 4;

pinned! { ConsoleLevel as enclave_console_level_t:
    ENCLAVE_CONSOLE_DEBUG = Debug,
    ENCLAVE_CONSOLE_LOG = Log,
    ENCLAVE_CONSOLE_INFO = Info,
    ENCLAVE_CONSOLE_WARN = Warn,
    ENCLAVE_CONSOLE_ERROR = Error,
}

/// One console call of a script, formatted. Made by the library, which may append fields.
#[repr(C)]
pub struct enclave_console_line_t {
    /// Bytes of this structure in the loaded library.
    pub size: usize,
    /// The execution's id.
    pub execution_id: u64,
    /// When it was called, in microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// The text, UTF-8 followed by a NUL. It may contain line breaks, but does not end in one.
    pub text: *const c_char,
    /// The bytes of the text.
    pub text_len: usize,
    /// The level.
    pub level: enclave_console_level_t,
}

/// A line together with the text that it points to.
pub(crate) struct Line {
    line: enclave_console_line_t,
    _text: Lent,
}

// SAFETY: the only pointer is to the text that the line itself owns.
unsafe impl Send for Line {}
// SAFETY: nothing is changed after it is made.
unsafe impl Sync for Line {}

impl Line {
    pub(crate) fn new(line: &ConsoleLine) -> Self {
        let text = Lent::new(&line.text);
        let time_us = match line.time.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_micros() as i64,
            Err(before) => -(before.duration().as_micros() as i64),
        };
        let line = enclave_console_line_t {
            size: size_of::<enclave_console_line_t>(),
            execution_id: line.execution_id,
            time_us,
            text: text.as_ptr(),
            text_len: text.len(),
            level: line.level as i32,
        };
        Line { line, _text: text }
    }

    pub(crate) fn get(&self) -> &enclave_console_line_t {
        &self.line
    }
}

/// Receives console lines. The line is lent until the callback returns. It runs on the worker's thread and should
/// return soon: while it runs, its script stands still, but no longer than its timeout.
pub type enclave_console_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, line: *const enclave_console_line_t)>;

/// A handler that calls back with a line that it lends.
///
/// # Safety
///
/// `callback` must be good for the data of `context` on any thread, until the context's finalizer has run.
pub(crate) unsafe fn handler(
    callback: unsafe extern "C" fn(*mut c_void, *const enclave_console_line_t),
    context: Context,
) -> ConsoleHandler {
    Arc::new(move |line| {
        let line = Line::new(line);
        // SAFETY: by the contract of this function; the line lives during the call.
        unsafe { callback(context.user_data(), line.get()) }
    })
}

/// The name of a level, such as `"warn"`; NULL for a number that is none. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn enclave_console_level_name(level: enclave_console_level_t) -> *const c_char {
    guard(std::ptr::null(), || name_or_null(ConsoleLevel::from_number(level).map(ConsoleLevel::c_name)))
}
