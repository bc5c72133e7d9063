//! How legacy HTTP sessions begin, live and end.

use std::time::Duration;

use ferromcp_core::Credential;
use ferromcp_endpoint::{EndpointSettings, NoOutlet};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{TestHeaders, body, fixture, fixture_with, headers, local};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}"#;

#[tokio::test]
async fn ids_are_long_random_and_visible_ascii() {
    let fixture = fixture();
    let (one, two) = (
        fixture.session("2025-11-25", json!({})).await,
        fixture.session("2025-11-25", json!({})).await,
    );
    assert_ne!(one.session.id(), two.session.id());
    assert_eq!(one.session.id().len(), 32);
    assert!(one.session.id().bytes().all(|b| (0x21..=0x7e).contains(&b)));
    assert_eq!(one.session.principal(), &local());
}

#[tokio::test]
async fn delete_ends_a_session() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let found = fixture
        .endpoint
        .session(&client.headers(), Credential::Local)
        .unwrap();
    fixture.endpoint.end(&found);
    assert!(found.is_ended());
    assert_eq!(client.request(1, "ping", json!({}), &NoOutlet).await.status, 404);
    assert_eq!(
        fixture
            .endpoint
            .session(&client.headers(), Credential::Local)
            .unwrap_err()
            .status,
        404
    );
    assert_eq!(
        fixture
            .endpoint
            .session(&TestHeaders::default(), Credential::Local)
            .unwrap_err()
            .status,
        400
    );
    let twice = headers(&[("mcp-session-id", found.id()), ("mcp-session-id", found.id())]);
    assert_eq!(
        fixture
            .endpoint
            .session(&twice, Credential::Local)
            .unwrap_err()
            .status,
        400
    );
    assert_eq!(fixture.endpoint.sessions(), 0);
}

#[tokio::test]
async fn there_is_a_cap() {
    let fixture = fixture_with(EndpointSettings {
        max_sessions: 2,
        ..Default::default()
    });
    for _ in 0..2 {
        assert_eq!(
            fixture
                .http(&TestHeaders::default(), INITIALIZE, &NoOutlet)
                .await
                .status,
            200
        );
    }
    let refused = fixture.http(&TestHeaders::default(), INITIALIZE, &NoOutlet).await;
    assert_eq!(refused.status, 503);
    let refused = body(refused);
    assert_eq!(refused["error"]["code"], -32013);
    assert_eq!(refused["error"]["data"]["rule"], "session.max_sessions");
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_end_and_busy_ones_stay() {
    let settings = EndpointSettings {
        session_idle: Duration::from_secs(100),
        init_timeout: Duration::from_secs(10),
        ..Default::default()
    };
    let fixture = fixture_with(settings);
    let silent = fixture
        .http(&TestHeaders::default(), INITIALIZE, &NoOutlet)
        .await
        .opened
        .unwrap();
    let client = fixture.session("2025-11-25", json!({})).await;
    let listener = fixture.session("2025-11-25", json!({})).await;
    let feed = fixture.endpoint.feed(&listener.session);
    let busy = fixture.session("2025-11-25", json!({})).await;
    let call = busy.request(1, "tools/call", json!({"name": "wait"}), &NoOutlet);
    tokio::pin!(call);
    tokio::select! { _ = &mut call => panic!("the gate is closed"), p = fixture.source.entered.acquire() => p.unwrap().forget() }

    assert_eq!(fixture.endpoint.sweep(Instant::now() + Duration::from_secs(9)), 0);
    assert_eq!(
        fixture.endpoint.sweep(Instant::now() + Duration::from_secs(11)),
        1
    );
    assert!(silent.is_ended(), "it never said anything after initialize");
    tokio::time::advance(Duration::from_secs(60)).await;
    body(client.request(1, "ping", json!({}), &NoOutlet).await);
    assert_eq!(
        fixture.endpoint.sweep(Instant::now() + Duration::from_secs(60)),
        0,
        "the ping counts"
    );
    assert_eq!(
        fixture.endpoint.sweep(Instant::now() + Duration::from_secs(101)),
        1
    );
    assert!(client.session.is_ended());
    assert!(!listener.session.is_ended() && !busy.session.is_ended());

    fixture.source.gate.add_permits(1);
    body(call.await);
    drop(feed);
    assert_eq!(
        fixture.endpoint.sweep(Instant::now() + Duration::from_secs(101)),
        2
    );
    assert_eq!(fixture.endpoint.sessions(), 0);
}

#[tokio::test]
async fn a_door_keeps_its_own_state_in_a_session() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    assert_eq!(client.session.slot(|| 5_u32), Some(&5));
    assert_eq!(client.session.slot(|| 6_u32), Some(&5));
    assert_eq!(client.session.slot(|| "other"), None);
}

#[tokio::test]
async fn bad_initialize_opens_nothing() {
    let fixture = fixture();
    for params in [
        "{}",
        r#"{"protocolVersion":5}"#,
        r#"{"protocolVersion":"2025-11-25","capabilities":5}"#,
        r#"{"protocolVersion":"2025-11-25","clientInfo":5}"#,
    ] {
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
        let answer = fixture.http(&TestHeaders::default(), &message, &NoOutlet).await;
        assert!(answer.opened.is_none());
        assert_eq!(body(answer)["error"]["code"], -32602, "{params}");
    }
    assert_eq!(fixture.endpoint.sessions(), 0);
}
