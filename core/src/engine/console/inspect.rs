//! Values as text, the way Node's `util.inspect` writes them, within a budget of bytes. No script runs.
//!
//! Text is paid for where it is made, and a container is checked when its entries are joined, so that no more is ever
//! built than a line may have. All of it is in the worker's ledger as long as it exists. Objects that nest deeper than the depth are only named, so the recursion is shallow.

use std::cell::Cell;

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{JSObject, JSString, Symbol, jsid};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::GetSymbolDescription;

use super::layout::{self, Parts, Place};
use super::read::{self, Key, Own};
use crate::engine::memory::{BLOCK, Reserved};
use crate::engine::state::State;
use crate::engine::thrown::Thrown;
use crate::engine::{memory, object, text};

/// UTF-16 units of a string inside an object that are shown.
const MAX_STRING: usize = 10_000;
/// Strings up to this length are never broken into lines.
const SHORT_STRING: usize = 16;

/// Why there is no text.
pub(super) enum Cut {
    Thrown,
    /// It would be longer than the line may be.
    TooLong,
}

impl From<Thrown> for Cut {
    fn from(_: Thrown) -> Self {
        Cut::Thrown
    }
}

pub(super) type Text = Result<String, Cut>;

/// How much of a value is shown.
#[derive(Clone, Copy)]
pub(super) struct Options {
    /// Levels of objects inside the value that are shown.
    pub depth: i32,
    /// Entries of an array, map or set that are shown.
    pub max_items: usize,
    /// Characters that a line should have at most.
    pub break_length: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { depth: 2, max_items: 100, break_length: 80 }
    }
}

/// Makes text of values.
pub(super) struct Inspector<'a> {
    pub state: &'a State,
    pub options: Options,
    /// Spaces before a new line.
    pub(super) indentation: usize,
    /// Depth of the object that was shown last.
    pub(super) last_depth: i32,
    /// Objects found to hold themselves.
    circles: u32,
    /// Bytes of text made so far, and allowed.
    made: usize,
    limit: usize,
    /// What the texts that exist take.
    room: Reserved,
}

/// Each text exists twice for a moment: as itself, and in what it becomes a part of.
pub(super) const COPIES: usize = 2;
/// What a text takes beside its bytes.
const PART: usize = BLOCK + size_of::<String>();

/// The objects that an object is inside of, innermost first.
pub(super) struct Parents<'a> {
    pub object: Handle<'a, *mut JSObject>,
    pub outer: Option<&'a Parents<'a>>,
    pub depth: i32,
    /// The number by which it is referred to, if it holds itself.
    pub circle: Cell<u32>,
}

impl Parents<'_> {
    fn find(&self, object: *mut JSObject) -> Option<&Cell<u32>> {
        if self.object.get() == object { Some(&self.circle) } else { self.outer?.find(object) }
    }
}

impl<'a> Inspector<'a> {
    pub(super) fn new(state: &'a State, limit: usize) -> Self {
        Inspector {
            state,
            options: Options::default(),
            indentation: 0,
            last_depth: 0,
            circles: 0,
            made: 0,
            limit,
            room: Reserved::default(),
        }
    }

    /// Pays for text.
    pub(super) fn made(&mut self, text: String) -> Text {
        self.pay(text.len())?;
        Ok(text)
    }

    fn pay(&mut self, bytes: usize) -> Result<(), Cut> {
        self.made = self.made.saturating_add(bytes);
        self.fits(self.made)?;
        Ok(self.room.grow(PART + COPIES * bytes)?)
    }

    /// Counts memory until the whole text is made.
    pub(super) fn take_room(&mut self, bytes: usize) -> Result<(), Cut> {
        Ok(self.room.grow(bytes)?)
    }

    /// Gives back text whose parts are paid for, if it is not too long.
    pub(super) fn whole(&mut self, text: String) -> Text {
        self.check(&text)?;
        Ok(text)
    }

    /// Checks text whose parts are paid for.
    pub(super) fn check(&mut self, text: &str) -> Result<(), Cut> {
        self.fits(text.len())?;
        Ok(self.room.grow_to(COPIES * text.len())?)
    }

    /// Bytes that may still be made.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.made)
    }

    pub(super) fn fits(&self, length: usize) -> Result<(), Cut> {
        if self.state.killed() {
            return Err(Cut::Thrown);
        }
        if length > self.limit { Err(Cut::TooLong) } else { Ok(()) }
    }

    /// Copies a string, if there is room for it. The caller pays.
    fn copy(&self, cx: &mut JSContext, string: Handle<*mut JSString>) -> Text {
        // Every UTF-16 unit is at least one byte of UTF-8.
        self.fits(self.made.saturating_add(text::length(string)))?;
        let _room = memory::reserve(text::room(string))?;
        Ok(text::to_rust(cx, string)?)
    }

    /// A value as an argument of a console method: strings are as they are.
    pub(super) fn argument(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> Text {
        if !value.get().is_string() {
            return self.value(cx, value, None);
        }
        rooted!(&in(cx) let string = value.get().to_string());
        let text = self.copy(cx, string.handle())?;
        self.made(text)
    }

    /// A value inside another one, or as `console.dir` shows it: strings have quotes.
    pub(super) fn value(&mut self, cx: &mut JSContext, value: Handle<JSVal>, parents: Option<&Parents>) -> Text {
        if value.get().is_object() {
            rooted!(&in(cx) let object = value.get().to_object());
            return self.object_or_proxy(cx, object.handle(), parents);
        }
        let text = self.primitive(cx, value)?;
        self.made(text)
    }

    /// A value that is no object. The caller pays.
    pub(super) fn primitive(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> Text {
        let plain = value.get();
        Ok(if plain.is_string() {
            rooted!(&in(cx) let string = plain.to_string());
            return self.quoted(cx, string.handle());
        } else if plain.is_int32() {
            plain.to_int32().to_string()
        } else if plain.is_double() && plain.to_double() == 0.0 {
            if plain.to_double().is_sign_negative() { "-0".into() } else { "0".into() }
        } else if plain.is_bigint() {
            object::bigint_text(cx, value, self.left())? + "n"
        } else if plain.is_symbol() {
            self.symbol(cx, plain.to_symbol())?
        } else {
            // SAFETY: a primitive that is no symbol runs no script.
            rooted!(&in(cx) let string = unsafe { mozjs::rust::ToString(cx, value) });
            if string.get().is_null() {
                return Err(Cut::Thrown);
            }
            return self.copy(cx, string.handle());
        })
    }

    fn quoted(&mut self, cx: &mut JSContext, string: Handle<*mut JSString>) -> Text {
        let length = text::length(string);
        let shown = length.min(MAX_STRING);
        self.fits(self.made.saturating_add(shown))?;
        let text = text::prefix(cx, string, shown)?;
        let is_long = shown > SHORT_STRING && shown + self.indentation + 4 > self.options.break_length;
        let mut quoted = if is_long {
            let lines: Vec<String> = text.split_inclusive('\n').map(layout::quote).collect();
            lines.join(&format!(" +\n{:1$}", "", self.indentation + 2))
        } else {
            layout::quote(&text)
        };
        if shown < length {
            quoted.push_str(&layout::more(length - shown, "character", "characters"));
        }
        Ok(quoted)
    }

    fn symbol(&self, cx: &mut JSContext, symbol: *mut Symbol) -> Text {
        rooted!(&in(cx) let symbol = symbol);
        // SAFETY: `symbol` is rooted.
        rooted!(&in(cx) let description = unsafe { GetSymbolDescription(symbol.handle()) });
        let description = match description.get().is_null() {
            true => String::new(),
            false => self.copy(cx, description.handle())?,
        };
        Ok(format!("Symbol({description})"))
    }

    fn object_or_proxy(
        &mut self,
        cx: &mut JSContext,
        object: Handle<*mut JSObject>,
        parents: Option<&Parents>,
    ) -> Text {
        if self.state.killed() {
            return Err(Cut::Thrown);
        }
        rooted!(&in(cx) let mut object = object.get());
        if !read::unwrap_proxies(self.state, object.handle_mut())? {
            return self.made("<Revoked Proxy>".into());
        }
        if let Some(circle) = parents.and_then(|parents| parents.find(object.get())) {
            if circle.get() == 0 {
                self.circles += 1;
                circle.set(self.circles);
            }
            return self.made(format!("[Circular *{}]", circle.get()));
        }
        let before = self.room.bytes();
        let text = self.object(cx, object.handle(), parents)?;
        // Its parts are gone.
        self.room.shrink_to(before + PART + COPIES * text.len());
        Ok(text)
    }

    /// Puts the parts of an object together. Its entries are paid for.
    pub(super) fn join(&mut self, parts: Parts, depth: i32) -> Text {
        self.pay(parts.base.len() + parts.open.len() + parts.close.len())?;
        let place = Place {
            indentation: self.indentation,
            break_length: self.options.break_length,
            nesting: self.last_depth - depth,
            max_items: self.options.max_items,
        };
        self.whole(parts.join(&place))
    }

    /// Formats further inside.
    pub(super) fn indented(&mut self, format: impl FnOnce(&mut Self) -> Text) -> Text {
        self.indentation += 2;
        let text = format(self);
        self.indentation -= 2;
        text
    }

    /// The value of an own property, and whether it is enumerable; none if the property is missing.
    pub(super) fn property_value(
        &mut self,
        cx: &mut JSContext,
        key: Key,
        here: &Parents,
    ) -> Result<Option<(String, bool)>, Cut> {
        rooted!(&in(cx) let mut value = UndefinedValue());
        Ok(match read::own(cx, here.object, key, value.handle_mut())? {
            Own::Missing => None,
            Own::Accessor(label) => Some((self.made(label.into())?, true)),
            Own::Value { enumerable } => {
                let text = self.indented(|inner| inner.value(cx, value.handle(), Some(here)))?;
                Some((text, enumerable))
            }
        })
    }

    /// A property with its key; none if it is missing.
    pub(super) fn property(
        &mut self,
        cx: &mut JSContext,
        id: Handle<jsid>,
        here: &Parents,
    ) -> Result<Option<String>, Cut> {
        let key = self.key(cx, id)?;
        let Some((value, _)) = self.property_value(cx, Key::Id(id), here)? else {
            return Ok(None);
        };
        Ok(Some(format!("{key}: {value}")))
    }

    /// A key as it is shown.
    fn key(&mut self, cx: &mut JSContext, id: Handle<jsid>) -> Text {
        let text = self.plain_key(cx, id)?;
        let _room = memory::reserve((1 + layout::MAX_ESCAPE) * text.len())?;
        let shown = if id.get().is_symbol() {
            format!("[{}]", layout::escape(&text))
        } else if text == "__proto__" {
            "['__proto__']".into()
        } else if layout::is_plain_key(&text) {
            text
        } else {
            layout::quote(&text)
        };
        self.made(shown)
    }

    /// A key as text. The caller pays.
    pub(super) fn plain_key(&mut self, cx: &mut JSContext, id: Handle<jsid>) -> Text {
        if id.get().is_int() {
            return Ok(id.get().to_int().to_string());
        }
        if id.get().is_symbol() {
            return self.symbol(cx, id.get().to_symbol());
        }
        rooted!(&in(cx) let string = id.get().to_string());
        self.copy(cx, string.handle())
    }

    /// A string that an object has, such as the source of a RegExp. The caller pays.
    pub(super) fn text_of(&mut self, cx: &mut JSContext, value: Handle<JSVal>) -> Text {
        rooted!(&in(cx) let string = value.get().to_string());
        self.copy(cx, string.handle())
    }
}
