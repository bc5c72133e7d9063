//! When health checks say that the server is ready: an orchestrator sends it calls from then on.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Served, eventually, ferromcp, finish, program, serve_grpc};

/// A configuration with one server, which begins when the file `go` is there.
fn config(directory: &Path, start_timeout: &str, server: &str) -> PathBuf {
    let config = json!({
        "supervisor": { "start_timeout": start_timeout },
        "servers": { server: {
            "command": "sh",
            "args": ["-c", "while [ ! -e \"$1\" ]; do sleep 0.02; done; exec \"$0\" serve --mode stdio", program(), directory.join("go")],
        } },
    });
    let file = directory.join("ferromcp.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

fn health_of(url: &str) -> (i32, String) {
    let said = finish(ferromcp(["health", "--url", url]), "");
    (said.code, said.stderr)
}

#[test]
fn a_server_is_ready_when_what_is_behind_it_has_started() {
    let directory = tempfile::tempdir().unwrap();
    let file = config(directory.path(), "10m", "late");
    let (served, grpc) = serve_grpc(&file);
    let door = &served.door;
    let urls = [door.url(""), format!("grpc://{grpc}")];

    let early = door.get("/readyz");
    assert_eq!((early.status, early.body.trim()), (503, "starting"));
    assert_eq!(door.health()["status"], "starting");
    for url in &urls {
        let (code, said) = health_of(url);
        assert_eq!(code, 1, "{url}: {said}");
        assert!(said.contains("it starts or drains"), "{url}: {said}");
    }
    // It lives, and what it has can be called.
    assert_eq!(door.get("/healthz").status, 200);
    assert_eq!(door.rest_text("echo", &json!({ "msg": "early" })), "early");

    std::fs::write(directory.path().join("go"), "").unwrap();
    eventually("it is ready", || {
        (door.get("/readyz").status == 200).then_some(())
    });
    assert_eq!(
        door.rest_text("late__echo", &json!({ "msg": "at once" })),
        "at once"
    );
    assert_eq!(door.health()["status"], "ok");
    for url in &urls {
        eventually("the health check is content", || {
            (health_of(url).0 == 0).then_some(())
        });
    }
}

#[test]
fn a_server_that_never_starts_holds_it_up_for_its_time_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = config(directory.path(), "300ms", "never");
    let served = Served::with_config(&file);
    eventually("it is ready", || {
        (served.door.get("/readyz").status == 200).then_some(())
    });
    // And it stays so, whatever becomes of that server.
    eventually("the server is down", || {
        (served.door.source("never").0 == "down").then_some(())
    });
    assert_eq!(served.door.get("/readyz").status, 200);
    assert_eq!(served.door.health()["status"], "degraded");
}
