//! The revisions up to 2025-11-25, over HTTP sessions and over a connection.

use ferromcp_core::Event;
use ferromcp_endpoint::NoOutlet;
use serde_json::{Value, json};

use crate::support::{META, Sent, TestHeaders, body, fixture, fixture_with, headers};

#[tokio::test]
async fn versions_are_negotiated() {
    let fixture = fixture();
    for (asked, got) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let client = fixture.session(asked, json!({})).await;
        let result = &client.initialized["result"];
        assert_eq!(result["protocolVersion"], got, "{asked}");
        assert_eq!(result["serverInfo"]["name"], "ferromcp");
        assert_eq!(result["instructions"], "Read this.\n\nBe kind.");
        assert_eq!(
            result["capabilities"]["resources"],
            json!({"listChanged": true, "subscribe": true})
        );
        assert_eq!(result["capabilities"].get("extensions"), None);
        assert_eq!(result.get("resultType"), None);
    }
    assert_eq!(fixture.endpoint.sessions(), 6);
}

#[tokio::test]
async fn every_method_answers_in_legacy_dress() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let cases = [
        ("ping", json!({}), "", json!({})),
        (
            "tools/call",
            json!({"name": "echo", "arguments": {"msg": "hi"}}),
            "/content/0/text",
            json!("hi"),
        ),
        ("tools/list", json!({}), "/tools/0/name", json!("echo")),
        ("resources/list", json!({}), "/resources/1/uri", json!("test://b")),
        (
            "resources/templates/list",
            json!({}),
            "/resourceTemplates/0/name",
            json!("t"),
        ),
        (
            "resources/read",
            json!({"uri": "test://t/1"}),
            "/contents/0/text",
            json!("hello"),
        ),
        ("prompts/list", json!({}), "/prompts/0/name", json!("hello")),
        (
            "prompts/get",
            json!({"name": "hello"}),
            "/messages/0/role",
            json!("user"),
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "hello"}, "argument": {"name": "a", "value": ""}}),
            "/completion/values",
            json!(["hello"]),
        ),
        ("logging/setLevel", json!({"level": "error"}), "", json!({})),
        ("resources/subscribe", json!({"uri": "test://a"}), "", json!({})),
        ("resources/unsubscribe", json!({"uri": "test://a"}), "", json!({})),
    ];
    for (id, (method, params, pointer, expected)) in (1..).zip(cases) {
        let answer = client.request(id, method, params, &NoOutlet).await;
        assert_eq!(answer.status, 200, "{method}");
        let answer = body(answer);
        assert_eq!(answer["id"], id);
        assert_eq!(
            answer["result"].pointer(pointer),
            Some(&expected),
            "{method}: {answer}"
        );
        for modern in ["resultType", "ttlMs", "cacheScope", "_meta"] {
            assert_eq!(answer["result"].get(modern), None, "{method}");
        }
    }
}

#[tokio::test]
async fn what_only_the_modern_era_knows_is_left_out() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let array = body(
        client
            .request(1, "tools/call", json!({"name": "array"}), &NoOutlet)
            .await,
    );
    assert_eq!(
        array["result"],
        json!({"content": []}),
        "structured content is an object before 2026-07-28"
    );
    let relayed = body(
        client
            .request(2, "tools/call", json!({"name": "relayed"}), &NoOutlet)
            .await,
    );
    let mut keys: Vec<_> = relayed["result"].as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(keys, ["_meta", "content", "x-own"]);
    let tools = body(client.request(3, "tools/list", json!({}), &NoOutlet).await);
    let array = tools["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["name"] == "array")
        .unwrap();
    assert_eq!(array.get("outputSchema"), None);
}

#[tokio::test]
async fn errors() {
    let fixture = fixture();
    fixture.second_source();
    let client = fixture.session("2025-06-18", json!({})).await;
    for (method, params, code) in [
        ("server/discover2", json!({}), -32601),
        ("tasks/get", json!({"taskId": "x"}), -32601),
        ("initialize", json!({"protocolVersion": "2025-06-18"}), -32600),
        ("notifications/initialized", json!({}), -32601),
        ("tools/call", json!({}), -32602),
        ("tools/call", json!({"name": 5}), -32602),
        ("tools/call", json!({"name": "no-such"}), -32602),
        ("tools/call", json!({"name": "nothing_asked"}), -32603),
        ("tools/call", json!({"name": "task"}), -32021),
        ("resources/read", json!({"uri": "nowhere://x"}), -32002),
        ("resources/subscribe", json!({"uri": "nowhere://x"}), -32002),
        ("tools/list", json!({"cursor": 5}), -32602),
        ("logging/setLevel", json!({"level": "loud"}), -32602),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/x"}, "argument": {"name": "a", "value": ""}}),
            -32602,
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "hello"}}),
            -32602,
        ),
    ] {
        let answer = client.request(1, method, params.clone(), &NoOutlet).await;
        assert_eq!(answer.status, 200, "{method} {params}");
        let answer = body(answer);
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
    }
    let bad = body(
        client
            .request(
                1,
                "tools/call",
                json!({"name": "echo", "arguments": [1]}),
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(bad["result"]["isError"], true);
}

#[tokio::test]
async fn logging_can_be_switched_off() {
    let fixture = fixture_with(ferromcp_endpoint::EndpointSettings {
        logging: false,
        ..Default::default()
    });
    let client = fixture.session("2025-11-25", json!({})).await;
    assert_eq!(client.initialized["result"]["capabilities"].get("logging"), None);
    let answer = body(
        client
            .request(1, "logging/setLevel", json!({"level": "info"}), &NoOutlet)
            .await,
    );
    assert_eq!(answer["error"]["code"], -32601);
    let sent = Sent::default();
    body(
        client
            .request(2, "tools/call", json!({"name": "log"}), &sent)
            .await,
    );
    assert_eq!(sent.all(), Vec::<Value>::new());
}

#[tokio::test]
async fn log_level_is_kept_per_session() {
    let fixture = fixture();
    let (one, two) = (
        fixture.session("2025-11-25", json!({})).await,
        fixture.session("2025-11-25", json!({})).await,
    );
    body(
        one.request(1, "logging/setLevel", json!({"level": "error"}), &NoOutlet)
            .await,
    );
    let (first, second) = (Sent::default(), Sent::default());
    body(one.request(2, "tools/call", json!({"name": "log"}), &first).await);
    body(
        two.request(2, "tools/call", json!({"name": "log"}), &second)
            .await,
    );
    assert_eq!(first.all().len(), 1);
    assert_eq!(second.all().len(), 2, "info is the default");
}

#[tokio::test]
async fn progress_messages_only_where_the_revision_has_them() {
    let fixture = fixture();
    for (version, message) in [("2024-11-05", false), ("2025-03-26", true)] {
        let client = fixture.session(version, json!({})).await;
        let sent = Sent::default();
        let params = json!({"name": "progress", "_meta": {"progressToken": 7}});
        body(client.request(1, "tools/call", params, &sent).await);
        assert_eq!(sent.all().len(), 3);
        assert_eq!(sent.all()[0]["params"]["progressToken"], 7);
        assert_eq!(
            sent.all()[0]["params"].get("message").is_some(),
            message,
            "{version}"
        );
    }
}

#[tokio::test]
async fn the_client_is_asked_while_the_call_runs() {
    let fixture = fixture();
    let client = fixture
        .session("2025-06-18", json!({"elicitation": {}, "roots": {}}))
        .await;
    let sent = Sent::default();
    let call = client.request(1, "tools/call", json!({"name": "twice"}), &sent);
    let answers = async {
        let question = sent.nth(0).await;
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "Please");
        let unknown = json!({"jsonrpc": "2.0", "id": "not-ours", "result": {}}).to_string();
        assert_eq!(client.post(&unknown, &NoOutlet).await.status, 202);
        let answer =
            json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}}).to_string();
        assert_eq!(client.post(&answer, &NoOutlet).await.status, 202);
        let question = sent.nth(1).await;
        assert_eq!(question["method"], "roots/list");
        assert_eq!(question.get("params"), None);
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}).to_string();
        assert_eq!(client.post(&answer, &NoOutlet).await.status, 202);
    };
    let (answer, ()) = tokio::join!(call, answers);
    assert_eq!(body(answer)["result"]["content"][0]["text"], "{\"roots\":[]}");
}

#[tokio::test]
async fn a_refused_question_fails_the_call_as_the_client_said() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({"sampling": {}})).await;
    let sent = Sent::default();
    let call = client.request(1, "tools/call", json!({"name": "sample"}), &sent);
    let refuse = async {
        let id = sent.nth(0).await["id"].clone();
        let answer = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "User rejected"}})
            .to_string();
        client.post(&answer, &NoOutlet).await
    };
    let (answer, _) = tokio::join!(call, refuse);
    assert_eq!(
        body(answer)["error"],
        json!({"code": -1, "message": "User rejected"})
    );
}

#[tokio::test]
async fn questions_need_a_capability_a_stream_and_a_revision() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let sent = Sent::default();
    let undeclared = body(
        client
            .request(1, "tools/call", json!({"name": "name"}), &sent)
            .await,
    );
    assert!(
        undeclared["error"]["message"]
            .as_str()
            .unwrap()
            .contains("elicitation"),
        "{undeclared}"
    );
    let old = fixture.session("2025-03-26", json!({"elicitation": {}})).await;
    assert!(body(old.request(1, "tools/call", json!({"name": "name"}), &sent).await)["error"].is_object());
    assert_eq!(sent.all(), Vec::<Value>::new());
    let able = fixture.session("2025-11-25", json!({"elicitation": {}})).await;
    let no_stream = body(
        able.request(1, "tools/call", json!({"name": "who"}), &NoOutlet)
            .await,
    );
    assert_eq!(
        no_stream["result"]["content"][0]["text"],
        "Some(\"old-client\") None"
    );
}

#[tokio::test]
async fn a_session_hears_of_changes() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let mut feed = fixture.endpoint.feed(&client.session);
    body(
        client
            .request(1, "resources/subscribe", json!({"uri": "test://a"}), &NoOutlet)
            .await,
    );
    fixture.gateway.emit(Event::ToolsChanged);
    fixture.gateway.emit(Event::ResourceUpdated {
        uri: "test://b".into(),
    });
    fixture.gateway.emit(Event::ToolsChanged);
    fixture.gateway.emit(Event::ResourceUpdated {
        uri: "test://a".into(),
    });
    fixture.gateway.emit(Event::PromptsChanged);
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(serde_json::from_slice::<Value>(&feed.next().await.unwrap()).unwrap());
    }
    assert_eq!(
        heard,
        [
            json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}),
            json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"}),
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "test://a"}}),
        ]
    );
    body(
        client
            .request(2, "resources/unsubscribe", json!({"uri": "test://a"}), &NoOutlet)
            .await,
    );
    assert_eq!(
        fixture.source.watched.lock().unwrap()[..],
        [("test://a".to_owned(), true), ("test://a".to_owned(), false)]
    );
    fixture.gateway.emit(Event::ResourceUpdated {
        uri: "test://a".into(),
    });
    fixture.gateway.emit(Event::ResourcesChanged);
    let next: Value = serde_json::from_slice(&feed.next().await.unwrap()).unwrap();
    assert_eq!(next["method"], "notifications/resources/list_changed");
    fixture.endpoint.end(&client.session);
    assert_eq!(feed.next().await, None);
}

#[tokio::test]
async fn a_feed_that_fell_behind_looks_at_everything_anew() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let mut feed = fixture.endpoint.feed(&client.session);
    for _ in 0..5000 {
        fixture.gateway.emit(Event::ToolsChanged);
    }
    let mut heard = Vec::new();
    for _ in 0..3 {
        let message: Value = serde_json::from_slice(&feed.next().await.unwrap()).unwrap();
        heard.push(message["method"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        heard,
        ["tools", "prompts", "resources"].map(|list| format!("notifications/{list}/list_changed"))
    );
    assert!(fixture.gateway.drain(std::time::Duration::ZERO).await);
    assert_eq!(feed.next().await, None, "a draining server closes the stream");
}

#[tokio::test]
async fn a_connection_speaks_both_eras() {
    let fixture = fixture();
    let session = fixture.connect();
    let early = body(
        fixture
            .line(
                &session,
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(early["error"]["code"], -32600);
    let ping = body(
        fixture
            .line(&session, r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#, &NoOutlet)
            .await,
    );
    assert_eq!(ping["result"], json!({}));
    let discover = format!(r#"{{"jsonrpc":"2.0","id":3,"method":"server/discover","params":{{{META}}}}}"#);
    assert_eq!(
        body(fixture.line(&session, &discover, &NoOutlet).await)["result"]["resultType"],
        "complete"
    );
    let bare = body(
        fixture
            .line(
                &session,
                r#"{"jsonrpc":"2.0","id":3,"method":"server/discover"}"#,
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(bare["error"]["code"], -32602, "a probe without its metadata");
    let initialize = r#"{"jsonrpc":"2.0","id":4,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
    let answer = fixture.line(&session, initialize, &NoOutlet).await;
    assert!(answer.opened.is_none());
    assert_eq!(body(answer)["result"]["protocolVersion"], "2025-06-18");
    let again = body(fixture.line(&session, initialize, &NoOutlet).await);
    assert_eq!(again["error"]["code"], -32600);
    let list = body(
        fixture
            .line(
                &session,
                r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#,
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(list["result"].get("resultType"), None);
    assert_eq!(
        body(fixture.line(&session, &discover, &NoOutlet).await)["result"]["resultType"],
        "complete"
    );
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{{"name":"echo","arguments":{{"msg":"x","region":"eu"}},{META}}}}}"#
    );
    let call = body(fixture.line(&session, &call, &NoOutlet).await);
    assert_eq!(
        call["result"]["content"][0]["text"], "x",
        "there are no headers on a connection"
    );
}

#[tokio::test]
async fn a_session_needs_its_id() {
    let fixture = fixture();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let without = fixture.http(&TestHeaders::default(), list, &NoOutlet).await;
    assert_eq!(without.status, 400);
    assert_eq!(body(without)["id"], 1);
    let unknown = fixture
        .http(&headers(&[("mcp-session-id", "nope")]), list, &NoOutlet)
        .await;
    assert_eq!(unknown.status, 404);
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(
        fixture
            .http(&TestHeaders::default(), note, &NoOutlet)
            .await
            .status,
        400
    );
    let modern = headers(&[("mcp-protocol-version", "2026-07-28")]);
    assert_eq!(fixture.http(&modern, note, &NoOutlet).await.status, 202);
    let odd = headers(&[("mcp-protocol-version", "2025-13-32")]);
    let refused = fixture.http(&odd, note, &NoOutlet).await;
    assert_eq!(refused.status, 400);
    assert_eq!(body(refused)["error"]["code"], -32022);
    let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    assert_eq!(fixture.http(&modern, response, &NoOutlet).await.status, 400);
    assert_eq!(
        fixture
            .http(&TestHeaders::default(), response, &NoOutlet)
            .await
            .status,
        400
    );
}
