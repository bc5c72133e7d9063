//! Batches over REST, as `batch_call` over MCP, and from the command line: the same calls, rights, limits and records.

use serde_json::{Value, json};

use crate::support::{Door, LEGACY, Served, directory_with, eventually, ferromcp, finish};

const CONFIG: &str = "
listen: { http: 127.0.0.1:0 }
builtin: { batch: true, files: { roots: [.], write: true } }
tenants:
  small: { keys: [HASH], tools: { deny: [write_file] }, quotas: { batch_size: 3, concurrent: 1 } }
auth: { anonymous: local }
audit: { file: audit }
";

struct Setup {
    directory: tempfile::TempDir,
    key: String,
    served: Served,
}

fn setup() -> Setup {
    let made = finish(ferromcp(["keys", "new", "small", "--json"]), "");
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    let config = CONFIG.replace("HASH", made["hash"].as_str().unwrap());
    let directory = directory_with("ferromcp.yaml", &config);
    let served = Served::with_config(&directory.path().join("ferromcp.yaml"));
    Setup {
        directory,
        key: made["key"].as_str().unwrap().to_owned(),
        served,
    }
}

fn rest(door: &Door, key: Option<&str>, body: &Value) -> Value {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(bearer.as_deref().map(|b| ("Authorization", b)));
    door.request("POST", "/v1/tools/batch", &headers, &body.to_string())
        .json()
}

/// The same batch as `batch_call` of a client of 2025-11-25: its structured content, or the error's data.
fn carried(door: &Door, key: Option<&str>, body: &Value) -> Value {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    headers.extend(bearer.as_deref().map(|b| ("Authorization", b)));
    let client = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } });
    let begin = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client });
    let begun = door.request("POST", "/mcp", &headers, &begin.to_string());
    let session = begun.header("mcp-session-id").expect("a session").to_owned();
    headers.push(("Mcp-Session-Id", &session));
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": { "name": "batch_call", "arguments": body } });
    let answer = door
        .request("POST", "/mcp", &headers, &call.to_string())
        .messages()
        .remove(0);
    match answer["result"]["structuredContent"] {
        Value::Null => {
            json!({ "error": answer["error"]["data"], "text": answer["result"]["content"][0]["text"] })
        }
        ref data => data.clone(),
    }
}

fn rules(answer: &Value) -> Vec<&str> {
    let responses = answer["responses"].as_array();
    let responses = responses.unwrap_or_else(|| panic!("no responses: {answer}"));
    responses
        .iter()
        .map(|r| match r["error"]["rule"].as_str() {
            Some(rule) => rule,
            None => r["error"]["code"].as_str().unwrap_or("ok"),
        })
        .collect()
}

fn echo(msg: &Value) -> Value {
    json!({ "tool": "echo", "arguments": { "msg": msg } })
}

#[test]
fn both_ways_run_the_same_calls() {
    let setup = setup();
    let door = &setup.served.door;
    let chain = json!({ "requests": [
        { "tool": "read_file", "arguments": { "path": { "$result": "name" } } },
        { "id": "put", "tool": "write_file", "arguments": { "path": "a.txt", "content": "<script>alert(1)</script>" } },
        { "id": "name", "tool": "echo", "arguments": { "msg": "a.txt" } },
        { "tool": "read_file", "arguments": { "path": "../../etc/passwd" } },
        { "tool": "echo", "arguments": { "msg": { "$result": "bad" } } },
        { "id": "bad", "tool": "echo", "arguments": {} },
        { "tool": "echo", "arguments": { "msg": { "$result": "name", "pointer": "/0" } } },
    ] });
    let stopping = json!({ "stop_on_error": true, "requests": [echo(&json!(1)), echo(&json!("x"))] });
    for way in [rest, carried] {
        let answer = way(door, None, &chain);
        // The first waits for the third, so the file is there.
        assert_eq!(
            rules(&answer),
            [
                "ok",
                "ok",
                "ok",
                "pattern.path.traversal",
                "batch.dependency",
                "schema.arguments",
                "batch.reference"
            ],
            "{answer}"
        );
        assert_eq!(
            rules(&way(door, None, &stopping)),
            ["schema.arguments", "batch.stopped"]
        );
    }
    // A batch in a batch could ask for more at the same time, and more calls, than either may.
    let nested = json!({ "requests": [{ "tool": "batch_call", "arguments": stopping }] });
    for way in [rest, carried] {
        assert_eq!(rules(&way(door, None, &nested)), ["batch.nested"]);
    }
}

#[test]
fn what_is_no_batch_is_refused_by_both_ways_alike() {
    let setup = setup();
    let door = &setup.served.door;
    let named = json!({ "id": "a", "tool": "echo", "arguments": { "msg": "x" } });
    let own = json!({ "id": "a", "tool": "echo", "arguments": { "msg": { "$result": "a" } } });
    for (requests, rule) in [
        (json!([named, named]), "batch.duplicate_id"),
        (json!([own]), "batch.cycle"),
        (json!([echo(&json!({ "$result": "b" }))]), "batch.reference"),
    ] {
        for way in [rest, carried] {
            let answer = way(door, None, &json!({ "requests": requests }));
            assert_eq!(answer["error"]["rule"], rule, "{answer}");
        }
    }
    let many = json!({ "requests": vec![json!({ "tool": "echo" }); 100_000] });
    assert_eq!(rest(door, None, &many)["error"]["rule"], "batch.calls");
    let answer = carried(door, None, &many);
    assert!(
        answer["text"].as_str().is_some_and(|text| text.contains("10000")),
        "{answer}"
    );
}

#[test]
fn a_batch_is_no_way_round_a_policy() {
    let mut setup = setup();
    let (door, key) = (setup.served.door.clone(), setup.key.clone());
    let write = json!({ "tool": "write_file", "arguments": { "path": "b.txt", "content": "x" } });
    for way in [rest, carried] {
        let fits = way(
            &door,
            Some(&key),
            &json!({ "max_parallel": 5, "requests": [write, echo(&json!("x")), echo(&json!("y"))] }),
        );
        assert_eq!(rules(&fits), ["tool_not_found", "ok", "ok"], "{fits}");
        let four = json!({ "requests": vec![echo(&json!("x")); 4] });
        assert_eq!(way(&door, Some(&key), &four)["error"]["rule"], "quota.batch_size");
    }
    assert!(!setup.directory.path().join("b.txt").exists());
    setup.served.process.signal(rustix::process::Signal::TERM);
    assert_eq!(setup.served.process.exit_code(crate::support::PATIENCE), 0);
    let log = setup.directory.path().join("audit");
    let mut query = ferromcp(["audit", "query"]);
    query.arg(&log).args(["--kind", "call"]);
    let records = eventually("the records", || {
        let mut query = ferromcp(["audit", "query"]);
        query.arg(&log).args(["--kind", "call"]);
        let read = finish(query, "");
        (read.code == 0).then_some(read.stdout)
    });
    let mut seen: Vec<String> = records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|r| {
            format!(
                "{} {} {}",
                r["tool"].as_str().unwrap(),
                r["outcome"].as_str().unwrap(),
                r["rule"].as_str().unwrap_or("-")
            )
        })
        .collect();
    seen.sort();
    let mut expected = vec![
        "batch quota_exceeded quota.batch_size".to_owned(),
        "batch quota_exceeded quota.batch_size".to_owned(),
        "batch_call ok -".to_owned(),
        "batch_call quota_exceeded quota.batch_size".to_owned(),
    ];
    for _ in 0..2 {
        expected.push("echo ok -".into());
        expected.push("echo ok -".into());
        expected.push("write_file permission_denied acl.tool.deny".into());
    }
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn the_command_line_sends_batches_and_shows_each_result() {
    let setup = setup();
    let url = format!("http://{}", setup.served.door.address);
    let file = setup.directory.path().join("batch.json");
    let requests = json!([{ "id": "a", "tool": "echo", "arguments": { "msg": "one" } }, echo(&json!({ "$result": "a" })), echo(&json!(1))]);
    std::fs::write(&file, requests.to_string()).unwrap();
    let at_file = format!("@{}", file.display());
    let config = setup.directory.path().join("ferromcp.yaml");
    let config = config.to_str().unwrap();
    for target in [["--url", url.as_str()], ["--config", config]] {
        let mut command = ferromcp(["batch", &at_file, "--parallel", "2"]);
        command.args(target);
        let done = finish(command, "");
        assert_eq!(done.code, 1, "{done:?}");
        let answer: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(rules(&answer), ["ok", "ok", "schema.arguments"]);
        let mut command = ferromcp(["batch", "-", "--stop-on-error"]);
        command.args(target);
        let body = json!({ "requests": [echo(&json!("x"))], "stop_on_error": false, "parallel": false });
        let done = finish(command, &body.to_string());
        assert_eq!(done.code, 0, "{done:?}");
        let mut command = ferromcp(["batch", "[{\"tool\":\"echo\",\"tool\":\"x\"}]"]);
        command.args(target);
        let wrong = finish(command, "");
        assert!(
            wrong.code != 0 && wrong.stderr.contains("duplicate key"),
            "{wrong:?}"
        );
    }
    let cut = finish(ferromcp(["batch", "[{\"tool\":"]), "");
    assert_eq!(cut.code, 2, "{cut:?}");
    assert!(cut.stderr.contains("not a batch"), "{cut:?}");
}
