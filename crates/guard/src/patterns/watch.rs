//! Tries the strings of a document against the rules while the scan walks over it.

use std::sync::LazyLock;

use crate::lex::{self, StringToken};
use crate::pointer;
use crate::scan::Observer;
use crate::stack::InlineStack;

use super::check::Subject;
use super::field::FieldKind;
use super::look::{ENCODED, SLASH, STAR, UNDERSCORE, UNICODE, look};
use super::normalise::{drop_sql_comments, has_stand_ins, normalise};
use super::policy::{Acting, ToolPatterns};
use super::rules::{ALL, GATE, Rule};
use super::{Action, Class, Finding};

static SQL_RULES: LazyLock<u64> = LazyLock::new(|| rules_where(|rule| rule.class == Class::Sql));

/// Rules that need two dots in a row, and have no other condition than a dot.
static CLIMBING_RULES: LazyLock<u64> =
    LazyLock::new(|| rules_where(|rule| matches!(rule.id, "pattern.path.traversal" | "pattern.path.parent")));

fn rules_where(wanted: impl Fn(&Rule) -> bool) -> u64 {
    ALL.iter()
        .enumerate()
        .filter(|(_, compiled)| wanted(compiled.rule))
        .fold(0, |set, (at, _)| set | 1 << at)
}

fn has_two_dots(text: &[u8]) -> bool {
    memchr::memchr_iter(b'.', text).any(|at| text.get(at + 1) == Some(&b'.'))
}

/// Containers whose fields are kept without the heap.
const INLINE_LEVELS: usize = 8;

/// Strings up to this length are gated before their field is judged, longer ones after.
const SHORT_BYTES: usize = 128;

/// What holds for the strings of a field.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    kind: FieldKind,
    /// Scopes of the policy whose field this is, or is inside of.
    scopes: u64,
}

/// An open container, and the member of it that the scan is in.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The inside of the key, as offsets; empty in arrays.
    key: (u32, u32),
    escaped: bool,
    /// Worked out when a string first needs it, then kept while the key stays, so that no key is judged twice.
    context: Option<Context>,
}

#[derive(Debug, Default)]
struct Buffers {
    decoded: Vec<u8>,
    lower: Vec<u8>,
    normal: Vec<u8>,
    spare: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Watch<'a> {
    bytes: &'a [u8],
    tool: &'a ToolPatterns,
    levels: InlineStack<Level, INLINE_LEVELS>,
    buffers: Buffers,
    pub(crate) findings: Vec<Finding>,
    pub(crate) more: bool,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(bytes: &'a [u8], tool: &'a ToolPatterns) -> Self {
        Self {
            bytes,
            tool,
            levels: InlineStack::new(),
            buffers: Buffers::default(),
            findings: Vec::new(),
            more: false,
        }
    }

    /// The context of the innermost of the first `levels` open containers.
    fn context(&mut self, levels: usize) -> Context {
        let mut context = Context::default();
        for at in 0..levels {
            let Some(level) = self.levels.get_mut(at) else {
                break;
            };
            context = match level.context {
                Some(known) => known,
                None => {
                    let derived = derive(self.bytes, self.tool, context, *level);
                    level.context = Some(derived);
                    derived
                }
            };
        }
        context
    }

    /// Tries the string that the scan has read. False: a rule refuses it.
    #[inline]
    fn text(&mut self, open: usize, token: &StringToken, key: bool) -> bool {
        let bytes = self.bytes;
        let inside = bytes.get(open + 1..token.end - 1).unwrap_or_default();
        if token.escaped {
            return self.escaped(open, inside, key);
        }
        let classes = look(inside);
        // Most names are letters and underscores. Of those, one rule wants `__proto__` (see the test of the rules).
        if classes == 0 || (classes == UNDERSCORE && !inside.starts_with(b"__")) {
            return true;
        }
        let candidates = self.tool.candidates(classes);
        if candidates == 0 && classes & ENCODED == 0 {
            return true;
        }
        self.closely(open, inside, classes, candidates, key)
    }

    #[inline(never)]
    fn escaped(&mut self, open: usize, inside: &[u8], key: bool) -> bool {
        let mut decoded = std::mem::take(&mut self.buffers.decoded);
        lex::decode_into(inside, &mut decoded);
        let classes = look(&decoded);
        let candidates = self.tool.candidates(classes);
        let sound = (candidates == 0 && classes & ENCODED == 0)
            || self.closely(open, &decoded, classes, candidates, key);
        self.buffers.decoded = decoded;
        sound
    }

    #[inline(never)]
    fn closely(&mut self, open: usize, text: &[u8], classes: u32, candidates: u64, key: bool) -> bool {
        let (mut classes, mut candidates) = (classes, candidates);
        // A short string is gated in less time than its field takes to judge.
        if text.len() <= SHORT_BYTES {
            candidates = self.gate(candidates, text, classes);
            if candidates == 0 && classes & ENCODED == 0 {
                return true;
            }
        }
        if classes & UNICODE != 0 && !has_stand_ins(text) {
            classes &= !UNICODE;
            candidates &= self.tool.candidates(classes);
            if candidates == 0 && classes & ENCODED == 0 {
                return true;
            }
        }
        let depth = self.levels.len();
        let context = self.context(if key { depth - 1 } else { depth });
        let kind = match context.kind {
            kind @ (FieldKind::Content | FieldKind::Data) => kind,
            _ if key => FieldKind::Key,
            FieldKind::Query if is_statement(text) => FieldKind::Sql,
            kind => kind,
        };
        let acting = self.tool.acting(kind, context.scopes);
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut string = String {
            open,
            key,
            kind,
            acting,
            done: 0,
        };
        let sound = self.views(&mut string, text, classes, candidates, &mut buffers);
        self.buffers = buffers;
        sound
    }

    fn views(
        &mut self,
        string: &mut String,
        text: &[u8],
        classes: u32,
        candidates: u64,
        buffers: &mut Buffers,
    ) -> bool {
        let mut candidates = candidates & string.acting.any();
        if text.len() > SHORT_BYTES {
            candidates = self.gate(candidates, text, classes);
        }
        if candidates != 0 {
            buffers.lower.clear();
            buffers.lower.extend_from_slice(text);
            buffers.lower.make_ascii_lowercase();
            let subject = Subject {
                text: &buffers.lower,
                original: text,
                normal: false,
                kind: string.kind,
            };
            if !self.rules(string, candidates, subject, &mut buffers.spare) {
                return false;
            }
        }
        if classes & ENCODED == 0
            || string.acting.any() == 0
            || !normalise(text, &mut buffers.normal, &mut buffers.spare)
        {
            return true;
        }
        let classes = look(&buffers.normal);
        let candidates = self.tool.candidates(classes) & string.acting.any() & !string.done;
        let candidates = self.gate(candidates, &buffers.normal, classes);
        let subject = Subject {
            text: &buffers.normal,
            original: text,
            normal: true,
            kind: string.kind,
        };
        candidates == 0 || self.rules(string, candidates, subject, &mut buffers.spare)
    }

    /// Drops candidates whose literals do not occur. SQL comments may part a literal: with them, rules of SQL all stay.
    fn gate(&self, candidates: u64, text: &[u8], classes: u32) -> u64 {
        let mut candidates = candidates;
        if candidates & *CLIMBING_RULES != 0 && !has_two_dots(text) {
            candidates &= !*CLIMBING_RULES;
        }
        let passed = GATE.pass(candidates, text);
        if passed != candidates && classes & SLASH != 0 && classes & STAR != 0 {
            return passed | (candidates & *SQL_RULES);
        }
        passed
    }

    /// Runs the candidates over one view of a string, those that may refuse it first.
    fn rules(
        &mut self,
        string: &mut String,
        candidates: u64,
        subject: Subject<'_>,
        spare: &mut Vec<u8>,
    ) -> bool {
        let mut comments = None;
        for mut left in [candidates & string.acting.block, candidates & string.acting.flag] {
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(compiled) = ALL.get(at) else { break };
                let text = if compiled.rule.class == Class::Sql {
                    let found = *comments.get_or_insert_with(|| {
                        let found = memchr::memmem::find(subject.text, b"/*").is_some();
                        if found {
                            drop_sql_comments(subject.text, spare);
                        }
                        found
                    });
                    if found { spare.as_slice() } else { subject.text }
                } else {
                    subject.text
                };
                if compiled.matches(&Subject { text, ..subject }) && !self.found(string, at) {
                    return false;
                }
            }
        }
        true
    }

    /// Notes a match. False: it refuses the call.
    #[cold]
    fn found(&mut self, string: &mut String, at: usize) -> bool {
        string.done |= 1 << at;
        let Some(compiled) = ALL.get(at) else {
            return true;
        };
        let rule = compiled.rule;
        let block = string.acting.block >> at & 1 == 1;
        if self.findings.len() >= self.tool.max_findings() {
            self.more = true;
            if !block {
                return true;
            }
            // The one that refuses the call is always told.
            self.findings.pop();
        }
        let place = if string.key {
            "object key"
        } else {
            string.kind.name()
        };
        let advice = if block {
            "; change the value, or have the field exempted from the rule if it is meant to hold this"
        } else {
            ""
        };
        let catches = rule.catches.trim_end_matches('.');
        self.findings.push(Finding {
            rule: rule.id,
            class: rule.class,
            severity: rule.severity,
            action: if block { Action::Block } else { Action::Flag },
            key: string.key,
            pointer: pointer::path_at(self.bytes, string.open).to_pointer(),
            offset: string.open,
            message: if string.key {
                format!("an {place} matches a pattern rule: {catches}{advice}")
            } else {
                format!("a value in a field of kind {place} matches a pattern rule: {catches}{advice}")
            },
        });
        !block
    }
}

/// The string at hand.
struct String {
    open: usize,
    key: bool,
    kind: FieldKind,
    acting: Acting,
    /// Rules that matched it.
    done: u64,
}

fn derive(bytes: &[u8], tool: &ToolPatterns, around: Context, level: Level) -> Context {
    let raw = bytes
        .get(level.key.0 as usize..level.key.1 as usize)
        .unwrap_or_default();
    if raw.is_empty() {
        return around;
    }
    let decoded;
    let name = if level.escaped {
        decoded = lex::decode(raw);
        decoded.as_bytes()
    } else {
        raw
    };
    Context {
        kind: tool.purpose().field(name).unwrap_or(around.kind),
        scopes: around.scopes | tool.field_scopes(name),
    }
}

/// Whether a query begins as a statement of SQL: then SQL is what the field is for.
fn is_statement(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"(").unwrap_or(text);
    let word = &text[..text
        .iter()
        .take(12)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count()];
    let mut lower = [0; 12];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    text.get(word.len()).is_some_and(u8::is_ascii_whitespace)
        && matches!(
            &*lower,
            b"select"
                | b"with"
                | b"insert"
                | b"update"
                | b"delete"
                | b"create"
                | b"alter"
                | b"explain"
                | b"merge"
                | b"replace"
        )
}

impl Observer for Watch<'_> {
    #[inline]
    fn open(&mut self) {
        self.levels.push(Level::default());
    }

    #[inline]
    fn close(&mut self) {
        self.levels.pop();
    }

    #[inline]
    fn key(&mut self, open: usize, token: &StringToken) -> bool {
        let last = self.levels.len().wrapping_sub(1);
        if let Some(level) = self.levels.get_mut(last) {
            *level = Level {
                key: (open as u32 + 1, token.end as u32 - 1),
                escaped: token.escaped,
                context: None,
            };
        }
        self.text(open, token, true)
    }

    #[inline]
    fn string(&mut self, open: usize, token: &StringToken) -> bool {
        self.text(open, token, false)
    }
}
