//! Changes that clients may want to hear of.

use std::sync::Arc;

use crate::call::Principal;

/// One change. Sent to every session and listener, which filter by what was asked for.
#[derive(Clone, Debug)]
pub enum Event {
    /// The list of tools changed.
    ToolsChanged,
    /// The list of prompts changed.
    PromptsChanged,
    /// The list of resources or resource templates changed.
    ResourcesChanged,
    /// A resource has new contents.
    ResourceUpdated {
        /// Its URI as listed to clients.
        uri: Arc<str>,
    },
    /// A task changed its status (tasks extension).
    TaskChanged {
        /// Who may hear of it.
        owner: Principal,
        /// Task id.
        id: Arc<str>,
        /// Raw JSON object: the task as `notifications/tasks` carries it.
        task: Arc<str>,
    },
    /// The server is about to stop; open streams end.
    Draining,
}
