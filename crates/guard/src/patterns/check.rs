//! The checks that are no regular expressions: they compare, count or parse. Each is linear in the text, with a bounded
//! look-ahead at every place it stops at.

mod characters;
mod command;
mod place;

use super::field::FieldKind;

pub(super) use characters::{bidi, bidi_override, confusable, invisible, mixed, selectors, tags};
pub(super) use command::{chain, substitution};
pub(super) use place::{odd_host, parent, traversal};

/// A string to be tried against a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// In lower case; in normal form if `normal`; without SQL comments for rules of SQL.
    pub(super) text: &'a [u8],
    /// As it stands in the document, JSON escapes decoded.
    pub(super) original: &'a [u8],
    pub(super) normal: bool,
    pub(super) kind: FieldKind,
}

impl Subject<'_> {
    pub(super) fn is_one_of(&self, kinds: u16) -> bool {
        self.kind.bit() & kinds != 0
    }
}

/// First offset at or behind `pos` where `wanted` does not hold; looks at no more than `most` bytes.
fn run(text: &[u8], pos: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(pos..).unwrap_or_default();
    pos + rest.iter().take(most).take_while(|byte| wanted(**byte)).count()
}

/// A null byte; one that only unescaping brings out counts where no escapes belong.
pub(super) fn null(subject: &Subject<'_>) -> bool {
    use super::rules::{CODE, TEXT};
    memchr::memchr(0, subject.text).is_some() && (!subject.normal || !subject.is_one_of(CODE | TEXT))
}

/// Query operators of MongoDB and its kin.
pub(super) fn nosql(subject: &Subject<'_>) -> bool {
    matches!(
        subject.text,
        b"$ne"
            | b"$gt"
            | b"$gte"
            | b"$lt"
            | b"$lte"
            | b"$in"
            | b"$nin"
            | b"$eq"
            | b"$regex"
            | b"$where"
            | b"$exists"
            | b"$or"
            | b"$and"
            | b"$not"
            | b"$nor"
            | b"$expr"
            | b"$function"
            | b"$type"
            | b"$elemmatch"
            | b"$size"
            | b"$mod"
    )
}

pub(super) fn prototype(subject: &Subject<'_>) -> bool {
    subject.text == b"__proto__"
}

/// Longest text of a nested lookup that is kept: `jndi:` comes first.
const LOOKUP_BYTES: usize = 64;

/// `${jndi:...}`, with lookups inside it resolved as Log4j does: `${lower:j}` and `${x:-j}` are `j`.
pub(super) fn jndi(subject: &Subject<'_>) -> bool {
    let mut out: Vec<u8> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut pos = 0;
    while let Some(byte) = subject.text.get(pos) {
        if open.is_empty() {
            let Some(step) = memchr::memchr(b'$', &subject.text[pos..]) else {
                return false;
            };
            pos += step + 1;
            if subject.text.get(pos) == Some(&b'{') {
                pos += 1;
                open.push(out.len());
            }
            continue;
        }
        pos += 1;
        match byte {
            b'$' if subject.text.get(pos) == Some(&b'{') => {
                open.push(out.len());
                pos += 1;
            }
            b'}' => {
                let start = open.pop().unwrap_or_default();
                let inside = &out[start..];
                if inside.starts_with(b"jndi:") {
                    return true;
                }
                let tail = &inside[inside.len().saturating_sub(LOOKUP_BYTES)..];
                let value = tail
                    .iter()
                    .rposition(|byte| *byte == b':')
                    .map_or(&[][..], |at| &tail[at + 1..]);
                let value = value.strip_prefix(b"-").unwrap_or(value).to_vec();
                out.truncate(start);
                out.extend_from_slice(&value);
            }
            byte => out.push(*byte),
        }
    }
    // An attack may be cut short, or closed by what it is pasted into.
    open.iter().any(|start| out[*start..].starts_with(b"jndi:"))
}

/// Longest operand that is compared, in bytes.
const OPERAND_BYTES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand<'a> {
    Literal(&'a [u8]),
    Word(&'a [u8]),
    Subquery,
}

/// OR or AND, then a comparison of two constants, or a constant alone where a quote came before.
pub(super) fn tautology(subject: &Subject<'_>) -> bool {
    let text = subject.text;
    let first_quote = memchr::memchr2(b'\'', b'"', text).unwrap_or(text.len());
    let from_number = text
        .first()
        .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    let mut pos = 0;
    while let Some(step) = memchr::memchr3(b'o', b'a', b'|', &text[pos..]).map(|step| pos + step) {
        let rest = &text[step..];
        let len = match rest {
            [b'o', b'r', ..] | [b'|', b'|', ..] => 2,
            [b'a', b'n', b'd', ..] => 3,
            _ => 0,
        };
        pos = step + len.max(1);
        let letters = rest[0] != b'|';
        let inside_word = letters
            && (step
                .checked_sub(1)
                .is_some_and(|at| text[at].is_ascii_alphabetic())
                || text
                    .get(pos)
                    .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'));
        if len > 0 && !inside_word && condition(text, pos, first_quote < step, from_number) {
            return true;
        }
    }
    false
}

fn spaces(text: &[u8], pos: usize) -> usize {
    run(text, pos, OPERAND_BYTES, |byte| {
        matches!(byte, b' ' | b'+' | b'\t' | b'\r' | b'\n' | b'(')
    })
}

/// Whether a condition that is always the same stands at `pos`.
fn condition(text: &[u8], pos: usize, quoted: bool, from_number: bool) -> bool {
    let Some((left, pos)) = operand(text, spaces(text, pos)) else {
        return false;
    };
    let pos = run(text, pos, OPERAND_BYTES, |byte| {
        matches!(byte, b' ' | b'+' | b'\t' | b')')
    });
    let rest = text.get(pos..).unwrap_or_default();
    let ends =
        rest.is_empty() || rest.starts_with(b"--") || rest.starts_with(b"#") || rest.starts_with(b"/*");
    if ends {
        let constant = match left {
            Operand::Literal(value) => value.first().is_some_and(u8::is_ascii_digit),
            other => other == Operand::Word(b"true"),
        };
        return quoted && constant;
    }
    let operators: [(&[u8], bool); 8] = [
        (b"<=>", true),
        (b"==", true),
        (b"=", true),
        (b"like ", true),
        (b"<>", false),
        (b"!=", false),
        (b">", false),
        (b"<", false),
    ];
    let Some((operator, equality)) = operators.iter().find(|(operator, _)| rest.starts_with(operator)) else {
        return false;
    };
    let Some((right, _)) = operand(text, spaces(text, pos + operator.len())) else {
        return false;
    };
    match (left, right) {
        (Operand::Literal(left), Operand::Literal(right)) => {
            quoted || from_number || (*equality && left == right)
        }
        (Operand::Literal(_), Operand::Subquery) => true,
        (Operand::Word(left), Operand::Word(right)) => *equality && quoted && left == right,
        _ => false,
    }
}

/// The operand at `pos` and the offset behind it. The quote that ends a string may be missing at the end of the text: the
/// statement that it is pasted into has it.
fn operand(text: &[u8], pos: usize) -> Option<(Operand<'_>, usize)> {
    match *text.get(pos)? {
        quote @ (b'\'' | b'"') => {
            let end = run(text, pos + 1, OPERAND_BYTES, |byte| byte != quote);
            let closed = text.get(end) == Some(&quote);
            if !closed && end < text.len() {
                return None;
            }
            Some((Operand::Literal(&text[pos + 1..end]), end + usize::from(closed)))
        }
        byte if byte.is_ascii_digit() || byte == b'-' => {
            let start = pos + usize::from(byte == b'-');
            let end = run(text, start, OPERAND_BYTES, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'.'
            });
            (end > start && text[start].is_ascii_digit()).then(|| (Operand::Literal(&text[pos..end]), end))
        }
        _ => {
            let end = run(text, pos, OPERAND_BYTES, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@')
            });
            let word = &text[pos..end];
            match word {
                b"" => None,
                b"select" => Some((Operand::Subquery, end)),
                _ => Some((Operand::Word(word), end)),
            }
        }
    }
}
