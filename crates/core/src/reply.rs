//! What a source answers.

use std::borrow::Cow;
use std::ops::Range;

use ferromcp_protocol::json::{self, JsonError, Object};

/// Most content blocks that are looked at for text.
const MAX_BLOCKS: usize = 10_000;

/// A source's answer to a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The result.
    Complete(Payload),
    /// The caller has to give input and call again. Only for callers with
    /// [`Interaction::RoundTrip`](crate::Interaction::RoundTrip).
    InputRequired(InputRequired),
    /// A task was created (tasks extension); the payload is the task object.
    Task(Payload),
}

impl Reply {
    /// Size of what the source answered, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Complete(payload) | Self::Task(payload) => payload.len(),
            Self::InputRequired(_) => 0,
        }
    }
}

/// The raw JSON object of a result, with the few facts about it that doors need.
#[derive(Clone, Debug)]
pub struct Payload {
    json: Vec<u8>,
    is_error: bool,
    has_meta: bool,
    /// It came from elsewhere and has members that only one era knows (`resultType`, `ttlMs`,
    /// `cacheScope`).
    has_modern_members: bool,
    structured: Option<Range<u32>>,
}

impl Payload {
    /// Takes a result object that came from elsewhere: checks that it is one JSON object without
    /// duplicate members, and notes what it has.
    pub fn relayed(json: Vec<u8>) -> Result<Self, JsonError> {
        let text = json::validate(&json)?;
        let start = text.as_ptr() as usize - json.as_ptr() as usize;
        let end = start + text.len();
        if start != 0 || end != json.len() {
            return Self::relayed(json[start..end].to_vec());
        }
        let object = Object::parse(text)?;
        let mut facts = (false, false, false, None);
        for (key, value) in object.iter() {
            match key {
                "isError" => facts.0 = value == "true",
                "_meta" => facts.1 = true,
                "resultType" | "ttlMs" | "cacheScope" => facts.2 = true,
                "structuredContent" => {
                    let at = value.as_ptr() as usize - json.as_ptr() as usize;
                    facts.3 = range(at, value.len());
                }
                _ => {}
            }
        }
        let (is_error, has_meta, has_modern_members, structured) = facts;
        drop(object);
        Ok(Self {
            json,
            is_error,
            has_meta,
            has_modern_members,
            structured,
        })
    }

    /// A result object written by this process with none of the members that need attention.
    /// `json` must be the text of one JSON object.
    pub fn plain(json: Vec<u8>) -> Self {
        debug_assert!(json.first() == Some(&b'{') && json.last() == Some(&b'}'));
        Self {
            json,
            is_error: false,
            has_meta: false,
            has_modern_members: false,
            structured: None,
        }
    }

    /// A tool result with one text block.
    pub fn text(text: &str) -> Self {
        let mut json = Vec::with_capacity(text.len() + 48);
        json.extend_from_slice(b"{\"content\":[{\"type\":\"text\",\"text\":");
        json::write_str(&mut json, text);
        json.extend_from_slice(b"}]}");
        Self::plain(json)
    }

    /// A tool result that says that the tool failed.
    pub fn error_text(text: &str) -> Self {
        let mut made = Self::text(text);
        made.json.pop();
        made.json.extend_from_slice(b",\"isError\":true}");
        made.is_error = true;
        made
    }

    /// A tool result from raw parts: `content` is a raw JSON array, `structured` any raw JSON,
    /// `meta` a raw JSON object.
    pub fn tool(content: &str, structured: Option<&str>, is_error: bool, meta: Option<&str>) -> Self {
        let mut json = Vec::with_capacity(content.len() + structured.map_or(0, str::len) + 64);
        json.extend_from_slice(b"{\"content\":");
        json.extend_from_slice(content.as_bytes());
        let mut place = None;
        if let Some(structured) = structured {
            json.extend_from_slice(b",\"structuredContent\":");
            place = range(json.len(), structured.len());
            json.extend_from_slice(structured.as_bytes());
        }
        if is_error {
            json.extend_from_slice(b",\"isError\":true");
        }
        if let Some(meta) = meta {
            json.extend_from_slice(b",\"_meta\":");
            json.extend_from_slice(meta.as_bytes());
        }
        json.push(b'}');
        Self {
            json,
            is_error,
            has_meta: meta.is_some(),
            has_modern_members: false,
            structured: place,
        }
    }

    /// The whole object.
    pub fn as_str(&self) -> &str {
        // Checked by `relayed`; our own writers only append UTF-8.
        std::str::from_utf8(&self.json).unwrap_or("{}")
    }

    /// The whole object as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.json
    }

    /// The members without the braces: what a door splices into its own object.
    pub fn members(&self) -> &[u8] {
        self.json
            .get(1..self.json.len().saturating_sub(1))
            .unwrap_or_default()
            .trim_ascii()
    }

    /// The tool says that it failed.
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// There is a `_meta` member.
    pub fn has_meta(&self) -> bool {
        self.has_meta
    }

    /// There is a `resultType`, `ttlMs` or `cacheScope` member.
    pub fn has_modern_members(&self) -> bool {
        self.has_modern_members
    }

    /// Raw text of `structuredContent`.
    pub fn structured(&self) -> Option<&str> {
        let range = self.structured.clone()?;
        self.as_str().get(range.start as usize..range.end as usize)
    }

    /// The raw array of content blocks, `[]` if there is none.
    pub fn content(&self) -> &str {
        let object = Object::parse(self.as_str()).ok();
        object
            .and_then(|o| o.get("content"))
            .filter(|c| c.starts_with('['))
            .unwrap_or("[]")
    }

    /// What the tool put out, as raw JSON: its structured content, or its text if it has only text.
    pub fn output(&self) -> Option<Cow<'_, str>> {
        match self.structured() {
            Some(structured) => Some(Cow::Borrowed(structured)),
            None => Self::text_of(self.content()),
        }
    }

    /// The text of content blocks that are only text, as raw JSON. One block, the common case, is passed on without being
    /// decoded; several are joined by line breaks.
    pub(crate) fn text_of<'c>(content: &'c str) -> Option<Cow<'c, str>> {
        let blocks = json::elements(content, MAX_BLOCKS).ok()?;
        let mut texts = blocks.iter().map(|block| {
            let block = Object::parse(block).ok()?;
            if block.get("type") != Some("\"text\"") {
                return None;
            }
            block.get("text").filter(|t| t.starts_with('"'))
        });
        let first = texts.next()??;
        if blocks.len() == 1 {
            return Some(first.into());
        }
        let mut joined = json::decode_str(first)?.into_owned();
        for text in texts {
            joined.push('\n');
            joined.push_str(&json::decode_str(text?)?);
        }
        Some(json::quote(&joined).into())
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.json.len()
    }

    /// True for `{}`.
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }
}

fn range(at: usize, len: usize) -> Option<Range<u32>> {
    Some(u32::try_from(at).ok()?..u32::try_from(at + len).ok()?)
}

/// What kind of input is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// `elicitation/create` in form mode.
    ElicitForm,
    /// `elicitation/create` in URL mode.
    ElicitUrl,
    /// `sampling/createMessage`.
    Sample,
    /// `roots/list`.
    Roots,
}

impl InputKind {
    /// The MCP method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::ElicitForm | Self::ElicitUrl => "elicitation/create",
            Self::Sample => "sampling/createMessage",
            Self::Roots => "roots/list",
        }
    }
}

/// One question to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequest {
    /// Name of the question, unique within the call; the answer comes back under it.
    pub key: String,
    /// What is asked for.
    pub kind: InputKind,
    /// Raw JSON object: the `params` of the request.
    pub params: String,
}

/// Input that is needed before the call can end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRequired {
    /// The questions.
    pub requests: Vec<InputRequest>,
    /// State of the source's own, sealed by the door before it travels. Text.
    pub state: Option<String>,
    /// The source needs no answers of earlier rounds again: the next round brings only its own.
    pub forget_answers: bool,
}

/// Answers that came back with a repeated call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Question key and raw JSON of the answer, of all rounds so far (or of the last one, see
    /// [`InputRequired::forget_answers`]).
    pub answers: Vec<(String, String)>,
    /// What the source put into [`InputRequired::state`].
    pub state: Option<String>,
}

impl Input {
    /// The raw answer to a question.
    pub fn answer(&self, key: &str) -> Option<&str> {
        self.answers
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }
}
