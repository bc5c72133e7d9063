//! What changed between two states.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::canonical;
use super::file::{Pins, ServerPins, escaped, quoted};
use super::pin::{Kind, Pin};

/// Most lines of one difference, and most characters of one value in it.
const MAX_LINES: usize = 40;
const MAX_SHOWN: usize = 400;

/// One difference between what is locked and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Server id.
    pub(crate) server: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// The server's own name for it.
    pub(crate) name: String,
    /// What happened.
    pub(crate) what: What,
}

/// What happened to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It is there, and was not locked.
    Added,
    /// It was locked, and is not there.
    Removed,
    /// It differs: lines that begin with `-` (locked) or `+` (there now), each with a JSON pointer.
    Changed(String),
}

impl What {
    /// The word for it.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed(_) => "changed",
        }
    }
}

impl Pins {
    /// What differs in `found`, sorted by server, kind and name.
    pub(crate) fn changes(&self, found: &Self) -> Vec<Change> {
        let nothing = ServerPins::default();
        let servers: BTreeSet<_> = self.servers.keys().chain(found.servers.keys()).collect();
        let mut changes = Vec::new();
        for server in servers {
            let locked = self.servers.get(server).unwrap_or(&nothing);
            let there = found.servers.get(server).unwrap_or(&nothing);
            for kind in [Kind::Tool, Kind::Prompt] {
                for (name, what) in compare(locked.of(kind), there.of(kind)) {
                    changes.push(Change {
                        server: server.clone(),
                        kind,
                        name,
                        what,
                    });
                }
            }
        }
        changes
    }

    /// Takes one change over from `found`.
    pub(crate) fn accept(&mut self, change: &Change, found: &Self) {
        let server = self.servers.entry(change.server.clone()).or_default();
        let pins = server.of_mut(change.kind);
        match found.get(&change.server, change.kind, &change.name) {
            Some(pin) => {
                pins.insert(change.name.clone(), pin.clone());
            }
            None => {
                pins.remove(&change.name);
            }
        }
        if server.tools.is_empty() && server.prompts.is_empty() {
            self.servers.remove(&change.server);
        }
    }
}

fn compare(locked: &BTreeMap<String, Pin>, there: &BTreeMap<String, Pin>) -> Vec<(String, What)> {
    let names: BTreeSet<_> = locked.keys().chain(there.keys()).collect();
    let mut made = Vec::new();
    for name in names {
        let what = match (locked.get(name), there.get(name)) {
            (Some(locked), Some(there)) if locked.hash == there.hash => continue,
            (Some(locked), Some(there)) => What::Changed(locked.difference(there)),
            (Some(_), None) => What::Removed,
            (None, _) => What::Added,
        };
        made.push((name.clone(), what));
    }
    made
}

impl Pin {
    /// The difference between a locked definition and another: at most 40 lines, long values cut, nothing in it that does
    /// not print.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        walk("", Some(&self.definition), Some(&other.definition), &mut lines);
        let more = lines.len().saturating_sub(MAX_LINES);
        lines.truncate(MAX_LINES);
        if more > 0 {
            lines.push(format!("  and {more} more lines"));
        }
        lines.join("\n")
    }
}

fn walk(pointer: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<String>) {
    match (before, after) {
        (Some(before), Some(after)) if canonical::text(before) == canonical::text(after) => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let step = key.replace('~', "~0").replace('/', "~1");
                walk(
                    &format!("{pointer}/{step}"),
                    before.get(key),
                    after.get(key),
                    lines,
                );
            }
        }
        _ => {
            // Long texts are shown from where they part.
            let same = match (before.and_then(Value::as_str), after.and_then(Value::as_str)) {
                (Some(a), Some(b)) => a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count(),
                _ => 0,
            };
            let from = if same > MAX_SHOWN / 2 { same - 40 } else { 0 };
            for (sign, value) in [('-', before), ('+', after)] {
                if let Some(value) = value {
                    let pointer = quoted(pointer);
                    lines.push(format!(
                        "{sign} {}: {}",
                        pointer.trim_matches('"'),
                        shown(value, from)
                    ));
                }
            }
        }
    }
}

fn shown(value: &Value, from: usize) -> String {
    let text = match value {
        Value::String(text) if from > 0 => {
            quoted(&format!("...{}", text.chars().skip(from).collect::<String>()))
        }
        Value::String(text) => quoted(text),
        // What does not print stands in strings, where it can be escaped.
        other => escaped(&canonical::text(other)),
    };
    if text.chars().count() <= MAX_SHOWN {
        return text;
    }
    let cut: String = text.chars().take(MAX_SHOWN).collect();
    format!("{cut}... ({} bytes)", text.len())
}
