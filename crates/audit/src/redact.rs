//! Arguments as they may be stored: the values of secret keys replaced, the length bounded.
//!
//! One pass over the raw text, without a tree, so that it also works on the beginning of a large
//! document. What is not redacted is kept byte for byte. Text that is not JSON is not stored at
//! all: in it nobody can tell a secret from the rest.

use crate::error::ConfigError;

/// What stands in place of a redacted value.
pub const REDACTED: &str = "\"[redacted]\"";
/// What is stored in place of arguments that are no JSON.
pub const NOT_JSON: &str = "[not JSON: not stored]";
/// Deeper arguments count as no JSON.
const MAX_DEPTH: usize = 128;
/// Longest pattern for a key, in bytes.
const MAX_PATTERN_BYTES: usize = 128;
/// Most patterns.
const MAX_PATTERNS: usize = 1000;

/// Keys whose values are secrets, as a default.
pub const DEFAULT_SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "*secret",
    "*token",
    "*api_key",
    "access_key",
    "*private_key",
    "authorization",
    "cookie",
    "credential*",
];

/// Names of keys whose values are never stored.
///
/// A pattern is a name, with `*` at its beginning or end for any text. Upper and lower case are
/// the same, and `_`, `-`, `.` and spaces are ignored on both sides: `api_key` is also `API-Key` and `apiKey`.
#[derive(Clone, Debug, Default)]
pub struct SecretKeys {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    name: String,
    open_start: bool,
    open_end: bool,
}

impl SecretKeys {
    /// Takes patterns; refuses one without any letter or digit, one with `*` inside, one longer than
    /// 128 bytes, and more than 1000.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let patterns = patterns
            .into_iter()
            .map(|pattern| Pattern::parse(pattern.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if patterns.len() > MAX_PATTERNS {
            return Err(ConfigError::new("redact", "more than 1000 patterns"));
        }
        Ok(Self { patterns })
    }

    /// Whether values under this key are secrets.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let key = normal(key);
        self.patterns.iter().any(|pattern| pattern.matches(&key))
    }

    /// `quoted` is a valid JSON string with its quotes.
    fn matches_quoted(&self, quoted: &[u8]) -> bool {
        if quoted.contains(&b'\\') {
            // A key with half a surrogate pair is nothing honest: redact it.
            return serde_json::from_slice::<String>(quoted).map_or(true, |key| self.matches(&key));
        }
        std::str::from_utf8(&quoted[1..quoted.len() - 1]).map_or(true, |key| self.matches(key))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |why: &str| Err(ConfigError::new("redact", format!("`{text}`: {why}")));
        if text.len() > MAX_PATTERN_BYTES {
            return wrong("longer than 128 bytes");
        }
        let (open_start, rest) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
        let (open_end, rest) = rest.strip_suffix('*').map_or((false, rest), |rest| (true, rest));
        if rest.contains('*') {
            return wrong("`*` may stand only at the beginning and at the end");
        }
        let name = normal(rest);
        if name.is_empty() {
            return wrong("names no key");
        }
        Ok(Self {
            name,
            open_start,
            open_end,
        })
    }

    fn matches(&self, key: &str) -> bool {
        match (self.open_start, self.open_end) {
            (false, false) => key == self.name,
            (true, false) => key.ends_with(&self.name),
            (false, true) => key.starts_with(&self.name),
            (true, true) => key.contains(&self.name),
        }
    }
}

fn normal(key: &str) -> String {
    key.chars()
        .filter(|c| !matches!(c, '_' | '-' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// Why the pass ended before its end.
enum Stop {
    /// The text is over; fine if it is only the beginning of a document.
    Over,
    /// Enough was written.
    Full,
    NotJson,
}

struct Pass<'a> {
    text: &'a [u8],
    secret: &'a SecretKeys,
    max: usize,
    out: &'a mut Vec<u8>,
    out_start: usize,
    at: usize,
    /// Everything before is in `out`, or redacted.
    done: usize,
    /// One entry for each open container: whether it is an object.
    open: Vec<bool>,
    /// Depth at which the value of a secret key began.
    hiding: Option<usize>,
    next_is_secret: bool,
}

/// Appends the storable form of `text`, at most `max_bytes` and a mark. `full_length` is the
/// length of the whole document; `text` may be only its beginning.
pub(crate) fn redact(
    out: &mut Vec<u8>,
    text: &[u8],
    full_length: u64,
    secret: &SecretKeys,
    max_bytes: usize,
) {
    let out_start = out.len();
    let mut pass = Pass {
        text,
        secret,
        max: max_bytes,
        out,
        out_start,
        at: 0,
        done: 0,
        open: Vec::new(),
        hiding: None,
        next_is_secret: false,
    };
    let complete = text.len() as u64 == full_length;
    match pass.run() {
        Ok(()) => pass.flush(text.len()),
        Err(Stop::Over) if !complete => {
            pass.flush(text.len());
            pass.cut(full_length);
        }
        Err(Stop::Full) => {
            let at = pass.at;
            pass.flush(at);
            pass.cut(full_length);
        }
        Err(Stop::Over | Stop::NotJson) => {
            out.truncate(out_start);
            out.extend_from_slice(NOT_JSON.as_bytes());
            return;
        }
    }
    if out.len() - out_start > max_bytes + 64 {
        // The last piece went over the bound: cut it, then mark it.
        cut_to(out, out_start + max_bytes);
        mark(out, full_length);
    }
}

fn cut_to(out: &mut Vec<u8>, mut length: usize) {
    while length > 0 && out.get(length).is_some_and(|byte| byte & 0xc0 == 0x80) {
        length -= 1;
    }
    out.truncate(length);
}

fn mark(out: &mut Vec<u8>, full_length: u64) {
    out.extend_from_slice("…[cut: ".as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(full_length).as_bytes());
    out.extend_from_slice(b" bytes]");
}

impl Pass<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let mut expect = Expect::Value;
        loop {
            while self
                .text
                .get(self.at)
                .is_some_and(|byte| b" \t\r\n".contains(byte))
            {
                self.at += 1;
            }
            if self.written() > self.max {
                return Err(Stop::Full);
            }
            let Some(byte) = self.text.get(self.at).copied() else {
                return if expect == Expect::Nothing {
                    Ok(())
                } else {
                    Err(Stop::Over)
                };
            };
            expect = match (expect, byte) {
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    let start = self.at;
                    self.string()?;
                    self.next_is_secret =
                        self.hiding.is_none() && self.secret.matches_quoted(&self.text[start..self.at]);
                    Expect::Colon
                }
                (Expect::Colon, b':') => {
                    self.at += 1;
                    Expect::Value
                }
                (Expect::Value | Expect::ValueOrEnd, b'{' | b'[') => {
                    self.begin_value();
                    if self.open.len() == MAX_DEPTH {
                        return Err(Stop::NotJson);
                    }
                    self.open.push(byte == b'{');
                    self.at += 1;
                    if byte == b'{' {
                        Expect::KeyOrEnd
                    } else {
                        Expect::ValueOrEnd
                    }
                }
                (Expect::KeyOrEnd | Expect::CommaOrEnd, b'}') => self.close(true)?,
                (Expect::ValueOrEnd | Expect::CommaOrEnd, b']') => self.close(false)?,
                (Expect::CommaOrEnd, b',') => {
                    self.at += 1;
                    if self.open.last() == Some(&true) {
                        Expect::Key
                    } else {
                        Expect::Value
                    }
                }
                (Expect::Value | Expect::ValueOrEnd, _) => {
                    self.begin_value();
                    if byte == b'"' {
                        self.string()?;
                    } else {
                        self.scalar()?;
                    }
                    self.end_value()
                }
                _ => return Err(Stop::NotJson),
            };
        }
    }

    fn close(&mut self, object: bool) -> Result<Expect, Stop> {
        if self.open.pop() != Some(object) {
            return Err(Stop::NotJson);
        }
        self.at += 1;
        Ok(self.end_value())
    }

    fn begin_value(&mut self) {
        if std::mem::take(&mut self.next_is_secret) {
            self.flush(self.at);
            self.out.extend_from_slice(REDACTED.as_bytes());
            self.hiding = Some(self.open.len());
        }
    }

    fn end_value(&mut self) -> Expect {
        if self.hiding == Some(self.open.len()) {
            self.hiding = None;
            self.done = self.at;
        }
        if self.open.is_empty() {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        }
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                None => return Err(Stop::Over),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0..0x20) => return Err(Stop::NotJson),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Stop> {
        match self.text.get(self.at + 1) {
            None => Err(Stop::Over),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = &self.text[self.at + 2..self.text.len().min(self.at + 6)];
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(Stop::NotJson);
                }
                if digits.len() < 4 {
                    return Err(Stop::Over);
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => Err(Stop::NotJson),
        }
    }

    fn scalar(&mut self) -> Result<(), Stop> {
        let rest = &self.text[self.at..];
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        let number = || serde_json::from_slice::<&serde_json::value::RawValue>(word).is_ok();
        if length == rest.len() && !self.open.is_empty() {
            // It may go on behind the end of what was copied.
            return Err(Stop::Over);
        }
        if length == 0 || !(matches!(word, b"true" | b"false" | b"null") || number()) {
            return Err(Stop::NotJson);
        }
        self.at += length;
        Ok(())
    }

    fn written(&self) -> usize {
        let waiting = if self.hiding.is_some() {
            0
        } else {
            self.at - self.done
        };
        self.out.len() - self.out_start + waiting
    }

    /// Writes what is read up to `end`, unless it is being hidden.
    fn flush(&mut self, end: usize) {
        if self.hiding.is_none() {
            self.out.extend_from_slice(&self.text[self.done..end]);
        }
        self.done = end;
    }

    fn cut(&mut self, full_length: u64) {
        if self.out.len() - self.out_start > self.max {
            let end = self.out_start + self.max;
            cut_to(self.out, end);
        }
        mark(self.out, full_length);
    }
}

#[cfg(test)]
mod tests;
