//! Tokens for upstream servers, from an authorization server that can misbehave.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferromcp_core::SourceState;
use ferromcp_upstream::auth::{Grant, OAuthSpec, Secret};
use ferromcp_upstream::transport::http::HttpSpec;
use ferromcp_upstream::{TransportSpec, UpstreamSpec};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::rig::{Rig, python, spec};
use crate::server::{Conn, serve};
use crate::soon;

/// A protected server and its authorization server, on one address.
#[derive(Default)]
struct World {
    /// Answers of the token endpoint in place of a token: status and body.
    refuses: Mutex<Option<(&'static str, String)>>,
    /// Members of a token answer beside the token itself.
    extra: Mutex<Value>,
    /// Overrides members of the two documents.
    resource: Mutex<Value>,
    server: Mutex<Value>,
    /// What calls need beyond the first scope.
    scope: Mutex<Option<&'static str>>,
    valid: Mutex<HashSet<String>>,
    /// Bodies and heads of token requests.
    asked: Mutex<Vec<String>>,
    calls: AtomicUsize,
    /// The token endpoint takes requests and does not answer.
    hangs: AtomicBool,
    token_asked: Notify,
}

fn merged(mut base: Value, over: &Value) -> Value {
    for (key, value) in over.as_object().into_iter().flatten() {
        base[key] = value.clone();
    }
    base
}

impl World {
    async fn serve(self: &Arc<Self>) -> String {
        let world = Arc::clone(self);
        let server = serve(move |mut conn| {
            let world = Arc::clone(&world);
            async move {
                while let Some(request) = conn.request().await {
                    world.answer(&mut conn, &request).await;
                }
            }
        })
        .await;
        server.url
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn answer(&self, conn: &mut Conn, request: &str) {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let origin = format!("http://{host}");
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/.well-known/oauth-protected-resource/mcp" => {
                let document = json!({
                    "resource": format!("{origin}/mcp"), "authorization_servers": [format!("{origin}/as")],
                });
                let document = merged(document, &self.resource.lock().unwrap()).to_string();
                conn.answer("200 OK", "application/json", document).await;
            }
            "/.well-known/oauth-authorization-server/as" => {
                let document = json!({
                    "issuer": format!("{origin}/as"), "token_endpoint": format!("{origin}/token"),
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                });
                let document = merged(document, &self.server.lock().unwrap()).to_string();
                conn.answer("200 OK", "application/json", document).await;
            }
            "/token" => self.token(conn, head, body).await,
            "/mcp" => self.mcp(conn, head, body).await,
            _ => conn.answer("404 Not Found", "text/plain", "").await,
        }
    }

    async fn token(&self, conn: &mut Conn, head: &str, body: &str) {
        self.asked.lock().unwrap().push(format!("{head}\n{body}"));
        self.token_asked.notify_one();
        if self.hangs.load(Ordering::SeqCst) {
            return conn.closed().await;
        }
        let refuses = self.refuses.lock().unwrap().clone();
        if let Some((status, text)) = refuses {
            return conn.answer(status, "application/json", text).await;
        }
        let token = format!("hush-{}", self.asked().len());
        let scoped = match *self.scope.lock().unwrap() {
            Some(scope) if body.contains(scope) => "+",
            _ => "",
        };
        self.valid.lock().unwrap().insert(format!("{token}{scoped}"));
        let answer = json!({"access_token": format!("{token}{scoped}"), "token_type": "Bearer"});
        let answer = merged(answer, &self.extra.lock().unwrap()).to_string();
        conn.answer("200 OK", "application/json", answer).await;
    }

    async fn mcp(&self, conn: &mut Conn, head: &str, body: &str) {
        let token = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: Bearer "));
        let valid = token.is_some_and(|token| self.valid.lock().unwrap().contains(token));
        if !valid {
            return conn
                .send("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer scope=\"first\"\r\ncontent-length: 0\r\n\r\n")
                .await;
        }
        let message: Value = serde_json::from_str(body).unwrap();
        let more = *self.scope.lock().unwrap();
        if message["method"] == "tools/call"
            && let Some(scope) = more
            && !token.unwrap().ends_with('+')
        {
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\nwww-authenticate: Bearer error=\"insufficient_scope\", scope=\"{scope}\"\r\n\
                 content-length: 0\r\n\r\n"
            );
            return conn.send(head).await;
        }
        let mut result = match message["method"].as_str().unwrap() {
            "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
            "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
            _ => {
                self.calls.fetch_add(1, Ordering::SeqCst);
                json!({"content": [{"type": "text", "text": "called"}]})
            }
        };
        result["resultType"] = "complete".into();
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        conn.answer("200 OK", "application/json", answer.to_string())
            .await;
    }
}

fn oauth() -> OAuthSpec {
    OAuthSpec {
        client_id: Some("me:too".to_owned()),
        client_secret: Some(Secret::new("hush!")),
        ..OAuthSpec::new(Grant::ClientCredentials)
    }
}

fn at(url: &str, oauth: OAuthSpec) -> UpstreamSpec {
    spec("s", TransportSpec::Http(HttpSpec::new("s", url).oauth(oauth)))
}

/// Why the server is down. No secret is in it.
async fn down(world: &Arc<World>) -> String {
    let url = world.serve().await;
    let rig = Rig::start(vec![at(&url, oauth())]).await;
    let why = rig.down("s");
    assert!(!why.contains("hush"), "{why}");
    rig.stop().await;
    why
}

#[tokio::test]
async fn a_token_is_found_fetched_once_and_used() {
    let world = Arc::new(World::default());
    let url = world.serve().await;
    let rig = Rig::start(vec![at(&url, oauth())]).await;
    rig.assert_ready("s");
    let (a, b, c) = tokio::join!(rig.call("s__echo"), rig.call("s__echo"), rig.call("s__echo"));
    assert_eq!(
        (a.unwrap(), b.unwrap(), c.unwrap()),
        ("called".into(), "called".into(), "called".into())
    );
    let asked = world.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let resource = format!("resource={}", url.replace(':', "%3A").replace('/', "%2F"));
    for part in ["grant_type=client_credentials", "scope=first", &resource] {
        assert!(asked[0].contains(part), "{part} is not in {}", asked[0]);
    }
    // `me%3Atoo:hush%21`: both halves are encoded before they are joined (RFC 6749, section 2.3.1).
    assert!(
        asked[0].contains("authorization: Basic bWUlM0F0b286aHVzaCUyMQ=="),
        "{}",
        asked[0]
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_token_that_is_no_longer_accepted_is_replaced_and_the_calls_are_made() {
    let world = Arc::new(World::default());
    let url = world.serve().await;
    let rig = Rig::start(vec![at(&url, oauth())]).await;
    rig.assert_ready("s");
    world.valid.lock().unwrap().clear();
    let calls = (0..8).map(|_| rig.call("s__echo"));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.unwrap(), "called");
    }
    assert_eq!(world.calls.load(Ordering::SeqCst), 8);
    assert_eq!(world.asked().len(), 2, "{:?}", world.asked());
    rig.stop().await;
}

#[tokio::test]
async fn refresh_tokens_are_used_and_a_refused_one_is_given_up() {
    let world = Arc::new(World::default());
    *world.extra.lock().unwrap() = json!({"refresh_token": "again"});
    let url = world.serve().await;
    let rig = Rig::start(vec![at(&url, oauth())]).await;
    rig.assert_ready("s");
    world.valid.lock().unwrap().clear();
    assert_eq!(rig.call("s__echo").await.unwrap(), "called");
    let asked = world.asked();
    assert!(
        asked[1].contains("grant_type=refresh_token&refresh_token=again"),
        "{}",
        asked[1]
    );
    rig.stop().await;
}

#[tokio::test]
async fn tokens_that_end_are_renewed_before_they_are_used() {
    for life in [json!(0), json!("0")] {
        let world = Arc::new(World::default());
        *world.extra.lock().unwrap() = json!({"expires_in": life});
        let url = world.serve().await;
        let rig = Rig::start(vec![at(&url, oauth())]).await;
        rig.assert_ready("s");
        let before = world.asked().len();
        assert_eq!(rig.call("s__echo").await.unwrap(), "called");
        assert!(world.asked().len() > before);
        rig.stop().await;
    }
}

#[tokio::test]
async fn more_scopes_are_asked_for_once_and_not_in_vain() {
    let world = Arc::new(World::default());
    let url = world.serve().await;
    let rig = Rig::start(vec![at(&url, oauth())]).await;
    rig.assert_ready("s");
    *world.scope.lock().unwrap() = Some("second");
    assert_eq!(rig.call("s__echo").await.unwrap(), "called");
    let asked = world.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].contains("scope=first+second"), "{}", asked[1]);
    // A server that wants what it has given already is not believed.
    world.valid.lock().unwrap().clear();
    world.valid.lock().unwrap().insert("hush-2".to_owned());
    *world.scope.lock().unwrap() = Some("first");
    *world.extra.lock().unwrap() = json!({"access_token": "hush-2"});
    let error = rig.call("s__echo").await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    assert!(world.asked().len() <= 4, "{:?}", world.asked());
    rig.stop().await;
}

#[tokio::test]
async fn a_failing_token_endpoint_is_named_and_asked_no_more_than_needed() {
    for (status, body, wanted) in [
        ("500 Internal Server Error", "<h1>".to_owned(), "HTTP 500"),
        ("200 OK", "hush".to_owned(), "no JSON"),
        (
            "200 OK",
            "{\"access_token\":\"hush".to_owned(),
            "the end is missing",
        ),
        (
            "200 OK",
            "{\"access_token\":\"hush\",\"access_token\":\"b\",\"token_type\":\"bearer\"}".to_owned(),
            "double",
        ),
        (
            "200 OK",
            "{\"access_token\":7,\"token_type\":\"bearer\"}".to_owned(),
            "another type",
        ),
        (
            "200 OK",
            "{\"access_token\":\"hush\",\"token_type\":\"mac\"}".to_owned(),
            "neither Bearer nor DPoP",
        ),
        (
            "200 OK",
            "{\"access_token\":\"a\\nhush\",\"token_type\":\"bearer\"}".to_owned(),
            "a header cannot hold",
        ),
        ("200 OK", format!("\"{}\"", "a".repeat(300_000)), "larger than"),
        ("200 OK", "[".repeat(100_000), "another type"),
        (
            "400 Bad Request",
            "{\"error\":\"invalid_client\",\"error_description\":\"who?\"}".to_owned(),
            "invalid_client (who?)",
        ),
        ("302 Found", String::new(), "redirect, which is not followed"),
    ] {
        let world = Arc::new(World::default());
        *world.refuses.lock().unwrap() = Some((status, body));
        let why = down(&world).await;
        assert!(why.contains(wanted), "{wanted} is not in {why}");
        assert_eq!(world.asked().len(), 1, "{wanted}");
    }
}

#[tokio::test]
async fn metadata_about_somebody_else_are_not_believed() {
    for (resource, server, wanted) in [
        (
            json!({"resource": "https://bank.example/"}),
            json!({}),
            "another resource",
        ),
        (
            json!({"authorization_servers": []}),
            json!({}),
            "names no authorization server",
        ),
        (
            json!({"authorization_servers": ["http://as.example"]}),
            json!({}),
            "not fetched",
        ),
        (
            json!({"authorization_servers": "https://as.example"}),
            json!({}),
            "no usable metadata",
        ),
        (
            json!({}),
            json!({"issuer": "https://as.example"}),
            "another issuer",
        ),
        (
            json!({}),
            json!({"token_endpoint": "http://as.example/t"}),
            "not fetched",
        ),
        (json!({}), json!({"token_endpoint": null}), "no `token_endpoint`"),
        (
            json!({}),
            json!({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}),
            "does not allow",
        ),
    ] {
        let world = Arc::new(World::default());
        *world.resource.lock().unwrap() = resource;
        *world.server.lock().unwrap() = server;
        let why = down(&world).await;
        assert!(
            why.contains(wanted) || wanted == "does not allow" && why.contains("do not"),
            "{wanted} is not in {why}"
        );
        assert!(world.asked().is_empty(), "{wanted}");
    }
}

#[tokio::test]
async fn credentials_go_to_their_issuer_only() {
    let world = Arc::new(World::default());
    let url = world.serve().await;
    let bound = OAuthSpec {
        issuer: Some("https://as.example".to_owned()),
        ..oauth()
    };
    let rig = Rig::start(vec![at(&url, bound)]).await;
    let why = rig.down("s");
    assert!(why.contains("our credentials are for that one only"), "{why}");
    assert!(world.asked().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn a_token_endpoint_of_the_settings_needs_no_metadata() {
    let world = Arc::new(World::default());
    let url = world.serve().await;
    let fixed = OAuthSpec {
        token_url: Some(url.replace("/mcp", "/token")),
        scopes: vec!["mine".to_owned()],
        ..oauth()
    };
    let rig = Rig::start(vec![at(&url, fixed)]).await;
    assert_eq!(rig.state("s"), SourceState::Ready);
    let asked = world.asked();
    assert!(
        asked[0].contains("scope=mine") && !asked[0].contains("resource="),
        "{}",
        asked[0]
    );
    rig.stop().await;
}

#[tokio::test]
async fn an_authorization_server_that_hangs_up_is_a_failure_not_a_wait() {
    let server = serve(|mut conn| async move {
        if let Some(request) = conn.request().await {
            if request.starts_with("POST") {
                conn.send("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
            conn.reset();
        }
    })
    .await;
    let rig = Rig::start(vec![at(&server.url, oauth())]).await;
    let why = rig.down("s");
    assert!(why.contains("no access token"), "{why}");
    rig.stop().await;
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_is_given_up_and_asked_again() {
    let world = Arc::new(World::default());
    world.hangs.store(true, Ordering::SeqCst);
    let url = world.serve().await;
    // A server beside it does not notice.
    let mut waiting = at(&url, oauth());
    waiting.start_timeout = Duration::from_secs(60);
    let rig = Rig::begin(vec![waiting, python("other", &["legacy"])]);
    soon(world.token_asked.notified()).await;
    rig.until_ready("other").await;
    rig.call("other__echo").await.unwrap();
    assert_eq!(rig.state("s"), SourceState::Starting);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(16)).await;
    tokio::time::resume();
    rig.until_down("s").await;
    let why = rig.down("s");
    assert!(why.contains("no answer within 15 s"), "{why}");
    assert!(!why.contains("hush"), "{why}");
    // It is asked again, and all is well.
    world.hangs.store(false, Ordering::SeqCst);
    rig.until_called("s__echo").await;
    assert_eq!(rig.call("s__echo").await.unwrap(), "called");
    rig.stop().await;
}
