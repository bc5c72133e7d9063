//! The catalog: every name that callers can use, and the source behind it.
//!
//! Invariants: an exposed name depends only on its own source's prefix and name, never on what
//! else is configured; order is deterministic (sources as configured, items as listed); what was
//! prepared from a definition that did not change is carried over, with its compiled schema.

mod alias;
mod compile;
mod edits;
mod header;
mod mark;
mod merge;
mod names;
mod template;
mod tool;
mod vetting;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::source::{Listing, Offers};

pub use alias::alias;
pub use edits::{Edit, Edits};
pub use header::{HeaderKind, ParamHeader};
pub use mark::{AVAILABLE, listed};
pub use names::{MAX_NAME, exposed_name};
pub use template::UriTemplate;
pub use tool::{PreparedTool, ToolEntry};
pub use vetting::{ItemKind, Objection, Verdict, Vetting, Withheld};

pub(crate) use compile::{Compiled, compile};

/// A resource.
#[derive(Debug)]
pub struct ResourceEntry {
    /// URI as listed to callers.
    pub uri: Arc<str>,
    /// URI at the source.
    pub local_uri: Arc<str>,
    /// Raw definition.
    pub definition: Arc<str>,
    /// Who has it.
    pub source: Arc<Listing>,
}

/// A resource template.
#[derive(Debug)]
pub struct TemplateEntry {
    /// URI template as listed to callers.
    pub uri: Arc<UriTemplate>,
    /// URI template at the source.
    pub local: Arc<UriTemplate>,
    /// Raw definition.
    pub definition: Arc<str>,
    /// Who has it.
    pub source: Arc<Listing>,
}

/// A prompt.
#[derive(Debug)]
pub struct PromptEntry {
    /// Name as listed to callers.
    pub name: Arc<str>,
    /// Name at the source.
    pub local_name: Arc<str>,
    /// Raw definition, with the exposed name.
    pub definition: Arc<str>,
    /// The definition as the source sent it.
    pub original: Arc<str>,
    /// Who has it.
    pub source: Arc<Listing>,
}

/// All names of one moment.
#[derive(Debug, Default)]
pub struct Catalog {
    tools: Vec<Arc<ToolEntry>>,
    tool_index: HashMap<Arc<str>, usize>,
    resources: Vec<Arc<ResourceEntry>>,
    resource_index: HashMap<Arc<str>, usize>,
    templates: Vec<Arc<TemplateEntry>>,
    prompts: Vec<Arc<PromptEntry>>,
    prompt_index: HashMap<Arc<str>, usize>,
    withheld: HashMap<(ItemKind, Arc<str>), Withheld>,
    /// By source: what is listed under another URI than the source's own.
    displaced: HashMap<Arc<str>, Displaced>,
    sources: Vec<Arc<Listing>>,
    eras_differ: bool,
    offers: Offers,
    fingerprint: Fingerprint,
}

/// What another source has under the same URI.
#[derive(Debug, Default)]
struct Displaced {
    uris: HashSet<Arc<str>>,
    templates: Vec<Arc<UriTemplate>>,
}

impl Displaced {
    fn has(&self, uri: &str) -> bool {
        self.uris.contains(uri) || self.templates.iter().any(|template| template.matches(uri))
    }
}

/// Hashes of the lists, to tell a real change from a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) tools: u64,
    pub(crate) resources: u64,
    pub(crate) prompts: u64,
}

impl Catalog {
    /// Finds a tool by its exposed name.
    pub fn tool(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.tool_index.get(name).and_then(|i| self.tools.get(*i))
    }

    /// The same, with its place in the list.
    pub(crate) fn tool_at(&self, name: &str) -> Option<(usize, &Arc<ToolEntry>)> {
        let place = *self.tool_index.get(name)?;
        self.tools.get(place).map(|tool| (place, tool))
    }

    /// All tools in list order.
    pub fn tools(&self) -> &[Arc<ToolEntry>] {
        &self.tools
    }

    /// True if a tool has another definition for legacy callers than for those of 2026-07-28.
    pub fn tools_differ_by_era(&self) -> bool {
        self.eras_differ
    }

    /// All resources in list order.
    pub fn resources(&self) -> &[Arc<ResourceEntry>] {
        &self.resources
    }

    /// All resource templates in list order.
    pub fn templates(&self) -> &[Arc<TemplateEntry>] {
        &self.templates
    }

    /// All prompts in list order.
    pub fn prompts(&self) -> &[Arc<PromptEntry>] {
        &self.prompts
    }

    /// Finds a prompt by its exposed name.
    pub fn prompt(&self, name: &str) -> Option<&Arc<PromptEntry>> {
        self.prompt_index.get(name).and_then(|i| self.prompts.get(*i))
    }

    /// The item of this exposed name that is kept back, if nothing else has the name.
    pub fn withheld(&self, kind: ItemKind, name: &str) -> Option<&Withheld> {
        self.withheld.get(&(kind, Arc::from(name)))
    }

    /// All items that are kept back.
    pub fn all_withheld(&self) -> impl Iterator<Item = &Withheld> {
        self.withheld.values()
    }

    /// All sources in configured order.
    pub fn sources(&self) -> &[Arc<Listing>] {
        &self.sources
    }

    /// Finds a source by name.
    pub fn source(&self, name: &str) -> Option<&Arc<Listing>> {
        self.sources.iter().find(|s| &*s.name == name)
    }

    /// What the sources can do together.
    pub fn offers(&self) -> Offers {
        self.offers
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Who reads this URI: the source that lists it, else the first whose template fits, else the
    /// only source that has resources at all (it may serve URIs that it does not list).
    /// Before that comes what names its source itself, see [`alias`].
    pub fn resource_source<'a>(&'a self, uri: &'a str) -> Option<&'a Arc<Listing>> {
        self.resource(uri).map(|(source, _)| source)
    }

    /// The same, with the URI that the source knows.
    pub fn resource<'a>(&'a self, uri: &'a str) -> Option<(&'a Arc<Listing>, Cow<'a, str>)> {
        if let Some(entry) = self.resource_index.get(uri).and_then(|i| self.resources.get(*i)) {
            return Some((&entry.source, Cow::Borrowed(&entry.local_uri)));
        }
        if let Some((name, own)) = alias::parts(uri)
            && let Some(source) = self.source(&name).filter(|source| source.offers.resources)
        {
            return Some((source, Cow::Owned(own)));
        }
        self.unlisted(uri).map(|source| (source, Cow::Borrowed(uri)))
    }

    fn unlisted(&self, uri: &str) -> Option<&Arc<Listing>> {
        if let Some(entry) = self.templates.iter().find(|t| t.uri.matches(uri)) {
            return Some(&entry.source);
        }
        let mut able = self.sources.iter().filter(|s| s.offers.resources);
        match (able.next(), able.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }

    /// Who completes arguments of this resource template.
    pub fn template_source(&self, template: &str) -> Option<&Arc<Listing>> {
        self.template(template).map(|(source, _)| source)
    }

    /// The same, with the template that the source knows.
    pub fn template(&self, template: &str) -> Option<(&Arc<Listing>, &str)> {
        let by_template = self
            .templates
            .iter()
            .find(|t| t.uri.as_str() == template)
            .map(|t| (&t.source, t.local.as_str()));
        by_template.or_else(|| {
            let entry = self
                .resource_index
                .get(template)
                .and_then(|i| self.resources.get(*i));
            entry.map(|entry| (&entry.source, &*entry.local_uri))
        })
    }

    /// A raw result of a source with the URIs that callers know; `None` if they are the source's own. `called`: the URI
    /// that the caller used, and the source's own for it.
    pub(crate) fn exposed(&self, source: &str, raw: &str, called: Option<(&str, &str)>) -> Option<String> {
        let displaced = self.displaced.get(source);
        let called = called.filter(|(used, own)| used != own);
        if displaced.is_none() && called.is_none() {
            return None;
        }
        alias::rewrite(raw, &|uri| match called {
            Some((used, own)) if own == uri => Some(used.to_owned()),
            _ => displaced
                .is_some_and(|displaced| displaced.has(uri))
                .then(|| alias(source, uri)),
        })
    }

    /// Who owns a task: task ids are `<source>.<secret>`.
    pub fn task_source(&self, id: &str) -> Option<&Arc<Listing>> {
        let (name, _) = id.rsplit_once('.')?;
        self.source(name).filter(|s| s.offers.tasks)
    }
}

#[cfg(test)]
mod tests;
