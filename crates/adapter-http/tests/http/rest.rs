//! The REST contract.

use serde_json::{Value, json};

use crate::support::{Server, get, patiently, post, request};

#[tokio::test]
async fn a_call_answers_with_output_content_id_and_latency() {
    let server = Server::start().await;
    let answer = server
        .rest("{\"tool\":\"echo\",\"arguments\":{\"msg\":\"h\\u00e9 \\\"q\\\"\"}}")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["output"], "hé \"q\"");
    assert_eq!(body["content"], json!([{ "type": "text", "text": "hé \"q\"" }]));
    assert_eq!(body["request_id"].as_str().map(str::len), Some(32));
    assert!(
        body["latency_ms"]
            .as_f64()
            .is_some_and(|ms| (0.0..10_000.0).contains(&ms))
    );
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(5));
    server.stop().await;
}

#[tokio::test]
async fn output_is_structured_content_or_joined_text_or_null() {
    let server = Server::start().await;
    for (tool, output) in [
        ("structured", json!({ "sum": 7 })),
        ("several", json!("a\"\nb")),
        ("image", Value::Null),
    ] {
        let answer = server.rest(&json!({ "tool": tool }).to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["output"], output, "{tool}");
        assert!(answer.json()["content"].is_array());
    }
    server.stop().await;
}

#[tokio::test]
async fn every_kind_of_failure_has_its_status_and_code() {
    let server = Server::start().await;
    for (body, status, code) in [
        (json!({ "tool": "fail" }), 200, "tool_error"),
        (json!({ "tool": "nope" }), 404, "tool_not_found"),
        (
            json!({ "tool": "echo", "arguments": { "msg": 1 } }),
            422,
            "invalid_arguments",
        ),
        (
            json!({ "tool": "echo", "arguments": {} }),
            422,
            "invalid_arguments",
        ),
        (
            json!({ "tool": "echo", "arguments": [] }),
            422,
            "invalid_arguments",
        ),
        (json!({ "tool": "echo" }), 422, "invalid_arguments"),
        (json!({ "tool": "panic" }), 500, "internal"),
        (json!({ "tool": "relay" }), 502, "upstream_error"),
        (json!({ "tool": "gate", "timeout_ms": 20 }), 504, "timeout"),
        (json!({ "tool": "ask" }), 400, "invalid_request"),
        (
            json!({ "tool": "echo", "arguments": { "msg": "x" }, "tenant_id": "other" }),
            403,
            "permission_denied",
        ),
    ] {
        let answer = server.rest(&body.to_string()).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (status, code),
            "{body} -> {answer:?}"
        );
        assert_eq!(answer.json()["success"], false);
        assert!(!answer.message().is_empty());
        if code != "permission_denied" {
            assert_eq!(
                answer.json()["request_id"].as_str().map(str::len),
                Some(32),
                "{answer:?}"
            );
        }
    }
    let failed = server.rest("{\"tool\":\"fail\"}").await.json();
    assert_eq!(failed["error"]["message"], "it did not work");
    assert_eq!(failed["content"][0]["text"], "it did not work");
    let wrong = server
        .rest("{\"tool\":\"echo\",\"arguments\":{\"msg\":1}}")
        .await
        .json();
    assert_eq!(wrong["error"]["rule"], "schema.arguments");
    assert_eq!(wrong["error"]["details"]["issues"][0]["pointer"], "/msg");
    let relayed = server.rest("{\"tool\":\"relay\"}").await.json();
    assert_eq!(
        relayed["error"]["details"]["rpc"],
        json!({ "code": -32099, "message": "upstream says no", "data": { "why": 1 } })
    );
    let late = server.rest("{\"tool\":\"gate\",\"timeout_ms\":20}").await.json();
    assert_eq!(late["error"]["details"]["may_have_run"], true);
    let asked = server.rest("{\"tool\":\"ask\"}").await;
    assert!(asked.message().contains("/mcp"), "{asked:?}");
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn the_own_tenant_may_be_named() {
    let server = Server::start().await;
    let answer = server
        .rest("{\"tool\":\"echo\",\"arguments\":{\"msg\":\"x\"},\"tenant_id\":\"local\"}")
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn draining_is_503_with_retry_after() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send(get("/readyz", &[])).await;
    assert_eq!(client.response().await.body, b"ready");
    assert!(server.gateway.drain(std::time::Duration::ZERO).await);
    let answer = server
        .rest("{\"tool\":\"echo\",\"arguments\":{\"msg\":\"x\"}}")
        .await;
    assert_eq!((answer.status, &*answer.code()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["error"]["retry_after_ms"], 1000);
    client.send(get("/readyz", &[])).await;
    assert_eq!(client.response().await.status, 503);
    client.send(get("/healthz", &[])).await;
    let live = client.response().await;
    assert_eq!((live.status, &*live.body), (200, &b"ok"[..]));
    server.stop().await;
}

#[tokio::test]
async fn tools_are_listed_in_pages() {
    let server = Server::start().await;
    let all = server.once(get("/v1/tools", &[])).await.json();
    assert_eq!(all["next_cursor"], Value::Null);
    let all: Vec<Value> = all["tools"].as_array().cloned().unwrap_or_default();
    assert_eq!(all.len(), 13);
    assert_eq!(all[0]["name"], "echo");
    assert_eq!(all[0]["source"], "script");
    assert_eq!(all[0]["input_schema"]["required"], json!(["msg"]));
    assert_eq!(all[1]["output_schema"]["required"], json!(["sum"]));
    let mut paged: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .once(get(&format!("/v1/tools?limit=5{cursor}"), &[]))
            .await
            .json();
        let tools = page["tools"].as_array().cloned().unwrap_or_default();
        assert!(!tools.is_empty() && tools.len() <= 5);
        paged.extend(tools);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=zzz",
        "page=2",
        "cursor=%FF",
    ] {
        let answer = server.once(get(&format!("/v1/tools?{bad}"), &[])).await;
        assert_eq!(
            (answer.status, &*answer.code()),
            (400, "invalid_request"),
            "{bad}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn wrong_methods_and_paths_say_what_there_is() {
    let server = Server::start().await;
    for (method, path, allow) in [
        ("GET", "/v1/tools/call", "POST"),
        ("GET", "/v1/tools/batch", "POST"),
        ("POST", "/v1/tools", "GET, HEAD"),
        ("DELETE", "/health", "GET, HEAD"),
        ("PUT", "/mcp", "POST, GET, DELETE"),
        ("HEAD", "/mcp", "POST, GET, DELETE"),
    ] {
        let mut client = server.client().await;
        client.send(request(method, path, &[], b"")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow));
    }
    for path in [
        "/nope",
        "/v1/tools/batch/",
        "/v1",
        "/mcp/",
        "//",
        "/v1/tools/call/",
    ] {
        let answer = server.once(get(path, &[])).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.message().contains("POST /v1/tools/call"), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for path in [
        "/",
        "/health",
        "/healthz",
        "/readyz",
        "/v1/tools",
        "/v1/openapi.json",
    ] {
        client.send(request("HEAD", path, &[], b"")).await;
        let head = client.head().await;
        assert_eq!(head.status, 200, "{path}");
        let length: usize = head
            .header("content-length")
            .expect("a length")
            .parse()
            .expect("a number");
        assert!(length > 0);
        // The next answer on the connection begins where the head ended.
        client.send(get("/healthz", &[])).await;
        assert_eq!(client.response().await.body, b"ok");
    }
    server.stop().await;
}

#[tokio::test]
async fn health_tells_of_every_source() {
    let server = Server::start().await;
    let health = server.once(get("/health", &[])).await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["in_flight"], 0);
    assert_eq!(health["sessions"], 0);
    assert_eq!(
        health["sources"],
        json!([
            { "name": "script", "state": "ready", "tools": 13, "resources": 0, "prompts": 0 }
        ])
    );
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut all = Vec::new();
    for n in 0..20 {
        let body = json!({ "tool": "echo", "arguments": { "msg": format!("{n}") } }).to_string();
        all.extend(post("/v1/tools/call", &[], &body));
    }
    client.send(all).await;
    for n in 0..20 {
        let answer = client.response().await;
        assert_eq!(answer.json()["output"], format!("{n}"));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_call() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client
        .send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
        .await;
    server.script.wait("the call to start", |s| s.started == 1).await;
    drop(client);
    server
        .script
        .wait("the call to be cancelled", |s| s.dropped == 1)
        .await;
    assert_eq!(server.gateway.in_flight(), 0);
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let server = Server::start().await;
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let mut client = server.client().await;
        client
            .send(post("/v1/tools/call", &[], "{\"tool\":\"gate\"}"))
            .await;
        waiting.push(client);
    }
    server
        .script
        .wait("all calls to start", |s| s.started == 50)
        .await;
    server.assert_well().await;
    server.script.gate.add_permits(50);
    for mut client in waiting {
        let answer = patiently("an answer", client.response()).await;
        assert_eq!(answer.json()["output"], "opened");
    }
    server.stop().await;
}
