//! What the README shows of tenants is true: the configuration starts, and a denial looks as it says.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Served, ferromcp, finish, made};

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("README.md");
    std::fs::read_to_string(path).unwrap()
}

/// The blocks of a language in a section, in their order.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let text = readme();
    let (_, rest) = text
        .split_once(&format!("\n## {section}\n"))
        .expect("the section");
    let section = rest.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    let found = section.split(&fence).skip(1);
    found
        .map(|block| block.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_tenant_with_key_access_list_and_quota_in_twelve_lines() {
    let [config] = &blocks("Guard it", "yaml")[..] else {
        panic!("one configuration")
    };
    let settings = config.lines().filter(|line| !line.starts_with('#'));
    assert!(settings.count() <= 12, "{config}");
    let (key, hash) = made(&["keys", "new", "company-a", "--json"]);
    let shown = "sha256:0f3c...the line that was printed";
    assert!(config.contains(shown), "{config}");
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("data")).unwrap();
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, config.replace(shown, &hash)).unwrap();
    let served = Served::with_config(&file);
    let call = |tool: &str, arguments: Value| {
        let body = json!({ "tool": tool, "arguments": arguments }).to_string();
        let headers = [("Content-Type", "application/json"), ("X-Api-Key", key.as_str())];
        served.door.request("POST", "/v1/tools/call", &headers, &body)
    };
    assert_eq!(call("echo", json!({ "msg": "x" })).json()["output"], "x");

    // The denial, as it is shown.
    let commands = blocks("Guard it", "sh");
    let shown = commands
        .iter()
        .flat_map(|block| block.lines())
        .find_map(|line| line.strip_prefix("# {\"success\":false"));
    let shown = format!(
        "{{\"success\":false{}",
        shown.expect("a denial").split(",...").next().unwrap()
    );
    let denied = call("write_file", json!({ "path": "a", "content": "b" }));
    assert_eq!(denied.status, 404);
    assert!(denied.body.starts_with(&shown), "{} is not {shown}", denied.body);
    assert_eq!(
        call("no_such_tool", json!({})).json()["error"]["code"],
        "tool_not_found"
    );

    let run = |arguments: &[&str]| {
        let mut command = ferromcp(arguments);
        command.current_dir(directory.path());
        finish(command, "")
    };
    let why = run(&[
        "why",
        "--config",
        "ferromcp.yaml",
        "--tenant",
        "company-a",
        "write_file",
    ]);
    let shown = commands
        .iter()
        .flat_map(|block| block.lines())
        .find_map(|line| line.strip_prefix("# ...  authorize "));
    // For a terminal; into a pipe goes the same as JSON.
    let (message, rule) = shown.expect("a verdict").trim().split_once(" [").unwrap();
    let rule = format!("\"{}\"", rule.trim_end_matches(']'));
    assert!(
        why.stdout.contains(message) && why.stdout.contains(&rule),
        "{why:?} has no {message} or {rule}"
    );

    drop(served);
    let denials = run(&[
        "audit",
        "query",
        "./audit",
        "--tenant",
        "company-a",
        "--decision",
        "deny",
        "--since",
        "1h",
    ]);
    assert_eq!(denials.stdout.lines().count(), 2, "{denials:?}");
    let denial: Value = serde_json::from_str(denials.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(denial["rule"], "acl.tool.default", "{denial}");
    assert_eq!(run(&["audit", "verify", "./audit"]).code, 0);
}
