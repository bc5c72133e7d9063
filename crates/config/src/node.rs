//! The tree that both the YAML and the JSON reader build: untyped, with the place of every part.

use std::sync::Arc;

use crate::source::Span;

/// One value of the file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands; for a YAML alias, where the alias stands.
    pub(crate) span: Span,
    /// Shared between the anchor and its aliases.
    pub(crate) data: Arc<Data>,
    /// Nodes in this tree with aliases expanded, itself included.
    pub(crate) size: usize,
}

#[derive(Debug)]
pub(crate) enum Data {
    Scalar(Scalar),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written without quotes (and not as a block scalar): may mean a number, a boolean or nothing.
    pub(crate) plain: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What an unquoted scalar means under the YAML 1.2 core schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Number,
    Text,
}

impl Node {
    pub(crate) fn scalar(span: Span, text: String, plain: bool) -> Self {
        Self {
            span,
            data: Arc::new(Data::Scalar(Scalar { text, plain })),
            size: 1,
        }
    }

    /// The value under `key`, when this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &*self.data {
            Data::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// A noun for error messages that never contains the value itself.
    pub(crate) fn noun(&self) -> &'static str {
        match &*self.data {
            Data::Seq(_) => "a list",
            Data::Map(_) => "a mapping",
            Data::Scalar(s) => match s.meaning() {
                Meaning::Null => "nothing (null)",
                Meaning::Bool(_) => "a boolean",
                Meaning::Number => "a number",
                Meaning::Text => "a string",
            },
        }
    }
}

impl Scalar {
    pub(crate) fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
            "true" | "True" | "TRUE" => Meaning::Bool(true),
            "false" | "False" | "FALSE" => Meaning::Bool(false),
            text if is_number(text) => Meaning::Number,
            _ => Meaning::Text,
        }
    }
}

/// YAML 1.2 core schema, section 10.3.2: decimal, octal, hexadecimal, floating point, infinity, not-a-number.
fn is_number(text: &str) -> bool {
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| matches!(b, b'0'..=b'7'));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}
