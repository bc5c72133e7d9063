//! Raw JSON: objects as borrowed (key, raw value) members, and the few writers we need.
//!
//! [`validate`] checks a whole document once. After that [`Object::parse`] only has to find where
//! members begin and end, so peeking at one level costs little more than a scan for quotes and
//! brackets, however often it is done. On text that was never validated it stays memory-safe and
//! ends with an error or with slices that the next validation refuses.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;
use smallvec::SmallVec;

/// Why a text is not the JSON that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, in words.
    pub message: String,
    /// Byte offset in the text that was given.
    pub offset: usize,
    /// True if an object has the same key twice.
    pub duplicate_key: bool,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.offset)
    }
}

impl std::error::Error for JsonError {}

impl JsonError {
    fn new(message: impl Into<String>, offset: usize) -> Self {
        Self {
            message: message.into(),
            offset,
            duplicate_key: false,
        }
    }
}

/// Checks that `bytes` are one JSON document in UTF-8 (RFC 8259), with any nesting depth and
/// without building a tree. Surrounding whitespace is cut off the returned text.
pub fn validate(bytes: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| JsonError::new("the message is not valid UTF-8", e.valid_up_to()))?;
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => Ok(raw.get()),
        Err(e) => {
            let offset = offset_of(text, e.line(), e.column());
            Err(JsonError::new(
                format!("the message is not valid JSON: {e}"),
                offset,
            ))
        }
    }
}

fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// The members of one JSON object, in order, keys decoded, values as raw text. Duplicate keys are
/// an error: two readers could see two different values.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    members: SmallVec<[(Cow<'a, str>, &'a str); 8]>,
}

/// More members than this are checked for duplicates with a hash set.
const LINEAR_MEMBERS: usize = 24;

impl<'a> Object<'a> {
    /// Splits the raw text of an object. Surrounding whitespace is allowed.
    pub fn parse(raw: &'a str) -> Result<Self, JsonError> {
        let mut cursor = Cursor { text: raw, at: 0 };
        cursor.space();
        if cursor.peek() != Some(b'{') {
            return Err(JsonError::new(
                format!("expected an object, found {}", kind(raw)),
                cursor.at,
            ));
        }
        cursor.at += 1;
        let mut members = SmallVec::new();
        cursor.space();
        if cursor.peek() == Some(b'}') {
            cursor.at += 1;
            return cursor.end(Self { members });
        }
        loop {
            cursor.space();
            let key = cursor.key()?;
            cursor.space();
            cursor.expect(b':')?;
            cursor.space();
            let value = cursor.value()?;
            members.push((key, value));
            cursor.space();
            match cursor.next() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(JsonError::new("expected `,` or `}`", cursor.at)),
            }
        }
        let object = Self { members };
        object.refuse_duplicates(raw)?;
        cursor.end(object)
    }

    fn refuse_duplicates(&self, raw: &str) -> Result<(), JsonError> {
        let twice = if self.members.len() <= LINEAR_MEMBERS {
            self.members
                .iter()
                .enumerate()
                .find(|(i, (key, _))| self.members[..*i].iter().any(|(k, _)| k == key))
                .map(|(_, member)| member)
        } else {
            let mut seen = std::collections::HashSet::with_capacity(self.members.len());
            self.members.iter().find(|(key, _)| !seen.insert(key.as_ref()))
        };
        let Some((key, value)) = twice else { return Ok(()) };
        let offset = (value.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
        let shown: String = key.chars().take(64).collect();
        Err(JsonError {
            message: format!("duplicate key `{shown}`"),
            offset,
            duplicate_key: true,
        })
    }

    /// The raw value of a member.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members.iter().find(|(k, _)| k == key).map(|(_, v)| *v)
    }

    /// The decoded value of a string member; `None` if absent or not a string.
    pub fn get_str(&self, key: &str) -> Option<Cow<'a, str>> {
        decode_str(self.get(key)?)
    }

    /// All members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.members.iter().map(|(k, v)| (k.as_ref(), *v))
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Splits the raw text of an array into the raw texts of its elements, at most `max` of them.
pub fn elements(raw: &str, max: usize) -> Result<Vec<&str>, JsonError> {
    let mut cursor = Cursor { text: raw, at: 0 };
    cursor.space();
    if cursor.peek() != Some(b'[') {
        return Err(JsonError::new(
            format!("expected an array, found {}", kind(raw)),
            cursor.at,
        ));
    }
    cursor.at += 1;
    let mut found = Vec::new();
    cursor.space();
    if cursor.peek() == Some(b']') {
        cursor.at += 1;
        return cursor.end(found);
    }
    loop {
        cursor.space();
        if found.len() == max {
            return Err(JsonError::new(format!("more than {max} elements"), cursor.at));
        }
        found.push(cursor.value()?);
        cursor.space();
        match cursor.next() {
            Some(b',') => {}
            Some(b']') => return cursor.end(found),
            _ => return Err(JsonError::new("expected `,` or `]`", cursor.at)),
        }
    }
}

/// Decodes the raw text of a JSON string (with its quotes). `None` if it is not a string.
pub fn decode_str(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
}

/// What kind of JSON value a raw text is, for messages.
pub fn kind(raw: &str) -> &'static str {
    match raw.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "nothing",
    }
}

/// Appends `text` as a JSON string.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    // Writing a str to a Vec cannot fail: the only errors of serde_json here are I/O errors.
    let _ = serde_json::to_writer(out, text);
}

/// `text` as the text of a JSON string.
pub fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_str(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.next() == Some(byte) {
            return Ok(());
        }
        Err(JsonError::new(
            format!("expected `{}`", char::from(byte)),
            self.at.saturating_sub(1),
        ))
    }

    fn end<T>(mut self, found: T) -> Result<T, JsonError> {
        self.space();
        if self.at == self.text.len() {
            return Ok(found);
        }
        Err(JsonError::new("text after the end of the value", self.at))
    }

    /// A decoded key.
    fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.at;
        self.expect(b'"')?;
        let escaped = self.skip_string_rest()?;
        let text = self.text;
        if escaped {
            let key = text.get(start..self.at).and_then(decode_str);
            return key.ok_or_else(|| JsonError::new("invalid key", start));
        }
        let key = text.get(start + 1..self.at - 1);
        key.map(Cow::Borrowed)
            .ok_or_else(|| JsonError::new("invalid key", start))
    }

    /// Goes behind the closing quote of a string; true if there are escapes in it.
    fn skip_string_rest(&mut self) -> Result<bool, JsonError> {
        let mut escaped = false;
        loop {
            let rest = self.bytes().get(self.at..).unwrap_or_default();
            let found =
                quote_or_escape(rest).ok_or_else(|| JsonError::new("unterminated string", self.at))?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(escaped);
            }
            escaped = true;
            self.at += 1;
        }
    }

    /// The raw text of any value. Brackets are counted, not matched by kind: [`validate`] did that.
    fn value(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.skip_string_rest()?;
            }
            Some(b'{' | b'[') => self.skip_nested()?,
            _ => {
                while let Some(b) = self.peek() {
                    if matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                        break;
                    }
                    self.at += 1;
                }
            }
        }
        if self.at == start {
            return Err(JsonError::new("expected a value", start));
        }
        self.text
            .get(start..self.at)
            .ok_or_else(|| JsonError::new("expected a value", start))
    }

    fn skip_nested(&mut self) -> Result<(), JsonError> {
        let mut depth = 0usize;
        loop {
            match self.next() {
                Some(b'"') => {
                    self.skip_string_rest()?;
                }
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Some(_) => {}
                None => return Err(JsonError::new("unterminated value", self.at)),
            }
        }
    }
}

/// Position of the next quote or backslash, eight bytes at a time: strings in messages are short,
/// so the set-up of a vector search would cost more than it saves.
fn quote_or_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest set bit marks the first zero byte of `word`; higher ones may be carried.
    const fn zero_bytes(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests;
