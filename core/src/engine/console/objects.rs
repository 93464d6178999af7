//! How each kind of object looks.

use std::cell::Cell;

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::glue::{JS_GetPromiseResult, JS_GetRegExpFlags};
use mozjs::jsapi::js::Unbox;
use mozjs::jsapi::{
    ESClass, ExceptionStackOrNull, GetArrayBufferLengthAndData, IsCallable, IsDetachedArrayBufferObject,
    JS_GetArrayBufferViewByteLength, JS_GetArrayBufferViewByteOffset, JS_GetTypedArrayLength,
    JS_IsArrayBufferViewObject, JS_IsTypedArrayObject, JSObject, JSString, PromiseState, RegExpFlag_DotAll,
    RegExpFlag_Global, RegExpFlag_HasIndices, RegExpFlag_IgnoreCase, RegExpFlag_Multiline, RegExpFlag_Sticky,
    RegExpFlag_Unicode, RegExpFlag_UnicodeSets, RegExpFlags, StackFormat,
};
use mozjs::jsval::{ObjectValue, StringValue, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::{
    BuildStackString, DateGetMsecSinceEpoch, GetArrayLength, GetBuiltinClass, GetPromiseState, GetRegExpSource,
    JS_GetArrayBufferViewBuffer, JS_GetElement, JS_IsExceptionPending, MapSize, SetSize,
};

use super::functions;
use super::inspect::{COPIES, Cut, Inspector, Parents, Text};
use super::layout::{self, Columns, Parts};
use super::read::{self, Key};
use crate::engine::memory;
use crate::engine::thrown::{JsResult, check};
use crate::value::json::iso_date;

/// Properties of one object that are shown.
const MAX_PROPERTIES: usize = 1000;
/// Elements of an array that are looked at in search of one that is no hole.
const MAX_HOLES: u32 = 100_000;
/// Longest array that may have other properties than its elements.
const MAX_ARRAY_WITH_PROPERTIES: u32 = 10_000;

/// In the order of `RegExp.prototype.flags`.
const REGEXP_FLAGS: [(u8, char); 8] = [
    (RegExpFlag_HasIndices, 'd'),
    (RegExpFlag_Global, 'g'),
    (RegExpFlag_IgnoreCase, 'i'),
    (RegExpFlag_Multiline, 'm'),
    (RegExpFlag_DotAll, 's'),
    (RegExpFlag_Unicode, 'u'),
    (RegExpFlag_UnicodeSets, 'v'),
    (RegExpFlag_Sticky, 'y'),
];

/// What an object is, before its entries are looked at.
struct Description {
    kind: Kind,
    base: String,
    open: String,
    close: &'static str,
    /// What stands for it where it is too deep.
    name: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Error,
    String,
    Array(u32),
    TypedArray(usize),
    Map(usize),
    Set(usize),
    ArrayBuffer,
    DataView,
    Promise,
    Weak,
}

/// A class name with a size and a `Symbol.toStringTag`, and a space.
fn prefix(name: Option<&str>, tag: &str, fallback: &str, size: &str) -> String {
    match name {
        None if tag.is_empty() || tag == fallback => format!("[{fallback}{size}: null prototype] "),
        None => format!("[{fallback}{size}: null prototype] [{tag}] "),
        Some(name) if tag.is_empty() || tag == name => format!("{name}{size} "),
        Some(name) => format!("{name}{size} [{tag}] "),
    }
}

impl Inspector<'_> {
    /// An object that is no proxy and not one of its parents.
    pub(super) fn object(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        outer: Option<&Parents>,
    ) -> Text {
        let mut description = self.describe(cx, object)?;
        let keys = match description.kind {
            // Their indices could be very many.
            Kind::TypedArray(_) | Kind::String => None,
            Kind::Array(length) if length > MAX_ARRAY_WITH_PROPERTIES => None,
            _ => Some(read::keys(cx, object)?),
        };
        let ids = keys.as_deref().unwrap_or_default();
        // Integer keys come first.
        let is_array = matches!(description.kind, Kind::Array(_));
        let indices = if is_array { ids.iter().take_while(|id| id.is_int()).count() } else { 0 };
        let depth = outer.map_or(0, |outer| outer.depth) + 1;
        let here = Parents { object, outer, depth, circle: Cell::new(0) };
        let mut hidden = Vec::new();
        if description.kind == Kind::Error {
            for name in [c"cause", c"errors"] {
                rooted!(&in(cx) let mut value = UndefinedValue());
                let own = read::own(cx, object, Key::Name(name), value.handle_mut())?;
                if matches!(own, read::Own::Value { enumerable: false }) {
                    hidden.push(name);
                }
            }
        }
        let is_empty = match description.kind {
            Kind::Plain | Kind::Error | Kind::String => true,
            Kind::Array(length) => length == 0,
            Kind::TypedArray(length) | Kind::Map(length) | Kind::Set(length) => length == 0,
            Kind::ArrayBuffer | Kind::DataView | Kind::Promise | Kind::Weak => false,
        };
        if is_empty && ids.len() == indices && hidden.is_empty() {
            let text = match description.base.is_empty() {
                true => description.open + description.close,
                false => description.base,
            };
            return self.made(text);
        }
        if depth - 1 > self.options.depth {
            return self.made(description.name);
        }
        self.last_depth = depth;
        let mut columns = Columns::None;
        let mut entries = self.entries(cx, description.kind, &here, &mut columns)?;
        rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
        for (shown, key) in ids[indices..].iter().enumerate() {
            if shown == MAX_PROPERTIES {
                let rest = ids.len() - indices - shown;
                entries.push(self.made(layout::more(rest, "property", "properties"))?);
                break;
            }
            id.set(*key);
            if description.kind == Kind::Error && self.is_in_header(cx, id.get())? {
                continue;
            }
            if columns == Columns::Right {
                columns = Columns::Left;
            }
            entries.extend(self.property(cx, id.handle(), &here)?);
        }
        for name in hidden {
            if let Some((value, _)) = self.property_value(cx, Key::Name(name), &here)? {
                entries.push(self.made(format!("[{}]: ", name.to_string_lossy()))? + &value);
            }
        }
        if entries.is_empty() && !description.base.is_empty() {
            return self.made(description.base);
        }
        if here.circle.get() != 0 {
            let space = if description.base.is_empty() { "" } else { " " };
            description.base = format!("<ref *{}>{space}{}", here.circle.get(), description.base);
        }
        let Description { base, open, close, .. } = description;
        self.join(Parts { base, open, close, entries, columns }, depth)
    }

    fn describe(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> Result<Description, Cut> {
        let constructor = read::constructor_name(cx, object)?;
        let name = constructor.as_deref();
        let mut tag = read::tag(cx, object)?;
        let mut class = ESClass::Other;
        // SAFETY: `object` is rooted and no proxy; `class` is a valid place.
        check(unsafe { GetBuiltinClass(cx, object, &mut class) })?;
        let mut description = Description {
            kind: Kind::Plain,
            base: String::new(),
            open: String::new(),
            close: "}",
            name: String::new(),
        };
        let mut fallback = "Object";
        let mut size = String::new();
        // SAFETY: `object` is rooted; each call is one that its class allows.
        unsafe {
            match class {
                ESClass::Array => {
                    let mut length = 0;
                    check(GetArrayLength(cx, object, &mut length))?;
                    (fallback, size) = ("Array", format!("({length})"));
                    description.kind = Kind::Array(length);
                }
                ESClass::Map => {
                    let length = MapSize(cx, object) as usize;
                    (fallback, size) = ("Map", format!("({length})"));
                    description.kind = Kind::Map(length);
                }
                ESClass::Set => {
                    let length = SetSize(cx, object) as usize;
                    (fallback, size) = ("Set", format!("({length})"));
                    description.kind = Kind::Set(length);
                }
                ESClass::Promise => (fallback, description.kind) = ("Promise", Kind::Promise),
                ESClass::ArrayBuffer => (fallback, description.kind) = ("ArrayBuffer", Kind::ArrayBuffer),
                ESClass::Error => {
                    description.kind = Kind::Error;
                    description.base = self.error(cx, object, name)?;
                }
                ESClass::RegExp => description.base = self.regexp(cx, object)?,
                ESClass::Date => description.base = date(cx, object)?,
                ESClass::Number | ESClass::Boolean | ESClass::BigInt => {
                    description.base = self.boxed(cx, object, name)?
                }
                ESClass::String => {
                    (description.kind, description.base) = (Kind::String, self.boxed(cx, object, name)?);
                }
                ESClass::Arguments => description.open = "[Arguments] {".into(),
                _ if JS_IsTypedArrayObject(object.get()) => {
                    let length = JS_GetTypedArrayLength(object.get());
                    (fallback, size) = (read::class(object.get()), format!("({length})"));
                    tag = fallback.to_owned();
                    description.kind = Kind::TypedArray(length);
                }
                _ if JS_IsArrayBufferViewObject(object.get()) => {
                    (fallback, description.kind) = ("DataView", Kind::DataView);
                }
                _ if IsCallable(object.get()) => description.base = functions::function(cx, object, name, &tag)?,
                _ => match read::class(object.get()) {
                    weak @ ("WeakMap" | "WeakSet") => (fallback, description.kind) = (weak, Kind::Weak),
                    "Symbol" => description.base = self.boxed(cx, object, name)?,
                    _ => {}
                },
            }
        }
        let is_usual = |usual: &str| name == Some(usual) && (tag.is_empty() || tag == usual);
        let named = prefix(name, &tag, fallback, "");
        let named = named.trim_end();
        description.name = if name.is_some() { format!("[{named}]") } else { named.to_owned() };
        let prefix = prefix(name, &tag, fallback, &size);
        if matches!(description.kind, Kind::Array(_) | Kind::TypedArray(_)) {
            description.close = "]";
            description.open = if is_usual("Array") { "[".into() } else { format!("{prefix}[") };
        } else if matches!(class, ESClass::RegExp | ESClass::Date) {
            if !is_usual(if class == ESClass::Date { "Date" } else { "RegExp" }) {
                description.base.insert_str(0, &prefix);
            }
            description.open = "{".into();
        } else if description.open.is_empty() {
            let bare = is_usual("Object") || !description.base.is_empty();
            description.open = if bare { "{".into() } else { format!("{prefix}{{") };
        }
        Ok(description)
    }

    /// What an object holds besides its properties.
    fn entries(
        &mut self,
        cx: &mut JSContext,
        kind: Kind,
        here: &Parents,
        columns: &mut Columns,
    ) -> Result<Vec<String>, Cut> {
        match kind {
            Kind::Plain | Kind::Error | Kind::String => Ok(Vec::new()),
            Kind::Array(length) => self.array(cx, here, length, columns),
            Kind::TypedArray(length) => {
                *columns = Columns::Right;
                self.typed_array(cx, here, length)
            }
            Kind::Map(size) => self.collection(cx, here, size, true),
            Kind::Set(size) => self.collection(cx, here, size, false),
            Kind::ArrayBuffer => self.array_buffer(here.object),
            Kind::DataView => self.data_view(cx, here),
            Kind::Promise => Ok(vec![self.promise(cx, here)?]),
            Kind::Weak => Ok(vec![self.made("<items unknown>".into())?]),
        }
    }

    fn array(
        &mut self,
        cx: &mut JSContext,
        here: &Parents,
        length: u32,
        columns: &mut Columns,
    ) -> Result<Vec<String>, Cut> {
        let mut entries = Vec::new();
        let mut only_numbers = true;
        let (mut index, mut holes, mut all_holes) = (0, 0, 0);
        rooted!(&in(cx) let mut id = mozjs::jsid::VoidId());
        rooted!(&in(cx) let mut value = UndefinedValue());
        while index < length && entries.len() + usize::from(holes > 0) < self.options.max_items && all_holes < MAX_HOLES
        {
            if self.state.killed() {
                return Err(Cut::Thrown);
            }
            // Both bounds keep the index far below what an integer key can be.
            id.set(mozjs::jsid::IntId(index as i32));
            let own = read::own(cx, here.object, Key::Id(id.handle()), value.handle_mut())?;
            index += 1;
            if let read::Own::Missing = own {
                holes += 1;
                all_holes += 1;
                continue;
            }
            if holes > 0 {
                entries.push(self.made(empty_items(holes))?);
                (holes, only_numbers) = (0, false);
            }
            let text = match own {
                read::Own::Accessor(label) => self.made(label.into())?,
                _ => {
                    only_numbers &= value.get().is_number() || value.get().is_bigint();
                    self.indented(|inner| inner.value(cx, value.handle(), Some(here)))?
                }
            };
            only_numbers &= !matches!(own, read::Own::Accessor(_));
            entries.push(text);
        }
        if holes > 0 {
            entries.push(self.made(empty_items(holes))?);
            only_numbers = false;
        }
        self.add_rest(&mut entries, (length - index) as usize)?;
        *columns = if only_numbers { Columns::Right } else { Columns::Left };
        Ok(entries)
    }

    fn typed_array(&mut self, cx: &mut JSContext, here: &Parents, length: usize) -> Result<Vec<String>, Cut> {
        let mut entries = Vec::new();
        let shown = length.min(self.options.max_items);
        rooted!(&in(cx) let mut value = UndefinedValue());
        for index in 0..shown {
            // SAFETY: all is rooted; an element of a typed array is data.
            check(unsafe { JS_GetElement(cx, here.object, index as u32, value.handle_mut()) })?;
            entries.push(self.value(cx, value.handle(), Some(here))?);
        }
        self.add_rest(&mut entries, length - shown)?;
        Ok(entries)
    }

    fn add_rest(&mut self, entries: &mut Vec<String>, rest: usize) -> Result<(), Cut> {
        if rest > 0 {
            entries.push(self.made(layout::more(rest, "item", "items"))?);
        }
        Ok(())
    }

    fn collection(
        &mut self,
        cx: &mut JSContext,
        here: &Parents,
        size: usize,
        is_map: bool,
    ) -> Result<Vec<String>, Cut> {
        let flat = read::entries(cx, self.state, here.object, is_map, self.options.max_items)?;
        rooted!(&in(cx) let array = flat.array);
        rooted!(&in(cx) let mut item = UndefinedValue());
        let mut entries = Vec::new();
        let width = if is_map { 2 } else { 1 };
        for index in 0..flat.count / width {
            let mut text = String::new();
            for part in 0..width {
                // SAFETY: `array` is our own and rooted, as is `item`.
                check(unsafe { JS_GetElement(cx, array.handle(), index * width + part, item.handle_mut()) })?;
                text += if part == 1 { " => " } else { "" };
                text += &self.indented(|inner| inner.value(cx, item.handle(), Some(here)))?;
            }
            entries.push(text);
        }
        let shown = entries.len();
        self.add_rest(&mut entries, size.saturating_sub(shown))?;
        Ok(entries)
    }

    fn array_buffer(&mut self, object: Handle<*mut JSObject>) -> Result<Vec<String>, Cut> {
        let (mut length, mut shared, mut data) = (0, false, std::ptr::null_mut());
        // SAFETY: `object` is a rooted ArrayBuffer; its bytes are read before anything else runs.
        let (contents, shown) = unsafe {
            if IsDetachedArrayBufferObject(object.get()) {
                return Ok(vec!["(detached)".into(), "byteLength: 0".into()]);
            }
            GetArrayBufferLengthAndData(object.get(), &mut length, &mut shared, &mut data);
            let shown = length.min(self.options.max_items);
            let bytes = if data.is_null() { &[] } else { std::slice::from_raw_parts(data, shown) };
            (bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "), shown)
        };
        let rest = match length - shown {
            0 => String::new(),
            rest => format!(" {}", layout::more(rest, "byte", "bytes")),
        };
        Ok(vec![
            self.made(format!("[Uint8Contents]: <{contents}{rest}>"))?,
            self.made(format!("byteLength: {length}"))?,
        ])
    }

    fn data_view(&mut self, cx: &mut JSContext, here: &Parents) -> Result<Vec<String>, Cut> {
        let mut shared = false;
        // SAFETY: the object is a rooted DataView.
        let (length, offset, buffer) = unsafe {
            let object = here.object.get();
            let (length, offset) = (JS_GetArrayBufferViewByteLength(object), JS_GetArrayBufferViewByteOffset(object));
            (length, offset, JS_GetArrayBufferViewBuffer(cx, here.object, &mut shared))
        };
        rooted!(&in(cx) let buffer = buffer);
        if buffer.get().is_null() {
            return Err(Cut::Thrown);
        }
        rooted!(&in(cx) let buffer = ObjectValue(buffer.get()));
        let buffer = self.indented(|inner| inner.value(cx, buffer.handle(), Some(here)))?;
        Ok(vec![format!("byteLength: {length}"), format!("byteOffset: {offset}"), format!("buffer: {buffer}")])
    }

    fn promise(&mut self, cx: &mut JSContext, here: &Parents) -> Text {
        // SAFETY: the object is a rooted promise, and settled where its result is taken.
        let state = unsafe { GetPromiseState(here.object) };
        if state == PromiseState::Pending {
            return self.made("<pending>".into());
        }
        rooted!(&in(cx) let mut result = UndefinedValue());
        // SAFETY: as above.
        unsafe { JS_GetPromiseResult(here.object.into(), result.handle_mut().into()) };
        let text = self.indented(|inner| inner.value(cx, result.handle(), Some(here)))?;
        Ok(if state == PromiseState::Rejected { format!("<rejected> {text}") } else { text })
    }

    /// A boxed primitive, such as `[Number: 1]`.
    fn boxed(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>, constructor: Option<&str>) -> Text {
        let class = read::class(object.get());
        rooted!(&in(cx) let mut inner = UndefinedValue());
        // SAFETY: `object` is rooted and a boxed primitive.
        check(unsafe { Unbox(cx.raw_cx(), object.into(), inner.handle_mut().into()) })?;
        let other = match constructor {
            Some(name) if name == class => String::new(),
            Some(name) => format!(" ({name})"),
            None => " (null prototype)".into(),
        };
        Ok(format!("[{class}{other}: {}]", self.primitive(cx, inner.handle())?))
    }

    fn regexp(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>) -> Text {
        // SAFETY: `object` is a rooted RegExp; the source is rooted at once.
        rooted!(&in(cx) let source = unsafe { GetRegExpSource(cx, object) });
        if source.get().is_null() {
            return Err(Cut::Thrown);
        }
        // SAFETY: not null, and rooted at once.
        rooted!(&in(cx) let source = StringValue(unsafe { &*source.get() }));
        let mut flags = RegExpFlags { flags_: 0 };
        // SAFETY: `object` is a rooted RegExp; `flags` is a valid place. It says by an exception only that it has failed.
        check(unsafe {
            JS_GetRegExpFlags(cx.raw_cx(), object.into(), &mut flags);
            !JS_IsExceptionPending(cx)
        })?;
        let flags: String =
            REGEXP_FLAGS.iter().filter(|(bit, _)| flags.flags_ & bit != 0).map(|(_, letter)| letter).collect();
        let source = self.text_of(cx, source.handle())?;
        let _room = memory::reserve(COPIES * source.len())?;
        Ok(format!("/{source}/{flags}"))
    }

    /// The name, message and stack of an error.
    fn error(&mut self, cx: &mut JSContext, object: Handle<*mut JSObject>, constructor: Option<&str>) -> Text {
        rooted!(&in(cx) let mut value = UndefinedValue());
        if read::own_value(cx, object, Key::Name(c"stack"), value.handle_mut())? && value.get().is_string() {
            // Script has written a stack of its own.
            let stack = self.text_of(cx, value.handle())?;
            return self.with_indentation(stack);
        }
        let mut header = String::from("Error");
        if read::value(cx, object, Key::Name(c"name"), value.handle_mut())? && value.get().is_string() {
            header = read::short_text(cx, value.handle())?;
        }
        if let Some(constructor) = constructor
            && constructor != header
            && header.ends_with("Error")
        {
            let named = constructor.contains(&header);
            header = if named { constructor.to_owned() } else { format!("{constructor} [{header}]") };
        }
        if read::value(cx, object, Key::Name(c"message"), value.handle_mut())? && value.get().is_string() {
            let message = self.text_of(cx, value.handle())?;
            let _room = memory::reserve(COPIES * message.len())?;
            if !message.is_empty() {
                header = if header.is_empty() { message } else { format!("{header}: {message}") };
            }
        }
        let stack = self.stack(cx, object)?;
        let _room = memory::reserve(COPIES * (header.len() + stack.len()))?;
        let text = if stack.is_empty() { format!("[{header}]") } else { format!("{header}\n{stack}") };
        self.with_indentation(text)
    }

    fn with_indentation(&self, text: String) -> Text {
        let spaces = self.indentation;
        if spaces == 0 {
            return Ok(text);
        }
        let length = text.len() + spaces * text.bytes().filter(|byte| *byte == b'\n').count();
        self.fits(length)?;
        let _room = memory::reserve(COPIES * length)?;
        Ok(text.replace('\n', &format!("\n{:spaces$}", "")))
    }

    /// The frames that the engine recorded when it made the error.
    fn stack(&mut self, cx: &mut JSContext, error: Handle<*mut JSObject>) -> Text {
        // SAFETY: `error` is rooted; rooted at once.
        rooted!(&in(cx) let stack = unsafe { ExceptionStackOrNull(error.into()) });
        if stack.get().is_null() {
            return Ok(String::new());
        }
        self.frames(cx, stack.handle())
    }

    /// Stack frames as text, one a line.
    pub(super) fn frames(&mut self, cx: &mut JSContext, stack: Handle<*mut JSObject>) -> Text {
        rooted!(&in(cx) let mut string = std::ptr::null_mut::<JSString>());
        let principals = std::ptr::null_mut();
        // SAFETY: all is rooted.
        check(unsafe { BuildStackString(cx, principals, stack, string.handle_mut(), 0, StackFormat::V8) })?;
        // SAFETY: not null after success, and rooted at once.
        rooted!(&in(cx) let value = StringValue(unsafe { &*string.get() }));
        let mut text = self.text_of(cx, value.handle())?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// Whether this is the key of what the first lines of an error show anyway.
    fn is_in_header(&mut self, cx: &mut JSContext, id: mozjs::jsapi::jsid) -> Result<bool, Cut> {
        if !id.is_string() {
            return Ok(false);
        }
        rooted!(&in(cx) let id = id);
        let key = self.plain_key(cx, id.handle())?;
        Ok(matches!(key.as_str(), "name" | "message" | "stack"))
    }
}

fn empty_items(count: u32) -> String {
    format!("<{count} empty item{}>", if count == 1 { "" } else { "s" })
}

fn date(cx: &mut JSContext, object: Handle<*mut JSObject>) -> JsResult<String> {
    let mut time = f64::NAN;
    // SAFETY: `object` is a rooted Date.
    check(unsafe { DateGetMsecSinceEpoch(cx, object, &mut time) })?;
    Ok(iso_date(time).unwrap_or_else(|| "Invalid Date".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_class_size_and_tag() {
        let table = [
            (Some("Object"), "", "Object", "", "Object "),
            (Some("A"), "b", "Object", "", "A [b] "),
            (Some("Map"), "Map", "Map", "(1)", "Map(1) "),
            (None, "", "Map", "(1)", "[Map(1): null prototype] "),
            (None, "t", "Object", "", "[Object: null prototype] [t] "),
        ];
        for (name, tag, fallback, size, text) in table {
            assert_eq!(prefix(name, tag, fallback, size), text);
        }
    }
}
