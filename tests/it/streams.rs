//! Event streams that are open when their caller is put out: they end, and calls are refused on every door.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Answer, Api, Door, LEGACY, MODERN, Setup};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// An open event stream.
struct Events(BufReader<TcpStream>);

impl Events {
    /// `GET /mcp` of a legacy session, answered so far that it is open.
    fn legacy(door: &Door, session: &str, key: &str) -> Self {
        let headers = [
            ("Accept", "text/event-stream"),
            ("MCP-Protocol-Version", LEGACY),
            ("Mcp-Session-Id", session),
            ("X-Api-Key", key),
        ];
        let mut events = Self(BufReader::new(door.send("GET", "/mcp", &headers, "")));
        assert!(events.line().contains("200"));
        while !events.line().is_empty() {}
        events
    }

    /// `subscriptions/listen`, acknowledged.
    fn modern(door: &Door, key: &str) -> Self {
        let (headers, body) = modern(
            key,
            "subscriptions/listen",
            &json!({ "notifications": { "toolsListChanged": true } }),
        );
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut events = Self(BufReader::new(door.send("POST", "/mcp", &headers, &body)));
        events.until("acknowledged");
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the stream is open");
        line.trim_end().to_owned()
    }

    /// Reads up to a line with this text.
    fn until(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let count = self.0.read_line(&mut line).expect("the stream is open");
            assert_ne!(count, 0, "the stream ended without {text}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What comes until the server ends it; panics if it stays open.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("an end in time");
        rest
    }
}

fn modern(key: &str, method: &str, params: &Value) -> (Vec<(&'static str, String)>, String) {
    let mut params = params.clone();
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    let mut headers = vec![
        ("Content-Type", JSON.1.to_owned()),
        ("Accept", ACCEPT.1.to_owned()),
        ("MCP-Protocol-Version", MODERN.to_owned()),
        ("Mcp-Method", method.to_owned()),
        ("X-Api-Key", key.to_owned()),
    ];
    if let Some(name) = params["name"].as_str() {
        headers.push(("Mcp-Name", name.to_owned()));
    }
    let body = json!({ "jsonrpc": "2.0", "id": "m", "method": method, "params": params });
    (headers, body.to_string())
}

fn open_session(door: &Door, key: &str) -> String {
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
    } });
    let answer = door.request(
        "POST",
        "/mcp",
        &[JSON, ACCEPT, ("X-Api-Key", key)],
        &body.to_string(),
    );
    answer.header("mcp-session-id").expect("a session").to_owned()
}

/// One call of each door: REST, a legacy session, 2026-07-28.
fn calls(door: &Door, session: &str, key: &str) -> [Answer; 3] {
    let call = json!({ "name": "echo", "arguments": { "msg": "x" } });
    let rest = json!({ "tool": "echo", "arguments": { "msg": "x" } }).to_string();
    let legacy = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    let (headers, body) = modern(key, "tools/call", &call);
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let key = ("X-Api-Key", key);
    let of_session = [
        JSON,
        ACCEPT,
        key,
        ("MCP-Protocol-Version", LEGACY),
        ("Mcp-Session-Id", session),
    ];
    [
        door.request("POST", "/v1/tools/call", &[JSON, key], &rest),
        door.request("POST", "/mcp", &of_session, &legacy),
        door.request("POST", "/mcp", &headers, &body),
    ]
}

fn statuses(answers: &[Answer; 3]) -> [u16; 3] {
    answers.each_ref().map(|answer| answer.status)
}

/// A tenant with two keys, and the first eight digits of each one's hash.
fn two_keys(api: &Api) -> [(String, String); 2] {
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    [(), ()].map(|()| {
        let made = api.ok("POST", "tenants/acme/keys", "");
        let hash = made["hash"].as_str().unwrap();
        (
            made["key"].as_str().unwrap().to_owned(),
            hash["sha256:".len()..][..8].to_owned(),
        )
    })
}

#[test]
fn a_revoked_key_ends_its_streams_and_nobody_elses() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    let door = &served.door;
    let [(old, old_id), (new, _)] = two_keys(&api);
    let (old_session, new_session) = (open_session(door, &old), open_session(door, &new));
    let (old_legacy, old_modern) = (
        Events::legacy(door, &old_session, &old),
        Events::modern(door, &old),
    );
    let (mut new_legacy, mut new_modern) = (
        Events::legacy(door, &new_session, &new),
        Events::modern(door, &new),
    );
    assert_eq!(statuses(&calls(door, &old_session, &old)), [200; 3]);

    api.ok("DELETE", &format!("tenants/acme/keys/{old_id}"), "");
    old_legacy.end();
    // The result of the request comes last.
    let last = old_modern.end();
    assert!(
        last.contains("\"id\":\"m\"") && last.contains("\"result\""),
        "{last}"
    );
    let refused = calls(door, &old_session, &old);
    assert_eq!(statuses(&refused), [401; 3], "{refused:?}");
    for answer in &refused {
        assert!(answer.body.contains("auth.key.unknown"), "{answer:?}");
    }
    // Streams of the other key are open, and hear what changes.
    api.ok("PATCH", "tenants/acme", r#"{"tools":{"deny":["echo"]}}"#);
    new_legacy.until("notifications/tools/list_changed");
    new_modern.until("notifications/tools/list_changed");
    api.ok("PATCH", "tenants/acme", r#"{"tools":{"deny":["nothing"]}}"#);
    assert_eq!(statuses(&calls(door, &new_session, &new)), [200; 3]);

    api.ok("POST", "tenants/acme/suspend", "");
    new_legacy.end();
    let last = new_modern.end();
    assert!(
        last.contains("\"id\":\"m\"") && last.contains("\"result\""),
        "{last}"
    );
    let refused = calls(door, &new_session, &new);
    assert_eq!(statuses(&refused), [403; 3], "{refused:?}");
    for answer in &refused {
        assert!(answer.body.contains("auth.tenant.suspended"), "{answer:?}");
    }
    // Nor does a new stream open.
    let headers = [
        ("Accept", "text/event-stream"),
        ("Mcp-Session-Id", &new_session),
        ("X-Api-Key", &new),
    ];
    assert_eq!(door.request("GET", "/mcp", &headers, "").status, 403);
    api.ok("POST", "tenants/acme/resume", "");
    assert_eq!(statuses(&calls(door, &new_session, &new)), [200; 3]);
    api.ok("DELETE", "tenants/acme", "");
    assert_eq!(statuses(&calls(door, &new_session, &new)), [401; 3]);
}

#[test]
fn a_key_that_ends_by_itself_ends_its_streams() {
    let setup = Setup::new();
    let (served, api) = setup.start();
    let door = &served.door;
    api.ok("POST", "tenants", r#"{"id":"acme"}"#);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let made = finish_with_until(&api, now.as_secs() + 6);
    let session = open_session(door, &made);
    let (legacy, modern) = (Events::legacy(door, &session, &made), Events::modern(door, &made));
    legacy.end();
    assert!(modern.end().contains("\"result\""));
    let refused = calls(door, &session, &made);
    assert_eq!(statuses(&refused), [401; 3], "{refused:?}");
    assert!(refused[0].body.contains("auth.key.expired"), "{refused:?}");
}

/// A key that ends at this Unix second.
fn finish_with_until(api: &Api, second: u64) -> String {
    let days = second / 86_400;
    let (hour, minute, rest) = (second % 86_400 / 3_600, second % 3_600 / 60, second % 60);
    let (year, month, day) = civil(days);
    let until = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}Z");
    let made = api.ok(
        "POST",
        "tenants/acme/keys",
        &json!({ "until": until }).to_string(),
    );
    made["key"].as_str().unwrap().to_owned()
}

/// Year, month and day of a day since 1970, counted out.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    for (month, length) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    unreachable!("a year has no more days")
}
