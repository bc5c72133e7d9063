//! The doors, over real sockets.

use std::io;

use ferromcp::http::{HttpSettings, Listener, StopToken};
use ferromcp::{Server, Tool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn server() -> Server {
    Server::builder("served", "1.2.3")
        .tool(Tool::new("hi", "", || async { "hello there" }))
        .build()
        .unwrap()
}

/// One request on a connection of its own; returns the whole response.
async fn post(address: std::net::SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn mcp_and_rest_are_served_until_told_to_stop() {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let stop = StopToken::new();
    let serving = tokio::spawn(server().serve_http_on(listener, HttpSettings::default(), stop.clone()));
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let response = post(address, "/mcp", initialize).await;
    assert!(
        response.contains(r#""name":"served""#) && response.contains("1.2.3"),
        "{response}"
    );
    let response = post(address, "/v1/tools/call", r#"{"tool":"hi","arguments":{}}"#).await;
    assert!(
        response.starts_with("HTTP/1.1 200") && response.contains("hello there"),
        "{response}"
    );
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_network_is_not_served_without_authentication() {
    let error = server().serve_http("0.0.0.0:0").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("no authentication"), "{error}");
}
