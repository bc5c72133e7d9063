//! [`Plan`]: what is different between two configurations, and what a reload makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferromcp_config::{Anonymous, Change, Config, Loaded, Reload, Tenant, Transport, Upstream, changes};
use ferromcp_core::access::LOCAL;
use ferromcp_core::tenancy::Directory;
use serde_json::{Value, json};

use super::names::{Known, Offered};
use super::widened::widened;
use crate::build;
use crate::exit::Failure;

/// What becomes of a server or tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Added,
    Changed,
    Removed,
}

impl What {
    const fn of(old: bool, new: bool) -> Self {
        match (old, new) {
            (false, _) => Self::Added,
            (true, true) => Self::Changed,
            (true, false) => Self::Removed,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

#[derive(Debug)]
pub(crate) struct ServerChange {
    pub(crate) id: String,
    pub(crate) what: What,
    /// Child processes of it are started or ended.
    pub(super) children: bool,
    /// Which of its settings, or of those that it depends on, are different.
    pub(super) because: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct TenantChange {
    pub(super) id: String,
    pub(super) what: What,
    /// What it may do that it could not before, one sentence each.
    pub(super) widened: Vec<String>,
    pub(super) gained: Vec<String>,
    pub(super) lost: Vec<String>,
}

/// What is different between two configurations.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) servers: Vec<ServerChange>,
    pub(crate) tenants: Vec<TenantChange>,
    pub(crate) settings: Vec<Change>,
    /// Servers whose tools are not known on one side, so that they are not in `gained` and `lost`.
    pub(super) unknown: Vec<String>,
}

/// One side of a plan.
pub(crate) struct Side<'s> {
    pub(crate) loaded: &'s Loaded,
    pub(crate) known: Known,
}

impl Plan {
    /// Compares.
    pub(crate) fn of(old: &Side<'_>, new: &Side<'_>) -> Result<Self, Failure> {
        let mut settings = changes(&old.loaded.given, &new.loaded.given);
        let servers = servers(&old.loaded.config, &new.loaded.config, &settings);
        let (before, after) = (View::of(old)?, View::of(new)?);
        let unknown: BTreeSet<&String> = [&before, &after]
            .into_iter()
            .flat_map(|view| &view.offered.0)
            .filter(|(_, tools)| tools.is_none())
            .map(|(id, _)| id)
            .collect();
        // Servers that both sides have alike offer the same, known or not.
        let differ = |id: &String| servers.iter().any(|server| server.id == *id);
        let unknown: Vec<String> = unknown.into_iter().filter(|id| differ(id)).cloned().collect();
        let tenants = tenants(&before, &after, &settings);
        // What is there or not there as a whole needs no list of its settings, and what comes to the same is no change.
        settings.retain(|change| {
            let server = change.server.as_ref().is_none_or(|id| {
                servers
                    .iter()
                    .any(|server| server.id == *id && server.what == What::Changed)
            });
            let tenant = change.tenant.as_ref().is_none_or(|id| {
                tenants
                    .iter()
                    .any(|tenant| tenant.id == *id && tenant.what == What::Changed)
            });
            server && tenant
        });
        Ok(Self {
            servers,
            tenants,
            settings,
            unknown,
        })
    }

    /// Settings that a running server does not take over.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Change> {
        self.settings
            .iter()
            .filter(|change| change.reload == Reload::Restart)
    }

    /// Nothing is different.
    pub(crate) fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.tenants.is_empty() && self.settings.is_empty()
    }

    pub(crate) fn to_json(&self) -> Value {
        let server = |server: &ServerChange| {
            json!({
                "id": server.id, "change": server.what.as_str(),
                "children": server.children, "because": server.because,
            })
        };
        let tenant = |tenant: &TenantChange| {
            json!({
                "id": tenant.id, "change": tenant.what.as_str(), "widened": tenant.widened,
                "tools_gained": tenant.gained, "tools_lost": tenant.lost,
            })
        };
        let setting = |change: &Change| {
            let mut out = json!({
                "path": change.path, "from": change.from, "to": change.to, "reload": change.reload.as_str(),
            });
            if let Some(raised) = change.raised {
                out["limit"] = if raised { "raised" } else { "lowered" }.into();
            }
            out
        };
        json!({
            "changes": !self.is_empty(),
            "reloadable": self.refused().next().is_none(),
            "servers": self.servers.iter().map(server).collect::<Vec<_>>(),
            "tenants": self.tenants.iter().map(tenant).collect::<Vec<_>>(),
            "settings": self.settings.iter().map(setting).collect::<Vec<_>>(),
            "refused": self.refused().map(|change| change.path.as_str()).collect::<Vec<_>>(),
            "tools_unknown": self.unknown,
        })
    }
}

/// Whether a server needs other workers than before, with what of `supervisor` goes into them.
pub(crate) fn same_workers(old: (&Config, &Upstream), new: (&Config, &Upstream)) -> bool {
    let start = |(config, server): (&Config, &Upstream)| -> Duration {
        server.start_timeout.unwrap_or(config.supervisor.start_timeout)
    };
    old.1 == new.1 && old.0.supervisor.heartbeat == new.0.supervisor.heartbeat && start(old) == start(new)
}

fn servers(old: &Config, new: &Config, settings: &[Change]) -> Vec<ServerChange> {
    let by_id = |config: &Config| -> BTreeMap<String, Upstream> {
        let all = config.servers.iter();
        all.map(|server| (server.id.clone(), server.clone())).collect()
    };
    let (before, after) = (by_id(old), by_id(new));
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = Vec::new();
    for id in ids {
        let (was, is) = (before.get(id), after.get(id));
        if let (Some(was), Some(is)) = (was, is)
            && same_workers((old, was), (new, is))
        {
            continue;
        }
        let what = What::of(was.is_some(), is.is_some());
        let child = |server: &Upstream| matches!(server.transport, Transport::Stdio(_));
        let mine = |change: &&Change| {
            change.reload == Reload::Workers && change.server.as_ref().is_none_or(|server| server == id)
        };
        let because = settings.iter().filter(mine).map(|change| change.path.clone());
        found.push(ServerChange {
            id: id.clone(),
            what,
            children: was.is_some_and(child) || is.is_some_and(child),
            because: if what == What::Changed {
                because.collect()
            } else {
                Vec::new()
            },
        });
    }
    found
}

/// One side, made ready to ask.
struct View<'v> {
    config: &'v Config,
    directory: Directory,
    offered: Offered,
}

impl<'v> View<'v> {
    fn of(side: &Side<'v>) -> Result<Self, Failure> {
        let config = &side.loaded.config;
        Ok(Self {
            config,
            directory: build::directory(config)?,
            offered: side.known.offered(config)?,
        })
    }

    fn tenant(&self, id: &str) -> Option<&'v Tenant> {
        self.config.tenants.iter().find(|tenant| tenant.id == id)
    }

    fn has(&self, id: &str) -> bool {
        self.tenant(id).is_some() || id == LOCAL && self.config.auth.anonymous == Anonymous::Local
    }

    /// The tools of servers that `skip` does not name, as a tenant sees them.
    fn tools(&self, id: &str, skip: &BTreeSet<&String>) -> BTreeSet<&String> {
        let acl = self.directory.tenant(id);
        if !self.has(id) || acl.is_some_and(|tenant| tenant.is_suspended()) {
            return BTreeSet::new();
        }
        let servers = self.offered.0.iter().filter(|(server, _)| !skip.contains(server));
        let tools = servers.filter_map(|(_, tools)| tools.as_ref()).flatten();
        tools
            .filter(|tool| acl.is_none_or(|tenant| tenant.acl().tool(tool).allowed))
            .collect()
    }
}

fn tenants(before: &View<'_>, after: &View<'_>, settings: &[Change]) -> Vec<TenantChange> {
    let mut ids: BTreeSet<&str> = BTreeSet::from([LOCAL]);
    for view in [before, after] {
        ids.extend(view.config.tenants.iter().map(|tenant| tenant.id.as_str()));
    }
    let not_known = |view: &View<'_>, id: &String| matches!(view.offered.0.get(id), Some(None));
    let all = before.offered.0.keys().chain(after.offered.0.keys());
    let skip: BTreeSet<&String> = all
        .filter(|id| not_known(before, id) || not_known(after, id))
        .collect();
    let touched: BTreeSet<&str> = settings
        .iter()
        .filter_map(|change| change.tenant.as_deref())
        .collect();
    let mut found = Vec::new();
    for id in ids {
        let (was, is) = (before.has(id), after.has(id));
        if !was && !is {
            continue;
        }
        let (had, has) = (before.tools(id, &skip), after.tools(id, &skip));
        let names = |a: &BTreeSet<&String>, b: &BTreeSet<&String>| {
            a.difference(b).map(|name| (*name).clone()).collect()
        };
        let change = TenantChange {
            id: id.to_owned(),
            what: What::of(was, is),
            widened: wider(before, after, id),
            gained: names(&has, &had),
            lost: names(&had, &has),
        };
        let different = was != is || touched.contains(id) || !change.widened.is_empty();
        if different || !change.gained.is_empty() || !change.lost.is_empty() {
            found.push(change);
        }
    }
    found
}

fn wider(before: &View<'_>, after: &View<'_>, id: &str) -> Vec<String> {
    match (before.tenant(id), after.tenant(id)) {
        (Some(old), Some(new)) => widened(old, new),
        (None, Some(_)) if before.has(id) => Vec::new(),
        (None, Some(_)) => vec!["the tenant is new".to_owned()],
        (Some(_), None) if after.has(id) => vec!["its access lists are gone".to_owned()],
        (None, None) if !before.has(id) && after.has(id) => {
            vec!["callers without a credential are let in".to_owned()]
        }
        _ => Vec::new(),
    }
}
