//! YAML text for an import: always readable by our own reader as exactly the strings that went in.

use crate::json_text::write_string;
use crate::node::{Data, Node, Scalar};

/// A server, ready to be written.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) id: String,
    /// Lines above the entry.
    pub(super) comments: Vec<String>,
    pub(super) fields: Vec<(&'static str, Field)>,
}

#[derive(PartialEq)]
pub(super) enum Field {
    Text(String),
    Flag(bool),
    List(Vec<String>),
    Table(Vec<(String, String)>),
}

impl Entry {
    /// Whether both mean the same server, whatever is said about them. The order of variables and headers means nothing.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        let same = |a: &Field, b: &Field| match (a, b) {
            (Field::Table(a), Field::Table(b)) => a.len() == b.len() && a.iter().all(|one| b.contains(one)),
            _ => a == b,
        };
        self.fields.len() == other.fields.len()
            && self
                .fields
                .iter()
                .zip(&other.fields)
                .all(|((key, a), (other, b))| key == other && same(a, b))
    }

    /// Marks the server as one that is not started.
    pub(super) fn disable(&mut self) {
        if !self.fields.iter().any(|(key, _)| *key == "disabled") {
            self.fields.insert(0, ("disabled", Field::Flag(true)));
        }
    }

    /// All texts in which references may stand.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().flat_map(|(_, field)| match field {
            Field::Text(text) => vec![text.as_str()],
            Field::Flag(_) => Vec::new(),
            Field::List(items) => items.iter().map(String::as_str).collect(),
            Field::Table(entries) => entries.iter().map(|(_, value)| value.as_str()).collect(),
        })
    }
}

pub(super) fn document(head: &[String], entries: &[Entry]) -> String {
    let mut out = String::new();
    comments(&mut out, "", head);
    if entries.is_empty() {
        out.push_str("servers: {}\n");
        return out;
    }
    out.push_str("servers:\n");
    for entry in entries {
        comments(&mut out, "  ", &entry.comments);
        out.push_str("  ");
        string(&mut out, &entry.id);
        out.push_str(":\n");
        for (key, field) in &entry.fields {
            out.push_str("    ");
            out.push_str(key);
            out.push(':');
            self::field(&mut out, field);
        }
    }
    out
}

fn field(out: &mut String, field: &Field) {
    match field {
        Field::Text(text) => {
            out.push(' ');
            string(out, text);
            out.push('\n');
        }
        Field::Flag(value) => out.push_str(if *value { " true\n" } else { " false\n" }),
        Field::List(items) => {
            out.push_str(" [");
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                string(out, item);
            }
            out.push_str("]\n");
        }
        Field::Table(entries) => {
            out.push('\n');
            for (key, value) in entries {
                out.push_str("      ");
                string(out, key);
                out.push_str(": ");
                string(out, value);
                out.push('\n');
            }
        }
    }
}

/// A comment is one line, whatever is in it.
fn comments(out: &mut String, indent: &str, lines: &[String]) {
    for line in lines {
        out.push_str(indent);
        out.push_str("# ");
        out.extend(line.chars().map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}') {
                ' '
            } else {
                c
            }
        }));
        out.push('\n');
    }
}

/// Without quotes only where no reader of any YAML version takes it for something else.
fn string(out: &mut String, text: &str) {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let plain = starts_well
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'@'));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if plain && !word {
        out.push_str(text);
    } else {
        write_string(out, text);
    }
}

/// A value of the source in one line, for a comment. `None` when it is long.
pub(super) fn compact(node: &Node) -> Option<String> {
    fn write(out: &mut String, node: &Node) -> Option<()> {
        match &*node.data {
            Data::Scalar(Scalar { text, plain: true }) => out.push_str(text),
            Data::Scalar(Scalar { text, plain: false }) => write_string(out, text),
            Data::Seq(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write(out, item)?;
                }
                out.push(']');
            }
            Data::Map(entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { ", " } else { "" });
                    write_string(out, &entry.key);
                    out.push_str(": ");
                    write(out, &entry.value)?;
                }
                out.push('}');
            }
        }
        (out.len() <= 500).then_some(())
    }
    let mut out = String::new();
    write(&mut out, node).map(|()| out)
}
