//! What servers behind the gateway do beyond a call and its result: tasks, the same resources in two of them, and a
//! server on the oldest transport.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{
    Door, Legacy, Peers, Process, Served, directory_with, eventually, fixture, names, on_a_free_port, text,
};

fn served(servers: &Value) -> (Served, tempfile::TempDir) {
    let directory = directory_with("ferromcp.yaml", &json!({ "servers": servers }).to_string());
    let path: PathBuf = directory.path().join("ferromcp.yaml");
    (Served::with_config(&path), directory)
}

fn ready(door: &Door, names: &[&str]) {
    for name in names {
        eventually(&format!("{name} is ready"), || {
            (door.source(name).0 == "ready").then_some(())
        });
    }
}

/// server-everything on a port of its own.
fn everything(peers: &Peers, mode: &str) -> (Process, String) {
    on_a_free_port(|address| {
        let mut command = Command::new(&peers.node);
        command
            .arg(peers.script("server-everything"))
            .arg(mode)
            .env("PORT", address.rsplit(':').next().unwrap());
        command
    })
}

#[test]
fn a_server_on_the_transport_of_2024() {
    let peers = Peers::find();
    let (_server, address) = everything(&peers, "sse");
    let (served, _directory) = served(&json!({ "old": { "url": format!("http://{address}/sse") } }));
    let door = &served.door;
    ready(door, &["old"]);
    assert_eq!(
        door.rest_text("old__echo", &json!({ "message": "grüße" })),
        "Echo: grüße"
    );
    let params = json!({ "name": "old__get-sum", "arguments": { "a": 2, "b": 3 } });
    for result in [
        door.modern("tools/call", params.clone()),
        Legacy::open(door).request("tools/call", params),
    ] {
        assert!(text(&result["result"]).contains('5'), "{result}");
    }
    let uri = "demo://resource/dynamic/text/7";
    let read = door.modern("resources/read", json!({ "uri": uri }));
    assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
}

#[test]
fn a_tool_of_2025_that_has_to_be_a_task_works_for_everybody() {
    let peers = Peers::find();
    let (_server, address) = everything(&peers, "streamableHttp");
    let script = peers.script("server-everything");
    let (served, _directory) = served(&json!({
        "child": { "command": peers.node, "args": [script, "stdio"] },
        "remote": { "url": format!("http://{address}/mcp") },
    }));
    let door = &served.door;
    ready(door, &["child", "remote"]);
    let arguments = json!({ "topic": "ferns" });
    for name in [
        "child__simulate-research-query",
        "remote__simulate-research-query",
    ] {
        // Those are listed after the handshake.
        eventually(&format!("{name} is listed"), || {
            let listed = door.get("/v1/tools").json();
            names(&listed["tools"]).contains(&name).then_some(())
        });
        let said = door.rest_text(name, &arguments);
        assert!(said.contains("Research Report: ferns"), "{said}");
        let params = json!({ "name": name, "arguments": arguments });
        let result = door.modern("tools/call", params);
        assert!(
            text(&result["result"]).contains("Research Report: ferns"),
            "{result}"
        );
    }
}

/// A request of a client with the tasks extension.
fn with_tasks(door: &Door, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({ "io.modelcontextprotocol/clientCapabilities": {
        "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} },
    } });
    let mut answer = door.modern(method, params);
    assert!(answer["result"].is_object(), "{method}: {answer}");
    answer["result"].take()
}

#[test]
fn tasks_of_a_server_go_their_whole_way() {
    let (_behind, address) = on_a_free_port(|address| {
        let mut command = Command::new(fixture());
        command.args(["--addr", address]);
        command
    });
    let (served, _directory) = served(&json!({
        "child": { "command": fixture(), "args": ["--stdio"], "era": "modern" },
        "remote": { "url": format!("http://{address}/mcp"), "era": "modern" },
    }));
    let door = &served.door;
    ready(door, &["child", "remote"]);
    for server in ["child", "remote"] {
        // Asked on the way, and answered.
        let call =
            json!({ "name": format!("{server}__confirm_delete"), "arguments": { "filename": "a.txt" } });
        let made = with_tasks(door, "tools/call", call.clone());
        assert_eq!(made["resultType"], "task", "{made}");
        let id = made["taskId"].as_str().unwrap().to_owned();
        assert!(
            id.starts_with(&format!("{server}.")) && made["ttlMs"].is_u64(),
            "{made}"
        );
        let get = || with_tasks(door, "tasks/get", json!({ "taskId": id }));
        eventually("it asks", || (get()["status"] == "input_required").then_some(()));
        let responses = json!({ "confirm": { "action": "accept", "content": { "confirm": true } } });
        with_tasks(
            door,
            "tasks/update",
            json!({ "taskId": id, "inputResponses": responses }),
        );
        let done = eventually("it is done", || {
            let task = get();
            (task["status"] == "completed").then_some(task)
        });
        assert_eq!(text(&done["result"]), "Deleted a.txt");
        assert_eq!(
            (&done["ttlMs"], &done["createdAt"]),
            (&made["ttlMs"], &made["createdAt"])
        );

        let call = json!({ "name": format!("{server}__slow_compute"), "arguments": { "seconds": 600 } });
        let id = with_tasks(door, "tools/call", call)["taskId"]
            .as_str()
            .unwrap()
            .to_owned();
        with_tasks(door, "tasks/cancel", json!({ "taskId": id }));
        eventually("it is cancelled", || {
            (with_tasks(door, "tasks/get", json!({ "taskId": id }))["status"] == "cancelled").then_some(())
        });

        // Who cannot have tasks gets the result, or an error that says what is missing.
        let name = format!("{server}__failing_job");
        let result = Legacy::open(door).request("tools/call", json!({ "name": name, "arguments": {} }));
        assert_eq!(result["result"]["isError"], true, "{result}");
        let refused = door.modern("tools/call", json!({ "name": name, "arguments": {} }));
        assert_eq!(refused["error"]["code"], -32021, "{refused}");
    }
}

/// Sends a request with parameters through one door.
type Ask<'a> = dyn Fn(&str, Value) -> Value + 'a;

#[test]
fn the_same_resource_of_two_servers_is_listed_twice_and_read_from_each() {
    let one = json!({ "command": fixture(), "args": ["--stdio"] });
    let (served, _directory) = served(&json!({ "first": one, "second": one }));
    let door = &served.door;
    ready(door, &["first", "second"]);
    let (own, other) = ("test://static-text", "ferromcp://second/test%3A%2F%2Fstatic-text");
    let legacy = Legacy::open(door);
    let modern = |method: &str, params: Value| door.modern(method, params);
    let old = |method: &str, params: Value| legacy.request(method, params);
    let doors: [&Ask<'_>; 2] = [&modern, &old];
    for ask in doors {
        let listed = ask("resources/list", json!({}))["result"]["resources"].take();
        let uris: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["uri"].as_str().unwrap())
            .collect();
        assert!(uris.contains(&own) && uris.contains(&other), "{uris:?}");
        for uri in [own, other, "ferromcp://second/test%3A%2F%2Ftemplate%2F7%2Fdata"] {
            let read = ask("resources/read", json!({ "uri": uri }));
            assert_eq!(read["result"]["contents"][0]["uri"], uri, "{read}");
        }
    }
    let subscribed = legacy.request("resources/subscribe", json!({ "uri": other }));
    assert!(subscribed["result"].is_object(), "{subscribed}");
}
