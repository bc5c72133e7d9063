//! Checked values, before the rules that span several keys.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{ByteRate, Rate};
use crate::source::Span;
use crate::text::Parsed;

/// A value that passed its kind.
#[derive(Debug)]
pub(crate) enum Value {
    Bool(bool),
    Word(&'static str),
    Duration(Duration),
    Number(u64),
    /// Without a burst.
    Rate(Rate),
    ByteRate(ByteRate),
    Text(Text),
    List(Vec<Value>),
    Table(Vec<(String, Checked)>),
    Object(Fields),
}

#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) parsed: Parsed,
    /// The text as the file spells it.
    pub(crate) spelling: String,
    pub(crate) interpolated: bool,
}

/// A value, or the fact that one was there but wrong.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Of the key, where there is one.
    pub(crate) span: Span,
    pub(crate) value: Option<Value>,
}

/// The keys of an object that the file sets.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) path: String,
    pub(crate) span: Span,
    pub(crate) fields: Vec<(&'static str, Checked)>,
}

impl Fields {
    fn take(&mut self, key: &str) -> Option<Value> {
        self.fields
            .iter_mut()
            .find(|(k, _)| *k == key)
            .and_then(|(_, checked)| checked.value.take())
    }

    /// Where the key stands, if the file sets it, rightly or wrongly.
    pub(crate) fn span(&self, key: &str) -> Option<Span> {
        self.fields
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, checked)| checked.span.clone())
    }

    pub(crate) fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.take(key) {
            Some(Value::Bool(value)) => value,
            _ => default,
        }
    }

    pub(crate) fn word(&mut self, key: &str) -> Option<&'static str> {
        match self.take(key) {
            Some(Value::Word(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn duration(&mut self, key: &str) -> Option<Duration> {
        match self.take(key) {
            Some(Value::Duration(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn number(&mut self, key: &str) -> Option<u64> {
        match self.take(key) {
            Some(Value::Number(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn rate(&mut self, key: &str) -> Option<Rate> {
        match self.take(key) {
            Some(Value::Rate(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn byte_rate(&mut self, key: &str) -> Option<ByteRate> {
        match self.take(key) {
            Some(Value::ByteRate(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn list(&mut self, key: &str) -> Option<Vec<Value>> {
        match self.take(key) {
            Some(Value::List(items)) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn words(&mut self, key: &str) -> Option<Vec<&'static str>> {
        let word = |item| match item {
            Value::Word(word) => Some(word),
            _ => None,
        };
        self.list(key)
            .map(|items| items.into_iter().filter_map(word).collect())
    }

    pub(crate) fn text(&mut self, key: &str) -> Option<Text> {
        match self.take(key) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn string(&mut self, key: &str) -> Option<String> {
        self.text(key).and_then(Text::into_string)
    }

    pub(crate) fn texts(&mut self, key: &str) -> Option<Vec<Text>> {
        match self.take(key) {
            Some(Value::List(items)) => Some(
                items
                    .into_iter()
                    .filter_map(|item| match item {
                        Value::Text(text) => Some(text),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => None,
        }
    }

    pub(crate) fn strings(&mut self, key: &str) -> Option<Vec<String>> {
        self.texts(key)
            .map(|texts| texts.into_iter().filter_map(Text::into_string).collect())
    }

    pub(crate) fn table(&mut self, key: &str) -> Vec<(String, Checked)> {
        match self.take(key) {
            Some(Value::Table(entries)) => entries,
            _ => Vec::new(),
        }
    }

    pub(crate) fn object(&mut self, key: &str) -> Option<Self> {
        match self.take(key) {
            Some(Value::Object(fields)) => Some(fields),
            _ => None,
        }
    }
}

impl Text {
    pub(crate) fn into_string(self) -> Option<String> {
        match self.parsed {
            Parsed::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn into_path(self) -> Option<PathBuf> {
        match self.parsed {
            Parsed::Path(path) => Some(path),
            _ => None,
        }
    }
}
