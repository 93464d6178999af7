//! The global `console`: every call that prints is one line for the host, formatted here, inside the budgets of the
//! execution.
//!
//! A line is paid for three times: with a call, with a message and with its bytes. It is never built longer than it
//! may be, and building it runs no script (but that of `%j`). Group depth, counters and timers belong to the execution
//! and end with it.

mod format;
mod functions;
mod inspect;
mod layout;
mod objects;
mod read;
mod table;

use std::ffi::CStr;
use std::time::{Duration, Instant, SystemTime};

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{CallArgs, GetFunctionNativeReserved, JS_StackCapture_MaxFrames, JSObject, JSPROP_ENUMERATE};
use mozjs::jsval::{Int32Value, JSVal, ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{CaptureCurrentStack, JS_DefineProperty, JS_NewObjectWithGivenProto, JS_NewPlainObject};

use self::inspect::{Cut, Inspector, Text};
use super::console_state::{ConsoleState, label_room};
use super::native::function;
use super::state::{Current, State};
use super::thrown::{JsResult, Thrown, check};
use super::{exception, message, native, object, text};
use crate::error::{Error, LimitUnit, Message};
use crate::execution::{ConsoleLevel, ConsoleLine};

/// Spaces that a group moves its lines to the right, and groups inside each other that do.
const GROUP_INDENT: usize = 2;
const MAX_GROUP_INDENT: u32 = 50;
/// Counters, and timers, of one execution; bytes of a label by which they are told apart.
const MAX_LABELS: usize = 1000;
const MAX_LABEL: usize = 256;
/// Frames that `console.trace` shows.
const MAX_FRAMES: u32 = 64;

/// Moves all lines of a text to the right.
fn grouped(console: &ConsoleState, text: String, inspector: &mut Inspector) -> Text {
    let depth = console.group_depth.get().min(MAX_GROUP_INDENT) as usize;
    if depth == 0 {
        return Ok(text);
    }
    let indent = " ".repeat(depth * GROUP_INDENT);
    let mut grouped = indent.clone();
    for line in text.split_inclusive('\n') {
        grouped.push_str(line);
        if line.ends_with('\n') {
            grouped.push_str(&indent);
        }
        inspector.check(&grouped)?;
    }
    inspector.whole(grouped)
}

/// What a method of the console does.
#[derive(Clone, Copy)]
enum Method {
    Print(ConsoleLevel),
    Dir,
    Table,
    Trace,
    Assert,
    Group,
    GroupEnd,
    Count,
    CountReset,
    Time,
    TimeLog,
    TimeEnd,
    /// What has no meaning here.
    Nothing,
}

/// Every method; its place is in slot 0 of its function.
static METHODS: [(&CStr, Method); 20] = [
    (c"log", Method::Print(ConsoleLevel::Log)),
    (c"info", Method::Print(ConsoleLevel::Info)),
    (c"warn", Method::Print(ConsoleLevel::Warn)),
    (c"error", Method::Print(ConsoleLevel::Error)),
    (c"debug", Method::Print(ConsoleLevel::Debug)),
    (c"dirxml", Method::Print(ConsoleLevel::Log)),
    (c"dir", Method::Dir),
    (c"table", Method::Table),
    (c"trace", Method::Trace),
    (c"assert", Method::Assert),
    (c"group", Method::Group),
    (c"groupCollapsed", Method::Group),
    (c"groupEnd", Method::GroupEnd),
    (c"count", Method::Count),
    (c"countReset", Method::CountReset),
    (c"time", Method::Time),
    (c"timeLog", Method::TimeLog),
    (c"timeEnd", Method::TimeEnd),
    (c"clear", Method::Nothing),
    (c"timeStamp", Method::Nothing),
];

/// Makes the console of the current realm.
pub(super) fn define(cx: &mut JSContext, global: Handle<*mut JSObject>) -> JsResult<()> {
    // SAFETY: all that is made is rooted before the next call; the names are static.
    unsafe {
        // A namespace object, as the console's standard says: between it and Object.prototype is an empty object.
        rooted!(&in(cx) let prototype = JS_NewPlainObject(cx));
        if prototype.get().is_null() {
            return Err(Thrown);
        }
        rooted!(&in(cx) let console = JS_NewObjectWithGivenProto(cx, std::ptr::null(), prototype.handle()));
        if console.get().is_null() {
            return Err(Thrown);
        }
        for (place, (name, _)) in METHODS.iter().enumerate() {
            rooted!(&in(cx) let slot = Int32Value(place as i32));
            rooted!(&in(cx) let method = native::function_with(cx, Some(call), name, 0, slot.handle())?);
            rooted!(&in(cx) let method = ObjectValue(method.get()));
            let attributes = JSPROP_ENUMERATE as u32;
            check(JS_DefineProperty(cx, console.handle(), name.as_ptr(), method.handle(), attributes))?;
        }
        rooted!(&in(cx) let tag = StringValue(&*text::to_js(cx, "console")?));
        object::define_tag(cx, console.handle(), tag.handle())?;
        rooted!(&in(cx) let value = ObjectValue(console.get()));
        object::define_with(cx, global, "console", value.handle(), 0)
    }
}

function!(call, |cx, state, args| {
    // SAFETY: slot 0 holds the place of the method.
    let place = unsafe { *GetFunctionNativeReserved(args.callee(), 0) }.to_int32();
    args.rval().set(UndefinedValue());
    Call { state, current: &state.current.borrow(), args }.run(cx, METHODS[place as usize].1)
});

/// A call of a method.
#[derive(Clone, Copy)]
struct Call<'a> {
    state: &'a State,
    current: &'a Current,
    args: &'a CallArgs,
}

impl Call<'_> {
    fn run(self, cx: &mut JSContext, method: Method) -> JsResult<()> {
        let console = &self.current.console;
        match method {
            Method::Print(level) => self.print(cx, level, |cx, inspector| self.arguments(cx, inspector, 0)),
            Method::Dir => {
                self.print(cx, ConsoleLevel::Log, |cx, inspector| inspector.value(cx, self.argument(0), None))
            }
            Method::Table => self.print(cx, ConsoleLevel::Log, |cx, inspector| {
                match table::table(cx, inspector, self.argument(0), self.argument(1))? {
                    Some(table) => Ok(table),
                    None => self.arguments(cx, inspector, 0),
                }
            }),
            Method::Trace => self.print(cx, ConsoleLevel::Debug, |cx, inspector| self.trace(cx, inspector)),
            Method::Assert => self.assert(cx),
            Method::Group => {
                if self.args.argc_ > 0 {
                    self.print(cx, ConsoleLevel::Log, |cx, inspector| self.arguments(cx, inspector, 0))?;
                }
                console.group_depth.set(console.group_depth.get().saturating_add(1));
                Ok(())
            }
            Method::GroupEnd => {
                console.group_depth.set(console.group_depth.get().saturating_sub(1));
                Ok(())
            }
            Method::Count => self.count(cx),
            Method::CountReset => self.count_reset(cx),
            Method::Time => self.time(cx),
            Method::TimeLog => self.time_log(cx),
            Method::TimeEnd => self.time_end(cx),
            Method::Nothing => Ok(()),
        }
    }

    fn argument(&self, index: u32) -> Handle<'_, JSVal> {
        // SAFETY: the handle lives no longer than the arguments that are borrowed.
        unsafe { native::argument(self.args, index) }
    }

    /// The arguments from `first` on.
    fn arguments(&self, cx: &mut JSContext, inspector: &mut Inspector, first: u32) -> Text {
        format::arguments(cx, inspector, self.args, first)
    }

    /// Prints one line, if the budgets have room for it.
    fn print(
        self,
        cx: &mut JSContext,
        level: ConsoleLevel,
        make: impl FnOnce(&mut JSContext, &mut Inspector) -> Text,
    ) -> JsResult<()> {
        let Call { state, current, .. } = self;
        let (console, limits) = (&current.console, &current.request.limits);
        if console.calls.get() >= limits.max_console_calls {
            let limit = limits.max_console_calls.into();
            return Err(state.kill(Error::ConsoleLimit { limit, unit: LimitUnit::Calls }));
        }
        message::send_message(state, current)?;
        console.calls.set(console.calls.get() + 1);

        let max_line = current.request.max_message_size;
        let left = limits.max_console_output.saturating_sub(console.bytes.get());
        let mut inspector = Inspector::new(state, usize::try_from(left.min(max_line)).unwrap_or(usize::MAX));
        let made = make(cx, &mut inspector).and_then(|text| grouped(console, text, &mut inspector));
        if state.killed() {
            return Err(Thrown);
        }
        // A `toJSON` may have printed meanwhile.
        let left = limits.max_console_output.saturating_sub(console.bytes.get());
        let text = match made {
            Ok(text) if text.len() as u64 <= left => text,
            Err(Cut::Thrown) => return Err(Thrown),
            Err(Cut::TooLong) if max_line < left => {
                return Err(message::throw_too_large(cx, state, Message::ConsoleLine));
            }
            Ok(_) | Err(Cut::TooLong) => {
                let limit = limits.max_console_output;
                return Err(state.kill(Error::ConsoleLimit { limit, unit: LimitUnit::Bytes }));
            }
        };
        console.bytes.set(console.bytes.get() + text.len() as u64);
        if let Some(host) = current.host() {
            let time = match limits.block_timing_apis {
                true => SystemTime::UNIX_EPOCH + Duration::from_millis(current.frozen_time as u64),
                false => SystemTime::now(),
            };
            host.console(ConsoleLine { execution_id: current.request.id, level, time, text });
        }
        Ok(())
    }

    fn print_text(self, cx: &mut JSContext, level: ConsoleLevel, text: String) -> JsResult<()> {
        self.print(cx, level, |_, inspector| inspector.made(text))
    }

    fn trace(&self, cx: &mut JSContext, inspector: &mut Inspector) -> Text {
        let message = self.arguments(cx, inspector, 0)?;
        let mut text = String::from(if message.is_empty() { "Trace" } else { "Trace: " }) + &message;
        rooted!(&in(cx) let mut stack = std::ptr::null_mut::<JSObject>());
        rooted!(&in(cx) let no_start = std::ptr::null_mut::<JSObject>());
        // SAFETY: all is rooted, and the capture is written before it is read.
        check(unsafe {
            let mut capture = std::mem::MaybeUninit::uninit();
            JS_StackCapture_MaxFrames(MAX_FRAMES, capture.as_mut_ptr());
            CaptureCurrentStack(cx, stack.handle_mut(), capture.as_mut_ptr(), no_start.handle())
        })?;
        if !stack.get().is_null() {
            text.push('\n');
            text += &inspector.frames(cx, stack.handle())?;
        }
        inspector.whole(text)
    }

    fn assert(self, cx: &mut JSContext) -> JsResult<()> {
        // SAFETY: arguments are rooted; the conversion runs no script.
        if unsafe { mozjs::rust::ToBoolean(self.argument(0)) } {
            return Ok(());
        }
        self.print(cx, ConsoleLevel::Error, |cx, inspector| {
            let mut text = inspector.made("Assertion failed".into())?;
            if self.args.argc_ > 1 {
                text += ": ";
                text += &self.arguments(cx, inspector, 1)?;
            }
            inspector.whole(text)
        })
    }

    /// The first argument as the name of a counter or timer.
    fn label(&self, cx: &mut JSContext) -> JsResult<String> {
        let value = self.argument(0);
        if value.get().is_undefined() {
            return Ok("default".into());
        }
        let max_line = usize::try_from(self.current.request.max_message_size).unwrap_or(usize::MAX);
        if value.get().is_string() {
            rooted!(&in(cx) let string = value.get().to_string());
            if text::length(string.handle()) > max_line {
                return Err(message::throw_too_large(cx, self.state, Message::ConsoleLine));
            }
            // No unit is less than a byte.
            let mut label = text::prefix(cx, string.handle(), MAX_LABEL)?;
            label.truncate(label.floor_char_boundary(MAX_LABEL));
            return Ok(label);
        }
        match Inspector::new(self.state, max_line).argument(cx, value) {
            // A copy, because the whole text keeps its room.
            Ok(label) => Ok(label[..label.floor_char_boundary(MAX_LABEL)].to_owned()),
            Err(Cut::Thrown) => Err(Thrown),
            Err(Cut::TooLong) => Err(message::throw_too_large(cx, self.state, Message::ConsoleLine)),
        }
    }

    fn count(self, cx: &mut JSContext) -> JsResult<()> {
        let label = self.label(cx)?;
        let count = {
            let mut counters = self.current.console.counters.borrow_mut();
            if counters.len() >= MAX_LABELS && !counters.contains_key(&label) {
                return Err(exception::throw(cx, "RangeError", "console.count: too many counters"));
            }
            match counters.get_mut(&label) {
                Some((count, _)) => {
                    *count += 1;
                    *count
                }
                None => {
                    counters.insert(label.clone(), (1, label_room(&label)?));
                    1
                }
            }
        };
        self.print_text(cx, ConsoleLevel::Log, format!("{label}: {count}"))
    }

    fn count_reset(self, cx: &mut JSContext) -> JsResult<()> {
        let label = self.label(cx)?;
        if self.current.console.counters.borrow_mut().remove(&label).is_some() {
            return Ok(());
        }
        self.print_text(cx, ConsoleLevel::Warn, format!("Count for '{label}' does not exist"))
    }

    fn time(self, cx: &mut JSContext) -> JsResult<()> {
        let label = self.label(cx)?;
        {
            let mut timers = self.current.console.timers.borrow_mut();
            if !timers.contains_key(&label) {
                if timers.len() >= MAX_LABELS {
                    return Err(exception::throw(cx, "RangeError", "console.time: too many timers"));
                }
                let room = label_room(&label)?;
                timers.insert(label, (Instant::now(), room));
                return Ok(());
            }
        }
        self.print_text(cx, ConsoleLevel::Warn, format!("Timer '{label}' already exists"))
    }

    fn time_log(self, cx: &mut JSContext) -> JsResult<()> {
        let label = self.label(cx)?;
        let started = self.current.console.timers.borrow().get(&label).map(|(started, _)| *started);
        self.print_elapsed(cx, label, started)
    }

    fn time_end(self, cx: &mut JSContext) -> JsResult<()> {
        let label = self.label(cx)?;
        let started = self.current.console.timers.borrow_mut().remove(&label).map(|(started, _)| started);
        self.print_elapsed(cx, label, started)
    }

    /// Prints how long a timer has run, and the arguments behind its label.
    fn print_elapsed(self, cx: &mut JSContext, label: String, started: Option<Instant>) -> JsResult<()> {
        let Some(started) = started else {
            return self.print_text(cx, ConsoleLevel::Warn, format!("Timer '{label}' does not exist"));
        };
        let elapsed = match self.current.request.limits.block_timing_apis {
            true => 0.0,
            false => started.elapsed().as_secs_f64() * 1000.0,
        };
        self.print(cx, ConsoleLevel::Log, |cx, inspector| {
            let mut text = inspector.made(format!("{label}: {}", milliseconds(elapsed)))?;
            for index in 1..self.args.argc_ {
                text.push(' ');
                text += &inspector.argument(cx, self.argument(index))?;
            }
            inspector.whole(text)
        })
    }
}

/// A time as Node prints it: `1.5ms`, `2.250s`.
fn milliseconds(ms: f64) -> String {
    if ms >= 1000.0 {
        return format!("{:.3}s", ms / 1000.0);
    }
    let text = format!("{ms:.3}");
    format!("{}ms", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (ms, text) in [(0.0, "0ms"), (1.5, "1.5ms"), (0.0004, "0ms"), (999.9, "999.9ms"), (2250.0, "2.250s")] {
            assert_eq!(milliseconds(ms), text);
        }
    }
}
