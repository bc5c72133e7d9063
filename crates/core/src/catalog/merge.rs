//! Prepared listings to one catalog.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tracing::warn;

use super::names::fnv1a;
use super::{
    Catalog, Compiled, Fingerprint, ResourceEntry, TemplateEntry, ToolEntry, UriTemplate,
    alias::{self, alias},
};
use crate::source::{Listing, Offers};

impl Catalog {
    /// Merges compiled listings, in order. Where two sources have the same URI the first one keeps it, and the resource
    /// of the other is listed under its [`alias`]. Where two have the same name the other is reported.
    pub(crate) fn merge(parts: &[Arc<Compiled>]) -> Self {
        let mut made = Self::default();
        made.reserve(parts);
        let mut hashes = [0u64; 3];
        let mut owners = HashMap::new();
        for part in parts {
            let listing = &part.listing;
            made.sources.push(Arc::clone(listing));
            made.offers = union(made.offers, listing.offers);
            for entry in &part.resources {
                made.add_resource(entry, &mut hashes[1]);
            }
            for entry in &part.templates {
                made.add_template(entry, &mut owners, &mut hashes[1]);
            }
            for entry in &part.tools {
                if claim(
                    &mut made.tool_index,
                    &entry.name,
                    made.tools.len(),
                    listing,
                    "tool",
                ) {
                    let entry = made.page_of(entry);
                    hashes[0] = mix(hashes[0], entry.hash);
                    made.eras_differ |= entry.hides_structured_from_legacy();
                    made.tools.push(entry);
                }
            }
            for entry in &part.prompts {
                if claim(
                    &mut made.prompt_index,
                    &entry.name,
                    made.prompts.len(),
                    listing,
                    "prompt",
                ) {
                    hashes[2] = mix(hashes[2], fnv1a(entry.definition.as_bytes()));
                    made.prompts.push(Arc::clone(entry));
                }
            }
        }
        for withheld in parts.iter().flat_map(|part| &part.withheld) {
            let key = (withheld.kind, Arc::clone(&withheld.name));
            made.withheld.entry(key).or_insert_with(|| withheld.clone());
        }
        made.fingerprint = Fingerprint {
            tools: hashes[0],
            resources: hashes[1],
            prompts: hashes[2],
        };
        made
    }

    fn add_resource(&mut self, entry: &Arc<ResourceEntry>, hash: &mut u64) {
        let mut entry = Arc::clone(entry);
        if self.resource_index.contains_key(&entry.uri) {
            let uri = alias(&entry.source.name, &entry.local_uri);
            let Some(definition) = alias::renamed(&entry.definition, "uri", &uri) else {
                return;
            };
            let displaced = self.displaced.entry(Arc::clone(&entry.source.name)).or_default();
            displaced.uris.insert(Arc::clone(&entry.local_uri));
            entry = Arc::new(ResourceEntry {
                uri: uri.into(),
                local_uri: Arc::clone(&entry.local_uri),
                definition: definition.into(),
                source: Arc::clone(&entry.source),
            });
        }
        if claim(
            &mut self.resource_index,
            &entry.uri,
            self.resources.len(),
            &entry.source,
            "resource",
        ) {
            *hash = mix(*hash, fnv1a(entry.definition.as_bytes()));
            self.resources.push(entry);
        }
    }

    /// `owners`: who has each template first.
    fn add_template<'p>(
        &mut self,
        entry: &'p Arc<TemplateEntry>,
        owners: &mut HashMap<&'p str, &'p Arc<str>>,
        hash: &mut u64,
    ) {
        let owner = *owners.entry(entry.local.as_str()).or_insert(&entry.source.name);
        let mut entry = Arc::clone(entry);
        if *owner != entry.source.name {
            let uri = alias::alias_template(&entry.source.name, entry.local.as_str());
            if let Some(definition) = alias::renamed(&entry.definition, "uriTemplate", &uri) {
                let displaced = self.displaced.entry(Arc::clone(&entry.source.name)).or_default();
                displaced.templates.push(Arc::clone(&entry.local));
                entry = Arc::new(TemplateEntry {
                    uri: Arc::new(UriTemplate::new(&uri)),
                    local: Arc::clone(&entry.local),
                    definition: definition.into(),
                    source: Arc::clone(&entry.source),
                });
            }
        }
        *hash = mix(*hash, fnv1a(entry.definition.as_bytes()));
        self.templates.push(entry);
    }

    /// The tool with the page that it names (MCP Apps) under the URI that callers know.
    fn page_of(&self, entry: &Arc<ToolEntry>) -> Arc<ToolEntry> {
        let shown = entry.with_uris(|raw| self.exposed(&entry.source.name, raw, None));
        shown.map_or_else(|| Arc::clone(entry), Arc::new)
    }

    fn reserve(&mut self, parts: &[Arc<Compiled>]) {
        let tools = parts.iter().map(|part| part.tools.len()).sum();
        self.tools.reserve(tools);
        self.tool_index.reserve(tools);
        let resources = parts.iter().map(|part| part.resources.len()).sum();
        self.resources.reserve(resources);
        self.resource_index.reserve(resources);
        let prompts = parts.iter().map(|part| part.prompts.len()).sum();
        self.prompts.reserve(prompts);
        self.prompt_index.reserve(prompts);
    }
}

fn claim(
    index: &mut HashMap<Arc<str>, usize>,
    name: &Arc<str>,
    at: usize,
    listing: &Listing,
    kind: &str,
) -> bool {
    match index.entry(Arc::clone(name)) {
        Entry::Vacant(free) => {
            free.insert(at);
            true
        }
        Entry::Occupied(_) => {
            warn!(
                target: "ferromcp::catalog",
                source = %listing.name,
                "{kind} `{name}` is left out of the catalog: another source, configured earlier, has the same name"
            );
            false
        }
    }
}

fn union(a: Offers, b: Offers) -> Offers {
    Offers {
        tools: a.tools || b.tools,
        resources: a.resources || b.resources,
        prompts: a.prompts || b.prompts,
        completions: a.completions || b.completions,
        tasks: a.tasks || b.tasks,
    }
}

fn mix(hash: u64, item: u64) -> u64 {
    hash.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ item
}
