//! Upstream servers that are child processes.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{ErrorCode, Event, Operation, SourceState};
use ferromcp_protocol::LogLevel;
use ferromcp_protocol::ProtocolVersion;
use ferromcp_upstream::{EraChoice, TransportSpec, UpstreamSpec};

use crate::rig::{Ask, Listener, Rig, ask, python};
use crate::{SOON, soon};

fn in_era(name: &str, traits: &[&str], era: EraChoice) -> UpstreamSpec {
    UpstreamSpec {
        era,
        ..python(name, traits)
    }
}

#[tokio::test]
async fn each_era_is_found_and_served() {
    let rig = Rig::start(vec![
        python("old", &["legacy"]),
        python("new", &["modern"]),
        python("both", &[]),
        python("strict", &["legacy", "strict"]),
        in_era("forced", &["legacy", "strict"], EraChoice::Legacy),
        in_era("asked", &["modern"], EraChoice::Modern),
    ])
    .await;
    for (name, modern) in [
        ("old", false),
        ("new", true),
        ("both", true),
        ("strict", false),
        ("forced", false),
        ("asked", true),
    ] {
        rig.assert_ready(name);
        let seen = rig.tool(&format!("{name}__echo"), r#"{"a":1}"#).await.unwrap();
        assert_eq!(
            seen.contains("io.modelcontextprotocol/protocolVersion"),
            modern,
            "{name}: {seen}"
        );
        assert!(seen.contains(r#""arguments":{"a":1}"#), "{seen}");
        let snapshot = rig.gateway.snapshot();
        let source = snapshot.catalog.source(name).unwrap();
        let instructions = if modern { "be modern" } else { "be nice" };
        assert_eq!(source.instructions.as_deref(), Some(instructions));
        assert_eq!(
            (
                source.resources.len(),
                source.templates.len(),
                source.prompts.len()
            ),
            (2, 0, 1)
        );
        let offers = source.offers;
        assert!(offers.tools && offers.resources && offers.prompts && offers.completions && !offers.tasks);
    }
    let wrong = Rig::start(vec![in_era("old", &["legacy"], EraChoice::Modern)]).await;
    assert!(
        wrong.down("old").contains("set its `era` to `auto` or `legacy`"),
        "{}",
        wrong.down("old")
    );
    wrong.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn servers_that_ignore_the_probe_or_start_late_are_still_understood() {
    let rig = Rig::start(vec![
        python("deaf", &["legacy", "deaf"]),
        python("late_old", &["legacy", "slow"]),
        python("late_strict", &["legacy", "slow", "strict"]),
        python("late_new", &["modern", "slow"]),
    ])
    .await;
    for (name, modern) in [
        ("deaf", false),
        ("late_old", false),
        ("late_strict", false),
        ("late_new", true),
    ] {
        rig.assert_ready(name);
        let seen = rig.call(&format!("{name}__echo")).await.unwrap();
        assert_eq!(
            seen.contains("io.modelcontextprotocol/protocolVersion"),
            modern,
            "{name}"
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_server_is_listed_at_once_and_callable_when_it_is_ready() {
    let rig = Rig::begin(vec![python("s", &["legacy"])]);
    assert_eq!(rig.state("s"), SourceState::Starting);
    assert_eq!(
        rig.call("s__echo").await.unwrap_err().code(),
        ErrorCode::ToolNotFound
    );
    rig.upstreams.settled(SOON).await;
    rig.assert_ready("s");
    rig.call("s__echo").await.unwrap();
    rig.stop().await;
}

const PARAMS: &str = r#"{"name":"s__echo","arguments":{"a": 1.50,  "b":"\u00e9","c":12345678901234567890123},"x-more":[ 1 ],"task":{"ttl":1},"requestState":"sealed","_meta":{"progressToken":"mine","traceparent":"00-1-2-01","io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"io.modelcontextprotocol/protocolVersion":"1"}}"#;

#[tokio::test]
async fn requests_are_relayed_byte_for_byte_except_for_what_is_between_us() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        let ask = Ask {
            name: "s__echo",
            params: Some(PARAMS),
            ..Ask::default()
        };
        let seen: serde_json::Value = serde_json::from_str(&rig.ask(&ask).await.unwrap()).unwrap();
        let seen = seen["content"][0]["text"].as_str().unwrap();
        for kept in [
            r#""name":"echo""#,
            r#""arguments":{"a": 1.50,  "b":"\u00e9","c":12345678901234567890123}"#,
            r#""x-more":[ 1 ]"#,
            r#""traceparent":"00-1-2-01""#,
        ] {
            assert!(seen.contains(kept), "{kept} is not in {seen}");
        }
        for gone in ["s__echo", "mine", "sampling", r#""task""#, "sealed", r#""1""#] {
            assert!(!seen.contains(gone), "{gone} is in {seen}");
        }
        let modern = r#""io.modelcontextprotocol/clientInfo":{"name":"ferromcp""#;
        assert_eq!(seen.contains(modern), era == "modern", "{seen}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn resources_prompts_and_completions_are_relayed() {
    for (era, version) in [
        ("legacy", ProtocolVersion::LATEST),
        ("modern", ProtocolVersion::V2025_11_25),
    ] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        let ask = Ask {
            version,
            ..Ask::default()
        };
        let read = Ask {
            operation: Operation::ReadResource,
            name: "mem://a",
            ..ask
        };
        assert!(rig.ask(&read).await.unwrap().contains(r#"\"uri\":\"mem://a\""#));
        let error = rig
            .ask(&Ask {
                name: "mem://none",
                ..read
            })
            .await
            .unwrap_err();
        assert_eq!(error.rpc_error().unwrap().code, version.resource_not_found_code());
        let params = r#"{"name":"s__greet","arguments":{"who":"me"}}"#;
        let get = Ask {
            operation: Operation::GetPrompt,
            name: "s__greet",
            params: Some(params),
            ..Ask::default()
        };
        let got = rig.ask(&get).await.unwrap();
        assert!(
            got.contains(r#"\"name\":\"greet\",\"arguments\":{\"who\":\"me\"}"#),
            "{got}"
        );
        let params =
            r#"{"ref":{"type":"ref/prompt","name":"s__greet"},"argument":{"name":"who","value":"m"}}"#;
        let complete = Ask {
            operation: Operation::CompletePrompt,
            name: "s__greet",
            params: Some(params),
            ..Ask::default()
        };
        let got = rig.ask(&complete).await.unwrap();
        assert!(
            got.contains(r#"\"ref\":{\"name\":\"greet\",\"type\":\"ref/prompt\"}"#),
            "{got}"
        );
        assert!(
            got.contains(r#"\"argument\":{\"name\":\"who\",\"value\":\"m\"}"#),
            "{got}"
        );
        rig.stop().await;
    }
}

#[tokio::test]
async fn all_pages_are_read_and_bad_items_left_out() {
    let rig = Rig::start(vec![python("s", &["pages"])]).await;
    assert_eq!(rig.tools(), ["s__echo", "s__seen", "s__last"]);
    let snapshot = rig.gateway.snapshot();
    let tool = snapshot.catalog.tool("s__last").unwrap();
    assert!(
        tool.definition.contains(r#""x-vendor": {"kept": 1.5}"#)
            || tool.definition.contains(r#""x-vendor":{"kept": 1.5}"#)
    );
    rig.stop().await;
}

#[tokio::test]
async fn nonsense_on_the_pipe_harms_nobody() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era, "garbage"])]).await;
        assert_eq!(rig.call("s__twice").await.unwrap(), "one");
        assert_eq!(rig.call("s__stray").await.unwrap(), "fine");
        let error = rig.call("s__odd").await.unwrap_err();
        assert_eq!(
            (error.code(), error.may_have_run()),
            (ErrorCode::UpstreamError, true)
        );
        assert!(error.message().contains("duplicate key `a`"), "{error}");
        let error = rig.call("s__invalid").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::UpstreamError);
        assert!(rig.call("s__echo").await.is_ok());
        rig.assert_ready("s");
        rig.stop().await;
    }
}

#[tokio::test]
async fn errors_keep_code_message_and_data() {
    let rig = Rig::start(vec![python("s", &[])]).await;
    let error = rig.call("s__error").await.unwrap_err();
    assert_eq!((error.code(), error.may_have_run()), (ErrorCode::Relayed, false));
    let rpc = error.rpc_error().unwrap();
    assert_eq!(
        (rpc.code, rpc.message.as_str(), rpc.data.as_deref()),
        (-32050, "no such luck", Some(r#"{"why": [1.0]}"#))
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_request_for_input_is_an_error_that_says_so() {
    let rig = Rig::start(vec![python("s", &["modern"])]).await;
    let error = rig.call("s__input").await.unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        (ErrorCode::UpstreamError, true)
    );
    assert!(error.message().contains("for none in particular"), "{error}");
    let error = rig.call("s__quiz").await.unwrap_err();
    assert!(error.message().contains("asked for input"), "{error}");
    rig.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_fails_its_calls_at_once_and_comes_back() {
    let rig = Rig::start(vec![python("s", &[]), python("other", &[])]).await;
    let (hanging, dying, beside) =
        soon(async { tokio::join!(rig.call("s__hang"), rig.call("s__die"), rig.call("other__echo")) }).await;
    assert!(beside.is_ok());
    for error in [hanging.unwrap_err(), dying.unwrap_err()] {
        assert_eq!(
            (error.code(), error.may_have_run()),
            (ErrorCode::Unavailable, true),
            "{error}"
        );
        assert!(error.message().contains("exited with code 3"), "{error}");
        assert!(error.message().contains("first line | out of cheese"), "{error}");
        assert!(error.retry_after().is_some());
    }
    // Its tools stay listed the whole time.
    assert!(rig.tools().contains(&"s__die".to_owned()));
    rig.until_down("s").await;
    assert!(rig.down("s").contains("exited with code 3"));
    let early = rig.call("s__echo").await;
    if let Err(error) = early {
        assert_eq!(
            (error.code(), error.may_have_run()),
            (ErrorCode::Unavailable, false),
            "{error}"
        );
        assert!(error.retry_after().is_some());
    }
    rig.until_ready("s").await;
    rig.call("s__echo").await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn an_answer_cut_short_and_a_closed_output_are_the_end_of_the_server() {
    for (tool, words) in [
        ("s__half", "exited with code 0"),
        ("s__mutter", "closed its standard output"),
    ] {
        let rig = Rig::start(vec![python("s", &[])]).await;
        let error = soon(rig.call(tool)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.may_have_run()),
            (ErrorCode::Unavailable, true),
            "{error}"
        );
        assert!(error.message().contains(words), "{error}");
        rig.until_called("s__echo").await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_is_reported_to_the_server_and_its_late_answer_ignored() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        for tool in ["s__hang", "s__late"] {
            let ask = Ask {
                name: tool,
                timeout: Duration::from_millis(200),
                ..Ask::default()
            };
            let error = rig.ask(&ask).await.unwrap_err();
            assert_eq!(
                (error.code(), error.may_have_run()),
                (ErrorCode::Timeout, true),
                "{error}"
            );
        }
        soon(async {
            while rig.structured("s__seen").await["cancelled"]
                .as_array()
                .unwrap()
                .len()
                < 2
            {}
        })
        .await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_overlong_answer_fails_its_call_only() {
    let mut spec = python("s", &[]);
    if let TransportSpec::Stdio(child) = &mut spec.transport {
        child.limits.max_line = 100_000;
    }
    let rig = Rig::start(vec![spec]).await;
    let (big, fits) = soon(async {
        tokio::join!(
            rig.tool("s__big", r#"{"bytes":200000}"#),
            rig.tool("s__big", r#"{"bytes":90000}"#)
        )
    })
    .await;
    assert_eq!(fits.unwrap().len(), 90_000);
    let error = big.unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        (ErrorCode::UpstreamError, true)
    );
    assert!(
        error.message().contains("longer than the limit of 100000 bytes"),
        "{error}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn progress_and_logs_reach_the_caller() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        let client = Listener::default();
        let ask = Ask {
            name: "s__progress",
            client: &client,
            ..Ask::default()
        };
        rig.ask(&ask).await.unwrap();
        let steps = [0, 1, 2].map(|i| format!(r#"{i}/Some(2.0) Some("step {i}")"#));
        assert_eq!(client.heard(), steps);
        let client = Listener::default();
        rig.ask(&Ask {
            name: "s__log",
            client: &client,
            ..Ask::default()
        })
        .await
        .unwrap();
        assert_eq!(client.heard(), [r#"warning Some("l") {"n": 1}"#]);
        let seen = rig
            .ask(&Ask {
                name: "s__echo",
                client: &client,
                ..Ask::default()
            })
            .await
            .unwrap();
        assert_eq!(
            seen.contains(r#"io.modelcontextprotocol/logLevel\":\"notice"#),
            era == "modern",
            "{seen}"
        );
        rig.stop().await;
    }
}

#[tokio::test]
async fn requests_of_the_server_are_answered() {
    let rig = Rig::start(vec![python("s", &["legacy"])]).await;
    let answers = rig.structured("s__ask").await;
    assert_eq!(answers["ping"], serde_json::json!({}));
    for refused in ["sampling/createMessage", "roots/list"] {
        assert_eq!(answers[refused]["code"], -32601);
        assert!(answers[refused]["message"].as_str().unwrap().contains(refused));
    }
    rig.stop().await;
}

#[tokio::test]
async fn changed_lists_are_read_again_and_told_once() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        let mut events = rig.gateway.events();
        rig.call("s__add").await.unwrap();
        assert!(matches!(soon(events.recv()).await.unwrap(), Event::ToolsChanged));
        assert!(rig.tools().contains(&"s__extra".to_owned()));
        assert_eq!(rig.call("s__extra").await.unwrap(), "this is extra");
        rig.call("s__add").await.unwrap();
        rig.stop().await;
        // The second `extra` is a duplicate and no change.
        assert!(events.try_recv().is_err());
    }
}

#[tokio::test]
async fn watched_resources_are_subscribed_to_also_after_a_restart() {
    for era in ["legacy", "modern"] {
        let rig = Rig::start(vec![python("s", &[era])]).await;
        let mut events = rig.gateway.events();
        let watch = rig.gateway.watch("mem://b");
        for restart in [true, false] {
            loop {
                if let Event::ResourceUpdated { uri } = soon(events.recv()).await.unwrap() {
                    assert_eq!(&*uri, "mem://b");
                    break;
                }
            }
            if restart {
                rig.call("s__die").await.unwrap_err();
                rig.until_down("s").await;
            }
        }
        rig.until_ready("s").await;
        assert_eq!(
            rig.structured("s__seen").await["subscribed"],
            serde_json::json!(["mem://b"])
        );
        drop(watch);
        soon(async { while rig.structured("s__seen").await["subscribed"] != serde_json::json!([]) {} }).await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_is_down_with_the_reason_and_disturbs_nobody() {
    let missing = ferromcp_supervisor::ChildSpec::new("missing", "no-such-program-here");
    let rig = Rig::start(vec![
        python("crash", &["crash"]),
        python("fine", &[]),
        crate::rig::spec("missing", TransportSpec::Stdio(missing)),
        UpstreamSpec {
            start_timeout: Duration::from_secs(1),
            ..python("mute", &["mute"])
        },
    ])
    .await;
    assert!(
        rig.down("crash").contains("exited with code 2"),
        "{}",
        rig.down("crash")
    );
    assert!(rig.down("crash").contains("bad option --crash"));
    assert!(rig.down("missing").contains("not found in PATH"));
    rig.until_down("mute").await;
    assert!(
        rig.down("mute").contains("not ready within 1.0 s"),
        "{}",
        rig.down("mute")
    );
    rig.call("fine__echo").await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn stop_leaves_no_process_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pids");
    let pids = format!("pid={}", file.display());
    let rig = Rig::start(vec![
        python("a", &[&pids]),
        python("b", &["legacy", "strict", &pids]),
    ])
    .await;
    let gateway = Arc::clone(&rig.gateway);
    let waiting = tokio::spawn(async move {
        ask(
            &gateway,
            &Ask {
                name: "a__hang",
                ..Ask::default()
            },
        )
        .await
        .unwrap_err()
    });
    rig.until(|rig| rig.gateway.in_flight() == 1).await;
    rig.stop().await;
    let error = soon(waiting).await.unwrap();
    assert!(error.message().contains("is being stopped"), "{error}");
    let pids = std::fs::read_to_string(file).unwrap();
    // `b` was started twice: the probe ended it.
    assert_eq!(pids.lines().count(), 3);
    for pid in pids.lines() {
        assert!(
            !std::path::Path::new("/proc").join(pid).exists(),
            "{pid} still runs"
        );
    }
}

#[tokio::test]
async fn a_legacy_server_is_told_the_most_verbose_log_level_that_is_wanted() {
    let rig = Rig::start(vec![
        python("s", &["legacy", "logging"]),
        python("t", &["legacy"]),
    ])
    .await;
    let levels = async || rig.structured("s__seen").await["levels"].clone();
    assert_eq!(levels().await, serde_json::json!([]), "nobody has said anything");
    let warning = rig.gateway.want_logs(LogLevel::Warning);
    // It is told before the next call.
    assert_eq!(levels().await, serde_json::json!(["warning"]));
    let debug = rig.gateway.want_logs(LogLevel::Debug);
    let error = rig.gateway.want_logs(LogLevel::Error);
    assert_eq!(levels().await, serde_json::json!(["warning", "debug"]));
    // Also without a call, and after a restart.
    rig.call("s__die").await.unwrap_err();
    rig.until_called("s__echo").await;
    assert_eq!(levels().await, serde_json::json!(["debug"]));
    // Less is told only after a while.
    drop(debug);
    assert_eq!(levels().await, serde_json::json!(["debug"]));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    soon(async { while levels().await != serde_json::json!(["debug", "warning"]) {} }).await;
    drop((warning, error));
    // Who takes no level is not bothered, and calls go on.
    rig.call("t__echo").await.unwrap();
    rig.stop().await;
}
