//! Key guesses: one address may be wrong so often, and others are left alone.

use serde_json::{Value, json};

use crate::support::{Answer, Door, MODERN, Served, ferromcp, finish, made};

/// One request of each door with a key.
fn ask(door: &Door, key: &str) -> [Answer; 3] {
    let json = ("Content-Type", "application/json");
    let accept = ("Accept", "application/json, text/event-stream");
    let bearer = format!("Bearer {key}");
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } });
    let open = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {} });
    let list =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } }).to_string();
    let modern = [
        json,
        accept,
        ("Authorization", &bearer),
        ("MCP-Protocol-Version", MODERN),
        ("Mcp-Method", "tools/list"),
    ];
    [
        door.request("GET", "/v1/tools", &[("X-Api-Key", key)], ""),
        door.request("POST", "/mcp", &[json, accept, ("Authorization", &bearer)], &open),
        door.request("POST", "/mcp", &modern, &list),
    ]
}

fn statuses(answers: &[Answer; 3]) -> [u16; 3] {
    answers.each_ref().map(|answer| answer.status)
}

#[test]
fn wrong_keys_of_one_address_are_limited_and_good_ones_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let keys = [0; 3].map(|_| made(&["keys", "new", "acme", "--json"]));
    let [(used, _), (fresh, _), _] = &keys;
    let hashes: Vec<&String> = keys.iter().map(|(_, hash)| hash).collect();
    let config = json!({
        "tenants": { "acme": { "keys": hashes } },
        "auth": { "guesses": { "rate": "1/h", "burst": 9 } },
        "audit": { "file": "audit" },
    });
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let served = Served::with_config(&file);
    let (here, there) = (&served.door, served.door.from([127, 0, 0, 2].into()));
    assert_eq!(statuses(&ask(here, used)), [200; 3]);

    for _ in 0..3 {
        assert_eq!(statuses(&ask(here, "fmcp_acme_wrong")), [401; 3]);
    }
    let refused = ask(here, "another wrong one");
    assert_eq!(statuses(&refused), [429; 3], "{refused:?}");
    for answer in &refused {
        let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=3_600).contains(&after), "{answer:?}");
        assert!(
            answer.body.contains("auth.guesses") && answer.body.contains("retry_after_ms"),
            "{answer:?}"
        );
        assert_eq!(answer.header("www-authenticate"), None, "{answer:?}");
    }
    served
        .process
        .stderr
        .wait(|line| line.contains("auth.guesses").then_some(()));
    // A key that was in use from here is; one that was not has to wait, as it may be a guess.
    assert_eq!(statuses(&ask(here, used)), [200; 3]);
    assert_eq!(statuses(&ask(here, fresh)), [429; 3]);
    // Whoever shows nothing guesses nothing, and what needs no key needs none.
    assert_eq!(here.get("/v1/tools").status, 401);
    assert_eq!(
        here.request("GET", "/healthz", &[("X-Api-Key", "wrong")], "")
            .status,
        200
    );
    // Other addresses are not concerned.
    assert_eq!(statuses(&ask(&there, fresh)), [200; 3]);
    assert_eq!(statuses(&ask(&there, "wrong")), [401; 3]);

    // What was refused unseen does not fill the audit log either.
    drop(served);
    let mut query = ferromcp(["audit", "query", "audit"]);
    query.current_dir(directory.path());
    let records = finish(query, "").stdout;
    assert!(!records.contains("auth.guesses"), "{records}");
}

#[test]
fn the_default_is_in_the_schema_and_a_setting_without_effect_is_refused() {
    let schema: Value = serde_json::from_str(&finish(ferromcp(["schema"]), "").stdout).unwrap();
    assert!(schema.to_string().contains("\"guesses\""), "{schema}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, "auth: { guesses: { rate: 1/min } }\n").unwrap();
    let checked = finish(ferromcp(["check".as_ref(), file.as_os_str()]), "");
    assert_eq!(checked.code, 2, "{checked:?}");
    assert!(
        checked.stderr.contains("guesses") || checked.stdout.contains("guesses"),
        "{checked:?}"
    );

    let (_, hash) = made(&["keys", "new", "acme", "--json"]);
    std::fs::write(
        &file,
        json!({ "tenants": { "acme": { "keys": [hash] } } }).to_string(),
    )
    .unwrap();
    let served = Served::with_config(&file);
    let mut looked_at = 0;
    while served
        .door
        .request("GET", "/v1/tools", &[("X-Api-Key", "wrong")], "")
        .status
        == 401
    {
        looked_at += 1;
        assert!(looked_at < 1_000, "nobody stops it");
    }
    // 60 at once, and one more every two seconds that this takes.
    assert!(looked_at >= 60, "{looked_at}");
}
