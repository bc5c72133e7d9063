//! gRPC servers behind the gateway: other people's, and a gateway's own gRPC door.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Authority, Door, Peers, Process, Served, directory_with, eventually, ferromcp, finish, grpc_address,
    on_a_free_port, put,
};

/// The server of `tests/peers/python/grpc_server.py`.
struct Shop {
    _process: Process,
    address: String,
    directory: tempfile::TempDir,
}

impl Shop {
    fn start(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let peers = Peers::find();
        let (process, address) = on_a_free_port(|address| {
            let mut command = peers.python_script("grpc_server.py", directory.path());
            command.arg(address.rsplit(':').next().unwrap()).args(more);
            command
        });
        Self {
            _process: process,
            address,
            directory,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A file with its descriptors.
    fn descriptors(&self) -> std::path::PathBuf {
        let file = self.directory.path().join("shop.binpb");
        let mut command = Peers::find().python_script("grpc_server.py", self.directory.path());
        command.arg("descriptors").arg(&file);
        assert_eq!(finish(command, "").code, 0);
        file
    }
}

fn gateway(servers: &Value) -> (Served, tempfile::TempDir) {
    let directory = directory_with("ferromcp.yaml", &json!({ "servers": servers }).to_string());
    let served = started(directory.path());
    for name in servers.as_object().unwrap().keys() {
        ready(&served.door, name);
    }
    (served, directory)
}

fn started(directory: &Path) -> Served {
    Served::with_config(&directory.join("ferromcp.yaml"))
}

fn ready(door: &Door, name: &str) {
    eventually("the server is ready", || {
        (door.source(name).0 == "ready").then_some(())
    });
}

fn asked(door: &Door, what: &str) -> Value {
    door.rest("shop__Orders_Do", &json!({ "what": what })).json()
}

#[test]
fn methods_are_tools_through_every_door() {
    let shop = Shop::start(&[]);
    let (served, _directory) =
        gateway(&json!({ "shop": { "grpc": shop.url(), "headers": { "X-Key": "s3cret" } } }));
    let listed = served.door.modern("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    // Reflection itself is no tool, and neither is what takes a stream.
    assert_eq!(
        names,
        [
            "echo",
            "shop__Orders_Echo",
            "shop__Orders_Do",
            "shop__Orders_Watch"
        ]
    );
    assert_eq!(tools[1]["annotations"], json!({ "readOnlyHint": true }));

    let order = json!({
        "id": "9007199254740993", "itemName": "lamp", "state": "OPEN", "placedAt": "2026-01-02T03:04:05Z",
        "parts": [{ "itemName": "bulb" }], "photo": "AP8=", "weight": 1.5, "tags": { "a": 1 },
    });
    let echoed = served.door.rest("shop__Orders_Echo", &order).json();
    for (key, value) in order
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| *key != "parts")
    {
        assert_eq!(&echoed["output"][key], value, "{echoed}");
    }
    let mcp = served.door.modern(
        "tools/call",
        json!({ "name": "shop__Orders_Echo", "arguments": order }),
    );
    assert_eq!(mcp["result"]["structuredContent"]["parts"][0]["itemName"], "bulb");
    for bad in [
        json!({ "id": "x" }),
        json!({ "unknown": 1 }),
        json!({ "state": "NOWHERE" }),
        json!({ "tags": { "a": -1 } }),
    ] {
        let refused = served.door.rest("shop__Orders_Echo", &bad).json();
        assert_eq!(refused["error"]["code"], "invalid_arguments", "{bad}: {refused}");
    }
    // No schema knows what base64 is.
    let refused = served
        .door
        .rest("shop__Orders_Echo", &json!({ "photo": "*" }))
        .json();
    assert_eq!(refused["error"]["rule"], "grpc.arguments", "{refused}");
    let shown = asked(&served.door, "metadata");
    assert_eq!(shown["output"]["itemName"], "s3cret ferromcp");
    let left = shown["output"]["weight"].as_f64().unwrap();
    assert!(
        left > 1.0 && left <= 600.0,
        "the server knows the deadline: {left}"
    );
    let odd = asked(&served.door, "unknown-enum");
    assert_eq!(
        (&odd["output"]["state"], &odd["output"]["weight"]),
        (&json!(77), &json!("Infinity"))
    );
}

#[test]
fn a_stream_is_a_list() {
    let shop = Shop::start(&[]);
    let (served, _directory) = gateway(&json!({ "shop": { "grpc": shop.url() } }));
    let watch = |count: u32, what: &str| {
        served
            .door
            .rest("shop__Orders_Watch", &json!({ "count": count, "what": what }))
            .json()
    };
    assert_eq!(watch(0, "")["output"], json!({ "messages": [] }));
    let three = watch(3, "");
    assert_eq!(three["output"]["messages"][2]["id"], "2", "{three}");
    let many = watch(5000, "");
    assert_eq!(many["output"]["messages"].as_array().unwrap().len(), 1000);
    assert_eq!(many["output"]["truncated"], true);
    let failed = watch(3, "fail");
    assert_eq!(failed["error"]["rule"], "upstream.answer", "{failed}");
}

#[test]
fn what_a_status_means() {
    let shop = Shop::start(&[]);
    let (served, _directory) = gateway(&json!({ "shop": { "grpc": shop.url() } }));
    for (what, code, rule, retry) in [
        ("INTERNAL", "upstream_error", "upstream.answer", None),
        ("UNKNOWN", "upstream_error", "upstream.answer", None),
        ("UNAUTHENTICATED", "upstream_error", "upstream.status", None),
        ("UNIMPLEMENTED", "upstream_error", "upstream.gone", None),
        ("UNAVAILABLE", "unavailable", "upstream.status", Some(1000)),
        ("RESOURCE_EXHAUSTED", "unavailable", "upstream.status", Some(1000)),
        ("retry", "unavailable", "upstream.status", Some(7000)),
        ("DEADLINE_EXCEEDED", "timeout", "deadline", None),
    ] {
        let answer = asked(&served.door, what);
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["rule"]),
            (&json!(code), &json!(rule)),
            "{what}: {answer}"
        );
        assert_eq!(error["retry_after_ms"].as_u64(), retry, "{answer}");
        // A good call in between: the breaker looks at failures in a row.
        assert_eq!(asked(&served.door, "well")["output"]["itemName"], "well");
    }
    for what in [
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "PERMISSION_DENIED",
        "ALREADY_EXISTS",
        "FAILED_PRECONDITION",
        "ABORTED",
    ] {
        let refused = asked(&served.door, what);
        let text = format!("status {what}: because {what}");
        assert_eq!(refused["content"][0]["text"], text, "{refused}");
    }
    let big = asked(&served.door, "big");
    assert!(big.to_string().contains("message length too large"), "{big}");
}

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_server() {
    let shop = Shop::start(&[]);
    let (served, _directory) = gateway(&json!({ "shop": { "grpc": shop.url(), "timeout": "500ms" } }));
    assert_eq!(asked(&served.door, "never")["error"]["code"], "timeout");
    eventually("the server has seen the end", || {
        (asked(&served.door, "seen")["output"]["id"] == "11").then_some(())
    });
}

#[test]
fn a_file_of_descriptors_does_for_a_server_without_reflection() {
    let shop = Shop::start(&["plain"]);
    let directory = directory_with(
        "ferromcp.yaml",
        &json!({ "servers": {
            "bare": { "grpc": shop.url() },
            "shop": { "grpc": shop.url(), "descriptors": shop.descriptors(), "services": ["shop.v1.Orders"] },
            "other": { "grpc": shop.url(), "descriptors": shop.descriptors(), "services": ["shop.v1.Nowhere"] },
            "away": { "grpc": "http://127.0.0.1:1", "descriptors": shop.descriptors() },
        } })
        .to_string(),
    );
    let served = started(directory.path());
    ready(&served.door, "shop");
    ready(&served.door, "away");
    assert_eq!(asked(&served.door, "well")["output"]["itemName"], "well");
    let lost = served.door.rest("away__Orders_Do", &json!({})).json();
    assert_eq!(lost["error"]["rule"], "upstream.lost", "{lost}");
    assert!(lost["error"]["details"].get("may_have_run").is_none(), "{lost}");
    for (server, why) in [
        ("bare", "it has no reflection"),
        ("other", "no service `shop.v1.Nowhere`"),
    ] {
        eventually("it is down", || {
            (served.door.source(server).0 == "down").then_some(())
        });
        let health = served.door.health().to_string();
        assert!(health.contains(why), "{health}");
    }
    // A file that becomes another one is taken over, and one that is no good is not.
    std::fs::write(shop.descriptors(), b"nonsense").unwrap();
    served
        .process
        .stderr
        .wait(|line| line.contains("what was found before stays").then_some(()));
    assert_eq!(asked(&served.door, "well")["output"]["itemName"], "well");
}

#[test]
fn a_gateway_behind_a_gateway_with_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    servers.server().put(directory.path(), "server");
    put(directory.path(), "servers.pem", &servers.pem());
    put(directory.path(), "clients.pem", &clients.pem());
    clients.client("ada", "company-a").put(directory.path(), "client");
    let config = json!({
        "listen": {
            "grpc": "127.0.0.1:0",
            "tls": { "cert": "server.pem", "key": "server.key", "client_ca": "clients.pem" },
        },
        "tenants": { "company-a": { "certificates": ["subject:CN=*,O=company-a"] } },
    });
    put(directory.path(), "ferromcp.yaml", &config.to_string());
    let behind = started(directory.path());
    let address = grpc_address(&behind);
    let port = address.rsplit(':').next().unwrap();
    let read = |name: &str| format!("${{file:{}}}", at(name).display());
    let front = |tls: Value| json!({ "grpc": format!("https://localhost:{port}"), "tls": tls });
    let config = json!({ "servers": {
        "behind": front(json!({ "ca": read("servers.pem"), "cert": read("client.pem"), "key": read("client.key") })),
        "stranger": front(json!({ "ca": read("clients.pem") })),
    } });
    let front = directory_with("ferromcp.yaml", &config.to_string());
    let served = started(front.path());
    ready(&served.door, "behind");
    // "hi" as the bytes of a JSON document.
    let call = json!({ "tool": "echo", "arguments": "eyJtc2ciOiJoaSJ9" });
    let answer = served.door.rest("behind__FerroMcpService_CallTool", &call).json();
    assert_eq!(answer["success"], true, "{answer}");
    assert!(answer["output"].to_string().contains("requestId"), "{answer}");
    let unknown = json!({ "tool": "nowhere", "arguments": "e30=" });
    let answer = served
        .door
        .rest("behind__FerroMcpService_CallTool", &unknown)
        .json();
    assert!(
        answer["content"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("status NOT_FOUND"),
        "{answer}"
    );
    eventually("the other is down", || {
        (served.door.source("stranger").0 == "down").then_some(())
    });
    let health = served.door.health().to_string();
    assert!(
        health.contains("not from an authority this system trusts"),
        "{health}"
    );
}

#[test]
fn mistakes_in_the_file_are_found() {
    for (server, says) in [
        (
            json!({ "grpc": "http://localhost/path" }),
            "has a path or a query",
        ),
        (json!({ "grpc": "localhost:50051" }), "http"),
        (
            json!({ "grpc": "http://localhost", "openapi": "http://localhost" }),
            "has both",
        ),
        (
            json!({ "grpc": "http://localhost", "descriptors": "nowhere.binpb" }),
            "no such file",
        ),
        (
            json!({ "grpc": "http://localhost", "auth": { "oauth": { "client_id": "a", "client_secret": "b" } } }),
            "`auth` has no effect here",
        ),
        (
            json!({ "grpc": "http://localhost", "tls": { "ca": "x" } }),
            "`ca` has no effect here",
        ),
        (
            json!({ "command": "x", "services": ["a.B"] }),
            "`services` has no effect here",
        ),
    ] {
        let directory = directory_with(
            "ferromcp.yaml",
            &json!({ "servers": { "a": server } }).to_string(),
        );
        let mut command = ferromcp(["check"]);
        command.arg(directory.path().join("ferromcp.yaml"));
        let checked = finish(command, "");
        assert_ne!(checked.code, 0, "{server}");
        assert!(checked.stderr.contains(says), "{server}: {checked:?}");
    }
}
