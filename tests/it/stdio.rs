//! `ferromcp serve --mode stdio`, line by line.

use rustix::process::Signal;
use serde_json::json;

use crate::support::{LEGACY, MODERN, PATIENCE, Session, directory_with, ferromcp, names, text};

fn start(arguments: &[&str]) -> Session {
    let mut command = ferromcp(["serve", "--mode", "stdio"]);
    command.args(arguments);
    Session::start(command)
}

/// The input ends: so does the program, and it has said nothing but messages.
fn end(mut session: Session) {
    session.process.close_input();
    assert_eq!(session.process.exit_code(PATIENCE), 0);
    session.assert_only_messages();
}

#[test]
fn a_legacy_session() {
    let directory = directory_with("hello.txt", "kept here");
    let mut session = start(&["--root", directory.path().to_str().unwrap(), "--write"]);
    let opened = session.initialize();
    assert_eq!(opened["result"]["protocolVersion"], LEGACY, "{opened}");
    assert_eq!(opened["result"]["serverInfo"]["name"], "ferromcp", "{opened}");
    assert_eq!(session.legacy("ping", json!({}))["result"], json!({}));

    let listed = session.legacy("tools/list", json!({}));
    let tools = names(&listed["result"]["tools"]);
    assert!(
        tools.contains(&"echo") && tools.contains(&"write_file"),
        "{listed}"
    );

    let said = session.legacy(
        "tools/call",
        json!({ "name": "echo", "arguments": { "msg": "grüße, 世界" } }),
    );
    assert_eq!(text(&said["result"]), "grüße, 世界");
    let arguments = json!({ "path": "new.txt", "content": "written over stdio" });
    let written = session.legacy(
        "tools/call",
        json!({ "name": "write_file", "arguments": arguments }),
    );
    assert_ne!(written["result"]["isError"], true, "{written}");
    let content = std::fs::read_to_string(directory.path().join("new.txt")).unwrap();
    assert_eq!(content, "written over stdio");

    let wrong = session.legacy("tools/call", json!({ "name": "echo", "arguments": { "msg": 7 } }));
    assert_eq!(wrong["result"]["isError"], true, "{wrong}");
    let unknown = session.legacy("tools/call", json!({ "name": "no_such_tool" }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    let nothing = session.legacy("no/such/method", json!({}));
    assert_eq!(nothing["error"]["code"], -32601, "{nothing}");
    end(session);
}

#[test]
fn a_modern_session_needs_no_opening() {
    let mut session = start(&[]);
    let said = session.modern(
        "tools/call",
        json!({ "name": "echo", "arguments": { "msg": "first" } }),
    );
    assert_eq!(text(&said["result"]), "first");
    assert_eq!(said["result"]["resultType"], "complete", "{said}");
    let discovered = session.modern("server/discover", json!({}));
    let versions = discovered["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(MODERN)), "{discovered}");
    let listed = session.modern("tools/list", json!({}));
    assert_eq!(names(&listed["result"]["tools"]), ["echo"]);
    assert!(listed["result"]["ttlMs"].is_number(), "{listed}");
    let unknown = session.modern("tools/call", json!({ "name": "no_such_tool" }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    end(session);
}

#[test]
fn what_is_no_message_is_answered_and_does_not_end_the_session() {
    let mut session = start(&[]);
    session.initialize();
    session.process.write(b"this is no JSON\n");
    let told = session.process.stdout.wait(|line| {
        let message: serde_json::Value = serde_json::from_str(line).unwrap();
        (message["error"]["code"] == -32700).then_some(message)
    });
    assert!(told["error"]["message"].is_string(), "{told}");
    // Many at once are all answered.
    let ids: Vec<_> = (0..200)
        .map(|n| {
            let params = json!({ "name": "echo", "arguments": { "msg": format!("call {n}") } });
            session.send_request("tools/call", params)
        })
        .collect();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(text(&session.response(id)["result"]), format!("call {n}"));
    }
    // Both eras on one connection.
    let said = session.modern(
        "tools/call",
        json!({ "name": "echo", "arguments": { "msg": "other era" } }),
    );
    assert_eq!(text(&said["result"]), "other era");
    end(session);
}

#[test]
fn what_was_asked_before_the_end_of_input_is_answered() {
    let mut session = start(&[]);
    let asked: Vec<_> = (0..50)
        .map(|n| {
            let params = json!({ "name": "echo", "arguments": { "msg": n.to_string() },
                "_meta": { "io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientCapabilities": {} } });
            session.send_request("tools/call", params)
        })
        .collect();
    session.process.close_input();
    for (n, id) in asked.iter().enumerate() {
        assert_eq!(text(&session.response(id)["result"]), n.to_string());
    }
    end(session);
}

#[test]
fn a_signal_ends_it_though_the_input_is_open() {
    let mut session = start(&[]);
    session.initialize();
    session.process.signal(Signal::TERM);
    assert_eq!(session.process.exit_code(PATIENCE), 0);
    session.assert_only_messages();
}

#[test]
fn both_doors_at_once() {
    let mut session = Session::start(ferromcp(["serve", "--mode", "all", "--addr", "127.0.0.1:0"]));
    let address = session
        .process
        .stderr
        .wait(|line| line.strip_prefix("listening http://").map(str::to_owned));
    let door = crate::support::Door::new(&address);
    session.initialize();
    let params = json!({ "name": "echo", "arguments": { "msg": "over stdio" } });
    assert_eq!(
        text(&session.legacy("tools/call", params)["result"]),
        "over stdio"
    );
    assert_eq!(
        door.rest_text("echo", &json!({ "msg": "over REST" })),
        "over REST"
    );
    end(session);
}
