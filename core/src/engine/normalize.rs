//! Room for `String.prototype.normalize`. The engine's normaliser makes its result in memory that it has no way to do
//! without, and a result may be eighteen times as long as its string: a thread that found no room would be lost (see
//! [`crash`](super::crash)). So the linker leads the engine's calls through here (`--wrap`, see `build.rs`), and those
//! for which there is no room fail before they start, with "out of memory".

use std::ffi::c_void;

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::memory;

/// The most units that a unit of UTF-16 becomes, and one of Latin-1.
const MOST: usize = 18;
const MOST_OF_LATIN1: usize = 3;
/// Strings up to so many units need no look: what is made of them are small requests, which are always met.
const SHORT: usize = 8 * 1024;
/// What the normaliser keeps of each character that it may have to reorder, and how many of them one may become.
const COMBINING_BYTES: usize = 4;
const MOST_COMBINING: usize = 3;

/// The engine's `NormalizationForm`.
const NFC: u32 = 0;
const NFKC: u32 = 1;
const NFD: u32 = 2;

unsafe extern "C" {
    // Without the linker's flags nothing calls what calls these.
    fn __real_js_normalize_utf16(form: u32, units: *const u16, length: usize, buffer: *mut c_void) -> bool;
    fn __real_js_normalize_latin1(form: u32, bytes: *const u8, length: usize, buffer: *mut c_void) -> bool;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_js_normalize_utf16(
    form: u32,
    units: *const u16,
    length: usize,
    buffer: *mut c_void,
) -> bool {
    // SAFETY: the engine gives the characters of a string, which nothing changes during the call.
    let string = unsafe { std::slice::from_raw_parts(units, length) };
    // SAFETY: the arguments are passed on as they are.
    has_room(length, |room| needed(form, string, room))
        && unsafe { __real_js_normalize_utf16(form, units, length, buffer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_js_normalize_latin1(
    form: u32,
    bytes: *const u8,
    length: usize,
    buffer: *mut c_void,
) -> bool {
    // SAFETY: as above.
    let string = unsafe { std::slice::from_raw_parts(bytes, length) };
    // SAFETY: as above.
    has_room(length, |_| needed_for_latin1(string))
        && unsafe { __real_js_normalize_latin1(form, bytes, length, buffer) }
}

/// Whether a string of this length can be normalised. `needed` may stop at more than the room that it is told.
fn has_room(length: usize, needed: impl FnOnce(usize) -> usize) -> bool {
    let Some(ledger) = memory::current() else { return true };
    let room = usize::try_from(ledger.room()).unwrap_or(usize::MAX);
    let worst = buffer(length.saturating_mul(MOST)).saturating_add(combining(length));
    length <= SHORT || worst <= room || !ledger.refuses(needed(room))
}

/// The bytes of a buffer that has grown to so many units.
fn buffer(units: usize) -> usize {
    units.checked_next_power_of_two().map_or(usize::MAX, |units| units.saturating_mul(size_of::<u16>()))
}

/// The bytes for a sequence of combining characters of this length.
fn combining(length: usize) -> usize {
    let most = length.saturating_mul(MOST_COMBINING).checked_next_power_of_two();
    most.map_or(usize::MAX, |most| most.saturating_mul(COMBINING_BYTES))
}

/// What the result is first taken to need, at the least.
fn guess(length: usize) -> usize {
    length + length / 8 + 16
}

/// The bytes that the normaliser takes for a string, or some number above `room`.
fn needed(form: u32, string: &[u16], room: usize) -> usize {
    let characters =
        || char::decode_utf16(string.iter().copied()).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER));
    let combining = combining(longest_combining(characters()));
    if combining > room {
        return combining;
    }
    let length = match form {
        NFC => units(ComposingNormalizerBorrowed::new_nfc().normalize_iter(characters()), room),
        NFKC => units(ComposingNormalizerBorrowed::new_nfkc().normalize_iter(characters()), room),
        NFD => units(DecomposingNormalizerBorrowed::new_nfd().normalize_iter(characters()), room),
        _ => units(DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(characters()), room),
    };
    buffer(length.max(guess(string.len()))).saturating_add(combining)
}

/// The units of a text, or some number above `room`.
fn units(mut text: impl Iterator<Item = char>, room: usize) -> usize {
    let counted = text.try_fold(0, |units, character| {
        let units = units + character.len_utf16();
        if units > room { Err(units) } else { Ok(units) }
    });
    counted.unwrap_or_else(|units| units)
}

/// The length of the longest sequence of characters that may have to be reordered.
fn longest_combining(characters: impl Iterator<Item = char>) -> usize {
    let classes = CanonicalCombiningClassMapBorrowed::new();
    let (mut longest, mut current) = (0, 0);
    for character in characters {
        // Those that become two of them have no class of their own.
        let special = matches!(character, '\u{344}' | '\u{f73}' | '\u{f75}' | '\u{f81}' | '\u{ff9e}' | '\u{ff9f}');
        current = if special || classes.get_u8(character) != 0 { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest
}

fn needed_for_latin1(string: &[u8]) -> usize {
    let others = string.iter().filter(|byte| !byte.is_ascii()).count();
    if others == 0 {
        return 0;
    }
    // The part from the first of them on is made wide before it is normalised.
    let length = string.len() + others * (MOST_OF_LATIN1 - 1);
    buffer(length.max(guess(string.len()))).saturating_add(string.len() * size_of::<u16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn what_is_needed_is_at_least_what_is_made() {
        let texts = ["\u{fdfa}", "a", "\u{1e9b}\u{323}", "\u{ac01}", "\u{344}x", "\u{1f82}\u{2f800}"];
        for text in texts {
            let string = utf16(&text.repeat(1000));
            let made = |text: std::borrow::Cow<[u16]>| text.len();
            let lengths = [
                made(ComposingNormalizerBorrowed::new_nfc().normalize_utf16(&string)),
                made(ComposingNormalizerBorrowed::new_nfkc().normalize_utf16(&string)),
                made(DecomposingNormalizerBorrowed::new_nfd().normalize_utf16(&string)),
                made(DecomposingNormalizerBorrowed::new_nfkd().normalize_utf16(&string)),
            ];
            for (form, length) in lengths.into_iter().enumerate() {
                assert!(length <= string.len() * MOST, "{text:?}");
                let needed = needed(form as u32, &string, usize::MAX);
                assert!(
                    (length * 2..=buffer(string.len() * MOST) + combining(string.len())).contains(&needed),
                    "{text:?}"
                );
                assert!(needed > 100 || super::needed(form as u32, &string, 100) > 100);
            }
        }
        for byte in 0..=255u8 {
            let string = utf16(&char::from(byte).to_string().repeat(1000));
            let length = DecomposingNormalizerBorrowed::new_nfkd().normalize_utf16(&string).len();
            assert!(length <= 1000 * MOST_OF_LATIN1);
            assert!(needed_for_latin1(&[byte; 1000]) >= if byte.is_ascii() { 0 } else { length * 2 });
        }
    }

    #[test]
    fn combining_characters_are_counted_from_one_starter_to_the_next() {
        assert_eq!(longest_combining("abc".chars()), 0);
        assert_eq!(longest_combining("a\u{301}\u{344}b\u{301}".chars()), 2);
    }
}
