//! `ferromcp doctor`: what is wrong is found, and what to do is said.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::{ServerConnection, StreamOwned};
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

/// Answers every request on a thread; its address.
fn answering(said: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut piece = [0; 8192];
            // One resource, without records.
            while !request.ends_with(b"\r\n\r\n\x0a\x00") {
                match connection.read(&mut piece) {
                    Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
                    _ => break,
                }
            }
            let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
            // The path, the credential and the type are those of the configuration and of OTLP.
            let whole = head.starts_with("post /v1/logs http/1.1\r\n")
                && head.contains("content-type: application/x-protobuf\r\n")
                && head.contains("x-key: hunter2hunter2\r\n")
                && head.contains("content-length: 2\r\n");
            let said = if whole { said } else { "400 Bad Request" };
            let rest = "content-length: 0\r\nconnection: close\r\n\r\n";
            let _ = write!(connection, "HTTP/1.1 {said}\r\n{rest}");
        }
    });
    address
}

#[test]
fn a_collector_takes_records_or_what_is_wrong_with_it_is_said() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for (address, state, words) in [
        (answering("200 OK"), "ok", &["/v1/logs takes records"][..]),
        (
            answering("401 Unauthorized"),
            "fail",
            &["401", "audit.otlp.headers"],
        ),
        (answering("404 Not Found"), "fail", &["404", ":4318/v1/logs"]),
        (
            answering("301 Moved Permanently"),
            "fail",
            &["301", "that it leads to"],
        ),
        (
            answering("415 Unsupported Media Type"),
            "fail",
            &["415", "protobuf"],
        ),
        (
            answering("503 Service Unavailable"),
            "warn",
            &["503", "see why", "dropped"],
        ),
        (closed, "fail", &["refused", "start the collector"]),
        (
            silent.local_addr().unwrap().to_string(),
            "fail",
            &["no answer within 500ms", "start the collector"],
        ),
    ] {
        let config = json!({ "listen": { "http": "127.0.0.1:0" }, "audit": { "otlp": {
            "endpoint": format!("http://{address}/v1/logs"), "headers": { "X-Key": "${K}" }, "timeout": "500ms",
        } } });
        let directory = directory_with("f.yaml", &config.to_string());
        let (done, report) = doctor(&directory.path().join("f.yaml"), &[("K", "hunter2hunter2")]);
        says(&report, "audit.otlp", state, words);
        assert_eq!(done.code, i32::from(state == "fail"), "{report:#}");
        assert!(!done.stdout.contains("hunter2"), "{done:?}");
    }
}

/// A server over TLS whose clock is `ahead` of ours, in seconds, and that answers with this body; its address.
fn over_tls(authority: &Authority, ahead: i64, body: &'static str) -> String {
    let settings = authority.server().server_settings();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(connection) = connection else { return };
            let session = ServerConnection::new(settings.clone()).unwrap();
            let mut stream = StreamOwned::new(session, connection);
            // Fails for a client that does not trust us.
            let mut request = [0; 8192];
            let Ok(length) = stream.read(&mut request) else {
                continue;
            };
            let apart = Duration::from_secs(ahead.unsigned_abs());
            let now = match ahead {
                0.. => SystemTime::now() + apart,
                _ => SystemTime::now() - apart,
            };
            let date = httpdate::fmt_http_date(now);
            let sent = if request[..length].starts_with(b"HEAD ") {
                ""
            } else {
                body
            };
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{sent}",
                body.len()
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    url
}

#[test]
fn keys_over_https_and_the_clock_of_who_gives_them() {
    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","use":"sig","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let ours = Authority::new("ours");
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("ours.pem"), ours.pem()).unwrap();
    std::fs::write(at("other.pem"), Authority::new("other").pem()).unwrap();
    let look = |url: &str, leeway: &str, trusted: &str| {
        let config = json!({ "listen": { "http": "127.0.0.1:0" }, "tenants": { "a": {} }, "auth": { "jwt": {
            "issuer": url, "audience": "ferromcp", "jwks": format!("{url}/keys"), "leeway": leeway,
        } } });
        std::fs::write(at("f.yaml"), config.to_string()).unwrap();
        doctor(&at("f.yaml"), &[("SSL_CERT_FILE", at(trusted).to_str().unwrap())])
    };

    let right = over_tls(&ours, 0, KEYS);
    let (done, report) = look(&right, "60s", "ours.pem");
    says(&report, "auth.jwt.jwks", "ok", &["https://localhost", ": 1 keys"]);
    says(&report, "clock", "ok", &["s apart from localhost"]);
    assert_eq!(done.code, 0, "{report:#}");
    let (done, report) = look(&right, "60s", "other.pem");
    says(
        &report,
        "auth.jwt.jwks",
        "fail",
        &["UnknownIssuer", "check auth.jwt.jwks"],
    );
    says(&report, "clock", "skipped", &["said the time"]);
    assert_eq!(done.code, 1, "{report:#}");
    let (_, report) = look(&over_tls(&ours, 0, r#"{"keys":[]}"#), "60s", "ours.pem");
    says(&report, "auth.jwt.jwks", "fail", &["no key that can be used"]);

    for (ahead, leeway, state) in [
        (300, "60s", "fail"),
        (-300, "60s", "fail"),
        (300, "10m", "ok"),
        (-300, "10m", "ok"),
    ] {
        let (done, report) = look(&over_tls(&ours, ahead, KEYS), leeway, "ours.pem");
        let (found, message, fix) = check(&report, "clock");
        assert_eq!(found, state, "{report:#}");
        let apart: i64 = message.split(' ').next().unwrap().parse().unwrap();
        assert!((298..=330).contains(&apart), "{message}");
        if state == "fail" {
            assert!(
                message.contains("leeway is 60 s") && fix.contains("set the clock"),
                "{report:#}"
            );
        }
        assert_eq!(done.code, i32::from(state == "fail"), "{report:#}");
    }
    // Where no token goes by the clock, it is a warning.
    let url = over_tls(&ours, 300, "");
    let config =
        json!({ "listen": { "http": "127.0.0.1:0" }, "servers": { "far": { "url": format!("{url}/mcp") } } });
    std::fs::write(at("f.yaml"), config.to_string()).unwrap();
    let (_, report) = doctor(
        &at("f.yaml"),
        &[("SSL_CERT_FILE", at("ours.pem").to_str().unwrap())],
    );
    says(
        &report,
        "clock",
        "warn",
        &["apart from localhost", "set the clock"],
    );
}
