//! JSON, the plain text form of a [`Value`]: what people and other programs read. It cannot say everything that a
//! [`Value`] can; the lossless form is [`cbor`](super::cbor).
//!
//! | value | as JSON |
//! |---|---|
//! | undefined, null | `null` |
//! | boolean, string | the same |
//! | number | the digits that `JSON.stringify` prints (`1`, `0.1`, `1e+21`), except that `-0` stays `-0`; `NaN` and the infinities: `null` |
//! | bigint | its decimal digits as a string: JSON readers keep only 53 bits of a number; at most [`MAX_DECIMAL_BITS`] |
//! | bytes | base64 with padding, as a string |
//! | date | `Date.prototype.toISOString()`, as a string; an invalid date: `null` |
//! | array, set | an array |
//! | map | an object if every key is a string, else an array of `[key, value]` |
//! | object | an object, in its own order |
//! | error | `{"name", "message"}`, with `"code"` and `"stack"` where they are known |
//!
//! Read back, JSON gives null, boolean, number, string, array and object only. A number is the nearest double; of a
//! key that occurs twice the last value is kept, at the first place.

use std::collections::HashMap;
use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigInt;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{MAX_DATE_MS, Value, time_clip};
use crate::config::MAX_VALUE_DEPTH;
use crate::error::Error;

/// The most bits of a bigint that is written in decimal, which are 4 933 digits.
///
/// Decimal digits take time that grows faster than their number. With this bound a value takes time in proportion to its
/// size, whatever a script has put into it.
pub const MAX_DECIMAL_BITS: u64 = 1 << 14;

/// The most decimal digits that are read as a bigint, for the same reason.
pub const MAX_DECIMAL_DIGITS: usize = 4933;

/// Writes a value as JSON, without white space.
///
/// The only errors are a value deeper than [`MAX_VALUE_DEPTH`] and a bigint of more than [`MAX_DECIMAL_BITS`]; `what`
/// names the value there, such as `args`.
pub fn to_string(value: &Value, what: &str) -> Result<String, Error> {
    super::check_depth(value, what)?;
    check_bigints(value, what)?;
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, ScriptNumbers);
    Text(value)
        .serialize(&mut serializer)
        .and_then(|()| String::from_utf8(bytes).map_err(serde::ser::Error::custom))
        .map_err(|error| Error::Internal { message: format!("{what} could not be written as JSON: {error}") })
}

/// The decimal digits of a bigint. The only error is one of more than [`MAX_DECIMAL_BITS`]; `what` names it there.
pub fn decimal(bigint: &BigInt, what: &str) -> Result<String, Error> {
    check_bits(bigint, what).map(|()| bigint.to_string())
}

/// Reads a bigint of at most [`MAX_DECIMAL_DIGITS`], with a `-` before them if it is negative. The error is
/// [`Error::InvalidArgument`] and calls the digits `what`.
pub fn from_decimal(digits: &str, what: &str) -> Result<BigInt, Error> {
    let magnitude = digits.strip_prefix('-').unwrap_or(digits);
    if magnitude.is_empty() || !magnitude.bytes().all(|digit| digit.is_ascii_digit()) {
        let problem = "is not a whole number in decimal digits, with or without a - before them";
        return Err(Error::invalid_argument(what, problem));
    }
    if magnitude.len() > MAX_DECIMAL_DIGITS {
        let problem = format!("has {} digits; accepted are at most {MAX_DECIMAL_DIGITS}", magnitude.len());
        return Err(Error::invalid_argument(what, problem));
    }
    digits.parse().map_err(|error| Error::invalid_argument(what, format!("is no bigint: {error}")))
}

fn check_bigints(value: &Value, what: &str) -> Result<(), Error> {
    let mut checked = Ok(());
    value.walk(|value, _| match value {
        Value::BigInt(bigint) if checked.is_ok() => checked = check_bits(bigint, what),
        _ => (),
    });
    checked
}

fn check_bits(bigint: &BigInt, what: &str) -> Result<(), Error> {
    match bigint.bits() {
        0..=MAX_DECIMAL_BITS => Ok(()),
        bits => Err(Error::invalid_argument(
            what,
            format!("has a bigint of {bits} bits; written in decimal are at most {MAX_DECIMAL_BITS}"),
        )),
    }
}

/// Reads one JSON value of at most `max_depth` levels of nesting.
///
/// The error is [`Error::InvalidArgument`], says where and what is wrong, and calls the text `what`, such as `globals`.
pub fn from_str(text: &str, max_depth: u32, what: &str) -> Result<Value, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Reader bounds the depth itself, so that the limit and its message are ours.
    deserializer.disable_recursion_limit();
    let levels_left = max_depth.min(MAX_VALUE_DEPTH);
    Reader { levels_left, max_depth: levels_left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| Error::invalid_argument(what, format!("is not accepted as JSON: {error}")))
}

/// Prints a number as JavaScript does.
struct ScriptNumbers;

impl serde_json::ser::Formatter for ScriptNumbers {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(number_text(value).as_bytes())
    }
}

/// A number as JavaScript prints it, but for `-0`, which stays `-0`.
pub(crate) fn number_text(value: f64) -> String {
    // Both forms print the shortest digits that give the same double.
    let size = value.abs();
    if value.is_infinite() {
        if value > 0.0 { "Infinity".into() } else { "-Infinity".into() }
    } else if size >= 1e21 {
        format!("{value:e}").replace('e', "e+")
    } else if size < 1e-6 && size != 0.0 {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

struct Text<'a>(&'a Value);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Undefined | Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            // serde_json itself turns what is not finite into null.
            Value::Number(value) => serializer.serialize_f64(*value),
            Value::BigInt(value) => serializer.collect_str(value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_str(&STANDARD.encode(value)),
            Value::Date(ms) => match iso_date(*ms) {
                Some(text) => serializer.serialize_str(&text),
                None => serializer.serialize_unit(),
            },
            Value::Array(items) | Value::Set(items) => serializer.collect_seq(items.iter().map(Text)),
            Value::Map(entries) => match string_keys(entries) {
                Some(entries) => serializer.collect_map(entries.map(|(key, value)| (key, Text(value)))),
                None => {
                    let mut pairs = serializer.serialize_seq(Some(entries.len()))?;
                    for (key, value) in entries {
                        pairs.serialize_element(&[Text(key), Text(value)])?;
                    }
                    pairs.end()
                }
            },
            Value::Object(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, Text(value)))),
            Value::Error(error) => {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("name", &error.name)?;
                map.serialize_entry("message", &error.message)?;
                if let Some(code) = &error.code {
                    map.serialize_entry("code", code)?;
                }
                if let Some(stack) = &error.stack {
                    map.serialize_entry("stack", stack)?;
                }
                map.end()
            }
        }
    }
}

/// The entries, if every key is a string.
fn string_keys(entries: &[(Value, Value)]) -> Option<impl Iterator<Item = (&str, &Value)>> {
    entries.iter().all(|(key, _)| matches!(key, Value::String(_))).then(|| {
        entries.iter().filter_map(|(key, value)| match key {
            Value::String(key) => Some((key.as_str(), value)),
            _ => None,
        })
    })
}

/// What `Date.prototype.toISOString` gives; nothing for an invalid date.
pub(crate) fn iso_date(ms: f64) -> Option<String> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let ms = time_clip(ms);
    if ms.is_nan() {
        return None;
    }
    debug_assert!(ms.abs() <= MAX_DATE_MS);
    let (days, time) = ((ms as i64).div_euclid(DAY_MS), (ms as i64).rem_euclid(DAY_MS));

    // The civil date of a day number: http://howardhinnant.github.io/date_algorithms.html, with years from March on.
    let from_march_0000 = days + 719_468;
    let (era, day_of_era) = (from_march_0000.div_euclid(146_097), from_march_0000.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);

    let year = if (0..=9999).contains(&year) { format!("{year:04}") } else { format!("{year:+07}") };
    let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60);
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time % 1000))
}

/// Reads a value that may still open `levels_left` arrays or objects inside each other.
#[derive(Clone, Copy)]
struct Reader {
    levels_left: u32,
    max_depth: u32,
}

impl Reader {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.levels_left.checked_sub(1) {
            Some(levels_left) => Ok(Reader { levels_left, ..self }),
            None => Err(E::custom(format_args!("more than {} levels of nesting", self.max_depth))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Entries::default();
        while let Some(key) = entries.next_key::<String>()? {
            object.set(key, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(object.list))
    }
}

/// Entries of an object being read: a repeated key replaces the value where it first stood.
#[derive(Default)]
struct Entries {
    list: Vec<(String, Value)>,
    /// The places of all keys, once there are too many to look through.
    places: HashMap<String, usize>,
}

impl Entries {
    const FEW: usize = 16;

    fn set(&mut self, key: String, value: Value) {
        let place = if self.list.len() <= Self::FEW {
            self.list.iter().position(|(k, _)| *k == key)
        } else {
            if self.places.is_empty() {
                self.places = self.list.iter().enumerate().map(|(i, (k, _))| (k.clone(), i)).collect();
            }
            self.places.get(&key).copied()
        };
        match place {
            Some(place) => self.list[place].1 = value,
            None => {
                if !self.places.is_empty() {
                    self.places.insert(key.clone(), self.list.len());
                }
                self.list.push((key, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ErrorValue;

    fn text(value: Value) -> String {
        to_string(&value, "value").unwrap()
    }

    fn read(text: &str) -> Value {
        from_str(text, 128, "value").unwrap()
    }

    fn refusal(text: &str, max_depth: u32) -> String {
        from_str(text, max_depth, "globals").unwrap_err().to_string()
    }

    fn object(entries: &[(&str, Value)]) -> Value {
        entries.iter().map(|(key, value)| (*key, value.clone())).collect()
    }

    #[test]
    fn numbers_are_printed_as_javascript_prints_them() {
        let table = [
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-0.0, "-0"),
            (9007199254740991.0, "9007199254740991"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.000001, "0.000001"),
            (0.0000015, "0.0000015"),
            (1.5e-7, "1.5e-7"),
            (5e-324, "5e-324"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ];
        for (number, expected) in table {
            assert_eq!(text(Value::Number(number)), expected);
        }
    }

    #[test]
    fn what_json_cannot_say_becomes_the_nearest_thing_it_can() {
        let map = |key: Value| Value::Map(vec![(Value::from("a"), Value::from(1)), (key, Value::Null)]);
        let error = ErrorValue {
            name: "TypeError".into(),
            message: "no \"x\"".into(),
            code: Some("E_X".into()),
            stack: Some("f@main.js:1:2".into()),
        };
        let table = [
            (Value::Undefined, "null"),
            (Value::BigInt(bigint("123456789012345678901234567890")), "\"123456789012345678901234567890\""),
            (Value::Set(vec![Value::from(1), Value::Undefined]), "[1,null]"),
            (map(Value::from("b")), r#"{"a":1,"b":null}"#),
            (map(Value::from(2)), r#"[["a",1],[2,null]]"#),
            (Value::Map(vec![]), "{}"),
            (
                Value::Error(Box::new(error)),
                r#"{"name":"TypeError","message":"no \"x\"","code":"E_X","stack":"f@main.js:1:2"}"#,
            ),
            (Value::Error(Box::default()), r#"{"name":"","message":""}"#),
            (object(&[("b", Value::Undefined), ("a", Value::Bool(true))]), r#"{"b":null,"a":true}"#),
            (Value::from("\u{0}\u{2028}ä😀"), "\"\\u0000\u{2028}ä😀\""),
        ];
        for (value, expected) in table {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn bytes_are_base64_with_padding() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(text(Value::Bytes(bytes.into())), format!("{expected:?}"));
        }
        assert_eq!(text(Value::Bytes(vec![0xfb, 0xff, 0xfe])), "\"+//+\"");
    }

    #[test]
    fn dates_are_what_to_iso_string_gives() {
        // As Node prints them.
        let table = [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (-1.0, "1969-12-31T23:59:59.999Z"),
            (951782400000.0, "2000-02-29T00:00:00.000Z"),
            (1709210096789.0, "2024-02-29T12:34:56.789Z"),
            (253402300799999.0, "9999-12-31T23:59:59.999Z"),
            (253402300800000.0, "+010000-01-01T00:00:00.000Z"),
            (-62167219200000.0, "0000-01-01T00:00:00.000Z"),
            (-62167219200001.0, "-000001-12-31T23:59:59.999Z"),
            (8.64e15, "+275760-09-13T00:00:00.000Z"),
            (-8.64e15, "-271821-04-20T00:00:00.000Z"),
        ];
        for (ms, expected) in table {
            assert_eq!(text(Value::Date(ms)), format!("{expected:?}"));
        }
        for invalid in [f64::NAN, f64::INFINITY, 8.64e15 + 1.0] {
            assert_eq!(text(Value::Date(invalid)), "null");
        }
    }

    #[test]
    fn a_number_is_the_nearest_double() {
        for (text, expected) in [
            ("9007199254740993", 9007199254740992.0),
            ("18446744073709551616", 18446744073709551616.0),
            ("-9223372036854775809", -9223372036854775808.0),
            ("123456789012345678901234567890", 123456789012345678901234567890.0),
            ("1.00000000000000011102230246251565", 1.0),
            ("2.4703282292062328e-324", 5e-324),
            ("1E2", 100.0),
        ] {
            assert_eq!(read(text), Value::Number(expected), "{text}");
        }
        assert!(matches!(read("-0"), Value::Number(zero) if zero == 0.0 && zero.is_sign_negative()));
    }

    #[test]
    fn the_last_of_a_repeated_key_is_kept_at_the_first_place() {
        assert_eq!(read(r#"{"a":1,"b":2,"\u0061":3}"#), object(&[("a", Value::from(3)), ("b", Value::from(2))]));
        let mut many = (0..100).map(|i| format!("\"k{i}\":{i},")).collect::<String>();
        many += "\"k7\":\"seven\",\"k99\":\"last\"";
        let Value::Object(entries) = read(&format!("{{{many}}}")) else { panic!() };
        assert_eq!(entries.len(), 100);
        assert_eq!(entries[7], ("k7".into(), Value::from("seven")));
        assert_eq!(entries[99], ("k99".into(), Value::from("last")));
    }

    #[test]
    fn a_hundred_thousand_keys_are_read_in_linear_time() {
        let keys = (0..100_000).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",");
        let Value::Object(entries) = read(&format!("{{{keys}}}")) else { panic!() };
        assert_eq!(entries.len(), 100_000);
    }

    #[test]
    fn nesting_ends_at_the_limit_however_deep_the_input_goes() {
        assert_eq!(read("[[1]]").depth(), 2);
        assert!(from_str("[[1]]", 2, "x").is_ok());
        assert_eq!(
            refusal("[[1]]", 1),
            "globals is not accepted as JSON: more than 1 levels of nesting at line 1 column 2"
        );
        assert!(from_str(&format!("{}{}", "[".repeat(512), "]".repeat(512)), u32::MAX, "x").is_ok());
        for bomb in ["[".repeat(1 << 20), "{\"a\":".repeat(1 << 20)] {
            assert!(refusal(&bomb, u32::MAX).contains("more than 512 levels of nesting"));
        }
    }

    #[test]
    fn an_error_says_where_and_what() {
        assert_eq!(
            refusal("{\n  \"a\": 1,\n  b: 2\n}", 8),
            "globals is not accepted as JSON: key must be a string at line 3 column 3"
        );
        for (text, problem) in [
            ("", "EOF while parsing a value"),
            ("1 2", "trailing characters at line 1 column 3"),
            ("NaN", "expected value"),
            ("[1,]", "trailing comma"),
            ("\"\\ud800\"", "hex escape"),
            ("1e400", "number out of range"),
        ] {
            let message = refusal(text, 8);
            assert!(message.contains(problem), "{text}: {message}");
        }
    }

    #[test]
    fn a_value_too_deep_for_the_writer_is_refused() {
        let deep = (0..513).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let message = to_string(&deep, "args").unwrap_err().to_string();
        assert_eq!(message, "args has 513 levels of nesting; accepted are at most 512");
    }

    /// Decimal digits of a bigint take more than linear time, so the largest that is written bounds the work per byte.
    #[test]
    fn a_bigint_has_so_many_bits_or_is_not_written_in_decimal() {
        let largest = (BigInt::from(1) << MAX_DECIMAL_BITS) - 1;
        assert_eq!(decimal(&largest, "x").unwrap().len(), 4933);
        assert_eq!(text(Value::BigInt(-&largest)).len(), 4936);
        assert_eq!(from_decimal(&(-&largest).to_string(), "x").unwrap(), -&largest);
        let digits = "9".repeat(MAX_DECIMAL_DIGITS);
        assert!(from_decimal(&digits, "x").is_ok() && from_decimal(&format!("-{digits}"), "x").is_ok());
        let problem = from_decimal(&format!("-{digits}9"), "x").unwrap_err().to_string();
        assert_eq!(problem, "x has 4934 digits; accepted are at most 4933");
        let over = "x has a bigint of 16385 bits; written in decimal are at most 16384";
        for beyond in [&largest + 1, -&largest - 1] {
            assert_eq!(decimal(&beyond, "x").unwrap_err().to_string(), over);
            let bigint = Value::BigInt(beyond);
            let pair = |key: Value, value: Value| Value::Map(vec![(key, value)]);
            for value in [
                bigint.clone(),
                Value::Array(vec![Value::from(1), bigint.clone()]),
                Value::Set(vec![bigint.clone()]),
                pair(bigint.clone(), Value::Null),
                pair(Value::Null, bigint.clone()),
                object(&[("a", Value::Array(vec![bigint.clone()]))]),
            ] {
                assert_eq!(to_string(&value, "x").unwrap_err().to_string(), over);
            }
        }
    }

    fn bigint(digits: &str) -> BigInt {
        digits.parse().unwrap()
    }
}
