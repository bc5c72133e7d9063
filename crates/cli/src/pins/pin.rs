//! One pinned definition.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use super::canonical;

/// What is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
}

impl Kind {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
        }
    }

    /// The members that decide how a model or a client uses it. Others (icons, `_meta`) may change freely.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Tool => &[
                "annotations",
                "description",
                "inputSchema",
                "name",
                "outputSchema",
                "title",
            ],
            Self::Prompt => &["arguments", "description", "name", "title"],
        }
    }
}

/// What a definition was: its pinned members, and their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// `sha256:` and 64 hexadecimal digits over the canonical text of `definition`.
    pub(crate) hash: String,
    pub(crate) definition: Value,
}

impl Pin {
    /// The pin of a definition as a server lists it.
    ///
    /// # Errors
    /// The text is no JSON object, or nested deeper than 127 levels.
    pub(crate) fn of(kind: Kind, raw: &str) -> Result<Self, String> {
        let all: Map<String, Value> = serde_json::from_str(raw).map_err(|e| e.to_string())?;
        let pinned = all
            .into_iter()
            .filter(|(key, _)| kind.members().contains(&key.as_str()));
        Ok(Self::new(Value::Object(pinned.collect())))
    }

    pub(crate) fn new(definition: Value) -> Self {
        Self {
            hash: hash(&canonical::text(&definition)),
            definition,
        }
    }

    /// `sha256:` and 64 hexadecimal digits.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }
}

fn hash(text: &str) -> String {
    let mut shown = String::with_capacity(71);
    shown.push_str("sha256:");
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}
