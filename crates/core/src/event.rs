//! Changes that clients may want to hear of.

use std::collections::HashMap;
use std::sync::Arc;

use ferromcp_tenancy::Kind;

use crate::access::Grants;
use crate::call::Principal;
use crate::catalog::Catalog;

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
    /// Tenants may see or do something else than before, or are out. Who holds a stream open asks the gateway whether
    /// its owner may still have it.
    AccessChanged(Arc<ViewChange>),
    /// The server is ready: its sources have started, or had the time for it.
    Started,
    /// Another process takes the place of this one; open streams end, and clients come back to the other.
    Leaving,
    /// The server is about to stop; open streams end.
    Draining,
}

/// Which lists look different, to whom.
#[derive(Debug, Default)]
pub struct ViewChange {
    pub(crate) changed: HashMap<Arc<str>, Lists>,
}

impl ViewChange {
    /// The lists that look different to a tenant.
    pub fn of(&self, tenant: &str) -> Lists {
        self.changed.get(tenant).copied().unwrap_or_default()
    }
}

/// Lists that changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Tools.
    pub tools: bool,
    /// Resources and resource templates.
    pub resources: bool,
    /// Prompts.
    pub prompts: bool,
}

impl Lists {
    pub(crate) fn any(self) -> bool {
        self.tools || self.resources || self.prompts
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            tools: self.tools || other.tools,
            resources: self.resources || other.resources,
            prompts: self.prompts || other.prompts,
        }
    }

    /// The lists of a catalog that look different.
    pub(crate) fn changed(old: &Grants, new: &Grants, catalog: &Catalog) -> Self {
        let differs = |kind: Kind, name: &str| old.allows(kind, name) != new.allows(kind, name);
        Self {
            tools: catalog.tools().iter().any(|t| differs(Kind::Tool, &t.name)),
            resources: catalog
                .resources()
                .iter()
                .any(|r| differs(Kind::Resource, &r.local_uri))
                || catalog
                    .templates()
                    .iter()
                    .any(|t| differs(Kind::Resource, t.local.as_str())),
            prompts: catalog.prompts().iter().any(|p| differs(Kind::Prompt, &p.name)),
        }
    }
}
