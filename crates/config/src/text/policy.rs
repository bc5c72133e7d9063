//! The forms of tenants, credentials, rules and the audit log.

use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::{Parsed, Wrong, wrong, wrong_but};
use crate::interpolate::plain_io;
use crate::model::KeyHash;

/// Longest tenant id, in bytes.
const MAX_TENANT: usize = 64;
/// Longest pattern on URIs, in bytes.
const MAX_URI_GLOB: usize = 512;

pub(super) fn tenant_id(text: &str) -> Result<(), Wrong> {
    if text.len() > MAX_TENANT {
        return wrong(format!("the tenant id is longer than {MAX_TENANT} characters"));
    }
    let sign = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if !text.bytes().all(sign) {
        return wrong("the tenant id has characters other than a-z 0-9 . _ -");
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return wrong("the tenant id does not begin with a letter or digit");
    }
    Ok(())
}

/// `sha256:HEX` or `sha256:HEX until TIME`.
pub(super) fn key_hash(text: &str) -> Result<KeyHash, Wrong> {
    let hint = "`ferromcp keys new TENANT` makes a key and prints this line; the key itself never stands in the file";
    let Some(rest) = text.strip_prefix("sha256:") else {
        return wrong_but(
            "this is not the hash of a key: it does not begin with `sha256:`",
            hint,
        );
    };
    let (hex, expires) = match rest.split_once(' ') {
        Some((hex, until)) => (hex, Some(until)),
        None => (rest, None),
    };
    let mut sha256 = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return wrong_but(
            "this is not the hash of a key: `sha256:` is not followed by 64 hex digits",
            hint,
        );
    }
    for (byte, digits) in sha256.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    let expires = match expires.map(|until| until.strip_prefix("until ")) {
        None => None,
        Some(time) => match time.and_then(|time| humantime::parse_rfc3339(time).ok()) {
            Some(time) => Some(time),
            None => {
                return wrong_but(
                    "the hash is followed by something else than `until` and a time",
                    "write the time in UTC, as in `until 2027-01-31T00:00:00Z`",
                );
            }
        },
    };
    Ok(KeyHash { sha256, expires })
}

pub(super) fn uri_glob(text: &str) -> Result<(), Wrong> {
    if text.len() > MAX_URI_GLOB {
        return wrong(format!("the pattern is longer than {MAX_URI_GLOB} bytes"));
    }
    if text.contains(char::is_whitespace) || text.contains('\\') {
        return wrong("the pattern has spaces or backslashes, which no URI has");
    }
    Ok(())
}

/// An id of a pattern rule, or the beginning of ids up to a dot.
pub(super) fn rule_id(text: &str) -> Result<(), Wrong> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    let Some(rest) = text.strip_prefix("pattern.") else {
        return wrong_but(
            "this is not the id of a pattern rule",
            "ids of pattern rules begin with `pattern.`, as in pattern.shell (all of them) or pattern.sql.tautology; `action` \
             is for all rules",
        );
    };
    if text.len() > 64 || !rest.split('.').all(word) {
        return wrong_but(
            "this is not the id of a pattern rule",
            "write whole words of the id, without `*`: pattern.shell stands for all that begin so",
        );
    }
    Ok(())
}

/// An https URL, or an http one on a loopback host, without user, query and fragment. Kept as it is written: it is compared.
pub(super) fn issuer(text: &str) -> Result<(), Wrong> {
    let url = secure_url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return wrong("the URL has a `?` or `#` part");
    }
    Ok(())
}

pub(super) fn jwks(text: &str, base: &Path) -> Result<Parsed, Wrong> {
    if text.contains("://") {
        let url = secure_url(text)?;
        if url.fragment().is_some() {
            return wrong("the URL has a `#` part, which is never sent");
        }
        return Ok(Parsed::Url(Box::new(url)));
    }
    let path = base.join(text);
    match regular_file(&path) {
        Ok(()) => Ok(Parsed::Path(path)),
        Err(message) => wrong_but(
            message,
            "write an https:// URL, or the path of a JWKS file (relative to the config file)",
        ),
    }
}

fn secure_url(text: &str) -> Result<Url, Wrong> {
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return wrong(format!("this is not a URL: {error}")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("the URL contains a user name or password");
    }
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => wrong_but(
            "the URL does not start with https://",
            "whoever can change what is sent over http can forge tokens; http works for loopback hosts only",
        ),
        _ => wrong("the URL does not start with https://"),
    }
}

/// Names of nested claims, separated by dots; a name with `://` (as some issuers prefix theirs) is one name.
pub(super) fn claim(text: &str) -> Result<Vec<String>, Wrong> {
    if text.len() > 256 || text.contains(char::is_whitespace) {
        return wrong("the name of a claim is longer than 256 bytes or has spaces");
    }
    if text.contains("://") {
        return Ok(vec![text.to_owned()]);
    }
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return wrong("there is nothing before, between or after the dots");
    }
    Ok(names)
}

/// RFC 6749, section 3.3.
pub(super) fn scope(text: &str) -> Result<(), Wrong> {
    let sign = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if text.len() > 256 || !text.bytes().all(sign) {
        return wrong_but(
            "a scope is at most 256 visible ASCII characters without spaces, `\"` and `\\`",
            "put several scopes into a list",
        );
    }
    Ok(())
}

/// A directory that is there, or can be made.
pub(super) fn folder(text: &str, base: &Path) -> Result<PathBuf, Wrong> {
    let path = base.join(text);
    match std::fs::metadata(&path) {
        Ok(kind) if !kind.is_dir() => wrong_but(
            "the path is not a directory",
            "name a directory: it holds the log's files, its key and a lock",
        ),
        _ => Ok(path),
    }
}

/// A file that is there.
pub(super) fn file(text: &str, base: &Path) -> Result<PathBuf, Wrong> {
    let path = base.join(text);
    match regular_file(&path) {
        Ok(()) => Ok(path),
        Err(message) => wrong_but(message, "correct the path (it is relative to the config file)"),
    }
}

/// The file of a key, or the key itself. Whether the file is there can only be asked of a path: see [`regular_file`].
pub(super) fn key_file(text: &str, base: &Path) -> Parsed {
    if text.contains('\n') || text.starts_with("-----BEGIN") {
        return Parsed::Text(text.to_owned());
    }
    Parsed::TextOrPath {
        text: text.to_owned(),
        path: base.join(text),
    }
}

/// What is wrong with a path that must be a file.
pub(crate) fn regular_file(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(kind) if kind.is_file() => Ok(()),
        Ok(_) => Err("the path is not a regular file".into()),
        Err(error) => Err(format!("the file cannot be used: {}", plain_io(&error))),
    }
}

/// Names that every model API takes. With the prefix a name may be longer than 64 characters; then it ends in a hash.
pub(super) fn item_name(text: &str) -> Result<(), Wrong> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if text.len() > 64 || !text.bytes().all(fits) {
        return wrong("the name is longer than 64 characters, or has others than A-Z a-z 0-9 _ -");
    }
    Ok(())
}

pub(super) fn new_file(text: &str, base: &Path) -> Result<PathBuf, Wrong> {
    let path = base.join(text);
    if path.is_dir() {
        return wrong("the path is a directory, not a file");
    }
    Ok(path)
}
