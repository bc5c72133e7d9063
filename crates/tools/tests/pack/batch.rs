//! `batch_call`, through a gateway.

use ferromcp_core::ErrorCode;
use serde_json::json;

use crate::Bench;

#[tokio::test]
async fn calls_tools_and_returns_all_results() {
    let bench = Bench::carrying();
    let answer = bench
        .call(
            "batch_call",
            json!({ "max_parallel": 3, "requests": [
            { "id": "a", "tool": "echo", "arguments": { "msg": "{\"x\":[1,\"two\"]}" } },
            { "tool": "echo", "arguments": { "msg": { "$result": "a", "pointer": "/x/1" } } },
            { "tool": "echo", "arguments": {} },
            { "tool": "no_such_tool" },
        ] }),
        )
        .await
        .ok();
    let data = answer.data();
    let codes: Vec<_> = data["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["error"]["code"].as_str().unwrap_or("ok"))
        .collect();
    assert_eq!(codes, ["ok", "ok", "invalid_arguments", "tool_not_found"]);
    assert_eq!(data["responses"][1]["output"], "two");
    assert_eq!(
        (&data["success_count"], &data["error_count"]),
        (&json!(2), &json!(2))
    );
    // Hosts that know no structured content read the same as text.
    assert_eq!(
        &serde_json::from_str::<serde_json::Value>(answer.text()).unwrap(),
        data
    );
}

#[tokio::test]
async fn arguments_of_its_calls_are_judged_as_theirs() {
    let bench = Bench::carrying();
    let deep = |levels: usize| (1..levels).fold(json!(["x"]), |inner, _| json!([inner]));
    let answer = bench
        .call(
            "batch_call",
            json!({ "requests": [
            { "tool": "echo", "arguments": { "msg": deep(19) } },
            { "tool": "echo", "arguments": { "msg": deep(20) } },
        ] }),
        )
        .await
        .ok();
    let rules: Vec<_> = answer.data()["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["error"]["rule"].as_str().unwrap_or("-"))
        .collect();
    assert_eq!(rules, ["schema.arguments", "limit.depth"]);
    let error = bench
        .error(
            "batch_call",
            json!({ "requests": [{ "tool": "echo", "arguments": { "msg": deep(130) } }] }),
        )
        .await;
    assert_eq!(error.rule(), Some("limit.depth"));
}

#[tokio::test]
async fn what_is_no_batch_is_refused_before_anything_runs() {
    let bench = Bench::carrying();
    let one = json!({ "id": "a", "tool": "echo", "arguments": { "msg": "x" } });
    for (arguments, code, rule) in [
        (json!({}), ErrorCode::InvalidArguments, "schema.arguments"),
        (
            json!({ "requests": [] }),
            ErrorCode::InvalidArguments,
            "schema.arguments",
        ),
        (
            json!({ "requests": [one], "tenant_id": "b" }),
            ErrorCode::InvalidArguments,
            "schema.arguments",
        ),
        (
            json!({ "requests": [one, one] }),
            ErrorCode::InvalidRequest,
            "batch.duplicate_id",
        ),
        (
            json!({ "requests": [{ "tool": "echo", "arguments": { "msg": { "$result": "b" } } }] }),
            ErrorCode::InvalidRequest,
            "batch.reference",
        ),
    ] {
        let error = bench.error("batch_call", arguments).await;
        assert_eq!((error.code(), error.rule()), (code, Some(rule)), "{error}");
    }
}

#[tokio::test]
async fn a_batch_in_a_batch_is_refused() {
    let bench = Bench::carrying();
    let inner = json!({ "requests": [{ "tool": "echo", "arguments": { "msg": "x" } }] });
    let answer = bench
        .call(
            "batch_call",
            json!({ "requests": [{ "tool": "batch_call", "arguments": inner }] }),
        )
        .await
        .ok();
    assert_eq!(answer.data()["responses"][0]["error"]["rule"], "batch.nested");
}

#[tokio::test]
async fn it_is_there_only_where_it_is_published() {
    assert!(
        !Bench::new(ferromcp_tools::FilesSettings::default())
            .tools()
            .contains(&"batch_call".to_owned())
    );
    let bench = Bench::carrying();
    assert!(bench.tools().contains(&"batch_call".to_owned()));
    assert_eq!(
        bench.error("other", json!({})).await.code(),
        ErrorCode::ToolNotFound
    );
}
