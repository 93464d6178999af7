//! What a submission must look like to be admitted. It is checked on the caller's thread, before any lock is taken.

use crate::config::{ExecutionLimits, PoolConfig};
use crate::error::{Error, Message};
use crate::execution::{ExecutionOptions, TOOL_NAME, is_tool_name};

/// The name of a source that has none.
pub(super) const DEFAULT_FILENAME: &str = "main.js";
/// Bytes that the name of a source may have.
const MAX_FILENAME: usize = 1024;

/// Words that can name no variable: reserved always, in strict code or in modules, and the constants of the global
/// object.
const RESERVED: &[&str] = &[
    "Infinity",
    "NaN",
    "arguments",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Checks a source and its options; `limits` are those that will be in force.
pub(super) fn submission(
    source: &str,
    options: &ExecutionOptions,
    limits: &ExecutionLimits,
    config: &PoolConfig,
) -> Result<(), Error> {
    let limit = config.max_message_size;
    if source.len() as u64 > limit {
        return Err(Error::MessageTooLarge { what: Message::Source, limit });
    }
    limits.validate()?;
    if let Some(name) = &options.filename {
        filename(name)?;
    }
    options.tools.iter().try_for_each(|(name, _)| tool_name(name))?;
    globals(options, limits, limit)
}

fn filename(name: &str) -> Result<(), Error> {
    if name.len() > MAX_FILENAME {
        let problem = format!("has {} bytes; accepted are at most {MAX_FILENAME}", name.len());
        return Err(Error::invalid_argument("filename", problem));
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        let problem = format!("contains {control:?}; accepted is text without control characters");
        return Err(Error::invalid_argument("filename", problem));
    }
    Ok(())
}

fn globals(options: &ExecutionOptions, limits: &ExecutionLimits, max_size: u64) -> Result<(), Error> {
    let mut size = 0u64;
    for (name, value) in &options.globals {
        if !is_identifier(name) {
            let problem = format!(
                "has the name {:?}; accepted are names that match [A-Za-z_$][A-Za-z0-9_$]* and are no reserved word",
                shortened(name)
            );
            return Err(Error::invalid_argument("globals", problem));
        }
        let (bytes, depth) = value.measure();
        if depth > limits.max_value_depth {
            let problem = format!(
                "has {name} with {depth} levels of nesting; max_value_depth accepts {}",
                limits.max_value_depth
            );
            return Err(Error::invalid_argument("globals", problem));
        }
        size = size.saturating_add(name.len() as u64).saturating_add(bytes);
        if size > max_size {
            return Err(Error::MessageTooLarge { what: Message::Globals, limit: max_size });
        }
    }
    let mut names: Vec<&str> = options.globals.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::invalid_argument("globals", format!("has {} twice; give every name once", pair[0]))),
        None => Ok(()),
    }
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'$')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && !RESERVED.contains(&name)
}

/// Checks the name of a tool.
pub(super) fn tool_name(name: &str) -> Result<(), Error> {
    if is_tool_name(name) {
        return Ok(());
    }
    let problem = format!("is {:?}; accepted are names that match {TOOL_NAME}", shortened(name));
    Err(Error::invalid_argument("tool name", problem))
}

/// The start of a text, for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::value::Value;

    fn check(source: &str, options: ExecutionOptions) -> Result<(), Error> {
        let config = PoolConfig { max_message_size: 1024, ..PoolConfig::default() };
        let limits = ExecutionLimits { max_value_depth: 3, ..ExecutionLimits::default() };
        submission(source, &options, &limits, &config)
    }

    fn global(name: &str, value: Value) -> ExecutionOptions {
        ExecutionOptions { globals: vec![(name.into(), value)], ..Default::default() }
    }

    #[test]
    fn the_reserved_words_are_sorted_and_complete() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn defect_13_a_source_is_at_most_as_long_as_a_message() {
        assert!(check(&"x".repeat(1024), Default::default()).is_ok());
        let error = check(&"x".repeat(1025), Default::default()).unwrap_err();
        assert_eq!(error.to_string(), "the source is larger than max_message_size, 1024 bytes");
    }

    #[test]
    fn globals_have_names_that_script_can_say() {
        for name in ["a", "_", "$", "käse", "a1", "of", "async", "tools"] {
            assert_eq!(check("", global(name, Value::Null)).is_ok(), name.is_ascii(), "{name}");
        }
        for name in ["", "1a", "a b", "a-b", "class", "await", "let", "undefined", "a\0", "\u{1d4d0}"] {
            let error = check("", global(name, Value::Null)).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument, "{name:?}");
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn globals_have_each_name_once() {
        let globals = vec![("a".into(), Value::Null), ("b".into(), Value::Null), ("a".into(), Value::Null)];
        let error = check("", ExecutionOptions { globals, ..Default::default() }).unwrap_err();
        assert_eq!(error.to_string(), "globals has a twice; give every name once");
    }

    #[test]
    fn globals_are_limited_in_depth_and_in_size_together() {
        let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::from(vec![inner]));
        assert!(check("", global("a", nested(3))).is_ok());
        assert!(check("", global("a", nested(4))).unwrap_err().to_string().contains("4 levels"));

        let text = |name: &str| (name.to_owned(), Value::from("x".repeat(500)));
        let two = ExecutionOptions { globals: vec![text("a"), text("b")], ..Default::default() };
        assert!(check("", two).is_ok());
        let three = ExecutionOptions { globals: vec![text("a"), text("b"), text("c")], ..Default::default() };
        assert_eq!(check("", three).unwrap_err().status(), Status::MessageTooLarge);
    }

    #[test]
    fn a_filename_is_one_line_of_text() {
        let named = |name: &str| ExecutionOptions { filename: Some(name.into()), ..Default::default() };
        assert!(check("", named("lib/söme file.js")).is_ok());
        for name in ["a\nb", "a\0b", &"x".repeat(1025)] {
            let error = check("", named(name)).unwrap_err();
            assert!(error.to_string().starts_with("filename "), "{error}");
        }
    }

    #[test]
    fn limits_of_an_execution_are_checked() {
        let limits = ExecutionLimits { timeout: std::time::Duration::ZERO, ..Default::default() };
        let error = submission("", &Default::default(), &limits, &PoolConfig::default()).unwrap_err();
        assert!(error.to_string().starts_with("timeout is 0ns"), "{error}");
    }

    #[test]
    fn defect_14_a_tool_name_is_plain() {
        for name in ["a", "_x", "ns:verb", "a.b-c_9", &"x".repeat(256)] {
            assert!(tool_name(name).is_ok(), "{name}");
        }
        for name in ["", "9a", "bad name\0 ../../x", ".a", "ä", &"x".repeat(257)] {
            assert_eq!(tool_name(name).unwrap_err().status(), Status::InvalidArgument, "{name}");
        }
    }
}
