//! Resource URIs before they are matched: one resource has many spellings, and a rule means the resource.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The spellings of a URI that a rule has to hold for: scheme and host in lower case with unreserved characters decoded
/// (RFC 3986, section 6.2.2), and, where escapes remain, with those decoded as well, as a lenient server would.
/// `None` when no server would agree with the next on what it names: dot segments, backslashes, control characters.
pub(crate) fn spellings(uri: &str) -> Option<(Cow<'_, str>, Option<String>)> {
    let simple = uri
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'/' | b':' | b'_' | b'-'));
    if simple {
        return Some((Cow::Borrowed(uri), None));
    }
    let normal = normal(uri);
    if !is_clear(&normal) {
        return None;
    }
    if !normal.contains('%') {
        return Some((Cow::Owned(normal), None));
    }
    let decoded = percent_decode_str(&normal).decode_utf8_lossy().into_owned();
    // Escaped twice: what remains is in the hands of who decodes it.
    (is_clear(&decoded) && !has_escape(&decoded)).then_some((Cow::Owned(normal), Some(decoded)))
}

fn normal(uri: &str) -> String {
    let head = match uri.split_once("://") {
        Some((scheme, rest)) => scheme.len() + 3 + rest.find(['/', '?', '#']).unwrap_or(rest.len()),
        None => uri.find(':').map_or(0, |end| end + 1),
    };
    let mut normal = uri[..head].to_ascii_lowercase();
    let mut rest = &uri[head..];
    while let Some(position) = rest.find('%') {
        normal.push_str(&rest[..position]);
        let escape = rest.get(position + 1..position + 3);
        let byte = escape
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normal.push(char::from(byte));
                rest = &rest[position + 3..];
            }
            Some(byte) => {
                normal.push_str(&format!("%{byte:02X}"));
                rest = &rest[position + 3..];
            }
            None => {
                normal.push('%');
                rest = &rest[position + 1..];
            }
        }
    }
    normal.push_str(rest);
    normal
}

fn is_clear(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    !uri.contains(|c: char| c == '\\' || c.is_control())
        && !path.split('/').any(|part| part == "." || part == "..")
}

fn has_escape(text: &str) -> bool {
    text.match_indices('%').any(|(position, _)| {
        let digits = text.as_bytes().get(position + 1..position + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
