//! Every method of 2026-07-28 over HTTP.

use ferromcp_endpoint::NoOutlet;
use serde_json::{Value, json};

use crate::support::{META, Sent, body, fixture, fixture_with, headers, params};

/// Header names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn server_info(result: &Value) -> &Value {
    &result["_meta"]["io.modelcontextprotocol/serverInfo"]
}

#[tokio::test]
async fn discover_tells_versions_and_capabilities() {
    let fixture = fixture();
    let answer = fixture
        .modern("server/discover", params(json!({}), json!({})), &NoOutlet)
        .await;
    assert_eq!(answer.status, 200);
    let result = &body(answer)["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(
        result["supportedVersions"],
        json!([
            "2026-07-28",
            "2025-11-25",
            "2025-06-18",
            "2025-03-26",
            "2024-11-05"
        ])
    );
    assert_eq!(
        result["capabilities"],
        json!({"tools": {"listChanged": true}, "resources": {"listChanged": true, "subscribe": true},
               "prompts": {"listChanged": true}, "completions": {}, "logging": {},
               "extensions": {"io.modelcontextprotocol/tasks": {}}})
    );
    assert_eq!(result["instructions"], "Read this.\n\nBe kind.");
    assert_eq!(result["ttlMs"], 300_000);
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(server_info(result)["name"], "ferromcp");
}

#[tokio::test]
async fn lists_are_paged_and_carry_caching_hints() {
    let settings = ferromcp_endpoint::EndpointSettings {
        page_size: 7,
        caching: ferromcp_endpoint::Caching {
            public: true,
            list_ttl_ms: 9,
            ..Default::default()
        },
        ..Default::default()
    };
    let fixture = fixture_with(settings);
    let (mut names, mut cursor) = (Vec::new(), None::<Value>);
    for _ in 0..3 {
        let mut members = json!({});
        if let Some(cursor) = &cursor {
            members["cursor"] = cursor.clone();
        }
        let answer = body(
            fixture
                .modern("tools/list", params(json!({}), members), &NoOutlet)
                .await,
        );
        let result = &answer["result"];
        assert_eq!(
            (&result["ttlMs"], &result["cacheScope"]),
            (&json!(9), &json!("public"))
        );
        assert_eq!(result["resultType"], "complete");
        names.extend(
            result["tools"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| t["name"].as_str().unwrap().to_owned()),
        );
        cursor = result.get("nextCursor").cloned();
    }
    assert_eq!(cursor, None);
    assert_eq!(names.len(), 17);
    assert_eq!(names[0], "echo");
    for (method, member, count) in [
        ("resources/list", "resources", 2),
        ("resources/templates/list", "resourceTemplates", 1),
        ("prompts/list", "prompts", 1),
    ] {
        let answer = body(
            fixture
                .modern(method, params(json!({}), json!({"cursor": ""})), &NoOutlet)
                .await,
        );
        assert_eq!(
            answer["result"][member].as_array().unwrap().len(),
            count,
            "{method}"
        );
        let bad = body(
            fixture
                .modern(
                    method,
                    params(json!({}), json!({"cursor": "nonsense"})),
                    &NoOutlet,
                )
                .await,
        );
        assert_eq!(bad["error"]["code"], -32602, "{method}");
    }
}

#[tokio::test]
async fn a_tool_call_is_dressed_for_its_era() {
    let fixture = fixture();
    let answer = fixture.modern(
        "tools/call",
        params(json!({}), json!({"name": "echo", "arguments": {"msg": "hi"}})),
        &NoOutlet,
    );
    let answer = body(answer.await);
    assert_eq!(answer["id"], 1);
    let result = &answer["result"];
    assert_eq!(result["content"], json!([{"type": "text", "text": "hi"}]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(server_info(result)["name"], "ferromcp");
    assert_eq!(result.get("ttlMs"), None);

    let array = body(
        fixture
            .modern(
                "tools/call",
                params(json!({}), json!({"name": "array"})),
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(array["result"]["structuredContent"], json!([1, 2]));
}

#[tokio::test]
async fn a_relayed_result_keeps_its_own_members() {
    let fixture = fixture();
    let answer = fixture
        .modern(
            "tools/call",
            params(json!({}), json!({"name": "relayed"})),
            &NoOutlet,
        )
        .await;
    let ferromcp_endpoint::Body::Json(raw) = answer.body else {
        panic!("no answer")
    };
    let text = String::from_utf8(raw).unwrap();
    assert_eq!(text.matches("resultType").count(), 1, "{text}");
    let result = &serde_json::from_str::<Value>(&text).unwrap()["result"];
    assert_eq!(result["x-own"], 1);
    assert_eq!(result["_meta"]["a/b"], 1);
    assert_eq!(
        server_info(result)["name"],
        "ferromcp",
        "the server's name is ours"
    );
    assert_eq!(result.get("ttlMs"), None, "tool results are not cacheable");
}

#[tokio::test]
async fn resources_prompts_and_completions() {
    let fixture = fixture();
    let read = body(
        fixture
            .modern(
                "resources/read",
                params(json!({}), json!({"uri": "test://a"})),
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(read["result"]["contents"][0]["text"], "hello");
    assert_eq!(
        (&read["result"]["ttlMs"], &read["result"]["cacheScope"]),
        (&json!(0), &json!("private"))
    );
    for uri in ["test://b", "nowhere://x"] {
        let none = fixture
            .modern(
                "resources/read",
                params(json!({}), json!({"uri": uri})),
                &NoOutlet,
            )
            .await;
        assert_eq!(none.status, 200);
        assert_eq!(body(none)["error"]["code"], -32602, "{uri}");
    }
    let arguments = json!({"name": "hello", "arguments": {"a": "b"}});
    let prompt = body(
        fixture
            .modern("prompts/get", params(json!({}), arguments), &NoOutlet)
            .await,
    );
    assert_eq!(
        prompt["result"]["messages"][0]["content"]["text"],
        "{\"a\":\"b\"}"
    );
    for reference in [
        json!({"type": "ref/prompt", "name": "hello"}),
        json!({"type": "ref/resource", "uri": "test://t/{id}"}),
    ] {
        let members = json!({"ref": reference, "argument": {"name": "id", "value": "1"}});
        let done = body(
            fixture
                .modern("completion/complete", params(json!({}), members), &NoOutlet)
                .await,
        );
        assert_eq!(done["result"]["completion"]["total"], 1, "{done}");
        assert_eq!(done["result"]["resultType"], "complete");
    }
}

#[tokio::test]
async fn errors_have_the_status_of_the_specification() {
    let fixture = fixture();
    let unknown = fixture
        .modern(
            "tools/call",
            params(json!({}), json!({"name": "no-such"})),
            &NoOutlet,
        )
        .await;
    assert_eq!(unknown.status, 200);
    assert_eq!(body(unknown)["error"]["code"], -32602);

    let refused = fixture
        .modern(
            "tools/call",
            params(json!({}), json!({"name": "refuse"})),
            &NoOutlet,
        )
        .await;
    assert_eq!(refused.status, 400);
    let refused = body(refused);
    assert_eq!(refused["error"]["code"], -32021);
    assert_eq!(
        refused["error"]["data"]["requiredCapabilities"],
        json!({"sampling": {}})
    );

    let limited = body(
        fixture
            .modern(
                "tools/call",
                params(json!({}), json!({"name": "full"})),
                &NoOutlet,
            )
            .await,
    );
    assert_eq!(limited["error"]["code"], -32010);
    assert_eq!(limited["error"]["data"]["rule"], "rate.client");

    let relayed = params(json!({}), json!({"name": "old_code"}));
    let relayed = body(fixture.modern("tools/call", relayed, &NoOutlet).await);
    assert_eq!(
        relayed["error"]["code"], -32602,
        "-32002 belongs to earlier revisions"
    );

    let bad = json!({"name": "echo", "arguments": {"msg": 5}});
    let bad = body(
        fixture
            .modern("tools/call", params(json!({}), bad), &NoOutlet)
            .await,
    );
    assert_eq!(bad["result"]["isError"], true, "{bad}");
    assert!(
        bad["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("/msg"),
        "{bad}"
    );
    assert_eq!(bad["result"]["resultType"], "complete");

    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "no/such",
        "tasks/list",
        "tasks/result",
    ] {
        let gone = fixture
            .modern(method, params(json!({}), json!({})), &NoOutlet)
            .await;
        assert_eq!(gone.status, 404, "{method}");
        assert_eq!(body(gone)["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn what_is_not_offered_is_no_method() {
    let fixture = fixture();
    fixture.gateway.withdraw("test");
    for method in [
        "tools/list",
        "tools/call",
        "resources/read",
        "prompts/list",
        "completion/complete",
        "tasks/get",
    ] {
        let members = json!({"name": "x", "uri": "x", "taskId": "x"});
        let name = params(json!({}), members);
        let answer = fixture.modern(method, name, &NoOutlet).await;
        assert_eq!(answer.status, 404, "{method}");
    }
    let found = body(
        fixture
            .modern("server/discover", params(json!({}), json!({})), &NoOutlet)
            .await,
    );
    assert_eq!(found["result"]["capabilities"], json!({"logging": {}}));
}

#[tokio::test]
async fn meta_is_checked_first() {
    let fixture = fixture();
    let good = headers(&[
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ]);
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let capabilities = r#""io.modelcontextprotocol/clientCapabilities":{}"#;
    let cases = [
        String::new(),
        r#""_meta":5"#.into(),
        format!(r#""_meta":{{{capabilities}}}"#),
        format!(r#""_meta":{{{version}}}"#),
        format!(r#""_meta":{{{version},"io.modelcontextprotocol/clientCapabilities":[]}}"#),
        format!(r#""_meta":{{"io.modelcontextprotocol/protocolVersion":7,{capabilities}}}"#),
        format!(r#""_meta":{{{version},{capabilities},"io.modelcontextprotocol/clientInfo":"x"}}"#),
        format!(r#""_meta":{{{version},{capabilities},"io.modelcontextprotocol/logLevel":"loud"}}"#),
        format!(r#""_meta":{{{version},{capabilities},"progressToken":{{}}}}"#),
    ];
    for params in cases {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":"x","method":"server/discover","params":{{{params}}}}}"#);
        let answer = fixture.http(&good, &message, &NoOutlet).await;
        assert_eq!(answer.status, 400, "{params}");
        let answer = body(answer);
        assert_eq!(answer["error"]["code"], -32602, "{params}");
        assert_eq!(answer["id"], "x");
    }
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{"_meta":{{{version},{capabilities}}}}}}}"#
    );
    assert_eq!(
        fixture.http(&good, &message, &NoOutlet).await.status,
        200,
        "clientInfo is optional"
    );
}

#[tokio::test]
async fn versions_and_headers_are_checked_in_order() {
    let fixture = fixture();
    let discover = |version: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        )
    };
    let method = ("mcp-method", "server/discover");
    let cases: [(&str, Fields<'_>, i64); 9] = [
        ("2026-07-28", &[method], -32020),
        ("v999", &[("mcp-protocol-version", "2026-07-28"), method], -32020),
        (
            "2026-07-28",
            &[("mcp-protocol-version", "2025-11-25"), method],
            -32020,
        ),
        (
            "2026-07-28",
            &[
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-protocol-version", "2026-07-28"),
                method,
            ],
            -32020,
        ),
        ("v999", &[("mcp-protocol-version", "v999")], -32022),
        ("2025-11-25", &[("mcp-protocol-version", "2025-11-25")], -32022),
        ("2026-07-28", &[("mcp-protocol-version", "2026-07-28")], -32020),
        (
            "2026-07-28",
            &[
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "Server/Discover"),
            ],
            -32020,
        ),
        (
            "2026-07-28",
            &[("mcp-protocol-version", "2026-07-28"), method, method],
            -32020,
        ),
    ];
    for (version, fields, code) in cases {
        let answer = fixture
            .http(&headers(fields), &discover(version), &NoOutlet)
            .await;
        assert_eq!(answer.status, 400, "{version} {fields:?}");
        let answer = body(answer);
        assert_eq!(answer["error"]["code"], code, "{version} {fields:?} {answer}");
        if code == -32022 {
            assert_eq!(answer["error"]["data"]["requested"], version);
            assert_eq!(answer["error"]["data"]["supported"][0], "2026-07-28");
        }
    }
    let padded = headers(&[
        ("mcp-protocol-version", " 2026-07-28 "),
        ("mcp-method", "\tserver/discover "),
    ]);
    assert_eq!(
        fixture
            .http(&padded, &discover("2026-07-28"), &NoOutlet)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn names_and_parameters_in_headers_must_match() {
    let fixture = fixture();
    let base = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
    ];
    let echo = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{arguments},{META}}}}}"#
        )
    };
    let plain = r#"{"msg":"x"}"#;
    let cases: [(Fields<'_>, &str, bool); 20] = [
        (&[], plain, false),
        (&[("mcp-name", "Echo")], plain, false),
        (&[("mcp-name", "echo"), ("mcp-name", "echo")], plain, false),
        (&[("mcp-name", " echo ")], plain, true),
        (&[("mcp-name", "=?base64?ZWNobw==?=")], plain, true),
        (&[("mcp-name", "=?base64?ZWNobw?=")], plain, false),
        (&[("mcp-name", "echo")], r#"{"msg":"x","region":"eu"}"#, false),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "us")],
            r#"{"msg":"x","region":"eu"}"#,
            false,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "eu")],
            r#"{"msg":"x","region":"eu"}"#,
            true,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "=?base64?SGVsbG8=?=")],
            r#"{"msg":"x","region":"Hello"}"#,
            true,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "=?base64?SGVsbG8?=")],
            r#"{"msg":"x","region":"Hello"}"#,
            false,
        ),
        (
            &[
                ("mcp-name", "echo"),
                ("mcp-param-region", "=?base64?SGVs!!!bG8=?="),
            ],
            r#"{"msg":"x","region":"Hello"}"#,
            false,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "SGVsbG8=")],
            r#"{"msg":"x","region":"SGVsbG8="}"#,
            true,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-region", "=?base64?SGVs")],
            r#"{"msg":"x","region":"=?base64?SGVs"}"#,
            true,
        ),
        (&[("mcp-name", "echo"), ("mcp-param-region", "eu")], plain, false),
        (
            &[("mcp-name", "echo"), ("mcp-param-count", "42.0")],
            r#"{"msg":"x","count":42}"#,
            true,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-count", "43")],
            r#"{"msg":"x","count":42}"#,
            false,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-count", "inf")],
            r#"{"msg":"x","count":42}"#,
            false,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-dry", "true")],
            r#"{"msg":"x","dry":true}"#,
            true,
        ),
        (
            &[("mcp-name", "echo"), ("mcp-param-dry", "True")],
            r#"{"msg":"x","dry":true}"#,
            false,
        ),
    ];
    for (fields, arguments, good) in cases {
        let fields: Vec<_> = base.iter().chain(fields).copied().collect();
        let answer = fixture.http(&headers(&fields), &echo(arguments), &NoOutlet).await;
        let status = answer.status;
        let answer = body(answer);
        if good {
            assert!(answer["result"]["content"].is_array(), "{fields:?} {answer}");
        } else {
            assert_eq!(
                (status, &answer["error"]["code"]),
                (400, &json!(-32020)),
                "{fields:?} {answer}"
            );
        }
    }
}

#[tokio::test]
async fn progress_only_rises_and_logs_need_a_level() {
    let fixture = fixture();
    let sent = Sent::default();
    let call = json!({"name": "progress", "_meta": {"progressToken": "t-1"}});
    body(fixture.modern("tools/call", params(json!({}), call), &sent).await);
    let values: Vec<Value> = sent
        .all()
        .iter()
        .map(|m| m["params"]["progress"].clone())
        .collect();
    assert_eq!(values, [json!(0), json!(50), json!(99.5)]);
    assert_eq!(
        sent.all()[1]["params"],
        json!({"progressToken": "t-1", "progress": 50, "total": 100, "message": "on it"})
    );
    assert_eq!(sent.opened.lock().unwrap()[..], ["tools/call 1 2026-07-28"]);

    let sent = Sent::default();
    body(
        fixture
            .modern(
                "tools/call",
                params(json!({}), json!({"name": "progress"})),
                &sent,
            )
            .await,
    );
    body(
        fixture
            .modern("tools/call", params(json!({}), json!({"name": "log"})), &sent)
            .await,
    );
    assert_eq!(
        sent.all(),
        Vec::<Value>::new(),
        "no token, no level: nothing is sent"
    );

    let call = json!({"name": "log", "_meta": {"io.modelcontextprotocol/logLevel": "info"}});
    body(fixture.modern("tools/call", params(json!({}), call), &sent).await);
    let levels: Vec<Value> = sent.all().iter().map(|m| m["params"]["level"].clone()).collect();
    assert_eq!(levels, ["info", "error"]);
    assert_eq!(
        sent.all()[0]["params"],
        json!({"level": "info", "logger": "test", "data": {"a": 1}})
    );
}

#[tokio::test]
async fn the_source_learns_who_calls() {
    let fixture = fixture();
    let who = body(
        fixture
            .modern("tools/call", params(json!({}), json!({"name": "who"})), &NoOutlet)
            .await,
    );
    assert_eq!(
        who["result"]["content"][0]["text"],
        "Some(\"test-client\") RoundTrip"
    );
}

#[tokio::test]
async fn ids_come_back_as_they_were_sent() {
    let fixture = fixture();
    let fields = headers(&[
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "server/discover"),
    ]);
    for id in [
        "\"a\\u0062\"",
        "0",
        "-1",
        "1.50",
        "12345678901234567890123",
        "\"\"",
    ] {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{{META}}}}}"#);
        let raw = fixture
            .http(&fields, &message, &NoOutlet)
            .await
            .into_json()
            .unwrap();
        let start = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"#);
        assert!(
            raw.starts_with(start.as_bytes()),
            "{id}: {}",
            String::from_utf8_lossy(&raw)
        );
    }
}
