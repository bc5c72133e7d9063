//! The generated files: they are up to date, and the JSON Schema agrees with the validator.

use std::collections::BTreeSet;
use std::path::Path;

use ferromcp_config::{Config, generated, json_schema, reference_markdown};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(&json_schema()).expect("the schema is JSON")
}

/// YAML takes JSON, so one text serves both.
fn accepted(value: &Value) -> bool {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    Config::from_yaml(&value.to_string(), &dir.join("ferromcp.yaml"), &|_| None).is_ok()
}

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, content) in generated() {
        let found = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(found == content, "{path} is out of date: run `cargo xtask gen`");
    }
    assert_eq!(generated(), generated());
}

#[test]
fn the_schema_is_a_valid_schema() {
    jsonschema::meta::validate(&schema()).expect("valid");
}

/// All paths of properties in the schema, as `servers.*.command`.
fn schema_paths(node: &Value, path: &str, out: &mut BTreeSet<String>) {
    if let Some(properties) = node.get("properties").and_then(Value::as_object) {
        assert_eq!(node["additionalProperties"], json!(false), "{path} is open");
        for (key, value) in properties {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            out.insert(path.clone());
            assert!(value["description"].is_string(), "{path} has no description");
            schema_paths(value, &path, out);
        }
    } else if let Some(item) = node.get("additionalProperties").filter(|v| v.is_object()) {
        schema_paths(item, &format!("{path}.*"), out);
    } else if let Some(item) = node.get("items").filter(|v| v.get("properties").is_some()) {
        schema_paths(item, &format!("{path}.#"), out);
    }
}

/// The validator names all keys of a place when it meets an unknown one: that list must be the schema's.
#[test]
fn the_validator_and_the_schema_know_the_same_keys() {
    let mut paths = BTreeSet::new();
    schema_paths(&schema(), "", &mut paths);
    assert!(paths.len() > 100, "{paths:?}");
    let groups: BTreeSet<String> = paths
        .iter()
        .map(|p| p.rsplit_once('.').map_or("", |(group, _)| group).to_owned())
        .collect();
    for group in groups {
        let text =
            group
                .rsplit('.')
                .filter(|s| !s.is_empty())
                .fold("{ zzzzz: 1 }".to_owned(), |inner, key| {
                    if key == "#" {
                        return format!("[{inner}]");
                    }
                    format!("{{ {}: {inner} }}", key.replace('*', "id"))
                });
        let error = Config::from_yaml(&text, Path::new("x.yaml"), &|_| None).expect_err(&text);
        let problem = error
            .problems()
            .iter()
            .find(|p| p.message() == "unknown key `zzzzz`")
            .expect("named");
        let known: BTreeSet<String> = problem
            .expected_text()
            .unwrap()
            .trim_start_matches("one of ")
            .split(", ")
            .map(str::to_owned)
            .collect();
        let in_schema: BTreeSet<String> = paths
            .iter()
            .filter(|p| p.rsplit_once('.').map_or("", |(g, _)| g) == group)
            .map(|p| p.rsplit('.').next().unwrap().to_owned())
            .collect();
        assert_eq!(known, in_schema, "{group:?}");
    }
}

#[test]
fn the_schema_and_the_validator_agree() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for good in [
        json!({}),
        json!({"listen": {"http": ":8080", "allowed_hosts": ["a"], "allowed_origins": ["https://a"]}}),
        json!({"servers": {"a": {"command": "x", "args": ["a", 1], "env": {"A": 1.5}, "timeout": "1s", "era": "auto"}}}),
        json!({"servers": {"a-b_c": {"url": "http://h", "headers": {"X": "y"}, "type": "streamable-http", "prefix": "p"}}}),
        json!({"servers": {"a": {"command": "x", "type": "stdio", "cwd": "src", "disabled": true, "tools": {"deny": ["*"]}}}}),
        json!({"builtin": {"echo": false, "files": {"roots": ["src"], "write": true, "delete": false, "max_read": "1KiB"}}}),
        json!({"sessions": {"max": 1, "idle_ttl": "1h", "init_timeout": "1s"}, "log": {"level": "warn", "format": "json", "calls": false}}),
        json!({"validation": {"max_body": "1MB", "max_items": 5, "max_depth": 128, "schema": "off"}}),
        json!({"tenants": {"a.b_c-1": {"name": "A", "keys": [format!("sha256:{}", "0a".repeat(32)), format!("sha256:{} until 2027-01-31T00:00:00Z", "0b".repeat(32))]}}}),
        json!({"tenants": {"a": {"tools": {"allow": ["x*"]}, "resources": {"deny": ["file:///*"]}, "prompts": {"allow": []}, "acts_for": ["*"], "limits": {"rate": "1/s"}}}}),
        json!({"tenants": {"a": {"quotas": {"tool_calls": "1000/min", "bytes": "10MiB/h", "batch_size": 50, "concurrent": 1}, "patterns": {}}}}),
        json!({"auth": {"jwt": {"issuer": "https://i", "audience": "a", "jwks": "https://j", "scopes": ["mcp:tools"]}}}),
        json!({"auth": {"jwt": {"issuer": "https://i", "audience": ["a", "b"], "secret": "s".repeat(32), "algorithms": ["HS256"]}, "anonymous": "local"}}),
        json!({"limits": {"rate": "100/10s", "burst": 5, "per": "tenant", "tools": {"web__*": {"rate": "1/day"}}}}),
        json!({"validation": {"patterns": {"action": "flag", "rules": {"pattern.sql": "off"}, "exempt": [{"field": "content"}]}, "redact": ["secrets", "pii"]}}),
        json!({"audit": {"file": "no-such-directory", "keep": {"age": "90d", "size": "1TiB"}, "redact": [], "sign_key": "Cargo.toml"}}),
        json!({"supervisor": {"default_timeout": "1s", "max_timeout": "2s", "start_timeout": "1s", "drain": "0s"}, "server": {"name": "n"}}),
    ] {
        assert!(validator.is_valid(&good), "schema refuses {good}");
        assert!(accepted(&good), "validator refuses {good}");
    }
    for bad in [
        json!([]),
        json!({"x": 1}),
        json!({"reload": {}}),
        json!({"tenants": {"A": {}}}),
        json!({"tenants": {"a": {"keys": ["plain key"]}}}),
        json!({"tenants": {"a": {"limits": {"burst": 5}}}}),
        json!({"auth": {"jwt": {"issuer": "https://i", "jwks": "https://j"}}}),
        json!({"auth": {"anonymous": "yes"}}),
        json!({"limits": {"rate": "100"}}),
        json!({"limits": {"rate": 100}}),
        json!({"limits": {"tools": {"a b": {"rate": "1/s"}}}}),
        json!({"validation": {"patterns": {"rules": {"shell": "off"}}}}),
        json!({"validation": {"patterns": {"exempt": {"tool": "x"}}}}),
        json!({"listen": {"grpc": "nowhere"}}),
        json!({"listen": {"http": "nowhere"}}),
        json!({"listen": {"allowed_hosts": []}}),
        json!({"servers": {"a": {}}}),
        json!({"servers": {"a": {"command": "x", "url": "http://h"}}}),
        json!({"servers": {"a": {"command": "x", "headers": {}}}}),
        json!({"servers": {"a": {"url": "http://h", "env": {}}}}),
        json!({"servers": {"a": {"url": "http://h", "type": "ws"}}}),
        json!({"servers": {"a": {"url": "https://h", "auth": {"oauth": {"client_id": [1]}}}}}),
        json!({"servers": {"a__b": {"command": "x"}}}),
        json!({"servers": {"a_": {"command": "x"}}}),
        json!({"servers": {"a": {"command": "x", "args": "y"}}}),
        json!({"servers": {"a": {"command": "x", "args": [null]}}}),
        json!({"servers": {"a": {"command": "", "env": {}}}}),
        json!({"servers": {"a": {"command": 1}}}),
        json!({"sessions": {"max": 0}}),
        json!({"sessions": {"max": "5"}}),
        json!({"supervisor": {"drain": "30"}}),
        json!({"supervisor": {"drain": 30}}),
        json!({"validation": {"max_body": "4 MiB"}}),
        json!({"validation": {"max_depth": 1000}}),
        json!({"log": {"level": "loud"}}),
        json!({"log": {"calls": "yes"}}),
        json!({"log": null}),
    ] {
        assert!(!validator.is_valid(&bad), "schema accepts {bad}");
        assert!(!accepted(&bad), "validator accepts {bad}");
    }
    let reference = json!({"log": {"calls": "${A}", "level": "${A}"}, "sessions": {"max": "${A}"}, "supervisor": {"drain": "${A}ms"}, "listen": {"http": "${file:a}"}});
    assert!(validator.is_valid(&reference));
}

/// The YAML blocks of the page are whole, valid files.
#[test]
fn the_yaml_of_the_reference_page_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    let page = reference_markdown();
    let blocks: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let env = |_: &str| Some("value".to_owned());
        Config::from_yaml(block, &dir.path().join("ferromcp.yaml"), &env)
            .unwrap_or_else(|e| panic!("{block}\n{e}"));
    }
    assert!(
        page.lines().all(|line| !line.contains("|  |  |")),
        "an empty cell"
    );
}
