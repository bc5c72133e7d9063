//! How connections end.

use std::time::Duration;

use ferromcp_adapter_stdio::{Ended, StdioSettings};
use serde_json::json;

use crate::support::{start, start_with};

#[tokio::test]
async fn end_of_input_lets_running_calls_be_answered() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "wait").await;
    client.entered().await;
    client.end_input().await;
    client.source.gate.add_permits(1);
    assert_eq!(client.receive().await["id"], 1);
    assert_eq!(client.output.next_line().await.unwrap(), None);
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test]
async fn a_last_line_without_its_end_is_a_message() {
    let mut client = start();
    client
        .raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}")
        .await;
    client.end_input().await;
    assert_eq!(client.receive().await["id"], 1);
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test]
async fn an_open_subscription_does_not_hold_the_end_up() {
    let mut client = start();
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
    client
        .send(json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}))
        .await;
    client.receive().await;
    client.end_input().await;
    assert_eq!(client.output.next_line().await.unwrap(), None);
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test]
async fn a_question_fails_when_the_input_ends() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "ask").await;
    assert_eq!(client.receive().await["method"], "roots/list");
    client.end_input().await;
    let answer = client.receive().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["code"]),
        (&json!(1), &json!(-32013)),
        "{answer}"
    );
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test(start_paused = true)]
async fn the_drain_limit_cancels_what_still_runs() {
    let mut client = start_with(
        StdioSettings {
            drain: Duration::from_secs(5),
            ..StdioSettings::default()
        },
        1 << 20,
    );
    client.initialize("2025-11-25").await;
    client.call(1, "wait").await;
    client.entered().await;
    client.end_input().await;
    assert_eq!(client.output.next_line().await.unwrap(), None);
    assert_eq!(client.gateway.in_flight(), 0);
    assert_eq!(client.ended().await, Ended::DrainTimedOut);
}

#[tokio::test]
async fn shutdown_stops_reading_and_ends_subscriptions_gracefully() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
    client
        .send(json!({"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": params}))
        .await;
    client.receive().await;
    client.call(1, "wait").await;
    client.entered().await;
    client.stop.take().unwrap().send(()).unwrap();
    client.source.gate.add_permits(1);
    assert_eq!(client.receive().await["id"], 1);
    let last = client.receive().await;
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!("sub"), &json!("complete"))
    );
    assert_eq!(client.output.next_line().await.unwrap(), None);
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test]
async fn a_draining_gateway_ends_subscriptions_while_calls_go_on() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
    client
        .send(json!({"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": params}))
        .await;
    client.receive().await;
    client.call(1, "wait").await;
    client.entered().await;
    let gateway = client.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain(Duration::from_secs(30)).await });
    assert_eq!(
        client.receive().await["id"],
        "sub",
        "the result that ends the subscription"
    );
    client.call(2, "echo").await;
    assert_eq!(client.receive().await["error"]["code"], -32013);
    client.source.gate.add_permits(1);
    assert_eq!(client.receive().await["id"], 1);
    assert!(drain.await.unwrap());
    client.end_input().await;
    assert_eq!(client.ended().await, Ended::Clean);
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_connection() {
    let mut client = start();
    client.initialize("2025-11-25").await;
    client.call(1, "wait").await;
    client.entered().await;
    let (gateway, source) = (client.gateway.clone(), client.source.clone());
    client.call(2, "large").await;
    let served = client.served;
    drop((client.input, client.output));
    source.gate.add_permits(1);
    let ended = served.await.unwrap().unwrap();
    assert_eq!(ended, Ended::BrokenPipe);
    assert_eq!(gateway.in_flight(), 0);
    drop(client.endpoint);
}
