//! `POST /v1/tools/batch`.

use serde_json::{Value, json};

use crate::support::{Server, post};

async fn batch(server: &Server, body: &Value) -> (u16, Value) {
    let answer = server.once(post("/v1/tools/batch", &[], &body.to_string())).await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn answers_are_in_the_order_of_the_requests() {
    let server = Server::start().await;
    for parallel in [false, true] {
        let body = json!({"parallel": parallel, "requests": [
            { "id": "c", "tool": "echo", "arguments": { "msg": { "$result": "a" } } },
            { "id": "a", "tool": "echo", "arguments": { "msg": "h\u{e9}" } },
            { "tool": "structured" },
            { "id": "d", "tool": "echo", "arguments": { "msg": 1 } },
            { "tool": "nope" },
            { "tool": "fail" },
        ]});
        let (status, answer) = batch(&server, &body).await;
        assert_eq!(status, 200, "{answer}");
        let responses = answer["responses"].as_array().expect("responses");
        let ids: Vec<_> = responses
            .iter()
            .map(|r| r["id"].as_str().unwrap_or("-"))
            .collect();
        assert_eq!(ids, ["c", "a", "-", "d", "-", "-"]);
        let codes: Vec<_> = responses
            .iter()
            .map(|r| r["error"]["code"].as_str().unwrap_or("ok"))
            .collect();
        assert_eq!(
            codes,
            [
                "ok",
                "ok",
                "ok",
                "invalid_arguments",
                "tool_not_found",
                "tool_error"
            ]
        );
        assert_eq!(responses[0]["output"], "h\u{e9}");
        assert_eq!(responses[2]["output"], json!({ "sum": 7 }));
        assert_eq!(
            (&answer["success_count"], &answer["error_count"]),
            (&json!(3), &json!(3))
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused_whole_with_its_place() {
    let server = Server::start().await;
    let echo = json!({ "id": "a", "tool": "echo", "arguments": { "msg": "x" } });
    for (body, status, rule, pointer) in [
        (json!([echo]), 400, Value::Null, None),
        (
            json!({ "requests": [] }),
            400,
            json!("batch.calls"),
            Some("/requests"),
        ),
        (
            json!({ "requests": vec![json!({ "tool": "echo" }); 100_000] }),
            413,
            json!("batch.calls"),
            Some("/requests"),
        ),
        (
            json!({ "requests": [echo, echo] }),
            400,
            json!("batch.duplicate_id"),
            Some("/requests/1/id"),
        ),
        (
            json!({ "requests": [{ "tool": "echo", "arguments": { "msg": { "$result": "b" } } }] }),
            400,
            json!("batch.reference"),
            Some("/requests/0/arguments"),
        ),
        (
            json!({ "requests": [{ "id": "b", "tool": "echo", "arguments": { "msg": { "$result": "b" } } }] }),
            400,
            json!("batch.cycle"),
            Some("/requests/0/arguments"),
        ),
    ] {
        let (got, answer) = batch(&server, &body).await;
        assert_eq!(got, status, "{answer}");
        let error = &answer["error"];
        assert_eq!(error["rule"], rule, "{answer}");
        if let Some(pointer) = pointer {
            assert_eq!(error["details"]["issues"][0]["pointer"], pointer, "{answer}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_batch() {
    let server = Server::start().await;
    let body = json!({ "parallel": true, "requests": [{ "tool": "gate" }, { "tool": "gate" }] }).to_string();
    let mut client = server.client().await;
    client.send(post("/v1/tools/batch", &[], &body)).await;
    server.script.wait("both to start", |s| s.started == 2).await;
    drop(client);
    server.script.wait("both to be dropped", |s| s.dropped == 2).await;
    server.stop().await;
}
