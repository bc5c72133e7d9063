//! An MCP server over HTTP whose every answer is written out, so that it can misbehave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::server::{Conn, serve_at};

/// What the server does, and what it has seen.
#[derive(Default)]
pub(crate) struct Peer {
    modern: bool,
    /// The number of the session that is valid; `forget` makes it another.
    session: AtomicUsize,
    opened: AtomicUsize,
    /// How an unknown session is answered.
    unknown_session: Option<&'static str>,
    /// Heads and bodies of all requests but lists and handshakes.
    seen: Mutex<Vec<String>>,
    /// Rings to send `list_changed` on the open stream.
    pub(crate) change: Notify,
    pub(crate) more_tools: AtomicUsize,
    /// Rings when a request was closed by the client.
    pub(crate) closed: Notify,
    /// Rings when its own stream was asked for.
    pub(crate) own_asked: Notify,
    /// Its own stream is not answered before this rings.
    pub(crate) own_gate: Option<Notify>,
    /// What is to be said on its own stream.
    aside: Mutex<Vec<Value>>,
    /// Answers to its questions, by their ids, and a bell for each.
    answers: Mutex<Vec<Value>>,
    answered: Notify,
}

impl Peer {
    pub(crate) fn new(modern: bool, unknown_session: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self {
            modern,
            unknown_session,
            ..Self::default()
        })
    }

    /// One of the legacy era that takes its time with its own stream.
    pub(crate) fn gated() -> Arc<Self> {
        Arc::new(Self {
            own_gate: Some(Notify::new()),
            ..Self::default()
        })
    }

    pub(crate) fn say(&self, message: Value) {
        self.aside.lock().unwrap().push(message);
        self.change.notify_one();
    }

    /// The response that came for a question.
    pub(crate) async fn answer_to(&self, id: &str) -> Value {
        loop {
            let bell = self.answered.notified();
            let found = self
                .answers
                .lock()
                .unwrap()
                .iter()
                .find(|answer| answer["id"] == id)
                .cloned();
            if let Some(found) = found {
                return found;
            }
            bell.await;
        }
    }

    pub(crate) fn seen(&self, word: &str) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|text| text.contains(word))
            .cloned()
            .collect()
    }

    pub(crate) fn forget(&self) {
        self.session.store(0, Ordering::SeqCst);
    }

    pub(crate) fn sessions(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Serves at an address; `127.0.0.1:0` for any. Returns the URL.
    pub(crate) async fn serve(self: &Arc<Self>, address: &str) -> String {
        let peer = Arc::clone(self);
        let server = serve_at(address, move |mut conn| {
            let peer = Arc::clone(&peer);
            async move {
                while let Some(request) = conn.request().await
                    && peer.answer(&mut conn, &request).await
                {}
            }
        })
        .await;
        server.url
    }

    /// False to close the connection.
    async fn answer(&self, conn: &mut Conn, request: &str) -> bool {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let known = header("mcp-session-id") == Some(&format!("s{}", self.session.load(Ordering::SeqCst)));
        if head.starts_with("GET") {
            self.seen.lock().unwrap().push(head.to_owned());
            return self.get(conn, known, header("last-event-id")).await;
        }
        if head.starts_with("DELETE") {
            self.seen.lock().unwrap().push(head.to_owned());
            conn.answer("200 OK", "text/plain", "").await;
            return true;
        }
        let message: Value = serde_json::from_str(body).unwrap();
        let method = message["method"].as_str().unwrap_or_default();
        if !method.ends_with("/list") && !matches!(method, "initialize" | "server/discover") {
            self.seen.lock().unwrap().push(request.to_owned());
        }
        let id = &message["id"];
        if message["method"].is_null() {
            self.answers.lock().unwrap().push(message.clone());
            self.answered.notify_waiters();
            conn.answer("202 Accepted", "text/plain", "").await;
            return true;
        }
        if self.modern {
            return self.modern(conn, &message, request).await;
        }
        if method == "initialize" {
            self.opened.fetch_add(1, Ordering::SeqCst);
            let session = self.sessions();
            self.session.store(session, Ordering::SeqCst);
            let result =
                json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": true}}});
            let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nMcp-Session-Id: s{session}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        } else if method == "server/discover" {
            conn.answer("400 Bad Request", "text/plain", "no session").await;
        } else if !known {
            let status = self.unknown_session.unwrap_or("404 Not Found");
            let error = json!({"code": -32000, "message": "Bad Request: No valid session ID provided"});
            let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
            conn.answer(status, "application/json", body.to_string()).await;
        } else if id.is_null() {
            conn.answer("202 Accepted", "text/plain", "").await;
        } else {
            return self.request(conn, &message, request).await;
        }
        true
    }

    async fn modern(&self, conn: &mut Conn, message: &Value, request: &str) -> bool {
        match message["method"].as_str().unwrap() {
            "server/discover" => {
                let capabilities = json!({"tools": {"listChanged": true}});
                self.json(
                    conn,
                    message,
                    json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}),
                )
                .await;
            }
            "subscriptions/listen" => {
                conn.begin_events().await;
                self.changes(conn).await;
                return false;
            }
            _ => return self.request(conn, message, request).await,
        }
        true
    }

    async fn json(&self, conn: &mut Conn, message: &Value, mut result: Value) {
        if self.modern {
            result["resultType"] = "complete".into();
        }
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        conn.answer("200 OK", "application/json", body.to_string()).await;
    }

    async fn event(&self, conn: &mut Conn, id: Option<&str>, message: &Value) {
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        conn.chunk(&format!("{id}data: {message}\n\n")).await;
    }

    async fn request(&self, conn: &mut Conn, message: &Value, request: &str) -> bool {
        if message["method"] == "tools/list" {
            let mut tools: Vec<Value> = [
                "echo", "stream", "resume", "cut", "hang", "fail", "busy", "empty", "html", "other", "aside",
                "moody",
            ]
            .into_iter()
            .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
            .collect();
            let place = json!({"type": "string", "x-mcp-header": "Place"});
            tools[0]["inputSchema"]["properties"] =
                json!({"place": place, "n": {"type": "integer", "x-mcp-header": "N"}});
            for extra in 0..self.more_tools.load(Ordering::SeqCst) {
                tools.push(json!({"name": format!("extra{extra}"), "inputSchema": {"type": "object"}}));
            }
            self.json(conn, message, json!({"tools": tools})).await;
            return true;
        }
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
        let name = message["params"]["name"].as_str().unwrap();
        let token = &message["params"]["_meta"]["progressToken"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": token, "progress": 1, "total": 2}});
        let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": text("streamed")});
        match name {
            "echo" => self.json(conn, message, text(request)).await,
            "stream" => {
                conn.begin_events().await;
                let stray = json!({"jsonrpc": "2.0", "id": 424_242, "result": {}});
                let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "d"}});
                let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
                for event in [&progress, &json!("garbage"), &log, &stray, &ping, &result] {
                    self.event(conn, None, event).await;
                }
                conn.chunk("").await;
            }
            "resume" => {
                conn.begin_events().await;
                conn.chunk(&format!("id: {}\nretry: 100\ndata:\n\n", message["id"]))
                    .await;
                self.event(conn, Some(&message["id"].to_string()), &progress)
                    .await;
                return false;
            }
            "cut" => {
                conn.begin_events().await;
                self.event(conn, None, &progress).await;
                return false;
            }
            "aside" => {
                let id = message["params"]["arguments"]["id"].as_str().unwrap();
                let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": "aside"}});
                self.say(log);
                let mut aside = progress.clone();
                aside["params"]["message"] = "aside".into();
                self.say(aside);
                let form =
                    json!({"message": "name?", "requestedSchema": {"type": "object", "properties": {}}});
                self.say(json!({"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": form}));
                let answer = self.answer_to(id).await;
                self.json(conn, message, text(&answer.to_string())).await;
            }
            "moody" => {
                conn.begin_events().await;
                let form =
                    json!({"message": "name?", "requestedSchema": {"type": "object", "properties": {}}});
                let question =
                    json!({"jsonrpc": "2.0", "id": "m", "method": "elicitation/create", "params": form});
                self.event(conn, None, &question).await;
                conn.closed().await;
                return false;
            }
            "hang" => {
                conn.closed().await;
                self.closed.notify_one();
                return false;
            }
            "fail" => {
                conn.answer("500 Internal Server Error", "text/html", "<h1>\n oops</h1>")
                    .await;
            }
            "busy" => conn.answer("503 Service Unavailable", "text/plain", "").await,
            "empty" => conn.answer("200 OK", "application/json", "").await,
            "html" => conn.answer("200 OK", "text/html", "<p>").await,
            "other" => {
                let other = json!({"jsonrpc": "2.0", "id": 424_242, "result": {}});
                conn.answer("200 OK", "application/json", other.to_string()).await;
            }
            _ => self.json(conn, message, text(name)).await,
        }
        true
    }

    async fn get(&self, conn: &mut Conn, known: bool, last: Option<&str>) -> bool {
        if !known {
            conn.answer("404 Not Found", "text/plain", "").await;
            return true;
        }
        self.own_asked.notify_one();
        if let Some(gate) = &self.own_gate {
            gate.notified().await;
        }
        conn.begin_events().await;
        match last {
            // The rest of a stream that was closed early.
            Some(id) => {
                let id: u64 = id.parse().unwrap();
                let result = json!({"content": [{"type": "text", "text": "resumed"}]});
                self.event(conn, None, &json!({"jsonrpc": "2.0", "id": id, "result": result}))
                    .await;
            }
            None => self.changes(conn).await,
        }
        false
    }

    async fn changes(&self, conn: &mut Conn) {
        loop {
            tokio::select! {
                () = self.change.notified() => {}
                () = conn.closed() => return,
            }
            let aside = std::mem::take(&mut *self.aside.lock().unwrap());
            for message in &aside {
                self.event(conn, None, message).await;
            }
            if aside.is_empty() {
                let changed = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                self.event(conn, None, &changed).await;
            }
        }
    }
}
