//! Batches that run.

use std::pin::pin;

use super::*;

fn codes(answer: &Value) -> Vec<String> {
    let responses = answer["responses"].as_array().unwrap();
    responses
        .iter()
        .map(|r| match &r["error"] {
            Value::Null => "ok".into(),
            error => format!(
                "{} {}",
                error["code"].as_str().unwrap(),
                error["rule"].as_str().unwrap_or("-")
            ),
        })
        .collect()
}

#[tokio::test]
async fn calls_fail_on_their_own_and_keep_their_order() {
    let rig = rig();
    let answer = rig
        .ran(json!({"requests": [
            {"id": "one", "tool": "say", "arguments": {"text": "hello"}},
            {"tool": "nothing"},
            {"id": "three", "tool": "sorry"},
            {"tool": "asks"},
            {"tool": "wrap", "arguments": {"deep": [[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}},
            {"tool": "wrap", "arguments": []},
        ]}))
        .await;
    assert_eq!(
        codes(&answer),
        [
            "ok",
            "tool_not_found -",
            "tool_error -",
            "invalid_request -",
            "invalid_arguments limit.depth",
            "invalid_arguments schema.arguments"
        ]
    );
    assert_eq!(
        (&answer["success_count"], &answer["error_count"]),
        (&json!(1), &json!(5))
    );
    let first = &answer["responses"][0];
    assert_eq!((&first["id"], &first["output"]), (&json!("one"), &json!("hello")));
    assert!(answer["responses"][1].get("id").is_none());
    assert!(answer["latency_ms"].is_number() && first["latency_ms"].is_number());
    assert_eq!(
        rig.notes.take(),
        [
            "say ok -",
            "nothing tool_not_found -",
            "sorry tool_error -",
            "asks input_required -",
            "wrap invalid_arguments limit.depth",
            "wrap invalid_arguments schema.arguments"
        ]
    );
}

#[tokio::test]
async fn a_chain_takes_one_round_trip() {
    let rig = rig();
    for parallel in [1, 5] {
        let answer = rig
            .ran(json!({"max_parallel": parallel, "requests": [
                {"id": "last", "tool": "wrap", "arguments": {"all": {"$result": "mid"}, "text": {"$result": "say", "pointer": "/k/1"}}},
                {"id": "mid", "tool": "wrap", "arguments": {"$result": "first", "pointer": "/inner"}},
                {"id": "first", "tool": "wrap", "arguments": {"inner": {"n": 1.50, "s": "\u{e9}\n"}}},
                {"id": "say", "tool": "say", "arguments": {"text": "{\"k\":[0,{\"z\":1}]}"}},
            ]}))
            .await;
        assert_eq!(codes(&answer), ["ok"; 4]);
        assert_eq!(
            answer["responses"][0]["output"],
            json!({"all": {"n": 1.50, "s": "\u{e9}\n"}, "text": {"z": 1}})
        );
    }
}

#[tokio::test]
async fn what_is_put_in_is_checked_like_any_argument() {
    let rig = rig();
    let answer = rig
        .ran(json!({"requests": [
            {"id": "a", "tool": "wrap", "arguments": {"x": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}},
            {"tool": "wrap", "arguments": {"y": [[[[[{"$result": "a"}]]]]]}},
            {"id": "s", "tool": "say", "arguments": {"text": "not an object"}},
            {"tool": "wrap", "arguments": {"$result": "s"}},
            {"tool": "wrap", "arguments": {"y": {"$result": "a", "pointer": "/nothing"}}},
        ]}))
        .await;
    assert_eq!(
        codes(&answer),
        [
            "ok",
            "invalid_arguments limit.depth",
            "ok",
            "invalid_arguments schema.arguments",
            "invalid_arguments batch.reference"
        ]
    );
}

#[tokio::test]
async fn what_needs_a_failed_call_is_not_run() {
    let rig = rig();
    let answer = rig
        .ran(json!({"parallel": true, "requests": [
            {"id": "a", "tool": "sorry"},
            {"id": "b", "tool": "say", "arguments": {"text": {"$result": "a"}}},
            {"tool": "say", "arguments": {"text": {"$result": "b"}}},
            {"tool": "say", "arguments": {"text": "free"}},
        ]}))
        .await;
    assert_eq!(
        codes(&answer),
        [
            "tool_error -",
            "cancelled batch.dependency",
            "cancelled batch.dependency",
            "ok"
        ]
    );
    let mut notes = rig.notes.take();
    notes.sort();
    assert_eq!(
        notes,
        [
            "say cancelled batch.dependency",
            "say cancelled batch.dependency",
            "say ok -",
            "sorry tool_error -"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_can_stop_on_errors() {
    let rig = rig();
    let in_order = rig
        .ran(json!({"stop_on_error": true, "requests": [
            {"tool": "say"}, {"id": "bad", "tool": "sorry"}, {"tool": "say"}, {"tool": "say"},
        ]}))
        .await;
    assert_eq!(
        codes(&in_order),
        [
            "ok",
            "tool_error -",
            "cancelled batch.stopped",
            "cancelled batch.stopped"
        ]
    );
    let message = in_order["responses"][2]["error"]["message"].as_str().unwrap();
    assert!(message.contains("call `bad` failed before"), "{message}");
    // What runs already when one fails goes on.
    let at_once = rig
        .ran(json!({"stop_on_error": true, "max_parallel": 2, "requests": [
            {"tool": "slow", "arguments": {"ms": 50}}, {"tool": "sorry"}, {"tool": "say"},
        ]}))
        .await;
    assert_eq!(codes(&at_once), ["ok", "tool_error -", "cancelled batch.stopped"]);
}

#[tokio::test(start_paused = true)]
async fn as_many_run_at_the_same_time_as_may() {
    let calls = vec![json!({"tool": "slow", "arguments": {"ms": 10}}); 40];
    for (most, quota, expected) in [(1, None, 1), (7, None, 7), (100, None, 40), (20, Some(3), 3)] {
        let quotas = Quotas {
            concurrent: quota,
            ..Quotas::default()
        };
        let rig = rig_with(quotas, Policy::default());
        let answer = rig.ran(json!({"requests": calls, "max_parallel": most})).await;
        assert_eq!(answer["success_count"], 40);
        assert_eq!(rig.tools.most.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_of_the_batch_and_of_each_call() {
    let rig = rig();
    let answer = rig
        .ran(json!({"timeout_ms": 100, "requests": [
            {"tool": "slow", "arguments": {"ms": 500}, "timeout_ms": 30},
            {"tool": "slow", "arguments": {"ms": 50}},
            {"tool": "slow", "arguments": {"ms": 500}},
            {"tool": "say"},
        ]}))
        .await;
    assert_eq!(
        codes(&answer),
        ["timeout deadline", "ok", "timeout deadline", "timeout deadline"]
    );
    let details = |at: usize| answer["responses"][at]["error"]["details"]["may_have_run"] == true;
    assert_eq!([details(2), details(3)], [true, false]);
    let latency = answer["latency_ms"].as_f64().unwrap();
    assert!((99.0..105.0).contains(&latency), "{latency}");
}

#[tokio::test]
async fn a_tenant_has_a_quota_for_batches() {
    let quotas = Quotas {
        batch_size: Some(2),
        ..Quotas::default()
    };
    let rig = rig_with(quotas, Policy::default());
    let calls = |n| json!({"requests": vec![json!({"tool": "say"}); n]});
    assert_eq!(rig.ran(calls(2)).await["success_count"], 2);
    rig.notes.take();
    let error = rig.run(&calls(3)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.rule()),
        (ErrorCode::QuotaExceeded, Some("quota.batch_size"))
    );
    assert_eq!(rig.notes.take(), ["batch quota_exceeded quota.batch_size"]);
}

#[tokio::test]
async fn a_batch_of_nobody_leaves_one_record() {
    let rig = rig();
    let request =
        BatchRequest::parse(br#"{"requests":[{"tool":"say"},{"tool":"say"}],"tenant_id":"other"}"#).unwrap();
    let batch = Batch::plan(request).unwrap();
    let mut answer = BatchAnswer::new(&batch);
    let error = rig
        .gateway
        .batch(&batch, &frame(), &mut answer)
        .await
        .unwrap_err();
    assert_eq!(error.rule(), Some("auth.tenant.act_for"));
    assert_eq!(rig.notes.take(), ["batch permission_denied auth.tenant.act_for"]);
}

#[tokio::test]
async fn a_batch_inside_a_batch_is_refused() {
    let rig = rig();
    let batch = Batch::plan(BatchRequest::parse(br#"{"requests":[{"tool":"say"}]}"#).unwrap()).unwrap();
    let member = crate::client::Member::of(&NoClient);
    let frame = Call {
        client: &member,
        ..frame()
    };
    let mut answer = BatchAnswer::new(&batch);
    let error = rig.gateway.batch(&batch, &frame, &mut answer).await.unwrap_err();
    assert_eq!(error.rule(), Some(RULE_NESTED));
}

/// Takes an outcome only when told to.
#[derive(Default)]
struct Reluctant {
    allowed: Arc<AtomicUsize>,
    gone: bool,
    taken: usize,
}

impl BatchSink for Reluctant {
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        match self.allowed.load(Ordering::SeqCst) {
            _ if self.gone => Poll::Ready(Err(CallError::new(ErrorCode::Cancelled, "gone"))),
            n if n > self.taken => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn ended(&mut self, _at: usize, _outcome: Outcome) {
        self.taken += 1;
    }
}

#[tokio::test]
async fn a_caller_who_does_not_read_stops_the_batch_from_going_on() {
    for parallel in [1, 4] {
        let rig = rig();
        let body =
            json!({"requests": vec![json!({"tool": "say"}); 50], "max_parallel": parallel}).to_string();
        let batch = Batch::plan(BatchRequest::parse(body.as_bytes()).unwrap()).unwrap();
        let mut sink = Reluctant::default();
        let allowed = Arc::clone(&sink.allowed);
        let frame = frame();
        let mut running = pin!(rig.gateway.batch(&batch, &frame, &mut sink));
        let begun = || rig.tools.order.lock().unwrap().len();
        assert!(futures_util::poll!(running.as_mut()).is_pending());
        assert!(begun() <= parallel, "{}", begun());
        allowed.store(10, Ordering::SeqCst);
        assert!(futures_util::poll!(running.as_mut()).is_pending());
        assert!((10..=10 + parallel).contains(&begun()), "{}", begun());
        allowed.store(50, Ordering::SeqCst);
        let summary = running.await.unwrap();
        assert_eq!(summary.succeeded, 50);
    }
}

#[tokio::test]
async fn a_caller_who_is_gone_ends_the_batch() {
    for parallel in [1, 4] {
        let rig = rig();
        let body =
            json!({"requests": vec![json!({"tool": "say"}); 50], "max_parallel": parallel}).to_string();
        let batch = Batch::plan(BatchRequest::parse(body.as_bytes()).unwrap()).unwrap();
        let mut sink = Reluctant {
            gone: true,
            ..Reluctant::default()
        };
        let error = rig.gateway.batch(&batch, &frame(), &mut sink).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Cancelled);
        assert!(rig.tools.order.lock().unwrap().len() <= parallel);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_cancels_what_runs() {
    let rig = rig();
    let body =
        json!({"requests": vec![json!({"tool": "slow", "arguments": {"ms": 1000}}); 5], "max_parallel": 2});
    let cut = tokio::time::timeout(Duration::from_millis(10), rig.run(&body)).await;
    assert!(cut.is_err());
    assert_eq!(rig.notes.take(), ["slow cancelled -"; 2]);
    assert_eq!(rig.gateway.in_flight(), 0);
}

#[tokio::test]
async fn answers_that_are_too_much_are_left_out_and_said_to_be() {
    let policy = Policy {
        scan: crate::ScanLimits {
            max_string: 64 << 20,
            max_bytes: 64 << 20,
            ..Default::default()
        },
        max_output: 64 << 20,
        ..Policy::default()
    };
    let rig = rig_with(Quotas::default(), policy);
    let large = "x".repeat(12 << 20);
    let call = json!({"id": "a", "tool": "say", "arguments": {"text": large}});
    let answer = rig
        .ran(json!({"requests": [call, {"tool": "say", "arguments": {"text": {"$result": "a"}}},
            {"tool": "say", "arguments": {"text": {"$result": "a"}}}, {"tool": "say", "arguments": {"text": "small"}}]}))
        .await;
    assert_eq!(
        codes(&answer),
        ["ok", "ok", "payload_too_large batch.results", "ok"]
    );
    // One after another they are counted as they are; the summary says how the calls went.
    assert_eq!(answer["success_count"], 4);
}

#[tokio::test]
async fn arguments_do_not_grow_without_end() {
    let rig = rig();
    let large = "x".repeat(90 << 10);
    let many = vec![json!({"$result": "a"}); 60];
    let answer = rig
        .ran(json!({"requests": [
            {"id": "a", "tool": "say", "arguments": {"text": large}},
            {"tool": "wrap", "arguments": {"all": many}},
        ]}))
        .await;
    assert_eq!(codes(&answer), ["ok", "invalid_arguments batch.results"]);
}
