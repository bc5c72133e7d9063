//! The document as a tree: reading it, and following references inside of it.

use std::borrow::Cow;

use serde_json::Value;

use crate::yaml;

/// Largest document, in bytes.
pub(crate) const MAX_DOCUMENT: usize = 32 * 1024 * 1024;
/// Longest chain of references that lead to references.
const MAX_CHAIN: usize = 32;

/// An OpenAPI document of a version that is understood.
#[derive(Debug)]
pub(crate) struct Document {
    root: Value,
    /// 3.0, whose schemas are not JSON Schema.
    pub(crate) is_3_0: bool,
}

impl Document {
    /// Reads JSON or YAML.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_DOCUMENT {
            return Err(format!("it has {} bytes, more than {MAX_DOCUMENT}", bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}');
        // Only JSON begins like this and is read by a JSON parser; YAML in flow style is read by the other one.
        let root = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text)
                .or_else(|json| yaml::parse(text).map_err(|_| format!("it is not valid JSON: {json}")))?,
            false => yaml::parse(text)?,
        };
        Self::of(root)
    }

    fn of(root: Value) -> Result<Self, String> {
        if root.get("swagger").is_some() {
            return Err("it is Swagger 2.0, which is not read; convert it to OpenAPI 3".to_owned());
        }
        let version = match root.get("openapi") {
            Some(Value::String(version)) => version.as_str(),
            // `openapi: 3.1` without quotes.
            Some(Value::Number(number)) if number.as_f64() == Some(3.1) => "3.1",
            Some(Value::Number(number)) if number.as_f64() == Some(3.0) => "3.0",
            _ => return Err("it is no OpenAPI document: there is no `openapi` with a version".to_owned()),
        };
        let is = |minor: &str| version == minor || version.starts_with(&format!("{minor}."));
        let is_3_0 = is("3.0");
        if !is_3_0 && !is("3.1") {
            let shown: String = version.chars().take(20).collect();
            return Err(format!(
                "it is OpenAPI {}; 3.0 and 3.1 are read",
                shown.escape_debug()
            ));
        }
        if !root.get("paths").is_some_and(Value::is_object) {
            return Err("there is no `paths`, so there are no operations".to_owned());
        }
        Ok(Self { root, is_3_0 })
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// What a reference points to. Only places of this document are looked at: nothing is fetched.
    pub(crate) fn find(&self, reference: &str) -> Result<&Value, String> {
        let shown = || {
            let shown: String = reference.chars().take(200).collect();
            shown.escape_debug().to_string()
        };
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(format!(
                "the reference `{}` leads outside of the document, which is not followed",
                shown()
            ));
        };
        let pointer = percent_encoding::percent_decode_str(pointer)
            .decode_utf8()
            .map_err(|_| format!("the reference `{}` is malformed", shown()))?;
        self.root
            .pointer(&pointer)
            .ok_or_else(|| format!("the reference `{}` leads nowhere", shown()))
    }

    /// An object, or what its `$ref` leads to.
    pub(crate) fn resolve<'d>(&'d self, mut value: &'d Value) -> Result<&'d Value, String> {
        for _ in 0..MAX_CHAIN {
            match value.get("$ref").and_then(Value::as_str) {
                None => return Ok(value),
                Some(reference) => value = self.find(reference)?,
            }
        }
        Err("a reference leads to itself".to_owned())
    }
}

/// A text member; empty if there is none.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default().trim()
}

/// At most `max` bytes of a text, with a mark where it was cut.
pub(crate) fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return text.into();
    }
    let end = text.floor_char_boundary(max.saturating_sub(3));
    format!("{}…", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_shapes() {
        for text in [
            r#"{"openapi":"3.0.3","paths":{}}"#,
            r#"{"openapi":"3.1.0","paths":{}}"#,
            "openapi: 3.1\npaths: {}\n",
            "\u{feff}openapi: '3.0'\npaths: {}\n",
        ] {
            Document::parse(text.as_bytes()).unwrap();
        }
        let deep = format!(
            r#"{{"openapi":"3.1.0","paths":{}1{}}}"#,
            "[".repeat(500),
            "]".repeat(500)
        );
        for (text, why) in [
            (r#"{"swagger":"2.0","paths":{}}"#, "Swagger 2.0"),
            (r#"{"openapi":"4.0.0","paths":{}}"#, "OpenAPI 4.0.0"),
            (r#"{"openapi":"3.10","paths":{}}"#, "OpenAPI 3.10"),
            (r#"{"openapi":"3.1.0"}"#, "no `paths`"),
            (r#"{"openapi":3,"paths":[]}"#, "no `paths`"),
            ("[]", "no OpenAPI document"),
            ("hello", "no OpenAPI document"),
            ("{\"openapi\":", "not valid JSON"),
            (&deep, "recursion limit"),
            ("\u{0}", ""),
        ] {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(Document::parse(b"\xff\xfe").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn references() {
        let text = r##"{"openapi":"3.1.0","paths":{"/a":{"x":1}},"l":{"$ref":"#/m"},"m":{"$ref":"#/l"},"n":{"$ref":"#/paths/~1a"}}"##;
        let document = Document::parse(text.as_bytes()).unwrap();
        let at = |pointer: &str| document.root().pointer(pointer).unwrap();
        assert_eq!(document.resolve(at("/n")).unwrap()["x"], 1);
        assert!(document.resolve(at("/l")).unwrap_err().contains("itself"));
        for (reference, why) in [
            ("other.yaml#/a", "outside"),
            ("http://169.254.169.254/latest", "outside"),
            ("#/nowhere", "nowhere"),
            ("#/%ff", "malformed"),
        ] {
            assert!(document.find(reference).unwrap_err().contains(why), "{reference}");
        }
    }
}
