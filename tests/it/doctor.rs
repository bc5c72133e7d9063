//! `ferromcp doctor`: what is wrong is found, and what to do is said.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Authority, Finished, Peers, Served, directory_with, ferromcp, finish, fixture};

fn doctor(config: &Path, environment: &[(&str, &str)]) -> (Finished, Value) {
    let mut command = ferromcp(["doctor", "--json", "--config"]);
    command.arg(config).envs(environment.iter().copied());
    let done = finish(command, "");
    let report = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    (done, report)
}

/// State, message and fix of the first check of this name.
fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let all = report["checks"].as_array().unwrap();
    let one = all
        .iter()
        .find(|one| one["check"] == name)
        .unwrap_or_else(|| panic!("no {name} in {report:#}"));
    let text = |key: &str| one[key].as_str().unwrap_or_default();
    (text("state"), text("message"), text("fix"))
}

fn says(report: &Value, name: &str, state: &str, words: &[&str]) {
    let (found, message, fix) = check(report, name);
    assert_eq!(found, state, "{report:#}");
    for word in words {
        assert!(message.contains(word) || fix.contains(word), "{word}: {report:#}");
    }
}

#[test]
fn servers_that_work_and_those_that_do_not() {
    let peers = Peers::find();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = refusing.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in refusing.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection.read(&mut [0; 8192]);
            let _ = connection
                .write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    let url = format!("http://{address}/mcp");
    let config = json!({ "listen": { "http": "127.0.0.1:0" }, "servers": {
        "good": { "command": fixture(), "args": ["--stdio"], "pool": { "min": 3, "max": 4 } },
        "npm": { "command": peers.node, "args": [peers.script("server-everything"), "stdio"] },
        "gone": { "command": "no-such-program" },
        "dies": { "command": "sh", "args": ["-c", "echo key $K >&2; exit 3"], "env": { "K": "hunter2hunter2" } },
        "refuses": { "url": url, "headers": { "X-Api-Key": "${K}" } },
        "wants": { "url": url },
        "nobody": { "url": "http://127.0.0.1:1/mcp" },
        "unknown": { "url": "https://no-such-host.invalid/mcp" },
    } });
    let directory = directory_with("f.yaml", &config.to_string());
    let file = directory.path().join("f.yaml");
    let (done, report) = doctor(&file, &[("K", "hunter3hunter3")]);
    assert_eq!((done.code, &report["ok"]), (1, &json!(false)), "{report:#}");
    says(&report, "servers.good", "ok", &["tools"]);
    says(&report, "servers.npm", "ok", &["tools"]);
    says(
        &report,
        "servers.gone",
        "fail",
        &["not found in PATH", "install `no-such-program`"],
    );
    says(
        &report,
        "servers.dies",
        "fail",
        &["exited with code 3", "key [redacted]"],
    );
    says(
        &report,
        "servers.refuses",
        "fail",
        &["401", "servers.refuses.headers.X-Api-Key"],
    );
    says(
        &report,
        "servers.wants",
        "fail",
        &["401", "set servers.wants.headers.Authorization"],
    );
    says(&report, "servers.nobody", "fail", &["nothing listens there"]);
    says(&report, "servers.unknown", "fail", &["dns error"]);
    says(&report, "clock", "skipped", &["no server"]);
    let everything = format!("{done:?}");
    assert!(
        !everything.contains("hunter2") && !everything.contains("hunter3"),
        "{everything}"
    );

    let mut text = ferromcp(["doctor", "--config"]);
    text.arg(&file).env("K", "hunter3hunter3");
    let text = finish(text, "");
    assert!(
        text.code == 1 && text.stdout.contains("\nFAIL  servers.gone"),
        "{text:?}"
    );
    let without = doctor_text(
        &directory_with("g.yaml", &config.to_string())
            .path()
            .join("g.yaml"),
    );
    assert!(
        without.code == 2 && without.stderr.contains("`K` is not set"),
        "{without:?}"
    );
}

fn doctor_text(config: &Path) -> Finished {
    let mut command = ferromcp(["doctor", "--config"]);
    command.arg(config).env_remove("K");
    finish(command, "")
}

#[test]
fn a_bad_configuration_has_its_places_and_code_two() {
    let directory = directory_with("f.yaml", "listen:\n  htp: 127.0.0.1:0\n");
    let (done, report) = doctor(&directory.path().join("f.yaml"), &[]);
    assert_eq!(done.code, 2, "{done:?}");
    let problem = &report["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(2), &json!(3)),
        "{report}"
    );
    assert!(done.stderr.contains("f.yaml:2:3"), "{done:?}");
    let none = doctor_text(&directory.path().join("none.yaml"));
    assert!(
        none.code == 2 && none.stderr.contains("ferromcp init"),
        "{none:?}"
    );
}

#[test]
fn ports_are_free_ours_or_somebody_elses() {
    let served = Served::start::<&str>([]);
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    std::thread::spawn({
        let foreign = foreign.try_clone().unwrap();
        move || {
            for connection in foreign.incoming() {
                let Ok(mut connection) = connection else { return };
                let _ = connection.read(&mut [0; 8192]);
                let _ = connection
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
            }
        }
    });
    let ours = served.door.url("").replace("http://", "");
    for (address, state, said) in [
        (ours.trim_end_matches('/').to_owned(), "ok", "a ferromcp answers"),
        (
            foreign.local_addr().unwrap().to_string(),
            "fail",
            "not by a ferromcp",
        ),
        ("127.0.0.1:0".to_owned(), "ok", "is free"),
    ] {
        let directory = directory_with("f.yaml", &format!("listen: {{ http: \"{address}\" }}"));
        let (done, report) = doctor(&directory.path().join("f.yaml"), &[]);
        says(&report, "listen.http", state, &[said]);
        assert_eq!(done.code, i32::from(state == "fail"), "{report:#}");
    }
}

#[test]
fn risky_settings_files_and_certificates() {
    let authority = Authority::new("localhost");
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    authority.server().put(directory.path(), "server");
    authority.expired("old", "company").put(directory.path(), "old");
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    std::fs::write(at("token"), "hunter2hunter2\n").unwrap();
    for (file, mode) in [("token", 0o644), ("server.key", 0o600)] {
        assert!(at(file).exists(), "{names:?}");
        std::fs::set_permissions(at(file), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    std::fs::write(at("not-a-directory"), "").unwrap();
    let config = |tls: &str, audit: &str| {
        format!(
            "listen: {{ http: \"0.0.0.0:0\", tls: {{ cert: {tls}.pem, key: {tls}.key }} }}\naudit: {{ file: {audit} }}\n\
             servers: {{ a: {{ url: \"http://127.0.0.1:1/mcp\", headers: {{ Authorization: \"Bearer ${{file:token}}\" }} }} }}\n"
        )
    };
    std::fs::write(at("f.yaml"), config("server", "log")).unwrap();
    let (done, report) = doctor(&at("f.yaml"), &[]);
    assert_eq!(done.code, 1, "{report:#}");
    says(
        &report,
        "settings",
        "fail",
        &["no authentication", "ferromcp keys new"],
    );
    says(
        &report,
        "credentials",
        "warn",
        &["can be read by everybody", "chmod 600"],
    );
    says(
        &report,
        "listen.tls",
        "warn",
        &["ends in 0 days", "put a new certificate in place"],
    );
    says(&report, "audit.file", "ok", &["can be made"]);
    assert!(!at("log").exists(), "a look makes nothing");
    std::fs::write(at("f.yaml"), config("old", "not-a-directory/log")).unwrap();
    let (_, report) = doctor(&at("f.yaml"), &[]);
    says(
        &report,
        "listen.tls",
        "fail",
        &["ended on", "put a new certificate in place"],
    );
    says(
        &report,
        "audit.file",
        "fail",
        &["not-a-directory is not a directory"],
    );
}

#[test]
fn what_differs_from_the_lock_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.yaml");
    let server = json!({ "command": fixture(), "args": ["--stdio"] });
    let config = json!({ "listen": { "http": "127.0.0.1:0" }, "lock": { "file": "mcp.lock" }, "servers": { "fix": server } });
    std::fs::write(&file, config.to_string()).unwrap();
    let (done, report) = doctor(&file, &[]);
    assert_eq!(done.code, 1, "{report:#}");
    says(&report, "lock.file", "fail", &["there is no", "ferromcp lock"]);
    let mut lock = ferromcp(["lock", "--config"]);
    lock.arg(&file);
    assert_eq!(finish(lock, "").code, 0);
    let (done, report) = doctor(&file, &[]);
    assert_eq!(done.code, 0, "{report:#}");
    says(&report, "lock.file", "ok", &["as locked"]);
    let mut config = config;
    config["servers"]["fix"]["tools"] = json!({ "deny": ["greet"] });
    std::fs::write(&file, config.to_string()).unwrap();
    let (done, report) = doctor(&file, &[]);
    assert_eq!(done.code, 0, "what is gone is a warning: {report:#}");
    says(&report, "lock.file", "warn", &["fix/greet", "--accept"]);
}
