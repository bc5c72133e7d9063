//! MCP up to 2025-11-25: sessions, streams that can be picked up again.

use serde_json::{Value, json};

use crate::support::{Client, Server, get, patiently, post, request};

struct Legacy<'a> {
    server: &'a Server,
    session: String,
    version: &'static str,
}

fn initialize(version: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": { "elicitation": {} },
        "clientInfo": { "name": "t", "version": "1" },
    } })
    .to_string()
}

impl<'a> Legacy<'a> {
    async fn open(server: &'a Server, version: &'static str) -> Self {
        let headers = [("Accept", "application/json, text/event-stream")];
        let answer = server.once(post("/mcp", &headers, &initialize(version))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["result"]["protocolVersion"], version);
        let session = answer.header("mcp-session-id").expect("a session").to_owned();
        let made = Self {
            server,
            session,
            version,
        };
        let ready = made
            .once(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        assert_eq!((ready.status, ready.body.len()), (202, 0), "{ready:?}");
        made
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        vec![
            ("Accept", "application/json, text/event-stream"),
            ("Mcp-Session-Id", &self.session),
            ("MCP-Protocol-Version", self.version),
        ]
    }

    fn post(&self, message: &Value) -> Vec<u8> {
        post("/mcp", &self.headers(), &message.to_string())
    }

    async fn once(&self, message: &Value) -> crate::support::Response {
        self.server.once(self.post(message)).await
    }

    /// Starts a call and leaves the connection open.
    async fn call(&self, id: u64, tool: &str) -> Client {
        let mut client = self.server.client().await;
        client.send(self.post(&call(id, tool))).await;
        client
    }

    async fn resume(&self, last: &str) -> Client {
        let mut client = self.server.client().await;
        let mut headers = self.headers();
        headers.push(("Last-Event-ID", last));
        client.send(get("/mcp", &headers)).await;
        client
    }
}

fn call(id: u64, tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": tool, "arguments": { "msg": "hi" }, "_meta": { "progressToken": id },
    } })
}

#[tokio::test]
async fn sessions_begin_and_end() {
    let server = Server::start().await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let legacy = Legacy::open(&server, version).await;
        assert_eq!(server.endpoint.sessions(), 1);
        let answer = legacy.once(&call(1, "echo")).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["result"]["content"][0]["text"], "hi", "{answer:?}");
        let ended = server
            .once(request("DELETE", "/mcp", &legacy.headers(), b""))
            .await;
        assert_eq!(ended.status, 204, "{ended:?}");
        for request in [
            legacy.post(&call(2, "echo")),
            get("/mcp", &legacy.headers()),
            request("DELETE", "/mcp", &legacy.headers(), b""),
        ] {
            assert_eq!(server.once(request).await.status, 404);
        }
        assert_eq!(server.endpoint.sessions(), 0);
    }
    server.stop().await;
}

#[tokio::test]
async fn wrong_sessions_and_headers_are_refused() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let body = call(1, "echo").to_string();
    let ok = ("Mcp-Session-Id", &*legacy.session);
    for (headers, status) in [
        (vec![ok], 200),
        (vec![ok, ("MCP-Protocol-Version", "2025-11-25")], 200),
        (vec![], 400),
        (vec![("Mcp-Session-Id", "nope")], 404),
        (vec![("Mcp-Session-Id", "\u{e9}")], 404),
        (vec![ok, ("MCP-Protocol-Version", "1999-01-01")], 400),
        (vec![ok, ("Accept", "text/html")], 406),
        (vec![ok, ("Content-Type", "text/plain")], 415),
        (vec![ok, ("Authorization", "Basic abc")], 401),
    ] {
        let answer = server.once(post("/mcp", &headers, &body)).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        if status != 200 {
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
    for (headers, status) in [
        (vec![("Accept", "text/event-stream")], 400),
        (
            vec![("Accept", "text/event-stream"), ("Mcp-Session-Id", "nope")],
            404,
        ),
        (vec![("Accept", "application/json"), ok], 406),
        (
            vec![
                ("Accept", "text/event-stream"),
                ok,
                ("MCP-Protocol-Version", "1999-01-01"),
            ],
            400,
        ),
        (
            vec![("Accept", "text/event-stream"), ok, ("Last-Event-ID", "zzz")],
            400,
        ),
        (
            vec![("Accept", "text/event-stream"), ok, ("Last-Event-ID", "99-1")],
            400,
        ),
    ] {
        assert_eq!(
            server.once(get("/mcp", &headers)).await.status,
            status,
            "{headers:?}"
        );
    }
    assert_eq!(server.once(request("DELETE", "/mcp", &[], b"")).await.status, 400);
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn a_stream_is_primed_and_its_events_have_ids() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut client = legacy.call(5, "progress").await;
    client.stream().await;
    let prime = client.event().await.expect("the first event");
    assert_eq!(
        (prime.id.as_deref(), prime.retry, &*prime.data),
        (Some("1-0"), Some(1000), "")
    );
    for n in 1..=4 {
        let event = client.event().await.expect("an event");
        assert_eq!(event.id, Some(format!("1-{n}")));
        assert!(event.json()["method"].is_string());
    }
    let answer = client.event().await.expect("the answer");
    assert_eq!(answer.id.as_deref(), Some("1-5"));
    assert_eq!(answer.json()["id"], 5);
    assert_eq!(client.event().await, None);
    // What was sent can be asked for again, from any place, more than once.
    for _ in 0..2 {
        for last in 0..=5 {
            let mut again = legacy.resume(&format!("1-{last}")).await;
            again.stream().await;
            for n in last + 1..=5 {
                assert_eq!(again.event().await.expect("an event").id, Some(format!("1-{n}")));
            }
            assert_eq!(again.event().await, None);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn earlier_revisions_are_not_primed() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-06-18").await;
    let mut client = legacy.call(5, "progress").await;
    client.stream().await;
    let first = client.event().await.expect("an event");
    assert_eq!(first.json()["method"], "notifications/progress");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_stream_goes_on_and_is_picked_up_again() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut client = legacy.call(1, "progress_gate").await;
    client.stream().await;
    assert_eq!(client.event().await.expect("prime").data, "");
    let seen = client.event().await.expect("progress").id.expect("an id");
    drop(client);
    let mut other = legacy.call(2, "progress_gate").await;
    other.stream().await;
    server.script.gate.add_permits(2);
    server.script.wait("both calls to end", |s| s.finished == 2).await;
    assert_eq!(server.script.seen.borrow().dropped, 0);
    let mut again = legacy.resume(&seen).await;
    again.stream().await;
    assert_eq!(
        again.event().await.expect("progress").json()["params"]["progress"].as_f64(),
        Some(2.0)
    );
    let answer = again.event().await.expect("the answer").json();
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["content"][0]["text"], "opened");
    assert_eq!(again.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_stream_can_be_picked_up_while_it_runs() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut first = legacy.call(1, "progress_gate").await;
    first.stream().await;
    let prime = first.event().await.expect("prime").id.expect("an id");
    // The first connection is still open, as far as the server knows: it ends when another comes.
    let mut second = legacy.resume(&prime).await;
    second.stream().await;
    assert_eq!(
        second.event().await.expect("progress").json()["params"]["progress"].as_f64(),
        Some(1.0)
    );
    while let Some(event) = first.event().await {
        assert_eq!(event.json()["method"], "notifications/progress");
    }
    server.script.gate.add_permits(1);
    assert_eq!(
        second.event().await.expect("progress").json()["params"]["progress"].as_f64(),
        Some(2.0)
    );
    assert_eq!(second.event().await.expect("the answer").json()["id"], 1);
    assert_eq!(second.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_cancel() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-06-18").await;
    let client = legacy.call(1, "gate").await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    drop(client);
    // Only once the server has seen the loss is the call on its own.
    patiently("the lost connection to be seen", async {
        while server.doors.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    server.script.gate.add_permits(1);
    server.script.wait("the call to end", |s| s.finished == 1).await;
    assert_eq!(server.script.seen.borrow().dropped, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_request_ends_its_stream() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    for (tool, streams) in [("progress_gate", true), ("gate", false)] {
        let before = *server.script.seen.borrow();
        let mut client = legacy.call(9, tool).await;
        server
            .script
            .wait("the call to start", |s| s.started == before.started + 1)
            .await;
        let note =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 9 } });
        assert_eq!(legacy.once(&note).await.status, 202);
        server
            .script
            .wait("the call to be cancelled", |s| s.dropped == before.dropped + 1)
            .await;
        if streams {
            client.stream().await;
            assert_eq!(client.event().await.expect("prime").data, "");
            assert_eq!(
                client.event().await.expect("progress").json()["method"],
                "notifications/progress"
            );
            assert_eq!(client.event().await, None);
        } else {
            let answer = client.response().await;
            assert_eq!((answer.status, answer.body.len()), (202, 0));
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_released_stream_is_polled() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut client = legacy.call(3, "release_gate").await;
    client.stream().await;
    let prime = client.event().await.expect("prime");
    assert!(prime.retry.is_some());
    assert_eq!(client.event().await, None);
    let mut again = legacy.resume(&prime.id.expect("an id")).await;
    again.stream().await;
    server.script.gate.add_permits(1);
    let answer = again.event().await.expect("the answer").json();
    assert_eq!(
        (answer["id"].as_u64(), &answer["result"]["content"][0]["text"]),
        (Some(3), &json!("opened"))
    );
    assert_eq!(again.event().await, None);
    // Revisions without polling keep their stream.
    let old = Legacy::open(&server, "2025-06-18").await;
    let mut client = old.call(4, "release_gate").await;
    server.script.gate.add_permits(1);
    assert_eq!(client.response().await.json()["id"], 4);
    server.stop().await;
}

#[tokio::test]
async fn a_question_is_answered_by_another_request() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut client = legacy.call(1, "ask").await;
    client.stream().await;
    assert_eq!(client.event().await.expect("prime").data, "");
    let question = client.event().await.expect("a question").json();
    assert_eq!(question["method"], "elicitation/create");
    let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": {
        "action": "accept", "content": { "name": "Ada" },
    } });
    let taken = legacy.once(&answer).await;
    assert_eq!((taken.status, taken.body.len()), (202, 0), "{taken:?}");
    let answer = client.event().await.expect("the answer").json();
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .is_some_and(|t| t.contains("Ada"))
    );
    assert_eq!(client.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn changes_go_to_the_latest_stream_of_a_session_only() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut first = server.client().await;
    first.send(get("/mcp", &legacy.headers())).await;
    first.stream().await;
    let mut second = server.client().await;
    second.send(get("/mcp", &legacy.headers())).await;
    second.stream().await;
    assert_eq!(first.event().await, None);
    server.gateway.withdraw("script");
    let event = second.event().await.expect("a change").json();
    assert_eq!(event["method"], "notifications/tools/list_changed");
    let ended = server
        .once(request("DELETE", "/mcp", &legacy.headers(), b""))
        .await;
    assert_eq!(ended.status, 204);
    assert_eq!(second.event().await, None);
    server.stop().await;
}

#[tokio::test]
async fn batches_exist_in_one_revision() {
    let server = Server::start().await;
    let batch =
        json!([call(1, "echo"), call(2, "structured"), { "jsonrpc": "2.0", "method": "notifications/x" }]);
    let with = Legacy::open(&server, "2025-03-26").await;
    let answer = with.once(&batch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut ids: Vec<u64> = answer
        .json()
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|a| a["id"].as_u64())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    let without = Legacy::open(&server, "2025-11-25").await;
    assert_eq!(without.once(&batch).await.status, 400);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_cut_streams_of_requests() {
    let server = Server::start().await;
    let legacy = Legacy::open(&server, "2025-11-25").await;
    let mut client = legacy.call(1, "progress_gate").await;
    client.stream().await;
    let mut changes = server.client().await;
    changes.send(get("/mcp", &legacy.headers())).await;
    changes.stream().await;
    server.stop.cancel();
    assert_eq!(changes.event().await, None);
    server.script.gate.add_permits(1);
    let mut last = None;
    while let Some(event) = client.event().await {
        last = Some(event);
    }
    assert_eq!(last.expect("the answer").json()["id"], 1);
    server.stop().await;
}
