//! JSON with a chosen order of members, so that generated files are the same whatever features a JSON crate is built with.

use std::fmt::Write as _;

pub(crate) enum Json {
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    /// Adds a member; anything but an object is left as it is.
    pub(crate) fn with(mut self, key: &str, value: Self) -> Self {
        if let Self::Object(members) = &mut self {
            members.push((key.to_owned(), value));
        }
        self
    }

    /// Two spaces a level, a line break at the end.
    pub(crate) fn pretty(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.push('\n');
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => write_string(out, text),
            Self::List(items)
                if items
                    .iter()
                    .all(|i| !matches!(i, Self::List(_) | Self::Object(_))) =>
            {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    item.write(out, indent);
                }
                out.push(']');
            }
            Self::List(items) => block(out, indent, ('[', ']'), items, |out, item| {
                item.write(out, indent + 1);
            }),
            Self::Object(members) => block(out, indent, ('{', '}'), members, |out, (key, value)| {
                write_string(out, key);
                out.push_str(": ");
                value.write(out, indent + 1);
            }),
        }
    }
}

fn block<T>(
    out: &mut String,
    indent: usize,
    brackets: (char, char),
    items: &[T],
    mut each: impl FnMut(&mut String, &T),
) {
    out.push(brackets.0);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(indent + 1));
        each(out, item);
    }
    if !items.is_empty() {
        out.push('\n');
        out.push_str(&"  ".repeat(indent));
    }
    out.push(brackets.1);
}

/// Appends a quoted string that both JSON and YAML read back as `text`. Characters that YAML may not contain as
/// themselves, and those that editors hide, are written as escapes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_awkward(c) => {
                // Below U+10000 only, where one escape is one character in both languages.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_awkward(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}
