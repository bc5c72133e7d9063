//! `subscriptions/listen`.

use std::sync::Arc;

use ferromcp_core::{Event, Principal};
use ferromcp_endpoint::{Answer, Body, NoOutlet, Subscription};
use serde_json::{Value, json};

use crate::support::{Fixture, body, fixture, local, params};

fn subscription(answer: Answer) -> Box<Subscription> {
    match answer.body {
        Body::Listen(subscription) => subscription,
        other => panic!("expected a subscription, got {other:?}"),
    }
}

async fn listen(fixture: &Fixture, capabilities: Value, notifications: Value) -> Answer {
    let params = params(capabilities, json!({"notifications": notifications}));
    fixture.modern("subscriptions/listen", params, &NoOutlet).await
}

async fn next(subscription: &mut Subscription) -> Value {
    serde_json::from_slice(&subscription.next().await.expect("a message")).unwrap()
}

fn tagged(method: &str, more: Value) -> Value {
    let mut params = more;
    params["_meta"] = json!({"io.modelcontextprotocol/subscriptionId": 1});
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[tokio::test]
async fn acknowledged_first_then_only_what_was_asked_for() {
    let fixture = fixture();
    fixture.second_source();
    let wanted = json!({"toolsListChanged": true, "promptsListChanged": false,
                        "resourceSubscriptions": ["test://a", "test://a", "nowhere://x"]});
    let mut open = subscription(listen(&fixture, json!({}), wanted).await);
    fixture.gateway.emit(Event::ToolsChanged);
    fixture.gateway.emit(Event::PromptsChanged);
    fixture.gateway.emit(Event::ResourcesChanged);
    fixture.gateway.emit(Event::ResourceUpdated {
        uri: "test://b".into(),
    });
    fixture.gateway.emit(Event::ResourceUpdated {
        uri: "test://a".into(),
    });
    let granted = json!({"notifications": {"toolsListChanged": true, "resourceSubscriptions": ["test://a"]}});
    assert_eq!(
        next(&mut open).await,
        tagged("notifications/subscriptions/acknowledged", granted)
    );
    assert_eq!(
        next(&mut open).await,
        tagged("notifications/tools/list_changed", json!({}))
    );
    assert_eq!(
        next(&mut open).await,
        tagged("notifications/resources/updated", json!({"uri": "test://a"}))
    );
    drop(open);
    assert_eq!(
        fixture.source.watched.lock().unwrap()[..],
        [("test://a".to_owned(), true), ("test://a".to_owned(), false)]
    );
}

#[tokio::test]
async fn a_draining_server_ends_it_with_a_result() {
    let fixture = fixture();
    let mut open = subscription(listen(&fixture, json!({}), json!({"toolsListChanged": true})).await);
    assert!(fixture.gateway.drain(std::time::Duration::ZERO).await);
    next(&mut open).await;
    let last = next(&mut open).await;
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!(1), &json!("complete"))
    );
    assert_eq!(
        last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        1
    );
    assert_eq!(open.next().await, None);
    let late = body(listen(&fixture, json!({}), json!({})).await);
    assert_eq!(late["error"]["code"], -32013);
}

#[tokio::test]
async fn a_door_that_stops_can_end_it_with_the_same_result() {
    let fixture = fixture();
    let mut open = subscription(listen(&fixture, json!({}), json!({"toolsListChanged": true})).await);
    next(&mut open).await;
    let last: Value = serde_json::from_slice(&open.finish().unwrap()).unwrap();
    assert_eq!(
        (&last["id"], &last["result"]["resultType"]),
        (&json!(1), &json!("complete"))
    );
    let mut drained = subscription(listen(&fixture, json!({}), json!({})).await);
    assert!(fixture.gateway.drain(std::time::Duration::ZERO).await);
    while drained.next().await.is_some() {}
    assert_eq!(drained.finish(), None);
}

#[tokio::test]
async fn a_slow_listener_is_told_to_look_anew() {
    let fixture = fixture();
    let wanted = json!({"promptsListChanged": true, "resourceSubscriptions": ["test://a"]});
    let mut open = subscription(listen(&fixture, json!({}), wanted).await);
    for _ in 0..5000 {
        fixture.gateway.emit(Event::ToolsChanged);
    }
    next(&mut open).await;
    assert_eq!(next(&mut open).await["method"], "notifications/resources/updated");
    assert_eq!(
        next(&mut open).await["method"],
        "notifications/prompts/list_changed"
    );
}

#[tokio::test]
async fn tasks_are_heard_by_their_owner_only() {
    let fixture = fixture();
    let able = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let wanted = json!({"taskIds": ["test.one", "nobody.x"]});
    let refused = listen(&fixture, json!({}), wanted.clone()).await;
    assert_eq!(refused.status, 400);
    assert_eq!(body(refused)["error"]["code"], -32021);
    let mut open = subscription(listen(&fixture, able, wanted).await);
    assert_eq!(
        next(&mut open).await["params"]["notifications"],
        json!({"taskIds": ["test.one"]})
    );
    let other = Principal::unrestricted("other", "other");
    for (owner, id, status) in [
        (other, "test.one", "a"),
        (local(), "test.two", "b"),
        (local(), "test.one", "c"),
    ] {
        let task: Arc<str> = json!({"taskId": id, "status": status}).to_string().into();
        fixture.gateway.emit(Event::TaskChanged {
            owner,
            id: id.into(),
            task,
        });
    }
    assert_eq!(
        next(&mut open).await,
        tagged(
            "notifications/tasks",
            json!({"taskId": "test.one", "status": "c"})
        )
    );
}

#[tokio::test]
async fn bad_filters() {
    let fixture = fixture();
    for wanted in [
        json!(null),
        json!([]),
        json!({"toolsListChanged": 1}),
        json!({"resourceSubscriptions": "x"}),
        json!({"resourceSubscriptions": [1]}),
    ] {
        let answer = body(listen(&fixture, json!({}), wanted.clone()).await);
        assert_eq!(answer["error"]["code"], -32602, "{wanted}");
    }
    let none = fixture
        .modern("subscriptions/listen", params(json!({}), json!({})), &NoOutlet)
        .await;
    assert_eq!(body(none)["error"]["code"], -32602);
}

#[tokio::test]
async fn a_suspended_tenant_loses_its_streams_and_only_changed_views_are_told() {
    use ferromcp_core::tenancy::{AclSettings, Directory, List, TenantSettings};
    use ferromcp_core::{AccessSettings, Credential};

    let fixture = fixture();
    let set = |deny: &[&str], suspended: bool| {
        let tenant = TenantSettings {
            id: "local".into(),
            suspended,
            acl: AclSettings {
                tools: List {
                    deny: deny.iter().map(|&tool| tool.into()).collect(),
                    ..List::default()
                },
                ..AclSettings::default()
            },
            ..TenantSettings::default()
        };
        fixture.gateway.set_access(AccessSettings {
            directory: Directory::new(&[tenant]).unwrap(),
            ..AccessSettings::default()
        });
    };
    set(&[], false);
    assert!(fixture.gateway.authenticate(Credential::Local).is_ok());
    let client = fixture.session("2025-11-25", json!({})).await;
    let mut feed = fixture.endpoint.feed(&client.session);
    let answer = fixture
        .modern(
            "subscriptions/listen",
            params(
                json!({}),
                json!({"notifications": {"toolsListChanged": true, "promptsListChanged": true}}),
            ),
            &NoOutlet,
        )
        .await;
    let Body::Listen(mut subscription) = answer.body else {
        panic!("no subscription")
    };
    let acknowledged = subscription.next().await.unwrap();
    assert!(String::from_utf8_lossy(&acknowledged).contains("acknowledged"));
    set(&["*"], false);
    let method = |message: Option<Vec<u8>>| {
        let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
        message["method"].as_str().map(str::to_owned)
    };
    let changed = Some("notifications/tools/list_changed".to_owned());
    assert_eq!(method(subscription.next().await), changed);
    assert_eq!(method(feed.next().await), changed);
    set(&["*"], true);
    // The result of the request, and the end; nothing of the lists.
    assert_eq!(method(subscription.next().await), None);
    assert_eq!(subscription.next().await, None);
    assert_eq!(feed.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_what_it_opened_at_once_and_nothing_else() {
    use ferromcp_core::tenancy::{Directory, KeySettings, NewKey, TenantId, TenantSettings, new_key};
    use ferromcp_core::{AccessSettings, Credential};

    let fixture = fixture();
    let client = fixture.session("2025-11-25", json!({})).await;
    let keys = [1, 2].map(|seed| new_key(&TenantId::new("a").unwrap(), &[seed; 32]));
    let set = |keys: &[&NewKey]| {
        let tenant = TenantSettings {
            id: "a".into(),
            keys: keys
                .iter()
                .map(|key| KeySettings {
                    hash: key.hash.to_string(),
                    ..KeySettings::default()
                })
                .collect(),
            ..TenantSettings::default()
        };
        fixture.gateway.set_access(AccessSettings {
            directory: Directory::new(&[tenant]).unwrap(),
            ..AccessSettings::default()
        });
    };
    set(&[&keys[0], &keys[1]]);
    let feed = |key: &NewKey| {
        fixture
            .endpoint
            .feed_with(&client.session, Credential::Token(&key.key))
    };
    let (mut old, mut new) = (feed(&keys[0]).unwrap(), feed(&keys[1]).unwrap());
    let begin = tokio::time::Instant::now();
    set(&[&keys[1]]);
    assert_eq!(old.next().await, None);
    assert_eq!(
        begin.elapsed().as_nanos(),
        0,
        "it is an event that ends it, not a look now and then"
    );
    assert!(feed(&keys[0]).is_err(), "nor is there another one");
    let quiet = tokio::time::timeout(std::time::Duration::from_secs(3_600), new.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
