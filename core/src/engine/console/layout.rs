//! The shape of the text: how strings are quoted, and whether the entries of an object share a line. Knows no engine.
//!
//! The rules are those of Node's `util.inspect`, because that is the output that people, and models, know how to read.

use std::fmt::Write as _;

/// Entries of an object are put on one line only if they nest no deeper than this.
const COMPACT: i32 = 3;
/// Bytes that stand for one byte where text is escaped, at most.
pub(super) const MAX_ESCAPE: usize = 4;
/// Most columns of an array.
const MAX_COLUMNS: usize = 15;

/// An object on its way to becoming text.
pub(super) struct Parts {
    /// What stands before the brackets, such as the stack of an error.
    pub base: String,
    /// The opening bracket with its prefix, such as `Map(2) {`.
    pub open: String,
    pub close: &'static str,
    pub entries: Vec<String>,
    pub columns: Columns,
}

/// Whether many short entries are put in columns.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Columns {
    None,
    /// As text is.
    Left,
    /// As numbers are.
    Right,
}

/// Where the text will stand.
pub(super) struct Place {
    /// Spaces before a new line.
    pub indentation: usize,
    /// Characters that a line should have at most.
    pub break_length: usize,
    /// How much deeper the innermost object goes.
    pub nesting: i32,
    /// Entries above this number end in one that says how many are left out.
    pub max_items: usize,
}

impl Parts {
    /// Puts the entries on one line if they fit, otherwise on lines of their own.
    pub(super) fn join(mut self, place: &Place) -> String {
        let single = self.entries.len();
        if self.columns != Columns::None && single > 6 {
            self.entries = in_columns(self.entries, self.columns, place);
        }
        let mut text = self.base;
        if !text.is_empty() {
            text.push(' ');
        }
        let start = single + place.indentation + self.open.len() + text.len().saturating_sub(1) + 10;
        let fits = place.nesting < COMPACT
            && self.entries.len() == single
            && !text.contains('\n')
            && fit(&self.entries, start, place.break_length);
        text.push_str(&self.open);
        let indent = place.indentation;
        let (before, between, after) = match fits {
            true => (" ".into(), ", ".into(), " ".into()),
            false => (format!("\n{:indent$}  ", ""), format!(",\n{:indent$}  ", ""), format!("\n{:indent$}", "")),
        };
        let mut separator: &str = &before;
        for entry in &self.entries {
            text.push_str(separator);
            text.push_str(entry);
            separator = &between;
        }
        text + &after + self.close
    }
}

fn fit(entries: &[String], start: usize, break_length: usize) -> bool {
    let mut total = entries.len() + start;
    for entry in entries {
        total += width(entry);
        if total > break_length || entry.contains('\n') {
            return false;
        }
    }
    true
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Puts short entries side by side, in about the shape of a square. Gives them back as they are if they are too
/// different in length.
fn in_columns(entries: Vec<String>, columns: Columns, place: &Place) -> Vec<String> {
    const SEPARATOR: usize = 2;
    // The entry that says how many are left out has a line of its own.
    let count = if entries.len() > place.max_items { entries.len() - 1 } else { entries.len() };
    let widths: Vec<usize> = entries[..count].iter().map(|entry| width(entry)).collect();
    let total: usize = widths.iter().map(|width| width + SEPARATOR).sum();
    let longest = widths.iter().copied().max().unwrap_or(0);
    let widest = longest + SEPARATOR;
    let alike = total as f64 / widest as f64 > 5.0 || longest <= 6;
    if !alike || (widest * 3).saturating_add(place.indentation) >= place.break_length {
        return entries;
    }
    let bias = (widest as f64 - total as f64 / entries.len() as f64).sqrt();
    let biased = (widest as f64 - 3.0 - bias).max(1.0);
    // A character is about 2.5 times as high as it is wide.
    let square = ((2.5 * biased * count as f64).sqrt() / biased).round() as usize;
    let per_line =
        square.min((place.break_length - place.indentation) / widest).min(COMPACT as usize * 4).min(MAX_COLUMNS);
    if per_line <= 1 {
        return entries;
    }
    let column_widths: Vec<usize> = (0..per_line)
        .map(|column| widths.iter().skip(column).step_by(per_line).copied().max().unwrap_or(0) + SEPARATOR)
        .collect();
    let mut lines = Vec::with_capacity(count / per_line + 2);
    for (row, row_entries) in entries[..count].chunks(per_line).enumerate() {
        let mut line = String::new();
        for (column, entry) in row_entries.iter().enumerate() {
            let last = column + 1 == row_entries.len();
            let comma = if last { "" } else { ", " };
            let gap = column_widths[column] - SEPARATOR - widths[row * per_line + column];
            let _ = match columns {
                Columns::Right => write!(line, "{:gap$}{entry}{comma}", ""),
                _ if last => write!(line, "{entry}"),
                _ => write!(line, "{entry}{comma}{:gap$}", ""),
            };
        }
        lines.push(line);
    }
    lines.extend(entries.into_iter().skip(count));
    lines
}

/// A string as script would write it: in single quotes, or in those that need no escapes.
pub(super) fn quote(text: &str) -> String {
    let quote = if !text.contains('\'') {
        '\''
    } else if !text.contains('"') {
        '"'
    } else if !text.contains('`') && !text.contains("${") {
        '`'
    } else {
        '\''
    };
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(quote);
    escape_into(&mut quoted, text, quote == '\'');
    quoted.push(quote);
    quoted
}

/// Text without control characters.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    escape_into(&mut escaped, text, true);
    escaped
}

fn escape_into(out: &mut String, text: &str, single_quotes: bool) {
    for character in text.chars() {
        match character {
            '\'' if single_quotes => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            _ if character.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

/// Whether a key needs no quotes.
pub(super) fn is_plain_key(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit())
        && !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What stands for entries that are left out.
pub(super) fn more(count: usize, what: &str, whats: &str) -> String {
    format!("... {count} more {}", if count == 1 { what } else { whats })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { indentation: 0, break_length: 80, nesting: 0, max_items: 100 };

    fn list(entries: &[&str], columns: Columns) -> Parts {
        let entries = entries.iter().map(|entry| entry.to_string()).collect();
        Parts { base: String::new(), open: "[".into(), close: "]", entries, columns }
    }

    #[test]
    fn entries_that_fit_share_a_line() {
        assert_eq!(list(&["1", "'a'"], Columns::Left).join(&PLACE), "[ 1, 'a' ]");
    }

    #[test]
    fn entries_that_do_not_fit_or_have_lines_of_their_own_get_lines_of_their_own() {
        let long = "x".repeat(40);
        let text = list(&[&long, &long], Columns::None).join(&Place { indentation: 2, ..PLACE });
        assert_eq!(text, format!("[\n    {long},\n    {long}\n  ]"));
        assert_eq!(list(&["a\nb"], Columns::None).join(&PLACE), "[\n  a\nb\n]");
    }

    #[test]
    fn deep_nesting_gets_lines_of_its_own() {
        assert_eq!(list(&["1"], Columns::None).join(&Place { nesting: 3, ..PLACE }), "[\n  1\n]");
    }

    #[test]
    fn many_short_entries_stand_in_columns() {
        let numbers: Vec<String> = (0..27).map(|n| (n * n).to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let text = list(&numbers, Columns::Right).join(&PLACE);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "    0,   1,   4,   9,  16,  25,  36,");
        assert_eq!(lines[4], "  441, 484, 529, 576, 625, 676");
    }

    #[test]
    fn quotes_are_those_that_need_no_escapes() {
        let table = [
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("it's \"x\"", "`it's \"x\"`"),
            ("it's \"x\" `y`", "'it\\'s \"x\" `y`'"),
            ("a\n\t\\\u{1b}\u{7f}\u{9f}", "'a\\n\\t\\\\\\x1B\\x7F\\x9F'"),
            ("äöü €", "'äöü €'"),
        ];
        for (text, quoted) in table {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn only_names_are_plain_keys() {
        for (key, plain) in [("a", true), ("_a1", true), ("1", false), ("", false), ("a-b", false), ("ä", false)] {
            assert_eq!(is_plain_key(key), plain, "{key}");
        }
    }
}
