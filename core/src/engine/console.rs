//! The global `console`: formats in native code (see [`inspect`](super::inspect)), inside the execution's budgets, and
//! sends lines to the host. Groups, counters and timers belong to the execution and end with it.
//!
//! A call counts against `max_console_calls` and the message rate before anything is formatted; the text is made no
//! longer than what is left of `max_console_output` and `max_message_size`, however large the value.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use mozjs::context::{JSContext, RawJSContext};
use mozjs::gc::Handle;
use mozjs::jsapi::{CallArgs, JSNative, JSObject};
use mozjs::jsval::{JSVal, ObjectValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::ToBoolean;
use mozjs::rust::wrappers2::JS_NewPlainObject;

use super::host::{argument, define_function, native, send_message, throw_too_large};
use super::inspect::Inspector;
use super::isolate::{Current, JsResult, State, Thrown};
use super::{convert, text};
use crate::error::{Error, LimitUnit};
use crate::execution::{ConsoleLevel, ConsoleLine};

/// Counters and timers of one execution at once, each.
const MAX_LABELS: usize = 1000;
/// UTF-16 units of a label; a longer one is not told from others that begin so.
const MAX_LABEL: usize = 256;
/// Groups inside each other that indent.
const MAX_INDENT: u32 = 32;

/// What one execution has said, and where its console stands.
#[derive(Default)]
pub(super) struct ConsoleState {
    calls: Cell<u32>,
    bytes: Cell<u64>,
    groups: Cell<u32>,
    counters: RefCell<HashMap<String, u64>>,
    timers: RefCell<HashMap<String, Instant>>,
}

impl ConsoleState {
    /// Calls that counted so far.
    pub(super) fn calls(&self) -> u32 {
        self.calls.get()
    }
}

/// The functions of the console, each with the number of its arguments.
const METHODS: [(&std::ffi::CStr, JSNative, u32); 20] = [
    (c"log", Some(log), 0),
    (c"info", Some(info), 0),
    (c"warn", Some(warn), 0),
    (c"error", Some(error), 0),
    (c"debug", Some(debug), 0),
    (c"trace", Some(trace), 0),
    (c"dir", Some(dir), 0),
    (c"dirxml", Some(log), 0),
    (c"table", Some(table), 1),
    (c"group", Some(group), 0),
    (c"groupCollapsed", Some(group), 0),
    (c"groupEnd", Some(group_end), 0),
    (c"assert", Some(assert), 0),
    (c"count", Some(count), 0),
    (c"countReset", Some(count_reset), 0),
    (c"time", Some(time), 0),
    (c"timeLog", Some(time_log), 0),
    (c"timeEnd", Some(time_end), 0),
    (c"timeStamp", Some(nothing), 0),
    (c"clear", Some(nothing), 0),
];

pub(super) fn define(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    // SAFETY: rooted at once.
    rooted!(&in(cx) let console = unsafe { JS_NewPlainObject(cx) });
    if console.get().is_null() {
        return Err(Thrown);
    }
    for (name, function, arguments) in METHODS {
        define_function(cx, console.handle(), name, function, arguments)?;
    }
    rooted!(&in(cx) let console = ObjectValue(console.get()));
    convert::define_with(cx, global, "console", console.handle(), 0)
}

/// Defines the engine's way into a method.
macro_rules! method {
    ($name:ident, $body:expr) => {
        unsafe extern "C" fn $name(cx: *mut RawJSContext, argc: u32, vp: *mut JSVal) -> bool {
            let body: fn(&mut JSContext, &State, &CallArgs) -> JsResult<()> = $body;
            // SAFETY: called by the engine.
            unsafe {
                native(cx, argc, vp, |cx, state, args| {
                    args.rval().set(UndefinedValue());
                    body(cx, state, args)
                })
            }
        }
    };
}

method!(log, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Log, ""));
method!(info, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Info, ""));
method!(warn, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Warn, ""));
method!(error, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Error, ""));
method!(debug, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Debug, ""));
method!(trace, |cx, state, args| print(cx, state, args, 0, ConsoleLevel::Debug, "Trace: "));
method!(dir, |cx, state, args| {
    say(cx, state, ConsoleLevel::Log, |cx, inspector| {
        // SAFETY: used inside the call.
        inspector.value(cx, unsafe { argument(args, 0) }, 0)
    })
});
method!(table, |cx, state, args| {
    say(cx, state, ConsoleLevel::Log, |cx, inspector| {
        // SAFETY: used inside the call.
        inspector.table(cx, unsafe { argument(args, 0) })
    })
});
method!(assert, |cx, state, args| {
    // SAFETY: the argument is rooted by the engine.
    if unsafe { ToBoolean(argument(args, 0)) } {
        return Ok(());
    }
    let prefix = if args.argc_ > 1 { "Assertion failed: " } else { "Assertion failed" };
    print(cx, state, args, 1, ConsoleLevel::Error, prefix)
});
method!(group, |cx, state, args| {
    if args.argc_ > 0 {
        print(cx, state, args, 0, ConsoleLevel::Log, "")?;
    }
    let groups = &state.current.borrow().console.groups;
    groups.set(groups.get().saturating_add(1));
    Ok(())
});
method!(group_end, |_cx, state, _args| {
    let groups = &state.current.borrow().console.groups;
    groups.set(groups.get().saturating_sub(1));
    Ok(())
});
method!(count, |cx, state, args| {
    let label = label(cx, args)?;
    let number = {
        let current = state.current.borrow();
        let mut counters = current.console.counters.borrow_mut();
        if counters.len() >= MAX_LABELS && !counters.contains_key(&label) {
            counters.clear();
        }
        let counter = counters.entry(label.clone()).or_default();
        *counter += 1;
        *counter
    };
    say(cx, state, ConsoleLevel::Log, |_, inspector| {
        inspector.text(&format!("{label}: {number}"));
        Ok(())
    })
});
method!(count_reset, |cx, state, args| {
    let label = label(cx, args)?;
    state.current.borrow().console.counters.borrow_mut().remove(&label);
    Ok(())
});
method!(time, |cx, state, args| {
    let label = label(cx, args)?;
    let current = state.current.borrow();
    let mut timers = current.console.timers.borrow_mut();
    if timers.len() < MAX_LABELS {
        timers.entry(label).or_insert_with(Instant::now);
    }
    Ok(())
});
method!(time_log, |cx, state, args| time_passed(cx, state, args, false));
method!(time_end, |cx, state, args| time_passed(cx, state, args, true));
method!(nothing, |_, _, _| Ok(()));

/// Says how long a timer has run; a timer that nobody has started says nothing.
fn time_passed(cx: &mut JSContext, state: &State, args: &CallArgs, end: bool) -> JsResult<()> {
    let label = label(cx, args)?;
    let (started, stands_still) = {
        let current = state.current.borrow();
        let mut timers = current.console.timers.borrow_mut();
        let started = if end { timers.remove(&label) } else { timers.get(&label).copied() };
        (started, current.request.limits.block_timing_apis)
    };
    let Some(started) = started else { return Ok(()) };
    // A clock like any other: it reads the same all the time where clocks stand still.
    let ms = if stands_still { 0.0 } else { started.elapsed().as_secs_f64() * 1000.0 };
    say(cx, state, ConsoleLevel::Log, |cx, inspector| {
        inspector.text(&format!("{label}: {ms:.3}ms"));
        if !end && args.argc_ > 1 {
            inspector.text(" ");
            inspector.message(cx, args, 1)?;
        }
        Ok(())
    })
}

/// The label of a counter or timer.
fn label(cx: &mut JSContext, args: &CallArgs) -> JsResult<String> {
    // SAFETY: used inside the call.
    let value = unsafe { argument(args, 0) };
    if value.get().is_undefined() {
        return Ok("default".into());
    }
    let mut inspector = Inspector::new(MAX_LABEL);
    inspector.top(cx, value)?;
    Ok(inspector.into_text())
}

/// Prints the arguments from `first` on as one message.
fn print(
    cx: &mut JSContext,
    state: &State,
    args: &CallArgs,
    first: u32,
    level: ConsoleLevel,
    prefix: &str,
) -> JsResult<()> {
    say(cx, state, level, |cx, inspector| {
        inspector.text(prefix);
        inspector.message(cx, args, first)
    })
}

/// Counts a call, formats its text and sends it as a line.
fn say(
    cx: &mut JSContext,
    state: &State,
    level: ConsoleLevel,
    format: impl FnOnce(&mut JSContext, &mut Inspector) -> JsResult<()>,
) -> JsResult<()> {
    let current = state.current.borrow();
    let room = begin(state, &current)?;
    let max = current.request.max_message_size;
    // One byte more than there may be, so that what is too long is known to be.
    let mut inspector = Inspector::new(room.min(max).saturating_add(1) as usize);
    let indent = "  ".repeat(current.console.groups.get().min(MAX_INDENT) as usize);
    inspector.text(&indent);
    format(cx, &mut inspector)?;
    if state.killed() {
        return Err(Thrown);
    }
    let mut text = inspector.into_text();
    if !indent.is_empty() && text.contains('\n') {
        text = text.replace('\n', &format!("\n{indent}"));
    }
    let bytes = text.len() as u64;
    if bytes > room {
        let limit = current.request.limits.max_console_output;
        return Err(state.kill(Error::ConsoleLimit { limit, unit: LimitUnit::Bytes }));
    }
    if bytes > max {
        return Err(throw_too_large(cx, state, "a console line"));
    }
    current.console.bytes.set(current.console.bytes.get() + bytes);
    if let Some(host) = current.host() {
        let time = if current.request.limits.block_timing_apis {
            SystemTime::UNIX_EPOCH + std::time::Duration::from_secs_f64(current.frozen_time / 1000.0)
        } else {
            SystemTime::now()
        };
        host.console(ConsoleLine { execution_id: current.request.id, level, time, text });
    }
    Ok(())
}

/// Takes a call from the budgets; the bytes that are left of the output.
fn begin(state: &State, current: &Current) -> JsResult<u64> {
    let limits = &current.request.limits;
    let console = &current.console;
    if console.calls.get() >= limits.max_console_calls {
        let limit = limits.max_console_calls.into();
        return Err(state.kill(Error::ConsoleLimit { limit, unit: LimitUnit::Calls }));
    }
    send_message(state, current)?;
    console.calls.set(console.calls.get() + 1);
    Ok(limits.max_console_output - console.bytes.get())
}

/// A string as text, no longer than `max` UTF-16 units.
pub(super) fn bounded(cx: &mut JSContext, string: Handle<*mut mozjs::jsapi::JSString>, max: usize) -> JsResult<String> {
    if text::length(string) <= max {
        return text::to_rust(cx, string);
    }
    text::prefix(cx, string, max)
}
