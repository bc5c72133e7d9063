//! The scan: one pass over raw JSON text that builds nothing.
//!
//! It is a state machine over two places, "a value is due" and "a value has ended", with an explicit stack. The state of
//! the innermost container lives in the scanner itself, so a flat object touches no stack at all.

use crate::keys::{KeyScope, Keys};
use crate::lex::{self, Fault};
use crate::limits::ScanLimits;
use crate::stack::InlineStack;
use crate::violation::{FaultKind, Violation};

/// What the outermost value of a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// What a scan learned of a document that it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    pub kind: Kind,
    /// Deepest nesting: 0 for a scalar, 1 for `[]`.
    pub depth: usize,
    /// All values in the document: containers, elements, member values.
    pub values: usize,
}

/// Containers whose state is kept without the heap.
const INLINE_DEPTH: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    keys: KeyScope,
    /// Entries begun so far.
    entries: u32,
    object: bool,
}

/// Looks on while a scan walks over a document. Called after the limits were checked.
pub(crate) trait Observer {
    /// A container begins.
    fn open(&mut self);
    /// The innermost container ends.
    fn close(&mut self);
    /// A key whose opening quote is at `open`. False ends the scan.
    fn key(&mut self, open: usize, token: &lex::StringToken) -> bool;
    /// A string value whose opening quote is at `open`. False ends the scan.
    fn string(&mut self, open: usize, token: &lex::StringToken) -> bool;
}

/// Nobody looks on.
struct Unwatched;

impl Observer for Unwatched {
    #[inline(always)]
    fn open(&mut self) {}

    #[inline(always)]
    fn close(&mut self) {}

    #[inline(always)]
    fn key(&mut self, _: usize, _: &lex::StringToken) -> bool {
        true
    }

    #[inline(always)]
    fn string(&mut self, _: usize, _: &lex::StringToken) -> bool {
        true
    }
}

struct Scanner<'a, 'o, O> {
    observer: &'o mut O,
    bytes: &'a [u8],
    limits: ScanLimits,
    keys: Keys<'a>,
    /// The innermost open container; means nothing while `depth` is 0.
    innermost: Frame,
    /// The containers around it, outermost first.
    outer: InlineStack<Frame, INLINE_DEPTH>,
    depth: usize,
    deepest: usize,
    values: usize,
}

/// Scans text that may not be UTF-8; otherwise as [`scan`].
///
/// # Errors
/// As [`scan`], and rule `json.utf8`.
pub fn scan_bytes(bytes: &[u8], limits: &ScanLimits) -> Result<Scanned, Violation> {
    if bytes.len() > limits.effective().max_bytes {
        return Err(too_long(bytes, limits));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => scan(text, limits),
        Err(error) => Err(Violation::utf8(error.valid_up_to())),
    }
}

/// Checks that `text` is one JSON document within `limits`.
///
/// Accepts what RFC 8259 accepts (white space around the value included, a byte order mark not), less: keys that occur
/// twice in an object, halves of surrogate pairs in `\u` escapes, numbers that no finite double can hold, numbers of over
/// [`crate::MAX_NUMBER_BYTES`] characters, and what exceeds `limits`. Whatever passes, `serde_json` parses.
///
/// Time is linear in the text. Memory is constant up to 8 levels and 16 keys, beyond that linear in the open containers
/// and the keys of the open objects.
///
/// # Errors
/// The first violation in the order of the text.
pub fn scan(text: &str, limits: &ScanLimits) -> Result<Scanned, Violation> {
    scan_watched(text, limits, &mut Unwatched)
}

/// As [`scan`], with an observer, whose refusal is a violation with the rule [`crate::rule::PATTERN`].
pub(crate) fn scan_watched(
    text: &str,
    limits: &ScanLimits,
    observer: &mut impl Observer,
) -> Result<Scanned, Violation> {
    let bytes = text.as_bytes();
    let limits = limits.effective();
    if bytes.len() > limits.max_bytes {
        return Err(too_long(bytes, &limits));
    }
    let mut scanner = Scanner {
        observer,
        bytes,
        limits,
        keys: Keys::new(bytes),
        innermost: Frame::default(),
        outer: InlineStack::new(),
        depth: 0,
        deepest: 0,
        values: 0,
    };
    match scanner.document() {
        Ok(kind) => Ok(Scanned {
            kind,
            depth: scanner.deepest,
            values: scanner.values,
        }),
        Err(fault) => Err(Violation::from_fault(bytes, fault, &limits)),
    }
}

#[cold]
fn too_long(bytes: &[u8], limits: &ScanLimits) -> Violation {
    let limits = limits.effective();
    Violation::from_fault(bytes, Fault::new(FaultKind::Bytes, limits.max_bytes), &limits)
}

/// The kind of value that a byte begins, when the value is sound.
fn kind_of(first: u8) -> Kind {
    match first {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b'"' => Kind::String,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        _ => Kind::Number,
    }
}

impl<O: Observer> Scanner<'_, '_, O> {
    fn document(&mut self) -> Result<Kind, Fault> {
        let start = lex::skip_space(self.bytes, 0);
        let Some(first) = self.bytes.get(start).copied() else {
            return Err(Fault::new(FaultKind::Empty, start));
        };
        let end = lex::skip_space(self.bytes, self.value(start)?);
        if end < self.bytes.len() {
            return Err(Fault::new(FaultKind::TrailingText, end));
        }
        Ok(kind_of(first))
    }

    /// Reads the value at `pos` with all that is inside it; returns the offset behind it.
    fn value(&mut self, mut pos: usize) -> Result<usize, Fault> {
        loop {
            let Some(first) = self.bytes.get(pos).copied() else {
                return Err(Fault::new(FaultKind::EndInValue, pos));
            };
            self.values += 1;
            pos = match first {
                b'"' => {
                    let token = lex::string(self.bytes, pos)?;
                    if token.decoded_len > self.limits.max_string {
                        return Err(Fault::new(FaultKind::String, pos));
                    }
                    if !self.observer.string(pos, &token) {
                        return Err(Fault::new(FaultKind::Pattern, pos));
                    }
                    token.end
                }
                b'{' | b'[' => {
                    self.open(pos, first == b'{')?;
                    let next = lex::skip_space(self.bytes, pos + 1);
                    if self.bytes.get(next) != Some(&closing(first == b'{')) {
                        pos = self.begin_entry(next)?;
                        continue;
                    }
                    self.close();
                    next + 1
                }
                _ => lex::scalar(self.bytes, pos, first)?,
            };
            match self.after_value(pos)? {
                (next, true) => pos = next,
                (end, false) => return Ok(end),
            }
        }
    }

    /// A value ended at `pos`: closes containers until another value is due (true) or none is open (false).
    #[inline]
    fn after_value(&mut self, mut pos: usize) -> Result<(usize, bool), Fault> {
        while self.depth > 0 {
            pos = lex::skip_space(self.bytes, pos);
            let object = self.innermost.object;
            match self.bytes.get(pos) {
                Some(b',') => {
                    let comma = pos;
                    pos = lex::skip_space(self.bytes, pos + 1);
                    if self.bytes.get(pos) == Some(&closing(object)) {
                        return Err(Fault::new(FaultKind::TrailingComma, comma));
                    }
                    return Ok((self.begin_entry(pos)?, true));
                }
                Some(byte) if *byte == closing(object) => {
                    self.close();
                    pos += 1;
                }
                Some(_) => return Err(Fault::new(expected_after_value(object), pos)),
                None => return Err(Fault::new(end_in(object), pos)),
            }
        }
        Ok((pos, false))
    }

    #[inline]
    fn open(&mut self, pos: usize, object: bool) -> Result<(), Fault> {
        if self.depth >= self.limits.max_depth {
            return Err(Fault::new(FaultKind::Depth, pos));
        }
        if self.depth > 0 {
            self.outer.push(self.innermost);
        }
        self.innermost = Frame {
            keys: self.keys.open(),
            entries: 0,
            object,
        };
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.observer.open();
        Ok(())
    }

    #[inline]
    fn close(&mut self) {
        self.observer.close();
        self.keys.close(self.innermost.keys);
        self.depth -= 1;
        if let Some(frame) = self.outer.pop() {
            self.innermost = frame;
        }
    }

    /// An entry of the innermost container is due at `pos`; returns where its value begins.
    #[inline]
    fn begin_entry(&mut self, pos: usize) -> Result<usize, Fault> {
        if self.innermost.entries as usize >= self.limits.max_items {
            return Err(Fault::new(FaultKind::Items, pos));
        }
        self.innermost.entries += 1;
        if !self.innermost.object {
            return Ok(pos);
        }
        let token = key(self.bytes, pos)?;
        if token.decoded_len > self.limits.max_key {
            return Err(Fault::new(FaultKind::Key, pos));
        }
        if !self
            .keys
            .insert(&mut self.innermost.keys, pos + 1, token.end - 1, token.escaped)
        {
            return Err(Fault::new(FaultKind::DuplicateKey, pos));
        }
        if !self.observer.key(pos, &token) {
            return Err(Fault::new(FaultKind::Pattern, pos));
        }
        colon(self.bytes, token.end)
    }
}

#[inline(always)]
pub(crate) fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

pub(crate) fn expected_after_value(object: bool) -> FaultKind {
    if object {
        FaultKind::ExpectedCommaOrBrace
    } else {
        FaultKind::ExpectedCommaOrBracket
    }
}

pub(crate) fn end_in(object: bool) -> FaultKind {
    if object {
        FaultKind::EndInObject
    } else {
        FaultKind::EndInArray
    }
}

/// The object key that is due at `pos`.
#[inline]
pub(crate) fn key(bytes: &[u8], pos: usize) -> Result<lex::StringToken, Fault> {
    match bytes.get(pos) {
        Some(b'"') => lex::string(bytes, pos),
        Some(_) => Err(Fault::new(FaultKind::ExpectedKey, pos)),
        None => Err(Fault::new(FaultKind::EndInObject, pos)),
    }
}

/// The colon that is due at `pos`; returns where the value after it begins.
#[inline]
pub(crate) fn colon(bytes: &[u8], pos: usize) -> Result<usize, Fault> {
    let pos = lex::skip_space(bytes, pos);
    match bytes.get(pos) {
        Some(b':') => Ok(lex::skip_space(bytes, pos + 1)),
        Some(_) => Err(Fault::new(FaultKind::ExpectedColon, pos)),
        None => Err(Fault::new(FaultKind::EndInObject, pos)),
    }
}
