//! Input that no client should send. Each case gets a clear answer, and other calls go on.

use ferromcp_adapter_http::HttpSettings;
use serde_json::json;

use crate::support::{Server, post, request};

fn deep(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn bodies_that_are_no_call() {
    let server = Server::start().await;
    let deep_arguments = format!(
        "{{\"tool\":\"structured\",\"arguments\":{{\"a\":{}}}}}",
        deep(10_000)
    );
    let long = format!(
        "{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"{}\"}}}}",
        "x".repeat(200 << 10)
    );
    let cases: Vec<(&[u8], u16, &str)> = vec![
        (b"", 400, "empty"),
        (b"{", 400, "not valid JSON"),
        (b"nonsense", 400, "not valid JSON"),
        (b"{\"tool\":\"echo\"", 400, "not valid JSON"),
        (b"{\"tool\":\"echo\"}}", 400, "not valid JSON"),
        (b"{\"tool\":\"echo\",}", 400, "not valid JSON"),
        (b"[]", 400, "expected an object"),
        (b"null", 400, "expected an object"),
        (b"{}", 400, "`tool` is missing"),
        (b"{\"tool\":\"\xff\"}", 400, "UTF-8"),
        (b"{\"tool\":\"\\ud800\"}", 400, ""),
        (b"{\"tool\":7}", 400, "`tool` must be a string, found a number"),
        (
            b"{\"tool\":\"echo\",\"tool\":\"fail\"}",
            400,
            "duplicate key `tool`",
        ),
        (
            b"{\"tool\":\"echo\",\"t\\u006fol\":\"fail\"}",
            400,
            "duplicate key `tool`",
        ),
        (
            b"{\"tool\":\"echo\",\"arguments\":{\"msg\":\"a\",\"msg\":\"b\"}}",
            422,
            "twice",
        ),
        (b"{\"tool\":\"echo\",\"args\":{}}", 400, "Did you mean arguments?"),
        (b"{\"tool\":\"echo\",\"timeout_ms\":0}", 400, "at least 1"),
        (b"{\"tool\":\"echo\",\"timeout_ms\":\"1\"}", 400, "at least 1"),
        (b"{\"tool\":\"echo\",\"timeout_ms\":1.5}", 400, "at least 1"),
        (
            b"{\"tool\":\"echo\",\"tenant_id\":null}",
            400,
            "`tenant_id` must be a string",
        ),
        (b"{\"jsonrpc\":\"2.0\",\"tool\":\"echo\"}", 400, "POST /mcp"),
        (deep_arguments.as_bytes(), 422, "/a/0"),
        (long.as_bytes(), 422, "/msg"),
    ];
    for (body, status, part) in cases {
        let answer = server.once(request("POST", "/v1/tools/call", &[], body)).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert!(answer.message().contains(part), "{shown}: {answer:?}");
        assert_eq!(answer.json()["success"], false);
    }
    assert_eq!(server.gateway.in_flight(), 0);
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_are_no_message() {
    let server = Server::start().await;
    let deep_params = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{{\"a\":{}}}}}",
        deep(10_000)
    );
    let cases: Vec<(&[u8], i64)> = vec![
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"", -32700),
        (b"7", -32600),
        (b"[]", -32600),
        (b"{\"id\":1,\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\",\"name\":\"b\"}}", -32600),
    ];
    for (body, code) in cases {
        let answer = server.once(request("POST", "/mcp", &[], body)).await;
        let shown = String::from_utf8_lossy(body).into_owned();
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert_eq!(answer.json()["error"]["code"], code, "{shown}: {answer:?}");
    }
    let answer = server.once(post("/mcp", &[], &deep_params)).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit() {
    let server = Server::with(HttpSettings {
        max_body: 1000,
        ..HttpSettings::default()
    })
    .await;
    let fits = json!({ "tool": "echo", "arguments": { "msg": "x".repeat(900) } }).to_string();
    assert_eq!(server.rest(&fits).await.status, 200);
    let large = json!({ "tool": "echo", "arguments": { "msg": "x".repeat(300_000) } }).to_string();
    for path in ["/v1/tools/call", "/mcp"] {
        let announced = server.once(post(path, &[], &large)).await;
        assert_eq!(announced.status, 413, "{announced:?}");
        assert!(announced.message().contains("1000 bytes"), "{announced:?}");
        let mut chunked = server.client().await;
        let mut request = post(
            path,
            &[("Content-Length", ""), ("Transfer-Encoding", "chunked")],
            "",
        );
        for part in large.as_bytes().chunks(400) {
            request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
            request.extend_from_slice(part);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"0\r\n\r\n");
        chunked.send(request).await;
        assert_eq!(chunked.response().await.status, 413);
        // A client that asks first is told before it sends anything.
        let mut polite = server.client().await;
        polite
            .send(post(
                path,
                &[("Content-Length", "5000000"), ("Expect", "100-continue")],
                "",
            ))
            .await;
        assert_eq!(polite.head().await.status, 413);
    }
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let body = "{\"tool\":\"echo\",\"arguments\":{\"msg\":\"asked\"}}";
    let length = body.len().to_string();
    client
        .send(post(
            "/v1/tools/call",
            &[("Content-Length", &length), ("Expect", "100-continue")],
            "",
        ))
        .await;
    assert_eq!(client.head().await.status, 100);
    client.send(body).await;
    assert_eq!(client.response().await.json()["output"], "asked");
    server.stop().await;
}

#[tokio::test]
async fn chunked_bodies_are_put_together() {
    let server = Server::start().await;
    let body = "{\"tool\":\"echo\",\"arguments\":{\"msg\":\"in pieces\"}}";
    let mut client = server.client().await;
    client
        .send(post(
            "/v1/tools/call",
            &[("Content-Length", ""), ("Transfer-Encoding", "chunked")],
            "",
        ))
        .await;
    for part in body.as_bytes().chunks(7) {
        client.send(format!("{:x};ext=1\r\n", part.len())).await;
        client.send(part).await;
        client.send("\r\n").await;
    }
    client.send("0\r\nX-Trailer: 1\r\n\r\n").await;
    assert_eq!(client.response().await.json()["output"], "in pieces");
    server.stop().await;
}

#[tokio::test]
async fn wrong_media_types_and_credentials() {
    let server = Server::start().await;
    let body = "{\"tool\":\"structured\"}";
    for (headers, status) in [
        (vec![("Content-Type", "application/json; charset=UTF-8")], 200),
        (vec![("Content-Type", "Application/JSON")], 200),
        (vec![("Content-Type", "")], 415),
        (vec![("Content-Type", "application/x-www-form-urlencoded")], 415),
        (vec![("Content-Type", "text/plain")], 415),
        (vec![("Content-Type", "application/json; charset=utf-16")], 415),
        (vec![("Content-Encoding", "gzip")], 415),
        (vec![("Authorization", "Bearer abc")], 200),
        (vec![("X-Api-Key", "abc")], 200),
        (vec![("Authorization", "Bearer ")], 401),
        (vec![("Authorization", "Negotiate abc")], 401),
    ] {
        let answer = server.once(post("/v1/tools/call", &headers, body)).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        if status == 401 {
            assert_eq!(
                answer.header("www-authenticate"),
                Some("Bearer error=\"invalid_token\"")
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let server = Server::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let cases = [
        "\r\n\r\nnonsense\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /\u{0} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "POST /v1/tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n".to_owned(),
        "POST /v1/tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
            .to_owned(),
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(100 << 10)
        ),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(100 << 10)
        ),
        "PRI * HTTP/2.0\r\n\r\nnonsense that is no HTTP/2 frame at all".to_owned(),
    ];
    for bytes in cases {
        let mut client = server.client().await;
        client.try_send(bytes.clone()).await;
        let shown: String = bytes.chars().take(60).collect();
        // An answer that says 4xx, or the end of the connection; never silence.
        let closed = client.is_closed().await;
        if !closed && !bytes.starts_with("PRI") {
            let status = client.head().await.status;
            assert!((400..500).contains(&status), "{shown}: {status}");
        }
        server.assert_well().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn truncated_bodies_call_nothing() {
    let server = Server::start().await;
    for path in ["/v1/tools/call", "/mcp"] {
        let mut client = server.client().await;
        client
            .send(post(
                path,
                &[("Content-Length", "1000")],
                "{\"tool\":\"structured\"}",
            ))
            .await;
        drop(client);
        server.assert_well().await;
    }
    assert_eq!(server.script.seen.borrow().finished, 2);
    server.stop().await;
}
