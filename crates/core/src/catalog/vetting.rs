//! Whether a definition that came from elsewhere may be offered.

use std::fmt;
use std::sync::Arc;

use crate::source::Spec;

/// What is vetted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
}

impl ItemKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
        }
    }
}

/// What is to be done with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Offer it.
    Offer,
    /// Offer it, and tell the operator this.
    Warn(Objection),
    /// Keep it back, and tell the operator this.
    Withhold(Objection),
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Rule id, as in `lock.drift`.
    pub rule: &'static str,
    /// One line for callers. Says nothing of the definition.
    pub message: &'static str,
    /// For the operator: what differs, over several lines.
    pub detail: String,
}

/// Looks at every definition of a foreign source before it is offered, as the source sent it: before names and texts
/// are changed. Asked again only for what is new or changed.
pub trait Vetting: Send + Sync + 'static {
    /// The verdict on one item. Depends on the arguments alone: another opinion is another `Vetting`.
    fn vet(&self, source: &str, kind: ItemKind, spec: &Spec) -> Verdict;
}

/// An item that is kept back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// What it is.
    pub kind: ItemKind,
    /// Name that callers would use.
    pub name: Arc<str>,
    /// Name at the source.
    pub local_name: Arc<str>,
    /// Name of the source.
    pub source: Arc<str>,
    /// Why.
    pub objection: Objection,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} `{}` of server `{}`",
            self.kind.as_str(),
            self.local_name,
            self.source
        )
    }
}
