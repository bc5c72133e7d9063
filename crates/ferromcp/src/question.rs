//! What a caller can be asked for, and how its answers are checked.

mod form;
mod sample;

use std::sync::Arc;

use ferromcp_core::InputKind;
use ferromcp_guard::CompiledSchema;
use ferromcp_protocol::ProtocolVersion;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ToolError;

pub use form::Form;
pub use sample::{Sample, Sampled};

/// One kind of question for [`Context::ask`](crate::Context::ask). Implemented by [`Form`],
/// [`Url`], [`Sample`] and [`Roots`]; the set is closed by the protocol.
pub trait Question: sealed::Sealed + Send {
    /// What the answer is made of.
    type Answer: Send;

    /// The kind, which decides what the client must be able to do.
    fn kind(&self) -> InputKind;

    /// Raw JSON of the request's `params`. `in_place` if the call waits for the answer.
    #[doc(hidden)]
    fn params(&self, version: ProtocolVersion, in_place: bool) -> Result<String, ToolError>;

    #[doc(hidden)]
    fn check(&self) -> Check;

    /// Reads an answer; an error says in words why it is none.
    #[doc(hidden)]
    fn decode(&self, raw: &str) -> Result<Self::Answer, String>;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::Form<T> {}
    impl Sealed for super::Url {}
    impl Sealed for super::Sample {}
    impl Sealed for super::Roots {}
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Yes, with the data.
    Accepted(T),
    /// No.
    Declined,
    /// The person closed the question without an answer.
    Cancelled,
}

impl<T> Answer<T> {
    /// The data, if the person agreed.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(data) => Some(data),
            Self::Declined | Self::Cancelled => None,
        }
    }

    /// The protocol's word for the answer: `accept`, `decline` or `cancel`.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accept",
            Self::Declined => "decline",
            Self::Cancelled => "cancel",
        }
    }
}

/// Checks a raw answer without knowing the type that it will become.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Check {
    /// An elicitation result whose content fits the schema.
    Form(Arc<CompiledSchema>),
    /// An elicitation result without content.
    Url,
    /// A sampling result.
    Sample,
    /// A list of roots.
    Roots,
}

impl Check {
    /// An error says in words what is wrong with the answer.
    pub(crate) fn run(&self, raw: &str) -> Result<(), String> {
        match self {
            Self::Form(schema) => elicited(raw, Some(schema)).map(drop),
            Self::Url => elicited(raw, None).map(drop),
            Self::Sample => Sampled::parse(raw).map(drop),
            Self::Roots => roots(raw).map(drop),
        }
    }
}

#[derive(Deserialize)]
struct Elicited {
    action: String,
    #[serde(default)]
    content: Option<Value>,
}

/// Reads an elicitation result and checks its content.
fn elicited(raw: &str, schema: Option<&CompiledSchema>) -> Result<Answer<Value>, String> {
    let found: Elicited = serde_json::from_str(raw).map_err(|e| format!("not an elicitation result: {e}"))?;
    match found.action.as_str() {
        "accept" => {}
        "decline" => return Ok(Answer::Declined),
        "cancel" => return Ok(Answer::Cancelled),
        _ => return Err("`action` must be accept, decline or cancel".into()),
    }
    let content = found.content.unwrap_or_else(|| json!({}));
    if let Some(schema) = schema {
        schema.check(&content).map_err(|issues| match issues.first() {
            Some(first) => format!("content does not fit the requested schema: {first}"),
            None => "content does not fit the requested schema".into(),
        })?;
    }
    Ok(Answer::Accepted(content))
}

/// Asks a person to open a page (2025-11-25 client/elicitation, "URL Mode"). Made by
/// [`Context::elicit_url`](crate::Context::elicit_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    message: String,
    url: String,
    id: String,
}

impl Url {
    /// A question with a sentence for the person, and the page's address.
    pub fn new(message: impl Into<String>, url: impl Into<String>) -> Result<Self, ToolError> {
        let id = crate::random::hex128()?;
        Ok(Self {
            message: message.into(),
            url: url.into(),
            id,
        })
    }
}

impl Question for Url {
    type Answer = Answer<()>;

    fn kind(&self) -> InputKind {
        InputKind::ElicitUrl
    }

    fn params(&self, version: ProtocolVersion, _in_place: bool) -> Result<String, ToolError> {
        let mut params = json!({ "mode": "url", "message": self.message, "url": self.url });
        if !version.is_modern() {
            params["elicitationId"] = self.id.as_str().into();
        }
        Ok(params.to_string())
    }

    fn check(&self) -> Check {
        Check::Url
    }

    fn decode(&self, raw: &str) -> Result<Answer<()>, String> {
        Ok(match elicited(raw, None)? {
            Answer::Accepted(_) => Answer::Accepted(()),
            Answer::Declined => Answer::Declined,
            Answer::Cancelled => Answer::Cancelled,
        })
    }
}

/// Asks for the client's roots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots;

/// A place that the client works in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Its URI, usually `file://`.
    pub uri: String,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
}

impl Question for Roots {
    type Answer = Vec<Root>;

    fn kind(&self) -> InputKind {
        InputKind::Roots
    }

    fn params(&self, _version: ProtocolVersion, _in_place: bool) -> Result<String, ToolError> {
        Ok("{}".into())
    }

    fn check(&self) -> Check {
        Check::Roots
    }

    fn decode(&self, raw: &str) -> Result<Vec<Root>, String> {
        roots(raw)
    }
}

fn roots(raw: &str) -> Result<Vec<Root>, String> {
    #[derive(Deserialize)]
    struct Listed {
        roots: Vec<Root>,
    }
    serde_json::from_str::<Listed>(raw)
        .map(|l| l.roots)
        .map_err(|e| format!("not a list of roots: {e}"))
}
