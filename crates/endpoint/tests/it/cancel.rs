//! Cancelling running requests, and ids that are in use.

use ferromcp_endpoint::{Body, EndpointSettings, NoOutlet};
use serde_json::json;

use crate::support::{META, Sent, body, fixture, fixture_with};

#[tokio::test]
async fn a_cancelled_call_stops_and_gets_no_answer() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let call = client.request(7, "tools/call", json!({"name": "wait"}), &NoOutlet);
    let cancel = async {
        fixture.source.entered.acquire().await.unwrap().forget();
        assert_eq!(client.session.in_flight(), 1);
        let unknown = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}"#;
        assert_eq!(client.post(unknown, &NoOutlet).await.status, 202);
        assert_eq!(client.session.in_flight(), 1, "another id");
        let cancel =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"x"}}"#;
        assert_eq!(client.post(cancel, &NoOutlet).await.status, 202);
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert!(matches!(answer.body, Body::Cancelled), "{answer:?}");
    assert_eq!(client.session.in_flight(), 0);
    assert_eq!(fixture.gateway.in_flight(), 0);
}

#[tokio::test]
async fn ending_a_session_cancels_its_calls_and_questions() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({"elicitation": {}})).await;
    let sent = Sent::default();
    let call = client.request(1, "tools/call", json!({"name": "name"}), &sent);
    let end = async {
        sent.nth(0).await;
        fixture.endpoint.end(&client.session);
    };
    let (answer, ()) = tokio::join!(call, end);
    assert!(!matches!(answer.body, Body::None), "{answer:?}");
    assert_eq!(fixture.gateway.in_flight(), 0);
}

#[tokio::test]
async fn a_question_nobody_waits_for_is_withdrawn() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({"elicitation": {}})).await;
    let sent = Sent::default();
    let call = client.request(1, "tools/call", json!({"name": "name"}), &sent);
    let cancel = async {
        sent.nth(0).await;
        let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        client.post(cancel, &NoOutlet).await
    };
    let (answer, _) = tokio::join!(call, cancel);
    assert!(matches!(answer.body, Body::Cancelled));
    let sent = sent.all();
    assert_eq!(sent[1]["method"], "notifications/cancelled");
    assert_eq!(sent[1]["params"]["requestId"], sent[0]["id"]);
}

#[tokio::test]
async fn dropping_the_exchange_cancels_the_call() {
    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    {
        let call = client.request(1, "tools/call", json!({"name": "wait"}), &NoOutlet);
        tokio::pin!(call);
        tokio::select! { _ = &mut call => panic!("the gate is closed"), p = fixture.source.entered.acquire() => p.unwrap().forget() }
    }
    assert_eq!((client.session.in_flight(), fixture.gateway.in_flight()), (0, 0));
}

#[tokio::test]
async fn modern_requests_on_a_connection_are_cancelled_by_notification() {
    let fixture = fixture();
    let session = fixture.connect();
    let call =
        format!(r#"{{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{{"name":"wait",{META}}}}}"#);
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":"l","method":"subscriptions/listen","params":{{"notifications":{{}},{META}}}}}"#
    );
    let Body::Listen(mut open) = fixture.line(&session, &listen, &NoOutlet).await.body else {
        panic!("no stream")
    };
    assert!(open.next().await.is_some());
    let cancel = |id: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":"{id}"}}}}"#)
    };
    let (call, stop) = (cancel("c"), call);
    let (answer, ()) = tokio::join!(fixture.line(&session, &stop, &NoOutlet), async {
        fixture.source.entered.acquire().await.unwrap().forget();
        fixture.line(&session, &call, &NoOutlet).await;
    });
    assert!(matches!(answer.body, Body::Cancelled));
    let (ended, ()) = tokio::join!(open.next(), async {
        fixture.line(&session, &cancel("l"), &NoOutlet).await;
    });
    assert_eq!(ended, None);
    drop(open);
    assert_eq!(session.in_flight(), 0);
}

#[tokio::test]
async fn an_id_in_use_is_refused_and_running_requests_are_bounded() {
    let fixture = fixture_with(EndpointSettings {
        max_in_flight: 2,
        ..Default::default()
    });
    let client = fixture.session("2025-11-25", json!({})).await;
    let wait = json!({"name": "wait"});
    let calls = async {
        tokio::join!(
            client.request(1, "tools/call", wait.clone(), &NoOutlet),
            client.request(2, "tools/call", wait.clone(), &NoOutlet),
        )
    };
    let more = async {
        fixture.source.entered.acquire_many(2).await.unwrap().forget();
        let twice = body(client.request(1, "tools/call", wait.clone(), &NoOutlet).await);
        assert_eq!(twice["error"]["code"], -32600);
        let third = body(client.request(3, "tools/call", wait.clone(), &NoOutlet).await);
        assert_eq!(third["error"]["code"], -32013);
        assert_eq!(third["error"]["data"]["rule"], "session.max_in_flight");
        body(client.request(1, "ping", json!({}), &NoOutlet).await);
        fixture.source.gate.add_permits(2);
    };
    let ((one, two), ()) = tokio::join!(calls, more);
    assert_eq!(body(one)["result"]["content"][0]["text"], "went on");
    body(two);
    fixture.source.gate.add_permits(1);
    body(client.request(1, "tools/call", wait, &NoOutlet).await);
}
