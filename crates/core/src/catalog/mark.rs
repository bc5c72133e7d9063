//! The mark on what cannot be called at the moment.

use std::borrow::Cow;

use ferromcp_protocol::json::{self, Object};

use crate::source::{Listing, SourceState};

/// Member of `_meta` in the definitions of items whose source is down: always `false`. An item without it can be called, as
/// far as is known.
pub const AVAILABLE: &str = "io.github.ferromcp/available";

/// A raw definition as MCP lists it now: marked in its `_meta` if its source is down. Everything else stays as it was.
pub fn listed<'a>(definition: &'a str, source: &Listing) -> Cow<'a, str> {
    if !matches!(source.state, SourceState::Down { .. }) {
        return Cow::Borrowed(definition);
    }
    marked(definition).map_or(Cow::Borrowed(definition), Cow::Owned)
}

/// `None` if it is no object, or its `_meta` is none: nothing is changed in what is not understood.
fn marked(definition: &str) -> Option<String> {
    let object = Object::parse(definition).ok()?;
    let meta = object
        .get("_meta")
        .map_or(Some(Object::default()), |raw| Object::parse(raw).ok())?;
    let mut out = Vec::with_capacity(definition.len() + 64);
    out.push(b'{');
    for (name, value) in object.iter().filter(|(name, _)| *name != "_meta") {
        member(&mut out, name, value);
        out.push(b',');
    }
    out.extend_from_slice(b"\"_meta\":{");
    for (name, value) in meta.iter().filter(|(name, _)| *name != AVAILABLE) {
        member(&mut out, name, value);
        out.push(b',');
    }
    member(&mut out, AVAILABLE, "false");
    out.extend_from_slice(b"}}");
    String::from_utf8(out).ok()
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    json::write_str(out, name);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::marked;

    #[test]
    fn only_the_mark_is_added() {
        let cases = [
            (
                r#"{"name":"a"}"#,
                r#"{"name":"a","_meta":{"io.github.ferromcp/available":false}}"#,
            ),
            (
                r#"{"_meta":{"x":1e3},"name":"a","other":[ 1 ]}"#,
                r#"{"name":"a","other":[ 1 ],"_meta":{"x":1e3,"io.github.ferromcp/available":false}}"#,
            ),
            (
                r#"{"_meta":{"io.github.ferromcp/available":true}}"#,
                r#"{"_meta":{"io.github.ferromcp/available":false}}"#,
            ),
        ];
        for (definition, expected) in cases {
            assert_eq!(marked(definition).as_deref(), Some(expected), "{definition}");
        }
        assert_eq!(marked(r#"{"_meta":7}"#), None);
        assert_eq!(marked("[]"), None);
    }
}
