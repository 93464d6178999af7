//! The arguments of a console method as one text: `%` directives in a first string, then the others behind spaces.

use mozjs::context::JSContext;
use mozjs::gc::Handle;
use mozjs::jsapi::{CallArgs, JSObject, ToJSON};
use mozjs::jsval::{JSVal, UndefinedValue};
use mozjs::rooted;
use mozjs::rust::wrappers2::JS_ClearPendingException;

use super::inspect::{Cut, Inspector, Options, Text};
use crate::engine::memory::Reserved;
use crate::engine::thrown::Thrown;
use crate::engine::{memory, native};

/// The arguments from `first` on.
pub(super) fn arguments(cx: &mut JSContext, inspector: &mut Inspector, args: &CallArgs, first: u32) -> Text {
    let mut rest = first..args.argc_;
    let mut text = String::new();
    if let Some(index) = rest.next() {
        // SAFETY: used during the call only.
        let value = unsafe { native::argument(args, index) };
        text = inspector.argument(cx, value)?;
        if value.get().is_string() && rest.start < rest.end && text.contains('%') {
            text = directives(cx, inspector, &text, args, &mut rest)?;
        }
    }
    for index in rest {
        text.push(' ');
        // SAFETY: as above.
        text += &inspector.argument(cx, unsafe { native::argument(args, index) })?;
    }
    inspector.whole(text)
}

/// Puts arguments in the places of the directives, as long as there are any.
fn directives(
    cx: &mut JSContext,
    inspector: &mut Inspector,
    template: &str,
    args: &CallArgs,
    rest: &mut std::ops::Range<u32>,
) -> Text {
    let mut text = String::new();
    let mut left = template;
    while let Some(at) = left.find('%') {
        let (before, directive) = left.split_at(at);
        text.push_str(before);
        let letter = directive.as_bytes().get(1).copied().unwrap_or_default();
        left = match letter {
            b'%' => {
                text.push('%');
                &directive[2..]
            }
            b's' | b'd' | b'i' | b'f' | b'j' | b'o' | b'O' | b'c' if rest.start < rest.end => {
                let index = rest.start;
                rest.start += 1;
                // SAFETY: used during the call only.
                text += &substitute(cx, inspector, letter, unsafe { native::argument(args, index) })?;
                &directive[2..]
            }
            _ => {
                text.push('%');
                &directive[1..]
            }
        };
        inspector.check(&text)?;
    }
    text.push_str(left);
    Ok(text)
}

fn substitute(cx: &mut JSContext, inspector: &mut Inspector, letter: u8, value: Handle<JSVal>) -> Text {
    let plain = value.get();
    match letter {
        // Style, of which a text has none.
        b'c' => Ok(String::new()),
        b's' => with_depth(inspector, 0, |inspector| inspector.argument(cx, value)),
        b'o' => with_depth(inspector, 4, |inspector| inspector.value(cx, value, None)),
        b'O' => inspector.value(cx, value, None),
        b'j' => json(cx, inspector, value),
        _ if plain.is_bigint() => inspector.value(cx, value, None),
        // Making numbers of these would run script, or throw.
        _ if plain.is_object() || plain.is_symbol() => inspector.made("NaN".into()),
        _ => {
            let number = match letter {
                // SAFETY: a primitive that is neither symbol nor bigint runs no script.
                b'd' => unsafe { mozjs::rust::ToNumber(cx, value) }.map_err(|()| Cut::Thrown)?,
                b'i' => parse_int(&inspector.argument(cx, value)?),
                _ => parse_float(&inspector.argument(cx, value)?),
            };
            rooted!(&in(cx) let number = mozjs::jsval::DoubleValue(number));
            inspector.value(cx, number.handle(), None)
        }
    }
}

fn with_depth(inspector: &mut Inspector, depth: i32, format: impl FnOnce(&mut Inspector) -> Text) -> Text {
    let usual = inspector.options;
    inspector.options = Options { depth, ..usual };
    let text = format(inspector);
    inspector.options = usual;
    text
}

/// What `JSON.stringify` gives; a value that it does not take is shown as usual. The only directive that may run
/// script (`toJSON`, getters), because that is what it is for.
fn json(cx: &mut JSContext, inspector: &mut Inspector, value: Handle<JSVal>) -> Text {
    struct Target {
        text: Option<String>,
        /// What the text takes.
        room: Reserved,
        limit: usize,
        too_long: bool,
    }

    unsafe extern "C" fn receive(units: *const u16, length: u32, target: *mut std::ffi::c_void) -> bool {
        let _host = memory::on(memory::Side::Host);
        // SAFETY: the engine gives `length` readable units; the target is the one handed over with this function.
        let (target, units) =
            unsafe { (&mut *target.cast::<Target>(), std::slice::from_raw_parts(units, length as usize)) };
        target.too_long = units.len() > target.limit;
        // It doubles while it grows.
        if target.too_long || target.room.grow(2 * 3 * units.len()).is_err() {
            return false;
        }
        target.text = Some(String::from_utf16_lossy(units));
        true
    }

    let mut target = Target { text: None, room: Reserved::default(), limit: inspector.left(), too_long: false };
    rooted!(&in(cx) let no_replacer = std::ptr::null_mut::<JSObject>());
    rooted!(&in(cx) let no_space = UndefinedValue());
    let engine = memory::on(memory::Side::Engine);
    // SAFETY: all is rooted, and `target` outlives the call.
    let made = unsafe {
        let target = (&raw mut target).cast();
        ToJSON(cx.raw_cx(), value.into(), no_replacer.handle().into(), no_space.handle().into(), Some(receive), target)
    };
    drop(engine);
    if target.too_long {
        return Err(Cut::TooLong);
    }
    if made {
        return inspector.made(target.text.unwrap_or_else(|| "undefined".into()));
    }
    if inspector.state.killed() {
        return Err(Thrown.into());
    }
    // SAFETY: a plain call.
    unsafe { JS_ClearPendingException(cx) };
    inspector.value(cx, value, None)
}

/// As the global `parseInt` reads a number.
fn parse_int(text: &str) -> f64 {
    let text = text.trim_start();
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        _ => (10, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let digits = &digits[..end];
    let value = match radix {
        _ if digits.is_empty() => f64::NAN,
        10 => digits.parse().unwrap_or(f64::NAN),
        _ => digits.chars().filter_map(|c| c.to_digit(radix)).fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit)),
    };
    sign * value
}

/// As the global `parseFloat` reads a number.
fn parse_float(text: &str) -> f64 {
    let text = text.trim_start();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.starts_with("Infinity") {
        return if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let digits = |from: usize| {
        let rest = &unsigned.as_bytes()[from..];
        from + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = digits(0);
    if unsigned[end..].starts_with('.') && (end > 0 || digits(end + 1) > end + 1) {
        end = digits(end + 1);
    }
    if end > 0 && unsigned[end..].starts_with(['e', 'E']) {
        let signed = end + 1 + usize::from(unsigned[end + 1..].starts_with(['-', '+']));
        if digits(signed) > signed {
            end = digits(signed);
        }
    }
    text[..text.len() - unsigned.len() + end].parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(a: f64, b: f64) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn integers_are_read_as_script_reads_them() {
        let table = [
            ("42", 42.0),
            (" \n-7.9", -7.0),
            ("+1e3", 1.0),
            ("0x1F", 31.0),
            ("-0", -0.0),
            ("12px", 12.0),
            ("123456789012345678901234567890", 123456789012345678901234567890.0),
            ("", f64::NAN),
            ("px", f64::NAN),
            ("0x", f64::NAN),
            ("ä", f64::NAN),
        ];
        for (text, number) in table {
            assert!(same(parse_int(text), number), "{text:?}");
        }
    }

    #[test]
    fn floats_are_read_as_script_reads_them() {
        let table = [
            ("1.5", 1.5),
            ("-.5e1x", -5.0),
            ("5.", 5.0),
            ("1e", 1.0),
            ("1e+", 1.0),
            ("1e+2", 100.0),
            ("-Infinityx", f64::NEG_INFINITY),
            ("0x10", 0.0),
            ("3 4", 3.0),
            (".", f64::NAN),
            ("e5", f64::NAN),
            ("infinity", f64::NAN),
            ("nan", f64::NAN),
            ("", f64::NAN),
        ];
        for (text, number) in table {
            assert!(same(parse_float(text), number), "{text:?} {}", parse_float(text));
        }
    }
}
