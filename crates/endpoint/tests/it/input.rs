//! Multi round-trip requests and their sealed state.

use std::time::Duration;

use ferromcp_endpoint::{EndpointSettings, NoOutlet};
use serde_json::{Value, json};

use crate::support::{Fixture, body, fixture, fixture_with, params};

fn all() -> Value {
    json!({"elicitation": {}, "roots": {}, "sampling": {}})
}

async fn call(fixture: &Fixture, members: Value) -> Value {
    body(
        fixture
            .modern("tools/call", params(all(), members), &NoOutlet)
            .await,
    )
}

#[tokio::test]
async fn one_round() {
    let fixture = fixture();
    let asked = call(&fixture, json!({"name": "name"})).await;
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required");
    let question = &result["inputRequests"]["user_name"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["message"], "Please");
    assert_eq!(result.get("requestState"), None, "there is nothing to carry");
    assert_eq!(result.get("ttlMs"), None);
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "ferromcp"
    );
    let wrong = call(
        &fixture,
        json!({"name": "name", "inputResponses": {"other": {"action": "accept"}}}),
    )
    .await;
    assert_eq!(
        wrong["result"]["resultType"], "input_required",
        "a missing answer is asked for again"
    );
    let answers = json!({"user_name": {"action": "accept", "content": {"name": "A"}}, "extra": {}});
    let done = call(&fixture, json!({"name": "name", "inputResponses": answers})).await;
    assert_eq!(done["result"]["resultType"], "complete");
    assert!(
        done["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("user_name={\"action\":\"accept\"")
    );
}

#[tokio::test]
async fn answers_of_earlier_rounds_come_back_sealed() {
    let fixture = fixture();
    let first = call(
        &fixture,
        json!({"name": "twice", "arguments": {"b": [1, "x"], "a": 1}}),
    )
    .await;
    assert!(first["result"]["inputRequests"]["one"].is_object());
    let second = call(
        &fixture,
        json!({"name": "twice", "arguments": {"a": 1, "b": [1, "x"]}, "inputResponses": {"one": {"action": "accept"}}}),
    )
    .await;
    assert_eq!(
        second["result"]["inputRequests"]["two"],
        json!({"method": "roots/list"})
    );
    let state = second["result"]["requestState"].as_str().unwrap().to_owned();
    assert!(!state.contains("accept"), "sealed, not signed only");
    // The order of members in the arguments may change from round to round.
    let third = call(
        &fixture,
        json!({"name": "twice", "arguments": {"b": [1, "x"], "a": 1}, "requestState": state,
               "inputResponses": {"two": {"roots": []}}}),
    )
    .await;
    let text = third["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text, "one={\"action\":\"accept\"} two={\"roots\":[]} state=None");
}

#[tokio::test]
async fn the_state_of_the_source_comes_back() {
    let fixture = fixture();
    let asked = call(&fixture, json!({"name": "stateful"})).await;
    let state = asked["result"]["requestState"].clone();
    let answers = json!({"user_name": {"action": "decline"}});
    let done = call(
        &fixture,
        json!({"name": "stateful", "requestState": state, "inputResponses": answers.clone()}),
    )
    .await;
    assert!(
        done["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .ends_with("state=Some(\"my state\")"),
        "{done}"
    );
    let without = call(&fixture, json!({"name": "stateful", "inputResponses": answers})).await;
    assert!(
        without["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .ends_with("state=None")
    );
}

#[tokio::test]
async fn tampered_foreign_and_expired_state_is_refused() {
    let fixture = fixture();
    let good = call(&fixture, json!({"name": "stateful", "arguments": {"a": 1}})).await;
    let good = good["result"]["requestState"].as_str().unwrap().to_owned();
    let mut flipped = good.clone().into_bytes();
    let at = flipped.len() / 2;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let refused = [
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": format!("{good}-TAMPERED")}),
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": flipped}),
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": &good[..20]}),
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": ""}),
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": 5}),
        json!({"name": "stateful", "arguments": {"a": 2}, "requestState": good}),
        json!({"name": "stateful", "requestState": good}),
        json!({"name": "name", "arguments": {"a": 1}, "requestState": good}),
    ];
    for members in refused {
        let answer = call(&fixture, members.clone()).await;
        assert_eq!(answer["error"]["code"], -32602, "{members}: {answer}");
    }
    let other = fixture_with(EndpointSettings::default());
    let answer = call(
        &other,
        json!({"name": "stateful", "arguments": {"a": 1}, "requestState": good}),
    )
    .await;
    assert_eq!(answer["error"]["code"], -32602, "another key");

    let late = fixture_with(EndpointSettings {
        input_ttl: Duration::ZERO,
        ..Default::default()
    });
    let state = call(&late, json!({"name": "stateful"})).await["result"]["requestState"].clone();
    let answer = call(&late, json!({"name": "stateful", "requestState": state})).await;
    assert!(
        answer["error"]["message"].as_str().unwrap().contains("expired"),
        "{answer}"
    );
}

#[tokio::test]
async fn replicas_with_one_key_take_each_others_retries() {
    let settings = EndpointSettings {
        sealing_key: Some([7; 32]),
        ..Default::default()
    };
    let (one, two) = (fixture_with(settings.clone()), fixture_with(settings));
    let state = call(&one, json!({"name": "stateful"})).await["result"]["requestState"].clone();
    let answers = json!({"user_name": {"action": "accept"}});
    let done = call(
        &two,
        json!({"name": "stateful", "requestState": state, "inputResponses": answers}),
    )
    .await;
    assert_eq!(done["result"]["resultType"], "complete");
}

#[tokio::test]
async fn only_declared_capabilities_are_asked_for() {
    let fixture = fixture();
    let cases = [
        ("name", json!({}), json!({"elicitation": {"form": {}}})),
        (
            "name",
            json!({"elicitation": {"url": {}}}),
            json!({"elicitation": {"form": {}}}),
        ),
        ("sample", json!({"elicitation": {}}), json!({"sampling": {}})),
    ];
    for (tool, capabilities, needed) in cases {
        let answer = fixture
            .modern(
                "tools/call",
                params(capabilities, json!({"name": tool})),
                &NoOutlet,
            )
            .await;
        assert_eq!(answer.status, 400);
        let answer = body(answer);
        assert_eq!(answer["error"]["code"], -32021);
        assert_eq!(answer["error"]["data"]["requiredCapabilities"], needed);
    }
}

#[tokio::test]
async fn malformed_answers_are_refused() {
    let fixture = fixture();
    for answers in [
        json!(null),
        json!(5),
        json!([]),
        json!("x"),
        json!({"user_name": 12345}),
        json!({"user_name": null}),
    ] {
        let answer = call(
            &fixture,
            json!({"name": "name", "inputResponses": answers.clone()}),
        )
        .await;
        assert_eq!(answer["error"]["code"], -32602, "{answers}: {answer}");
    }
    let many: serde_json::Map<String, Value> = (0..200).map(|i| (i.to_string(), json!({}))).collect();
    assert_eq!(
        call(&fixture, json!({"name": "name", "inputResponses": many})).await["error"]["code"],
        -32602
    );
    let empty = call(&fixture, json!({"name": "nothing_asked"})).await;
    assert_eq!(
        empty["error"]["code"], -32603,
        "a result that asks for nothing is the tool's fault"
    );
}
