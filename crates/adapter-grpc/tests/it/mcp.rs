//! `Mcp`: the whole protocol on one stream.

use ferromcp_adapter_grpc::GrpcSettings;
use ferromcp_grpc_api::ferro_mcp_service_client::FerroMcpServiceClient;
use ferromcp_grpc_api::{McpRequest, McpResponse};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Sender, channel};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::support::{PATIENCE, Server, guard, guard_with, told};

/// A conversation.
struct Talk {
    sender: Option<Sender<McpRequest>>,
    answers: Streaming<McpResponse>,
}

fn said(bytes: impl Into<bytes::Bytes>) -> McpRequest {
    McpRequest {
        message: bytes.into(),
    }
}

impl Talk {
    async fn open(server: &Server, key: Option<&str>) -> Result<Self, Status> {
        Self::over(&mut server.client().await, key).await
    }

    async fn over(client: &mut FerroMcpServiceClient<Channel>, key: Option<&str>) -> Result<Self, Status> {
        let (sender, mut queue) = channel(100);
        let messages = futures_util::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let mut request = Request::new(messages);
        if let Some(key) = key {
            request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        }
        let answers = client.mcp(request).await?.into_inner();
        Ok(Self {
            sender: Some(sender),
            answers,
        })
    }

    fn say(&self, message: &Value) {
        let sender = self.sender.as_ref().unwrap();
        sender.try_send(said(message.to_string())).unwrap();
    }

    async fn next(&mut self) -> Result<Option<Value>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.answers.message())
            .await
            .expect("an answer")?;
        Ok(message.map(|message| serde_json::from_slice(&message.message).unwrap()))
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let answer = self.next().await.unwrap().unwrap();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    async fn initialize(&mut self) {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = self.ask(1, "initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }
}

#[tokio::test]
async fn both_eras_and_what_a_call_says_before_its_answer() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut talk = Talk::open(&server, None).await.unwrap();
    talk.initialize().await;
    let params = json!({ "name": "tell", "_meta": { "progressToken": "p" } });
    talk.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params }));
    for step in 1..=3 {
        let report = talk.next().await.unwrap().unwrap();
        assert_eq!(report["params"]["progress"], step, "{report}");
    }
    let mut last = talk.next().await.unwrap().unwrap();
    while last["method"] == "notifications/message" {
        last = talk.next().await.unwrap().unwrap();
    }
    assert_eq!(last["result"]["content"][0]["text"], "told", "{last}");

    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let params = json!({ "name": "echo", "arguments": { "msg": "modern" }, "_meta": meta });
    let answer = talk.ask(3, "tools/call", params).await;
    assert_eq!(answer["result"]["content"][0]["text"], "modern", "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    // The client has said all: what runs is answered, and the stream ends well.
    talk.sender = None;
    assert!(talk.next().await.unwrap().is_none());
}

#[tokio::test]
async fn calls_run_side_by_side_and_end_with_the_stream_or_when_they_are_cancelled() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut dropped = server.dropped.clone();
    let mut talk = Talk::open(&server, None).await.unwrap();
    talk.initialize().await;
    for id in [5, 6] {
        talk.say(
            &json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "wait" } }),
        );
    }
    let answer = talk
        .ask(
            7,
            "tools/call",
            json!({ "name": "echo", "arguments": { "msg": "hi" } }),
        )
        .await;
    assert_eq!(answer["result"]["content"][0]["text"], "hi");
    let mut waiting = server.waiting.clone();
    waiting.wait_for(|count| *count == 2).await.unwrap();
    talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 5 } }));
    tokio::time::timeout(PATIENCE, dropped.wait_for(|count| *count == 1))
        .await
        .unwrap()
        .unwrap();
    drop(talk);
    tokio::time::timeout(PATIENCE, dropped.wait_for(|count| *count == 2))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn what_is_no_message_is_told_and_the_stream_goes_on() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut talk = Talk::open(&server, None).await.unwrap();
    talk.initialize().await;
    let sender = talk.sender.clone().unwrap();
    for (bytes, code) in [
        (&b""[..], -32700),
        (b"{\"jsonrpc\":", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}", -32700),
        (b"[]", -32600),
        (b"7", -32600),
    ] {
        sender.send(said(bytes)).await.unwrap();
        let answer = talk.next().await.unwrap().unwrap();
        assert_eq!(answer["error"]["code"], code, "{answer}");
    }
    drop(sender);
    talk.ask(9, "ping", json!({})).await;
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_stream_with_its_status() {
    let settings = GrpcSettings {
        max_message: 2_000,
        ..GrpcSettings::default()
    };
    let server = Server::start(settings).await;
    let mut talk = Talk::open(&server, None).await.unwrap();
    talk.initialize().await;
    talk.say(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping", "params": { "x": "x".repeat(2_000) } }));
    let status = talk.next().await.unwrap_err();
    assert_eq!(
        told(&status),
        (Code::ResourceExhausted, "payload_too_large".into(), None)
    );
}

#[tokio::test]
async fn a_key_is_needed_where_one_is_and_for_every_message() {
    let server = Server::start(GrpcSettings::default()).await;
    let key = guard(&server);
    let refused = Talk::open(&server, None).await.err().unwrap();
    assert_eq!(told(&refused).2.as_deref(), Some("auth.missing"));
    let mut talk = Talk::open(&server, Some(&key)).await.unwrap();
    talk.initialize().await;
    talk.ask(2, "ping", json!({})).await;
    // Another key for the same tenant: the old one is nobody's, and what is no request has no answer.
    guard_with(&server, 9);
    talk.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let answer = talk
        .ask(
            3,
            "tools/call",
            json!({ "name": "echo", "arguments": { "msg": "hi" } }),
        )
        .await;
    assert_eq!(answer["error"]["data"]["code"], "unauthenticated", "{answer}");
}

#[tokio::test]
async fn the_end_of_the_server_is_told() {
    let server = Server::start(GrpcSettings::default()).await;
    let mut talk = Talk::open(&server, None).await.unwrap();
    talk.initialize().await;
    server.gateway.refuse_new();
    let late = talk
        .ask(
            2,
            "tools/call",
            json!({ "name": "echo", "arguments": { "msg": "hi" } }),
        )
        .await;
    assert_eq!(late["error"]["data"]["code"], "unavailable", "{late}");
    server.stop.cancel();
    let status = talk.next().await.unwrap_err();
    assert_eq!(
        told(&status),
        (
            Code::Unavailable,
            "unavailable".into(),
            Some("admit.draining".into())
        )
    );
    tokio::time::timeout(PATIENCE, server.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_thousand_streams_are_opened_and_dropped() {
    let settings = GrpcSettings {
        max_streams: 50,
        ..GrpcSettings::default()
    };
    let server = Server::start(settings).await;
    let mut dropped = server.dropped.clone();
    let mut waiting = server.waiting.clone();
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "wait", "_meta": meta } });
    for round in 1..=20 {
        let mut client = server.client().await;
        let mut open = Vec::new();
        for _ in 0..50 {
            let talk = Talk::over(&mut client, None).await.unwrap();
            talk.say(&call);
            open.push(talk);
        }
        let all = |count: &usize| *count == round * 50;
        tokio::time::timeout(PATIENCE, waiting.wait_for(all))
            .await
            .unwrap()
            .unwrap();
        if round % 2 == 0 {
            // The connection goes, and all streams with it.
            drop(client);
        }
        drop(open);
        tokio::time::timeout(PATIENCE, dropped.wait_for(all))
            .await
            .unwrap()
            .unwrap();
    }
}
