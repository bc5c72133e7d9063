//! What the README shows of tenants is true: the configuration starts, and a denial looks as it says.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Peers, Served, directory_with, ferromcp, finish, made, program};

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

/// Calls `read_file` of the server of this name in a host's file, which is started as the host starts it. By MCP Inspector,
/// which reads files of this form.
fn read_through_host_file(file: &Path, server: &str) -> Value {
    let peers = Peers::find();
    let mut command = std::process::Command::new(&peers.node);
    command
        .arg(peers.file("@modelcontextprotocol/inspector/clients/launcher/build/index.js"))
        .args([
            "--cli",
            "--format",
            "json",
            "--quiet",
            "--connect-timeout",
            "50000",
            "--config",
        ])
        .arg(file)
        .args([
            "--server",
            server,
            "--method",
            "tools/call",
            "--tool-name",
            "read_file",
        ])
        .args(["--tool-args-json", r#"{"path":"hello.txt"}"#]);
    // Where `cargo install` puts it.
    let directories = std::env::var_os("PATH").unwrap();
    let directories =
        std::iter::once(program().parent().unwrap().to_owned()).chain(std::env::split_paths(&directories));
    command.env("PATH", std::env::join_paths(directories).unwrap());
    let said = finish(command, "");
    assert_eq!(said.code, 0, "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn a_host_that_starts_its_servers_starts_us() {
    let data = directory_with("hello.txt", "kept here");
    let [entry] = &blocks("Use it from an MCP host", "json")[..] else {
        panic!("one configuration of a host")
    };
    assert!(entry.contains("/path/to/data"), "{entry}");
    let entry = entry.replace("/path/to/data", data.path().to_str().unwrap());
    // Claude Desktop's file on Linux, with nothing else in it.
    let file = data.path().join("claude_desktop_config.json");
    std::fs::write(&file, &entry).unwrap();
    let answer = read_through_host_file(&file, "ferromcp");
    assert!(answer.to_string().contains("kept here"), "{answer}");

    // The same by `init`: a server that the host had is reached through us.
    let [commands] = &blocks("Use it from an MCP host", "sh")[..] else {
        panic!("how it is done by itself")
    };
    let commands: Vec<&str> = commands
        .lines()
        .map(|line| line.split("  #").next().unwrap().trim())
        .collect();
    let home = data.path().join("home");
    let host = home.join(".config/Claude/claude_desktop_config.json");
    std::fs::create_dir_all(host.parent().unwrap()).unwrap();
    let before = entry.replace("\"ferromcp\": {", "\"notes\": {").replace(
        "\"command\": \"ferromcp\"",
        &json!({ "command": program() })
            .to_string()
            .replace(['{', '}'], ""),
    );
    std::fs::write(&host, &before).unwrap();
    let run = |line: &str| {
        let words: Vec<&str> = line.strip_prefix("ferromcp ").unwrap().split(' ').collect();
        let mut command = ferromcp(&words);
        command
            .current_dir(data.path())
            .env("HOME", &home)
            .env_remove("XDG_CONFIG_HOME");
        let said = finish(command, "");
        assert_eq!(said.code, 0, "{line}: {said:?}");
    };
    let [init, undo] = commands[..] else {
        panic!("{commands:?}")
    };
    run(init);
    let after = std::fs::read_to_string(&host).unwrap();
    assert!(
        after.contains("\"ferromcp\"") && !after.contains("\"notes\""),
        "{after}"
    );
    run(undo);
    assert_eq!(std::fs::read_to_string(&host).unwrap(), before);
}
