//! Putting a server together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::{Gateway, Identity, Listing, Observer, Policy, Source, SourceFuture, Spec};

use crate::error::BuildError;
use crate::mount::Mount;
use crate::prompt::Prompt;
use crate::resource::{Resource, ResourceTemplate};
use crate::server::{OnWatch, Parts, Server, Shared};
use crate::task::{TaskLimits, Tasks};
use crate::tool::Tool;

/// Longest name of a tool or prompt in characters (server/tools, "Tool Names").
const MAX_NAME: usize = 128;

/// Collects the parts of a [`Server`]. Mistakes in them are reported together by
/// [`build`](Self::build).
///
/// ```
/// use ferromcp::{Server, Tool};
///
/// let twice = Server::builder("demo", "1.0.0")
///     .tool(Tool::new("same", "", || async { "a" }))
///     .tool(Tool::new("same", "", || async { "b" }))
///     .tool(Tool::raw("odd name", "", "{", || async { "c" }))
///     .build();
/// assert_eq!(twice.unwrap_err().problems().len(), 3);
/// ```
pub struct ServerBuilder {
    identity: Identity,
    source: Option<String>,
    prefix: String,
    policy: Policy,
    timeout: Option<Duration>,
    observer: Box<dyn Observer>,
    tasks: TaskLimits,
    tools: Vec<Tool>,
    resources: Vec<Resource>,
    templates: Vec<ResourceTemplate>,
    prompts: Vec<Prompt>,
    on_watch: Option<OnWatch>,
    mounts: Vec<Box<dyn Mount>>,
}

impl ServerBuilder {
    pub(crate) fn new(name: String, version: String) -> Self {
        Self {
            identity: Identity {
                name,
                title: None,
                version,
                instructions: None,
            },
            source: None,
            prefix: String::new(),
            policy: Policy::default(),
            timeout: None,
            observer: Box::new(()),
            tasks: TaskLimits::default(),
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            on_watch: None,
            mounts: Vec::new(),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.identity.title = Some(title.into());
        self
    }

    /// Advice for models on how to use the server.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.identity.instructions = Some(instructions.into());
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds a resource.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Adds a resource template.
    #[must_use]
    pub fn template(mut self, template: ResourceTemplate) -> Self {
        self.templates.push(template);
        self
    }

    /// Adds a prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        self.prompts.push(prompt);
        self
    }

    /// Adds a whole other server; its name must be another.
    #[must_use]
    pub fn mount(mut self, part: impl Mount + 'static) -> Self {
        self.mounts.push(Box::new(part));
        self
    }

    /// Prefix of tool and prompt names, as `<prefix>__<name>`. For servers that are mounted beside
    /// others; none by default.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Name of the server as a source in records and task ids, if it is not to be the server's own.
    #[must_use]
    pub fn source_name(mut self, name: impl Into<String>) -> Self {
        self.source = Some(name.into());
        self
    }

    /// Limits of the pipeline: sizes, deadlines, schema checks. See [`Policy`]. For a server that is
    /// mounted in another, it is the other's policy that counts.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// A call that shows no progress for this long has failed. Default: the policy's, 30 s.
    #[must_use]
    pub fn timeout(mut self, idle: Duration) -> Self {
        self.timeout = Some(idle);
        self
    }

    /// Bounds on tasks.
    #[must_use]
    pub fn tasks(mut self, limits: TaskLimits) -> Self {
        self.tasks = limits;
        self
    }

    /// Takes the record of every call: for audit and metrics. Called on the call path, so it must
    /// not block.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Box::new(observer);
        self
    }

    /// Is told when the first client starts (`true`) and the last one stops (`false`) to watch a
    /// resource. Report changes with [`ServerHandle::resource_updated`](crate::ServerHandle::resource_updated).
    #[must_use]
    pub fn on_watch(mut self, watch: impl Fn(&str, bool) + Send + Sync + 'static) -> Self {
        self.on_watch = Some(Box::new(watch));
        self
    }

    /// Checks all parts and makes the server.
    ///
    /// # Errors
    /// Names that are not allowed or used twice, schemas that are no schemas, malformed templates:
    /// all that is wrong, at once.
    pub fn build(mut self) -> Result<Server, BuildError> {
        let mut problems = Vec::new();
        let mut parts = Parts::default();
        for tool in self.tools {
            parts.tools.push(add_tool(tool, &mut problems));
        }
        for resource in self.resources {
            parts.resources.push(add_resource(resource, &mut problems));
        }
        for template in self.templates {
            parts.templates.push(add_template(template, &mut problems));
        }
        for prompt in self.prompts {
            parts.prompts.push(add_prompt(prompt, &mut problems));
        }
        twice("tool", parts.tools.iter().map(|(_, s)| s), &mut problems);
        twice("resource", parts.resources.iter().map(|(_, s)| s), &mut problems);
        twice(
            "resource template",
            parts.templates.iter().map(|(_, s)| s),
            &mut problems,
        );
        twice("prompt", parts.prompts.iter().map(|(_, s)| s), &mut problems);
        let source = self.source.unwrap_or_else(|| self.identity.name.clone());
        if source.is_empty() {
            problems.push("the server has no name".into());
        }
        BuildError::check(problems)?;
        parts.note_offers();
        let mut shared = Shared::new(source.into(), Tasks::new(self.tasks), parts);
        shared.prefix = self.prefix.into();
        // It travels with the listing, so that it is there too where the server is mounted.
        shared.instructions = self.identity.instructions.take();
        shared.timeout = self.timeout;
        shared.on_watch = self.on_watch;
        Ok(Server {
            shared: Arc::new(shared),
            identity: self.identity,
            policy: self.policy,
            observer: self.observer,
            mounts: self.mounts,
        })
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

fn twice<'a>(kind: &str, specs: impl Iterator<Item = &'a Spec>, problems: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for spec in specs {
        if !seen.insert(&*spec.key) {
            problems.push(format!("{kind} `{}` is there twice", spec.key));
        }
    }
}

fn check_name(kind: &str, name: &str, problems: &mut Vec<String>) {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !fits {
        problems.push(format!(
            "{kind} `{name}`: a name has 1 to {MAX_NAME} characters, each of A-Z a-z 0-9 _ . -"
        ));
    }
}

pub(crate) fn add_tool(tool: Tool, problems: &mut Vec<String>) -> (Arc<Tool>, Spec) {
    check_name("tool", &tool.name, problems);
    let before = problems.len();
    let spec = Spec::new(tool.name.as_str(), tool.definition(problems));
    if problems.len() == before {
        try_out(&spec, problems);
    }
    (Arc::new(tool), spec)
}

pub(crate) fn add_resource(resource: Resource, problems: &mut Vec<String>) -> (Arc<Resource>, Spec) {
    if !resource.uri.contains(':') {
        problems.push(format!(
            "resource `{}`: a URI begins with a scheme, as `app://`",
            resource.uri
        ));
    }
    let spec = Spec::new(resource.uri.as_str(), resource.definition(problems));
    (Arc::new(resource), spec)
}

pub(crate) fn add_template(
    template: ResourceTemplate,
    problems: &mut Vec<String>,
) -> (Arc<ResourceTemplate>, Spec) {
    let spec = Spec::new(template.template.as_str(), template.definition(problems));
    (Arc::new(template), spec)
}

pub(crate) fn add_prompt(prompt: Prompt, problems: &mut Vec<String>) -> (Arc<Prompt>, Spec) {
    check_name("prompt", &prompt.name, problems);
    let spec = Spec::new(prompt.name.as_str(), prompt.definition(problems));
    (Arc::new(prompt), spec)
}

/// Publishes a tool in a gateway of its own and looks whether it could be called there: whatever
/// the pipeline would object to at the first call is found when the server is built.
fn try_out(spec: &Spec, problems: &mut Vec<String>) {
    struct Nobody;
    impl Source for Nobody {
        fn call<'a>(&'a self, _: ferromcp_core::CallContext<'a>) -> SourceFuture<'a> {
            let error = ferromcp_core::ErrorCode::Internal;
            Box::pin(std::future::ready(Err(ferromcp_core::CallError::new(
                error,
                "not to be called",
            ))))
        }
    }
    let gateway = Gateway::new(Identity::default(), Policy::default(), ());
    let mut listing = Listing::new("trial", Arc::new(Nobody) as Arc<dyn Source>);
    listing.tools.push(spec.clone());
    gateway.publish(listing);
    let snapshot = gateway.snapshot();
    let Some(entry) = snapshot.catalog.tool(&spec.key) else {
        problems.push(format!(
            "tool `{}`: an `x-mcp-header` must be a header name, unique in the tool, on a parameter of type \
             string, integer or boolean that is reached through `properties`",
            spec.key
        ));
        return;
    };
    for outcome in [entry.input_schema(), entry.output_schema()] {
        if let Err(reason) = outcome {
            problems.push(format!("tool `{}`: {reason}", spec.key));
        }
    }
}
