//! What no client should send.

use ferromcp_endpoint::NoOutlet;
use serde_json::json;

use crate::support::{TestHeaders, body, fixture, headers};

#[tokio::test]
async fn bytes_that_are_no_message() {
    let fixture = fixture();
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}1{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let cases: Vec<(Vec<u8>, i64)> = vec![
        (b"".to_vec(), -32700),
        (b"{".to_vec(), -32700),
        (b"nonsense".to_vec(), -32700),
        (b"\xff\xfe{}".to_vec(), -32700),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"".to_vec(),
            -32700,
        ),
        (b"{}".to_vec(), -32600),
        (b"5".to_vec(), -32600),
        (
            b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}".to_vec(),
            -32600,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}".to_vec(),
            -32600,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}".to_vec(),
            -32600,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}".to_vec(),
            -32600,
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":5}".to_vec(), -32600),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}".to_vec(),
            -32602,
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"a\":1,\"a\":2}}".to_vec(),
            -32600,
        ),
        (deep.into_bytes(), 0),
    ];
    let session = fixture.connect();
    for (bytes, code) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let incoming = |link| ferromcp_endpoint::Incoming {
            body: &bytes,
            door: ferromcp_core::Door::Mcp,
            credential: ferromcp_core::Credential::Local,
            link,
            outlet: &NoOutlet,
        };
        let answer = fixture
            .endpoint
            .exchange(incoming(ferromcp_endpoint::Link::Connection(&session)))
            .await;
        let answer = body(answer);
        if code != 0 {
            assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
        }
        let old = TestHeaders::default();
        let answer = fixture
            .endpoint
            .exchange(incoming(ferromcp_endpoint::Link::Http(&old)))
            .await;
        assert_eq!(answer.status, 400, "{shown}");
        let new = headers(&[("mcp-protocol-version", "2026-07-28")]);
        let answer = fixture
            .endpoint
            .exchange(incoming(ferromcp_endpoint::Link::Http(&new)))
            .await;
        assert_eq!(answer.status, 400, "{shown}");
        let answer = body(answer);
        assert!(
            answer.get("id").is_none_or(|id| !id.is_null()),
            "2026-07-28 leaves an unknown id out: {answer}"
        );
    }
}

#[tokio::test]
async fn arguments_that_break_a_limit_are_told_to_the_model() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let cases = [
        format!(r#"{{"msg":"x","deep":{deep}}}"#),
        r#"{"msg":"x","msg":"y"}"#.into(),
        format!(r#"{{"msg":"{}"}}"#, "x".repeat(200_000)),
        r#""text""#.into(),
        "null".into(),
    ];
    for arguments in cases {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments}}}}}"#
        );
        let answer = body(client.post(&message, &NoOutlet).await);
        let shown = &arguments[..arguments.len().min(60)];
        assert_eq!(answer["result"]["isError"], true, "{shown}: {answer}");
        assert!(
            answer["result"]["content"][0]["text"].as_str().unwrap().len() > 10,
            "{shown}"
        );
    }
}
