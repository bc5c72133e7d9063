//! While the connection is open.

use ferromcp_adapter_stdio::StdioSettings;
use ferromcp_core::Event;
use serde_json::{Value, json};

use crate::support::{start, start_with};

fn modern(id: &str, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                             "io.modelcontextprotocol/clientCapabilities": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

#[tokio::test]
async fn both_eras_message_by_message() {
    let mut client = start();
    client.send(modern("m1", "server/discover", json!({}))).await;
    assert_eq!(client.receive().await["result"]["resultType"], "complete");
    client.initialize("2025-11-25").await;
    client.call(1, "echo").await;
    assert_eq!(
        client.receive().await["result"],
        json!({"content": [{"type": "text", "text": "{}"}]})
    );
    client
        .send(modern(
            "m2",
            "tools/call",
            json!({"name": "echo", "arguments": {"a": 1}}),
        ))
        .await;
    let answer = client.receive().await;
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!("m2"), &json!("{\"a\":1}"))
    );
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "wait").await;
    client.call(2, "wait").await;
    client.entered().await;
    client.entered().await;
    client.call(3, "echo").await;
    assert_eq!(client.receive().await["id"], 3);
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    client
        .send(json!({"jsonrpc": "2.0", "id": 4, "method": "ping"}))
        .await;
    assert_eq!(
        client.receive().await["id"],
        4,
        "what came before the ping is done"
    );
    client.source.gate.add_permits(2);
    assert_eq!(
        client.receive().await["id"],
        2,
        "the cancelled request is never answered"
    );
    client
        .send(json!({"jsonrpc": "2.0", "id": 5, "method": "ping"}))
        .await;
    assert_eq!(client.receive().await["id"], 5);
}

#[tokio::test]
async fn lines_that_are_no_message_are_answered_and_the_stream_goes_on() {
    let mut client = start_with(
        StdioSettings {
            max_line: 1000,
            ..StdioSettings::default()
        },
        1 << 20,
    );
    let long = vec![b'x'; 5000];
    let cases: [(&[u8], &str); 6] = [
        (b"nonsense", "JSON"),
        (b"{\"jsonrpc\":\"2.0\"", "JSON"),
        (b"\xff\xfe", "UTF-8"),
        (&long, "longer than 1000"),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", "id"),
        (b"   ", "JSON"),
    ];
    for (line, word) in cases {
        client.raw(line).await;
        client.raw(b"\r\n\n").await;
        let answer = client.receive().await;
        assert_eq!(answer["id"], Value::Null, "{answer}");
        assert!(
            answer["error"]["message"].as_str().unwrap().contains(word),
            "{word}: {answer}"
        );
    }
    client
        .send(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        .await;
    assert_eq!(client.receive().await["result"], json!({}));
}

#[tokio::test]
async fn a_hundred_megabyte_line_is_skipped_without_being_stored() {
    let mut client = start();
    let chunk = vec![b'a'; 1 << 20];
    for _ in 0..100 {
        client.raw(&chunk).await;
    }
    client.raw(b"\n").await;
    assert_eq!(client.receive().await["error"]["code"], -32700);
    client
        .send(json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
        .await;
    assert_eq!(client.receive().await["id"], 1);
}

#[tokio::test]
async fn bytes_may_arrive_one_by_one() {
    let mut client = start_with(StdioSettings::default(), 1);
    client
        .raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")
        .await;
    assert_eq!(client.receive().await["id"], 1);
}

#[tokio::test]
async fn a_pretty_printed_result_is_one_line() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "pretty").await;
    assert_eq!(client.receive().await["result"]["x"], "a\nb");
}

#[tokio::test]
async fn the_client_is_asked_over_the_same_pipe() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "ask").await;
    let question = client.receive().await;
    assert_eq!(question["method"], "roots/list");
    client
        .send(json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}))
        .await;
    assert_eq!(
        client.receive().await["result"]["content"][0]["text"],
        "{\"roots\":[]}"
    );
}

#[tokio::test]
async fn progress_comes_before_the_answer_and_a_flood_is_cut() {
    let mut client = start_with(
        StdioSettings {
            max_queued: 20_000,
            ..StdioSettings::default()
        },
        100,
    );
    client.initialize("2025-11-25").await;
    client.call(5, "flood").await;
    let mut reports = 0;
    loop {
        let message = client.receive().await;
        if message["id"] == 5 {
            assert_eq!(message["result"]["content"][0]["text"], "flooded");
            break;
        }
        assert_eq!(message["params"]["progressToken"], 5);
        reports += 1;
    }
    assert!(reports > 10 && reports < 5_000, "{reports}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_waited_for() {
    let mut client = start_with(
        StdioSettings {
            max_queued: 50_000,
            ..StdioSettings::default()
        },
        4096,
    );
    client.initialize("2025-11-25").await;
    for id in 1..=20 {
        client.call(id, "large").await;
    }
    let mut ids = Vec::new();
    for _ in 1..=20 {
        let answer = client.receive().await;
        assert_eq!(
            answer["result"]["content"][0]["text"].as_str().unwrap().len(),
            100_000
        );
        ids.push(answer["id"].as_u64().unwrap());
    }
    assert_eq!(
        ids,
        (1..=20).collect::<Vec<_>>(),
        "nothing was lost, nothing overtook"
    );
}

#[tokio::test]
async fn changes_are_told_in_both_eras() {
    let mut client = start();
    client
        .send(modern(
            "sub",
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": true}}),
        ))
        .await;
    let ack = client.receive().await;
    assert_eq!(ack["method"], "notifications/subscriptions/acknowledged");
    client.gateway.emit(Event::ToolsChanged);
    let told = client.receive().await;
    assert_eq!(
        told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        "sub"
    );
    client
        .send(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "sub"}}))
        .await;
    client.initialize("2025-11-25").await;
    client.gateway.emit(Event::ToolsChanged);
    assert_eq!(
        client.receive().await,
        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    );
}

#[tokio::test]
async fn a_batch_of_2025_03_26() {
    let mut client = start();
    client.initialize("2025-03-26").await;
    client
        .send(json!([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"jsonrpc": "2.0", "id": 2, "method": "ping"}]))
        .await;
    assert_eq!(client.receive().await.as_array().unwrap().len(), 2);
}
