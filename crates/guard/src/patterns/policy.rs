//! Which rules act where: plain data, compiled once.

use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use super::field::{FieldKind, Purpose};
use super::look::CLASSES;
use super::rules::{ALL, Rule};
use super::{Action, Class, Severity};

/// Scopes of one policy.
pub const MAX_SCOPES: usize = 64;
/// Longest glob of a scope, in bytes.
const GLOB_BYTES: usize = 256;
const KINDS: usize = FieldKind::ALL.len();

/// A choice of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    All,
    Class(Class),
    Severity(Severity),
    /// By id, as in `pattern.sql.tautology`.
    Rule(String),
}

/// Says what rules do in some fields of some tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Glob over the tool's name: `*` any run of characters, `?` one, all else itself. Case counts.
    pub tool: String,
    /// Glob over the name of the field. It holds for all that is inside the field, too; `*` also for what is in none.
    pub field: String,
    pub select: Select,
    /// Taken whatever the kind of the field is.
    pub action: Action,
}

/// A policy as data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternConfig {
    /// The strongest action of any rule: with [`Action::Flag`], what would block is flagged; with [`Action::Off`] nothing is
    /// looked for. Default [`Action::Block`].
    pub strongest: Action,
    /// What rules do in the kinds of fields where they are on by default; later entries win. Default none.
    pub actions: Vec<(Select, Action)>,
    /// Applied on top, in order; later ones win. At most [`MAX_SCOPES`]. By default the operators of document databases are
    /// allowed in fields that are queries (`filter`, `query`, `pipeline`, `where`, `selector`, `update`, `match`).
    pub scopes: Vec<Scope>,
    /// Findings that one check reports, 1 to 1,000. Default 16.
    pub max_findings: usize,
}

impl Default for PatternConfig {
    fn default() -> Self {
        let queries = [
            "filter*",
            "quer*",
            "pipeline",
            "where",
            "selector",
            "update*",
            "match",
            "aggregat*",
        ];
        Self {
            strongest: Action::Block,
            actions: Vec::new(),
            scopes: queries
                .into_iter()
                .map(|field| Scope {
                    tool: "*".to_owned(),
                    field: field.to_owned(),
                    select: Select::Rule("pattern.nosql.operator".to_owned()),
                    action: Action::Off,
                })
                .collect(),
            max_findings: 16,
        }
    }
}

/// Why a policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("there is no pattern rule {rule:?}; the rules are listed in the validation reference")]
    UnknownRule { rule: String },
    #[error("more than {MAX_SCOPES} scopes of pattern rules; merge some with globs")]
    TooManyScopes,
    #[error(
        "scope {scope} (from 0) of the pattern rules has a glob that is empty or over {GLOB_BYTES} bytes"
    )]
    Glob { scope: usize },
    #[error("max_findings is {found}; it must be from 1 to 1000")]
    MaxFindings { found: usize },
}

/// Sets of rules, as bits in the order of [`super::rules()`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Acting {
    pub(super) block: u64,
    pub(super) flag: u64,
}

impl Acting {
    fn set(&mut self, rules: u64, action: Action) {
        self.block &= !rules;
        self.flag &= !rules;
        match action {
            Action::Off => {}
            Action::Flag => self.flag |= rules,
            Action::Block => self.block |= rules,
        }
    }

    fn cap(self, strongest: Action) -> Self {
        match strongest {
            Action::Off => Self::default(),
            Action::Flag => Self {
                block: 0,
                flag: self.block | self.flag,
            },
            Action::Block => self,
        }
    }

    pub(super) fn any(self) -> u64 {
        self.block | self.flag
    }
}

#[derive(Debug)]
struct Inner {
    base: [Acting; KINDS],
    scopes: Vec<(u64, Action)>,
    /// Scopes that hold for every tool, and those that hold for every field.
    every_tool: u64,
    every_field: u64,
    tools: Vec<Glob>,
    fields: Vec<Glob>,
    strongest: Action,
    max_findings: usize,
    /// For each class of bytes, the rules that it satisfies in the first and second condition.
    by_class: [(u64, u64); CLASSES],
}

/// A compiled policy. Cheap to clone. A tenant with rules of its own has a policy of its own.
#[derive(Clone, Debug)]
pub struct PatternPolicy {
    inner: Arc<Inner>,
}

impl PatternPolicy {
    /// # Errors
    /// The first thing in `config` that is unknown or out of bounds.
    pub fn compile(config: &PatternConfig) -> Result<Self, PolicyError> {
        if config.scopes.len() > MAX_SCOPES {
            return Err(PolicyError::TooManyScopes);
        }
        if !(1..=1000).contains(&config.max_findings) {
            return Err(PolicyError::MaxFindings {
                found: config.max_findings,
            });
        }
        let mut base = [Acting::default(); KINDS];
        for kind in FieldKind::ALL {
            let acting = &mut base[kind as usize];
            for (at, compiled) in ALL.iter().enumerate() {
                acting.set(1 << at, compiled.rule.action(kind));
            }
            for (select, action) in &config.actions {
                acting.set(chosen(select)? & acting.any(), *action);
            }
        }
        let mut scopes = Vec::with_capacity(config.scopes.len());
        let (mut every_tool, mut every_field) = (0, 0);
        for (at, scope) in config.scopes.iter().enumerate() {
            if [&scope.tool, &scope.field]
                .iter()
                .any(|glob| glob.is_empty() || glob.len() > GLOB_BYTES)
            {
                return Err(PolicyError::Glob { scope: at });
            }
            every_tool |= u64::from(scope.tool == "*") << at;
            every_field |= u64::from(scope.field == "*") << at;
            scopes.push((chosen(&scope.select)?, scope.action));
        }
        let mut by_class = [(0, 0); CLASSES];
        for (at, compiled) in ALL.iter().enumerate() {
            for (class, (any, also)) in by_class.iter_mut().enumerate() {
                *any |= u64::from(compiled.rule.any >> class & 1) << at;
                *also |= u64::from(compiled.rule.also >> class & 1) << at;
            }
        }
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                scopes,
                every_tool,
                every_field,
                tools: globs(config.scopes.iter().map(|scope| &scope.tool))?,
                fields: globs(config.scopes.iter().map(|scope| &scope.field))?,
                strongest: config.strongest,
                max_findings: config.max_findings,
                by_class,
            }),
        })
    }

    /// The policy for one tool. Costs a few hundred nanoseconds; keep it where the tool is called often.
    #[must_use]
    pub fn tool(&self, name: &str) -> ToolPatterns {
        let inner = &self.inner;
        let all = u64::MAX.checked_shr(64 - inner.scopes.len() as u32).unwrap_or(0);
        let scopes = if inner.every_tool == all {
            all
        } else {
            bits(&inner.tools, name.as_bytes())
        };
        let mut tool = ToolPatterns {
            inner: Arc::clone(inner),
            purpose: Purpose::of(name),
            scopes,
            table: [Acting::default(); KINDS],
            watched: 0,
        };
        for kind in FieldKind::ALL {
            tool.table[kind as usize] = tool.scoped(kind, 0);
            tool.watched |= tool.table[kind as usize].any();
        }
        for (at, (rules, action)) in inner.scopes.iter().enumerate() {
            if scopes >> at & 1 == 1 && *action != Action::Off && inner.strongest != Action::Off {
                tool.watched |= rules;
            }
        }
        tool
    }
}

/// A compiled policy as it acts on one tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ToolPatterns {
    inner: Arc<Inner>,
    purpose: Purpose,
    /// The scopes whose tool this is.
    scopes: u64,
    /// By kind of field, where no scope for single fields holds.
    table: [Acting; KINDS],
    /// Rules that act in any field.
    watched: u64,
}

impl ToolPatterns {
    pub(super) fn max_findings(&self) -> usize {
        self.inner.max_findings
    }

    /// The strongest action that any rule may take.
    pub(crate) fn strongest(&self) -> Action {
        self.inner.strongest
    }

    pub(super) fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The watched rules that a string with these classes of bytes can match.
    #[inline]
    pub(super) fn candidates(&self, classes: u32) -> u64 {
        let mut left = classes;
        let (mut any, mut also) = (0, 0);
        while left != 0 {
            let (first, second) = self.inner.by_class[left.trailing_zeros() as usize % CLASSES];
            any |= first;
            also |= second;
            left &= left - 1;
        }
        any & also & self.watched
    }

    /// The scopes that hold inside a field of this name.
    pub(super) fn field_scopes(&self, name: &[u8]) -> u64 {
        if self.scopes & !self.inner.every_field == 0 {
            return 0;
        }
        bits(&self.inner.fields, name) & self.scopes & !self.inner.every_field
    }

    #[inline]
    pub(super) fn acting(&self, kind: FieldKind, scopes: u64) -> Acting {
        if scopes == 0 {
            self.table[kind as usize]
        } else {
            self.scoped(kind, scopes)
        }
    }

    fn scoped(&self, kind: FieldKind, scopes: u64) -> Acting {
        let inner = &self.inner;
        let mut acting = inner.base[kind as usize];
        let mut left = (scopes | inner.every_field) & self.scopes;
        while left != 0 {
            if let Some((rules, action)) = inner.scopes.get(left.trailing_zeros() as usize) {
                acting.set(*rules, *action);
            }
            left &= left - 1;
        }
        acting.cap(inner.strongest)
    }
}

fn chosen(select: &Select) -> Result<u64, PolicyError> {
    let wanted = |rule: &Rule| match select {
        Select::All => true,
        Select::Class(class) => rule.class == *class,
        Select::Severity(severity) => rule.severity == *severity,
        Select::Rule(id) => rule.id == id,
    };
    let rules = ALL
        .iter()
        .enumerate()
        .filter(|(_, compiled)| wanted(compiled.rule))
        .fold(0, |set, (at, _)| set | 1 << at);
    match select {
        Select::Rule(id) if rules == 0 => Err(PolicyError::UnknownRule { rule: id.clone() }),
        _ => Ok(rules),
    }
}

/// A compiled glob.
#[derive(Debug)]
enum Glob {
    Exact(Vec<u8>),
    /// The glob ends in its only star.
    Prefix(Vec<u8>),
    Other(Regex),
}

impl Glob {
    fn compile(glob: &str) -> Option<Self> {
        let plain = |text: &str| !text.contains(['*', '?']);
        if plain(glob) {
            return Some(Self::Exact(glob.as_bytes().to_vec()));
        }
        if let Some(prefix) = glob.strip_suffix('*').filter(|prefix| plain(prefix)) {
            return Some(Self::Prefix(prefix.as_bytes().to_vec()));
        }
        let inside = regex::escape(glob).replace(r"\*", ".*").replace(r"\?", ".");
        RegexBuilder::new(&format!("^(?:{inside})$"))
            .dot_matches_new_line(true)
            .build()
            .ok()
            .map(Self::Other)
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Other(regex) => regex.is_match(text),
        }
    }
}

fn globs<'a>(globs: impl Iterator<Item = &'a String>) -> Result<Vec<Glob>, PolicyError> {
    globs
        .enumerate()
        .map(|(scope, glob)| Glob::compile(glob).ok_or(PolicyError::Glob { scope }))
        .collect()
}

/// The globs that match, as bits.
fn bits(globs: &[Glob], text: &[u8]) -> u64 {
    globs
        .iter()
        .enumerate()
        .fold(0, |bits, (at, glob)| bits | u64::from(glob.matches(text)) << at)
}
