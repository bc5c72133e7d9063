//! Prompts.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use ferromcp_core::{CallContext, CallError, ErrorCode, Payload, SourceFuture};
use ferromcp_protocol::json::{self, Object};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::complete::{Completers, Completing};
use crate::content::{Content, Icon, member, write_json};
use crate::context::{Context, drive};
use crate::error::ToolError;
use crate::handler::{Handler, Parse};
use crate::server::Shared;
use crate::tool::ask_first;
use crate::{schema, strings};

/// A prompt: a template of messages that people pick.
///
/// Arguments always travel as text; fields of other types are parsed.
///
/// ```
/// use ferromcp::{JsonSchema, Prompt};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Review {
///     /// Programming language of the code.
///     language: String,
///     /// How many findings at most.
///     limit: Option<u8>,
/// }
///
/// let prompt = Prompt::new("review", "Reviews code", |args: Review| async move {
///     format!("Review this {} code; name at most {} findings.", args.language, args.limit.unwrap_or(5))
/// })
/// .choices("language", ["go", "python", "rust"]);
/// # let _ = prompt;
/// ```
pub struct Prompt {
    pub(crate) name: String,
    title: Option<String>,
    description: String,
    arguments: Vec<Argument>,
    icons: Vec<Icon>,
    meta: Option<Value>,
    pub(crate) completers: Completers,
    pub(crate) handler: Arc<dyn ErasedPrompt>,
}

#[derive(Clone, Debug, Serialize)]
struct Argument {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    required: bool,
}

impl Prompt {
    /// A prompt from an async function or closure. Its arguments are the fields of the type that
    /// the function takes.
    pub fn new<M, H>(name: impl Into<String>, description: impl Into<String>, handler: H) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Args: JsonSchema,
        H::Output: PromptOutput,
    {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            arguments: arguments(&schema::inline::<H::Args>()),
            icons: Vec::new(),
            meta: None,
            completers: Completers::default(),
            handler: Arc::new(FnPrompt {
                handler,
                shape: PhantomData,
            }),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Lists an argument by hand, for handlers that take a map; or describes one anew.
    #[must_use]
    pub fn argument(
        mut self,
        name: impl Into<String>,
        description: impl Into<String>,
        required: bool,
    ) -> Self {
        let made = Argument {
            name: name.into(),
            title: None,
            description: Some(description.into()),
            required,
        };
        match self.arguments.iter_mut().find(|a| a.name == made.name) {
            Some(place) => *place = made,
            None => self.arguments.push(made),
        }
        self
    }

    /// An icon; may be called more than once.
    #[must_use]
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icons.push(icon);
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    /// Completes an argument with a function.
    #[must_use]
    pub fn complete<F, Fut, I>(mut self, argument: impl Into<String>, complete: F) -> Self
    where
        F: Fn(Completing) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = I> + Send + 'static,
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.completers.add(argument.into(), complete);
        self
    }

    /// Completes an argument to those of the choices that begin with what was typed.
    #[must_use]
    pub fn choices(
        mut self,
        argument: impl Into<String>,
        choices: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.completers
            .add_choices(argument.into(), choices.into_iter().map(Into::into).collect());
        self
    }

    /// The prompt as MCP lists it, and what is wrong with it.
    pub(crate) fn definition(&self, problems: &mut Vec<String>) -> String {
        let name = &self.name;
        for argument in self
            .completers
            .names()
            .filter(|n| self.arguments.iter().all(|a| a.name != *n))
        {
            problems.push(format!(
                "prompt `{name}`: it completes `{argument}`, which is none of its arguments"
            ));
        }
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"{\"name\":");
        json::write_str(&mut out, name);
        if let Some(title) = &self.title {
            member(&mut out, "title", title);
        }
        member(&mut out, "description", &self.description);
        if !self.arguments.is_empty() {
            write_json(&mut out, "arguments", &self.arguments);
        }
        if !self.icons.is_empty() {
            write_json(&mut out, "icons", &self.icons);
        }
        match &self.meta {
            Some(meta) if meta.is_object() => write_json(&mut out, "_meta", meta),
            Some(_) => problems.push(format!("prompt `{name}`: its meta must be a JSON object")),
            None => {}
        }
        out.push(b'}');
        // Only whole JSON texts were appended.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Arguments from the schema of their type: the required ones in the order of the fields, then
/// the others.
fn arguments(schema: &Value) -> Vec<Argument> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let optional = properties
        .keys()
        .map(String::as_str)
        .filter(|name| !required.contains(name));
    required
        .iter()
        .copied()
        .chain(optional)
        .map(|name| {
            let text = |key: &str| properties.get(name)?.get(key)?.as_str().map(str::to_owned);
            Argument {
                name: name.to_owned(),
                title: text("title"),
                description: text("description"),
                required: required.contains(&name),
            }
        })
        .collect()
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    role: Role,
    content: Content,
}

impl Message {
    /// Said by the person.
    pub fn user(content: impl Into<Content>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// Said by the model.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }
}

/// A prompt's result in all its parts.
#[derive(Clone, Debug, Default)]
pub struct PromptResult {
    description: Option<String>,
    messages: Vec<Message>,
    meta: Option<Value>,
}

impl PromptResult {
    /// A result with these messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            description: None,
            messages: messages.into_iter().collect(),
            meta: None,
        }
    }

    /// What the messages are for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets `_meta`, a JSON object.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }
}

/// Something a prompt may return: text for one message of the user, [`Message`]s, a whole
/// [`PromptResult`], or a `Result` of these with [`ToolError`].
pub trait PromptOutput {
    /// The result in all its parts.
    fn into_result(self) -> Result<PromptResult, ToolError>;
}

impl PromptOutput for PromptResult {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        Ok(self)
    }
}

impl PromptOutput for Vec<Message> {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        Ok(PromptResult::new(self))
    }
}

impl PromptOutput for Message {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        Ok(PromptResult::new([self]))
    }
}

impl PromptOutput for String {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        Message::user(self).into_result()
    }
}

impl PromptOutput for &str {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        Message::user(self).into_result()
    }
}

impl<T: PromptOutput> PromptOutput for Result<T, ToolError> {
    fn into_result(self) -> Result<PromptResult, ToolError> {
        self?.into_result()
    }
}

/// A prompt handler whose types are gone.
pub(crate) trait ErasedPrompt: Send + Sync {
    fn call<'a>(&'a self, cx: CallContext<'a>, server: &'a Arc<Shared>) -> SourceFuture<'a>;
}

struct FnPrompt<M, H> {
    handler: H,
    shape: PhantomData<fn(M)>,
}

impl<M, H> ErasedPrompt for FnPrompt<M, H>
where
    M: 'static,
    H: Handler<M>,
    H::Output: PromptOutput,
{
    fn call<'a>(&'a self, cx: CallContext<'a>, server: &'a Arc<Shared>) -> SourceFuture<'a> {
        Box::pin(async move {
            let args = H::parse(Texts(cx.arguments.raw))?;
            let context = Context::new(&cx, server, false);
            let running = self.handler.invoke(args, || context.clone());
            match drive(cx, &context, running).await.into_result() {
                Ok(result) => Ok(ferromcp_core::Reply::Complete(write(&result))),
                Err(error) if error.is_input_required() => Ok(ask_first(&context)),
                Err(error) => Err(error.into_call_error(cx.call.version)),
            }
        })
    }
}

fn write(result: &PromptResult) -> Payload {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"{\"messages\":[");
    for (i, message) in result.messages.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"role\":\"");
        out.extend_from_slice(message.role.as_str().as_bytes());
        out.extend_from_slice(b"\",\"content\":");
        message.content.write(&mut out);
        out.push(b'}');
    }
    out.push(b']');
    if let Some(description) = &result.description {
        member(&mut out, "description", description);
    }
    match result.meta.as_ref().filter(|m| m.is_object()) {
        Some(meta) => {
            write_json(&mut out, "_meta", meta);
            out.push(b'}');
            Payload::relayed(out).unwrap_or_else(|_| Payload::plain(b"{}".to_vec()))
        }
        None => {
            out.push(b'}');
            Payload::plain(out)
        }
    }
}

/// Prompt arguments: a JSON object of texts. Other JSON values, which some clients send, count as
/// their JSON text.
struct Texts<'a>(&'a str);

impl Parse for Texts<'_> {
    fn parse<T: DeserializeOwned>(self) -> Result<T, CallError> {
        let bad = |e: String| {
            CallError::new(
                ErrorCode::InvalidArguments,
                format!("arguments do not fit the prompt: {e}"),
            )
            .with_rule("schema.arguments")
        };
        let given = Object::parse(self.0).map_err(|e| bad(e.to_string()))?;
        let pairs: Vec<(String, String)> = given
            .iter()
            .filter(|(_, raw)| *raw != "null")
            .map(|(name, raw)| {
                let text = json::decode_str(raw).map_or_else(|| raw.to_owned(), String::from);
                (name.to_owned(), text)
            })
            .collect();
        strings::read(&pairs).map_err(|e| bad(e.to_string()))
    }
}
