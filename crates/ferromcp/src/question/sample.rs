//! Questions to the client's model.

use ferromcp_core::InputKind;
use ferromcp_protocol::ProtocolVersion;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Check, Question};
use crate::content::Content;
use crate::error::ToolError;
use crate::prompt::Role;

/// A request to the client's model (2026-07-28 client/sampling).
///
/// ```
/// use ferromcp::Sample;
/// let question = Sample::new("Summarise this in one line: ...")
///     .system("You are terse.")
///     .max_tokens(200)
///     .temperature(0.2);
/// # let _ = question;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    messages: Vec<(Role, Content)>,
    max_tokens: u32,
    members: Map<String, Value>,
    hints: Vec<String>,
}

impl Sample {
    /// One question by the user; at most 1,000 tokens are wanted unless said otherwise.
    pub fn new(question: impl Into<Content>) -> Self {
        Self {
            messages: vec![(Role::User, question.into())],
            max_tokens: 1_000,
            members: Map::new(),
            hints: Vec::new(),
        }
    }

    /// One more message of the conversation.
    #[must_use]
    pub fn message(mut self, role: Role, content: impl Into<Content>) -> Self {
        self.messages.push((role, content.into()));
        self
    }

    /// How long the answer may be.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// System prompt.
    #[must_use]
    pub fn system(self, prompt: impl Into<String>) -> Self {
        self.member("systemPrompt", prompt.into().into())
    }

    /// Sampling temperature.
    #[must_use]
    pub fn temperature(self, temperature: f64) -> Self {
        self.member("temperature", temperature.into())
    }

    /// Texts that end the answer.
    #[must_use]
    pub fn stop_sequences(self, stop: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.member(
            "stopSequences",
            stop.into_iter().map(Into::into).collect::<Vec<String>>().into(),
        )
    }

    /// Part of the name of a model that would do well; the most wanted first.
    #[must_use]
    pub fn model_hint(mut self, name: impl Into<String>) -> Self {
        self.hints.push(name.into());
        self
    }

    /// Any other member of the request, such as `tools` or `modelPreferences`.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>, value: Value) -> Self {
        self.members.insert(name.into(), value);
        self
    }
}

impl Question for Sample {
    type Answer = Sampled;

    fn kind(&self) -> InputKind {
        InputKind::Sample
    }

    fn params(&self, _version: ProtocolVersion, _in_place: bool) -> Result<String, ToolError> {
        let mut messages = Vec::with_capacity(self.messages.len());
        for (role, content) in &self.messages {
            let mut raw = Vec::new();
            content.write(&mut raw);
            let content: Value = serde_json::from_slice(&raw)?;
            messages.push(json!({ "role": role.as_str(), "content": content }));
        }
        let mut params = self.members.clone();
        params.insert("messages".into(), messages.into());
        params.insert("maxTokens".into(), self.max_tokens.into());
        if !self.hints.is_empty() {
            let hints: Vec<Value> = self.hints.iter().map(|name| json!({ "name": name })).collect();
            let preferences = params.entry("modelPreferences").or_insert_with(|| json!({}));
            if let Value::Object(preferences) = preferences {
                preferences.insert("hints".into(), hints.into());
            }
        }
        Ok(Value::Object(params).to_string())
    }

    fn check(&self) -> Check {
        Check::Sample
    }

    fn decode(&self, raw: &str) -> Result<Sampled, String> {
        Sampled::parse(raw)
    }
}

/// What the client's model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The model that answered.
    pub model: String,
    /// Why it stopped: `endTurn`, `stopSequence`, `maxTokens`, or a client's own word.
    pub stop_reason: Option<String>,
    /// Content blocks as they came.
    pub content: Vec<Value>,
}

impl Sampled {
    /// The text blocks together.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .content
            .iter()
            .filter_map(|c| c.get("text")?.as_str())
            .collect();
        texts.join("\n")
    }

    pub(crate) fn parse(raw: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            #[serde(default)]
            model: String,
            stop_reason: Option<String>,
            content: Value,
        }
        let wire: Wire = serde_json::from_str(raw).map_err(|e| format!("not a sampling result: {e}"))?;
        let content = match wire.content {
            Value::Array(blocks) => blocks,
            one @ Value::Object(_) => vec![one],
            _ => return Err("not a sampling result: `content` must be a block or an array of blocks".into()),
        };
        if let Some(bad) = content
            .iter()
            .position(|block| block.get("type").and_then(Value::as_str).is_none())
        {
            return Err(format!(
                "not a sampling result: content block {bad} has no `type`"
            ));
        }
        Ok(Self {
            model: wire.model,
            stop_reason: wire.stop_reason,
            content,
        })
    }
}
