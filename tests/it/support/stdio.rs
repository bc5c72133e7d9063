//! MCP as lines on standard input and output.

use std::process::Command;

use serde_json::{Value, json};

use super::{LEGACY, MODERN, Process};

pub(crate) struct Session {
    pub(crate) process: Process,
    next: u64,
    /// Messages that [`Self::next_message`] gave.
    taken: usize,
    /// What the program was started from.
    _directory: Option<tempfile::TempDir>,
}

impl Session {
    pub(crate) fn start(command: Command) -> Self {
        Self {
            process: Process::start(command),
            next: 1,
            taken: 0,
            _directory: None,
        }
    }

    /// Keeps the directory as long as the program.
    pub(crate) fn start_in(command: Command, directory: tempfile::TempDir) -> Self {
        Self {
            _directory: Some(directory),
            ..Self::start(command)
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.process.write(format!("{message}\n").as_bytes());
    }

    /// Waits for the response to a request that was sent.
    pub(crate) fn response(&self, id: &Value) -> Value {
        self.process.stdout.wait(|line| {
            let message = message(line);
            (message["id"] == *id && message.get("method").is_none()).then_some(message)
        })
    }

    /// What has come so far is not given any more.
    pub(crate) fn skip(&mut self) {
        self.taken = self.process.stdout.so_far();
    }

    /// The next of all messages that come.
    pub(crate) fn next_message(&mut self) -> Value {
        let mut seen = 0;
        let found = self.process.stdout.wait(|line| {
            seen += 1;
            (seen > self.taken).then(|| message(line))
        });
        self.taken += 1;
        found
    }

    /// Opens a legacy session.
    pub(crate) fn initialize(&mut self) -> Value {
        let answer = self.legacy(
            "initialize",
            json!({
                "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
            }),
        );
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        answer
    }

    pub(crate) fn legacy(&mut self, method: &str, params: Value) -> Value {
        let id = self.send_request(method, params);
        self.response(&id)
    }

    pub(crate) fn modern(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
        params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
        self.legacy(method, params)
    }

    /// Sends a request and gives its id.
    #[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
    pub(crate) fn send_request(&mut self, method: &str, params: Value) -> Value {
        let id = Value::from(self.next);
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Checks, after the end, that standard output carried messages and nothing else.
    pub(crate) fn assert_only_messages(&self) {
        for line in self.process.stdout.all() {
            message(&line);
        }
    }
}

fn message(line: &str) -> Value {
    let message: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} on standard output: {line:?}"));
    assert_eq!(message["jsonrpc"], "2.0", "{line}");
    message
}
