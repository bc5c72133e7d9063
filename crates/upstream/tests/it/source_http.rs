//! Upstream servers behind HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferromcp_core::{CallError, ErrorCode, Event, Input, Interaction, Reply, SourceState};
use ferromcp_protocol::ProtocolVersion;
use ferromcp_upstream::TransportSpec;
use ferromcp_upstream::UpstreamSpec;
use ferromcp_upstream::transport::http::HttpSpec;

use crate::peer::Peer;
use crate::relay::Asked;
use crate::rig::{Ask, Listener, Rig, python, reply, spec};
use crate::server::always;
use crate::soon;

pub(crate) fn at(url: &str) -> UpstreamSpec {
    spec(
        "s",
        TransportSpec::Http(HttpSpec::new("s", url).header("Authorization", "Bearer hush")),
    )
}

async fn start(peer: &Arc<Peer>) -> Rig {
    let rig = Rig::start(vec![at(&peer.serve("127.0.0.1:0").await)]).await;
    rig.assert_ready("s");
    rig
}

fn peer(modern: bool) -> Arc<Peer> {
    Peer::new(modern, None)
}

#[tokio::test]
async fn modern_requests_carry_their_headers() {
    let peer = peer(true);
    let rig = start(&peer).await;
    let seen = rig.tool("s__echo", r#"{"place":"Zürich","n":7}"#).await.unwrap();
    for header in [
        "mcp-protocol-version: 2026-07-28",
        "mcp-method: tools/call",
        "mcp-name: echo",
        "mcp-param-place: =?base64?WsO8cmljaA==?=",
        "mcp-param-n: 7",
        "authorization: Bearer hush",
    ] {
        assert!(seen.contains(header), "{header} is not in {seen}");
    }
    assert!(!seen.contains("mcp-session-id"));
    assert!(seen.contains(r#""arguments":{"place":"Zürich","n":7}"#), "{seen}");
    rig.stop().await;
    assert!(peer.seen("DELETE").is_empty());
}

#[tokio::test]
async fn legacy_sessions_are_opened_used_and_given_back() {
    let peer = peer(false);
    let rig = start(&peer).await;
    let seen = rig.call("s__echo").await.unwrap();
    assert!(
        seen.contains("mcp-session-id: s1") && seen.contains("mcp-protocol-version: 2025-11-25"),
        "{seen}"
    );
    assert!(!seen.contains("mcp-method"));
    rig.stop().await;
    assert_eq!(peer.seen("DELETE").len(), 1);
    assert!(peer.seen("DELETE")[0].contains("mcp-session-id: s1"));
}

#[tokio::test]
async fn a_lost_session_is_replaced_and_the_calls_made_again() {
    for unknown_session in [None, Some("400 Bad Request")] {
        let peer = Peer::new(false, unknown_session);
        let rig = start(&peer).await;
        peer.more_tools.store(1, Ordering::SeqCst);
        peer.forget();
        let (a, b, c) = tokio::join!(rig.call("s__echo"), rig.call("s__echo"), rig.call("s__stream"));
        for seen in [a.unwrap(), b.unwrap()] {
            assert!(seen.contains("mcp-session-id: s2"), "{seen}");
        }
        assert_eq!(c.unwrap(), "streamed");
        assert_eq!(peer.sessions(), 2);
        // Its lists are read again: a restart may have changed them.
        rig.until(|rig| rig.tools().contains(&"s__extra0".to_owned()))
            .await;
        rig.stop().await;
        assert_eq!(peer.sessions(), 2);
    }
}

#[tokio::test]
async fn event_streams_bring_progress_logs_and_the_answer() {
    for modern in [false, true] {
        let peer = peer(modern);
        let rig = start(&peer).await;
        let client = Listener::default();
        rig.ask(&Ask {
            name: "s__stream",
            client: &client,
            ..Ask::default()
        })
        .await
        .unwrap();
        assert_eq!(client.heard(), ["1/Some(2.0) None", r#"error None "d""#]);
        rig.until(|_| peer.seen(r#""id":"p","result":{}"#).len() == 1)
            .await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_legacy_stream_that_is_closed_early_is_resumed() {
    let peer = peer(false);
    let rig = start(&peer).await;
    let client = Listener::default();
    let answer = rig
        .ask(&Ask {
            name: "s__resume",
            client: &client,
            ..Ask::default()
        })
        .await
        .unwrap();
    assert!(answer.contains("resumed"), "{answer}");
    assert_eq!(client.heard().len(), 1);
    rig.stop().await;
}

fn fault(error: &CallError) -> (ErrorCode, bool) {
    (error.code(), error.may_have_run())
}

#[tokio::test]
async fn every_bad_answer_is_an_error_of_its_call() {
    for modern in [false, true] {
        let peer = peer(modern);
        let rig = start(&peer).await;
        for (tool, code, ran, words) in [
            ("s__cut", ErrorCode::Unavailable, true, "event stream"),
            (
                "s__fail",
                ErrorCode::UpstreamError,
                true,
                "HTTP 500 (Internal Server Error): <h1> oops</h1>",
            ),
            ("s__busy", ErrorCode::Unavailable, false, "HTTP 503"),
            ("s__empty", ErrorCode::UpstreamError, true, "no content"),
            (
                "s__html",
                ErrorCode::UpstreamError,
                true,
                "neither JSON nor an event stream",
            ),
            ("s__other", ErrorCode::UpstreamError, true, "another request"),
        ] {
            let error = soon(rig.call(tool)).await.unwrap_err();
            assert_eq!(fault(&error), (code, ran), "{tool}: {error}");
            assert!(error.message().contains(words), "{tool}: {error}");
            assert!(!error.message().contains("hush"));
        }
        rig.call("s__echo").await.unwrap();
        rig.assert_ready("s");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_closes_the_stream_or_sends_word() {
    for modern in [false, true] {
        let peer = peer(modern);
        let rig = start(&peer).await;
        let error = rig
            .ask(&Ask {
                name: "s__hang",
                timeout: Duration::from_millis(200),
                ..Ask::default()
            })
            .await
            .unwrap_err();
        assert_eq!(fault(&error), (ErrorCode::Timeout, true));
        soon(peer.closed.notified()).await;
        if !modern {
            rig.until(|_| peer.seen("notifications/cancelled").len() == 1)
                .await;
        }
        rig.stop().await;
        assert_eq!(peer.seen("notifications/cancelled").len(), usize::from(!modern));
    }
}

#[tokio::test]
async fn changes_are_heard_on_the_servers_stream() {
    for modern in [false, true] {
        let peer = peer(modern);
        let rig = start(&peer).await;
        let mut events = rig.gateway.events();
        peer.more_tools.store(2, Ordering::SeqCst);
        peer.change.notify_one();
        assert!(matches!(soon(events.recv()).await.unwrap(), Event::ToolsChanged));
        assert_eq!(rig.call("s__extra1").await.unwrap(), "extra1");
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_down_until_it_comes() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let rig = Rig::start(vec![at(&format!("http://{address}/mcp")), python("beside", &[])]).await;
    assert!(
        rig.down("s").contains("nothing listens there"),
        "{}",
        rig.down("s")
    );
    rig.call("beside__echo").await.unwrap();
    let peer = peer(true);
    peer.serve(&address).await;
    rig.until_ready("s").await;
    rig.call("s__echo").await.unwrap();
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_mcp_server_is_down_with_advice() {
    for (status, words) in [
        ("401 Unauthorized", "check `headers`"),
        ("404 Not Found", "no MCP endpoint is at this `url`"),
        ("502 Bad Gateway", "HTTP 502"),
        ("200 OK", "neither JSON nor an event stream"),
    ] {
        let server = always(status, "text/html", "<p>").await;
        let rig = Rig::start(vec![at(&server.url)]).await;
        assert!(rig.down("s").contains(words), "{status}: {}", rig.down("s"));
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_legacy_server_is_ready_when_its_own_stream_is_open() {
    let peer = Peer::gated();
    let rig = Rig::begin(vec![at(&peer.serve("127.0.0.1:0").await)]);
    soon(peer.own_asked.notified()).await;
    // Whether it would get ready without the stream cannot be waited for; that it is not yet must hold at any time.
    assert_eq!(rig.state("s"), SourceState::Starting);
    peer.own_gate.as_ref().unwrap().notify_one();
    rig.until_ready("s").await;
    let asker = Asked::new(Interaction::Direct);
    let answer = soon(rig.ask(&aside("q1", &asker))).await.unwrap();
    assert!(answer.contains("q1"), "{answer}");
    // One stream for the whole time.
    assert_eq!(peer.seen("GET").len(), 1);
    rig.stop().await;
}

fn aside<'a>(id: &'static str, client: &'a Asked) -> Ask<'a> {
    let arguments = match id {
        "q1" => r#"{"id":"q1"}"#,
        "q2" => r#"{"id":"q2"}"#,
        _ => r#"{"id":"q3"}"#,
    };
    Ask {
        name: "s__aside",
        arguments: Some(arguments),
        version: ProtocolVersion::V2025_11_25,
        client,
        ..Ask::default()
    }
}

#[tokio::test]
async fn a_question_on_the_own_stream_belongs_to_the_only_call() {
    let peer = peer(false);
    let rig = start(&peer).await;
    let asker = Asked::new(Interaction::Direct);
    let answer = soon(rig.ask(&aside("q1", &asker))).await.unwrap();
    assert_eq!(asker.seen().len(), 1);
    assert!(answer.contains("accept"), "{answer}");

    // With two calls in flight nobody knows whose it is.
    let (a, b) = (Asked::new(Interaction::Direct), Asked::new(Interaction::Direct));
    let wait = Ask {
        name: "s__hang",
        ..aside("q2", &a)
    };
    let ask = aside("q2", &b);
    let both = async {
        let mut hanging = std::pin::pin!(rig.ask(&wait));
        let sent = async {
            while peer.seen("\"hang\"").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = &mut hanging => panic!("it hangs"),
            () = sent => {}
        }
        tokio::select! {
            _ = &mut hanging => panic!("it hangs"),
            answer = rig.ask(&ask) => answer,
        }
    };
    let answer = soon(both).await.unwrap();
    assert!(
        answer.contains("-32013") && answer.contains("cannot tell which call"),
        "{answer}"
    );
    assert!(a.seen().is_empty() && b.seen().is_empty());
    soon(peer.closed.notified()).await;

    // And with none.
    peer.say(serde_json::json!({"jsonrpc": "2.0", "id": "q0", "method": "roots/list"}));
    let refused = soon(peer.answer_to("q0")).await;
    assert_eq!(refused["error"]["code"], -32013, "{refused}");
    rig.stop().await;
}

#[tokio::test]
async fn progress_and_logs_on_the_own_stream_reach_the_call() {
    let peer = peer(false);
    let rig = start(&peer).await;
    let listener = Listener::default();
    let wanted = Ask {
        name: "s__aside",
        arguments: Some(r#"{"id":"q3"}"#),
        client: &listener,
        ..Ask::default()
    };
    // Nobody can be asked, so the server gets an error and says so.
    let answer = soon(rig.ask(&wanted)).await.unwrap();
    assert!(answer.contains("-32601"), "{answer}");
    let heard = listener.heard();
    assert_eq!(heard, ["error None \"aside\"", "1/Some(2.0) Some(\"aside\")"]);
    rig.stop().await;
}

#[tokio::test]
async fn a_question_on_the_own_stream_parks_a_modern_call() {
    let peer = peer(false);
    let rig = start(&peer).await;
    let asker = Asked::new(Interaction::RoundTrip);
    let first = Ask {
        version: ProtocolVersion::LATEST,
        ..aside("q1", &asker)
    };
    let Reply::InputRequired(needed) = soon(reply(&rig.gateway, &first)).await.unwrap() else {
        panic!("it did not ask");
    };
    assert_eq!(needed.requests.len(), 1);
    let input = Input {
        answers: vec![(needed.requests[0].key.clone(), r#"{"action":"decline"}"#.into())],
        state: needed.state,
    };
    let again = Ask {
        input: Some(&input),
        ..first
    };
    let answer = soon(rig.ask(&again)).await.unwrap();
    assert!(answer.contains("decline"), "{answer}");
    rig.stop().await;
}
