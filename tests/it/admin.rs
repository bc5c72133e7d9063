//! The admin API of a running server: what it changes is in force on every door, and survives a kill.

use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Door, LEGACY, PATIENCE, Process, Setup, eventually, ferromcp, finish};

/// Status of a REST call to echo.
fn call(door: &Door, key: &str) -> u16 {
    let headers = [("Content-Type", "application/json"), ("X-Api-Key", key)];
    let body = json!({ "tool": "echo", "arguments": { "msg": "x" } }).to_string();
    door.request("POST", "/v1/tools/call", &headers, &body).status
}

/// Status of a request in a legacy session.
fn legacy(door: &Door, session: &str, key: &str) -> u16 {
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", LEGACY),
        ("Mcp-Session-Id", session),
        ("X-Api-Key", key),
    ];
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
    door.request("POST", "/mcp", &headers, &body).status
}

fn open_legacy(door: &Door, key: &str) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
    } });
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("X-Api-Key", key),
    ];
    let answer = door.request("POST", "/mcp", &headers, &body.to_string());
    answer.header("mcp-session-id").expect("a session").to_owned()
}

#[test]
fn a_tenant_is_made_used_suspended_and_survives_a_restart() {
    let setup = Setup::new();
    let (mut served, api) = setup.start();
    assert_eq!(call(&served.door, "nobody"), 401);
    let made = api.ask(
        "POST",
        "tenants",
        &[],
        r#"{"id":"acme","quotas":{"tool_calls":"5/h","concurrent":3}}"#,
    );
    assert_eq!(
        (made.status, made.header("etag")),
        (201, Some("\"1\"")),
        "{made:?}"
    );
    let key = api.key("acme");
    assert_eq!(call(&served.door, &key), 200);
    assert_eq!(call(&served.door, &key), 200);
    let session = open_legacy(&served.door, &key);
    assert_eq!(legacy(&served.door, &session, &key), 200);
    // An unrelated change leaves what was used as it is.
    api.ok(
        "PATCH",
        "tenants/acme",
        r#"{"name":"Acme","tools":{"deny":["nothing_like_it"]}}"#,
    );
    let usage = api.ok("GET", "tenants/acme/usage", "");
    assert_eq!(usage["quotas"]["tool_calls"]["used"], 2, "{usage}");
    assert_eq!(usage["quotas"]["tool_calls"]["remaining"], 3, "{usage}");
    assert_eq!(usage["quotas"]["tool_calls"]["window_ms"], 3_600_000, "{usage}");
    assert_eq!(
        usage["concurrent"],
        json!({ "now": 0, "limit": 3, "remaining": 3 }),
        "{usage}"
    );
    // Out at once, on every door.
    api.ok("POST", "tenants/acme/suspend", "");
    assert_eq!(call(&served.door, &key), 403);
    assert_ne!(legacy(&served.door, &session, &key), 200);
    let why = api.ok(
        "POST",
        "why",
        r#"{"tenant":"acme","tool":"echo","arguments":{"msg":"x"}}"#,
    );
    assert_eq!(why["passes"], false);
    api.ok("POST", "tenants/acme/resume", "");
    assert_eq!(call(&served.door, &key), 200);
    let why = api.ok(
        "POST",
        "why",
        r#"{"tenant":"acme","tool":"echo","arguments":{"msg":"x"}}"#,
    );
    assert_eq!(why["passes"], true, "{why}");
    assert!(why.to_string().contains("2 of 5 left"), "{why}");
    // The records: calls and changes, newest first, no secret.
    let records = api.ok("GET", "audit?tenant=acme&kind=admin&limit=2", "");
    let records = records["records"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[0]["method"], "tenant.resume");
    assert!(records[0]["principal"].as_str().unwrap().starts_with("admin-"));
    let calls = api.ok("GET", "audit?tenant=acme&kind=call&outcome=ok&tool=echo", "");
    assert_eq!(calls["records"].as_array().unwrap().len(), 3, "{calls}");
    let all = api.ok("GET", "audit?limit=1000", "").to_string();
    assert!(!all.contains(&key) && !all.contains(&setup.admin_key));
    let status = api.ok("GET", "status", "");
    assert_eq!(status["tenants"], json!({ "file": 1, "store": 1 }), "{status}");
    assert_eq!(status["audit"]["state"], "ok", "{status}");
    let version = api.ok("GET", "tenants/acme", "")["version"].clone();
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    drop(served);
    let (served, api) = setup.start();
    let again = api.ok("GET", "tenants/acme", "");
    assert_eq!((&again["version"], &again["name"]), (&version, &json!("Acme")));
    assert_eq!(call(&served.door, &key), 200);
    // Keys rotate: the old one is out at once.
    let next = api.key("acme");
    let old = again["keys"][0].as_str().unwrap();
    api.ok(
        "DELETE",
        &format!("tenants/acme/keys/{}", &old["sha256:".len()..][..8]),
        "",
    );
    assert_eq!((call(&served.door, &key), call(&served.door, &next)), (401, 200));
    api.ok("DELETE", "tenants/acme", "");
    assert_eq!(call(&served.door, &next), 401);
    assert_eq!(api.refused("GET", "tenants/acme", &[], "").0, 404);
    assert_eq!(call(&served.door, &setup.file_key), 200);
}

#[test]
fn a_suspended_tenant_is_out_on_stdio_too() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    drop((served, api));
    let mut command = ferromcp(["serve", "--mode", "stdio", "--tenant", "acme", "--config"]);
    command.arg(setup.config());
    let mut process = Process::start(command);
    let api = setup.api(&process);
    let mut ask = |id: u64, method: &str, params: Value| {
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        process.write(format!("{line}\n").as_bytes());
        process.stdout.wait(|line| {
            let answer: Value = serde_json::from_str(line).ok()?;
            (answer["id"] == id).then_some(answer)
        })
    };
    let client = json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" } });
    ask(1, "initialize", client);
    let echo = json!({ "name": "echo", "arguments": { "msg": "x" } });
    assert!(ask(2, "tools/call", echo.clone())["result"].is_object());
    api.ok("POST", "tenants/acme/suspend", "");
    let refused = ask(3, "tools/call", echo.clone());
    assert!(refused["error"].is_object(), "{refused}");
    api.ok("POST", "tenants/acme/resume", "");
    assert!(ask(4, "tools/call", echo)["result"].is_object());
}

#[test]
fn two_admins_do_not_overwrite_one_another() {
    let setup = Setup::new();
    let (_served, api) = setup.start();
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    let read = api.ok("GET", "tenants/acme", "");
    api.ok("PATCH", "tenants/acme", r#"{"name":"First"}"#);
    let stale = format!("\"{}\"", read["version"]);
    let refused = |status: u16, rule: &str| (status, rule.to_owned());
    let put = |more: &[(&str, &str)], body: &str| api.refused("PUT", "tenants/acme", more, body);
    assert_eq!(
        put(&[("If-Match", &stale)], r#"{"name":"Second"}"#),
        refused(412, "admin.version")
    );
    assert_eq!(put(&[], &read.to_string()), refused(412, "admin.version"));
    assert_eq!(
        put(&[], r#"{"name":"Second"}"#),
        refused(428, "admin.version.required")
    );
    assert_eq!(
        put(&[("If-None-Match", "*")], "{}"),
        refused(409, "admin.tenant.exists")
    );
    assert_eq!(api.ok("GET", "tenants/acme", "")["name"], "First");
    let any = api.ask("PUT", "tenants/acme", &[("If-Match", "*")], r#"{"name":"Third"}"#);
    assert_eq!(any.status, 200, "{any:?}");
    // What was read can be sent back as it is, and then is no change.
    let read = api.ok("GET", "tenants/acme", "");
    assert_eq!(api.ok("PUT", "tenants/acme", &read.to_string()), read);
}

#[test]
fn bad_input_is_refused_with_rule_and_place_and_changes_nothing() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    let before = api.ok("GET", "tenants", "");
    let deep = format!(
        "{{\"id\":\"x\",\"name\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let large = format!("{{\"id\":\"x\",\"name\":\"{}\"}}", "x".repeat(2 << 20));
    for body in [
        "",
        "{",
        "[]",
        "7",
        "null",
        "{\"id\":\"x\",\"id\":\"y\"}",
        "{\"id\":7}",
        "{}",
        "{\"id\":\"../x\"}",
        "{\"id\":\"X\"}",
        "{\"id\":\"\"}",
        "{\"id\":\"x\",\"nme\":1}",
        "{\"id\":\"x\",\"quotas\":{\"tool_calls\":7}}",
        "{\"id\":\"x\"}{}",
        "{\"id\":\"x\",\"keys\":[\"fmcp_x\"]}",
        "{\"id\":\"acme\"}",
        "{\"id\":\"filed\"}",
        "{\"id\":\"x\",\"version\":1}",
        "{\"id\":\"x\",\"acts_for\":[\"nobody\"]}",
        "{\"id\":\"x\",\"patterns\":{\"rules\":{\"pattern.none\":\"off\"}}}",
        "\u{feff}{\"id\":\"x\"}",
        "{\"id\":\"x\",\"name\":\"\\ud800\"}",
        &deep,
        &large,
    ] {
        let (status, rule) = api.refused("POST", "tenants", &[], body);
        assert!((400..500).contains(&status), "{status} {rule}: {body:.60}");
    }
    let answer = api
        .ask(
            "POST",
            "tenants",
            &[],
            r#"{"id":"x","nme":1,"quotas":{"concurrent":0}}"#,
        )
        .json();
    let issues = answer["error"]["details"]["issues"].as_array().unwrap();
    assert_eq!(issues.len(), 2, "{answer}");
    assert!(
        issues
            .iter()
            .any(|issue| issue["pointer"] == "/quotas/concurrent"),
        "{answer}"
    );
    for (method, path, status) in [
        ("GET", "nothing", 404),
        ("GET", "tenants/", 404),
        ("GET", "tenants/..", 404),
        ("PUT", "tenants/..", 400),
        ("PUT", "tenants/%61", 400),
        ("DELETE", "tenants", 405),
        ("POST", "status", 405),
        ("HEAD", "tenants/none", 405),
        ("GET", "tenants/none/usage", 404),
        ("POST", "tenants/none/suspend", 404),
        ("POST", "tenants/none/keys", 404),
        ("DELETE", "tenants/acme/keys/zz", 400),
        ("DELETE", "tenants/acme/keys/0123456789", 404),
        ("DELETE", "tenants/none", 404),
        ("GET", "audit?limit=0", 400),
        ("GET", "audit?other=1", 400),
        ("GET", "audit?since=never", 400),
        ("GET", "tenants?limit=99999", 400),
    ] {
        let body = if method == "PUT" { "{}" } else { "" };
        let answer = api.ask(method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    for body in [
        "",
        "{}",
        "[]",
        r#"{"tool":7}"#,
        r#"{"tool":"echo","other":1}"#,
        r#"{"tool":"echo","tool":"x"}"#,
    ] {
        assert_eq!(api.refused("POST", "why", &[], body).0, 400, "{body}");
    }
    for body in [
        r#"{"until":"tomorrow"}"#,
        r#"{"until":7}"#,
        r#"{"name":"x"}"#,
        "[1]",
    ] {
        assert!(
            api.refused("POST", "tenants/acme/keys", &[], body).0 >= 400,
            "{body}"
        );
    }
    // Tenants of the file are read-only, on every way to change one.
    for (method, path) in [
        ("PUT", "tenants/filed"),
        ("PATCH", "tenants/filed"),
        ("DELETE", "tenants/filed"),
        ("POST", "tenants/filed/suspend"),
        ("POST", "tenants/filed/keys"),
    ] {
        let body = if method == "PUT" || method == "PATCH" {
            "{}"
        } else {
            ""
        };
        assert_eq!(
            api.refused(method, path, &[], body),
            (409, "admin.tenant.file".to_owned()),
            "{method} {path}"
        );
    }
    // A key of the file belongs to its tenant.
    let hash = api.ok("GET", "tenants/filed", "")["keys"][0].clone();
    let taken = api.ask(
        "PATCH",
        "tenants/acme",
        &[],
        &json!({ "keys": [hash] }).to_string(),
    );
    assert_eq!(taken.status, 422, "{taken:?}");
    let bad_type = api.refused(
        "POST",
        "tenants",
        &[("Content-Type", "text/plain")],
        r#"{"id":"x"}"#,
    );
    assert_eq!(bad_type.0, 415);
    assert_eq!(api.ok("GET", "tenants", ""), before);
    let records = api.ok("GET", "audit?kind=admin&decision=deny&limit=1000", "");
    assert!(records["records"].as_array().unwrap().len() > 30);
    drop(served);
}

#[test]
fn only_admin_keys_open_it_and_only_for_this_host() {
    let setup = Setup::new();
    let (_served, api) = setup.start();
    for headers in [
        &[][..],
        &[("X-Api-Key", "nonsense")],
        &[("X-Api-Key", setup.file_key.as_str())],
        &[("Authorization", "Basic eDp5")],
        &[("X-Api-Key", setup.admin_key.as_str()), ("X-Api-Key", "x")],
    ] {
        let answer = api.door.request("GET", "/admin/v1/tenants", headers, "");
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(answer.header("www-authenticate").is_some());
    }
    let key = ("X-Api-Key", setup.admin_key.as_str());
    assert_eq!(
        api.door.request("GET", "/admin/v1/tenants", &[key], "").status,
        200
    );
    let page = api.door.request(
        "GET",
        "/admin/v1/tenants",
        &[key, ("Origin", "http://localhost")],
        "",
    );
    assert_eq!(page.status, 403);
    let rebound = api
        .door
        .request("GET", "http://evil.test/admin/v1/tenants", &[key], "");
    assert_eq!(rebound.status, 403, "{rebound:?}");
    let denied = api.ok("GET", "audit?kind=admin&outcome=unauthenticated", "");
    assert_eq!(denied["records"].as_array().unwrap().len(), 5, "{denied}");
}

#[test]
fn an_acknowledged_change_survives_a_kill_at_any_point() {
    let setup = Setup::new();
    let mut acknowledged: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let mut number = 0u64;
    for round in 0..8u64 {
        let (mut served, api) = setup.start();
        let stored = api.ok("GET", "tenants", "");
        for (id, name) in &acknowledged {
            let found = stored["tenants"]
                .as_array()
                .unwrap()
                .iter()
                .find(|tenant| tenant["id"] == id.as_str());
            let found = found.unwrap_or_else(|| panic!("{id} is lost in round {round}"))["name"].clone();
            // The change that was not answered may have come through, or not.
            assert!(
                found == name.as_str() || found == format!("n{number}"),
                "{id}: {found}, not {name}"
            );
        }
        let (sent, told) = std::sync::mpsc::sync_channel(1024);
        let writer = std::thread::spawn({
            let (door, key, mut number) = (api.door.clone(), api.key.clone(), number);
            move || {
                loop {
                    number += 1;
                    let id = format!("t{}", number % 7);
                    let body = json!({ "name": format!("n{number}") }).to_string();
                    sent.send((number, id.clone(), false)).unwrap();
                    let request = format!(
                        "PUT /admin/v1/tenants/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Api-Key: {key}\r\n\
                         If-Match: *\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let create = request.replace("If-Match: *", "If-None-Match: *");
                    let exchange = |request: &str| {
                        use std::io::{Read as _, Write as _};
                        let mut socket = std::net::TcpStream::connect(&door.address).ok()?;
                        socket.write_all(request.as_bytes()).ok()?;
                        let mut answer = String::new();
                        socket.read_to_string(&mut answer).ok()?;
                        Some(answer)
                    };
                    let mut answer = exchange(&create);
                    if answer.as_deref().is_some_and(|answer| answer.contains(" 409 ")) {
                        answer = exchange(&request);
                    }
                    match answer {
                        Some(answer) if answer.starts_with("HTTP/1.1 20") => {
                            sent.send((number, id, true)).unwrap();
                        }
                        _ => return,
                    }
                }
            }
        });
        // After some answers, at a point of the next write that nobody chose.
        let mut answers = 0;
        let mut killed = false;
        while let Ok((sent, id, done)) = told.recv() {
            number = number.max(sent);
            if done {
                acknowledged.insert(id, format!("n{sent}"));
                answers += 1;
            }
            if !killed && answers > round * 2 {
                killed = true;
                served.process.signal(Signal::KILL);
            }
        }
        writer.join().unwrap();
        eventually("it is dead", || served.process.has_ended().then_some(()));
    }
    assert!(acknowledged.len() == 7, "{acknowledged:?}");
}

#[test]
fn a_store_is_used_once_and_must_go_with_the_file() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    let serve = |config: &Path| {
        let mut command = ferromcp(["serve", "--addr", "127.0.0.1:0", "--config"]);
        command.arg(config);
        finish(command, "")
    };
    let second = serve(&setup.config());
    assert_ne!(second.code, 0);
    assert!(
        second.stderr.contains("another process uses this"),
        "{}",
        second.stderr
    );
    drop((served, api));
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(setup.config()).unwrap()).unwrap();
    config["tenants"]["acme"] = json!({});
    std::fs::write(setup.config(), config.to_string()).unwrap();
    let clash = serve(&setup.config());
    assert_eq!(clash.code, 2, "{}", clash.stderr);
    assert!(
        clash.stderr.contains("tenants.acme") && clash.stderr.contains("state"),
        "{}",
        clash.stderr
    );
}

#[test]
fn the_command_line_is_a_client_of_it() {
    let setup = Setup::new();
    let (_served, api) = setup.start();
    let tenants = |arguments: &[&str]| {
        let mut command = ferromcp(["tenants", "--admin", &api.door.url("")]);
        command
            .args(arguments)
            .env("FERROMCP_ADMIN_KEY", &setup.admin_key);
        finish(command, "")
    };
    let made = tenants(&["create", "acme", r#"{"name":"Acme"}"#]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert_eq!(
        tenants(&["set", "acme", r#"{"quotas":{"concurrent":2}}"#]).code,
        0
    );
    assert!(tenants(&["list"]).stdout.contains("\"acme\""));
    assert!(tenants(&["show", "acme"]).stdout.contains("\"concurrent\": 2"));
    assert!(
        tenants(&["suspend", "acme"])
            .stdout
            .contains("\"suspended\": true")
    );
    assert_eq!(tenants(&["resume", "acme"]).code, 0);
    assert!(tenants(&["key", "acme"]).stdout.contains("fmcp_acme_"));
    assert!(tenants(&["usage", "acme"]).stdout.contains("\"now\": 0"));
    let bad = tenants(&["set", "acme", r#"{"quotas":{"concurrent":"x"}}"#]);
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("/quotas/concurrent"), "{}", bad.stderr);
    assert_eq!(tenants(&["delete", "acme"]).code, 0);
    assert_eq!(tenants(&["show", "acme"]).code, 1);
    let mut without = ferromcp(["tenants", "list"]);
    without.env_remove("FERROMCP_ADMIN_KEY");
    assert_eq!(finish(without, "").code, 2);
}
