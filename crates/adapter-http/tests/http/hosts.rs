//! Host, Origin and CORS.

use ferromcp_adapter_http::HttpSettings;

use crate::support::{Server, get, post, request};

const INITIALIZE: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}";

#[tokio::test]
async fn only_hosts_and_origins_of_this_machine_are_answered() {
    let server = Server::start().await;
    for (host, origin, status) in [
        ("localhost", "", 200),
        ("localhost:1234", "http://localhost:5173", 200),
        ("LOCALHOST:8080", "", 200),
        ("127.0.0.1:99", "http://127.0.0.1", 200),
        ("127.8.8.8", "", 200),
        ("[::1]:80", "https://[::1]:80", 200),
        ("evil.example.com", "", 403),
        ("evil.example.com", "http://evil.example.com", 403),
        ("localhost", "http://evil.example.com", 403),
        ("localhost", "null", 403),
        ("localhost", "http://localhost.evil.example.com", 403),
        ("localhost.evil.example.com", "", 403),
        ("127.0.0.1.nip.io", "", 403),
        ("10.0.0.1", "", 403),
        ("[::1", "", 200),
        ("localhost:x", "", 403),
        ("user@localhost", "", 403),
    ] {
        for (path, body) in [
            ("/mcp", INITIALIZE),
            ("/v1/tools/call", "{\"tool\":\"structured\"}"),
        ] {
            let answer = server
                .once(post(path, &[("Host", host), ("Origin", origin)], body))
                .await;
            assert_eq!(answer.status, status, "{path} {host} {origin}: {answer:?}");
            if status == 403 {
                assert!(answer.message().contains("listen.allowed_"), "{answer:?}");
            }
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn configured_hosts_and_origins_are_answered() {
    let server = Server::with(HttpSettings {
        allowed_hosts: vec!["tools.example.com".into(), "Other.example.com:8443".into()],
        allowed_origins: vec!["https://app.example.com/".into()],
        ..HttpSettings::default()
    })
    .await;
    for (host, origin, status) in [
        ("tools.example.com", "https://app.example.com", 200),
        ("tools.example.com:99", "", 200),
        ("TOOLS.example.com", "", 200),
        ("other.example.com:8443", "", 200),
        ("other.example.com", "", 403),
        ("a.tools.example.com", "", 403),
        ("localhost", "http://app.example.com", 403),
        ("localhost", "https://app.example.com:444", 403),
    ] {
        let answer = server
            .once(get("/v1/tools", &[("Host", host), ("Origin", origin)]))
            .await;
        assert_eq!(answer.status, status, "{host} {origin}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wildcard_address_answers_for_every_host_but_not_for_every_page() {
    let server = Server::bound("0.0.0.0:0", HttpSettings::default()).await;
    let answer = server
        .once(get("/v1/tools", &[("Host", "tools.example.com")]))
        .await;
    assert_eq!(answer.status, 200);
    let page = [
        ("Host", "tools.example.com"),
        ("Origin", "http://tools.example.com"),
    ];
    assert_eq!(server.once(get("/v1/tools", &page)).await.status, 403);
    server.stop().await;
    let named = HttpSettings {
        allowed_hosts: vec!["tools.example.com".into()],
        ..HttpSettings::default()
    };
    let server = Server::bound("0.0.0.0:0", named).await;
    assert_eq!(
        server
            .once(get("/v1/tools", &[("Host", "tools.example.com")]))
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .once(get("/v1/tools", &[("Host", "else.example.com")]))
            .await
            .status,
        403
    );
    assert_eq!(
        server
            .once(get("/healthz", &[("Host", "10.1.2.3:80")]))
            .await
            .status,
        200
    );
    server.stop().await;
}

#[tokio::test]
async fn one_host_header_is_needed() {
    let server = Server::start().await;
    assert_eq!(server.once(get("/v1/tools", &[("Host", "")])).await.status, 400);
    let twice = "GET /v1/tools HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.once(twice).await.status, 400);
    let absolute = "GET http://evil.example.com/v1/tools HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(server.once(absolute).await.status, 403);
    let old = "GET /v1/tools HTTP/1.0\r\n\r\n";
    assert_eq!(server.once(old).await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_and_read() {
    let server = Server::start().await;
    let origin = "http://localhost:5173";
    let answer = server.once(post("/mcp", &[("Origin", origin)], INITIALIZE)).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert!(
        answer
            .header("access-control-expose-headers")
            .is_some_and(|h| h.contains("mcp-session-id"))
    );
    let asked = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type, mcp-protocol-version",
        ),
    ];
    let answer = server.once(request("OPTIONS", "/mcp", &asked, b"")).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(
        answer.header("access-control-allow-methods"),
        Some("POST, GET, DELETE")
    );
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("content-type, mcp-protocol-version")
    );
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    let evil = [
        ("Origin", "http://evil.example.com"),
        ("Access-Control-Request-Method", "POST"),
    ];
    let answer = server.once(request("OPTIONS", "/mcp", &evil, b"")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let plain = server.once(request("OPTIONS", "/v1/tools", &[], b"")).await;
    assert_eq!((plain.status, plain.header("allow")), (204, Some("GET, HEAD")));
    assert_eq!(plain.header("access-control-allow-methods"), None);
    server.stop().await;
}
