//! Text that may be a secret: readable only on purpose, never by accident of a log line.

use std::fmt;

/// Text that came from `env`, `headers` or `args`, or out of an interpolation.
///
/// `Debug` and `Display` never show the text itself; [`Secret::expose`] is the one way to it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret {
    value: Box<str>,
    shown: Shown,
}

/// What may be printed in place of the text.
#[derive(Clone, PartialEq, Eq, Default)]
enum Shown {
    #[default]
    Nothing,
    /// The text as the file spells it, `${NAME}` references unresolved.
    AsWritten(Box<str>),
}

impl Secret {
    /// A secret that prints as `[redacted]`.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self {
            value: value.into(),
            shown: Shown::Nothing,
        }
    }

    /// A text whose spelling in the file may be printed (`--token=${TOKEN}`), but not what the references resolved to.
    pub(crate) fn with_spelling(value: impl Into<Box<str>>, spelling: impl Into<Box<str>>) -> Self {
        Self {
            value: value.into(),
            shown: Shown::AsWritten(spelling.into()),
        }
    }

    /// The text itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Shown::Nothing => f.write_str("[redacted]"),
            Shown::AsWritten(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Shown::Nothing => f.write_str("[redacted]"),
            Shown::AsWritten(text) => write!(f, "{text:?}"),
        }
    }
}
