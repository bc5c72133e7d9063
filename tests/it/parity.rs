//! The same policies through every door: one table of cases, and the same answers from stdio, MCP over HTTP in both
//! eras, REST, gRPC with calls and with MCP on a stream, and batches over REST and gRPC. And what was decided is in the audit log, once for each call.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rules::IN_THE_TABLE;
use crate::support::{
    Grpc, GrpcWith, Served, Session, eventually, ferromcp, finish, grpc_session, serve_grpc,
};
use way::{Outcome, Way, open_session, post};

mod way;

/// Tenants, their keys, and a directory for the audit log.
struct Setup {
    directory: TempDir,
    keys: Vec<(&'static str, String)>,
}

const TENANTS: [&str; 9] = [
    "open", "narrow", "slow", "spent", "gone", "actor", "denied", "thrifty", "busy",
];
/// Calls of one client in an hour.
const CLIENT_CALLS: usize = 20;

impl Setup {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut tenants = json!({
            "open": {},
            "narrow": { "name": "Only echo", "tools": { "allow": ["echo"] } },
            "slow": { "limits": { "rate": "1/h", "burst": 1 } },
            "spent": { "quotas": { "tool_calls": "1/h" } },
            "gone": { "suspended": true },
            "actor": { "acts_for": ["narrow"] },
            "denied": { "tools": { "deny": ["ec*"] } },
            "thrifty": { "quotas": { "bytes": "1KiB/h" } },
            "busy": {},
        });
        let keys = TENANTS.map(|tenant| {
            let made = finish(ferromcp(["keys", "new", tenant, "--json"]), "");
            let made: Value = serde_json::from_str(&made.stdout).unwrap();
            tenants[tenant]["keys"] = json!([made["hash"]]);
            (tenant, made["key"].as_str().unwrap().to_owned())
        });
        std::fs::create_dir(directory.path().join("data")).unwrap();
        let config = json!({
            "builtin": { "files": { "roots": ["data"], "write": true } },
            "tenants": tenants,
            "auth": { "anonymous": "refuse" },
            "limits": { "rate": format!("{CLIENT_CALLS}/h"), "tools": { "write_file": { "rate": "1/h" } } },
            "audit": { "file": "audit", "arguments": "store" },
        });
        std::fs::write(directory.path().join("ferromcp.yaml"), config.to_string()).unwrap();
        Self {
            directory,
            keys: keys.into(),
        }
    }

    fn config(&self) -> std::path::PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }

    fn key(&self, tenant: &str) -> &str {
        &self.keys.iter().find(|(id, _)| *id == tenant).unwrap().1
    }

    /// The calls in the audit log: tenant, outcome and rule of each.
    fn audited(&self) -> Vec<(String, String, Option<String>)> {
        let log = self.directory.path().join("audit");
        if !log.exists() {
            return Vec::new();
        }
        let query = finish(
            ferromcp([
                "audit".as_ref(),
                "query".as_ref(),
                log.as_os_str(),
                "--kind".as_ref(),
                "call".as_ref(),
            ]),
            "",
        );
        assert_eq!(query.code, 0, "{}", query.stderr);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        query
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|r| {
                (
                    text(&r["tenant"]).unwrap_or_default(),
                    text(&r["outcome"]).unwrap(),
                    text(&r["rule"]),
                )
            })
            .collect()
    }

    fn verify(&self) {
        let log = self.directory.path().join("audit");
        let verified = finish(
            ferromcp(["audit".as_ref(), "verify".as_ref(), log.as_os_str()]),
            "",
        );
        assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    }
}

/// Rules that callers are not told, so that what is denied looks unknown.
const RECORDED_ONLY: [&str; 2] = ["acl.tool.default", "acl.tool.deny"];

/// An array in an array, and so on.
fn nested(depth: usize) -> Value {
    let inner = (0..depth).fold(json!(1), |inner, _| json!([inner]));
    json!({ "msg": inner })
}

/// Runs all cases through one kind of door, each tenant on a server of its own kind of way.
fn through(door: &str, setup: &Setup, way: impl Fn(&str) -> Way) {
    let echo = json!({ "msg": "hello" });
    let write = json!({ "path": "a.txt", "content": "x" });
    let traversal = json!({ "path": "../../../../etc/passwd" });
    let (deep, long) = (nested(30), json!({ "msg": vec![1; 10_001] }));
    let (wrong, huge) = (json!({ "msg": 5 }), json!({ "msg": "x".repeat(200_000) }));
    let large = json!({ "msg": "x".repeat(700) });
    let mut cases: Vec<(&str, &str, &Value, &str, Option<&str>)> = vec![
        ("open", "echo", &echo, "ok", None),
        ("open", "write_file", &write, "ok", None),
        (
            "open",
            "write_file",
            &write,
            "rate_limited",
            Some("limit.rate.tool"),
        ),
        ("open", "echo", &deep, "invalid_arguments", Some("limit.depth")),
        ("open", "echo", &long, "invalid_arguments", Some("limit.items")),
        ("open", "nothing", &echo, "tool_not_found", None),
        (
            "open",
            "echo",
            &wrong,
            "invalid_arguments",
            Some("schema.arguments"),
        ),
        ("open", "echo", &huge, "invalid_arguments", Some("limit.string")),
        (
            "open",
            "read_file",
            &traversal,
            "invalid_arguments",
            Some("pattern.path.traversal"),
        ),
        ("narrow", "echo", &echo, "ok", None),
        ("narrow", "write_file", &write, "tool_not_found", None),
        ("slow", "echo", &echo, "ok", None),
        ("slow", "echo", &echo, "rate_limited", Some("limit.rate.tenant")),
        ("spent", "echo", &echo, "ok", None),
        ("spent", "echo", &echo, "quota_exceeded", Some("quota.tool_calls")),
        ("denied", "echo", &echo, "tool_not_found", None),
        ("thrifty", "echo", &large, "ok", None),
        ("thrifty", "echo", &large, "quota_exceeded", Some("quota.bytes")),
    ];
    cases.extend(std::iter::repeat_n(
        ("busy", "echo", &echo, "ok", None),
        CLIENT_CALLS,
    ));
    cases.push(("busy", "echo", &echo, "rate_limited", Some("limit.rate.client")));
    let in_the_table: BTreeSet<&str> = cases
        .iter()
        .filter_map(|case| case.4)
        .chain(RECORDED_ONLY)
        .collect();
    assert_eq!(in_the_table, IN_THE_TABLE.iter().copied().collect());
    let before = setup.audited().len();
    let mut current: Option<(&str, Way)> = None;
    for &(tenant, tool, arguments, code, rule) in &cases {
        // One at a time: the processes of stdio share the audit log.
        if current.as_ref().is_none_or(|(id, _)| *id != tenant) {
            drop(current.take());
            current = Some((tenant, way(tenant)));
        }
        let outcome = current.as_mut().unwrap().1.call(tool, arguments);
        assert_eq!(outcome.code, code, "{door}: {tenant} {tool}: {outcome:?}");
        if outcome.rule.is_some() || rule.is_none() {
            assert_eq!(
                outcome.rule.as_deref(),
                rule,
                "{door}: {tenant} {tool}: {outcome:?}"
            );
        }
    }
    drop(current);
    let mut narrow = way("narrow");
    assert_eq!(narrow.listed(), ["echo"], "{door}");
    // What is denied and what does not exist are told apart by nothing but the name.
    let [denied, unknown] = ["write_file", "no_such_tool"].map(|tool| narrow.call(tool, &write));
    assert_eq!(
        denied.message.replace("write_file", "no_such_tool"),
        unknown.message,
        "{door}"
    );
    drop(narrow);
    let mut calls = eventually("all records are written", || {
        let mut calls = setup.audited();
        (calls.len() >= before + cases.len() + 2).then(|| calls.split_off(before))
    });
    let mut expected: Vec<_> = cases
        .iter()
        .map(|(tenant, tool, _, code, rule)| match (*tenant, *tool) {
            ("narrow", "write_file") => (tenant, "permission_denied", Some("acl.tool.default")),
            ("denied", _) => (tenant, "permission_denied", Some("acl.tool.deny")),
            _ => (tenant, *code, *rule),
        })
        .chain([
            (&"narrow", "permission_denied", Some("acl.tool.default")),
            (&"narrow", "tool_not_found", None),
        ])
        .map(|(tenant, code, rule)| ((*tenant).to_owned(), code.to_owned(), rule.map(str::to_owned)))
        .collect();
    // Connections are served by several threads, and their records are numbered as they come to the writer.
    calls.sort();
    expected.sort();
    assert_eq!(calls, expected, "{door}");
}

#[test]
fn every_door_decides_alike() {
    let setup = Setup::new();
    through("stdio", &setup, |tenant| {
        let mut command = ferromcp(["serve", "--mode", "stdio", "--tenant", tenant, "--config"]);
        command.arg(setup.config());
        let mut session = Session::start(command);
        session.initialize();
        Way::Stdio(Box::new(session))
    });
    for kind in ["rest", "batch", "mcp 2025-11-25", "mcp 2026-07-28"] {
        // A server for each door: what was used of a quota is used.
        let mut served = Served::with_config(&setup.config());
        let door = served.door.clone();
        through(kind, &setup, |tenant| {
            let key = Some(setup.key(tenant).to_owned());
            match kind {
                "rest" => Way::Rest(door.clone(), key),
                "batch" => Way::Batch(door.clone(), key),
                "mcp 2025-11-25" => Way::Legacy(door.clone(), key),
                _ => Way::Modern(door.clone(), key),
            }
        });
        stop(&mut served);
    }
    for kind in ["grpc", "grpc batch", "grpc mcp"] {
        let (mut served, address) = serve_grpc(&setup.config());
        through(kind, &setup, |tenant| {
            let key = Some(setup.key(tenant));
            let client = || {
                Box::new(Grpc::start(
                    &address,
                    GrpcWith {
                        key,
                        ..GrpcWith::default()
                    },
                ))
            };
            match kind {
                "grpc" => Way::Grpc(client()),
                "grpc batch" => Way::GrpcBatch(client()),
                _ => {
                    let mut session = grpc_session(&address, key);
                    session.initialize();
                    Way::Stdio(Box::new(session))
                }
            }
        });
        stop(&mut served);
    }
    setup.verify();
}

fn stop(served: &mut Served) {
    served.process.signal(rustix::process::Signal::TERM);
    assert_eq!(served.process.exit_code(crate::support::PATIENCE), 0);
}

#[test]
fn who_is_not_known_is_not_let_in() {
    let setup = Setup::new();
    let (mut served, grpc) = serve_grpc(&setup.config());
    let wrong = setup.key("open").replace(char::is_numeric, "0");
    let echo = json!({ "msg": "hello" });
    let door = &served.door;
    for (key, code, rule) in [
        (None, "unauthenticated", "auth.missing"),
        (Some(wrong.as_str()), "unauthenticated", "auth.key.unknown"),
        (Some("Negotiate"), "unauthenticated", "auth.key.unknown"),
        (
            Some(setup.key("gone")),
            "permission_denied",
            "auth.tenant.suspended",
        ),
    ] {
        let own = key.map(str::to_owned);
        for mut way in [
            Way::Rest(door.clone(), own.clone()),
            Way::Legacy(door.clone(), own.clone()),
            Way::Modern(door.clone(), own),
            Way::Grpc(Box::new(Grpc::start(
                &grpc,
                GrpcWith {
                    key,
                    ..GrpcWith::default()
                },
            ))),
        ] {
            let outcome = way.call("echo", &echo);
            assert_eq!(
                (outcome.code.as_str(), outcome.rule.as_deref()),
                (code, Some(rule)),
                "{key:?}"
            );
        }
        let status = if code == "unauthenticated" { 401 } else { 403 };
        for (path, body) in [
            ("/v1/tools/call", json!({ "tool": "echo", "arguments": echo })),
            ("/mcp", json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })),
            (
                "/mcp",
                json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            ),
        ] {
            let answer = post(door, path, key, &[], &body);
            assert_eq!(answer.status, status, "{path} {answer:?}");
            assert_eq!(
                answer.header("www-authenticate").is_some(),
                status == 401,
                "{answer:?}"
            );
        }
        assert_eq!(open_session(door, key), Err(status));
    }
    let list = door.get("/v1/tools");
    assert_eq!(
        (list.status, list.json()["error"]["rule"].as_str()),
        (401, Some("auth.missing"))
    );
    assert_eq!(door.get("/healthz").status, 200);
    stop(&mut served);
    // Four doors and one REST call more for each of the four.
    let calls = setup.audited();
    assert_eq!(calls.len(), 20, "{calls:?}");
    assert!(
        calls
            .iter()
            .all(|(tenant, _, rule)| tenant.is_empty() && rule.is_some()),
        "{calls:?}"
    );
    setup.verify();
}

#[test]
fn a_tenant_that_there_is_not_is_refused_at_the_start() {
    let setup = Setup::new();
    for (tenant, words) in [("nobody", "no tenant"), ("gone", "suspended")] {
        let mut command = ferromcp(["serve", "--mode", "stdio", "--tenant", tenant, "--config"]);
        command.arg(setup.config());
        let done = finish(command, "");
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}

#[test]
fn audit_records_never_mix_with_mcp_on_standard_output() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, json!({ "audit": { "stdout": true } }).to_string()).unwrap();
    let mut command = ferromcp(["serve", "--mode", "stdio", "--config"]);
    command.arg(&file);
    let done = finish(command, "");
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{}", done.stderr);
    assert!(done.stderr.contains("audit.stdout"), "{}", done.stderr);

    let mut served = Served::with_config(&file);
    served.door.rest("echo", &json!({ "msg": "hello" }));
    let record = served
        .process
        .stdout
        .wait(|line| line.contains("\"kind\":\"call\"").then(|| line.to_owned()));
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(
        (record["tool"].as_str(), record["tenant"].as_str()),
        (Some("echo"), Some("local")),
        "{record}"
    );
    stop(&mut served);
}

#[test]
fn a_session_belongs_to_its_tenant_and_a_body_cannot_choose_one() {
    let setup = Setup::new();
    let served = Served::with_config(&setup.config());
    let door = &served.door;
    let session = open_session(door, Some(setup.key("open"))).unwrap();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let headers = [("Mcp-Session-Id", session.as_str())];
    assert_eq!(
        post(door, "/mcp", Some(setup.key("open")), &headers, &ping).status,
        200
    );
    // Somebody else's session does not exist.
    assert_eq!(
        post(door, "/mcp", Some(setup.key("narrow")), &headers, &ping).status,
        404
    );
    assert_eq!(post(door, "/mcp", None, &headers, &ping).status, 401);

    let call = |key: &str, tenant: &str, tool: &str| {
        let body = json!({ "tool": tool, "arguments": { "msg": "x" }, "tenant_id": tenant });
        Outcome::of_rest(&post(door, "/v1/tools/call", Some(setup.key(key)), &[], &body))
    };
    assert_eq!(call("open", "open", "echo").code, "ok");
    let refused = call("open", "narrow", "echo");
    assert_eq!(
        (refused.code.as_str(), refused.rule.as_deref()),
        ("permission_denied", Some("auth.tenant.act_for"))
    );
    assert_eq!(call("actor", "narrow", "echo").code, "ok");
    // Who acts for a tenant is bound as it is.
    assert_eq!(call("actor", "narrow", "write_file").code, "tool_not_found");
}

#[test]
fn keys_are_printed_once_in_a_form_that_the_configuration_takes() {
    let made = finish(ferromcp(["keys", "new", "acme"]), "");
    let lines: Vec<&str> = made.stdout.lines().collect();
    assert!(
        lines[0].starts_with("fmcp_acme_") && lines[1].starts_with("sha256:"),
        "{}",
        made.stdout
    );
    assert!(made.stderr.contains(lines[1]) && !made.stderr.contains(lines[0]));
    let bad = finish(ferromcp(["keys", "new", "Not a tenant"]), "");
    assert_eq!((bad.code, bad.stdout.as_str()), (2, ""), "{}", bad.stderr);
}

#[test]
fn why_says_what_each_stage_decides() {
    let setup = Setup::new();
    let why = |tenant: &str, tool: &str, arguments: &str| {
        let mut command = ferromcp(["why", "--json", "--tenant", tenant, tool, arguments, "--config"]);
        command.arg::<&Path>(&setup.config());
        let done = finish(command, "");
        let said: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
        let stopped = said["stages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|stage| stage["passes"] == false);
        (
            done.code,
            stopped.map(|stage| (stage["stage"].clone(), stage["rule"].clone())),
        )
    };
    assert_eq!(why("open", "echo", r#"{"msg":"x"}"#), (0, None));
    let stop = |stage: &str, rule: &str| (1, Some((json!(stage), json!(rule))));
    assert_eq!(
        why("narrow", "write_file", "{}"),
        stop("authorize", "acl.tool.default")
    );
    assert_eq!(
        why("open", "echo", r#"{"msg":7}"#),
        stop("validate", "schema.arguments")
    );
    assert_eq!(
        why("gone", "echo", "{}"),
        stop("authenticate", "auth.tenant.suspended")
    );
    assert_eq!(
        why("nobody", "echo", "{}"),
        stop("authenticate", "auth.tenant.unknown")
    );
}

#[test]
fn tampering_with_the_audit_log_is_found_by_the_command() {
    let setup = Setup::new();
    let mut served = Served::with_config(&setup.config());
    for _ in 0..5 {
        let body = json!({ "tool": "echo", "arguments": { "msg": "hello" } });
        post(
            &served.door,
            "/v1/tools/call",
            Some(setup.key("open")),
            &[],
            &body,
        );
    }
    stop(&mut served);
    setup.verify();
    let log = setup.directory.path().join("audit");
    let segment = std::fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    assert!(text.contains(r#""args":"{\"msg\":\"hello\"}""#), "{text}");
    std::fs::write(
        &segment,
        text.replacen("\"tool\":\"echo\"", "\"tool\":\"evil\"", 1),
    )
    .unwrap();
    let verified = finish(
        ferromcp(["audit".as_ref(), "verify".as_ref(), log.as_os_str()]),
        "",
    );
    assert_eq!(verified.code, 1);
    assert!(verified.stdout.contains("was changed"), "{}", verified.stdout);
}
