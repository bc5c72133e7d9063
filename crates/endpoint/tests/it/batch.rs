//! Batches of 2025-03-26.

use ferromcp_endpoint::NoOutlet;
use serde_json::json;

use crate::support::{TestHeaders, body, fixture};

#[tokio::test]
async fn a_batch_is_answered_in_order() {
    let fixture = fixture();
    let client = fixture.session("2025-03-26", json!({})).await;
    fixture.source.gate.add_permits(1);
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "wait"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "b", "method": "ping"},
        {"jsonrpc": "2.0", "id": "c", "method": "initialize", "params": {"protocolVersion": "2025-03-26"}},
        {"jsonrpc": "2.0", "id": "d", "method": "no/such"},
        {"jsonrpc": "2.0", "id": "e", "method": "ping", "params": {"_meta": 5}},
        7,
        {"jsonrpc": "2.0", "id": 99, "result": {}},
    ]);
    let answer = body(client.post(&batch.to_string(), &NoOutlet).await);
    let ids: Vec<_> = answer
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["id"].clone())
        .collect();
    assert_eq!(
        ids,
        [
            json!("a"),
            json!("b"),
            json!("c"),
            json!("d"),
            json!("e"),
            json!(null)
        ]
    );
    assert_eq!(answer[0]["result"]["content"][0]["text"], "went on");
    for (i, code) in [(2, -32600), (3, -32601), (4, -32602), (5, -32600)] {
        assert_eq!(answer[i]["error"]["code"], code, "{i}");
    }
}

#[tokio::test]
async fn nothing_to_answer_and_nothing_at_all() {
    let fixture = fixture();
    let client = fixture.session("2025-03-26", json!({})).await;
    let notes = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(client.post(notes, &NoOutlet).await.status, 202);
    for bad in ["[]", "[1", &format!("[{}1]", "1,".repeat(100))] {
        let answer = client.post(bad, &NoOutlet).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert_eq!(body(answer)["id"], json!(null));
    }
}

#[tokio::test]
async fn other_revisions_have_no_batches() {
    let fixture = fixture();
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#;
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let client = fixture.session(version, json!({})).await;
        let answer = client.post(batch, &NoOutlet).await;
        assert_eq!(answer.status, 400, "{version}");
        assert_eq!(body(answer)["error"]["code"], -32600);
    }
    assert_eq!(
        fixture
            .http(&TestHeaders::default(), batch, &NoOutlet)
            .await
            .status,
        400
    );
    let session = fixture.connect();
    assert_eq!(
        body(fixture.line(&session, batch, &NoOutlet).await)["error"]["code"],
        -32600
    );
}
