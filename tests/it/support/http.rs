//! HTTP as bytes on a socket: one exchange per connection.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};

use serde_json::{Value, json};

use super::{LEGACY, MODERN, PATIENCE};

/// The HTTP doors of a running server.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Our own address, if it is not to be the usual one.
    from: Option<IpAddr>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The messages of a JSON body or of an event stream.
    pub(crate) fn messages(&self) -> Vec<Value> {
        if self.header("content-type") != Some("text/event-stream") {
            return vec![self.json()];
        }
        self.body
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .filter(|data| !data.trim().is_empty())
            .map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}")))
            .collect()
    }
}

impl Door {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            from: None,
        }
    }

    /// The same door, for a client with this address.
    pub(crate) fn from(&self, address: IpAddr) -> Self {
        Self {
            from: Some(address),
            ..self.clone()
        }
    }

    fn connect(&self) -> TcpStream {
        let Some(from) = self.from else {
            return TcpStream::connect(&self.address).expect("it accepts connections");
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let connected = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            let address = self.address.parse().expect("an address");
            socket.connect(address).await?.into_std()
        });
        let socket = connected.expect("it accepts connections");
        socket.set_nonblocking(false).expect("a blocking socket");
        socket
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a request and leaves the connection open for its answer.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut socket = self.connect();
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        socket.write_all(request.as_bytes()).expect("it reads requests");
        socket
    }

    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut socket = self.send(method, path, headers, body);
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("a whole answer");
        parse(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], "")
    }

    /// `POST /v1/tools/call`.
    pub(crate) fn rest(&self, tool: &str, arguments: &Value) -> Answer {
        let body = json!({ "tool": tool, "arguments": arguments }).to_string();
        let headers = [("Content-Type", "application/json")];
        self.request("POST", "/v1/tools/call", &headers, &body)
    }

    /// The text of a REST call that succeeds.
    pub(crate) fn rest_text(&self, tool: &str, arguments: &Value) -> String {
        let answer = self.rest(tool, arguments).json();
        assert_eq!(answer["success"], true, "{tool}: {answer}");
        super::text(&answer).to_owned()
    }

    pub(crate) fn health(&self) -> Value {
        self.get("/health").json()
    }

    /// State and number of tools of a source.
    pub(crate) fn source(&self, name: &str) -> (String, u64) {
        let health = self.health();
        let sources = health["sources"].as_array().expect("sources");
        let source = sources.iter().find(|source| source["name"] == name);
        let source = source.unwrap_or_else(|| panic!("no source {name}: {health}"));
        let state = source["state"].as_str().expect("a state").to_owned();
        (state, source["tools"].as_u64().expect("a number"))
    }

    /// All messages that answer a request of 2026-07-28.
    pub(crate) fn modern_messages(&self, method: &str, mut params: Value) -> Vec<Value> {
        let name = params["name"]
            .as_str()
            .or(params["uri"].as_str())
            .or(params["taskId"].as_str())
            .map(str::to_owned);
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        let able = &mut params["_meta"]["io.modelcontextprotocol/clientCapabilities"];
        if able.is_null() {
            *able = json!({});
        }
        let body = json!({ "jsonrpc": "2.0", "id": "m", "method": method, "params": params });
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", MODERN),
            ("Mcp-Method", method),
        ];
        if let Some(name) = &name {
            headers.push(("Mcp-Name", name));
        }
        let answer = self.request("POST", "/mcp", &headers, &body.to_string());
        answer.messages()
    }

    /// The answer to a request of 2026-07-28: a response with `result` or `error`.
    pub(crate) fn modern(&self, method: &str, params: Value) -> Value {
        let messages = self.modern_messages(method, params);
        let answer = messages.into_iter().find(|message| message["id"] == "m");
        answer.unwrap_or_else(|| panic!("{method}: no answer"))
    }
}

/// A session of revision 2025-11-25.
#[derive(Debug)]
pub(crate) struct Legacy {
    door: Door,
    session: String,
    next: std::cell::Cell<u64>,
}

impl Legacy {
    pub(crate) fn open(door: &Door) -> Self {
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
        } });
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let answer = door.request("POST", "/mcp", &headers, &body.to_string());
        let result = &answer.messages()[0]["result"];
        assert_eq!(result["protocolVersion"], LEGACY, "{answer:?}");
        let session = answer.header("mcp-session-id").expect("a session").to_owned();
        let opened = Self {
            door: door.clone(),
            session,
            next: std::cell::Cell::new(1),
        };
        let ready = opened.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        assert_eq!(ready.status, 202, "{ready:?}");
        opened
    }

    pub(crate) fn headers(&self) -> Vec<(&str, &str)> {
        vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", LEGACY),
            ("Mcp-Session-Id", &self.session),
        ]
    }

    fn post(&self, message: &Value) -> Answer {
        self.door
            .request("POST", "/mcp", &self.headers(), &message.to_string())
    }

    /// The answer to a request: a response with `result` or `error`.
    #[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
    pub(crate) fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next.replace(self.next.get() + 1);
        let answer = self.post(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        let found = answer.messages().into_iter().find(|message| message["id"] == id);
        found.unwrap_or_else(|| panic!("{method}: no answer in {answer:?}"))
    }
}

/// A whole answer.
pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no whole answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut answer = Answer {
        status: status.unwrap_or_else(|| panic!("no status: {head}")),
        head: head.to_owned(),
        body: body.to_owned(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&bytes[bytes.len() - body.len()..]);
    }
    answer
}

fn unchunk(mut bytes: &[u8]) -> String {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        if size == 0 {
            return String::from_utf8(whole).expect("UTF-8");
        }
        whole.extend_from_slice(&bytes[end + 2..end + 2 + size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    panic!("the answer broke off");
}
