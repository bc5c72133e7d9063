//! Resources and resource templates.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use ferromcp_core::{CallContext, CallError, ErrorCode, Payload, Reply, SourceFuture};
use ferromcp_protocol::json;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::complete::{Completers, Completing};
use crate::content::{Annotations, Audience, Icon, ResourceContents, member, write_json};
use crate::context::{Context, drive};
use crate::error::ToolError;
use crate::handler::{Handler, Parse};
use crate::server::Shared;
use crate::strings;
use crate::template::Template;
use crate::tool::ask_first;

/// A resource: something to read under a URI.
///
/// ```
/// use ferromcp::{Resource, ToolError};
///
/// let motto = Resource::text("app://motto", "motto", "Know what you run.");
/// let hosts = Resource::new("file:///etc/hosts", "hosts", || async {
///     Ok::<_, ToolError>(tokio::fs::read_to_string("/etc/hosts").await?)
/// })
/// .mime_type("text/plain");
/// # let _ = (motto, hosts);
/// ```
pub struct Resource {
    pub(crate) uri: String,
    pub(crate) facts: Facts,
    size: Option<u64>,
    pub(crate) handler: Arc<dyn ErasedResource>,
}

/// A family of resources under a URI template (RFC 6570).
///
/// The handler gets the template's variables as one type; fields that are not text are parsed.
///
/// ```
/// use ferromcp::{ResourceTemplate, ToolError};
///
/// #[derive(serde::Deserialize)]
/// struct Row { table: String, id: u64 }
///
/// let rows = ResourceTemplate::new("db://{table}/{id}", "row", |row: Row| async move {
///     if row.id == 0 {
///         return Err(ToolError::resource_not_found(format!("db://{}/0", row.table)));
///     }
///     Ok(format!("row {} of {}", row.id, row.table))
/// })
/// .choices("table", ["orders", "people"]);
/// # let _ = rows;
/// ```
pub struct ResourceTemplate {
    pub(crate) template: String,
    pub(crate) facts: Facts,
    pub(crate) completers: Completers,
    pub(crate) handler: Arc<dyn ErasedResource>,
}

/// What resources and templates have in common.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    name: String,
    title: Option<String>,
    description: Option<String>,
    pub(crate) mime_type: Option<String>,
    annotations: Annotations,
    icons: Vec<Icon>,
    meta: Option<Value>,
}

impl Facts {
    fn new(name: String) -> Self {
        Self {
            name,
            title: None,
            description: None,
            mime_type: None,
            annotations: Annotations::default(),
            icons: Vec::new(),
            meta: None,
        }
    }

    fn write(&self, key: &str, uri: &str, size: Option<u64>, problems: &mut Vec<String>) -> String {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        json::write_str(&mut out, uri);
        member(&mut out, "name", &self.name);
        let texts = [
            ("title", &self.title),
            ("description", &self.description),
            ("mimeType", &self.mime_type),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                member(&mut out, name, text);
            }
        }
        if let Some(size) = size {
            write_json(&mut out, "size", &size);
        }
        if !self.annotations.is_empty() {
            write_json(&mut out, "annotations", &self.annotations);
        }
        if !self.icons.is_empty() {
            write_json(&mut out, "icons", &self.icons);
        }
        match &self.meta {
            Some(meta) if meta.is_object() => write_json(&mut out, "_meta", meta),
            Some(_) => problems.push(format!("resource `{uri}`: its meta must be a JSON object")),
            None => {}
        }
        out.push(b'}');
        // Only whole JSON texts were appended.
        String::from_utf8(out).unwrap_or_default()
    }
}

macro_rules! facts {
    () => {
        /// A name for people.
        #[must_use]
        pub fn title(mut self, title: impl Into<String>) -> Self {
            self.facts.title = Some(title.into());
            self
        }

        /// What it is.
        #[must_use]
        pub fn description(mut self, description: impl Into<String>) -> Self {
            self.facts.description = Some(description.into());
            self
        }

        /// MIME type of its contents.
        #[must_use]
        pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
            self.facts.mime_type = Some(mime_type.into());
            self
        }

        /// Says for whom it is; may be called twice.
        #[must_use]
        pub fn audience(mut self, audience: Audience) -> Self {
            self.facts.annotations.for_audience(audience);
            self
        }

        /// How important it is, from 0 (optional) to 1 (required).
        #[must_use]
        pub fn priority(mut self, priority: f64) -> Self {
            self.facts.annotations.priority = Some(priority.clamp(0.0, 1.0));
            self
        }

        /// An icon; may be called more than once.
        #[must_use]
        pub fn icon(mut self, icon: Icon) -> Self {
            self.facts.icons.push(icon);
            self
        }

        /// Sets `_meta`, a JSON object.
        #[must_use]
        pub fn meta(mut self, meta: Value) -> Self {
            self.facts.meta = Some(meta);
            self
        }
    };
}

impl Resource {
    /// A resource that is made anew for each read, by an async function or closure with or without
    /// a [`Context`].
    pub fn new<M, H>(uri: impl Into<String>, name: impl Into<String>, handler: H) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Output: ResourceOutput,
    {
        Self {
            uri: uri.into(),
            facts: Facts::new(name.into()),
            size: None,
            handler: Arc::new(FnResource {
                handler,
                template: None,
                shape: PhantomData,
            }),
        }
    }

    /// A text that does not change.
    pub fn text(uri: impl Into<String>, name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let size = u64::try_from(text.len()).ok();
        Self {
            size,
            ..Self::fixed(uri.into(), name.into(), ResourceContents::text(text))
        }
    }

    /// Bytes that do not change.
    pub fn bytes(uri: impl Into<String>, name: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        let size = u64::try_from(bytes.as_ref().len()).ok();
        Self {
            size,
            ..Self::fixed(uri.into(), name.into(), ResourceContents::bytes(bytes))
        }
    }

    fn fixed(uri: String, name: String, contents: ResourceContents) -> Self {
        let handler = Arc::new(Fixed(contents));
        Self {
            uri,
            facts: Facts::new(name),
            size: None,
            handler,
        }
    }

    facts!();

    /// Size of the contents in bytes, before any encoding.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    pub(crate) fn definition(&self, problems: &mut Vec<String>) -> String {
        self.facts.write("uri", &self.uri, self.size, problems)
    }
}

impl ResourceTemplate {
    /// A template whose resources are made by an async function or closure.
    pub fn new<M, H>(template: impl Into<String>, name: impl Into<String>, handler: H) -> Self
    where
        M: 'static,
        H: Handler<M>,
        H::Output: ResourceOutput,
    {
        let template = template.into();
        let parsed = Template::parse(&template).ok();
        Self {
            template,
            facts: Facts::new(name.into()),
            completers: Completers::default(),
            handler: Arc::new(FnResource {
                handler,
                template: parsed,
                shape: PhantomData,
            }),
        }
    }

    facts!();

    /// Completes a variable with a function.
    #[must_use]
    pub fn complete<F, Fut, I>(mut self, variable: impl Into<String>, complete: F) -> Self
    where
        F: Fn(Completing) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = I> + Send + 'static,
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.completers.add(variable.into(), complete);
        self
    }

    /// Completes a variable to those of the choices that begin with what was typed.
    #[must_use]
    pub fn choices(
        mut self,
        variable: impl Into<String>,
        choices: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.completers
            .add_choices(variable.into(), choices.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn definition(&self, problems: &mut Vec<String>) -> String {
        match Template::parse(&self.template) {
            Ok(parsed) => {
                for variable in self
                    .completers
                    .names()
                    .filter(|n| parsed.names().all(|v| v != *n))
                {
                    problems.push(format!(
                        "resource template `{}`: it completes `{variable}`, which is none of its variables",
                        self.template
                    ));
                }
            }
            Err(e) => problems.push(format!("resource template `{}`: {e}", self.template)),
        }
        self.facts.write("uriTemplate", &self.template, None, problems)
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResourceTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceTemplate")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}

/// Something a resource may return: text, bytes, [`ResourceContents`], several of these, or a
/// `Result` with [`ToolError`].
pub trait ResourceOutput {
    /// The contents.
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError>;
}

impl ResourceOutput for String {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        Ok(vec![ResourceContents::text(self)])
    }
}

impl ResourceOutput for &str {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        Ok(vec![ResourceContents::text(self)])
    }
}

impl ResourceOutput for Vec<u8> {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        Ok(vec![ResourceContents::bytes(self)])
    }
}

impl ResourceOutput for ResourceContents {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        Ok(vec![self])
    }
}

impl ResourceOutput for Vec<ResourceContents> {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        Ok(self)
    }
}

impl<T: ResourceOutput> ResourceOutput for Result<T, ToolError> {
    fn into_contents(self) -> Result<Vec<ResourceContents>, ToolError> {
        self?.into_contents()
    }
}

/// A resource handler whose types are gone.
pub(crate) trait ErasedResource: Send + Sync {
    /// Reads the resource. Only called with URIs that [`Self::fits`] accepts.
    fn read<'a>(&'a self, cx: CallContext<'a>, facts: &'a Facts, server: &'a Arc<Shared>)
    -> SourceFuture<'a>;

    /// True if the URI is one of the template's.
    fn fits(&self, uri: &str) -> bool;
}

struct Fixed(ResourceContents);

impl ErasedResource for Fixed {
    fn read<'a>(&'a self, cx: CallContext<'a>, facts: &'a Facts, _: &'a Arc<Shared>) -> SourceFuture<'a> {
        let payload = write(std::slice::from_ref(&self.0), cx.local_name, facts);
        Box::pin(std::future::ready(Ok(Reply::Complete(payload))))
    }

    fn fits(&self, _: &str) -> bool {
        false
    }
}

struct FnResource<M, H> {
    handler: H,
    template: Option<Template>,
    shape: PhantomData<fn(M)>,
}

impl<M, H> ErasedResource for FnResource<M, H>
where
    M: 'static,
    H: Handler<M>,
    H::Output: ResourceOutput,
{
    fn read<'a>(
        &'a self,
        cx: CallContext<'a>,
        facts: &'a Facts,
        server: &'a Arc<Shared>,
    ) -> SourceFuture<'a> {
        Box::pin(async move {
            let uri = cx.local_name;
            let variables = self
                .template
                .as_ref()
                .and_then(|t| t.read(uri))
                .unwrap_or_default();
            let args = H::parse(Variables {
                uri,
                variables: &variables,
            })?;
            let context = Context::new(&cx, server, false);
            let running = self.handler.invoke(args, || context.clone());
            match drive(cx, &context, running).await.into_contents() {
                Ok(contents) => Ok(Reply::Complete(write(&contents, uri, facts))),
                Err(error) if error.is_input_required() => Ok(ask_first(&context)),
                Err(error) => Err(error.into_call_error(cx.call.version)),
            }
        })
    }

    fn fits(&self, uri: &str) -> bool {
        self.template.as_ref().is_some_and(|t| t.read(uri).is_some())
    }
}

fn write(contents: &[ResourceContents], uri: &str, facts: &Facts) -> Payload {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"{\"contents\":[");
    for (i, one) in contents.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        one.write(&mut out, uri, facts.mime_type.as_deref());
    }
    out.extend_from_slice(b"]}");
    Payload::plain(out)
}

struct Variables<'a> {
    uri: &'a str,
    variables: &'a [(String, String)],
}

impl Parse for Variables<'_> {
    fn parse<T: DeserializeOwned>(self) -> Result<T, CallError> {
        strings::read(self.variables).map_err(|e| {
            let shown: String = self.uri.chars().take(200).collect();
            CallError::new(ErrorCode::InvalidArguments, format!("{shown}: {e}")).with_rule("uri.variables")
        })
    }
}
