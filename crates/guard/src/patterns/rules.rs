//! The rules as data. Each class has its file; the order here is the order in which rules are tried.

mod gate;
mod injection;
mod markup;
mod place;
mod shell;
mod sql;

use std::sync::{LazyLock, OnceLock};

use regex::bytes::{Regex, RegexBuilder};

pub(super) use gate::GATE;

use super::check::Subject;
use super::field::FieldKind;
use super::{Action, Class, Severity};

/// A pattern rule.
#[derive(Debug)]
pub struct Rule {
    /// Stable: `pattern.CLASS.NAME`. Appears in errors, logs, audit records and configuration.
    pub id: &'static str,
    pub class: Class,
    pub severity: Severity,
    /// One sentence: what the rule catches.
    pub catches: &'static str,
    /// Kinds of fields, as a set of bits, in which a match blocks by default.
    pub(super) block: u16,
    /// Kinds in which a match is flagged by default.
    pub(super) flag: u16,
    /// Classes of bytes ([`super::look`]): without one of these no match is possible,
    pub(super) any: u32,
    /// nor without one of these.
    pub(super) also: u32,
    /// Lower-case literals of at least four bytes, of which the first four are looked for: without one of them no match is
    /// possible. Empty: the test is cheap enough to run at once.
    pub(super) literals: &'static [&'static str],
    pub(super) test: Test,
}

#[derive(Debug)]
pub(super) enum Test {
    /// Over lower-case text, both as it is and in normal form. `~` stands for white space of SQL and URLs, at least one.
    Regex(&'static str),
    Check(fn(&Subject<'_>) -> bool),
}

impl Rule {
    /// What the rule does by default in fields of a kind.
    #[must_use]
    pub fn action(&self, kind: FieldKind) -> Action {
        if self.block & kind.bit() != 0 {
            Action::Block
        } else if self.flag & kind.bit() != 0 {
            Action::Flag
        } else {
            Action::Off
        }
    }
}

// Sets of kinds.
pub(super) const PATH: u16 = FieldKind::Path.bit();
pub(super) const COMMAND: u16 = FieldKind::Command.bit();
pub(super) const SHELL: u16 = FieldKind::Shell.bit();
pub(super) const URL: u16 = FieldKind::Url.bit();
pub(super) const QUERY: u16 = FieldKind::Query.bit();
pub(super) const SQL: u16 = FieldKind::Sql.bit();
pub(super) const HEADER: u16 = FieldKind::Header.bit();
pub(super) const NAME: u16 = FieldKind::Name.bit();
pub(super) const TEXT: u16 = FieldKind::Text.bit();
pub(super) const CONTENT: u16 = FieldKind::Content.bit();
pub(super) const DATA: u16 = FieldKind::Data.bit();
pub(super) const KEY: u16 = FieldKind::Key.bit();
/// Short values that stand for one thing each.
pub(super) const SHORT: u16 = PATH | COMMAND | URL | QUERY | HEADER | NAME | KEY;
/// Where code is code: files, programs, command lines and statements.
pub(super) const CODE: u16 = CONTENT | DATA | SHELL | SQL;
pub(super) const EVERYWHERE: u16 = SHORT | CODE | TEXT;

static SETS: [&[Rule]; 5] = [
    markup::RULES,
    sql::RULES,
    shell::RULES,
    place::RULES,
    injection::RULES,
];

/// All rules. Made once: they depend on nothing.
pub(super) static ALL: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    SETS.iter()
        .copied()
        .flatten()
        .map(|rule| Compiled {
            rule,
            regex: OnceLock::new(),
        })
        .collect()
});

/// A rule with its test, which is compiled when a string first needs it: most never are, and all of them together would take a
/// third of the time to start and most of a megabyte.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) rule: &'static Rule,
    regex: OnceLock<Option<Regex>>,
}

impl Compiled {
    pub(super) fn matches(&self, subject: &Subject<'_>) -> bool {
        match &self.rule.test {
            Test::Check(check) => check(subject),
            Test::Regex(source) => self
                .regex
                .get_or_init(|| compile(source))
                .as_ref()
                .is_some_and(|regex| regex.is_match(subject.text)),
        }
    }
}

/// Bytes and not characters: the rules name ASCII only, and this is what makes the automata small.
pub(super) fn compile(source: &str) -> Option<Regex> {
    let source = source.replace('~', r"(?:[\s+\x0b]+)");
    RegexBuilder::new(&source)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .ok()
}

/// Every rule, in the order in which they are tried.
pub fn rules() -> impl ExactSizeIterator<Item = &'static Rule> {
    ALL.iter().map(|compiled| compiled.rule)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::look::UNDERSCORE;
    use super::{ALL, Test};

    #[test]
    fn rules_are_sound() {
        assert!(ALL.len() <= 64, "sets of rules are 64 bits");
        let mut ids = HashSet::new();
        for compiled in ALL.iter() {
            let rule = compiled.rule;
            assert!(ids.insert(rule.id), "{} twice", rule.id);
            assert!(
                rule.id.starts_with(&format!("pattern.{}.", rule.class)),
                "{}",
                rule.id
            );
            assert!(
                rule.catches.ends_with('.') && rule.catches.len() > 20,
                "{}",
                rule.id
            );
            assert_eq!(rule.block & rule.flag, 0, "{}: both actions in one kind", rule.id);
            assert_ne!(rule.block | rule.flag, 0, "{}: never on", rule.id);
            assert!(rule.any != 0 && rule.also != 0, "{}", rule.id);
            // What the walk over the strings takes for granted.
            let names = rule.any & rule.also & UNDERSCORE != 0;
            assert_eq!(names, rule.id == "pattern.nosql.prototype", "{}", rule.id);
            assert!(
                match rule.test {
                    Test::Regex(source) => super::compile(source).is_some(),
                    Test::Check(_) => true,
                },
                "{}: the regular expression does not compile",
                rule.id
            );
            assert!(
                rule.literals
                    .iter()
                    .all(|literal| literal.len() >= 4 && !literal.chars().any(char::is_uppercase))
            );
        }
    }
}
