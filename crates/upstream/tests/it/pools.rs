//! Several workers behind one server; workers that die, freeze or fail in a loop; calls that are made once more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode, SourceHealth, SourceState};
use ferromcp_supervisor::ChildSpec;
use ferromcp_upstream::{Effect, EraChoice, PoolSize, TransportSpec, UpstreamSpec};
use serde_json::json;

use crate::rig::{Rig, python, spec};
use crate::server::{Conn, serve};
use crate::soon;

pub(crate) fn serial(name: &str, min: usize, max: usize) -> UpstreamSpec {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/serial.py");
    let child = ChildSpec::new(name, "python3").args(["-S", "-E", "-u", script]);
    UpstreamSpec {
        era: EraChoice::Legacy,
        pool: PoolSize {
            min,
            max,
            ..PoolSize::default()
        },
        ..spec(name, TransportSpec::Stdio(child))
    }
}

impl Rig {
    fn health(&self, name: &str) -> SourceHealth {
        self.gateway
            .snapshot()
            .catalog
            .source(name)
            .unwrap()
            .source
            .health()
    }

    fn states(&self, name: &str) -> Vec<&'static str> {
        self.health(name)
            .workers
            .iter()
            .map(|worker| worker.state)
            .collect()
    }

    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        self.health(name)
            .workers
            .iter()
            .filter_map(|worker| worker.pid)
            .collect()
    }

    pub(crate) async fn until_workers(&self, name: &str, ready: usize) {
        self.until(|rig| rig.pids(name).len() == ready && rig.states(name).len() == ready)
            .await;
    }

    /// A call in the background that holds a worker until `until` exists; it has begun.
    async fn hold(
        &self,
        name: &str,
        directory: &Path,
        mark: &str,
    ) -> tokio::task::JoinHandle<Result<String, CallError>> {
        let started = directory.join(format!("{mark}-started"));
        let until = directory.join(format!("{mark}-until"));
        let arguments = json!({ "started": started, "until": until }).to_string();
        let (gateway, tool) = (Arc::clone(&self.gateway), format!("{name}__wait"));
        let call = tokio::spawn(async move {
            let ask = crate::rig::Ask {
                name: &tool,
                arguments: Some(&arguments),
                ..crate::rig::Ask::default()
            };
            crate::rig::ask(&gateway, &ask).await
        });
        self.until(|_| started.exists()).await;
        call
    }
}

pub(crate) fn release(directory: &Path, mark: &str) {
    std::fs::write(directory.join(format!("{mark}-until")), "").unwrap();
}

pub(crate) fn signal(pid: u32, name: &str) {
    let done = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(done.unwrap().success());
}

#[tokio::test]
async fn a_slow_call_holds_up_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start(vec![serial("s", 1, 3)]).await;
    assert_eq!(rig.states("s"), ["ready"]);
    let slow = rig.hold("s", directory.path(), "a").await;
    let slower = rig.hold("s", directory.path(), "b").await;
    // Both workers are busy, and the third is started for this.
    let third = rig.call("s__pid").await.unwrap();
    assert_eq!(rig.states("s"), ["ready", "ready", "ready"]);
    let loads: Vec<usize> = rig
        .health("s")
        .workers
        .iter()
        .map(|worker| worker.in_flight)
        .collect();
    assert_eq!(loads, [1, 1, 0]);
    release(directory.path(), "a");
    let first = slow.await.unwrap().unwrap();
    assert!(!first.contains(&third), "{first}");
    // The first worker is free again and is preferred.
    assert!(first.contains(&rig.call("s__pid").await.unwrap()));
    release(directory.path(), "b");
    slower.await.unwrap().unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn beyond_the_maximum_calls_share_a_worker() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start(vec![serial("s", 1, 2)]).await;
    let one = rig.hold("s", directory.path(), "a").await;
    let two = rig.hold("s", directory.path(), "b").await;
    let mut shared = Box::pin(rig.call("s__pid"));
    rig.until(|rig| rig.health("s").workers.len() == 2).await;
    assert!(futures_util::poll!(&mut shared).is_pending());
    release(directory.path(), "a");
    release(directory.path(), "b");
    soon(shared).await.unwrap();
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    assert_eq!(rig.pids("s").len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn idle_workers_beyond_the_minimum_are_ended_and_the_one_that_lists_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = serial("s", 1, 3);
    spec.pool.idle = Duration::from_millis(200);
    let rig = Rig::start(vec![spec]).await;
    let first = rig.pids("s");
    let one = rig.hold("s", directory.path(), "a").await;
    let two = rig.hold("s", directory.path(), "b").await;
    assert_eq!(rig.pids("s").len(), 2);
    release(directory.path(), "a");
    release(directory.path(), "b");
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    rig.until_workers("s", 1).await;
    assert_eq!(rig.pids("s"), first);
    rig.assert_ready("s");
    rig.call("s__pid").await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn the_death_of_one_worker_is_no_outage() {
    let rig = Rig::start(vec![serial("s", 2, 2)]).await;
    rig.until_workers("s", 2).await;
    let generation = rig.gateway.snapshot().generation;
    let victim = rig.pids("s")[0];
    signal(victim, "KILL");
    rig.until(|rig| !rig.pids("s").contains(&victim)).await;
    rig.assert_ready("s");
    rig.call("s__pid").await.unwrap();
    rig.until_workers("s", 2).await;
    let restarts: u64 = rig.health("s").workers.iter().map(|worker| worker.restarts).sum();
    assert_eq!(restarts, 1);
    assert_eq!(
        rig.gateway.snapshot().generation,
        generation,
        "nothing changed for clients"
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_may_be_done_twice_is_and_what_may_not_is_not() {
    let directory = tempfile::tempdir().unwrap();
    for (tool, workers, said) in [
        ("read_once", 1, Some("done by the second")),
        ("read_once", 2, Some("done by the second")),
        ("put_once", 1, Some("done by the second")),
        ("send_once", 2, None),
    ] {
        let rig = Rig::start(vec![serial("s", workers, workers)]).await;
        rig.until_workers("s", workers).await;
        let file = directory.path().join(format!("{tool}-{workers}"));
        let answer = soon(rig.tool(&format!("s__{tool}"), &json!({ "file": file }).to_string())).await;
        let written = std::fs::read_to_string(&file).unwrap().lines().count();
        match said {
            Some(said) => assert_eq!((answer.unwrap().as_str(), written), (said, 2), "{tool}"),
            None => {
                let error = answer.unwrap_err();
                assert_eq!(
                    (error.code(), error.rule()),
                    (ErrorCode::Unavailable, Some("upstream.died")),
                    "{error}"
                );
                assert!(
                    error.may_have_run() && error.message().contains("may have run"),
                    "{error}"
                );
                assert_eq!(written, 1);
            }
        }
        rig.stop().await;
    }
}

#[tokio::test]
async fn the_configuration_knows_better_than_the_annotations() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = serial("s", 1, 1);
    spec.effects.insert("read_once".into(), Effect::Effects);
    spec.effects.insert("send_once".into(), Effect::Idempotent);
    let rig = Rig::start(vec![spec]).await;
    let arguments = |tool: &str| json!({ "file": directory.path().join(tool) }).to_string();
    let error = soon(rig.tool("s__read_once", &arguments("read_once")))
        .await
        .unwrap_err();
    assert_eq!(error.rule(), Some("upstream.died"));
    rig.until_called("s__pid").await;
    soon(rig.tool("s__send_once", &arguments("send_once")))
        .await
        .unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn a_frozen_worker_is_found_out_and_replaced() {
    let mut spec = serial("s", 1, 1);
    spec.heartbeat = Some(Duration::from_millis(200));
    let rig = Rig::start(vec![spec]).await;
    let first = rig.pids("s");
    // Idle for several beats, and well.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(rig.pids("s"), first);
    }
    signal(first[0], "STOP");
    rig.until(|rig| !rig.pids("s").is_empty() && rig.pids("s") != first)
        .await;
    soon(rig.call("s__pid")).await.unwrap();
    assert_eq!(rig.health("s").workers[0].restarts, 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_call_on_a_frozen_worker_fails_at_once_when_that_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = serial("s", 1, 1);
    spec.heartbeat = Some(Duration::from_millis(200));
    let rig = Rig::start(vec![spec]).await;
    let call = rig.hold("s", directory.path(), "a").await;
    // It works, and cannot answer meanwhile: that is no reason to end it.
    let pids = rig.pids("s");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(rig.pids("s"), pids);
    signal(pids[0], "STOP");
    let error = soon(call).await.unwrap().unwrap_err();
    assert_eq!(
        (error.code(), error.may_have_run()),
        (ErrorCode::Unavailable, true),
        "{error}"
    );
    assert_eq!(error.rule(), Some("upstream.died"));
    rig.until_called("s__pid").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_worker_that_closed_its_input_fails_its_calls_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::start(vec![serial("s", 1, 1)]).await;
    let arguments = json!({ "started": directory.path().join("deaf") }).to_string();
    let first = rig.tool("s__deafen", &arguments);
    let second = async {
        rig.until(|_| directory.path().join("deaf").exists()).await;
        // Nobody will read this.
        rig.call("s__send_once").await
    };
    // Both long before their deadlines.
    let (first, second) = soon(async { tokio::join!(first, second) }).await;
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(
            (error.code(), error.rule()),
            (ErrorCode::Unavailable, Some("upstream.died")),
            "{error}"
        );
        assert!(error.message().contains("closed its standard input"), "{error}");
    }
    rig.until_called("s__pid").await;
    rig.stop().await;
}

#[tokio::test]
async fn no_more_children_than_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::begin_with(vec![serial("a", 1, 3), serial("b", 1, 1)], 2);
    rig.until_ready("a").await;
    rig.until_ready("b").await;
    // No room for a second one, so it is shared.
    let held = rig.hold("a", directory.path(), "a").await;
    let mut shared = Box::pin(rig.call("a__pid"));
    assert!(futures_util::poll!(&mut shared).is_pending());
    release(directory.path(), "a");
    soon(shared).await.unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(rig.states("a").len(), 1);
    rig.stop().await;
    let rig = Rig::begin_with(vec![serial("a", 1, 1), serial("b", 1, 1)], 1);
    rig.upstreams.settled(crate::SOON).await;
    let down = |name: &&str| matches!(rig.state(name), SourceState::Down { .. });
    let one = *["a", "b"]
        .iter()
        .find(|name| down(name))
        .expect("one has no room");
    assert!(
        rig.down(one).contains("`supervisor.max_workers`"),
        "{}",
        rig.down(one)
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_crash_loop_is_named() {
    let rig = Rig::start(vec![python("s", &["crash"])]).await;
    rig.until(|rig| rig.states("s") == ["crash_loop"]).await;
    let worker = &rig.health("s").workers[0];
    assert!(worker.restarts >= 2, "{worker:?}");
    assert!(worker.reason.is_some());
    rig.stop().await;
}

/// Answers the handshake and lists; calls as `status` says.
async fn moody(mut conn: Conn, failing: Arc<std::sync::atomic::AtomicBool>) {
    while let Some(request) = conn.request().await {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let id = &body["id"];
        let result = match body["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} }, "serverInfo": { "name": "m", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [{ "name": "t", "inputSchema": { "type": "object" } }] }),
            Some("tools/call") if failing.load(std::sync::atomic::Ordering::SeqCst) => {
                conn.answer("500 Internal Server Error", "text/plain", "").await;
                continue;
            }
            Some("tools/call") => json!({ "content": [] }),
            _ if head.starts_with("GET") => {
                conn.answer("405 Method Not Allowed", "text/plain", "").await;
                continue;
            }
            _ => {
                conn.answer("202 Accepted", "text/plain", "").await;
                continue;
            }
        };
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
        conn.answer("200 OK", "application/json", answer).await;
    }
}

#[tokio::test]
async fn a_server_that_fails_call_after_call_gets_a_pause() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let failing = Arc::new(AtomicBool::new(true));
    let theirs = Arc::clone(&failing);
    let server = serve(move |conn| moody(conn, Arc::clone(&theirs))).await;
    let http = ferromcp_upstream::transport::http::HttpSpec::new("h", &server.url);
    let mut spec = spec("h", TransportSpec::Http(http));
    spec.era = EraChoice::Legacy;
    let rig = Rig::start(vec![spec]).await;
    assert_eq!(rig.health("h").breaker, Some("closed"));
    let mut rules = Vec::new();
    for _ in 0..6 {
        rules.push(rig.call("h__t").await.unwrap_err().rule());
    }
    assert_eq!(rules[..5], [Some("upstream.status"); 5]);
    assert_eq!(rules[5], Some("upstream.breaker"));
    let error = rig.call("h__t").await.unwrap_err();
    assert!(!error.may_have_run() && error.retry_after().is_some());
    assert_ne!(rig.health("h").breaker, Some("closed"));
    failing.store(false, Ordering::SeqCst);
    rig.until_called("h__t").await;
    assert_eq!(rig.health("h").breaker, Some("closed"));
    rig.stop().await;
}
