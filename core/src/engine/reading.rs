//! What the text of a source tells about it, and how it is wrapped. Knows no engine.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How a source is wrapped before it is compiled. What is put before the source is a line of its own, numbered 0.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reading {
    Script,
    FunctionBody,
    AwaitedExpression,
}

pub(super) fn wrap(source: &str, reading: Reading) -> Cow<'_, str> {
    match reading {
        Reading::Script => source.into(),
        Reading::FunctionBody => format!("(async () => {{\n{}\n}})", without_hashbang(source)).into(),
        Reading::AwaitedExpression => format!("(async () => (\n{}\n))", without_hashbang(source)).into(),
    }
}

/// The source with its first line as a comment, if that is for a shell.
pub(super) fn without_hashbang(source: &str) -> Cow<'_, str> {
    match source.strip_prefix("#!") {
        Some(rest) => format!("//{rest}").into(),
        None => source.into(),
    }
}

/// The ends of a lone expression that are tried: a semicolon may be in a comment, or in a text.
pub(super) const MOST_ENDS: usize = 8;

/// The source without what may stand behind an expression.
pub(super) fn expression(source: &str) -> &str {
    source.trim_end_matches(|c: char| c.is_whitespace() || c == ';')
}

/// The places of semicolons behind which, if they are no part of a text, are only comments and more semicolons.
pub(super) fn ends_before_comments(source: &str) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + source[from..].find(';')?;
            let rest = without_comments(&source[at..]);
            // Any other semicolon on the way there is no better.
            from = (source.len() - rest.len()).max(at + 1);
            if rest.is_empty() {
                from = at + 1;
                return Some(at);
            }
        }
    })
}

/// A text without the white space, semicolons and comments that it begins with.
fn without_comments(text: &str) -> &str {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        let end = match rest.as_bytes() {
            [b'/', b'/', ..] => rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).unwrap_or(rest.len()),
            [b'/', b'*', ..] => match rest[2..].find("*/") {
                Some(end) => end + 4,
                None => return rest,
            },
            _ => return rest,
        };
        rest = &rest[end..];
    }
}

/// Whether a script may go on like this behind a variable. Behind an `await` that is none, it goes on like this in an
/// async function only.
pub(super) fn may_be_a_name(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '\t']);
    let word: String = rest.chars().take_while(|c| is_word(*c)).take(12).collect();
    word.is_empty() || matches!(&*word, "in" | "of" | "instanceof")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\u{200c}' | '\u{200d}')
}

/// The places where `word` stands as a word of its own, and not behind a dot or before a colon.
pub(super) fn words<'a>(source: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    source.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let (before, after) = (&source[..at], &source[at + word.len()..]);
        let is_key = after.trim_start().starts_with(':');
        let is_property = is_key || before.ends_with('#') || (before.ends_with('.') && !before.ends_with("..."));
        !is_property && !before.chars().next_back().is_some_and(is_word) && !after.chars().next().is_some_and(is_word)
    })
}

/// The source with an operand put at these places.
pub(super) fn probe(source: &str, ends: &[usize]) -> String {
    let mut probe = String::with_capacity(source.len() + ends.len() * 4);
    let mut from = 0;
    for &end in ends {
        let _ = write!(probe, "{} x+ ", &source[from..end]);
        from = end;
    }
    probe.push_str(&source[from..]);
    probe
}

pub(super) fn contains_word(source: &str, word: &str) -> bool {
    words(source, word).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_part_of_a_longer_name() {
        assert!(contains_word("x = await y", "await"));
        assert!(!contains_word("x = awaiting + $await + await_ + \u{e9}await", "await"));
        assert!(!contains_word("queue.await(x) + this.#await", "await"));
        assert!(!contains_word("({await: 1})", "await"));
        assert!(contains_word("[...await x]", "await"));
        assert!(contains_word("\u{feff}await\u{a0}x", "await"));
    }

    #[test]
    fn the_probe_puts_an_operand_where_it_is_told() {
        assert_eq!(probe("await(a); await [b]", &[5, 15]), "await x+ (a); await x+  [b]");
    }

    #[test]
    fn only_what_could_follow_a_variable_is_probed() {
        assert!(["(x)", " [x]", "", "\nx", " /x/", " in x", "`x`"].iter().all(|rest| may_be_a_name(rest)));
        assert!([" x", " using y", " index"].iter().all(|rest| !may_be_a_name(rest)));
    }

    #[test]
    fn an_expression_ends_before_a_semicolon_with_comments() {
        let ends = |source: &'static str| ends_before_comments(source).map(|end| &source[..end]).collect::<Vec<_>>();
        assert_eq!(ends("a; // b")[0], "a");
        assert_eq!(ends("a; /* b */;\n// c; d\n")[0], "a");
        assert_eq!(ends("f('; // '); // c"), ["f('", "f('; // ')"]);
        assert!(ends("a; b").is_empty());
        assert!(ends("a; /* b").is_empty());
        assert_eq!(ends_before_comments(&";/**/".repeat(100_000)).take(MOST_ENDS).count(), MOST_ENDS);
        assert_eq!(ends_before_comments(&format!("{}x", ";/**/".repeat(100_000))).count(), 0);
    }
}
