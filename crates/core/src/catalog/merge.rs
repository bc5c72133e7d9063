//! Prepared listings to one catalog.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use tracing::warn;

use super::names::fnv1a;
use super::{Catalog, Compiled, Fingerprint};
use crate::source::{Listing, Offers};

impl Catalog {
    /// Merges compiled listings, in order. Where two sources have the same name or URI the first
    /// one keeps it and the other is reported.
    pub(crate) fn merge(parts: &[Arc<Compiled>]) -> Self {
        let mut made = Self::default();
        made.reserve(parts);
        let mut hashes = [0u64; 3];
        for part in parts {
            let listing = &part.listing;
            made.sources.push(Arc::clone(listing));
            made.offers = union(made.offers, listing.offers);
            for entry in &part.tools {
                if claim(
                    &mut made.tool_index,
                    &entry.name,
                    made.tools.len(),
                    listing,
                    "tool",
                ) {
                    hashes[0] = mix(hashes[0], entry.hash);
                    made.tools.push(Arc::clone(entry));
                }
            }
            for entry in &part.resources {
                if claim(
                    &mut made.resource_index,
                    &entry.uri,
                    made.resources.len(),
                    listing,
                    "resource",
                ) {
                    hashes[1] = mix(hashes[1], fnv1a(entry.definition.as_bytes()));
                    made.resources.push(Arc::clone(entry));
                }
            }
            for entry in &part.templates {
                hashes[1] = mix(hashes[1], fnv1a(entry.definition.as_bytes()));
                made.templates.push(Arc::clone(entry));
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
