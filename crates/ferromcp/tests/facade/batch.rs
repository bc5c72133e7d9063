//! The builder of batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ferromcp::core::ErrorCode;
use ferromcp::{Batch, Gateway, JsonSchema, Principal, Server, Tool};
use serde_json::json;

#[derive(serde::Deserialize, JsonSchema)]
struct Text {
    text: String,
}

fn gateway() -> Arc<Gateway> {
    let server = Server::builder("batches", "1.0.0")
        .tool(Tool::new("upper", "In capitals", |args: Text| async move {
            args.text.to_uppercase()
        }))
        .tool(Tool::new("forever", "Does not end", || async {
            std::future::pending::<()>().await;
            "never"
        }));
    server.build().unwrap().into_gateway()
}

#[tokio::test(start_paused = true)]
async fn calls_are_made_in_the_order_of_their_references() {
    let gateway = gateway();
    let done = Batch::new()
        .add("b", "upper", json!({ "text": Batch::result("a", "") }))
        .add("a", "upper", json!({ "text": "one" }))
        .add_within(Duration::from_millis(5), "c", "forever", json!({}))
        .add("d", "upper", json!({ "text": 7 }))
        .parallel(4)
        .run_as(&gateway, &Principal::local())
        .await
        .unwrap();
    assert_eq!((done.summary.succeeded, done.summary.failed), (2, 2));
    let ids: Vec<_> = done.outcomes.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["b", "a", "c", "d"]);
    let output = done.get("b").unwrap().settled().unwrap().output().unwrap();
    assert_eq!(output, "\"ONE\"");
    let code = |id: &str| done.get(id).unwrap().settled().unwrap_err().code();
    assert_eq!(
        (code("c"), code("d")),
        (ErrorCode::Timeout, ErrorCode::InvalidArguments)
    );
    assert!(done.get("e").is_none());
}

#[tokio::test(start_paused = true)]
async fn it_stops_when_it_is_told_to() {
    let gateway = gateway();
    let stopped = Batch::new()
        .add("a", "upper", json!({}))
        .add("b", "upper", json!({ "text": "x" }))
        .stop_on_error()
        .run(&gateway)
        .await
        .unwrap();
    assert_eq!(
        stopped.get("b").unwrap().settled().unwrap_err().rule(),
        Some("batch.stopped")
    );
    let late = Batch::new()
        .add("a", "forever", json!({}))
        .add("b", "upper", json!({ "text": "x" }))
        .timeout(Duration::from_millis(50))
        .run(&gateway)
        .await
        .unwrap();
    assert_eq!(late.summary.failed, 2);
    assert!(late.summary.latency < Duration::from_secs(1), "{late:?}");
}

#[tokio::test]
async fn what_is_no_batch_is_told_before_anything_runs() {
    let gateway = gateway();
    let arguments = HashMap::from([((1, 2), 3)]);
    let error = Batch::new()
        .add("a", "upper", arguments)
        .run(&gateway)
        .await
        .unwrap_err();
    assert!(error.message().contains("arguments of `a`"), "{error}");
    let error = Batch::new().run(&gateway).await.unwrap_err();
    assert_eq!(error.rule(), Some("batch.calls"));
    let twice = Batch::new()
        .add("a", "upper", json!({}))
        .add("a", "upper", json!({}));
    assert_eq!(
        twice.run(&gateway).await.unwrap_err().rule(),
        Some("batch.duplicate_id")
    );
}
