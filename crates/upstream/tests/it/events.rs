//! Servers that only have HTTP+SSE, the transport of 2024-11-05.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferromcp_upstream::transport::http::{HttpKind, HttpSpec};
use ferromcp_upstream::{TransportSpec, UpstreamSpec};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify, mpsc};

use crate::rig::{Rig, spec};
use crate::server::{Conn, serve};

/// Answers go to the newest stream.
#[derive(Default)]
struct Old {
    stream: Mutex<Option<mpsc::Sender<String>>>,
    streams: AtomicUsize,
    /// The first event, in place of the right one.
    first: Option<&'static str>,
    /// Ends the open stream.
    cut: Notify,
    posts: AtomicUsize,
}

impl Old {
    async fn serve(self: &Arc<Self>) -> String {
        let old = Arc::clone(self);
        let server = serve(move |mut conn| {
            let old = Arc::clone(&old);
            async move {
                while let Some(request) = conn.request().await {
                    let (head, body) = request.split_once("\r\n\r\n").unwrap();
                    match head.split(' ').nth(1).unwrap() {
                        "/mcp" if head.starts_with("GET") => return old.events(conn).await,
                        "/messages?session=1" => old.post(&mut conn, body).await,
                        _ => conn.answer("405 Method Not Allowed", "text/plain", "").await,
                    }
                }
            }
        })
        .await;
        server.url
    }

    async fn events(&self, mut conn: Conn) {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let (sender, mut receiver) = mpsc::channel(10);
        *self.stream.lock().await = Some(sender);
        conn.begin_events().await;
        let first = self
            .first
            .unwrap_or("event: endpoint\ndata: /messages?session=1\n\n");
        conn.chunk(first).await;
        loop {
            tokio::select! {
                Some(data) = receiver.recv() => conn.chunk(&data).await,
                () = self.cut.notified() => return,
                () = conn.closed() => return,
            }
        }
    }

    async fn post(&self, conn: &mut Conn, body: &str) {
        self.posts.fetch_add(1, Ordering::SeqCst);
        let message: Value = serde_json::from_str(body).unwrap();
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        let result = match message["method"].as_str().unwrap() {
            "initialize" => json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}}),
            "tools/list" => {
                let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
                json!({"tools": [tool("echo"), tool("hang"), tool("gone")]})
            }
            "tools/call" if message["params"]["name"] == "hang" => {
                conn.answer("202 Accepted", "text/plain", "").await;
                return self.cut.notify_one();
            }
            "tools/call" if message["params"]["name"] == "gone" => {
                return conn
                    .answer("404 Not Found", "text/plain", "no such session")
                    .await;
            }
            "tools/call" => text("old"),
            _ => return conn.answer("202 Accepted", "text/plain", "").await,
        };
        conn.answer("202 Accepted", "text/plain", "Accepted").await;
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let stream = self.stream.lock().await.clone().unwrap();
        stream
            .send(format!(": comment\n\nevent: message\ndata: {answer}\n\n"))
            .await
            .unwrap();
    }
}

fn at(url: &str, kind: HttpKind) -> UpstreamSpec {
    let mut http = HttpSpec::new("s", url);
    http.kind = kind;
    spec("s", TransportSpec::Http(http))
}

#[tokio::test]
async fn old_servers_are_found_and_called() {
    for kind in [HttpKind::Auto, HttpKind::Events] {
        let old = Arc::new(Old::default());
        let rig = Rig::start(vec![at(&old.serve().await, kind)]).await;
        rig.assert_ready("s");
        let (a, b) = tokio::join!(rig.call("s__echo"), rig.call("s__echo"));
        assert_eq!((a.unwrap(), b.unwrap()), ("old".to_owned(), "old".to_owned()));
        rig.stop().await;
        assert_eq!(old.streams.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_stream_that_ends_fails_what_was_under_way_and_is_opened_again() {
    let old = Arc::new(Old::default());
    let rig = Rig::start(vec![at(&old.serve().await, HttpKind::Events)]).await;
    let error = rig.call("s__hang").await.unwrap_err();
    assert!(error.to_string().contains("under way"), "{error}");
    rig.until_called("s__echo").await;
    assert!(old.streams.load(Ordering::SeqCst) >= 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_session_that_is_gone_is_opened_again() {
    let old = Arc::new(Old::default());
    let rig = Rig::start(vec![at(&old.serve().await, HttpKind::Events)]).await;
    rig.call("s__gone").await.unwrap_err();
    rig.until(|_| old.streams.load(Ordering::SeqCst) == 2).await;
    rig.until_called("s__echo").await;
    rig.stop().await;
}

#[tokio::test]
async fn messages_go_to_the_server_itself_only() {
    for (first, wanted) in [
        (
            "event: endpoint\ndata: http://127.0.0.1:1/steal\n\n",
            "another server",
        ),
        (
            "event: endpoint\ndata: https://evil.example/\n\n",
            "another server",
        ),
        ("event: endpoint\ndata: http://u:p@[\n\n", "no URL"),
        ("data: {\"jsonrpc\":\"2.0\"}\n\n", "first event is not `endpoint`"),
    ] {
        let old = Arc::new(Old {
            first: Some(first),
            ..Old::default()
        });
        let rig = Rig::start(vec![at(&old.serve().await, HttpKind::Events)]).await;
        let why = rig.down("s");
        assert!(why.contains(wanted), "{wanted} is not in {why}");
        assert_eq!(old.posts.load(Ordering::SeqCst), 0);
        rig.stop().await;
    }
}
