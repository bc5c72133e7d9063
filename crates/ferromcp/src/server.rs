//! The server: its parts, where they are mounted, and how they change while it runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ferromcp_core::{Event, Gateway, Identity, Listing, Observer, Offers, Policy, Principal, Source, Spec};

use crate::builder::ServerBuilder;
use crate::error::BuildError;
use crate::mount::Mount;
use crate::prompt::Prompt;
use crate::resource::{Resource, ResourceTemplate};
use crate::source::ServerSource;
use crate::task::Tasks;
use crate::tool::Tool;

pub(crate) type OnWatch = Box<dyn Fn(&str, bool) + Send + Sync>;

/// What all listings of one server share.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) prefix: Arc<str>,
    pub(crate) instructions: Option<String>,
    /// Idle deadline of its calls, if its author set one.
    pub(crate) timeout: Option<Duration>,
    pub(crate) tasks: Tasks,
    pub(crate) on_watch: Option<OnWatch>,
    parts: Mutex<Parts>,
    /// Gateways that serve it. Weak: they own the source, which owns this.
    gateways: Mutex<Vec<Weak<Gateway>>>,
}

/// The parts with their definitions, in the order in which they are listed.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) tools: Vec<(Arc<Tool>, Spec)>,
    pub(crate) resources: Vec<(Arc<Resource>, Spec)>,
    pub(crate) templates: Vec<(Arc<ResourceTemplate>, Spec)>,
    pub(crate) prompts: Vec<(Arc<Prompt>, Spec)>,
    /// What there ever was: a server that had tools may get tools again.
    offers: Offers,
}

impl Parts {
    pub(crate) fn note_offers(&mut self) {
        let offers = &mut self.offers;
        offers.tools |= !self.tools.is_empty();
        offers.resources |= !self.resources.is_empty() || !self.templates.is_empty();
        offers.prompts |= !self.prompts.is_empty();
        offers.tasks |= self.tools.iter().any(|(tool, _)| tool.task.support.is_some());
        offers.completions |= self
            .prompts
            .iter()
            .any(|(prompt, _)| !prompt.completers.is_empty())
            || self
                .templates
                .iter()
                .any(|(template, _)| !template.completers.is_empty());
    }
}

impl Shared {
    /// Without a prefix, instructions, a timeout or a listener for watchers.
    pub(crate) fn new(name: Arc<str>, tasks: Tasks, parts: Parts) -> Self {
        Self {
            name,
            prefix: "".into(),
            instructions: None,
            timeout: None,
            tasks,
            on_watch: None,
            parts: Mutex::new(parts),
            gateways: Mutex::default(),
        }
    }

    fn listing(self: &Arc<Self>, parts: &Parts) -> Listing {
        let source = ServerSource {
            tools: parts
                .tools
                .iter()
                .map(|(t, _)| (t.name.as_str().into(), Arc::clone(t)))
                .collect(),
            resources: parts
                .resources
                .iter()
                .map(|(r, _)| (r.uri.as_str().into(), Arc::clone(r)))
                .collect(),
            templates: parts.templates.iter().map(|(t, _)| Arc::clone(t)).collect(),
            prompts: parts
                .prompts
                .iter()
                .map(|(p, _)| (p.name.as_str().into(), Arc::clone(p)))
                .collect(),
            server: Arc::clone(self),
        };
        let mut listing = Listing::new(Arc::clone(&self.name), Arc::new(source) as Arc<dyn Source>);
        listing.prefix = Arc::clone(&self.prefix);
        listing.offers = parts.offers;
        listing.instructions.clone_from(&self.instructions);
        listing.timeout = self.timeout;
        listing.tools = parts.tools.iter().map(|(_, s)| s.clone()).collect();
        listing.resources = parts.resources.iter().map(|(_, s)| s.clone()).collect();
        listing.templates = parts.templates.iter().map(|(_, s)| s.clone()).collect();
        listing.prompts = parts.prompts.iter().map(|(_, s)| s.clone()).collect();
        listing
    }

    /// Changes the parts and shows the new state everywhere. The lock is held meanwhile, so that
    /// two changes are not shown in the wrong order.
    fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut Parts) -> T) -> T {
        let mut parts = lock(&self.parts);
        let done = change(&mut parts);
        parts.note_offers();
        for gateway in self.gateways() {
            gateway.publish(self.listing(&parts));
        }
        done
    }

    fn gateways(&self) -> Vec<Arc<Gateway>> {
        let mut gateways = lock(&self.gateways);
        gateways.retain(|gateway| gateway.strong_count() > 0);
        gateways.iter().filter_map(Weak::upgrade).collect()
    }

    fn emit(&self, event: &Event) {
        for gateway in self.gateways() {
            gateway.emit(event.clone());
        }
    }

    pub(crate) fn task_changed(&self, owner: &Principal, id: &Arc<str>, task: String) {
        self.emit(&Event::TaskChanged {
            owner: owner.clone(),
            id: Arc::clone(id),
            task: task.into(),
        });
    }
}

/// Locked data is consistent even after a panic: each change replaces whole values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that is ready to be served. Made by [`Server::builder`].
pub struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: Identity,
    pub(crate) policy: Policy,
    pub(crate) observer: Box<dyn Observer>,
    pub(crate) mounts: Vec<Box<dyn Mount>>,
}

impl Server {
    /// Starts to put a server together.
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> ServerBuilder {
        ServerBuilder::new(name.into(), version.into())
    }

    /// A handle to change the server while it runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.shared))
    }

    /// The server behind the pipeline, ready for any door: what the `serve_*` methods serve, and
    /// what a program calls that embeds the server.
    pub fn into_gateway(self) -> Arc<Gateway> {
        let Self {
            shared,
            identity,
            policy,
            observer,
            mounts,
        } = self;
        let gateway = Arc::new(Gateway::new(identity, policy, Boxed(observer)));
        mount(&shared, &gateway);
        for part in mounts {
            part.mount(&gateway);
        }
        gateway
    }
}

impl Mount for Server {
    /// Adds the server to a gateway that has others; its name must be unique there. Identity,
    /// policy and observer are the gateway's.
    fn mount(self: Box<Self>, gateway: &Arc<Gateway>) {
        mount(&self.shared, gateway);
        for part in self.mounts {
            part.mount(gateway);
        }
    }
}

fn mount(shared: &Arc<Shared>, gateway: &Arc<Gateway>) {
    let parts = lock(&shared.parts);
    lock(&shared.gateways).push(Arc::downgrade(gateway));
    gateway.publish(shared.listing(&parts));
}

struct Boxed(Box<dyn Observer>);

impl Observer for Boxed {
    fn call_ended(&self, record: &ferromcp_core::CallRecord<'_>) {
        self.0.call_ended(record);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Changes a server while it runs. Cheap to clone; does nothing once the server is gone. Callers
/// that listen for changes are told.
///
/// ```
/// use ferromcp::{Server, Tool};
///
/// let server = Server::builder("growing", "1.0.0").build()?;
/// let handle = server.handle();
/// let gateway = server.into_gateway();
/// handle.add_tool(Tool::new("late", "Came later", || async { "here" }))?;
/// assert!(gateway.snapshot().catalog.tool("late").is_some());
/// assert!(handle.remove_tool("late"));
/// assert!(gateway.snapshot().catalog.tool("late").is_none());
/// # Ok::<(), ferromcp::BuildError>(())
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

macro_rules! changes {
    ($add:ident $remove:ident $field:ident $kind:ident $key:ident $what:literal) => {
        #[doc = concat!("Adds ", $what, ", or puts it in the place of the one with the same key.")]
        ///
        /// # Errors
        /// It is not fit to be offered; all reasons are given.
        pub fn $add(&self, part: $kind) -> Result<(), BuildError> {
            let mut problems = Vec::new();
            let entry = crate::builder::$add(part, &mut problems);
            BuildError::check(problems)?;
            self.shared.change(|parts| {
                match parts
                    .$field
                    .iter_mut()
                    .find(|(_, spec)| spec.key == entry.1.key)
                {
                    Some(place) => *place = entry,
                    None => parts.$field.push(entry),
                }
            });
            Ok(())
        }

        #[doc = concat!("Takes ", $what, " out. False if there was none.")]
        pub fn $remove(&self, $key: &str) -> bool {
            self.shared.change(|parts| {
                let before = parts.$field.len();
                parts.$field.retain(|(_, spec)| *spec.key != *$key);
                parts.$field.len() != before
            })
        }
    };
}

impl ServerHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    changes!(add_tool remove_tool tools Tool name "a tool");
    changes!(add_resource remove_resource resources Resource uri "a resource");
    changes!(add_template remove_template templates ResourceTemplate template "a resource template");
    changes!(add_prompt remove_prompt prompts Prompt name "a prompt");

    /// Tells listeners that a resource has new contents.
    pub fn resource_updated(&self, uri: &str) {
        for gateway in self.shared.gateways() {
            gateway.resource_updated(&self.shared.name, uri);
        }
    }

    /// Tells listeners to look at the list of tools again. Changes made through this handle are
    /// announced without it.
    pub fn notify_tools_changed(&self) {
        self.shared.emit(&Event::ToolsChanged);
    }

    /// Tells listeners to look at the lists of resources again.
    pub fn notify_resources_changed(&self) {
        self.shared.emit(&Event::ResourcesChanged);
    }

    /// Tells listeners to look at the list of prompts again.
    pub fn notify_prompts_changed(&self) {
        self.shared.emit(&Event::PromptsChanged);
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}
