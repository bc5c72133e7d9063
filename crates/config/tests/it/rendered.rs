//! The text of errors, as a user sees it.

use std::path::Path;

use ferromcp_config::{Config, import};

use crate::load;

fn render(text: &str) -> String {
    load(text).expect_err("the text has mistakes").render(false)
}

macro_rules! snapshot {
    ($name:literal, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        });
    };
}

#[test]
fn many_mistakes_at_once() {
    snapshot!(
        "many_mistakes",
        render(
            r#"# all of these are reported in one go
listn: { http: 1 }
listen: { http: "example.com:8080", allowed_hosts: ["*"], grpc: 127.0.0.1:50051 }
servers:
  files:
    comand: npx
    args: [-y, [nested], true]
    env: { TOKEN: "hunter2", OTHER: { a: 1 } }
    timeout: 30
  a__b: { command: x }
  both: { command: x, url: "http://localhost/mcp" }
  old: { url: "http://localhost/sse", type: sse, env: { A: b } }
supervisor: { default_timeout: 20m, idle_timeout: 5s, drain: 2h }
validation: { max_depth: 1000, schema: enforced, max_body: 4 MB, patterns: {} }
builtin: { echo: yes, files: { roots: [./no-such-directory] } }
tenants: { a: { keys: [hunter2] } }
log: { level: INFO }
log: { level: warn }
"#
        )
    );
}

#[test]
fn coloured() {
    let error = load("servers:\n  files: { comand: npx }\n").expect_err("unknown key");
    snapshot!("coloured", error.render(true).replace('\x1b', "<ESC>"));
}

#[test]
fn secrets_are_masked_in_excerpts() {
    let text = r#"servers:
  a: { command: x, evn: { TOKEN: hunter2 }, env: { TOKEN: "hunter2" }, timeout: 99h } # hunter2
  b: { url: "ftp://host/?key=hunter2", headers: { Authorization: "Bearer hunter2", Authorization: hunter2 } }
  c: { command: x, env: "TOKEN=hunter2" }
  d: { command: x, args: [--token, hunter2, ${MISSING}x, {hunter: 1}] }
  e: { command: x, env: [hunter2] }
  f: { url: "http://user:hunter2@host/", headers: { X: "ü hunter2" } }
  g: { command: x, env: {A: |
    hunter2
  }, x: 1 }
"#;
    let syntax = render(text);
    assert!(!syntax.contains("hunter2"), "{syntax}");
    let text = text
        .replace("${MISSING}x", "\"${MISSING}x\"")
        .replace("{A: |\n    hunter2\n  }", "{A: hunter2}");
    let shown = render(&text);
    assert!(!shown.contains("hunter2"), "{shown}");
    snapshot!("masked", shown);
}

#[test]
fn secrets_are_masked_where_the_text_cannot_be_parsed() {
    for text in [
        "servers:\n  a:\n    env:\n      TOKEN: \"hunter2\n",
        "servers: { a: { env: { TOKEN: hunter2, X: 'hunter2 } } }",
        "servers:\n  a:\n    headers: {A: Bearer hunter2]\n",
        "servers:\n  a:\n    env:\n      TOKEN: hunter2: x\n",
        "servers:\n  a:\n    env:\n      TOKEN: \"a:hunter2\" hunter2\n",
        "servers:\n  a:\n    env:\n\tTOKEN: hunter2\n",
        "a: @hunter2\n",
        "a: hunter2\u{1}\n",
    ] {
        let shown = render(text);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!format!("{:?}", load(text)).contains("hunter2"));
    }
}

#[test]
fn what_a_reference_stands_for_is_never_shown() {
    let text = "listen: { http: \"${TOKEN}\" }\nlog: { level: \"${TOKEN}\", calls: \"${BAD}\" }\n\
                validation: { max_body: \"${TOKEN}\", max_items: \"${TOKEN}\" }\n\
                servers: { a: { url: \"${BAD}\" }, b: { command: \"${BAD}\", prefix: \"${BAD}\", tools: { allow: [\"${BAD}\"] } } }\n";
    let shown = render(text);
    assert!(!shown.contains("hunter2"), "{shown}");
    snapshot!("references", shown);
}

#[test]
fn syntax_errors() {
    let mut out = String::new();
    for text in [
        "servers:\n  a: { command: npx",
        "servers:\n  a:\n    env:\n      TOKEN: \"hunter2",
        "log:\n\tlevel: info\n",
        "log: { level: ${LEVEL} }\n",
        "log: [\n",
        "log: }\n",
        "log: {}\n---\nlog: {}\n",
        "log: &a { level: info }\nsessions: *b\n",
        "log: &a { level: *a }\n",
        "log: !custom { level: !!str info }\n",
        "log: { <<: { level: info } }\n",
        "? [a, b]\n: c\n",
        "? |\n  TOKEN: hunter2\n",
        "- a\n- b\n",
        "just text\n",
        "42\n",
        "log:\n",
        "log: {}\u{7}\n",
    ] {
        out.push_str(&format!("=== {text:?}\n{}", render(text)));
    }
    snapshot!("syntax", out);
}

#[test]
fn long_and_strange_lines_are_cut_and_cleaned() {
    let long = "x".repeat(300);
    let text = format!(
        "log: {{ level: info, format: text, calls: true, {long}: 1, levle: 1 }}\nserver: {{ nam\u{202e}e: \u{e9}, titel: x }}\n"
    );
    let shown = render(&text);
    assert!(!shown.contains('\u{202e}'));
    assert!(shown.lines().all(|line| line.chars().count() < 260), "{shown}");
    snapshot!("long_lines", shown);
}

#[test]
fn whole_file_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut out = String::new();
    for (name, bytes) in [
        ("latin1.yaml", &b"server:\n  title: caf\xe9\n"[..]),
        ("utf16.yaml", &b"\xff\xfel\0o\0g\0"[..]),
        ("large.yaml", &vec![b'#'; 4 * 1024 * 1024 + 1][..]),
        ("nul.yaml", &b"log: {}\n\0\0\0\0"[..]),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        out.push_str(&Config::load(&path).expect_err("refused").render(false));
    }
    out.push_str(
        &Config::load(dir.path().join("missing.yaml"))
            .expect_err("missing")
            .render(false),
    );
    snapshot!(
        "whole_file",
        out.replace(&dir.path().display().to_string(), "DIR")
    );
}

#[test]
fn import_errors() {
    let mut out = String::new();
    for text in [
        r#"{"mcpServers": {"a": {"command": "x", "env": {"TOKEN": "hunter2""#,
        r#"{"mcpServers": {"a": {"command": "x", "command": "y", "args": "hunter2"}, "b": {}, "c": 5}}"#,
        r#"{"mcpServers": {"a": {"url": "hunter2"}, "b": {"url": "http://x", "command": "y"}, "c": {"command": true, "env": {"A=B": "x"}}}}"#,
        r#"{"mcpServers": [1]}"#,
        r#"{"a": 1}"#,
        "[]",
        "",
        "{'a': 1}",
        r#"{"mcpServers": {} } trailing"#,
        "{\"a\": \"line\nbreak\"}",
        r#"{"a": "\x"}"#,
        r#"{"a": "\ud800"}"#,
        r#"{"a": 01}"#,
        r#"{"a": nope}"#,
    ] {
        let error = import(text, Path::new("mcp.json"))
            .expect_err("refused")
            .render(false);
        assert!(!error.contains("hunter2"), "{error}");
        out.push_str(&format!("=== {text}\n{error}"));
    }
    snapshot!("import_errors", out);
}
