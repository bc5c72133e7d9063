//! The configuration changes while the server runs: all of it or nothing, and no call notices.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Door, Legacy, OnDrop, PATIENCE, Served, Session, admin_address, alive_with, audited, eventually,
    ferromcp, finish, fixture, made, names,
};

struct Rig {
    directory: TempDir,
    admin_key: String,
    admin_hash: String,
    key: String,
    hash: String,
}

impl Rig {
    fn new() -> Self {
        let (admin_key, admin_hash) = made(&["keys", "new", "--admin", "--json"]);
        let (key, hash) = made(&["keys", "new", "acme", "--json"]);
        Self {
            directory: tempfile::tempdir().unwrap(),
            admin_key,
            admin_hash,
            key,
            hash,
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }

    fn mark(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.path().display())
    }

    fn server(&self, name: &str, round: usize) -> Value {
        json!({ "command": fixture(), "args": ["--stdio"],
            "env": { "TEST_MARK": self.mark(name), "ROUND": round.to_string() } })
    }

    /// Everything but the servers.
    fn config(&self, servers: &Value) -> Value {
        json!({
            "servers": servers,
            "auth": { "anonymous": "local" },
            "tenants": { "acme": { "keys": [self.hash], "quotas": { "tool_calls": "5/h" } } },
            "audit": { "file": "audit" },
            "admin": { "listen": "127.0.0.1:0", "keys": [self.admin_hash], "store": "state" },
        })
    }

    fn write(&self, config: &Value) {
        // As editors do it: never half a file.
        let new = self.directory.path().join("new.yaml");
        std::fs::write(&new, config.to_string()).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn apply(&self, admin: &str) -> (u16, Value) {
        let credential = format!("Bearer {}", self.admin_key);
        let headers = [("Authorization", credential.as_str())];
        let answer = Door::new(admin).request("POST", "/admin/v1/reload", &headers, "");
        (answer.status, answer.json())
    }

    fn audited(&self, kind: &str) -> Vec<Value> {
        audited(&self.directory.path().join("audit"), kind)
    }
}

fn ready(door: &Door, name: &str) {
    eventually("the server is ready", || {
        (door.source(name).0 == "ready").then_some(())
    });
}

fn listed(door: &Door) -> Vec<String> {
    let answer = door.modern("tools/list", json!({}));
    names(&answer["result"]["tools"])
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_file_is_taken_over_whole_or_not_at_all() {
    let rig = Rig::new();
    rig.write(&rig.config(&json!({ "a": rig.server("a", 0), "b": rig.server("b", 0) })));
    let mut served = Served::with_config(&rig.file());
    let (door, admin) = (served.door.clone(), admin_address(&served.process));
    let first = std::fs::read_to_string(rig.file()).unwrap();
    ready(&door, "a");
    ready(&door, "b");
    let by_acme = |tool: &str| {
        let key = format!("Bearer {}", rig.key);
        let headers = [
            ("Authorization", key.as_str()),
            ("Content-Type", "application/json"),
        ];
        let body = json!({ "tool": tool, "arguments": { "msg": "x" } }).to_string();
        door.request("POST", "/v1/tools/call", &headers, &body).json()
    };
    assert_eq!(by_acme("echo")["success"], true);
    let witness = alive_with(&format!("TEST_MARK={}", rig.mark("a")));
    let legacy = Legacy::open(&door);

    // One server stays, one goes, one comes; a tenant's rights and quota are others.
    let mut next = rig.config(&json!({ "c": rig.server("c", 0), "a": rig.server("a", 0) }));
    next["tenants"]["acme"]["tools"] = json!({ "deny": ["c__*"] });
    next["tenants"]["acme"]["quotas"]["tool_calls"] = "3/h".into();
    next["validation"] = json!({ "max_string": "1KiB" });
    rig.write(&next);
    let (status, plan) = rig.apply(&admin);
    assert_eq!(status, 200, "{plan}");
    let change = |id: &str| {
        let servers = plan["servers"].as_array().unwrap();
        servers
            .iter()
            .find(|server| server["id"] == id)
            .map(|server| server["change"].clone())
    };
    assert_eq!(
        [change("a"), change("b"), change("c")],
        [None, Some(json!("removed")), Some(json!("added"))]
    );
    let tools = listed(&door);
    assert!(
        tools.iter().any(|tool| tool == "c__test_simple_text"),
        "{tools:?}"
    );
    assert!(!tools.iter().any(|tool| tool.starts_with("b__")), "{tools:?}");
    assert_eq!(
        alive_with(&format!("TEST_MARK={}", rig.mark("a"))),
        witness,
        "what did not change is the same process"
    );
    eventually("b has ended", || {
        alive_with(&format!("TEST_MARK={}", rig.mark("b")))
            .is_empty()
            .then_some(())
    });
    // The same session goes on, and what was used of the quota is used: one of three.
    let params = json!({ "name": "c__test_simple_text", "arguments": {} });
    assert!(legacy.request("tools/call", params)["result"]["content"].is_array());
    assert_eq!(by_acme("c__test_simple_text")["error"]["code"], "tool_not_found");
    assert_eq!(by_acme("echo")["success"], true);
    assert_eq!(by_acme("echo")["success"], true);
    assert_eq!(by_acme("echo")["error"]["rule"], "quota.tool_calls");
    let long = door.rest("echo", &json!({ "msg": "x".repeat(2000) })).json();
    assert_eq!(long["error"]["rule"], "limit.string");

    // What cannot be taken over changes nothing, and says why.
    let mut broken = next.clone();
    broken["servers"]["d"] = json!({ "command": "/no/such/program" });
    let mut fixed = next.clone();
    fixed["supervisor"] = json!({ "drain": "1s" });
    fixed["servers"].as_object_mut().unwrap().remove("c");
    for (config, rule, says) in [
        (broken, "reload.server", "server d"),
        (fixed, "reload.restart", "supervisor.drain"),
        (json!({ "servrs": {} }), "reload.invalid", "ferromcp.yaml:1:"),
    ] {
        rig.write(&config);
        let (status, refusal) = rig.apply(&admin);
        assert_eq!(
            (status, &refusal["error"]["rule"]),
            (409, &json!(rule)),
            "{refusal}"
        );
        assert!(
            refusal["error"]["message"].as_str().unwrap().contains(says),
            "{refusal}"
        );
        assert_eq!(listed(&door), tools);
    }
    // The command says the same, and what nobody changed is no change.
    rig.write(&next);
    let url = format!("http://{admin}");
    let applied = finish(
        ferromcp(["apply", "--admin", &url, "--admin-key", &rig.admin_key]),
        "",
    );
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(applied.stdout, "Nothing changes.", "{applied:?}");

    // And back: what was in force, and the file as it was.
    let back = |more: &[&str]| {
        let mut command = ferromcp(["rollback", "--admin", &url, "--admin-key", &rig.admin_key]);
        command.args(more);
        finish(command, "")
    };
    let kept: Value = serde_json::from_str(&back(&["--list"]).stdout).unwrap();
    let numbers: Vec<_> = kept["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| g["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [2, 1], "{kept}");
    let refused = back(&["7"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("there are 1"),
        "{refused:?}"
    );
    let done = back(&[]);
    assert_eq!(done.code, 0, "{done:?}");
    let tools = listed(&door);
    assert!(
        tools.iter().any(|tool| tool == "b__test_simple_text"),
        "{tools:?}"
    );
    assert!(!tools.iter().any(|tool| tool.starts_with("c__")), "{tools:?}");
    assert_eq!(std::fs::read_to_string(rig.file()).unwrap(), first);
    assert_eq!(rig.apply(&admin).1["changes"], false);

    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    let records = rig.audited("reload");
    let outcomes: Vec<_> = records
        .iter()
        .map(|r| r["rule"].as_str().unwrap_or("-").to_owned())
        .collect();
    let expected = [
        "-",
        "reload.server",
        "reload.restart",
        "reload.invalid",
        "-",
        "reload.generation",
        "-",
        "-",
    ];
    assert_eq!(outcomes, expected);
    assert!(
        records[0]["note"].as_str().unwrap().contains("- b  removed"),
        "{}",
        records[0]
    );
    assert!(
        records[0]["principal"]
            .as_str()
            .is_some_and(|who| !who.is_empty())
    );
}

#[test]
fn hang_up_and_a_changed_file_do_the_same() {
    let rig = Rig::new();
    // Without an admin API: the tenants are those of the file alone.
    let echo = |on: bool| {
        let mut config = rig.config(&json!({}));
        config.as_object_mut().unwrap().remove("admin");
        config["builtin"] = json!({ "echo": on });
        config
    };
    rig.write(&echo(true));
    let mut served = Served::start([
        std::ffi::OsStr::new("--watch"),
        "--config".as_ref(),
        rig.file().as_os_str(),
    ]);
    let door = served.door.clone();
    let lists_echo = || {
        let tools = door.get("/v1/tools").json()["tools"].take();
        names(&tools).contains(&"echo")
    };
    assert!(lists_echo());
    // A link that another takes the place of, as Kubernetes mounts configurations.
    let other = rig.directory.path().join("mounted.yaml");
    std::fs::write(&other, echo(false).to_string()).unwrap();
    let link = rig.directory.path().join("link.yaml");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    std::fs::rename(&link, rig.file()).unwrap();
    eventually("the file was noticed", || (!lists_echo()).then_some(()));

    // Half a file is told, and forgotten when the whole is there.
    std::fs::write(&other, "builtin: { echo").unwrap();
    served
        .process
        .stderr
        .wait(|line| line.contains("not reloaded").then_some(()));
    assert!(!lists_echo());
    std::fs::write(&other, echo(true).to_string()).unwrap();
    eventually("the whole file is taken", || lists_echo().then_some(()));

    served.process.signal(Signal::HUP);
    served
        .process
        .stderr
        .wait(|line| (line.contains("configuration reloaded") && line.contains("SIGHUP")).then_some(()));
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
}

/// A secret as Kubernetes mounts it: the link `..data` to a directory is replaced, and with it all files at once.
#[test]
fn a_changed_file_that_is_brought_in_does_the_same() {
    let rig = Rig::new();
    let (next_key, next_hash) = made(&["keys", "new", "acme", "--json"]);
    let keys = rig.directory.path().join("keys");
    let mount = |name: &str, hash: &str| {
        std::fs::create_dir_all(keys.join(name)).unwrap();
        std::fs::write(keys.join(name).join("acme"), hash).unwrap();
        std::os::unix::fs::symlink(name, keys.join("..data_new")).unwrap();
        std::fs::rename(keys.join("..data_new"), keys.join("..data")).unwrap();
    };
    mount("..1", &rig.hash);
    std::os::unix::fs::symlink("..data/acme", keys.join("acme")).unwrap();
    rig.write(&json!({ "tenants": { "acme": { "keys": ["${file:keys/acme}"] } } }));
    let mut served = Served::start([
        std::ffi::OsStr::new("--watch"),
        "--config".as_ref(),
        rig.file().as_os_str(),
    ]);
    let status = |key: &str| {
        let key = format!("Bearer {key}");
        let headers = [("Authorization", key.as_str())];
        served.door.request("GET", "/v1/tools", &headers, "").status
    };
    assert_eq!((status(&rig.key), status(&next_key)), (200, 401));
    mount("..2", &next_hash);
    eventually("the new key is good", || (status(&next_key) == 200).then_some(()));
    assert_eq!(status(&rig.key), 401);

    // What cannot be used is told, and what is in force stays.
    mount("..3", "no hash");
    served
        .process
        .stderr
        .wait(|line| line.contains("not reloaded").then_some(()));
    assert_eq!(status(&next_key), 200);
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
}

/// A shutdown does not wait for what a reload is about to start, and leaves nothing of it behind.
#[test]
fn a_shutdown_ends_a_reload_that_waits() {
    let rig = Rig::new();
    rig.write(&rig.config(&json!({ "a": rig.server("a", 0) })));
    let mut served = Served::with_config(&rig.file());
    ready(&served.door, "a");
    let mark = rig.mark("silent");
    let silent = json!({ "command": "sh", "args": ["-c", "sleep 600"], "env": { "TEST_MARK": mark } });
    rig.write(&rig.config(&json!({ "a": rig.server("a", 0), "silent": silent })));
    served.process.signal(Signal::HUP);
    let alive = || alive_with(&format!("TEST_MARK={mark}"));
    eventually("what is new was started", || (!alive().is_empty()).then_some(()));
    served.process.signal(Signal::TERM);
    assert_eq!(served.process.exit_code(PATIENCE), 0);
    assert_eq!(alive(), Vec::<i32>::new());
    let log = served.process.stderr.all();
    assert!(log.iter().any(|line| line.contains("reload.draining")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("were killed")), "{log:?}");
}

/// What the process has: open files, threads, and resident memory in MiB.
pub(crate) fn held(pid: u32) -> (usize, usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let number = |name: &str| -> usize {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    (files, number("Threads:"), number("VmRSS:") >> 10)
}

/// Every kind of caller, all the time, while the configuration changes over and over: `FERROMCP_RELOADS` times, by default 20.
/// What calls feel of it is measured by `cargo xtask bench reloads`.
#[test]
fn no_call_fails_while_the_configuration_changes() {
    let rounds = std::env::var("FERROMCP_RELOADS").map_or(20, |n| n.parse().expect("a number of reloads"));
    let rig = Rig::new();
    let config = |round: usize| {
        // One stays, one gets other workers each time, one is there every other time.
        let mut servers = json!({ "a": rig.server("a", 0), "b": rig.server("b", round) });
        if round % 2 == 1 {
            servers["c"] = rig.server("c", 0);
        }
        let mut config = rig.config(&servers);
        config["limits"] = json!({ "max_in_flight": 1000 + round });
        config["tenants"][format!("t{round}")] = json!({ "tools": { "allow": ["echo"] } });
        config
    };
    rig.write(&config(0));
    let mut command = ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0", "--config"]);
    command.arg(rig.file());
    let mut session = Session::start(command);
    let address = session
        .process
        .stderr
        .wait(|line| line.strip_prefix("listening http://").map(str::to_owned));
    let admin = admin_address(&session.process);
    let door = Door::new(&address);
    ready(&door, "a");
    ready(&door, "b");
    session.initialize();
    let session_id = session.process.id();
    let quiet = || {
        eventually("only the last workers are left", || {
            let left = ["a", "b", "c"].map(|name| alive_with(&format!("TEST_MARK={}", rig.mark(name))).len());
            (left[..2] == [1, 1] && left[2] <= 1).then_some(())
        });
        eventually("connections that are over are closed", || {
            let connections = door.health()["connections"].as_u64();
            connections.is_some_and(|n| n <= 1).then_some(())
        });
        held(session_id)
    };
    let before = quiet();
    let over = AtomicBool::new(false);
    let calls = AtomicUsize::new(0);
    let check = |what: &str, answer: &Value, expected: &str| {
        calls.fetch_add(1, Ordering::Relaxed);
        assert!(answer.to_string().contains(expected), "{what}: {answer}");
    };
    let said = "This is a simple text response";
    std::thread::scope(|scope| {
        // Also when something below fails.
        let _end = OnDrop(&over);
        for tool in ["a__test_simple_text", "b__test_simple_text"] {
            let (door, over, check) = (&door, &over, &check);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    check(tool, &door.rest(tool, &json!({})).json(), said);
                    let params = json!({ "name": tool, "arguments": {} });
                    check(tool, &door.modern("tools/call", params), said);
                }
            });
        }
        scope.spawn(|| {
            let legacy = Legacy::open(&door);
            while !over.load(Ordering::Relaxed) {
                let params = json!({ "name": "b__test_simple_text", "arguments": {} });
                check("legacy", &legacy.request("tools/call", params), said);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let params = json!({ "name": "echo", "arguments": { "msg": "over a pipe" } });
                check("stdio", &session.legacy("tools/call", params), "over a pipe");
            }
        });
        eventually("calls are made", || {
            (calls.load(Ordering::Relaxed) >= 100).then_some(())
        });
        for round in 1..=rounds {
            if round % 5 == 0 {
                rig.write(&json!({ "listen": 7 }));
                assert_eq!(rig.apply(&admin).0, 409);
            }
            rig.write(&config(round));
            let (status, plan) = rig.apply(&admin);
            assert_eq!(status, 200, "{plan}");
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(calls.load(Ordering::Relaxed) > rounds, "{calls:?}");
    let after = quiet();
    // Room for one worker more (`c`), and for what allocators keep.
    assert!(
        after.0 <= before.0 + 12 && after.1 <= before.1 + 8 && after.2 <= before.2 + 32,
        "files, threads, MiB: {before:?}, {after:?}"
    );
    eprintln!(
        "{} calls, {rounds} reloads; files, threads, MiB: {before:?}, {after:?}",
        calls.load(Ordering::Relaxed)
    );
    session.process.close_input();
    assert_eq!(session.process.exit_code(Duration::from_secs(60)), 0);
    let failed = rig
        .audited("call")
        .into_iter()
        .filter(|r| r["outcome"] != "ok")
        .collect::<Vec<_>>();
    assert_eq!(failed, Vec::<Value>::new());
}
