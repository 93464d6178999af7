//! Values as text for people, much as Node prints them. Runs no script: getters are named, not called, proxies are not
//! asked, and prototypes are followed only where they are ordinary. The text has a bound, at which work stops.

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::glue::JS_GetPromiseResult;
use mozjs::jsapi::{
    CallArgs, ESClass, IsArrayBufferObjectMaybeShared, IsCallable, JS_IsArrayBufferViewObject, JSCLASS_IS_PROXY,
    JSITER_OWNONLY, JSObject, JSString, PromiseState, PropertyDescriptor,
};
use mozjs::jsid::VoidId;
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::IdVector;
use mozjs::rust::wrappers2::{
    DateGetMsecSinceEpoch, GetArrayLength, GetBuiltinClass, GetPromiseState, GetPropertyKeys, GetRegExpSource,
    GetSymbolDescription, JS_GetElement, JS_GetOwnPropertyDescriptorById, JS_GetOwnUCPropertyDescriptor,
    JS_GetPrototypeIfOrdinary, JS_IndexToId,
};

use super::console::bounded;
use super::convert;
use super::host::argument;
use super::isolate::{JsResult, State, Thrown, check};
use crate::value::json::{iso_date, number_text};

/// Levels of objects inside the first that are shown.
const MAX_DEPTH: usize = 2;
/// Items of an array, map or set, and properties of an object, that are shown.
const MAX_ITEMS: u32 = 100;
/// Rows and columns of a table.
const MAX_ROWS: usize = 1000;
const MAX_COLUMNS: usize = 20;
/// Longest way up the prototypes for a class's or an error's name.
const MAX_PROTOTYPES: usize = 16;
/// A line up to this width is not broken.
const WIDTH: usize = 72;

/// Writes values into a text of at most `max` bytes, and a little.
pub(super) struct Inspector {
    out: String,
    max: usize,
    /// The objects that it is inside of. They are rooted by the callers.
    parents: Vec<*mut JSObject>,
}

impl Inspector {
    pub(super) fn new(max: usize) -> Self {
        Inspector { out: String::new(), max, parents: Vec::new() }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    pub(super) fn text(&mut self, text: &str) {
        let left = self.max.saturating_sub(self.out.len());
        // A character more than fits, so that what is too long is known to be.
        let end = if text.len() <= left { text.len() } else { text.ceil_char_boundary(left) };
        self.out.push_str(&text[..end]);
    }

    fn is_full(&self) -> bool {
        self.out.len() >= self.max
    }

    /// Whether there is any use in going on.
    fn stop(&self, cx: &JSContext) -> JsResult<bool> {
        if State::of(cx).killed() { Err(Thrown) } else { Ok(self.is_full()) }
    }

    fn string(&mut self, cx: &mut JSContext, string: Handle<*mut JSString>) -> JsResult<()> {
        let text = bounded(cx, string, self.max.saturating_sub(self.out.len()).saturating_add(1))?;
        self.text(&text);
        Ok(())
    }

    /// The arguments of a call from `first` on: as a format, if the first is one, with a space between the others.
    pub(super) fn message(&mut self, cx: &mut JSContext, args: &CallArgs, first: u32) -> JsResult<()> {
        let mut next = first;
        // SAFETY: used inside the call, here and below.
        let format = unsafe { argument(args, first) };
        if args.argc_ > first + 1 && format.get().is_string() {
            rooted!(&in(cx) let string = format.get().to_string());
            let left = self.max.saturating_sub(self.out.len()).saturating_add(1);
            let format = bounded(cx, string.handle(), left)?;
            next = self.format(cx, &format, args, first + 1)?;
            if next < args.argc_ {
                self.text(" ");
            }
        }
        for index in next..args.argc_ {
            if self.stop(cx)? {
                break;
            }
            if index > next {
                self.text(" ");
            }
            // SAFETY: as above.
            self.top(cx, unsafe { argument(args, index) })?;
        }
        Ok(())
    }

    /// Puts arguments into a format, and gives the first that was not used.
    fn format(&mut self, cx: &mut JSContext, format: &str, args: &CallArgs, first: u32) -> JsResult<u32> {
        let mut next = first;
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            self.text(&rest[..at]);
            let directive = rest[at + 1..].chars().next();
            let known = matches!(directive, Some('s' | 'd' | 'i' | 'f' | 'j' | 'o' | 'O' | 'c'));
            if directive == Some('%') {
                self.text("%");
            } else if known && next < args.argc_ {
                // SAFETY: used inside the call.
                let value = unsafe { argument(args, next) };
                next += 1;
                match directive {
                    Some('d' | 'i' | 'f') => self.number(cx, value, directive)?,
                    Some('s') => self.top(cx, value)?,
                    // A style: there is none here.
                    Some('c') => {}
                    _ => self.value(cx, value, 0)?,
                }
            } else {
                self.text("%");
                rest = &rest[at + 1..];
                continue;
            }
            rest = &rest[at + 2..];
        }
        self.text(rest);
        Ok(next)
    }

    fn number(&mut self, cx: &mut JSContext, value: Handle<JSVal>, directive: Option<char>) -> JsResult<()> {
        let plain = value.get();
        if plain.is_bigint() {
            return self.value(cx, value, 0);
        }
        let number = if plain.is_number() {
            plain.to_number()
        } else if plain.is_string() {
            rooted!(&in(cx) let string = plain.to_string());
            bounded(cx, string.handle(), 100)?.trim().parse().unwrap_or(f64::NAN)
        } else {
            f64::NAN
        };
        self.text(&number_text(if directive == Some('i') { number.trunc() } else { number }));
        Ok(())
    }

    /// A value as an argument of its own: a string is printed as it is.
    pub(super) fn top(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> JsResult<()> {
        if value.get().is_string() {
            rooted!(&in(cx) let string = value.get().to_string());
            return self.string(cx, string.handle());
        }
        self.value(cx, value, 0)
    }

    /// A value inside others, `depth` levels deep.
    pub(super) fn value(&mut self, cx: &mut JSContext, value: Handle<JSVal>, depth: usize) -> JsResult<()> {
        let plain = value.get();
        if plain.is_undefined() {
            self.text("undefined");
        } else if plain.is_null() {
            self.text("null");
        } else if plain.is_boolean() {
            self.text(if plain.to_boolean() { "true" } else { "false" });
        } else if plain.is_number() {
            self.text(&number_text(plain.to_number()));
        } else if plain.is_string() {
            rooted!(&in(cx) let string = plain.to_string());
            let text = bounded(cx, string.handle(), self.max.saturating_sub(self.out.len()).saturating_add(1))?;
            self.text(&quoted(&text));
        } else if plain.is_bigint() {
            let text = convert::bigint_text(cx, value, self.max)?;
            self.text(&text);
            self.text("n");
        } else if plain.is_symbol() {
            rooted!(&in(cx) let symbol = plain.to_symbol());
            // SAFETY: the symbol is rooted; the string is rooted at once.
            rooted!(&in(cx) let description = unsafe { GetSymbolDescription(symbol.handle()) });
            self.text("Symbol(");
            if !description.get().is_null() {
                self.string(cx, description.handle())?;
            }
            self.text(")");
        } else if plain.is_object() {
            rooted!(&in(cx) let object = plain.to_object());
            self.object(cx, object.handle(), depth)?;
        }
        Ok(())
    }

    fn object(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>, depth: usize) -> JsResult<()> {
        if self.stop(cx)? {
            return Ok(());
        }
        if is_proxy(object) {
            self.text("[Proxy]");
            return Ok(());
        }
        if self.parents.contains(&object.get()) {
            self.text("[Circular]");
            return Ok(());
        }
        // SAFETY: `object` is rooted.
        if unsafe { IsCallable(object.get()) } {
            let name = own_text(cx, object, "name")?.filter(|name| !name.is_empty());
            self.text(&name.map_or_else(|| "[Function (anonymous)]".into(), |name| format!("[Function: {name}]")));
            return Ok(());
        }
        let mut class = ESClass::Other;
        // SAFETY: `object` is rooted; `class` is a valid place.
        check(unsafe { GetBuiltinClass(cx, object, &mut class) })?;
        match class {
            ESClass::Error => return self.error(cx, object),
            ESClass::Date => return self.date(cx, object),
            ESClass::RegExp => return self.regexp(cx, object),
            ESClass::Promise => return self.promise(cx, object, depth),
            _ => {}
        }
        let name = class_name(cx, object)?;
        if depth > MAX_DEPTH {
            let name = match class {
                ESClass::Array => "Array".into(),
                _ => name.unwrap_or_else(|| "Object: null prototype".into()),
            };
            self.text(&format!("[{name}]"));
            return Ok(());
        }
        self.parents.push(object.get());
        let start = self.out.len();
        let written = self.container(cx, object, class, name, depth);
        self.parents.pop();
        written?;
        self.break_lines(start, depth);
        Ok(())
    }

    fn container(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        class: ESClass,
        name: Option<String>,
        depth: usize,
    ) -> JsResult<()> {
        // SAFETY: `object` is rooted, here and below.
        let is_view = unsafe { JS_IsArrayBufferViewObject(object.get()) };
        // SAFETY: as above.
        let is_buffer = unsafe { IsArrayBufferObjectMaybeShared(object.get()) };
        match class {
            ESClass::Array => {
                let mut length = 0;
                // SAFETY: as above.
                check(unsafe { GetArrayLength(cx, object, &mut length) })?;
                if let Some(name) = name.filter(|name| name != "Array") {
                    self.text(&format!("{name}({length}) "));
                }
                self.items(cx, object, length, depth, false)
            }
            ESClass::Map | ESClass::Set => {
                let is_map = class == ESClass::Map;
                rooted!(&in(cx) let flat = convert::flatten(cx, object, is_map)?);
                let mut length = 0;
                // SAFETY: `flat` is our own array and rooted.
                check(unsafe { GetArrayLength(cx, flat.handle(), &mut length) })?;
                let name = name.unwrap_or_else(|| if is_map { "Map".into() } else { "Set".into() });
                self.text(&format!("{name}({}) ", if is_map { length / 2 } else { length }));
                if is_map {
                    self.entries(cx, flat.handle(), length / 2, depth)
                } else {
                    self.set(cx, flat.handle(), length, depth)
                }
            }
            _ if is_view || is_buffer => {
                let bytes = convert::bytes_of(object);
                let name = name.unwrap_or_else(|| "ArrayBuffer".into());
                self.text(&format!("{name}({}) ", bytes.length));
                if is_view && name != "DataView" {
                    return self.items(cx, object, bytes.elements, depth, true);
                }
                let shown: Vec<String> = bytes.first.iter().map(|byte| format!("{byte:02x}")).collect();
                let more = if bytes.length > shown.len() { " ..." } else { "" };
                self.text(&format!("{{ <{}{more}> }}", shown.join(" ")));
                Ok(())
            }
            ESClass::Number | ESClass::String | ESClass::Boolean | ESClass::BigInt => {
                rooted!(&in(cx) let mut inner = UndefinedValue());
                // SAFETY: `object` is rooted and its class is that of a boxed primitive.
                check(unsafe { mozjs::jsapi::js::Unbox(cx.raw_cx(), object.into(), inner.handle_mut().into()) })?;
                self.text(&format!("[{}: ", name.unwrap_or_else(|| "Object".into())));
                self.value(cx, inner.handle(), depth)?;
                self.text("]");
                Ok(())
            }
            _ => {
                match name {
                    None => self.text("[Object: null prototype] "),
                    Some(name) if name != "Object" => self.text(&format!("{name} ")),
                    Some(_) => {}
                }
                self.properties(cx, object, depth)
            }
        }
    }

    fn items(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        length: u32,
        depth: usize,
        typed: bool,
    ) -> JsResult<()> {
        if length == 0 {
            self.text("[]");
            return Ok(());
        }
        self.text("[ ");
        rooted!(&in(cx) let mut item = UndefinedValue());
        rooted!(&in(cx) let mut id = VoidId());
        for index in 0..length.min(MAX_ITEMS) {
            if self.stop(cx)? {
                return Ok(());
            }
            self.separate(index);
            if typed {
                // SAFETY: an element of a typed array is data. `object` and `item` are rooted.
                check(unsafe { JS_GetElement(cx, object, index, item.handle_mut()) })?;
                self.value(cx, item.handle(), depth + 1)?;
                continue;
            }
            // SAFETY: `id` is rooted.
            check(unsafe { JS_IndexToId(cx, index, id.handle_mut()) })?;
            if !self.property(cx, object, id.handle(), depth)? {
                self.text("<empty>");
            }
        }
        self.more(length, "item");
        self.text(" ]");
        Ok(())
    }

    fn entries(&mut self, cx: &mut JSContext, flat: Handle<*mut JSObject>, length: u32, depth: usize) -> JsResult<()> {
        rooted!(&in(cx) let mut item = UndefinedValue());
        self.text(if length == 0 { "{" } else { "{ " });
        for index in 0..length.min(MAX_ITEMS) {
            if self.stop(cx)? {
                return Ok(());
            }
            self.separate(index);
            for (offset, between) in [(0, ""), (1, " => ")] {
                self.text(between);
                // SAFETY: `flat` is our own array and rooted, as is `item`.
                check(unsafe { JS_GetElement(cx, flat, index * 2 + offset, item.handle_mut()) })?;
                self.value(cx, item.handle(), depth + 1)?;
            }
        }
        self.more(length, "entry");
        self.text(if length == 0 { "}" } else { " }" });
        Ok(())
    }

    fn set(&mut self, cx: &mut JSContext, flat: Handle<*mut JSObject>, length: u32, depth: usize) -> JsResult<()> {
        rooted!(&in(cx) let mut item = UndefinedValue());
        self.text(if length == 0 { "{" } else { "{ " });
        for index in 0..length.min(MAX_ITEMS) {
            if self.stop(cx)? {
                return Ok(());
            }
            self.separate(index);
            // SAFETY: as above.
            check(unsafe { JS_GetElement(cx, flat, index, item.handle_mut()) })?;
            self.value(cx, item.handle(), depth + 1)?;
        }
        self.more(length, "item");
        self.text(if length == 0 { "}" } else { " }" });
        Ok(())
    }

    fn properties(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>, depth: usize) -> JsResult<()> {
        let mut ids = IdVector::new(cx);
        // SAFETY: `object` is rooted; `ids` roots what it holds.
        check(unsafe { GetPropertyKeys(cx, object, JSITER_OWNONLY, ids.handle_mut()) })?;
        if ids.is_empty() {
            self.text("{}");
            return Ok(());
        }
        self.text("{ ");
        rooted!(&in(cx) let mut id = VoidId());
        for index in 0..ids.len().min(MAX_ITEMS as usize) {
            if self.stop(cx)? {
                return Ok(());
            }
            self.separate(index as u32);
            id.set(ids[index]);
            let key = convert::key_text(cx, id.handle(), self.max)?;
            self.text(&if is_identifier(&key) { key } else { quoted(&key) });
            self.text(": ");
            self.property(cx, object, id.handle(), depth)?;
        }
        self.more(ids.len() as u32, "property");
        self.text(" }");
        Ok(())
    }

    /// The value of an own property; false if there is none.
    fn property(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        id: Handle<mozjs::jsapi::jsid>,
        depth: usize,
    ) -> JsResult<bool> {
        rooted!(&in(cx) let mut descriptor = PropertyDescriptor::default());
        let mut none = true;
        // SAFETY: all is rooted, and the object is no proxy.
        check(unsafe { JS_GetOwnPropertyDescriptorById(cx, object, id, descriptor.handle_mut(), &mut none) })?;
        if none {
            return Ok(false);
        }
        let (getter, setter) = (!descriptor.getter_.is_null(), !descriptor.setter_.is_null());
        match (getter, setter) {
            (true, true) => self.text("[Getter/Setter]"),
            (true, false) => self.text("[Getter]"),
            (false, true) => self.text("[Setter]"),
            (false, false) => {
                rooted!(&in(cx) let value = descriptor.value_);
                self.value(cx, value.handle(), depth + 1)?;
            }
        }
        Ok(true)
    }

    fn separate(&mut self, index: u32) {
        if index > 0 {
            self.text(", ");
        }
    }

    fn more(&mut self, length: u32, what: &str) {
        let more = length.saturating_sub(MAX_ITEMS);
        let plural = what.strip_suffix('y').map_or_else(|| format!("{what}s"), |stem| format!("{stem}ies"));
        match more {
            0 => {}
            1 => self.text(&format!(", ... 1 more {what}")),
            _ => self.text(&format!(", ... {more} more {plural}")),
        }
    }

    /// Breaks the text of the outermost container that begins at `start` into lines if it is a long one.
    fn break_lines(&mut self, start: usize, depth: usize) {
        if depth == 0 && self.out.len() - start > WIDTH && !self.is_full() {
            let broken = break_at_top(&self.out[start..]);
            self.out.truncate(start);
            self.text(&broken);
        }
    }

    fn error(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<()> {
        let name = data_text(cx, object, "name")?.unwrap_or_else(|| "Error".into());
        let message = data_text(cx, object, "message")?.unwrap_or_default();
        self.text(&if message.is_empty() { name } else { format!("{name}: {message}") });
        for frame in convert::stack_of(cx, object)?.unwrap_or_default().lines() {
            self.text("\n    at ");
            self.text(frame);
        }
        Ok(())
    }

    fn date(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<()> {
        let mut time = f64::NAN;
        // SAFETY: `object` is rooted and a Date.
        check(unsafe { DateGetMsecSinceEpoch(cx, object, &mut time) })?;
        self.text(&iso_date(time).unwrap_or_else(|| "Invalid Date".into()));
        Ok(())
    }

    fn regexp(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<()> {
        // SAFETY: `object` is rooted and a RegExp; the string is rooted at once.
        rooted!(&in(cx) let source = unsafe { GetRegExpSource(cx, object) });
        if source.get().is_null() {
            return Err(Thrown);
        }
        self.text("/");
        self.string(cx, source.handle())?;
        self.text("/");
        // SAFETY: as above.
        let flags = unsafe { get_regexp_flags(cx.raw_cx(), object.into()) };
        // The engine's bits, in the order in which JavaScript prints them.
        for (bit, letter) in [(64, "d"), (2, "g"), (1, "i"), (4, "m"), (32, "s"), (16, "u"), (128, "v"), (8, "y")] {
            if flags & bit != 0 {
                self.text(letter);
            }
        }
        Ok(())
    }

    fn promise(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>, depth: usize) -> JsResult<()> {
        // SAFETY: `object` is a rooted promise, here and below.
        let state = unsafe { GetPromiseState(object) };
        self.text(match state {
            PromiseState::Pending => "Promise { <pending> }",
            PromiseState::Fulfilled => "Promise { ",
            PromiseState::Rejected => "Promise { <rejected> ",
        });
        if state != PromiseState::Pending {
            rooted!(&in(cx) let mut result = UndefinedValue());
            // SAFETY: as above.
            unsafe { JS_GetPromiseResult(object.into(), result.handle_mut().into()) };
            if depth > MAX_DEPTH {
                self.text("...");
            } else {
                self.parents.push(object.get());
                let written = self.value(cx, result.handle(), depth + 1);
                self.parents.pop();
                written?;
            }
            self.text(" }");
        }
        Ok(())
    }

    /// An array or object of rows as a table; anything else as it is.
    pub(super) fn table(&mut self, cx: &mut JSContext, data: Handle<JSVal>) -> JsResult<()> {
        if !data.get().is_object() {
            return self.top(cx, data);
        }
        rooted!(&in(cx) let object = data.get().to_object());
        // SAFETY: `object` is rooted.
        if is_proxy(object.handle()) || unsafe { IsCallable(object.get()) } {
            return self.value(cx, data, 0);
        }
        let mut columns = vec!["(index)".to_owned()];
        let mut rows = Vec::new();
        let mut values = Vec::new();
        rooted!(&in(cx) let mut value = UndefinedValue());
        for (key, id) in keys(cx, object.handle(), MAX_ROWS, self.max)? {
            if self.stop(cx)? {
                return Ok(());
            }
            rooted!(&in(cx) let id = id);
            let mut row = vec![(0, key)];
            if own_data(cx, object.handle(), id.handle(), value.handle_mut())? && value.get().is_object() {
                rooted!(&in(cx) let inner = value.get().to_object());
                if !is_proxy(inner.handle()) {
                    for (key, id) in keys(cx, inner.handle(), MAX_COLUMNS, self.max)? {
                        rooted!(&in(cx) let id = id);
                        rooted!(&in(cx) let mut cell = UndefinedValue());
                        let column = columns.iter().skip(1).position(|column| *column == key).map(|at| at + 1);
                        let Some(column) = column.or_else(|| {
                            (columns.len() <= MAX_COLUMNS).then(|| {
                                columns.push(key);
                                columns.len() - 1
                            })
                        }) else {
                            continue;
                        };
                        if own_data(cx, inner.handle(), id.handle(), cell.handle_mut())? {
                            row.push((column, self.cell(cx, cell.handle())?));
                        }
                    }
                }
                values.push(None);
            } else {
                values.push(Some(self.cell(cx, value.handle())?));
            }
            rows.push(row);
        }
        if values.iter().any(Option::is_some) {
            columns.push("Values".into());
        }
        let cells: Vec<Vec<String>> = rows
            .into_iter()
            .zip(values)
            .map(|(row, value)| {
                let mut cells = vec![String::new(); columns.len()];
                for (column, text) in row {
                    cells[column] = text;
                }
                if let (Some(value), Some(last)) = (value, cells.last_mut()) {
                    *last = value;
                }
                cells
            })
            .collect();
        self.grid(&columns, &cells);
        Ok(())
    }

    fn cell(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> JsResult<String> {
        let mut cell = Inspector::new(self.max.saturating_sub(self.out.len()).min(1000));
        cell.value(cx, value, MAX_DEPTH + 1)?;
        Ok(cell.into_text())
    }

    fn grid(&mut self, columns: &[String], cells: &[Vec<String>]) {
        let width = |text: &String| text.chars().count();
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| cells.iter().map(|row| width(&row[at])).chain([width(&columns[at])]).max().unwrap_or(0))
            .collect();
        let line = |left: &str, middle: &str, right: &str| {
            let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}", parts.join(middle))
        };
        let row = |cells: &[String]| {
            let parts: Vec<String> =
                cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
            format!("\n│{}│", parts.join("│"))
        };
        self.text(&line("┌", "┬", "┐"));
        self.text(&row(columns));
        self.text(&format!("\n{}", line("├", "┼", "┤")));
        for cells in cells {
            if self.is_full() {
                return;
            }
            self.text(&row(cells));
        }
        self.text(&format!("\n{}", line("└", "┴", "┘")));
    }
}

unsafe extern "C" {
    // JS::GetRegExpFlags(JSContext*, JS::Handle<JSObject*>), which the bindings do not have. Its result is one byte.
    #[link_name = "_ZN2JS14GetRegExpFlagsEP9JSContextNS_6HandleIP8JSObjectEE"]
    fn get_regexp_flags(cx: *mut mozjs::context::RawJSContext, regexp: mozjs::jsapi::HandleObject) -> u8;
}

/// The own enumerable string keys of an object that is no proxy, at most `max` of them.
fn keys(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    max: usize,
    max_bytes: usize,
) -> JsResult<Vec<(String, mozjs::jsapi::jsid)>> {
    let mut ids = IdVector::new(cx);
    // SAFETY: `object` is rooted; `ids` roots what it holds. The ids that are given are those of properties that the
    // object holds on to; nothing runs script meanwhile.
    check(unsafe { GetPropertyKeys(cx, object, JSITER_OWNONLY, ids.handle_mut()) })?;
    let mut keys = Vec::new();
    rooted!(&in(cx) let mut id = VoidId());
    for index in 0..ids.len().min(max) {
        id.set(ids[index]);
        keys.push((convert::key_text(cx, id.handle(), max_bytes)?, id.get()));
    }
    Ok(keys)
}

fn is_proxy(object: Handle<*mut JSObject>) -> bool {
    // SAFETY: `object` is rooted; every object has a class, which is static.
    unsafe { (*mozjs::rust::get_object_class(object.get())).flags & JSCLASS_IS_PROXY != 0 }
}

/// The value of an own data property; false if there is none.
fn own_data(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    id: Handle<mozjs::jsapi::jsid>,
    mut out: mozjs::gc::MutableHandle<JSVal>,
) -> JsResult<bool> {
    rooted!(&in(cx) let mut descriptor = PropertyDescriptor::default());
    let mut none = true;
    // SAFETY: all is rooted, and the object is no proxy.
    check(unsafe { JS_GetOwnPropertyDescriptorById(cx, object, id, descriptor.handle_mut(), &mut none) })?;
    let is_data = !none && descriptor.getter_.is_null() && descriptor.setter_.is_null();
    out.set(if is_data { descriptor.value_ } else { UndefinedValue() });
    Ok(is_data)
}

/// The value of an own data property of this name.
fn own_named(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    name: &str,
    mut out: mozjs::gc::MutableHandle<JSVal>,
) -> JsResult<bool> {
    let units: Vec<u16> = name.encode_utf16().collect();
    rooted!(&in(cx) let mut descriptor = PropertyDescriptor::default());
    let mut none = true;
    // SAFETY: all is rooted, and the object is no proxy; `units` outlives the call.
    let found = unsafe {
        JS_GetOwnUCPropertyDescriptor(cx, object, units.as_ptr(), units.len(), descriptor.handle_mut(), &mut none)
    };
    check(found)?;
    let is_data = !none && descriptor.getter_.is_null() && descriptor.setter_.is_null();
    out.set(if is_data { descriptor.value_ } else { UndefinedValue() });
    Ok(is_data)
}

fn own_text(cx: &mut JSContext, object: Handle<*mut JSObject>, name: &str) -> JsResult<Option<String>> {
    rooted!(&in(cx) let mut value = UndefinedValue());
    if !own_named(cx, object, name, value.handle_mut())? || !value.get().is_string() {
        return Ok(None);
    }
    rooted!(&in(cx) let string = value.get().to_string());
    bounded(cx, string.handle(), 10_000).map(Some)
}

/// Looks at an object and up its prototypes, as far as they are ordinary.
fn up<T>(
    cx: &mut JSContext,
    object: Handle<*mut JSObject>,
    mut look: impl FnMut(&mut JSContext, Handle<*mut JSObject>) -> JsResult<Option<T>>,
) -> JsResult<Option<T>> {
    rooted!(&in(cx) let mut at = object.get());
    rooted!(&in(cx) let mut above = std::ptr::null_mut::<JSObject>());
    for _ in 0..MAX_PROTOTYPES {
        if at.get().is_null() || is_proxy(at.handle()) {
            break;
        }
        if let Some(found) = look(cx, at.handle())? {
            return Ok(Some(found));
        }
        let mut ordinary = false;
        // SAFETY: all is rooted.
        check(unsafe { JS_GetPrototypeIfOrdinary(cx, at.handle(), &mut ordinary, above.handle_mut()) })?;
        if !ordinary {
            break;
        }
        at.set(above.get());
    }
    Ok(None)
}

/// A data property that is text, of the object or a prototype.
fn data_text(cx: &mut JSContext, object: Handle<*mut JSObject>, name: &str) -> JsResult<Option<String>> {
    up(cx, object, |cx, object| own_text(cx, object, name))
}

/// The name of the constructor; none without a prototype.
fn class_name(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<Option<String>> {
    up(cx, object, |cx, object| {
        rooted!(&in(cx) let mut constructor = UndefinedValue());
        if !own_named(cx, object, "constructor", constructor.handle_mut())? || !constructor.get().is_object() {
            return Ok(None);
        }
        rooted!(&in(cx) let constructor = constructor.get().to_object());
        if is_proxy(constructor.handle()) {
            return Ok(None);
        }
        Ok(own_text(cx, constructor.handle(), "name")?.filter(|name| !name.is_empty()))
    })
}

fn is_identifier(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

fn quoted(text: &str) -> String {
    let quote = if !text.contains('\'') {
        '\''
    } else if !text.contains('"') {
        '"'
    } else if !text.contains('`') {
        '`'
    } else {
        '\''
    };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if (c as u32) < 0x20 || c as u32 == 0x7f => quoted.push_str(&format!("\\x{:02X}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// The text of a container with each of its own items on a line; short ones of an array share lines.
fn break_at_top(text: &str) -> String {
    let mut broken = String::with_capacity(text.len() + 64);
    let (mut level, mut quote, mut escaped) = (0, None, false);
    let mut rest = text.char_indices().peekable();
    while let Some((_, c)) = rest.next() {
        broken.push(c);
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '{' | '[') => {
                level += 1;
                if level == 1 && rest.next_if(|(_, c)| *c == ' ').is_some() {
                    broken.push_str("\n  ");
                }
            }
            (None, '}' | ']') => level -= 1,
            (None, ',') if level == 1 && rest.next_if(|(_, c)| *c == ' ').is_some() => {
                let line = broken.len() - broken.rfind('\n').unwrap_or(0);
                let shares = text.starts_with('[') && line < WIDTH - 16;
                broken.push_str(if shares { " " } else { "\n  " });
            }
            _ => {}
        }
    }
    if level == 0 && broken.ends_with([' ', '}', ']']) && broken.contains('\n') {
        let last = broken.pop().unwrap_or_default();
        broken.truncate(broken.trim_end().len());
        broken.push('\n');
        broken.push(last);
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_with_what_they_do_not_hold() {
        assert_eq!(quoted("a"), "'a'");
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(quoted("'\"`\n\u{1}"), "'\\'\"`\\n\\x01'");
    }

    #[test]
    fn a_long_container_has_its_items_on_lines() {
        assert_eq!(break_at_top("{ a: [ 1, 2 ], b: 'x, {' }"), "{\n  a: [ 1, 2 ],\n  b: 'x, {'\n}");
    }
}
