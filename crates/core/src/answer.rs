//! Outcomes as JSON for people and programs without MCP: what `/v1` answers, what `batch_call` returns, what the command
//! line prints.

use std::borrow::Cow;
use std::time::Duration;

use ferromcp_protocol::json;

use crate::batch::{BatchSink, BatchSummary, MAX_RESULTS, RULE_RESULTS};
use crate::error::{CallError, ErrorCode};
use crate::gateway::Outcome;
use crate::reply::{Payload, Reply};

impl Outcome {
    /// The result for a caller who takes results only: one who cannot be asked for input and knows no tasks.
    ///
    /// # Errors
    /// Why there is none.
    pub fn settled(&self) -> Result<&Payload, Cow<'_, CallError>> {
        match &self.result {
            Ok(Reply::Complete(payload)) => Ok(payload),
            Ok(Reply::InputRequired(_)) => Err(Cow::Owned(
                CallError::new(
                    ErrorCode::InvalidRequest,
                    "this tool asks for input while it runs, which this door cannot relay; call it over \
                     MCP (POST /mcp), where a client can answer",
                )
                .maybe_ran(),
            )),
            Ok(Reply::Task(_)) => Err(Cow::Owned(
                CallError::new(
                    ErrorCode::UpstreamError,
                    "the tool answered with a task although this door knows none; call it over MCP (POST /mcp)",
                )
                .maybe_ran(),
            )),
            Err(error) => Err(Cow::Borrowed(error)),
        }
    }

    /// Appends `{"id"?,"success":true,"output","content","request_id","latency_ms"}`, or with `"success":false` and
    /// `"error"`.
    pub fn write_rest(&self, out: &mut Vec<u8>, id: Option<&str>) {
        out.push(b'{');
        if let Some(id) = id {
            out.extend_from_slice(b"\"id\":");
            json::write_str(out, id);
            out.push(b',');
        }
        match self.settled() {
            Ok(payload) => write_result(out, payload),
            Err(error) => {
                out.extend_from_slice(b"\"success\":false,\"error\":");
                error.write_rest(out);
            }
        }
        out.extend_from_slice(b",\"request_id\":\"");
        out.extend_from_slice(&self.request_id.to_hex());
        out.extend_from_slice(b"\",\"latency_ms\":");
        write_milliseconds(out, self.latency);
        out.push(b'}');
    }
}

fn write_result(out: &mut Vec<u8>, payload: &Payload) {
    let content = payload.content();
    out.reserve(payload.len() * 2 + 160);
    if payload.is_error() {
        out.extend_from_slice(b"\"success\":false,\"error\":{\"code\":\"tool_error\",\"message\":");
        match Payload::text_of(content) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => out.extend_from_slice(b"\"the tool reports an error; see content\""),
        }
        out.push(b'}');
        if let Some(structured) = payload.structured() {
            out.extend_from_slice(b",\"output\":");
            out.extend_from_slice(structured.as_bytes());
        }
    } else {
        out.extend_from_slice(b"\"success\":true,\"output\":");
        match payload.structured() {
            Some(structured) => out.extend_from_slice(structured.as_bytes()),
            None => match Payload::text_of(content) {
                Some(text) => out.extend_from_slice(text.as_bytes()),
                None => out.extend_from_slice(b"null"),
            },
        }
    }
    out.extend_from_slice(b",\"content\":");
    out.extend_from_slice(content.as_bytes());
}

/// Appends a number of milliseconds, to the microsecond.
fn write_milliseconds(out: &mut Vec<u8>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    out.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
    out.push(b'.');
    let fraction = micros % 1000;
    out.extend([fraction / 100, fraction / 10 % 10, fraction % 10].map(|digit| b'0' + digit as u8));
}

impl CallError {
    /// Appends `{"code","message","rule"?,"retry_after_ms"?,"details"?}`; details are the places that are wrong (`issues`),
    /// whether the tool may have run (`may_have_run`), and an upstream's own error (`rpc`).
    pub fn write_rest(&self, out: &mut Vec<u8>) {
        let mut details = serde_json::Map::new();
        out.extend_from_slice(b"{\"code\":");
        json::write_str(out, self.code().as_str());
        out.extend_from_slice(b",\"message\":");
        json::write_str(out, self.message());
        if let serde_json::Value::Object(all) = self.details() {
            for (key, value) in all {
                match key.as_str() {
                    "code" => {}
                    "rule" | "retry_after_ms" => {
                        out.push(b',');
                        json::write_str(out, &key);
                        out.push(b':');
                        out.extend_from_slice(value.to_string().as_bytes());
                    }
                    _ => {
                        details.insert(key, value);
                    }
                }
            }
        }
        if self.code() == ErrorCode::Relayed
            && let Some(rpc) = self.rpc_error()
        {
            let mut raw = Vec::new();
            rpc.write(&mut raw);
            if let Ok(rpc) = serde_json::from_slice(&raw) {
                details.insert("rpc".into(), rpc);
            }
        }
        if !details.is_empty() {
            out.extend_from_slice(b",\"details\":");
            out.extend_from_slice(serde_json::Value::Object(details).to_string().as_bytes());
        }
        out.push(b'}');
    }
}

/// Collects the outcomes of a batch in the caller's order:
/// `{"responses":[...],"success_count","error_count","latency_ms"}`.
///
/// Holds at most [`MAX_RESULTS`]; what does not fit is answered as an error that says so.
#[derive(Debug)]
pub struct BatchAnswer<'b> {
    batch: &'b crate::Batch<'b>,
    out: Vec<u8>,
    /// The place of the next outcome in `out`.
    next: usize,
    /// Outcomes that came before those in front of them.
    early: std::collections::BTreeMap<usize, Vec<u8>>,
    /// Bytes of `early`.
    held: usize,
    most: usize,
}

impl<'b> BatchAnswer<'b> {
    /// For the outcomes of this batch.
    pub fn new(batch: &'b crate::Batch<'b>) -> Self {
        Self {
            batch,
            out: b"{\"responses\":[".to_vec(),
            next: 0,
            early: std::collections::BTreeMap::new(),
            held: 0,
            most: MAX_RESULTS,
        }
    }

    /// The whole answer.
    pub fn finish(mut self, summary: &BatchSummary) -> Vec<u8> {
        let out = &mut self.out;
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"],\"success_count\":");
        out.extend_from_slice(number.format(summary.succeeded).as_bytes());
        out.extend_from_slice(b",\"error_count\":");
        out.extend_from_slice(number.format(summary.failed).as_bytes());
        out.extend_from_slice(b",\"latency_ms\":");
        write_milliseconds(out, summary.latency);
        out.push(b'}');
        self.out
    }

    /// An answer that is too large goes, and an error that says so comes.
    fn bounded(&self, outcome: Outcome) -> Outcome {
        let size = match &outcome.result {
            // Text is there twice, as content and as output.
            Ok(reply) => reply.size() * 2,
            Err(_) => 0,
        };
        if self.out.len() + self.held + size <= self.most {
            return outcome;
        }
        let message = format!(
            "the tool ran, but the answers of this batch have more than {} bytes and this one is left out; send smaller batches",
            self.most
        );
        Outcome {
            result: Err(CallError::new(ErrorCode::PayloadTooLarge, message)
                .with_rule(RULE_RESULTS)
                .maybe_ran()),
            ..outcome
        }
    }
}

impl BatchSink for BatchAnswer<'_> {
    fn ended(&mut self, at: usize, outcome: Outcome) {
        let outcome = self.bounded(outcome);
        let id = self.batch.id(at);
        if at != self.next {
            let mut text = Vec::new();
            outcome.write_rest(&mut text, id);
            self.held += text.len();
            self.early.insert(at, text);
            return;
        }
        if at > 0 {
            self.out.push(b',');
        }
        outcome.write_rest(&mut self.out, id);
        self.next += 1;
        while let Some(text) = self.early.remove(&self.next) {
            self.held -= text.len();
            self.out.push(b',');
            self.out.extend_from_slice(&text);
            self.next += 1;
        }
    }
}
