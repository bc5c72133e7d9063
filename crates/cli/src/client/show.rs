//! Answers for people.

use serde_json::Value;

/// The list of tools, one a paragraph.
pub(super) fn tools(listed: &Value) -> String {
    let tools = listed["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = String::new();
    for tool in tools {
        let text = |key: &str| tool[key].as_str().unwrap_or_default();
        out.push_str(&clean(text("name")));
        out.push_str(&parameters(&tool["input_schema"]));
        out.push_str(&format!(
            "  [{}{}{}]\n",
            clean(text("source")),
            hints(&tool["annotations"]),
            // Servers before this field listed only what they could.
            if tool["available"] == false {
                ", unavailable"
            } else {
                ""
            }
        ));
        let first = text("description").lines().next().unwrap_or_default();
        if !first.is_empty() {
            out.push_str(&format!("    {}\n", clean(first)));
        }
    }
    let count = tools.len();
    out.push_str(&format!("{count} tool{}\n", if count == 1 { "" } else { "s" }));
    out
}

/// `(path, limit?)`: names of the parameters, `?` for optional ones.
fn parameters(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema["properties"].as_object() else {
        return "()".into();
    };
    let mut names: Vec<_> = properties
        .keys()
        .map(|name| (!required.contains(&name.as_str()), name))
        .collect();
    names.sort();
    let shown: Vec<String> = names
        .into_iter()
        .map(|(optional, name)| format!("{}{}", clean(name), if optional { "?" } else { "" }))
        .collect();
    format!("({})", shown.join(", "))
}

fn hints(annotations: &Value) -> String {
    if annotations["readOnlyHint"] == true {
        ", read-only".into()
    } else if annotations["destructiveHint"] == true {
        ", destructive".into()
    } else {
        String::new()
    }
}

/// The result of a call: text as it is, everything else as indented JSON.
pub(super) fn output(answer: &Value) -> String {
    let mut text = match &answer["output"] {
        Value::String(text) => clean(text),
        Value::Null => String::new(),
        other => format!("{other:#}"),
    };
    for block in answer["content"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("text") => {}
            Some(kind) => {
                let mime = block["mimeType"].as_str().unwrap_or("no type given");
                let size = block["data"].as_str().map_or(0, str::len);
                text.push_str(&format!(
                    "\n[{}: {}, {size} bytes of base64; --json shows it]",
                    clean(kind),
                    clean(mime)
                ));
            }
            None => {}
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The results of a batch, each under its id or number, and how many there are.
pub(super) fn batch(answer: &Value) -> String {
    let mut out = String::new();
    for (at, response) in answer["responses"].as_array().into_iter().flatten().enumerate() {
        match response["id"].as_str() {
            Some(id) => out.push_str(&format!("== {}\n", clean(id))),
            None => out.push_str(&format!("== {at}\n")),
        }
        match response["success"] == true {
            true => out.push_str(&output(response)),
            false => out.push_str(&failure(response)),
        }
    }
    let count = |key: &str| answer[key].as_u64().unwrap_or_default();
    out.push_str(&format!(
        "{} succeeded, {} failed\n",
        count("success_count"),
        count("error_count")
    ));
    out
}

/// Why a call failed.
pub(super) fn failure(answer: &Value) -> String {
    let error = &answer["error"];
    let mut out = format!(
        "{}: {}\n",
        error["code"].as_str().unwrap_or("error"),
        clean(error["message"].as_str().unwrap_or("the server did not say why"))
    );
    if let Some(rule) = error["rule"].as_str() {
        out.push_str(&format!("  rule: {}\n", clean(rule)));
    }
    let issues = if error["issues"].is_array() {
        &error["issues"]
    } else {
        &error["details"]["issues"]
    };
    for issue in issues.as_array().into_iter().flatten() {
        let pointer = issue["pointer"].as_str().filter(|p| !p.is_empty()).unwrap_or("/");
        out.push_str(&format!(
            "  {}: {}\n",
            clean(pointer),
            clean(issue["message"].as_str().unwrap_or_default())
        ));
    }
    if let Some(id) = answer["request_id"].as_str() {
        out.push_str(&format!("  request: {}\n", clean(id)));
    }
    out
}

/// Without control characters: what a tool answers must not drive the terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{batch, failure, output, tools};
    use serde_json::json;

    #[test]
    fn tools_are_listed_with_their_parameters() {
        let listed = json!({"tools": [
            {"name": "read", "source": "builtin", "description": "Reads.\nMore.", "annotations": {"readOnlyHint": true},
             "input_schema": {"properties": {"limit": {}, "path": {}}, "required": ["path"]}},
            {"name": "evil\u{1b}[2J", "source": "x", "input_schema": {}, "available": false},
        ]});
        let shown = tools(&listed);
        assert_eq!(
            shown,
            "read(path, limit?)  [builtin, read-only]\n    Reads.\nevil\u{fffd}[2J()  [x, unavailable]\n2 tools\n"
        );
    }

    #[test]
    fn batches_are_shown_call_by_call() {
        let answer = json!({"responses": [
            {"id": "a", "success": true, "output": "one"},
            {"success": false, "error": {"code": "timeout", "message": "late"}},
        ], "success_count": 1, "error_count": 1});
        assert_eq!(
            batch(&answer),
            "== a\none\n== 1\ntimeout: late\n1 succeeded, 1 failed\n"
        );
    }

    #[test]
    fn outputs_and_failures_never_drive_the_terminal() {
        assert_eq!(
            output(&json!({"output": "a\u{1b}[31mb", "content": []})),
            "a\u{fffd}[31mb\n"
        );
        assert_eq!(output(&json!({"output": {"a": 1}})), "{\n  \"a\": 1\n}\n");
        let answer = json!({"error": {"code": "invalid_arguments", "message": "no", "rule": "r",
            "issues": [{"pointer": "/a", "message": "bad"}]}, "request_id": "7"});
        assert_eq!(
            failure(&answer),
            "invalid_arguments: no\n  rule: r\n  /a: bad\n  request: 7\n"
        );
    }
}
