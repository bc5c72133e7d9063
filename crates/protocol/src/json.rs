//! Raw JSON: objects as borrowed (key, raw value) members, and the few writers we need.
//!
//! Everything here reads its text once, strictly, without building a tree and without recursion.
//! [`crate::Message::parse`] splits the envelope, `params` and `_meta` on that one way.

mod reader;

use std::borrow::Cow;
use std::fmt;

use smallvec::SmallVec;

use reader::RawKey;
pub(crate) use reader::Reader;

/// Why a text is not the JSON that was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, in words.
    pub message: String,
    /// Byte offset in the text that was given.
    pub offset: usize,
    /// True if an object has the same key twice.
    pub duplicate_key: bool,
    /// True if there is a value, but not of the type that was expected.
    pub wrong_type: bool,
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
            wrong_type: false,
        }
    }

    pub(crate) fn not_an_object(message: String, offset: usize) -> Self {
        Self {
            wrong_type: true,
            ..Self::new(message, offset)
        }
    }

    /// The same about a text that is a whole message.
    pub(crate) fn of_message(mut self) -> Self {
        self.message.insert_str(0, "the message is not valid JSON: ");
        self
    }
}

/// Checks that `bytes` are one JSON document in UTF-8 (RFC 8259), with any nesting depth and
/// without building a tree. Surrounding whitespace is cut off the returned text.
pub fn validate(bytes: &[u8]) -> Result<&str, JsonError> {
    let mut reader = Reader::new(utf8(bytes)?);
    let value = reader.value().map_err(JsonError::of_message)?;
    reader.end().map_err(JsonError::of_message)?;
    Ok(value)
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, JsonError> {
    std::str::from_utf8(bytes).map_err(|e| JsonError::new("the message is not valid UTF-8", e.valid_up_to()))
}

/// The members of one JSON object, in order, keys decoded, values as raw text. Duplicate keys are
/// an error: two readers could see two different values.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    /// Keys are as in the text, without quotes.
    members: SmallVec<[(&'a str, &'a str); INLINE_MEMBERS]>,
    /// Keys that have escapes: place and decoded text. Nearly always empty.
    decoded: Vec<(usize, Box<str>)>,
}

/// Members that are kept without allocating.
const INLINE_MEMBERS: usize = 6;
/// More members than this are checked for duplicates with a hash set.
const LINEAR_MEMBERS: usize = 24;

impl<'a> Object<'a> {
    /// Splits the text of an object. Surrounding whitespace is allowed.
    pub fn parse(raw: &'a str) -> Result<Self, JsonError> {
        let mut reader = Reader::new(raw);
        if reader.peek() != Some(b'{') {
            let message = format!("expected an object, found {}", kind(raw));
            return Err(JsonError::not_an_object(message, reader.at()));
        }
        let mut object = Self::default();
        object.read(&mut reader, |reader, _| reader.skip())?;
        reader.end()?;
        object.refuse_duplicates(raw)?;
        Ok(object)
    }

    /// Reads the members of an object, of which the next byte is the opening brace, behind those that
    /// are here already. `value` gets each key's raw text and must go behind the value. Duplicates
    /// are found by [`Self::refuse_duplicates`].
    #[inline]
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader<'a>,
        mut value: impl FnMut(&mut Reader<'a>, &str) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        reader.members(|reader, key: RawKey<'a>| {
            let start = reader.at();
            value(reader, key.text)?;
            if key.escaped {
                let decoded = key.decode();
                let decoded = decoded.ok_or_else(|| JsonError::new("invalid key", start))?;
                self.decoded
                    .push((self.members.len(), decoded.into_owned().into_boxed_str()));
            }
            self.members.push((key.text, reader.since(start)));
            Ok(())
        })
    }

    /// The key of the member at a place.
    #[inline]
    fn key(&self, index: usize) -> &str {
        if self.decoded.is_empty() {
            return self.members[index].0;
        }
        match self.decoded.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(found) => &self.decoded[found].1,
            Err(_) => self.members[index].0,
        }
    }

    /// Fails if a key is there twice. `raw` is the text that offsets count in.
    pub(crate) fn refuse_duplicates(&self, raw: &str) -> Result<(), JsonError> {
        let all = 0..self.members.len();
        let twice = if self.members.len() <= LINEAR_MEMBERS {
            all.into_iter()
                .find(|&i| (0..i).any(|earlier| self.key(earlier) == self.key(i)))
        } else {
            let mut seen = std::collections::HashSet::with_capacity(self.members.len());
            all.into_iter().find(|&i| !seen.insert(self.key(i)))
        };
        let Some(twice) = twice else { return Ok(()) };
        let value = self.members[twice].1;
        let shown: String = self.key(twice).chars().take(64).collect();
        Err(JsonError {
            message: format!("duplicate key `{shown}`"),
            offset: (value.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize),
            duplicate_key: true,
            wrong_type: false,
        })
    }

    /// The raw value of a member.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        if self.decoded.is_empty() {
            return self.members.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        }
        let found = (0..self.members.len()).find(|&i| self.key(i) == key)?;
        Some(self.members[found].1)
    }

    /// The decoded value of a string member; `None` if absent or not a string.
    pub fn get_str(&self, key: &str) -> Option<Cow<'a, str>> {
        decode_str(self.get(key)?)
    }

    /// All members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        (0..self.members.len()).map(|i| (self.key(i), self.members[i].1))
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

/// Splits the text of an array into the raw texts of its elements, at most `max` of them.
pub fn elements(raw: &str, max: usize) -> Result<Vec<&str>, JsonError> {
    let mut reader = Reader::new(raw);
    if reader.peek() != Some(b'[') {
        return Err(reader.fault(&format!("expected an array, found {}", kind(raw))));
    }
    let mut found = Vec::new();
    reader.elements(|reader| {
        if found.len() == max {
            return Err(reader.fault(&format!("more than {max} elements")));
        }
        found.push(reader.value()?);
        Ok(())
    })?;
    reader.end()?;
    Ok(found)
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
    // What ends or breaks a string when it is read is what must be escaped when it is written.
    if reader::special(text.as_bytes()).is_none() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    // Writing a str to a Vec cannot fail: the only errors of serde_json here are I/O errors.
    let _ = serde_json::to_writer(out, text);
}

/// `text` as the text of a JSON string.
pub fn quote(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_str(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests;
