//! Looks at the top level of a JSON object without building anything: for peeking into envelopes and results, and for
//! splicing their parts, as raw text, into something else.

use std::borrow::Cow;
use std::iter::FusedIterator;

use crate::keys::{KeyScope, Keys};
use crate::lex::{self, Fault};
use crate::limits::ScanLimits;
use crate::scan::{closing, colon, end_in, expected_after_value, key};
use crate::violation::{FaultKind, Violation};

/// One member of an object, as slices of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key with its escapes decoded; borrowed unless it has some.
    pub key: Cow<'a, str>,
    /// The key as written, with its quotes.
    pub raw_key: &'a str,
    /// The value as written, without white space around it.
    pub value: &'a str,
    /// Offset of `value` from the start of the text, in bytes.
    pub offset: usize,
}

/// Iterator made by [`members`].
#[derive(Debug)]
pub struct Members<'a> {
    text: &'a str,
    keys: Keys<'a>,
    scope: KeyScope,
    pos: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Within,
    Done,
}

/// Iterates over the top-level members of the JSON object that `text` is.
///
/// The whole text is held to the grammar, numbers and surrogates as in [`crate::scan()`], and a top-level key that occurs twice
/// is refused. Nested values are not searched for duplicates and have no limits but the ceilings of [`ScanLimits`]: scan
/// text from outside before trusting it. After an error the iterator ends. Nothing is allocated for up to 16 members
/// whose keys have no escapes.
///
/// # Errors
/// Each item may be the violation at which reading stopped; `json.syntax` where the text is not an object.
pub fn members(text: &str) -> Members<'_> {
    Members {
        text,
        keys: Keys::new(text.as_bytes()),
        scope: KeyScope::default(),
        pos: 0,
        state: State::Start,
    }
}

/// The raw value of the top-level member `name`, or `None` where the object has none. Reads the text to its end.
///
/// # Errors
/// As [`members`].
pub fn member<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, Violation> {
    let mut found = None;
    for member in members(text) {
        let member = member?;
        if member.key == name {
            found = Some(member.value);
        }
    }
    Ok(found)
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        match self.advance() {
            Ok(Some(member)) => Some(Ok(member)),
            Ok(None) => {
                self.state = State::Done;
                None
            }
            Err(fault) => {
                self.state = State::Done;
                Some(Err(Violation::from_fault(
                    self.text.as_bytes(),
                    fault,
                    &ScanLimits::UNBOUNDED,
                )))
            }
        }
    }
}

impl FusedIterator for Members<'_> {}

impl<'a> Members<'a> {
    fn advance(&mut self) -> Result<Option<Member<'a>>, Fault> {
        let bytes = self.text.as_bytes();
        let Some(start) = self.next_key()? else {
            return Ok(None);
        };
        let token = key(bytes, start)?;
        if !self
            .keys
            .insert(&mut self.scope, start + 1, token.end - 1, token.escaped)
        {
            return Err(Fault::new(FaultKind::DuplicateKey, start));
        }
        let value = colon(bytes, token.end)?;
        self.pos = skip_value(bytes, value)?;
        let inside = &self.text[start + 1..token.end - 1];
        let key = if token.escaped {
            Cow::Owned(lex::decode(inside.as_bytes()))
        } else {
            Cow::Borrowed(inside)
        };
        Ok(Some(Member {
            key,
            raw_key: &self.text[start..token.end],
            value: &self.text[value..self.pos],
            offset: value,
        }))
    }

    /// Where the next key is due; `None` when the object, and with it the text, has ended.
    fn next_key(&mut self) -> Result<Option<usize>, Fault> {
        let bytes = self.text.as_bytes();
        let pos = lex::skip_space(bytes, self.pos);
        if self.state == State::Start {
            if bytes.len() > ScanLimits::CEILING_BYTES {
                return Err(Fault::new(FaultKind::Bytes, ScanLimits::CEILING_BYTES));
            }
            match bytes.get(pos) {
                Some(b'{') => {}
                Some(_) => return Err(Fault::new(FaultKind::ExpectedObject, pos)),
                None => return Err(Fault::new(FaultKind::Empty, pos)),
            }
            self.state = State::Within;
            let first = lex::skip_space(bytes, pos + 1);
            return if bytes.get(first) == Some(&b'}') {
                self.end(first + 1)
            } else {
                Ok(Some(first))
            };
        }
        match bytes.get(pos) {
            Some(b',') => {
                let next = lex::skip_space(bytes, pos + 1);
                if bytes.get(next) == Some(&b'}') {
                    return Err(Fault::new(FaultKind::TrailingComma, pos));
                }
                Ok(Some(next))
            }
            Some(b'}') => self.end(pos + 1),
            Some(_) => Err(Fault::new(FaultKind::ExpectedCommaOrBrace, pos)),
            None => Err(Fault::new(FaultKind::EndInObject, pos)),
        }
    }

    fn end(&mut self, pos: usize) -> Result<Option<usize>, Fault> {
        let bytes = self.text.as_bytes();
        let pos = lex::skip_space(bytes, pos);
        if pos < bytes.len() {
            return Err(Fault::new(FaultKind::TrailingText, pos));
        }
        Ok(None)
    }
}

/// Reads the value at `pos`, holding it to the grammar only; returns the offset behind it. The kinds of the open
/// containers are the bits of one word: the ceiling on depth is below its 128.
fn skip_value(bytes: &[u8], mut pos: usize) -> Result<usize, Fault> {
    let mut objects: u128 = 0;
    let mut depth = 0;
    'value: loop {
        let Some(first) = bytes.get(pos).copied() else {
            return Err(Fault::new(FaultKind::EndInValue, pos));
        };
        pos = match first {
            b'"' => lex::string(bytes, pos)?.end,
            b'{' | b'[' => {
                let object = first == b'{';
                // The object around this value is one level of the ceiling.
                if depth + 1 >= ScanLimits::CEILING_DEPTH {
                    return Err(Fault::new(FaultKind::Depth, pos));
                }
                pos = lex::skip_space(bytes, pos + 1);
                if bytes.get(pos) != Some(&closing(object)) {
                    depth += 1;
                    objects = objects << 1 | u128::from(object);
                    if object {
                        pos = colon(bytes, key(bytes, pos)?.end)?;
                    }
                    continue 'value;
                }
                pos + 1
            }
            _ => lex::scalar(bytes, pos, first)?,
        };
        while depth > 0 {
            let object = objects & 1 == 1;
            pos = lex::skip_space(bytes, pos);
            match bytes.get(pos) {
                Some(b',') => {
                    let comma = pos;
                    pos = lex::skip_space(bytes, pos + 1);
                    if bytes.get(pos) == Some(&closing(object)) {
                        return Err(Fault::new(FaultKind::TrailingComma, comma));
                    }
                    if object {
                        pos = colon(bytes, key(bytes, pos)?.end)?;
                    }
                    continue 'value;
                }
                Some(byte) if *byte == closing(object) => {
                    depth -= 1;
                    objects >>= 1;
                    pos += 1;
                }
                Some(_) => return Err(Fault::new(expected_after_value(object), pos)),
                None => return Err(Fault::new(end_in(object), pos)),
            }
        }
        return Ok(pos);
    }
}
