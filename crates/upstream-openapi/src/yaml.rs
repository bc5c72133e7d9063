//! YAML text to a JSON tree (YAML 1.2, core schema), with bounds: an alias counts all that it stands for.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Deepest nesting, as of JSON.
const MAX_DEPTH: usize = 128;
/// Most values, aliases expanded.
const MAX_NODES: usize = 2_000_000;

/// A list or mapping whose end has not been seen.
struct Open {
    value: Value,
    /// Of a mapping: the key that waits for its value.
    key: Option<String>,
    anchor: usize,
    size: usize,
}

/// Reads the one document of `text`.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, (Value, usize)> = HashMap::new();
    let mut nodes = 0;
    let mut root: Option<Value> = None;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| format!("it is not valid YAML: {e}"))?;
        let line = span.start.line();
        let at = |what: &str| format!("line {line}: {what}");
        let (value, anchor, size) = match event {
            Event::DocumentStart(_) if root.is_some() => {
                return Err(at("a second YAML document starts here"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = match (style, tag) {
                    (ScalarStyle::Plain, None) => plain(&text),
                    _ => Value::String(text.into_owned()),
                };
                (value, anchor, 1)
            }
            Event::Alias(anchor) => {
                let (value, size) = anchors
                    .get(&anchor)
                    .ok_or_else(|| at("an alias without its anchor"))?;
                if open.len() + depth(value) > MAX_DEPTH {
                    return Err(at("nested too deeply"));
                }
                // Before the copy is made.
                if nodes + size > MAX_NODES {
                    return Err(at("more values than are accepted"));
                }
                (value.clone(), 0, *size)
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() >= MAX_DEPTH {
                    return Err(at("nested too deeply"));
                }
                let value = match event {
                    Event::MappingStart(..) => Value::Object(Map::new()),
                    _ => Value::Array(Vec::new()),
                };
                open.push(Open {
                    value,
                    key: None,
                    anchor,
                    size: nodes,
                });
                nodes += 1;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(done) = open.pop() else { continue };
                let size = nodes - done.size;
                nodes = done.size;
                (done.value, done.anchor, size)
            }
            _ => continue,
        };
        nodes += size;
        if nodes > MAX_NODES {
            return Err(at("more values than are accepted"));
        }
        if anchor != 0 {
            anchors.insert(anchor, (value.clone(), size));
        }
        match open.last_mut() {
            None => root = Some(value),
            Some(parent) => add(parent, value).map_err(|e| at(&e))?,
        }
    }
    root.ok_or_else(|| "it is empty".to_owned())
}

fn add(parent: &mut Open, value: Value) -> Result<(), String> {
    match &mut parent.value {
        Value::Array(items) => items.push(value),
        Value::Object(members) => match parent.key.take() {
            None => {
                parent.key = Some(match value {
                    Value::String(text) => text,
                    // `200:` of a response, `null:`, `true:`.
                    Value::Number(number) => number.to_string(),
                    Value::Bool(flag) => flag.to_string(),
                    Value::Null => "null".to_owned(),
                    _ => return Err("a key that is no text".to_owned()),
                });
            }
            Some(key) if members.contains_key(&key) => {
                let shown: String = key.chars().take(100).collect();
                return Err(format!("the key `{}` is there twice", shown.escape_debug()));
            }
            Some(key) => {
                members.insert(key, value);
            }
        },
        _ => {}
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a scalar without quotes means.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    // A date, a version or a name that begins with a digit is none.
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Value::String(text.to_owned());
    }
    if let Some(hex) = text.strip_prefix("0x") {
        if let Ok(number) = u64::from_str_radix(hex, 16) {
            return number.into();
        }
    } else if let Some(octal) = text.strip_prefix("0o") {
        if let Ok(number) = u64::from_str_radix(octal, 8) {
            return number.into();
        }
    } else if let Ok(number) = text.parse::<u64>() {
        return number.into();
    } else if let Ok(number) = text.parse::<i64>() {
        return number.into();
    } else if text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && let Ok(number) = text.parse::<f64>()
        && let Some(number) = Number::from_f64(number)
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_core_schema() {
        let text = "a: 1\nb: -2.5\nc: yes\nd: true\ne: ~\nf: '3'\ng: 2024-01-02\nh: 1.0.0\n200: x\ni: 0x10\nj: |\n  k\n";
        let expected = json!({
            "a": 1, "b": -2.5, "c": "yes", "d": true, "e": null, "f": "3", "g": "2024-01-02", "h": "1.0.0", "200": "x",
            "i": 16, "j": "k\n",
        });
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(
            parse("a: &x {b: [1, 2]}\nc: *x\n"),
            Ok(json!({"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}))
        );
    }

    #[test]
    fn what_cannot_be_read() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let before = format!("*a{}, ", i - 1).repeat(10);
            laughs.push_str(&format!("a{i}: &a{i} [{before}]\n"));
        }
        let deep = "[".repeat(1000);
        let ladder: String = (1..200).fold("a0: &a0 [x]\n".to_owned(), |text, i| {
            format!("{text}a{i}: &a{i} [*a{}]\n", i - 1)
        });
        for (text, why) in [
            (laughs.as_str(), "more values"),
            (&deep, "recursion limit"),
            (&ladder, "too deeply"),
            ("a: 1\na: 2\n", "`a` is there twice"),
            ("[a]: 1\n", "no text"),
            ("a: *b\n", ""),
            ("a: [1\n", "not valid YAML"),
            ("", "empty"),
            ("a: 1\n---\nb: 1\n", "second YAML document"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
