//! References to results of other calls: where they are in raw arguments, and what comes in their place.

use std::borrow::Cow;
use std::ops::Range;

use ferromcp_protocol::json::{self, Object};

/// The member that makes an object a reference.
const KEY: &str = "$result";

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Where the object is in the arguments.
    pub(super) place: Range<usize>,
    /// Id of the call whose output is meant.
    pub(super) id: Cow<'a, str>,
    /// What part of it.
    pub(super) pointer: Cow<'a, str>,
}

/// The references in raw arguments, in order. One pass, no recursion; most arguments are cleared by a look for the key.
///
/// # Errors
/// What is wrong with one that is none.
pub(super) fn find(raw: &str) -> Result<Vec<Reference<'_>>, String> {
    if !may_have_one(raw) {
        return Ok(Vec::new());
    }
    let bytes = raw.as_bytes();
    let mut found = Vec::new();
    // Open containers: where they begin, and whether they are references.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => open.push((at, false)),
            b'}' | b']' => {
                if let Some((start, true)) = open.pop() {
                    found.push(read(raw, start..at + 1)?);
                }
            }
            b'"' => {
                let end = string_end(bytes, at);
                let is_key = bytes[end..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
                if is_key
                    && json::decode_str(&raw[at..end]).as_deref() == Some(KEY)
                    && let Some((_, is_reference)) = open.last_mut()
                {
                    *is_reference = true;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(found)
}

/// A first look. Escapes in a key are rare and cost the second one.
fn may_have_one(raw: &str) -> bool {
    // The finders are made once: making one costs more than most arguments take to be searched.
    static FINDERS: std::sync::LazyLock<[memchr::memmem::Finder<'static>; 2]> =
        std::sync::LazyLock::new(|| ["$result\"", "\\u00"].map(memchr::memmem::Finder::new));
    FINDERS.iter().any(|f| f.find(raw.as_bytes()).is_some())
}

/// Behind the closing quote of the string that begins here. The text is known to be JSON.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += step;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

fn read(raw: &str, place: Range<usize>) -> Result<Reference<'_>, String> {
    let object = Object::parse(&raw[place.clone()]).map_err(|e| e.message)?;
    let mut reference = Reference {
        place,
        id: Cow::Borrowed(""),
        pointer: Cow::Borrowed(""),
    };
    for (key, value) in object.iter() {
        let text = || {
            json::decode_str(value).ok_or_else(|| {
                format!(
                    "`{key}` of a reference must be a string, found {}",
                    json::kind(value)
                )
            })
        };
        match key {
            KEY => reference.id = text()?,
            "pointer" => reference.pointer = text()?,
            other => {
                let shown: String = other.chars().take(64).collect();
                return Err(format!(
                    "a reference has `{KEY}` and `pointer`, and nothing else; this one has `{shown}`"
                ));
            }
        }
    }
    if !reference.pointer.is_empty() && !reference.pointer.starts_with('/') {
        return Err(format!(
            "`pointer` must be a JSON Pointer (RFC 6901), such as /items/0/id; found `{}`",
            reference.pointer.chars().take(64).collect::<String>()
        ));
    }
    Ok(reference)
}

/// The part of a raw JSON text that a JSON Pointer leads to; it also leads into a string that is JSON. `None` if there is
/// no such part.
pub(super) fn part<'a>(raw: &'a str, pointer: &str) -> Option<Cow<'a, str>> {
    let mut now = Cow::Borrowed(raw);
    for token in pointer.split('/').skip(1) {
        let name = match token.contains('~') {
            true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
            false => Cow::Borrowed(token),
        };
        if now.starts_with('"') {
            let inner = json::decode_str(&now)?.into_owned();
            now = Cow::Owned(json::validate(inner.as_bytes()).ok()?.to_owned());
        }
        now = match now {
            Cow::Borrowed(text) => Cow::Borrowed(step(text, &name)?),
            Cow::Owned(text) => Cow::Owned(step(&text, &name)?.to_owned()),
        };
    }
    Some(now)
}

fn step<'a>(raw: &'a str, name: &str) -> Option<&'a str> {
    match raw.as_bytes().first()? {
        b'{' => Object::parse(raw).ok()?.get(name),
        b'[' => {
            let canonical = name == "0" || !name.starts_with('0');
            let index: usize = name
                .parse()
                .ok()
                .filter(|_| canonical && !name.starts_with('+'))?;
            let all = json::elements(raw, usize::MAX).ok()?;
            all.get(index).copied()
        }
        _ => None,
    }
}
