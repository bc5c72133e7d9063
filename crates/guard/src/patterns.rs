//! Pattern rules over the strings of a document: what attacks on the software behind a tool look like.
//!
//! A string takes three steps, each for fewer strings than the one before: [`look`] collects the classes of its bytes, and
//! most strings have none that a rule needs; literals then choose the rules worth trying; those run, a hand-written check or a
//! regular expression of linear time, over the string as it is and, where it has escapes or stand-ins, over its normal form.
//! What a rule does depends on the kind of the field ([`FieldKind`]): a script tag in the content of a file is a file.

mod check;
mod field;
mod look;
mod normalise;
mod policy;
mod rules;
mod watch;

use std::fmt;

pub use field::FieldKind;
pub use policy::{MAX_SCOPES, PatternConfig, PatternPolicy, PolicyError, Scope, Select, ToolPatterns};
pub use rules::{Rule, rules};
pub(crate) use watch::Watch;

/// What happens when a rule matches. Ordered from the mildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// The rule is not looked for.
    Off,
    /// The call goes on, and the match is reported.
    Flag,
    /// The call is refused.
    Block,
}

/// How bad it is if a match is an attack and reaches software that is open to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A sign of probing, or of text that deserves a look.
    Low,
    /// Misleads people or reaches data beside what was meant.
    Medium,
    /// Reads or changes data that the caller has no right to.
    High,
    /// Runs code, or hands out credentials.
    Critical,
}

/// What kind of attack a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    Script,
    Sql,
    Nosql,
    Shell,
    Path,
    Template,
    Header,
    Null,
    Ldap,
    Xxe,
    Ssrf,
    Unicode,
}

impl Class {
    pub const ALL: [Self; 12] = [
        Self::Script,
        Self::Sql,
        Self::Nosql,
        Self::Shell,
        Self::Path,
        Self::Template,
        Self::Header,
        Self::Null,
        Self::Ldap,
        Self::Xxe,
        Self::Ssrf,
        Self::Unicode,
    ];

    /// The name that stands in rule ids, as in `pattern.sql.tautology`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Sql => "sql",
            Self::Nosql => "nosql",
            Self::Shell => "shell",
            Self::Path => "path",
            Self::Template => "template",
            Self::Header => "header",
            Self::Null => "null",
            Self::Ldap => "ldap",
            Self::Xxe => "xxe",
            Self::Ssrf => "ssrf",
            Self::Unicode => "unicode",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Flag => "flag",
            Self::Block => "block",
        })
    }
}

/// A rule that matched a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable id of the rule, one of [`rules()`].
    pub rule: &'static str,
    pub class: Class,
    pub severity: Severity,
    /// What the policy makes of it: [`Action::Flag`] or [`Action::Block`].
    pub action: Action,
    /// Whether the string is an object key.
    pub key: bool,
    /// JSON Pointer (RFC 6901) of the string; of the object, for a key. Over 512 bytes it is cut and ends in `…`.
    pub pointer: String,
    /// Offset of the string's opening quote in bytes from the start of the text.
    pub offset: usize,
    /// For people: what the rule catches and what kind of field this is. Holds nothing of the document.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule {}, byte {}", self.message, self.rule, self.offset)?;
        if !self.pointer.is_empty() {
            write!(f, ", at {}", self.pointer)?;
        }
        f.write_str(")")
    }
}
