//! What comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::{Error, Failure};

/// A tool, as the server lists it.
#[derive(Clone, Debug)]
pub struct Tool(pub(crate) Value);

impl Tool {
    /// By which it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }

    /// What it does.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.0["description"].as_str()
    }

    /// JSON Schema of its arguments.
    #[must_use]
    pub fn input_schema(&self) -> &Value {
        &self.0["input_schema"]
    }

    /// JSON Schema of its structured content, if it has one.
    #[must_use]
    pub fn output_schema(&self) -> Option<&Value> {
        self.0.get("output_schema")
    }

    /// Name of the server behind the gateway that it is of.
    #[must_use]
    pub fn source(&self) -> &str {
        self.0["source"].as_str().unwrap_or_default()
    }

    /// Its server is up, as far as is known.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.0["available"] != false
    }

    /// The object that REST lists: `{"name":...,"input_schema":{...},"source":...,"available":...}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// From a definition of MCP.
    pub(crate) fn of_mcp(mut definition: Value, source: String, available: bool) -> Self {
        let mut listed = serde_json::Map::new();
        for (from, to) in [
            ("name", "name"),
            ("title", "title"),
            ("description", "description"),
            ("inputSchema", "input_schema"),
            ("outputSchema", "output_schema"),
            ("annotations", "annotations"),
        ] {
            if let Some(value) = definition.get_mut(from) {
                listed.insert(to.into(), value.take());
            }
        }
        listed.insert("source".into(), source.into());
        listed.insert("available".into(), available.into());
        Self(listed.into())
    }
}

/// The result of a call.
#[derive(Clone, Debug)]
pub struct Answer(pub(crate) Value);

impl Answer {
    /// The structured content, or the text of a tool that answers with text alone.
    #[must_use]
    pub fn output(&self) -> &Value {
        &self.0["output"]
    }

    /// All content, as in MCP.
    #[must_use]
    pub fn content(&self) -> &Value {
        &self.0["content"]
    }

    /// Id of the call in logs and records.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.0["request_id"].as_str().unwrap_or_default()
    }

    /// How long the server took, from start to end.
    #[must_use]
    pub fn latency(&self) -> Duration {
        latency(&self.0)
    }

    /// The object that REST answers with: `{"success":true,"output":...,"content":[...],...}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }
}

/// The object of one call, in REST's form.
pub(crate) fn of_call(object: Value) -> Result<Answer, Error> {
    match &object["success"] {
        Value::Bool(true) => Ok(Answer(object)),
        Value::Bool(false) => Err(Failure(object).into()),
        _ => Err(Error::Broken(
            "what came is no answer to a call; is this a FerroMCP server?".into(),
        )),
    }
}

/// How the calls of a batch ended.
#[derive(Clone, Debug)]
pub struct BatchAnswer {
    /// Of each call, in the order of the request.
    pub results: Vec<Result<Answer, Error>>,
    pub(crate) whole: Value,
}

impl BatchAnswer {
    /// How long the server took for all.
    #[must_use]
    pub fn latency(&self) -> Duration {
        latency(&self.whole)
    }

    /// The object that REST answers with: `{"responses":[...],"success_count":...,"error_count":...,"latency_ms":...}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.whole
    }

    pub(crate) fn of(whole: Value) -> Result<Self, Error> {
        let Some(all) = whole["responses"].as_array() else {
            return Err(Error::Broken(
                "what came is no answer to a batch; is this a FerroMCP server?".into(),
            ));
        };
        let results = all.iter().cloned().map(of_call).collect();
        Ok(Self { results, whole })
    }
}

fn latency(object: &Value) -> Duration {
    let milliseconds = object["latency_ms"].as_f64().unwrap_or_default();
    Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or_default()
}

/// What a running call says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// How far it is.
    Progress {
        /// How far; increases.
        progress: f64,
        /// Of how much, if known.
        total: Option<f64>,
        /// A sentence for people.
        message: Option<String>,
    },
    /// A log message.
    Log {
        /// `debug`, `info`, `notice`, `warning`, `error`, `critical`, `alert` or `emergency`.
        level: String,
        /// Name of the logger, if it has one.
        logger: Option<String>,
        /// Any JSON.
        data: Value,
    },
}

/// The object of REST for a result of MCP: `{"content":[...],"structuredContent"?,"isError"?}`.
pub(crate) fn of_result(result: &Value, request_id: &str, latency_ms: f64) -> Value {
    let content = &result["content"];
    // Content that is text alone is its text, joined by line breaks.
    let text = || -> Value {
        let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Option<Vec<&str>> = blocks
            .iter()
            .map(|block| block["text"].as_str().filter(|_| block["type"] == "text"))
            .collect();
        match texts {
            Some(texts) if !texts.is_empty() => texts.join("\n").into(),
            _ => Value::Null,
        }
    };
    let structured = result.get("structuredContent").filter(|value| !value.is_null());
    let mut answer = if result["isError"] == true {
        let message = match text() {
            Value::Null => "the tool reports an error; see content".into(),
            text => text,
        };
        let mut failed = json!({ "success": false, "error": { "code": "tool_error", "message": message } });
        if let Some(structured) = structured {
            failed["output"] = structured.clone();
        }
        failed
    } else {
        json!({ "success": true, "output": structured.cloned().unwrap_or_else(text) })
    };
    answer["content"] = content.clone();
    answer["request_id"] = request_id.into();
    answer["latency_ms"] = latency_ms.into();
    answer
}
