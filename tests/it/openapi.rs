//! HTTP APIs as servers behind the gateway: other people's, and a gateway's own REST door.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Door, Peers, Process, Served, directory_with, eventually, ferromcp, finish, on_a_free_port,
};

/// The API of `tests/peers/python/api.py`.
struct Api {
    _process: Process,
    address: String,
    _directory: tempfile::TempDir,
}

impl Api {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let peers = Peers::find();
        let (process, address) = on_a_free_port(|address| {
            let mut command = peers.python_script("api.py", directory.path());
            command.arg(address.rsplit(':').next().unwrap());
            command
        });
        Self {
            _process: process,
            address,
            _directory: directory,
        }
    }

    fn document(&self, query: &str) -> String {
        format!("http://{}/openapi.yaml{query}", self.address)
    }
}

/// A gateway in front of `servers`, all of them ready.
fn gateway(servers: &Value) -> (Served, tempfile::TempDir) {
    let config = json!({ "servers": servers, "supervisor": { "default_timeout": "20s" } });
    let directory = directory_with("ferromcp.yaml", &config.to_string());
    let served = Served::with_config(&directory.path().join("ferromcp.yaml"));
    for name in servers.as_object().unwrap().keys() {
        ready(&served.door, name);
    }
    (served, directory)
}

fn ready(door: &Door, name: &str) -> u64 {
    eventually("the API is ready", || {
        let (state, tools) = door.source(name);
        (state == "ready").then_some(tools)
    })
}

fn tools(door: &Door) -> Vec<Value> {
    let listed = door.modern("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .filter(|tool| tool["name"].as_str().unwrap().contains("__"))
        .cloned()
        .collect()
}

fn error(door: &Door, tool: &str, arguments: &Value) -> Value {
    let answer = door.rest(tool, arguments).json();
    assert_eq!(answer["success"], false, "{tool} {arguments}: {answer}");
    answer["error"].clone()
}

#[test]
fn operations_are_tools_through_every_door() {
    let api = Api::start();
    let (served, _directory) = gateway(&json!({ "pets": {
        "openapi": api.document(""), "headers": { "X-Key": "s3cret" },
        "tools": { "deny": ["removePet"], "overrides": { "listPets": { "name": "list" } } },
    } }));
    let door = &served.door;
    let tools = tools(door);
    let mut names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "pets__addPet",
            "pets__do",
            "pets__doOnce",
            "pets__echo",
            "pets__getPet",
            "pets__list"
        ]
    );
    let tool = |name: &str| tools.iter().find(|tool| tool["name"] == name).unwrap();
    let add = tool("pets__addPet");
    // What only the server sets is no argument of it, and what it returns has it.
    assert_eq!(
        add["inputSchema"]["properties"]["body"],
        json!({ "$ref": "#/$defs/Pet" })
    );
    assert_eq!(add["inputSchema"]["required"], json!(["body"]));
    assert_eq!(add["inputSchema"]["$defs"]["Pet"]["required"], json!(["name"]));
    assert_eq!(
        add["outputSchema"]["$defs"]["Pet"]["required"],
        json!(["id", "name"])
    );
    assert_eq!(add["annotations"], json!({ "readOnlyHint": false }));
    assert_eq!(tool("pets__list")["title"], "All pets");
    assert_eq!(tool("pets__list")["annotations"], json!({ "readOnlyHint": true }));

    let made = door
        .rest("pets__addPet", &json!({ "body": { "name": "Rex", "age": null } }))
        .json();
    assert_eq!(made["output"], json!({ "id": "1", "name": "Rex", "age": null }));
    let bad = error(door, "pets__addPet", &json!({ "body": { "name": "" } }));
    assert_eq!(bad["code"], "invalid_arguments");
    let got = door.modern(
        "tools/call",
        json!({ "name": "pets__getPet", "arguments": { "id": "1" } }),
    );
    assert_eq!(got["result"]["structuredContent"]["name"], "Rex");
    let listed = door.rest_text(
        "pets__list",
        &json!({ "tag": ["a b", "c&d"], "filter_age": 3, "X-Trace": "t" }),
    );
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["query"], "tag=a%20b&tag=c%26d&filter%5Bage%5D=3");
    assert_eq!(
        (&listed[0]["key"], &listed[0]["trace"]),
        (&json!("s3cret"), &json!("t"))
    );
    assert!(listed[0]["agent"].as_str().unwrap().starts_with("ferromcp/"));
    // A refusal of the API is for the model to read.
    let missing = door.modern(
        "tools/call",
        json!({ "name": "pets__getPet", "arguments": { "id": "9" } }),
    );
    assert_eq!(missing["result"]["isError"], true);
    assert_eq!(
        missing["result"]["content"][0]["text"],
        "HTTP 404 Not Found\n{\"detail\":\"no such pet\"}"
    );
    assert_eq!(
        error(door, "pets__removePet", &json!({ "id": "1" }))["code"],
        "tool_not_found"
    );
}

#[test]
fn arguments_stay_where_they_belong() {
    let api = Api::start();
    let (served, _directory) = gateway(&json!({ "pets": { "openapi": api.document("") } }));
    let echo = |what: &str, q: &str| {
        let answer = served
            .door
            .rest("pets__echo", &json!({ "what": what, "q": q }))
            .json();
        assert_eq!(answer["success"], true, "{answer}");
        answer["output"].clone()
    };
    for (what, path) in [
        ("a/b", "/v1/echo/a%2Fb"),
        ("?x=1#y", "/v1/echo/%3Fx%3D1%23y"),
        ("%2e%2e", "/v1/echo/%252e%252e"),
        ("@evil.example.com:80", "/v1/echo/%40evil.example.com%3A80"),
        ("//evil.example.com", "/v1/echo/%2F%2Fevil.example.com"),
        ("naïve ☃", "/v1/echo/na%C3%AFve%20%E2%98%83"),
        ("...", "/v1/echo/..."),
    ] {
        assert_eq!(echo(what, "")["path"], path);
    }
    let injected = "1&admin=true#\r\nX-Key: mine";
    assert_eq!(
        echo("a", injected)["query"],
        "q=1%26admin%3Dtrue%23%0D%0AX-Key%3A%20mine"
    );
    assert_eq!(echo("a", injected)["key"], Value::Null);
    for what in [
        "..",
        ".",
        "../admin",
        "a/../../b",
        "..\\admin",
        "",
        "a\nb",
        " .. ",
    ] {
        let refused = error(&served.door, "pets__echo", &json!({ "what": what }));
        assert_eq!(
            (&refused["code"], &refused["rule"]),
            (&json!("invalid_arguments"), &json!("openapi.arguments")),
            "{what}"
        );
        assert_eq!(refused["details"]["issues"][0]["pointer"], "/what");
    }
    let long = error(
        &served.door,
        "pets__echo",
        &json!({ "what": "a", "q": "x".repeat(40_000) }),
    );
    assert_eq!(long["rule"], "openapi.arguments");
    let split = json!({ "X-Trace": "a\r\nX-Key: mine" });
    assert_eq!(
        error(&served.door, "pets__listPets", &split)["rule"],
        "openapi.arguments"
    );
}

#[test]
fn what_the_server_does_wrong_is_said_to_be_its_fault() {
    let api = Api::start();
    let (served, _directory) = gateway(&json!({ "pets": { "openapi": api.document("") } }));
    let door = &served.door;
    let doing = |tool: &str, what: &str| door.rest(tool, &json!({ "what": what })).json();
    for (what, code, rule, retry, says) in [
        (
            "500",
            "upstream_error",
            "upstream.answer",
            None,
            "500 Internal Server Error: because 500",
        ),
        ("503", "unavailable", "upstream.status", Some(7000), "because 503"),
        ("429", "unavailable", "upstream.status", Some(7000), "because 429"),
        (
            "401",
            "upstream_error",
            "upstream.status",
            None,
            "does not accept our credentials",
        ),
        (
            "redirect",
            "upstream_error",
            "upstream.lost",
            None,
            "redirects are not followed",
        ),
        ("garbage", "upstream_error", "upstream.protocol", None, "is not"),
        (
            "packed",
            "upstream_error",
            "upstream.protocol",
            None,
            "compressed",
        ),
        (
            "big",
            "upstream_error",
            "upstream.lost",
            None,
            "larger than the limit",
        ),
    ] {
        let answer = doing("pets__doOnce", what);
        let error = &answer["error"];
        assert_eq!(
            (&error["code"], &error["rule"]),
            (&json!(code), &json!(rule)),
            "{what}: {answer}"
        );
        assert_eq!(error["retry_after_ms"].as_u64(), retry, "{answer}");
        assert!(error["message"].as_str().unwrap().contains(says), "{answer}");
        // A good call in between: the breaker looks at failures in a row.
        assert_eq!(doing("pets__do", "well")["output"], "done");
    }
    let refused = doing("pets__doOnce", "418");
    assert_eq!(
        refused["content"][0]["text"],
        "HTTP 418 I'm a teapot\nbecause 418"
    );
    let image = doing("pets__do", "image");
    assert_eq!(
        image["content"][0],
        json!({ "type": "image", "data": "iVBORwD/", "mimeType": "image/png" })
    );
    assert_eq!(
        doing("pets__do", "binary")["content"][0]["resource"]["blob"],
        "AP/+"
    );
}

#[test]
fn a_call_that_is_given_up_is_given_up_at_the_server() {
    let api = Api::start();
    let (served, _directory) =
        gateway(&json!({ "pets": { "openapi": api.document(""), "timeout": "500ms" } }));
    let late = error(&served.door, "pets__doOnce", &json!({ "what": "never" }));
    assert_eq!(late["code"], "timeout");
    let seen = |what: &str| {
        let answer = served.door.rest("pets__do", &json!({ "what": "seen" })).json();
        answer["output"][what].as_u64().unwrap()
    };
    assert_eq!(seen("open"), 1);
    eventually("the server has seen the end", || {
        (seen("gone") == 1).then_some(())
    });
}

#[test]
fn a_document_that_changes_changes_the_tools() {
    let api = Api::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("api.json");
    let write = |paths: Value| {
        let document = json!({ "openapi": "3.1.0", "paths": paths });
        std::fs::write(&file, document.to_string()).unwrap();
    };
    let get = |id: &str| json!({ "get": { "operationId": id } });
    write(json!({ "/new": get("news") }));
    let base = format!("http://{}/v1", api.address);
    let (served, _config) = gateway(&json!({ "pets": { "openapi": file, "base_url": base } }));
    assert_eq!(served.door.rest_text("pets__news", &json!({})), "news");
    write(json!({ "/new": get("latest"), "/do/seen": get("seen") }));
    eventually("the new tool is there", || {
        let answer = served.door.rest("pets__latest", &json!({})).json();
        (answer["success"] == true).then_some(())
    });
    // One that is no good changes nothing.
    std::fs::write(&file, "{").unwrap();
    served
        .process
        .stderr
        .wait(|line| line.contains("what was found before stays").then_some(()));
    assert_eq!(served.door.rest_text("pets__latest", &json!({})), "news");
}

#[test]
fn plans_and_reloads_know_the_tools() {
    let api = Api::start();
    let file = |query: &str| json!({ "servers": { "pets": { "openapi": api.document(query) } } }).to_string();
    let directory = directory_with("ferromcp.yaml", &file(""));
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("new.yaml"), file("?more")).unwrap();
    let mut plan = ferromcp(["plan", "--start"]);
    plan.arg(at("new.yaml")).arg("--against").arg(at("ferromcp.yaml"));
    let plan = finish(plan, "");
    assert!(plan.stdout.contains("pets__news"), "{plan:?}");

    let served = Served::with_config(&at("ferromcp.yaml"));
    assert_eq!(ready(&served.door, "pets"), 7);
    std::fs::write(at("ferromcp.yaml"), file("?more")).unwrap();
    served.process.signal(rustix::process::Signal::HUP);
    eventually("the reload is in force", || {
        (served.door.rest("pets__news", &json!({})).json()["success"] == true).then_some(())
    });
    // A server that cannot be read is refused as a whole.
    let broken = json!({ "servers": { "pets": { "openapi": format!("http://{}/nowhere", api.address) } } });
    std::fs::write(at("ferromcp.yaml"), broken.to_string()).unwrap();
    served.process.signal(rustix::process::Signal::HUP);
    served
        .process
        .stderr
        .wait(|line| line.contains("configuration not reloaded").then_some(()));
    assert_eq!(served.door.rest_text("pets__news", &json!({})), "news");
}

#[test]
fn a_gateway_behind_a_gateway_by_its_own_document() {
    let behind = Served::start::<&str>([]);
    let document = behind.door.url("/v1/openapi.json");
    let (served, _directory) = gateway(&json!({ "behind": { "openapi": document } }));
    let body = json!({ "body": { "tool": "echo", "arguments": { "msg": "through two doors" } } });
    let answer = served.door.rest("behind__callTool", &body).json();
    assert_eq!(answer["output"]["output"], "through two doors", "{answer}");
}

#[test]
fn a_server_that_is_not_there_is_down_and_comes_back() {
    let api = Api::start();
    let directory = directory_with(
        "ferromcp.yaml",
        &json!({ "servers": {
        "away": { "openapi": "http://127.0.0.1:1/openapi.json" },
        "other": { "openapi": api.document(""), "base_url": "http://127.0.0.1:1/" },
    } })
        .to_string(),
    );
    let served = Served::with_config(&directory.path().join("ferromcp.yaml"));
    ready(&served.door, "other");
    eventually("the first is down", || {
        (served.door.source("away").0 == "down").then_some(())
    });
    let health = served.door.health().to_string();
    assert!(health.contains("nothing listens there"), "{health}");
    let lost = error(&served.door, "other__do", &json!({ "what": "well" }));
    assert_eq!(
        (&lost["code"], &lost["rule"]),
        (&json!("unavailable"), &json!("upstream.lost"))
    );
    assert!(lost["details"].get("may_have_run").is_none(), "{lost}");
}

#[test]
fn mistakes_in_the_file_are_found() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for (server, says) in [
        (json!({ "openapi": "nowhere.json" }), "no such file"),
        (
            json!({ "openapi": document, "url": "http://localhost" }),
            "has both",
        ),
        (
            json!({ "openapi": document, "pool": { "max": 2 } }),
            "`pool` has no effect here",
        ),
        (
            json!({ "openapi": document, "era": "legacy" }),
            "`era` has no effect here",
        ),
        (
            json!({ "openapi": document, "args": ["x"] }),
            "`args` has no effect here",
        ),
        (
            json!({ "openapi": document, "type": "http" }),
            "does not fit `openapi`",
        ),
        (
            json!({ "command": "x", "base_url": "http://localhost" }),
            "`base_url` has no effect here",
        ),
        (json!({ "openapi": "ftp://localhost/a" }), "http"),
    ] {
        let directory = directory_with(
            "ferromcp.yaml",
            &json!({ "servers": { "a": server } }).to_string(),
        );
        let checked = finish(
            {
                let mut command = ferromcp(["check"]);
                command.arg(directory.path().join("ferromcp.yaml"));
                command
            },
            "",
        );
        assert_ne!(checked.code, 0, "{server}");
        assert!(checked.stderr.contains(says), "{server}: {checked:?}");
    }
}
