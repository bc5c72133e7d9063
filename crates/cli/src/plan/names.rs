//! Which tools a configuration offers, by server, as far as that is known.

use std::collections::{BTreeMap, BTreeSet};

use ferromcp_config::{Config, DocumentSource, Transport, Upstream};
use ferromcp_core::catalog::{Catalog, exposed_name};

use crate::build;
use crate::exit::Failure;
use crate::pins::Kind;

/// Tools that servers are known to have, by server id and by the servers' own names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(BTreeMap<String, BTreeSet<String>>);

/// Tools by listed name, by server id; `None` if nobody knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Offered(pub(super) BTreeMap<String, Option<BTreeSet<String>>>);

/// The name of the built-in tools among the servers. No id of a server has parentheses.
pub(super) const BUILTIN: &str = "(built in)";

impl Known {
    /// What the lock file of a configuration says, if it has one.
    pub(crate) fn of_lock(config: &Config) -> Result<Self, Failure> {
        let Some(lock) = &config.lock else {
            return Ok(Self::default());
        };
        let pins = build::read_lock(&lock.file)
            .map_err(Failure::Usage)?
            .unwrap_or_default();
        let names = |pins: &crate::pins::ServerPins| pins.of(Kind::Tool).keys().cloned().collect();
        Ok(Self(
            pins.servers
                .iter()
                .map(|(id, pins)| (id.clone(), names(pins)))
                .collect(),
        ))
    }

    /// What documents say that lie beside the configuration.
    pub(crate) fn of_documents(config: &Config) -> Self {
        let names = |server: &Upstream| {
            let Transport::OpenApi(api) = &server.transport else {
                return None;
            };
            let DocumentSource::File(path) = &api.document else {
                return None;
            };
            // A document that is no good shows when the server is started.
            let names = ferromcp_upstream_openapi::tool_names(&std::fs::read(path).ok()?).ok()?;
            Some((server.id.clone(), names.into_iter().collect()))
        };
        Self(config.servers.iter().filter_map(names).collect())
    }

    /// What servers list that run.
    pub(crate) fn of_catalog(catalog: &Catalog) -> Self {
        let foreign = catalog
            .sources()
            .iter()
            .filter(|source| source.foreign && !source.tools.is_empty());
        let names = foreign.map(|source| {
            let tools = source.tools.iter().map(|tool| tool.key.to_string()).collect();
            (source.name.to_string(), tools)
        });
        Self(names.collect())
    }

    /// What is not known here, from there.
    pub(crate) fn or(mut self, other: Self) -> Self {
        for (id, names) in other.0 {
            self.0.entry(id).or_insert(names);
        }
        self
    }

    pub(super) fn offered(&self, config: &Config) -> Result<Offered, Failure> {
        let mut made = Offered::default();
        let pack = build::pack(config)?;
        let mut names: BTreeSet<String> = pack.tools.iter().map(|tool| tool.key.to_string()).collect();
        if config.builtin.batch {
            names.insert(ferromcp_tools::BATCH_CALL.to_owned());
        }
        made.0.insert(BUILTIN.to_owned(), Some(names));
        for server in &config.servers {
            let names = self.0.get(&server.id).map(|own| {
                let listed = own.iter().filter_map(|name| listed(server, name));
                listed.collect()
            });
            made.0.insert(server.id.clone(), names);
        }
        Ok(made)
    }
}

/// The name under which a tool is offered, if it is.
fn listed(server: &Upstream, own: &str) -> Option<String> {
    if !server.tools.admits(own) {
        return None;
    }
    let given = server
        .tool_overrides
        .iter()
        .find(|(name, _)| name == own)
        .map(|(_, given)| given);
    if given.is_some_and(|given| given.hidden) {
        return None;
    }
    let name = given.and_then(|given| given.name.as_deref()).unwrap_or(own);
    Some(exposed_name(&server.prefix, name))
}
