//! A scripted client, and calls by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ferromcp::core::{
    Call, CallError, Client, Credential, Door, Input, InputRequest, InputRequired, Interaction, LogMessage,
    Operation, Outcome, Payload, Progress, Reply,
};
use ferromcp::{ClientCapabilities, Gateway, LogLevel, ProtocolVersion};
use ferromcp_protocol::RequestMeta;
use serde_json::{Value, json};

/// A client that answers questions by key, and notes what it is sent.
pub(crate) struct Scripted {
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) interaction: Interaction,
    pub(crate) answers: HashMap<&'static str, Value>,
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) asked: Mutex<Vec<InputRequest>>,
}

pub(crate) const ABLE: ClientCapabilities = ClientCapabilities {
    sampling: true,
    sampling_tools: false,
    roots: true,
    elicitation_form: true,
    elicitation_url: true,
    tasks: false,
};

impl Scripted {
    /// A client of 2025-11-25 with every capability.
    pub(crate) fn legacy() -> Self {
        Self {
            version: ProtocolVersion::V2025_11_25,
            capabilities: ABLE,
            interaction: Interaction::Direct,
            answers: HashMap::new(),
            seen: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// A client of 2026-07-28 with every capability but tasks.
    pub(crate) fn modern() -> Self {
        Self {
            version: ProtocolVersion::V2026_07_28,
            interaction: Interaction::RoundTrip,
            ..Self::legacy()
        }
    }

    /// A client of 2026-07-28 that knows tasks.
    pub(crate) fn with_tasks() -> Self {
        let capabilities = ClientCapabilities { tasks: true, ..ABLE };
        Self {
            capabilities,
            ..Self::modern()
        }
    }

    /// A script over REST.
    pub(crate) fn rest() -> Self {
        Self {
            version: ProtocolVersion::LATEST,
            capabilities: ClientCapabilities::default(),
            interaction: Interaction::None,
            ..Self::legacy()
        }
    }

    pub(crate) fn answering(mut self, key: &'static str, answer: Value) -> Self {
        self.answers.insert(key, answer);
        self
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Keys of the questions it was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|q| q.key.clone()).collect()
    }

    pub(crate) async fn call(
        &self,
        gateway: &Gateway,
        operation: Operation,
        name: &str,
        arguments: Option<&Value>,
        input: Option<&Input>,
    ) -> Outcome {
        let arguments = arguments.map(Value::to_string);
        gateway
            .call(&Call {
                operation,
                name,
                arguments: arguments.as_deref(),
                params: arguments.as_deref(),
                meta: &RequestMeta::default(),
                version: self.version,
                door: Door::Library,
                credential: Credential::Local,
                tenant: None,
                client: self,
                input,
                timeout: None,
            })
            .await
    }

    pub(crate) async fn tool(
        &self,
        gateway: &Gateway,
        name: &str,
        arguments: Value,
    ) -> Result<Value, CallError> {
        let outcome = self
            .call(gateway, Operation::CallTool, name, Some(&arguments), None)
            .await;
        outcome.result.map(|reply| value(&complete(reply)))
    }

    /// Calls a tool and answers its questions in as many rounds as it takes, as a client of
    /// 2026-07-28 does. Returns the end and the number of rounds.
    pub(crate) async fn rounds(&self, gateway: &Gateway, name: &str) -> (Result<Value, CallError>, usize) {
        let mut input: Option<Input> = None;
        for round in 1.. {
            let outcome = self
                .call(
                    gateway,
                    Operation::CallTool,
                    name,
                    Some(&json!({})),
                    input.as_ref(),
                )
                .await;
            match outcome.result {
                Ok(Reply::InputRequired(InputRequired { requests, state, .. })) => {
                    assert!(round < 10, "it asks for ever");
                    let mut next = input.take().unwrap_or_default();
                    for request in &requests {
                        self.asked.lock().unwrap().push(request.clone());
                        if let Some(answer) = self.answers.get(request.key.as_str()) {
                            next.answers.push((request.key.clone(), answer.to_string()));
                        }
                    }
                    next.state = state;
                    input = Some(next);
                }
                Ok(reply) => return (Ok(value(&complete(reply))), round),
                Err(error) => return (Err(error), round),
            }
        }
        unreachable!()
    }
}

pub(crate) fn complete(reply: Reply) -> Payload {
    match reply {
        Reply::Complete(payload) => payload,
        other => panic!("not a complete result: {other:?}"),
    }
}

pub(crate) fn value(payload: &Payload) -> Value {
    serde_json::from_str(payload.as_str()).unwrap()
}

/// The text of the first content block.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

pub(crate) fn accept(content: &Value) -> Value {
    json!({ "action": "accept", "content": content })
}

impl Client for Scripted {
    fn capabilities(&self) -> &ClientCapabilities {
        &self.capabilities
    }

    fn interaction(&self) -> Interaction {
        self.interaction
    }

    fn wants_progress(&self) -> bool {
        true
    }

    fn progress(&self, p: &Progress<'_>) {
        let line = format!(
            "progress {}/{} {}",
            p.progress,
            p.total.unwrap_or(0.0),
            p.message.unwrap_or("-")
        );
        self.seen.lock().unwrap().push(line);
    }

    fn wants_log(&self, _: LogLevel) -> bool {
        true
    }

    fn log(&self, m: &LogMessage<'_>) {
        let line = format!("{} {} {}", m.level.as_str(), m.logger.unwrap_or("-"), m.data);
        self.seen.lock().unwrap().push(line);
    }

    fn release_stream(&self) {
        self.seen.lock().unwrap().push("released".into());
    }

    fn ask<'a>(&'a self, request: &'a InputRequest) -> ferromcp::core::client::AskFuture<'a> {
        self.asked.lock().unwrap().push(request.clone());
        let answer = self
            .answers
            .get(request.key.as_str())
            .map(|a| a.to_string().into());
        Box::pin(async move {
            // As from a network: not at once.
            tokio::task::yield_now().await;
            answer.ok_or_else(|| CallError::new(ferromcp::core::ErrorCode::Cancelled, "no answer"))
        })
    }
}

pub(crate) fn gateway(server: ferromcp::ServerBuilder) -> Arc<Gateway> {
    server.build().unwrap().into_gateway()
}
