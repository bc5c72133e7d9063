//! `x-mcp-header`: tool parameters that HTTP clients of 2026-07-28 repeat in headers
//! (basic/transports/streamable-http, "Custom Headers from Tool Parameters").

use ferromcp_protocol::header::PARAM_PREFIX;
use serde_json::Value;

/// One annotated parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// Whole header name in lower case, `mcp-param-...`.
    pub header: String,
    /// Names of properties from the arguments object down to the value.
    pub path: Vec<String>,
    /// Type of the value.
    pub kind: HeaderKind,
}

/// Types that a header can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// Compared as text.
    String,
    /// Compared as a number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

const KEY: &str = "x-mcp-header";

/// Finds all annotations, or says which one breaks the rules: a token of RFC 9110, unique without
/// regard to case, on a string, integer or boolean that is reached through `properties` only.
pub(super) fn param_headers(schema: &Value) -> Result<Vec<ParamHeader>, String> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), &mut found)?;
    if count(schema) != found.len() {
        return Err(format!(
            "`{KEY}` stands where it is not reached through `properties` alone"
        ));
    }
    Ok(found)
}

fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<ParamHeader>) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(header) = property.get(KEY) {
            let header = annotation(header, property, path)?;
            if found.iter().any(|f: &ParamHeader| f.header == header.header) {
                return Err(format!("`{KEY}` \"{}\" is used twice", header.header));
            }
            found.push(header);
        }
        walk(property, path, found)?;
        path.pop();
    }
    Ok(())
}

fn annotation(value: &Value, property: &Value, path: &[String]) -> Result<ParamHeader, String> {
    let place = path.join(".");
    let name = value
        .as_str()
        .ok_or_else(|| format!("`{KEY}` of `{place}` must be a string"))?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!(
            "`{KEY}` of `{place}` must be a header name (RFC 9110 token)"
        ));
    }
    let kind = match property.get("type").and_then(Value::as_str) {
        Some("string") => HeaderKind::String,
        Some("integer") => HeaderKind::Integer,
        Some("boolean") => HeaderKind::Boolean,
        _ => {
            return Err(format!(
                "`{KEY}` of `{place}` needs type string, integer or boolean"
            ));
        }
    };
    let header = format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase());
    Ok(ParamHeader {
        header,
        path: path.to_vec(),
        kind,
    })
}

/// All annotations anywhere in schema positions. Data positions (`const`, `default`, `enum`,
/// `examples`) do not count.
fn count(schema: &Value) -> usize {
    match schema {
        Value::Object(map) => {
            let here = usize::from(map.contains_key(KEY));
            let below = map
                .iter()
                .filter(|(k, _)| !matches!(k.as_str(), "const" | "default" | "enum" | "examples"));
            here + below
                .map(|(k, v)| {
                    if k == "properties" {
                        count_values(v)
                    } else {
                        count(v)
                    }
                })
                .sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// Members of `properties` are schemas whatever they are called.
fn count_values(properties: &Value) -> usize {
    properties
        .as_object()
        .map_or(0, |map| map.values().map(count).sum())
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
