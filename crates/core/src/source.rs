//! Where tools, resources and prompts come from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::call::{CallContext, Principal};
use crate::catalog::Edits;
use crate::error::CallError;
use crate::reply::Reply;

/// The future of one call. Boxed here, at the tool boundary, and nowhere else on the call path.
/// Dropping it cancels the call.
pub type SourceFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, CallError>> + Send + 'a>>;

/// Something that carries out calls: the built-in pack, Rust handlers, an upstream server.
pub trait Source: Send + Sync + 'static {
    /// Carries out a call for an item that this source listed. Must not block the thread.
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a>;

    /// Whether a call of this tool (by its own name) may change something that a second one would change again. `hinted` is
    /// what its annotations say; a source that knows better says so here.
    fn has_effects(&self, tool: &str, hinted: bool) -> bool {
        let _ = tool;
        hinted
    }

    /// Somebody started (`true`) or stopped (`false`) watching a resource of this source. Called
    /// on the first watcher and after the last.
    fn watch(&self, uri: &str, on: bool) {
        let _ = (uri, on);
    }

    /// Somebody who has this task of the source started (`true`) or stopped (`false`) listening to its changes. True if
    /// the task is theirs and its changes are told by [`Event::TaskChanged`](crate::Event::TaskChanged).
    fn watch_task(&self, owner: &Principal, id: &str, on: bool) -> bool {
        let _ = (owner, id, on);
        true
    }

    /// What there is to say about its health beyond its state.
    fn health(&self) -> SourceHealth {
        SourceHealth::default()
    }
}

/// The health of a source in detail, for operators.
#[derive(Clone, Debug, Default)]
pub struct SourceHealth {
    /// Its processes or sessions; none if it has no such thing.
    pub workers: Vec<WorkerHealth>,
    /// `closed`, `open` or `half_open`, where it has a circuit breaker.
    pub breaker: Option<&'static str>,
}

/// One process or session of a source.
#[derive(Clone, Debug)]
pub struct WorkerHealth {
    /// Within the source.
    pub id: u32,
    /// `starting`, `ready`, `backoff`, `crash_loop` or `stopped`.
    pub state: &'static str,
    /// Process id, where it is a process and runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// Calls that it has now.
    pub in_flight: usize,
    /// Why it is not ready, or was not before.
    pub reason: Option<String>,
}

/// What a source can do at all; decides which capabilities are announced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// It has or may get tools.
    pub tools: bool,
    /// It has or may get resources.
    pub resources: bool,
    /// It has or may get prompts.
    pub prompts: bool,
    /// It completes arguments.
    pub completions: bool,
    /// It creates tasks (extension).
    pub tasks: bool,
}

/// Whether a source can be called now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceState {
    /// It is starting; nothing is known of it yet.
    Starting,
    /// It answers.
    #[default]
    Ready,
    /// It does not answer; its last listing is still shown.
    Down {
        /// Why, in words.
        reason: String,
    },
}

impl SourceState {
    /// The name that operators see.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Down { .. } => "down",
        }
    }

    /// Why it does not answer.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Starting | Self::Ready => None,
            Self::Down { reason } => Some(reason),
        }
    }
}

/// One listed thing: the source's own key for it (tool or prompt name, URI, URI template) and the
/// raw JSON object as MCP lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Name, URI or URI template.
    pub key: Arc<str>,
    /// Raw JSON object. Shared: whoever keeps a listing keeps no copy of its text.
    pub definition: Arc<str>,
}

impl Spec {
    /// A spec from its key and raw definition.
    pub fn new(key: impl Into<Arc<str>>, definition: impl Into<Arc<str>>) -> Self {
        Self {
            key: key.into(),
            definition: definition.into(),
        }
    }
}

/// All that a source offers at one moment. Published as a whole, replaced as a whole.
#[derive(Clone)]
pub struct Listing {
    /// Unique name of the source; part of task ids, records and REST lists.
    pub name: Arc<str>,
    /// Prefix of tool and prompt names; empty for none.
    pub prefix: Arc<str>,
    /// Who carries out the calls.
    pub source: Arc<dyn Source>,
    /// What it can do at all.
    pub offers: Offers,
    /// Whether it can be called now.
    pub state: SourceState,
    /// Idle deadline for its calls instead of the policy's.
    pub timeout: Option<Duration>,
    /// Its advice for models.
    pub instructions: Option<String>,
    /// What the operator changed about its tools and prompts.
    pub edits: Arc<Edits>,
    /// Its definitions come from elsewhere, so they are vetted; see [`Vetting`](crate::catalog::Vetting).
    pub foreign: bool,
    /// Its tools carry out other calls that are in their arguments, and each of those goes through the pipeline on its own. So
    /// what is counted or looked for in every call is not counted and looked for twice: rates and quotas of tenant and
    /// client, and pattern rules. The depth that arguments may have is that of the calls inside.
    pub carries_calls: bool,
    /// Tools in the order they are listed.
    pub tools: Vec<Spec>,
    /// Resources in the order they are listed.
    pub resources: Vec<Spec>,
    /// Resource templates in the order they are listed.
    pub templates: Vec<Spec>,
    /// Prompts in the order they are listed.
    pub prompts: Vec<Spec>,
    /// A later listing was published in its place, or none will be.
    pub(crate) superseded: Arc<AtomicBool>,
}

impl Listing {
    /// An empty listing without a prefix.
    pub fn new(name: impl Into<Arc<str>>, source: Arc<dyn Source>) -> Self {
        Self {
            name: name.into(),
            prefix: "".into(),
            source,
            offers: Offers::default(),
            state: SourceState::Ready,
            timeout: None,
            instructions: None,
            edits: Arc::default(),
            foreign: false,
            carries_calls: false,
            tools: Vec::new(),
            resources: Vec::new(),
            templates: Vec::new(),
            prompts: Vec::new(),
            superseded: Arc::default(),
        }
    }

    /// Whether it is still what the source published last.
    pub(crate) fn is_current(&self) -> bool {
        !self.superseded.load(Ordering::Acquire)
    }

    pub(crate) fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing")
            .field("name", &self.name)
            .field("state", &self.state)
            .field("tools", &self.tools.len())
            .field("resources", &self.resources.len())
            .field("templates", &self.templates.len())
            .field("prompts", &self.prompts.len())
            .finish_non_exhaustive()
    }
}
