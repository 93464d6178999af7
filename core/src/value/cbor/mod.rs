//! CBOR (RFC 8949), the lossless form of a [`Value`] in one buffer: what the bindings and worker processes exchange.
//!
//! | value | as CBOR |
//! |---|---|
//! | undefined, null, boolean | simple values 23, 22, 21 and 20 |
//! | number | an integer within ±(2^53 - 1), but not `-0`: major type 0 or 1. Any other: the shortest of half, single and double that keeps it; `NaN` is `f97e00` |
//! | bigint | tag 2 or 3 on a byte string (bignum), also where it is small: this is what tells it from a number |
//! | string | text string |
//! | bytes | byte string |
//! | date | tag 1 on seconds since 1970: an integer where they are whole, else a double; an invalid date: `NaN` |
//! | array | array |
//! | map | tag 259 on a map with keys of any kind, in order |
//! | set | tag 258 on an array, in order |
//! | object | map with text keys, in order |
//! | error | tag 27 on `["Error", {"name": text, "message": text, "code": text, "stack": text}]`, the last two only where known |
//!
//! Tags 1, 2, 3 are RFC 8949's own; 27 (generic object: type name, arguments), 258 (set) and 259 (map with `get` and
//! `set`) are registered with IANA. Everything is written in the shortest form with definite lengths.
//!
//! The reader accepts, beyond what the writer makes: every width of a number, indefinite lengths, and integers beyond
//! ±(2^53 - 1), which are bigints. Seconds of a date are rounded to milliseconds, and a date that JavaScript does not
//! have is an invalid one. The reader refuses other tags and simple values, keys of a plain map that are not text or
//! occur twice, a text that is not UTF-8, more nesting than allowed, and bytes after the value; it allocates no more
//! than a small multiple of the input, whatever lengths the input claims.
//!
//! Dates keep their milliseconds: up to ±8.64e12 s, the largest of JavaScript, a double is off by at most 0.49 ms, so
//! the fraction, rounded apart from the whole seconds, gives the millisecond back.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use minicbor::data::{Tag, Type};
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};
use num_bigint::{BigInt, Sign};

use super::{ErrorValue, Value, time_clip};
use crate::config::MAX_VALUE_DEPTH;
use crate::error::Error;

const DATE: u64 = 1;
const POSITIVE_BIGINT: u64 = 2;
const NEGATIVE_BIGINT: u64 = 3;
const OBJECT_OF_TYPE: u64 = 27;
const SET: u64 = 258;
const MAP: u64 = 259;

/// `Number.MAX_SAFE_INTEGER`.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Writes a value as CBOR.
///
/// The only error is a value deeper than [`MAX_VALUE_DEPTH`]; `what` names it there, such as `args`.
pub fn to_vec(value: &Value, what: &str) -> Result<Vec<u8>, Error> {
    super::check_depth(value, what)?;
    let mut encoder = Encoder::new(Vec::new());
    match write(&mut encoder, value) {
        Ok(()) => Ok(encoder.into_writer()),
        Err(error) => Err(Error::Internal { message: format!("{what} could not be written as CBOR: {error}") }),
    }
}

/// Reads one CBOR value of at most `max_depth` levels of nesting.
///
/// The error is [`Error::InvalidArgument`], says where and what is wrong, and calls the bytes `what`, such as `globals`.
pub fn from_slice(bytes: &[u8], max_depth: u32, what: &str) -> Result<Value, Error> {
    let mut reader = Reader {
        decoder: Decoder::new(bytes),
        max_depth: max_depth.min(MAX_VALUE_DEPTH),
        keys_once: true,
        values_left: u64::MAX,
    };
    let value = reader.value(reader.max_depth).and_then(|value| match reader.decoder.position() {
        end if end == bytes.len() => Ok(value),
        end => Err(Problem::at(end, format!("{} bytes follow the value", bytes.len() - end))),
    });
    value.map_err(|Problem { position, what: problem }| {
        Error::invalid_argument(
            what,
            format!("is not accepted as CBOR: {problem} (at byte {position} of {})", bytes.len()),
        )
    })
}

/// Reads a value that is a part of something larger and was made by [`write`]. Texts with lone surrogates may have
/// become equal on the way into a [`Value`], so keys may occur twice here.
///
/// There may be at most so many values in it, which are taken off: a value of one byte takes many times that in memory.
pub(crate) fn read(from: &mut Decoder<'_>, values: &mut u64) -> Result<Value, String> {
    let mut reader =
        Reader { decoder: from.clone(), max_depth: MAX_VALUE_DEPTH, keys_once: false, values_left: *values };
    let value = reader.value(reader.max_depth).map_err(|problem| problem.what)?;
    *values = reader.values_left;
    from.set_position(reader.decoder.position());
    Ok(value)
}

type Written<W> = Result<(), minicbor::encode::Error<<W as Write>::Error>>;

/// Writes a value as a part of something larger; its depth must be one that was accepted.
pub(crate) fn write<W: Write>(to: &mut Encoder<W>, value: &Value) -> Written<W> {
    match value {
        Value::Undefined => to.undefined()?.ok(),
        Value::Null => to.null()?.ok(),
        Value::Bool(value) => to.bool(*value)?.ok(),
        Value::Number(value) => write_number(to, *value),
        Value::BigInt(value) => write_bigint(to, value),
        Value::String(value) => to.str(value)?.ok(),
        Value::Bytes(value) => to.bytes(value)?.ok(),
        Value::Date(ms) => write_number(to.tag(Tag::new(DATE))?, time_clip(*ms) / 1000.0),
        Value::Array(items) => write_array(to, items),
        Value::Set(items) => write_array(to.tag(Tag::new(SET))?, items),
        Value::Map(entries) => {
            to.tag(Tag::new(MAP))?.map(entries.len() as u64)?;
            entries.iter().try_for_each(|(key, value)| {
                write(to, key)?;
                write(to, value)
            })
        }
        Value::Object(entries) => {
            to.map(entries.len() as u64)?;
            entries.iter().try_for_each(|(key, value)| write(to.str(key)?, value))
        }
        Value::Error(error) => write_error(to, error),
    }
}

fn write_array<W: Write>(to: &mut Encoder<W>, items: &[Value]) -> Written<W> {
    to.array(items.len() as u64)?;
    items.iter().try_for_each(|item| write(to, item))
}

fn write_number<W: Write>(to: &mut Encoder<W>, value: f64) -> Written<W> {
    let integer = value as i64;
    let is_minus_zero = value == 0.0 && value.is_sign_negative();
    if integer as f64 == value && integer.unsigned_abs() <= MAX_SAFE_INTEGER && !is_minus_zero {
        return to.i64(integer)?.ok();
    }
    let single = value as f32;
    if value.is_nan() {
        to.f16(f32::NAN)?.ok()
    } else if f64::from(single) != value {
        to.f64(value)?.ok()
    } else if fits_half(single) {
        to.f16(single)?.ok()
    } else {
        to.f32(single)?.ok()
    }
}

/// Whether a half float keeps this number: 10 bits of fraction, exponents from -14 to 15, and below them subnormals
/// down to 2^-24.
fn fits_half(value: f32) -> bool {
    let bits = value.to_bits();
    let exponent = (bits >> 23 & 0xff) as i32 - 127;
    let lost_bits = match exponent {
        -24..-14 => 13 + (-14 - exponent),
        -14..=15 => 13,
        _ => return value == 0.0 || value.is_infinite(),
    };
    bits.trailing_zeros() as i32 >= lost_bits
}

fn write_bigint<W: Write>(to: &mut Encoder<W>, value: &BigInt) -> Written<W> {
    // A negative n is written as the bytes of -1 - n.
    let (tag, magnitude) = match value.sign() {
        Sign::Minus => (NEGATIVE_BIGINT, (-value - 1u32).into_parts().1),
        _ => (POSITIVE_BIGINT, value.magnitude().clone()),
    };
    let bytes = if magnitude == Default::default() { Vec::new() } else { magnitude.to_bytes_be() };
    to.tag(Tag::new(tag))?.bytes(&bytes)?.ok()
}

fn write_error<W: Write>(to: &mut Encoder<W>, error: &ErrorValue) -> Written<W> {
    let fields = [
        ("name", Some(&error.name)),
        ("message", Some(&error.message)),
        ("code", error.code.as_ref()),
        ("stack", error.stack.as_ref()),
    ];
    let known = fields.iter().filter(|(_, text)| text.is_some()).count();
    to.tag(Tag::new(OBJECT_OF_TYPE))?.array(2)?.str("Error")?.map(known as u64)?;
    for (key, text) in fields {
        if let Some(text) = text {
            to.str(key)?.str(text)?;
        }
    }
    Ok(())
}

/// What is wrong with the input, and where.
struct Problem {
    position: usize,
    what: String,
}

impl Problem {
    fn at(position: usize, what: impl Into<String>) -> Self {
        Problem { position, what: what.into() }
    }
}

type Read<T> = Result<T, Problem>;

struct Reader<'b> {
    decoder: Decoder<'b>,
    max_depth: u32,
    /// Refuse an object that has a key twice.
    keys_once: bool,
    values_left: u64,
}

impl<'b> Reader<'b> {
    fn value(&mut self, levels_left: u32) -> Read<Value> {
        let start = self.decoder.position();
        let left = self.values_left.checked_sub(1);
        self.values_left = left.ok_or_else(|| Problem::at(start, "there are too many values"))?;
        match self.peek()? {
            Type::Undefined => self.token(|d| d.undefined()).map(|()| Value::Undefined),
            Type::Null => self.token(|d| d.null()).map(|()| Value::Null),
            Type::Bool => self.token(|d| d.bool()).map(Value::Bool),
            kind if is_integer(kind) => {
                let integer = i128::from(self.token(|d| d.int())?);
                Ok(match integer.unsigned_abs() <= MAX_SAFE_INTEGER.into() {
                    true => Value::Number(integer as f64),
                    false => Value::BigInt(integer.into()),
                })
            }
            Type::F16 | Type::F32 | Type::F64 => self.float().map(Value::Number),
            Type::String | Type::StringIndef => self.text().map(Value::String),
            Type::Bytes | Type::BytesIndef => self.bytes().map(Value::Bytes),
            Type::Array | Type::ArrayIndef => self.array(levels_left).map(Value::Array),
            Type::Map | Type::MapIndef => self.object(levels_left).map(Value::Object),
            Type::Tag => match self.token(|d| d.tag())?.as_u64() {
                DATE => self.date(),
                POSITIVE_BIGINT => Ok(Value::BigInt(BigInt::from_bytes_be(Sign::Plus, &self.bytes()?))),
                NEGATIVE_BIGINT => Ok(Value::BigInt(-1 - BigInt::from_bytes_be(Sign::Plus, &self.bytes()?))),
                OBJECT_OF_TYPE => self.error().map(|error| Value::Error(Box::new(error))),
                SET => match self.peek()? {
                    Type::Array | Type::ArrayIndef => self.array(levels_left).map(Value::Set),
                    _ => Err(self.refuse("a set (tag 258) holds an array")),
                },
                MAP => match self.peek()? {
                    Type::Map | Type::MapIndef => self.map(levels_left).map(Value::Map),
                    _ => Err(self.refuse("a map (tag 259) holds a map")),
                },
                tag => Err(Problem::at(
                    start,
                    format!(
                        "tag {tag} is unknown; accepted are 1 (date), 2 and 3 (bigint), 27 (error), 258 (set), 259 (map)"
                    ),
                )),
            },
            Type::Simple => {
                let simple = self.token(|d| d.simple())?;
                Err(Problem::at(start, format!("simple value {simple} is unknown; accepted are 20 to 23")))
            }
            Type::Break => Err(Problem::at(start, "a break stands where a value is expected")),
            _ => Err(Problem::at(start, "this byte starts no value")),
        }
    }

    fn date(&mut self) -> Read<Value> {
        let start = self.decoder.position();
        let seconds = match self.peek()? {
            kind if is_integer(kind) => i128::from(self.token(|d| d.int())?) as f64,
            Type::F16 | Type::F32 | Type::F64 => self.float()?,
            _ => return Err(Problem::at(start, "a date (tag 1) holds no number")),
        };
        let whole = seconds.trunc();
        let ms = whole * 1000.0 + ((seconds - whole) * 1000.0).round();
        Ok(Value::Date(time_clip(ms)))
    }

    fn array(&mut self, levels_left: u32) -> Read<Vec<Value>> {
        let levels_left = self.enter(levels_left)?;
        let mut length = self.length(|d| d.array())?;
        let mut items = Vec::with_capacity(length.capacity());
        while self.more(&mut length)? {
            items.push(self.value(levels_left)?);
        }
        Ok(items)
    }

    fn map(&mut self, levels_left: u32) -> Read<Vec<(Value, Value)>> {
        let levels_left = self.enter(levels_left)?;
        let mut length = self.length(|d| d.map())?;
        let mut entries = Vec::with_capacity(length.capacity());
        while self.more(&mut length)? {
            entries.push((self.value(levels_left)?, self.value(levels_left)?));
        }
        Ok(entries)
    }

    fn object(&mut self, levels_left: u32) -> Read<Vec<(String, Value)>> {
        let start = self.decoder.position();
        let levels_left = self.enter(levels_left)?;
        let mut length = self.length(|d| d.map())?;
        let mut entries = Vec::with_capacity(length.capacity());
        while self.more(&mut length)? {
            let position = self.decoder.position();
            let key = match self.peek()? {
                Type::String | Type::StringIndef => self.text()?,
                _ => return Err(Problem::at(position, "a key of a map is no text; a map with other keys has tag 259")),
            };
            entries.push((key, self.value(levels_left)?));
        }
        match self.keys_once.then(|| repeated_key(&entries)).flatten() {
            None => Ok(entries),
            Some(key) => Err(Problem::at(start, format!("the key {key:?} occurs twice in a map"))),
        }
    }

    fn error(&mut self) -> Read<ErrorValue> {
        const SHAPE: &str = "an error (tag 27) is [\"Error\", {name, message, code, stack}], all text";
        self.error_parts().map_err(|Problem { position, what }| Problem::at(position, format!("{what}; {SHAPE}")))
    }

    /// Token by token, not by [`Self::value`]: a tag in a tag would escape the limit of nesting.
    fn error_parts(&mut self) -> Read<ErrorValue> {
        let start = self.decoder.position();
        let mut error = ErrorValue::default();
        let mut parts = self.length(|d| d.array())?;
        if !self.more(&mut parts)? || self.text()? != "Error" || !self.more(&mut parts)? {
            return Err(Problem::at(start, "other parts"));
        }
        let mut fields = self.length(|d| d.map())?;
        while self.more(&mut fields)? {
            let position = self.decoder.position();
            let (key, text) = (self.text()?, self.text()?);
            match key.as_str() {
                "name" => error.name = text,
                "message" => error.message = text,
                "code" => error.code = Some(text),
                "stack" => error.stack = Some(text),
                _ => return Err(Problem::at(position, format!("unknown field {key:?}"))),
            }
        }
        match self.more(&mut parts)? {
            false => Ok(error),
            true => Err(Problem::at(start, "more than two parts")),
        }
    }

    fn float(&mut self) -> Read<f64> {
        // Not every NaN: its other bits are the engine's own business.
        self.token(|d| d.f64()).map(|value| if value.is_nan() { f64::NAN } else { value })
    }

    fn text(&mut self) -> Read<String> {
        let start = self.decoder.position();
        let text = match self.peek()? {
            Type::String => self.decoder.str().map(str::to_owned),
            Type::StringIndef => self.decoder.str_iter().and_then(|chunks| chunks.collect()),
            _ => return Err(Problem::at(start, "a text is expected here")),
        };
        text.map_err(|error| match error.is_end_of_input() || error.is_type_mismatch() {
            true => self.problem(start, error),
            false => Problem::at(start, "a text is not UTF-8"),
        })
    }

    fn bytes(&mut self) -> Read<Vec<u8>> {
        let position = self.decoder.position();
        match self.peek()? {
            Type::Bytes => self.token(|d| d.bytes()).map(<[u8]>::to_vec),
            Type::BytesIndef => self.token(|d| {
                let mut bytes = Vec::new();
                for chunk in d.bytes_iter()? {
                    bytes.extend_from_slice(chunk?);
                }
                Ok(bytes)
            }),
            _ => Err(Problem::at(position, "a bigint (tags 2 and 3) holds a byte string")),
        }
    }

    fn enter(&self, levels_left: u32) -> Read<u32> {
        levels_left.checked_sub(1).ok_or_else(|| {
            Problem::at(self.decoder.position(), format!("more than {} levels of nesting", self.max_depth))
        })
    }

    /// The length that the head of an array or map claims.
    fn length(
        &mut self,
        head: impl FnOnce(&mut Decoder<'b>) -> Result<Option<u64>, minicbor::decode::Error>,
    ) -> Read<Length> {
        Ok(self.token(head)?.map_or(Length::UntilBreak, Length::Left))
    }

    /// Whether another item follows; takes the break that ends an indefinite length.
    fn more(&mut self, length: &mut Length) -> Read<bool> {
        match length {
            Length::Left(0) => Ok(false),
            Length::Left(left) => {
                *left -= 1;
                Ok(true)
            }
            Length::UntilBreak => {
                let is_break = self.peek()? == Type::Break;
                if is_break {
                    self.decoder.set_position(self.decoder.position() + 1);
                }
                Ok(!is_break)
            }
        }
    }

    fn peek(&self) -> Read<Type> {
        self.decoder.datatype().map_err(|error| self.problem(self.decoder.position(), error))
    }

    fn token<T>(&mut self, read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>) -> Read<T> {
        let start = self.decoder.position();
        read(&mut self.decoder).map_err(|error| self.problem(start, error))
    }

    fn problem(&self, start: usize, error: minicbor::decode::Error) -> Problem {
        let position = error.position().unwrap_or(start);
        if error.is_end_of_input() {
            Problem::at(position, "the input ends inside a value")
        } else if error.is_type_mismatch() {
            Problem::at(position, "another type is expected here")
        } else {
            Problem::at(position, error.to_string())
        }
    }

    fn refuse(&self, problem: &str) -> Problem {
        Problem::at(self.decoder.position(), problem)
    }
}

fn is_integer(kind: Type) -> bool {
    use Type::{I8, I16, I32, I64, Int, U8, U16, U32, U64};
    matches!(kind, U8 | U16 | U32 | U64 | I8 | I16 | I32 | I64 | Int)
}

/// How many items an array or map still has.
enum Length {
    Left(u64),
    UntilBreak,
}

impl Length {
    /// Room to start with: small, since the input may claim any length.
    fn capacity(&self) -> usize {
        match self {
            Length::Left(left) => (*left).min(32) as usize,
            Length::UntilBreak => 0,
        }
    }
}

fn repeated_key(entries: &[(String, Value)]) -> Option<&str> {
    const FEW: usize = 16;
    if entries.len() <= FEW {
        let repeated = |(i, (key, _)): (usize, &(String, Value))| entries[..i].iter().any(|(k, _)| k == key);
        return entries.iter().enumerate().find(|entry| repeated(*entry)).map(|(_, (key, _))| key.as_str());
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|(key, _)| key.as_str()).find(|key| !seen.insert(*key))
}
