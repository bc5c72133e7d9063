//! MCP of 2026-07-28: stateless, one answer or one stream per POST.

use std::time::Duration;

use ferromcp_adapter_http::HttpSettings;
use serde_json::{Value, json};

use crate::support::{Client, Response, Server, get, patiently, post, request};

const VERSION: &str = "2026-07-28";

pub(crate) fn message(id: &Value, method: &str, mut params: Value) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "io.modelcontextprotocol/logLevel": "debug",
        "progressToken": "p",
    });
    params["_meta"] = meta;
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

pub(crate) fn call(id: u64, tool: &str, arguments: &Value, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", VERSION),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    all.extend_from_slice(headers);
    post(
        "/mcp",
        &all,
        &message(
            &id.into(),
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        ),
    )
}

pub(crate) fn other(method: &str, params: Value) -> Vec<u8> {
    let headers = [("MCP-Protocol-Version", VERSION), ("Mcp-Method", method)];
    post("/mcp", &headers, &message(&json!("x"), method, params))
}

fn text(answer: &Response) -> String {
    answer.json()["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn a_quick_call_is_answered_with_json() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for n in 0..3 {
        client.send(call(n, "echo", &json!({ "msg": "hi" }), &[])).await;
        let answer = client.response().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("mcp-session-id"), None);
        assert_eq!(answer.json()["id"], n);
        assert_eq!(answer.json()["result"]["resultType"], "complete");
        assert_eq!(text(&answer), "hi");
    }
    client.send(other("server/discover", json!({}))).await;
    let answer = client.response().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["result"]["supportedVersions"].is_array());
    server.stop().await;
}

#[tokio::test]
async fn what_a_call_says_before_its_end_goes_out_as_a_stream() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send(call(7, "progress", &json!({}), &[])).await;
    client.stream().await;
    for n in 1..=3 {
        let event = client.event().await.expect("progress");
        assert_eq!(event.id, None);
        let progress = event.json();
        assert_eq!(progress["method"], "notifications/progress");
        assert_eq!(progress["params"]["progress"].as_f64(), Some(f64::from(n)));
        assert_eq!(progress["params"]["progressToken"], "p");
    }
    let log = client.event().await.expect("a log message").json();
    assert_eq!(log["method"], "notifications/message");
    assert_eq!(log["params"]["data"], json!({ "line": 1 }));
    let answer = client.event().await.expect("the answer").json();
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["content"][0]["text"], "progressed");
    assert_eq!(client.event().await, None);
    // The connection goes on.
    client.send(get("/healthz", &[])).await;
    assert_eq!(client.response().await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn what_is_said_arrives_while_the_call_runs() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send(call(1, "progress_gate", &json!({}), &[])).await;
    client.stream().await;
    assert_eq!(
        client.event().await.expect("progress").json()["params"]["progress"].as_f64(),
        Some(1.0)
    );
    server.script.gate.add_permits(1);
    assert_eq!(
        client.event().await.expect("progress").json()["params"]["progress"].as_f64(),
        Some(2.0)
    );
    assert_eq!(client.event().await.expect("the answer").json()["id"], 1);
    assert_eq!(client.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_long_call_becomes_a_stream_that_is_kept_alive() {
    let settings = HttpSettings {
        stream_after: Duration::from_millis(20),
        keep_alive: Duration::from_millis(20),
        ..HttpSettings::default()
    };
    let server = Server::with(settings).await;
    let mut client = server.client().await;
    client.send(call(1, "gate", &json!({}), &[])).await;
    client.stream().await;
    for _ in 0..3 {
        assert_eq!(client.block().await.as_deref(), Some(": keep-alive\n\n"));
    }
    server.script.gate.add_permits(1);
    assert_eq!(
        client.event().await.expect("the answer").json()["result"]["content"][0]["text"],
        "opened"
    );
    assert_eq!(client.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn accept_decides_the_form() {
    let settings = HttpSettings {
        stream_after: Duration::from_millis(20),
        ..HttpSettings::default()
    };
    let server = Server::with(settings).await;
    for (accept, tool, status, media) in [
        ("application/json", "progress", 200, "application/json"),
        (
            "application/json, text/event-stream;q=0",
            "progress",
            200,
            "application/json",
        ),
        ("text/event-stream", "structured", 200, "text/event-stream"),
        ("", "progress", 200, "text/event-stream"),
        ("*/*", "progress", 200, "text/event-stream"),
        ("*/*", "structured", 200, "application/json"),
        ("text/html", "structured", 406, "application/json"),
    ] {
        let answer = server
            .once(call(1, tool, &json!({}), &[("Accept", accept)]))
            .await;
        let found = (answer.status, answer.header("content-type"));
        assert_eq!(found, (status, Some(media)), "{accept} {tool}: {answer:?}");
    }
    let mut plain = server.client().await;
    plain
        .send(call(1, "gate", &json!({}), &[("Accept", "application/json")]))
        .await;
    server.script.wait("the call to start", |s| s.started > 0).await;
    server.script.gate.add_permits(1);
    assert_eq!(text(&plain.response().await), "opened");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let server = Server::start().await;
    for (tool, streams) in [("gate", false), ("progress_gate", true)] {
        let before = *server.script.seen.borrow();
        let mut client = server.client().await;
        client.send(call(1, tool, &json!({}), &[])).await;
        if streams {
            client.stream().await;
        }
        server
            .script
            .wait("the call to start", |s| s.started == before.started + 1)
            .await;
        drop(client);
        server
            .script
            .wait("the call to be cancelled", |s| s.dropped == before.dropped + 1)
            .await;
    }
    assert_eq!(server.gateway.in_flight(), 0);
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn statuses_follow_the_specification() {
    let server = Server::start().await;
    let head = |extra: &[(&str, &str)], body: &str| {
        let mut all = vec![("MCP-Protocol-Version", VERSION)];
        all.extend_from_slice(extra);
        post("/mcp", &all, body)
    };
    let list = message(&json!(1), "tools/list", json!({}));
    for (request, status, code) in [
        (head(&[("Mcp-Method", "tools/list")], &list), 200, 0),
        (head(&[("Mcp-Method", "prompts/list")], &list), 400, -32020),
        (head(&[], &list), 400, -32020),
        (
            head(
                &[("Mcp-Method", "tools/list"), ("MCP-Protocol-Version", "")],
                &list,
            ),
            400,
            -32020,
        ),
        (
            head(
                &[("Mcp-Method", "no/such")],
                &message(&json!(1), "no/such", json!({})),
            ),
            404,
            -32601,
        ),
        (
            head(
                &[("Mcp-Method", "tools/list")],
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}",
            ),
            400,
            -32602,
        ),
        (call(1, "nope", &json!({}), &[]), 200, -32602),
        (
            call(1, "echo", &json!({ "msg": "x" }), &[("Mcp-Name", "other")]),
            400,
            -32020,
        ),
        (
            head(
                &[
                    ("MCP-Protocol-Version", "2030-01-01"),
                    ("Mcp-Method", "tools/list"),
                ],
                &list.replace(VERSION, "2030-01-01"),
            ),
            400,
            -32022,
        ),
    ] {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let answer = server.once(request).await;
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert_eq!(
            answer.json()["error"]["code"].as_i64().unwrap_or(0),
            code,
            "{shown}: {answer:?}"
        );
    }
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }, "requestId": 1 } });
    let headers = [("Mcp-Method", "notifications/cancelled")];
    let answer = server.once(head(&headers, &note.to_string())).await;
    assert_eq!((answer.status, answer.body.len()), (202, 0), "{answer:?}");
    for method in ["GET", "DELETE"] {
        let headers = [("MCP-Protocol-Version", VERSION), ("Accept", "text/event-stream")];
        assert_eq!(
            server.once(request(method, "/mcp", &headers, b"")).await.status,
            405
        );
    }
    server.stop().await;
}

async fn listen(server: &Server) -> Client {
    let mut client = server.client().await;
    client
        .send(other(
            "subscriptions/listen",
            json!({ "notifications": { "toolsListChanged": true } }),
        ))
        .await;
    client.stream().await;
    let ack = client.event().await.expect("an acknowledgement").json();
    assert_eq!(ack["method"], "notifications/subscriptions/acknowledged");
    client
}

#[tokio::test]
async fn listeners_hear_of_changes_until_the_server_drains() {
    let server = Server::start().await;
    let mut first = listen(&server).await;
    let mut second = listen(&server).await;
    server.gateway.withdraw("script");
    for client in [&mut first, &mut second] {
        let event = client.event().await.expect("a change").json();
        assert_eq!(event["method"], "notifications/tools/list_changed");
        assert_eq!(
            event["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
            "x"
        );
    }
    drop(second);
    assert!(server.gateway.drain(Duration::from_secs(5)).await);
    server.stop.cancel();
    let end = first.event().await.expect("the result").json();
    assert_eq!(end["id"], "x");
    assert_eq!(end["result"]["resultType"], "complete");
    assert_eq!(first.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_listener_does_not_hold_up_the_end_of_the_server() {
    let server = Server::start().await;
    let mut client = listen(&server).await;
    server.stop.cancel();
    assert_eq!(client.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn input_is_asked_for_in_rounds() {
    let server = Server::start().await;
    let asked = server.once(call(1, "ask", &json!({}), &[])).await;
    assert_eq!(asked.status, 200, "{asked:?}");
    let result = asked.json()["result"].clone();
    assert_eq!(result["resultType"], "input_required");
    assert_eq!(result["inputRequests"]["name"]["method"], "elicitation/create");
    let mut params = json!({
        "name": "ask",
        "arguments": {},
        "inputResponses": { "name": { "action": "accept", "content": { "name": "Ada" } } },
    });
    if let Some(state) = result.get("requestState") {
        params["requestState"] = state.clone();
    }
    let headers = [
        ("MCP-Protocol-Version", VERSION),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "ask"),
    ];
    let answer = server
        .once(post("/mcp", &headers, &message(&json!(2), "tools/call", params)))
        .await;
    assert!(text(&answer).contains("Ada"), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_flood_of_progress_is_bounded_and_the_answer_arrives() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send(call(1, "flood", &json!({}), &[])).await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    server.script.gate.add_permits(1);
    client.stream().await;
    let mut count = 0;
    let last = patiently("the answer", async {
        loop {
            let event = client.event().await.expect("the answer").json();
            if event["id"] == 1 {
                break event;
            }
            count += 1;
        }
    })
    .await;
    assert!(count <= 1024, "{count}");
    assert_eq!(last["result"]["content"][0]["text"], "flooded");
    server.stop().await;
}
