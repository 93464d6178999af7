//! [`Value`]: what crosses the boundary between a script and its host, always by copy.

use num_bigint::BigInt;

use crate::config::MAX_VALUE_DEPTH;
use crate::error::Error;

pub mod cbor;
pub mod json;
#[cfg(test)]
mod properties;

/// The last (and, negated, the first) millisecond that a JavaScript `Date` can hold.
pub(crate) const MAX_DATE_MS: f64 = 8.64e15;

/// A JavaScript value outside its realm: a copy, owned by whoever holds it, free to go to any thread.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `undefined`.
    #[default]
    Undefined,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number; `-0`, `NaN` and the infinities are kept.
    Number(f64),
    /// A bigint of any size.
    BigInt(BigInt),
    /// A string; a lone surrogate has become U+FFFD.
    String(String),
    /// The bytes of an `ArrayBuffer`, or those that a typed array or `DataView` shows.
    /// Into a script it goes as a `Uint8Array`.
    Bytes(Vec<u8>),
    /// A `Date`, in milliseconds since 1970-01-01T00:00:00Z; `NaN` is an invalid date.
    Date(f64),
    /// An array; holes have become `undefined`.
    Array(Vec<Value>),
    /// A `Map`, in insertion order.
    Map(Vec<(Value, Value)>),
    /// A `Set`, in insertion order.
    Set(Vec<Value>),
    /// Any other object: its own enumerable string keys, in order, without functions and symbols.
    Object(Vec<(String, Value)>),
    /// An `Error` object.
    Error(Box<ErrorValue>),
}

/// An `Error` object as a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorValue {
    /// `error.name`, such as `TypeError`.
    pub name: String,
    /// `error.message`.
    pub message: String,
    /// `error.code`, if it is a string or a number.
    pub code: Option<String>,
    /// The JavaScript stack, if there is one. Ignored on the way into a script.
    pub stack: Option<String>,
}

impl Value {
    /// A `Date` of milliseconds since 1970-01-01T00:00:00Z, as JavaScript makes it: whole milliseconds, and an invalid
    /// date (`NaN`) of what is no number or beyond 8.64e15.
    pub fn date(ms: f64) -> Value {
        Value::Date(time_clip(ms))
    }

    /// The value of a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// What kind of value this is, in JavaScript's own words: `undefined`, `null`, `boolean`, `number`, `bigint`,
    /// `string`, `bytes`, `date`, `array`, `map`, `set`, `object` or `error`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Undefined => "undefined",
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::BigInt(_) => "bigint",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::Date(_) => "date",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
            Value::Set(_) => "set",
            Value::Object(_) => "object",
            Value::Error(_) => "error",
        }
    }

    /// How many arrays, maps, sets and objects are nested in each other: 0 for a plain `1`, 1 for `[1]` or `{}`.
    /// This is what [`max_value_depth`](crate::ExecutionLimits::max_value_depth) limits.
    pub fn depth(&self) -> u32 {
        self.measure().1
    }

    /// The bytes that count against [`max_message_size`](crate::PoolConfig::max_message_size): 8 for every value,
    /// and the bytes of its text (in UTF-8), of its keys and of its content.
    ///
    /// So `null` counts 8, `"abc"` 11, `[1, 2]` 24 and `{a: "b"}` 18. A bigint counts 8 and its magnitude, an error 8
    /// and its four texts.
    pub fn approximate_size(&self) -> u64 {
        self.measure().0
    }

    /// [`Value::approximate_size`] and [`Value::depth`].
    pub(crate) fn measure(&self) -> (u64, u32) {
        let (mut size, mut deepest) = (0, 0);
        self.walk(|value, depth| {
            deepest = deepest.max(depth);
            size += 8 + match value {
                Value::String(text) => text.len() as u64,
                Value::Bytes(bytes) => bytes.len() as u64,
                Value::BigInt(integer) => integer.bits().div_ceil(8),
                Value::Object(entries) => entries.iter().map(|(key, _)| key.len() as u64).sum(),
                Value::Error(error) => {
                    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
                    (error.name.len() + error.message.len() + optional(&error.code) + optional(&error.stack)) as u64
                }
                _ => 0,
            }
        });
        (size, deepest)
    }

    /// Bytes of this process's memory that this value takes, for what is made of many small parts several times
    /// [`Value::approximate_size`].
    pub(crate) fn memory(&self) -> u64 {
        /// What the allocator needs beside the bytes that it is asked for.
        const BLOCK: usize = 16;
        let block = |bytes: usize| if bytes == 0 { 0 } else { bytes + BLOCK };
        let text = |text: &Option<String>| text.as_ref().map_or(0, |text| block(text.len()));
        let mut bytes = size_of::<Value>();
        self.walk(|value, _| {
            bytes += match value {
                Value::String(text) => block(text.len()),
                Value::Bytes(content) => block(content.len()),
                Value::BigInt(integer) => block(integer.bits().div_ceil(8) as usize),
                Value::Array(items) | Value::Set(items) => block(size_of_val(&**items)),
                Value::Map(entries) => block(size_of_val(&**entries)),
                Value::Object(entries) => {
                    block(size_of_val(&**entries)) + entries.iter().map(|(key, _)| block(key.len())).sum::<usize>()
                }
                Value::Error(error) => {
                    let texts = block(error.name.len()) + block(error.message.len());
                    block(size_of::<ErrorValue>()) + texts + text(&error.code) + text(&error.stack)
                }
                _ => 0,
            }
        });
        bytes as u64
    }

    /// Visits this value and all inside it, each with the depth that it has or, as a container, makes. Needs no native
    /// stack, however deep the value is.
    fn walk<'a>(&'a self, mut visit: impl FnMut(&'a Value, u32)) {
        let mut containers = Vec::new();
        let mut enter = |value: &'a Value, depth: u32, containers: &mut Vec<(&'a Value, u32)>| match value {
            Value::Array(_) | Value::Map(_) | Value::Set(_) | Value::Object(_) => {
                visit(value, depth + 1);
                containers.push((value, depth + 1));
            }
            _ => visit(value, depth),
        };
        enter(self, 0, &mut containers);
        while let Some((container, depth)) = containers.pop() {
            match container {
                Value::Array(items) | Value::Set(items) => {
                    items.iter().for_each(|item| enter(item, depth, &mut containers));
                }
                Value::Map(entries) => entries.iter().for_each(|(key, value)| {
                    enter(key, depth, &mut containers);
                    enter(value, depth, &mut containers);
                }),
                Value::Object(entries) => entries.iter().for_each(|(_, value)| enter(value, depth, &mut containers)),
                _ => unreachable!("only containers are pushed"),
            }
        }
    }
}

/// Refuses a value that the recursive writers of text cannot take; `what` names it.
fn check_depth(value: &Value, what: &str) -> Result<(), Error> {
    match value.depth() {
        0..=MAX_VALUE_DEPTH => Ok(()),
        depth => Err(Error::invalid_argument(
            what,
            format!("has {depth} levels of nesting; accepted are at most {MAX_VALUE_DEPTH}"),
        )),
    }
}

/// ECMAScript's `TimeClip`: the whole millisecond of a date, or `NaN` where JavaScript has no such date.
pub(crate) fn time_clip(ms: f64) -> f64 {
    // Adding 0 turns -0 into 0.
    if ms.abs() <= MAX_DATE_MS { ms.trunc() + 0.0 } else { f64::NAN }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Number(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Value::Number(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::String(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::Array(value)
    }
}

impl<K: Into<String>> FromIterator<(K, Value)> for Value {
    /// An object of these entries.
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        Value::Object(entries.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_containers_inside_each_other() {
        let nested = |inner: Value| Value::from(vec![Value::Null, inner]);
        assert_eq!(Value::from("a").depth(), 0);
        assert_eq!(Value::Error(Box::default()).depth(), 0);
        assert_eq!(Value::Object(vec![]).depth(), 1);
        assert_eq!(nested(nested(Value::Set(vec![]))).depth(), 3);
        assert_eq!(Value::Map(vec![(nested(Value::Null), Value::Null)]).depth(), 2);
    }

    #[test]
    fn size_counts_8_for_every_value_and_the_bytes_of_texts() {
        let table = [
            (Value::Null, 8),
            (Value::from("äbc"), 12),
            (Value::from(vec![Value::from(1), Value::from(2)]), 24),
            ([("a", Value::from("b"))].into_iter().collect(), 18),
            (Value::Bytes(vec![0; 100]), 108),
            (Value::BigInt(256.into()), 10),
            (Value::Map(vec![(Value::from("k"), Value::Null)]), 25),
        ];
        for (value, size) in table {
            assert_eq!(value.approximate_size(), size, "{value:?}");
        }
    }

    #[test]
    fn memory_counts_what_many_small_parts_take() {
        let word = size_of::<Value>() as u64;
        assert_eq!(Value::Null.memory(), word);
        assert_eq!(Value::from("x".repeat(1000)).memory(), word + 1016);
        assert_eq!(Value::from(vec![Value::Null; 1000]).memory(), 1001 * word + 16);
        let keys: Value = (0..1000).map(|key| (format!("{key:03}"), Value::Null)).collect();
        assert_eq!(keys.memory(), word + 16 + 1000 * (size_of::<String>() as u64 + word + 3 + 16));
        // The presets of max_pending_bytes are made for this.
        assert!(
            Value::from(vec![Value::Null; 1000]).memory() <= 4 * Value::from(vec![Value::Null; 1000]).measure().0 + 64
        );
    }

    #[test]
    fn a_value_of_any_depth_is_measured_without_native_stack() {
        let mut deep = Value::Null;
        for _ in 0..100_000 {
            deep = Value::Array(vec![deep]);
        }
        assert_eq!(deep.depth(), 100_000);
        assert_eq!(deep.approximate_size(), 800_008);
        // Dropping it would need the stack.
        std::mem::forget(deep);
    }

    #[test]
    fn time_clip_leaves_only_what_a_date_can_hold() {
        assert_eq!(time_clip(1.9), 1.0);
        assert!(time_clip(-0.5).is_sign_positive());
        assert_eq!(time_clip(-MAX_DATE_MS), -MAX_DATE_MS);
        assert!(time_clip(MAX_DATE_MS + 1.0).is_nan());
    }
}
