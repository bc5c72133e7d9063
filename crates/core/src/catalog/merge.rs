//! Listings to catalog.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ferromcp_protocol::json::Object;
use tracing::warn;

use super::names::{exposed_name, fnv1a};
use super::template::UriTemplate;
use super::tool::{ToolEntry, rename};
use super::{Catalog, Compiled, Fingerprint, PromptEntry, ResourceEntry, TemplateEntry};
use crate::source::{Listing, Offers};

/// Prepares the entries of a listing. Items that cannot be offered are left out and reported.
pub(crate) fn compile(listing: Listing) -> Compiled {
    let listing = Arc::new(listing);
    let mut made = Compiled {
        listing: Arc::clone(&listing),
        tools: Vec::with_capacity(listing.tools.len()),
        resources: Vec::with_capacity(listing.resources.len()),
        templates: Vec::with_capacity(listing.templates.len()),
        prompts: Vec::with_capacity(listing.prompts.len()),
    };
    for spec in &listing.tools {
        match ToolEntry::new(&listing, spec, exposed_name(&listing.prefix, &spec.key)) {
            Ok(entry) => made.tools.push(Arc::new(entry)),
            Err(reason) => left_out(&listing, "tool", &spec.key, &reason),
        }
    }
    for spec in &listing.prompts {
        match Object::parse(&spec.definition) {
            Ok(object) => {
                let name = exposed_name(&listing.prefix, &spec.key);
                made.prompts.push(Arc::new(PromptEntry {
                    definition: rename(&object, "name", &name, &[]),
                    name: name.into(),
                    local_name: spec.key.as_str().into(),
                    source: Arc::clone(&listing),
                }));
            }
            Err(e) => left_out(&listing, "prompt", &spec.key, &e.to_string()),
        }
    }
    for spec in &listing.resources {
        made.resources.push(Arc::new(ResourceEntry {
            uri: spec.key.as_str().into(),
            definition: spec.definition.as_str().into(),
            source: Arc::clone(&listing),
        }));
    }
    for spec in &listing.templates {
        made.templates.push(Arc::new(TemplateEntry {
            uri: UriTemplate::new(&spec.key),
            definition: spec.definition.as_str().into(),
            source: Arc::clone(&listing),
        }));
    }
    made
}

fn left_out(listing: &Listing, kind: &str, key: &str, reason: &str) {
    warn!(source = %listing.name, kind, name = key, reason, "left out of the catalog");
}

impl Catalog {
    /// Merges compiled listings, in order. Where two sources have the same name or URI the first
    /// one keeps it and the other is reported.
    pub(crate) fn merge(parts: &[Arc<Compiled>]) -> Self {
        let mut made = Self::default();
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
                    hashes[0] = mix(hashes[0], &entry.definition);
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
                    hashes[1] = mix(hashes[1], &entry.definition);
                    made.resources.push(Arc::clone(entry));
                }
            }
            for entry in &part.templates {
                hashes[1] = mix(hashes[1], &entry.definition);
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
                    hashes[2] = mix(hashes[2], &entry.definition);
                    made.prompts.push(Arc::clone(entry));
                }
            }
        }
        made.fingerprint = Fingerprint {
            tools: hashes[0],
            resources: hashes[1],
            prompts: hashes[2],
        };
        made
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
            left_out(
                listing,
                kind,
                name,
                "another source, configured earlier, has the same name",
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

fn mix(hash: u64, text: &str) -> u64 {
    hash.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fnv1a(text.as_bytes())
}
