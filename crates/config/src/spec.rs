//! What a description of a setting consists of. The settings themselves are in `settings`.

use std::time::Duration;

use crate::text::{Form, KeyForm};

#[derive(Debug)]
pub(crate) enum Kind {
    Bool,
    /// One of a few words.
    Choice(&'static [Choice]),
    Duration {
        min: Duration,
        max: Duration,
    },
    /// A number of bytes.
    Size {
        min: u64,
        max: u64,
    },
    Count {
        min: u64,
        max: u64,
    },
    /// So many in so much time: `100/s`.
    Rate {
        max: u64,
        max_per: Duration,
    },
    /// So many bytes in so much time: `10MiB/h`.
    ByteRate {
        max: u64,
        max_per: Duration,
    },
    Text(Form),
    /// One item by itself, or a list of 1 to `max`.
    OneOrMore {
        item: &'static Kind,
        max: usize,
    },
    /// A list of 1 to `max` items (0 to `max` where empty says something).
    List {
        item: &'static Kind,
        may_be_empty: bool,
        max: usize,
    },
    /// A mapping with keys of the user's choice.
    Table {
        key: KeyForm,
        item: &'static Kind,
        max: usize,
    },
    Object(&'static Object),
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) word: &'static str,
    /// The word is known but not accepted; why, and what to do instead.
    pub(crate) refused: Option<&'static str>,
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) fields: &'static [Field],
    pub(crate) later: &'static [Later],
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// What holds without the key: YAML where it is a value, words otherwise.
    pub(crate) default: Absent,
    pub(crate) doc: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Absent {
    Value(&'static str),
    Words(&'static str),
    /// A group of settings, each with a default of its own.
    Group,
    /// The mapping that the key belongs to must have it.
    Required,
}

/// A setting of the design that this version does not have. Refused, so that nobody relies on it.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) key: &'static str,
    pub(crate) hint: &'static str,
}

impl Object {
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.key == key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.fields.iter().map(|f| f.key)
    }
}
