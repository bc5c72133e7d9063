//! One strict pass over JSON text (RFC 8259): checks the grammar and finds where values begin and
//! end, at any nesting depth and without recursion.

use std::borrow::Cow;

use super::JsonError;

/// A position in a text. What was passed over was valid.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// A key as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawKey<'a> {
    pub(crate) text: &'a str,
    /// True if it has escapes, so that the text is not the key.
    pub(crate) escaped: bool,
}

impl<'a> RawKey<'a> {
    /// The key itself; `None` if an escape names half of a surrogate pair.
    pub(crate) fn decode(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return Some(Cow::Borrowed(self.text));
        }
        let quoted = format!("\"{}\"", self.text);
        serde_json::from_str::<String>(&quoted).ok().map(Cow::Owned)
    }
}

impl<'a> Reader<'a> {
    /// Starts at the first byte that is not whitespace.
    pub(crate) fn new(text: &'a str) -> Self {
        let mut reader = Self { text, at: 0 };
        reader.space();
        reader
    }

    /// Offset of the next byte.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Refuses anything but whitespace in the rest.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(self.fault("text after the end of the value"))
    }

    /// Goes behind any value and returns its raw text.
    #[inline]
    pub(crate) fn value(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.skip()?;
        Ok(self.since(start))
    }

    /// Walks over an object, of which the next byte is the opening brace. `member` is called behind
    /// each colon and must go behind the value.
    #[inline]
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, RawKey<'a>) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            member(self, key)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("expected `,` or `}`")),
            }
            self.space();
        }
    }

    /// Walks over an array, of which the next byte is the opening bracket. `element` is called before
    /// each element and must go behind it.
    pub(crate) fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("expected `,` or `]`")),
            }
            self.space();
        }
    }

    /// Goes behind a key and its colon.
    #[inline]
    fn key(&mut self) -> Result<RawKey<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key in quotes"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let text = self.text.get(start..self.at - 1).unwrap_or_default();
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("expected `:`"));
        }
        self.at += 1;
        self.space();
        Ok(RawKey { text, escaped })
    }

    /// Goes behind any value.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{' | b'[') => self.nested(),
            _ => self.scalar(),
        }
    }

    #[inline]
    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// Goes behind an object or array. What encloses what is kept as one bit for each level.
    fn nested(&mut self) -> Result<(), JsonError> {
        let mut levels = Levels::default();
        'value: loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.space();
                    let object = open == b'{';
                    if self.peek() != Some(if object { b'}' } else { b']' }) {
                        levels.push(object);
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    self.at += 1;
                }
                _ => self.scalar()?,
            }
            // Behind a value: what comes next in the innermost level that is still open?
            loop {
                let Some(object) = levels.innermost() else {
                    return Ok(());
                };
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ if object => return Err(self.fault("expected `,` or `}`")),
                    _ => return Err(self.fault("expected `,` or `]`")),
                }
                self.at += 1;
                levels.pop();
            }
        }
    }

    /// Goes behind the closing quote of a string, of which the next byte is the opening one; true if
    /// there are escapes in it.
    #[inline]
    fn string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let Some(found) = special(rest) else {
                self.at = self.text.len();
                return Err(self.fault("unterminated string"));
            };
            self.at += found;
            match rest[found] {
                b'"' => {
                    self.at += 1;
                    return Ok(escaped);
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.fault("a control character in a string must be escaped")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        self.at += match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => 6,
            _ => return Err(self.fault("invalid escape in a string")),
        };
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.fault("invalid number"));
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let same = rest
            .iter()
            .zip(word.as_bytes())
            .take_while(|(a, b)| a == b)
            .count();
        self.at += same;
        if same == word.len() {
            return Ok(());
        }
        Err(self.fault("expected a value"))
    }

    #[inline]
    fn space(&mut self) {
        // Most messages have none: one comparison then.
        while let Some(byte) = self.peek() {
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                break;
            }
            self.at += 1;
        }
    }

    /// The text from an earlier position up to this one.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> &'a str {
        // All positions are behind or before ASCII bytes, so they are boundaries.
        self.text.get(start..self.at).unwrap_or_default()
    }

    #[cold]
    pub(crate) fn fault(&self, message: &str) -> JsonError {
        JsonError::new(message, self.at)
    }
}

/// A stack of bits: true for an object, false for an array.
#[derive(Default)]
struct Levels {
    /// The innermost 64 levels, the innermost one in the lowest bit.
    low: u64,
    depth: usize,
    /// Full words of the levels outside.
    outer: Vec<u64>,
}

impl Levels {
    #[inline]
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.low);
        }
        self.low = self.low << 1 | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.low >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.low = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.low & 1 == 1)
    }
}

/// Position of the next quote, backslash or control character, eight bytes at a time: strings in
/// messages are short, so the set-up of a vector search would cost more than it saves.
#[inline]
pub(crate) fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest set bit marks the first byte of `word` that is below `bound` (at most 0x80); higher
    // ones may be carried.
    const fn below(word: u64, bound: u64) -> u64 {
        word.wrapping_sub(ONES * bound) & !word & HIGHS
    }
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word ^ (ONES * b'"' as u64), 1)
            | below(word ^ (ONES * b'\\' as u64), 1)
            | below(word, 0x20);
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
    Some(words.len() * 8 + at)
}
