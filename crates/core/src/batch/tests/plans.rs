//! What is refused before anything runs, and references.

use proptest::prelude::*;

use super::super::reference::{find, part};
use super::*;

fn refused(body: &Value, code: ErrorCode, rule: Option<&str>, says: &str) {
    let error = plan(body);
    assert_eq!((error.code(), error.rule()), (code, rule), "{error}");
    assert!(error.message().contains(says), "{error}");
}

#[test]
fn malformed_batches_are_refused_with_their_place() {
    for (body, says) in [
        ("", "empty"),
        ("[", "expected a value"),
        ("[]", "expected an object"),
        ("{}", "`requests` is missing"),
        ("{\"requests\":{}}", "must be an array"),
        ("{\"requests\":[1]}", "requests[0]: expected an object"),
        (
            "{\"requests\":[{\"tool\":\"a\"},{}]}",
            "requests[1]: `tool` is missing",
        ),
        (
            "{\"requests\":[{\"tool\":1}]}",
            "`requests[0].tool` must be a string",
        ),
        (
            "{\"requests\":[{\"tool\":\"a\",\"id\":1}]}",
            "`requests[0].id` must be a string",
        ),
        (
            "{\"requests\":[{\"tool\":\"a\",\"args\":{}}]}",
            "unknown field `args` in requests[0]. Did you mean arguments?",
        ),
        ("{\"calls\":[]}", "Did you mean requests?"),
        (
            "{\"requests\":[{\"tool\":\"a\",\"tool\":\"b\"}]}",
            "duplicate key",
        ),
        ("{\"requests\":[],\"requests\":[]}", "duplicate key"),
        ("{\"requests\":[{\"tool\":\"a\",\"timeout_ms\":0}]}", "at least 1"),
        ("{\"requests\":[],\"parallel\":1}", "must be true or false"),
        ("{\"requests\":[],\"max_parallel\":0}", "from 1 to 100"),
        ("{\"requests\":[],\"max_parallel\":101}", "from 1 to 100"),
        ("{\"requests\":[],\"max_parallel\":1.5}", "from 1 to 100"),
        (
            "{\"requests\":[],\"parallel\":false,\"max_parallel\":2}",
            "leave one of them out",
        ),
        ("{\"requests\":[{\"tool\":\"a\"}]", ""),
        ("{\"requests\":[{\"tool\":\"\\ud800\"}]}", ""),
    ] {
        let error = BatchRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRequest, "{body}");
        assert!(error.message().contains(says), "{body}: {error}");
    }
    let error = BatchRequest::parse(b"{\"requests\":[{\"tool\":\"\xff\"}]}").unwrap_err();
    assert!(error.message().contains("UTF-8"), "{error}");
}

#[test]
fn so_many_run_at_the_same_time() {
    let parallel = |more: &str| {
        let body = format!("{{\"requests\":[{{\"tool\":\"a\"}}]{more}}}");
        BatchRequest::parse(body.as_bytes()).unwrap().parallel
    };
    assert_eq!(parallel(""), 1);
    assert_eq!(parallel(",\"parallel\":true"), DEFAULT_PARALLEL);
    assert_eq!(parallel(",\"max_parallel\":7"), 7);
    assert_eq!(parallel(",\"parallel\":false,\"max_parallel\":1"), 1);
}

#[test]
fn the_number_of_calls_is_bounded() {
    let of = |n: usize| json!({"requests": vec![json!({"tool": "wrap"}); n]});
    refused(&of(0), ErrorCode::InvalidRequest, Some(RULE_CALLS), "no calls");
    let says = "more than 10000";
    refused(
        &of(MAX_CALLS + 1),
        ErrorCode::PayloadTooLarge,
        Some(RULE_CALLS),
        says,
    );
    refused(&of(100_000), ErrorCode::PayloadTooLarge, Some(RULE_CALLS), says);
    let calls = vec![BatchCall::default(); MAX_CALLS + 1];
    let error = Batch::plan(BatchRequest {
        calls,
        ..BatchRequest::default()
    })
    .unwrap_err();
    assert_eq!(error.rule(), Some(RULE_CALLS));
}

#[test]
fn ids_are_unique_and_short() {
    let body = json!({"requests": [{"id": "a", "tool": "x"}, {"tool": "x"}, {"id": "a", "tool": "y"}]});
    let says = "/requests/2/id: the id `a` is that of /requests/0";
    refused(&body, ErrorCode::InvalidRequest, Some(RULE_DUPLICATE_ID), says);
    for id in ["", &"x".repeat(MAX_ID + 1)] {
        let body = json!({"requests": [{"id": id, "tool": "x"}]});
        refused(&body, ErrorCode::InvalidRequest, None, "1 to 128 bytes");
    }
}

#[test]
fn references_lead_to_calls_of_the_batch() {
    let of = |arguments: Value| json!({"requests": [{"id": "a", "tool": "x", "arguments": {}}, {"tool": "y", "arguments": arguments}]});
    for (arguments, says) in [
        (
            json!({"v": {"$result": "b"}}),
            "no call of this batch has the id `b`",
        ),
        (json!({"v": {"$result": 1}}), "must be a string"),
        (json!({"v": {"$result": "a", "pointer": 1}}), "must be a string"),
        (json!({"v": {"$result": "a", "pointer": "x"}}), "JSON Pointer"),
        (json!({"v": {"$result": "a", "path": "/x"}}), "nothing else"),
        (json!({"$result": {"$result": "a"}}), "must be a string"),
    ] {
        refused(
            &of(arguments),
            ErrorCode::InvalidRequest,
            Some(RULE_REFERENCE),
            says,
        );
    }
}

#[test]
fn circles_are_refused_and_shown() {
    let call = |id: &str, to: &str| json!({"id": id, "tool": "x", "arguments": {"v": [{"$result": to}]}});
    let own = json!({"requests": [call("a", "a")]});
    refused(&own, ErrorCode::InvalidRequest, Some(RULE_CYCLE), "a -> a");
    let three = json!({"requests": [call("z", "a"), call("a", "b"), call("b", "c"), call("c", "a")]});
    refused(
        &three,
        ErrorCode::InvalidRequest,
        Some(RULE_CYCLE),
        "a -> b -> c -> a",
    );
    let calls: Vec<Value> = (0..1000)
        .map(|i| call(&format!("c{i}"), &format!("c{}", (i + 1) % 1000)))
        .collect();
    refused(
        &json!({"requests": calls}),
        ErrorCode::InvalidRequest,
        Some(RULE_CYCLE),
        "(1000 calls)",
    );
}

#[test]
fn references_are_found_wherever_they_are() {
    let raw =
        r#"{"a":"$result","b":[{"$result":"x"},[{ "pointer":"/p" , "\u0024result" : "y" }]],"$result2":1}"#;
    let found = find(raw).unwrap();
    let shown: Vec<_> = found
        .iter()
        .map(|r| (&*r.id, &*r.pointer, &raw[r.place.clone()]))
        .collect();
    assert_eq!(
        shown,
        [
            ("x", "", r#"{"$result":"x"}"#),
            ("y", "/p", r#"{ "pointer":"/p" , "\u0024result" : "y" }"#),
        ]
    );
    // As a value, or inside of a string, it is nothing.
    assert_eq!(find(r#"{"a":"{\"$result\":\"x\"}"}"#).unwrap(), []);
    assert_eq!(find(r#"["$result","x"]"#).unwrap(), []);
}

#[test]
fn pointers_lead_into_objects_arrays_and_text_that_is_json() {
    let raw = r#"{"a":[{"b~/c":1.50}, "{\"x\":[true]}"],"":{"01":2}}"#;
    for (pointer, there) in [
        ("", Some(raw)),
        ("/a/0/b~0~1c", Some("1.50")),
        ("/a/1/x/0", Some("true")),
        ("/a/1", Some(r#""{\"x\":[true]}""#)),
        ("//01", Some("2")),
        ("/a/2", None),
        ("/a/00", None),
        ("/a/+1", None),
        ("/a/-", None),
        ("/a/0/b", None),
        ("/a/0/b~0~1c/x", None),
        ("/a/1/y", None),
    ] {
        assert_eq!(part(raw, pointer).as_deref(), there, "{pointer}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(|n| json!(n)),
        "[a-z$\\\\\"/ ]{0,8}".prop_map(Value::String),
        Just(json!({"$result": "a"})),
        Just(json!({"$result": "b", "pointer": "/x"})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z\"\\\\]{0,4}", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

/// The references of a tree, in order.
fn in_tree(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => match map.get("$result").and_then(Value::as_str) {
            Some(id) => found.push((
                id.into(),
                map.get("pointer")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .into(),
            )),
            None => map.values().for_each(|v| in_tree(v, found)),
        },
        Value::Array(all) => all.iter().for_each(|v| in_tree(v, found)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_pass_over_raw_text_finds_what_a_tree_has(value in any_json()) {
        let raw = value.to_string();
        let mut expected = Vec::new();
        in_tree(&value, &mut expected);
        let found: Vec<_> = find(&raw).unwrap().into_iter().map(|r| (r.id.into_owned(), r.pointer.into_owned())).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_plan_runs_every_call_behind_those_it_needs(edges in prop::collection::vec((0usize..12, 0usize..12), 0..20)) {
        // Edges lead from later to earlier calls by number, and the numbers are then mixed.
        let mix = |i: usize| (i * 5 + 3) % 12;
        let mut calls = vec![json!({}); 12];
        for i in 0..12 {
            let needs: Vec<Value> = edges.iter().filter(|(a, b)| a.max(b) == &i && a != b)
                .map(|(a, b)| json!({"$result": format!("c{}", a.min(b))})).collect();
            calls[mix(i)] = json!({"id": format!("c{i}"), "tool": "wrap", "arguments": {"n": i, "needs": needs}});
        }
        let rig = rig();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for parallel in [1, 4] {
            rig.tools.order.lock().unwrap().clear();
            let answer = runtime.block_on(rig.ran(json!({"requests": calls, "max_parallel": parallel})));
            prop_assert_eq!(&answer["success_count"], &json!(12));
            let order = rig.tools.order.lock().unwrap().clone();
            let at = |i: usize| order.iter().position(|n| *n == i.to_string()).unwrap();
            for (a, b) in edges.iter().filter(|(a, b)| a != b) {
                prop_assert!(at(*a.min(b)) < at(*a.max(b)));
            }
            for (place, call) in calls.iter().enumerate() {
                prop_assert_eq!(&answer["responses"][place]["id"], &call["id"]);
            }
        }
    }
}
