//! Resources that several sources have under one URI. The first source keeps it; of the others the resource is listed as
//! `ferromcp://SOURCE/URI`, both percent-encoded, so that nothing is hidden and every URI leads back to one source and
//! the URI that this source knows.

use std::borrow::Cow;

use ferromcp_protocol::json::{self, Object};

const SCHEME: &str = "ferromcp://";

/// The URI of a source's resource among those of all sources, whether or not another source has the same.
pub fn alias(source: &str, uri: &str) -> String {
    let mut out = String::with_capacity(SCHEME.len() + source.len() + 1 + uri.len() * 2);
    out.push_str(SCHEME);
    encode(&mut out, source);
    out.push('/');
    encode(&mut out, uri);
    out
}

/// The same for a URI template (RFC 6570). Expressions stay as they are, so what they expand to is encoded once: what a
/// source gets is its own template with the values decoded, where they have characters that no URI has encoded again.
pub(super) fn alias_template(source: &str, template: &str) -> String {
    let mut out = String::from(SCHEME);
    encode(&mut out, source);
    out.push('/');
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|close| open + close + 1) else {
            break;
        };
        encode(&mut out, &rest[..open]);
        out.push_str(&rest[open..close]);
        rest = &rest[close..];
    }
    encode(&mut out, rest);
    out
}

/// Source and own URI of such a URI; `None` if it is none.
pub(super) fn parts(uri: &str) -> Option<(String, String)> {
    let (source, own) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    Some((decode(source)?, decode(own)?))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, section 2.1: everything but unreserved characters.
fn encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// `None` for what is no percent-encoding of UTF-8. Characters that a URI cannot have stay encoded: they were values of a
/// template.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
        let byte = u8::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    let decoded = String::from_utf8(bytes).ok()?;
    if decoded.bytes().all(|byte| byte > b' ' && byte != 0x7f) {
        return Some(decoded);
    }
    let mut out = String::with_capacity(decoded.len() + 16);
    for c in decoded.chars() {
        match c {
            '\0'..=' ' | '\x7f' => encode(&mut out, c.encode_utf8(&mut [0; 4])),
            _ => out.push(c),
        }
    }
    Some(out)
}

/// Where a result, a message or a definition has URIs of resources: the names of members on the way, `*` for elements
/// of an array.
const PLACES: &[&[&str]] = &[
    &["contents", "*", "uri"],
    &["content", "*", "uri"],
    &["content", "*", "resource", "uri"],
    &["messages", "*", "content", "uri"],
    &["messages", "*", "content", "resource", "uri"],
    &["messages", "*", "content", "*", "uri"],
    &["messages", "*", "content", "*", "resource", "uri"],
    &["result", "content", "*", "uri"],
    &["result", "content", "*", "resource", "uri"],
    // MCP Apps: the page of a tool, in both ways of writing it.
    &["_meta", "ui", "resourceUri"],
    &["_meta", "ui/resourceUri"],
];

/// Most elements of an array that are looked at.
const MAX_ELEMENTS: usize = 100_000;

/// Rewrites the URIs of resources in a raw JSON object; whatever else it has stays the bytes that it was. `None` if there
/// is nothing to rewrite.
pub(crate) fn rewrite(raw: &str, to: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    within(raw, PLACES, to)
}

fn within(raw: &str, places: &[&[&str]], to: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if places.iter().any(|place| place.is_empty()) {
        return to(&json::decode_str(raw)?).map(|uri| json::quote(&uri));
    }
    let below = |name: &str| -> Vec<&[&str]> {
        let way = places.iter().filter(|place| place.first() == Some(&name));
        way.filter_map(|place| place.get(1..)).collect()
    };
    if raw.starts_with('[') {
        let below = below("*");
        if below.is_empty() {
            return None;
        }
        let elements = json::elements(raw, MAX_ELEMENTS).ok()?;
        let changed: Vec<_> = elements
            .iter()
            .map(|element| within(element, &below, to))
            .collect();
        if changed.iter().all(Option::is_none) {
            return None;
        }
        let all = elements.iter().zip(changed);
        let all: Vec<Cow<'_, str>> = all
            .map(|(old, new)| new.map_or(Cow::Borrowed(*old), Cow::Owned))
            .collect();
        return Some(format!("[{}]", all.join(",")));
    }
    let object = Object::parse(raw).ok()?;
    let mut changed = false;
    let mut out = String::with_capacity(raw.len() + 128);
    out.push('{');
    for (name, value) in object.iter() {
        let below = below(name);
        let new = (!below.is_empty()).then(|| within(value, &below, to)).flatten();
        changed |= new.is_some();
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&json::quote(name));
        out.push(':');
        out.push_str(new.as_deref().unwrap_or(value));
    }
    out.push('}');
    changed.then_some(out)
}

/// A definition with another URI in this member.
pub(super) fn renamed(definition: &str, member: &str, uri: &str) -> Option<String> {
    within(definition, &[&[member]], &|_| Some(uri.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{alias, alias_template, parts, rewrite};

    #[test]
    fn every_alias_leads_back() {
        for (source, uri) in [
            ("files", "file:///a/b%20c?d=e#f"),
            ("b", "test://a%2520b"),
            ("a.b-c_d~e", "ü://ß/%"),
            ("x", "ferromcp://y/test%3A%2F%2Fz"),
            ("x", ""),
        ] {
            let made = alias(source, uri);
            assert_eq!(parts(&made), Some((source.to_owned(), uri.to_owned())), "{made}");
            assert!(made.bytes().all(|byte| byte.is_ascii_graphic()), "{made}");
        }
        assert_eq!(alias("s", "test://a b"), "ferromcp://s/test%3A%2F%2Fa%20b");
        for bad in [
            "test://x",
            "ferromcp://s",
            "ferromcp://s/%",
            "ferromcp://s/%+1",
            "ferromcp://s/%FF",
        ] {
            assert_eq!(parts(bad), None, "{bad}");
        }
    }

    #[test]
    fn templates_keep_their_expressions() {
        let made = alias_template("s", "test://t/{id}/data{?q}");
        assert_eq!(made, "ferromcp://s/test%3A%2F%2Ft%2F{id}%2Fdata{?q}");
        let expanded = made.replace("{id}", "a%20b").replace("{?q}", "?q=1");
        assert_eq!(parts(&expanded).unwrap().1, "test://t/a%20b/data?q=1");
    }

    #[test]
    fn uris_are_rewritten_where_they_are_and_nowhere_else() {
        let to = |uri: &str| (uri == "x://1").then(|| "ferromcp://s/x".to_owned());
        let raw = r#"{"content":[{"type":"text","text":"x://1","n":1.50},{"type":"resource_link","uri":"x:\/\/1"},{"type":"resource","resource":{"uri":"x://1","text":""}}],"uri":"x://1","structuredContent":{"uri":"x://1"}}"#;
        let new = raw.replace(r#""x:\/\/1""#, r#""ferromcp://s/x""#).replace(
            r#""resource":{"uri":"x://1""#,
            r#""resource":{"uri":"ferromcp://s/x""#,
        );
        assert_eq!(rewrite(raw, &to), Some(new));
        for raw in [
            r#"{"contents":[{"uri":"x://2"}]}"#,
            r#"{"content":"x://1"}"#,
            "{}",
            "[]",
            "7",
        ] {
            assert_eq!(rewrite(raw, &to), None, "{raw}");
        }
        for raw in [
            r#"{"contents":[{"uri":"x://1"}]}"#,
            r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"x://1"}}}]}"#,
            r#"{"status":"completed","result":{"content":[{"uri":"x://1"}]}}"#,
            r#"{"name":"t","_meta":{"ui":{"resourceUri":"x://1"},"ui/resourceUri":"x://1"}}"#,
        ] {
            assert_eq!(
                rewrite(raw, &to),
                Some(raw.replace("x://1", "ferromcp://s/x")),
                "{raw}"
            );
        }
    }
}
