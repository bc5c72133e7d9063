//! The ways in, and what comes of a call through each of them.

use serde_json::{Value, json};

use crate::support::{Answer, Door, Grpc, LEGACY, MODERN, Session};

/// What came of a call: `ok`, or the error's code, its rule where the door tells it, and its message.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: String,
    pub(super) rule: Option<String>,
    pub(super) message: String,
}

impl Outcome {
    /// Of an object with `code`, `rule`, `message`.
    fn of(error: &Value, message: &Value) -> Self {
        Self {
            code: error["code"].as_str().unwrap_or_default().to_owned(),
            rule: error["rule"].as_str().map(str::to_owned),
            message: message.as_str().unwrap_or_default().to_owned(),
        }
    }

    pub(super) fn of_rest(answer: &Answer) -> Self {
        let answer = answer.json();
        if answer["success"] == true {
            return Self::of(&json!({ "code": "ok" }), &Value::Null);
        }
        Self::of(&answer["error"], &answer["error"]["message"])
    }

    fn of_batch(answer: &Value) -> Self {
        let only = &answer["responses"][0];
        match only["success"] == true {
            true => Self::of(&json!({ "code": "ok" }), &Value::Null),
            false => Self::of(&only["error"], &only["error"]["message"]),
        }
    }

    fn of_grpc(answer: &Value) -> Self {
        if answer["code"] == "OK" {
            return Self::of(&json!({ "code": "ok" }), &Value::Null);
        }
        let error = json!({ "code": answer["reason"], "rule": answer["rule"] });
        Self::of(&error, &answer["message"])
    }

    fn of_grpc_batch(answer: &Value) -> Self {
        let only = &answer["messages"][0]["result"];
        match only.get("failure") {
            // The batch as a whole, or the call in it.
            None => Self::of_grpc(answer),
            Some(failure) => {
                let error = json!({ "code": failure["reason"], "rule": failure["rule"] });
                Self::of(&error, &failure["message"])
            }
        }
    }

    fn of_rpc(response: &Value) -> Self {
        if let Some(result) = response.get("result") {
            // A model reads why its arguments were refused; the rule is not among it.
            let code = if result["isError"] == true {
                "invalid_arguments"
            } else {
                "ok"
            };
            return Self::of(&json!({ "code": code }), &result["content"][0]["text"]);
        }
        let error = &response["error"];
        if error["data"]["code"].is_string() {
            return Self::of(&error["data"], &error["message"]);
        }
        panic!("an error without a code of ours: {response}");
    }
}

/// A way in, for one tenant.
pub(super) enum Way {
    Rest(Door, Option<String>),
    /// As the only call of a batch.
    Batch(Door, Option<String>),
    Legacy(Door, Option<String>),
    Modern(Door, Option<String>),
    /// Lines of a program: ours over stdio, or what puts them on a stream of gRPC.
    Stdio(Box<Session>),
    Grpc(Box<Grpc>),
    /// As the only call of a batch.
    GrpcBatch(Box<Grpc>),
}

impl Way {
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Outcome {
        match self {
            Self::Rest(door, key) => {
                let body = json!({ "tool": tool, "arguments": arguments });
                Outcome::of_rest(&post(door, "/v1/tools/call", key.as_deref(), &[], &body))
            }
            Self::Batch(door, key) => {
                let body = json!({ "requests": [{ "tool": tool, "arguments": arguments }] });
                let answer = post(door, "/v1/tools/batch", key.as_deref(), &[], &body);
                Outcome::of_batch(&answer.json())
            }
            Self::Stdio(session) => Outcome::of_rpc(
                &session.legacy("tools/call", json!({ "name": tool, "arguments": arguments })),
            ),
            Self::Grpc(client) => {
                let message = json!({ "tool": tool, "arguments": arguments.to_string() });
                Outcome::of_grpc(&client.call("CallTool", message))
            }
            Self::GrpcBatch(client) => {
                let call = json!({ "tool": tool, "arguments": arguments.to_string() });
                Outcome::of_grpc_batch(&client.call("BatchCall", json!({ "calls": [call] })))
            }
            _ => Outcome::of_rpc(&self.mcp("tools/call", json!({ "name": tool, "arguments": arguments }))),
        }
    }

    fn mcp(&mut self, method: &str, mut params: Value) -> Value {
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let message =
            |params: &Value| json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        match self {
            Self::Legacy(door, key) => {
                let session = open_session(door, key.as_deref());
                let headers = match &session {
                    Ok(session) => vec![("Mcp-Session-Id", session.as_str())],
                    // Not let in: the call itself is what is refused in the end.
                    Err(_) => Vec::new(),
                };
                post(door, "/mcp", key.as_deref(), &headers, &message(&params))
                    .messages()
                    .remove(0)
            }
            Self::Modern(door, key) => {
                params["_meta"]["io.modelcontextprotocol/protocolVersion"] = MODERN.into();
                params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
                let mut headers = vec![("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
                if !name.is_empty() {
                    headers.push(("Mcp-Name", &name));
                }
                post(door, "/mcp", key.as_deref(), &headers, &message(&params))
                    .messages()
                    .remove(0)
            }
            Self::Stdio(session) => session.legacy(method, params),
            Self::Rest(..) | Self::Batch(..) | Self::Grpc(_) | Self::GrpcBatch(_) => {
                panic!("this door has no MCP methods")
            }
        }
    }

    /// The names of the tools that are listed.
    pub(super) fn listed(&mut self) -> Vec<String> {
        let tools = match self {
            Self::Rest(door, key) | Self::Batch(door, key) => {
                let key = format!("Bearer {}", key.as_deref().unwrap_or_default());
                door.request("GET", "/v1/tools", &[("Authorization", &key)], "")
                    .json()["tools"]
                    .clone()
            }
            Self::Grpc(client) | Self::GrpcBatch(client) => {
                client.call("ListTools", json!({}))["messages"][0]["tools"].clone()
            }
            _ => self.mcp("tools/list", json!({}))["result"]["tools"].clone(),
        };
        let tools = tools.as_array().unwrap();
        tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(super) fn post(
    door: &Door,
    path: &str,
    key: Option<&str>,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut all = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ];
    all.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    all.extend_from_slice(headers);
    door.request("POST", path, &all, &body.to_string())
}

pub(super) fn open_session(door: &Door, key: Option<&str>) -> Result<String, u16> {
    let params = json!({
        "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": { "name": "raw", "version": "1" },
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let answer = post(door, "/mcp", key, &[], &message);
    answer
        .header("mcp-session-id")
        .map(str::to_owned)
        .ok_or(answer.status)
}
