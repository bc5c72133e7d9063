//! One listing to entries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ferromcp_protocol::json::Object;
use tracing::warn;

use super::edits::Edit;
use super::names::exposed_name;
use super::template::UriTemplate;
use super::tool::{ToolEntry, edited};
use super::vetting::{ItemKind, Verdict, Vetting, Withheld};
use super::{PromptEntry, ResourceEntry, TemplateEntry};
use crate::source::{Listing, SourceState, Spec};

/// A listing with its entries prepared. Kept as long as the listing does not change.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) listing: Arc<Listing>,
    pub(super) tools: Vec<Arc<ToolEntry>>,
    pub(super) resources: Vec<Arc<ResourceEntry>>,
    pub(super) templates: Vec<Arc<TemplateEntry>>,
    pub(super) prompts: Vec<Arc<PromptEntry>>,
    pub(super) withheld: Vec<Withheld>,
    /// Warnings that were given, so that they are not given again while nothing changes.
    told: HashSet<String>,
}

/// Prepares the entries of a listing. What follows from definitions that are the same as `before` is carried over.
/// Items that cannot be offered are left out and reported. `same_vetting`: what passed before passes again.
pub(crate) fn compile(
    listing: Arc<Listing>,
    before: Option<&Compiled>,
    vetting: Option<&dyn Vetting>,
    same_vetting: bool,
) -> Compiled {
    // Names follow from prefix and edits; if those changed, nothing is as it was.
    let before = before.filter(|b| b.listing.prefix == listing.prefix && b.listing.edits == listing.edits);
    let mut compiler = Compiler {
        listing: &listing,
        vetting: vetting.filter(|_| listing.foreign),
        same_vetting: same_vetting && before.is_some_and(|b| b.listing.foreign == listing.foreign),
        before,
        told: HashSet::new(),
        withheld: Vec::new(),
    };
    let (tools, prompts) = (compiler.tools(), compiler.prompts());
    compiler.report_idle_edits();
    let Compiler { told, withheld, .. } = compiler;
    Compiled {
        tools,
        prompts,
        resources: resources(&listing),
        templates: templates(&listing, before),
        withheld,
        told,
        listing,
    }
}

struct Compiler<'a> {
    listing: &'a Arc<Listing>,
    vetting: Option<&'a dyn Vetting>,
    same_vetting: bool,
    before: Option<&'a Compiled>,
    told: HashSet<String>,
    withheld: Vec<Withheld>,
}

impl Compiler<'_> {
    fn tools(&mut self) -> Vec<Arc<ToolEntry>> {
        let known: HashMap<&str, &Arc<ToolEntry>> = self
            .before
            .iter()
            .flat_map(|b| &b.tools)
            .map(|tool| (&*tool.local_name, tool))
            .collect();
        let listing = self.listing;
        let edits = &listing.edits.tools;
        let claimed = self.claimed(ItemKind::Tool, &listing.tools, edits);
        let mut made = Vec::with_capacity(listing.tools.len());
        for spec in &listing.tools {
            let known = known
                .get(&*spec.key)
                .filter(|tool| same(&tool.original, &spec.definition));
            let edit = edits.get(&*spec.key);
            if edit.is_some_and(|edit| edit.hidden) {
                continue;
            }
            let name = match known {
                Some(tool) => Arc::clone(&tool.name),
                None => self.name(&spec.key, edit),
            };
            if !self.may_have(ItemKind::Tool, &name, spec, edit, &claimed)
                || !self.passes(ItemKind::Tool, &name, spec, known.is_some())
            {
                continue;
            }
            let entry = match known {
                Some(tool) => Ok(tool.carried(listing)),
                None => ToolEntry::new(listing, spec, name, edit),
            };
            match entry {
                Ok(entry) => made.push(Arc::new(entry)),
                Err(reason) => self.left_out(ItemKind::Tool, &spec.key, &reason),
            }
        }
        made
    }

    fn prompts(&mut self) -> Vec<Arc<PromptEntry>> {
        let known: HashMap<&str, &Arc<PromptEntry>> = self
            .before
            .iter()
            .flat_map(|b| &b.prompts)
            .map(|prompt| (&*prompt.local_name, prompt))
            .collect();
        let listing = self.listing;
        let edits = &listing.edits.prompts;
        let claimed = self.claimed(ItemKind::Prompt, &listing.prompts, edits);
        let mut made = Vec::with_capacity(listing.prompts.len());
        for spec in &listing.prompts {
            let known = known
                .get(&*spec.key)
                .filter(|prompt| same(&prompt.original, &spec.definition));
            let edit = edits.get(&*spec.key);
            if edit.is_some_and(|edit| edit.hidden) {
                continue;
            }
            let name = match known {
                Some(prompt) => Arc::clone(&prompt.name),
                None => self.name(&spec.key, edit),
            };
            if !self.may_have(ItemKind::Prompt, &name, spec, edit, &claimed)
                || !self.passes(ItemKind::Prompt, &name, spec, known.is_some())
            {
                continue;
            }
            let definition = match known {
                Some(prompt) => Ok(Arc::clone(&prompt.definition)),
                None => Object::parse(&spec.definition)
                    .map(|object| edited(&object, &name, edit.into_iter().flat_map(Edit::texts), &[]).into())
                    .map_err(|e| e.to_string()),
            };
            match definition {
                Ok(definition) => made.push(Arc::new(PromptEntry {
                    name,
                    local_name: Arc::clone(&spec.key),
                    definition,
                    original: Arc::clone(&spec.definition),
                    source: Arc::clone(listing),
                })),
                Err(reason) => self.left_out(ItemKind::Prompt, &spec.key, &reason),
            }
        }
        made
    }

    fn name(&self, key: &str, edit: Option<&Edit>) -> Arc<str> {
        let own = edit.and_then(|edit| edit.name.as_deref()).unwrap_or(key);
        exposed_name(&self.listing.prefix, own).into()
    }

    /// The names that the operator gave to items that are there, by the items' own names. No other item of the source
    /// may have one of them: a server must not take a name away that the operator gave.
    fn claimed(
        &mut self,
        kind: ItemKind,
        specs: &[Spec],
        edits: &std::collections::BTreeMap<String, Edit>,
    ) -> HashMap<Arc<str>, Arc<str>> {
        let mut claimed = HashMap::new();
        if edits.values().all(|edit| edit.name.is_none()) {
            return claimed;
        }
        for spec in specs {
            let edit = edits.get(&*spec.key).filter(|edit| !edit.hidden);
            if let Some(edit) = edit.filter(|edit| edit.name.is_some()) {
                let name = self.name(&spec.key, Some(edit));
                if let Some(first) = claimed.get(&name) {
                    let reason = format!("`{first}` was given the same name");
                    self.left_out(kind, &spec.key, &reason);
                } else {
                    claimed.insert(name, Arc::clone(&spec.key));
                }
            }
        }
        claimed
    }

    fn may_have(
        &mut self,
        kind: ItemKind,
        name: &Arc<str>,
        spec: &Spec,
        edit: Option<&Edit>,
        claimed: &HashMap<Arc<str>, Arc<str>>,
    ) -> bool {
        match claimed.get(name) {
            Some(owner) if *owner != spec.key => {
                // A second item that was given the name is reported already.
                if edit.is_none_or(|edit| edit.name.is_none()) {
                    let reason = format!("the configuration gives its name to `{owner}`");
                    self.left_out(kind, &spec.key, &reason);
                }
                false
            }
            _ => true,
        }
    }

    /// Asks the vetting, unless it has passed this very definition before.
    fn passes(&mut self, kind: ItemKind, name: &Arc<str>, spec: &Spec, unchanged: bool) -> bool {
        let Some(vetting) = self.vetting else { return true };
        let warned = self.before.is_some_and(|b| !b.told.is_empty());
        if unchanged && self.same_vetting && !warned {
            return true;
        }
        match vetting.vet(&self.listing.name, kind, spec) {
            Verdict::Offer => true,
            Verdict::Warn(objection) => {
                self.tell(format!(
                    "{} `{}`: {} ({}); offered all the same\n{}",
                    kind.as_str(),
                    spec.key,
                    objection.message,
                    objection.rule,
                    objection.detail
                ));
                true
            }
            Verdict::Withhold(objection) => {
                self.tell(format!(
                    "{} `{}` is quarantined: {} ({})\n{}",
                    kind.as_str(),
                    spec.key,
                    objection.message,
                    objection.rule,
                    objection.detail
                ));
                self.withheld.push(Withheld {
                    kind,
                    name: Arc::clone(name),
                    local_name: Arc::clone(&spec.key),
                    source: Arc::clone(&self.listing.name),
                    objection,
                });
                false
            }
        }
    }

    /// Edits of items that the source does not have are mistakes, or the server changed.
    fn report_idle_edits(&mut self) {
        let listing = self.listing;
        if listing.state != SourceState::Ready {
            return;
        }
        let sides = [
            ("tools", &listing.edits.tools, &listing.tools),
            ("prompts", &listing.edits.prompts, &listing.prompts),
        ];
        for (list, edits, specs) in sides {
            for key in edits.keys().filter(|key| specs.iter().all(|s| *s.key != ***key)) {
                self.tell(format!(
                    "`{list}.overrides` names `{key}`, which the server does not list (or `allow` and `deny` leave it \
                     out): the override has no effect"
                ));
            }
        }
    }

    fn left_out(&mut self, kind: ItemKind, key: &str, reason: &str) {
        self.tell(format!(
            "{} `{key}` is left out of the catalog: {reason}",
            kind.as_str()
        ));
    }

    /// Warns, once as long as the reason is there.
    fn tell(&mut self, text: String) {
        if self.before.is_none_or(|before| !before.told.contains(&text)) {
            warn!(target: "ferromcp::catalog", source = %self.listing.name, "{text}");
        }
        self.told.insert(text);
    }
}

fn resources(listing: &Arc<Listing>) -> Vec<Arc<ResourceEntry>> {
    let entry = |spec: &Spec| {
        Arc::new(ResourceEntry {
            uri: Arc::clone(&spec.key),
            local_uri: Arc::clone(&spec.key),
            definition: Arc::clone(&spec.definition),
            source: Arc::clone(listing),
        })
    };
    listing.resources.iter().map(entry).collect()
}

fn templates(listing: &Arc<Listing>, before: Option<&Compiled>) -> Vec<Arc<TemplateEntry>> {
    let known: HashMap<&str, &Arc<TemplateEntry>> = before
        .iter()
        .flat_map(|b| &b.templates)
        .map(|template| (template.uri.as_str(), template))
        .collect();
    let entry = |spec: &Spec| {
        let known = known.get(&*spec.key);
        let uri = known.map_or_else(|| Arc::new(UriTemplate::new(&spec.key)), |t| Arc::clone(&t.uri));
        Arc::new(TemplateEntry {
            local: Arc::clone(&uri),
            uri,
            definition: Arc::clone(&spec.definition),
            source: Arc::clone(listing),
        })
    };
    listing.templates.iter().map(entry).collect()
}

/// Mostly the very same text.
fn same(a: &Arc<str>, b: &Arc<str>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}
