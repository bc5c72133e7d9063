//! Configurations that are sent to a running server: planned, taken over, and taken back when calls fail.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Api, Door, OnDrop, Served, eventually, ferromcp, finish, made};

struct Rig {
    directory: TempDir,
    key: String,
    hash: String,
}

impl Rig {
    fn new() -> Self {
        let (key, hash) = made(&["keys", "new", "--admin", "--json"]);
        Self {
            directory: tempfile::tempdir().unwrap(),
            key,
            hash,
        }
    }

    fn config(&self, accept: bool) -> Value {
        json!({
            "auth": { "anonymous": "local" },
            "audit": { "file": "audit" },
            "admin": { "listen": "127.0.0.1:0", "keys": [self.hash], "store": "state", "accept_config": accept },
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, config: &Value) {
        std::fs::write(self.file(name), config.to_string()).unwrap();
    }

    fn start(&self) -> (Served, Api) {
        let served = Served::with_config(&self.file("ferromcp.yaml"));
        let api = Api::of(&served.process, &self.key);
        (served, api)
    }

    /// `ferromcp COMMAND... --admin ...`: code, output, errors.
    fn run(&self, api: &Api, command: &[&str]) -> (i32, String, String) {
        let mut run = ferromcp(command);
        run.args([
            "--admin",
            &format!("http://{}", api.door.address),
            "--admin-key",
            &self.key,
        ]);
        run.current_dir(self.directory.path());
        let done = finish(run, "");
        (done.code, done.stdout, done.stderr)
    }
}

fn echo(door: &Door) -> bool {
    let body = json!({ "tool": "echo", "arguments": { "msg": "hi" } }).to_string();
    let answer = door.request(
        "POST",
        "/v1/tools/call",
        &[("Content-Type", "application/json")],
        &body,
    );
    answer.json()["success"] == true
}

#[test]
fn a_file_is_planned_and_taken_over_by_a_running_server() {
    let rig = Rig::new();
    rig.write("ferromcp.yaml", &rig.config(true));
    let (served, api) = rig.start();
    let mut next = rig.config(true);
    next["validation"] = json!({ "max_string": "1KiB" });
    rig.write("new.yaml", &next);
    let before = std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap();

    let (code, planned, errors) = rig.run(&api, &["plan", "new.yaml"]);
    assert_eq!(code, 0, "{errors}");
    assert!(planned.contains("validation.max_string"), "{planned}");
    assert_eq!(
        std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
        before
    );
    let (_, as_json, _) = rig.run(&api, &["plan", "new.yaml", "--json"]);
    let as_json: Value = serde_json::from_str(&as_json).unwrap();
    assert_eq!(
        (as_json["changes"].as_bool(), as_json["text"].as_str()),
        (Some(true), Some(&*format!("{planned}\n")))
    );

    let (code, applied, errors) = rig.run(&api, &["apply", "new.yaml"]);
    assert_eq!((code, &*applied), (0, &*planned), "{errors}");
    // It is the server's file now, and the next start has it.
    assert_eq!(
        std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
        next.to_string()
    );
    let long = json!({ "tool": "echo", "arguments": { "msg": "x".repeat(2_000) } }).to_string();
    let refused = served.door.request(
        "POST",
        "/v1/tools/call",
        &[("Content-Type", "application/json")],
        &long,
    );
    assert_eq!(refused.json()["error"]["rule"], "limit.string");
    assert_eq!(rig.run(&api, &["apply", "new.yaml"]).1, "Nothing changes.");

    // A change that needs a restart, and one that is none.
    let mut fixed = next.clone();
    fixed["log"] = json!({ "calls": false });
    rig.write("fixed.yaml", &fixed);
    let (code, planned, _) = rig.run(&api, &["plan", "fixed.yaml"]);
    assert_eq!(code, 1, "{planned}");
    rig.write("broken.yaml", &json!({ "validatoin": {} }));
    for (file, rule) in [("broken.yaml", "did you mean"), ("fixed.yaml", "log.calls")] {
        let (code, out, errors) = rig.run(&api, &["apply", file]);
        assert_eq!((code, &*out), (1, ""), "{errors}");
        assert!(errors.to_lowercase().contains(rule), "{errors}");
    }
    assert_eq!(
        std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
        next.to_string()
    );
    assert_eq!(
        api.ok("GET", "status", "")["reloads"],
        json!({ "done": 2, "refused": 2 })
    );
}

#[test]
fn without_leave_no_configuration_is_taken_from_outside() {
    let rig = Rig::new();
    rig.write("ferromcp.yaml", &rig.config(false));
    let (_served, api) = rig.start();
    let sent = json!({ "config": rig.config(true).to_string() }).to_string();
    for path in ["plan", "reload"] {
        assert_eq!(
            api.refused("POST", path, &[], &sent),
            (409, "reload.config".into())
        );
        for body in [
            "{",
            "[]",
            "{\"config\":7}",
            "{\"konfig\":\"\"}",
            "{\"config\":\"\",\"config\":\"\"}",
            "\u{0}",
        ] {
            assert_eq!(api.refused("POST", path, &[], body).0, 400, "{path} {body}");
        }
    }
    for body in [
        json!({ "watch_ms": 1000 }),
        json!({ "rollback_on": 0.05 }),
        json!({ "watch_ms": 0, "rollback_on": 0.05 }),
        json!({ "watch_ms": 600_001, "rollback_on": 0.05 }),
        json!({ "watch_ms": 1000, "rollback_on": 1 }),
        json!({ "watch_ms": 1000, "rollback_on": "5%" }),
    ] {
        assert_eq!(
            api.refused("POST", "reload", &[], &body.to_string()).0,
            400,
            "{body}"
        );
    }
    // Its own file is no secret to it.
    assert_eq!(api.ok("POST", "plan", "")["changes"], false);
    assert_eq!(api.ok("POST", "reload", "{}")["changes"], false);
}

#[test]
fn a_configuration_under_which_calls_fail_is_taken_back() {
    let rig = Rig::new();
    rig.write("ferromcp.yaml", &rig.config(true));
    let (served, api) = rig.start();
    let before = std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap();
    // Nobody may call anything.
    let mut bad = rig.config(true);
    bad["auth"] = json!({ "anonymous": "refuse" });
    rig.write("bad.yaml", &bad);
    let mut good = rig.config(true);
    good["validation"] = json!({ "max_string": "1KiB" });
    rig.write("good.yaml", &good);

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when something below fails.
        let _end = OnDrop(&over);
        let calls = scope.spawn(|| {
            let mut failed = 0;
            while !over.load(Ordering::Relaxed) {
                failed += usize::from(!echo(&served.door));
            }
            failed
        });
        let watch = ["--watch", "60s", "--rollback-on", "5%"];
        let (code, out, errors) = rig.run(&api, &[&["apply", "bad.yaml"][..], &watch].concat());
        assert_eq!(code, 1, "{errors}");
        assert!(out.contains("auth.anonymous"), "{out}");
        assert!(errors.contains("taken back"), "{errors}");
        assert!(echo(&served.door), "it is as before");
        assert_eq!(
            std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
            before
        );

        let watch = ["--watch", "1s", "--rollback-on", "5%"];
        let (code, _, errors) = rig.run(&api, &[&["apply", "good.yaml"][..], &watch].concat());
        assert_eq!(code, 0, "{errors}");
        assert!(errors.contains("0 of them failed"), "{errors}");
        over.store(true, Ordering::Relaxed);
        assert!(calls.join().unwrap() > 0, "some calls came while it was in force");
    });
    assert_eq!(
        std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
        good.to_string()
    );
    let who: Vec<Value> = api.ok("GET", "generations", "")["generations"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(who.len(), 4, "{who:?}");
    assert!(who[1]["who"].as_str().unwrap().ends_with("(watch)"), "{who:?}");

    // Too few calls to say anything: it stays.
    let watch = ["--watch", "300ms", "--rollback-on", "5%"];
    let (code, _, errors) = rig.run(&api, &[&["apply", "bad.yaml"][..], &watch].concat());
    assert_eq!(code, 0, "{errors}");
    assert!(errors.contains("too few"), "{errors}");
    let wrong = rig.run(
        &api,
        &["apply", "bad.yaml", "--watch", "1s", "--rollback-on", "5"],
    );
    assert_eq!(wrong.0, 2, "{}", wrong.2);
}

/// Whoever puts another configuration in its place has the last word: nothing is counted, and nothing taken back, after that.
#[test]
fn a_configuration_that_was_replaced_is_not_taken_back() {
    let rig = Rig::new();
    rig.write("ferromcp.yaml", &rig.config(true));
    let (served, api) = rig.start();
    let watched = |bytes: &str| {
        let mut config = rig.config(true);
        config["validation"] = json!({ "max_string": bytes });
        config
    };
    rig.write("one.yaml", &watched("1KiB"));
    let mut other = watched("2KiB");
    other["auth"] = json!({ "anonymous": "refuse" });
    rig.write("other.yaml", &other);
    let watch = ["apply", "one.yaml", "--watch", "60s", "--rollback-on", "5%"];
    std::thread::scope(|scope| {
        let first = scope.spawn(|| rig.run(&api, &watch));
        eventually("the first is in force", || {
            (api.ok("GET", "status", "")["reloads"]["done"] == 1).then_some(())
        });
        let (code, _, errors) = rig.run(&api, &["apply", "other.yaml"]);
        assert_eq!(code, 0, "{errors}");
        for _ in 0..30 {
            assert!(!echo(&served.door));
        }
        let (code, _, errors) = first.join().unwrap();
        assert_eq!(code, 0, "{errors}");
        assert!(
            errors.contains("another configuration came in its place"),
            "{errors}"
        );
    });
    assert_eq!(
        std::fs::read_to_string(rig.file("ferromcp.yaml")).unwrap(),
        other.to_string()
    );
}
