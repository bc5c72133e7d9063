//! What an operator changes about the items of a source: other names and texts, or not offered at all.

use std::collections::BTreeMap;

/// Changes by the source's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Of tools.
    pub tools: BTreeMap<String, Edit>,
    /// Of prompts.
    pub prompts: BTreeMap<String, Edit>,
}

/// Changes of one item. What is `None` stays as the source has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Name instead of the source's own. The prefix is put before it as before any other.
    pub name: Option<String>,
    /// Name for people.
    pub title: Option<String>,
    /// Text for models.
    pub description: Option<String>,
    /// Neither listed nor callable.
    pub hidden: bool,
}

impl Edit {
    /// Members of the definition that are replaced.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let title = self.title.as_deref().map(|text| ("title", text));
        let description = self.description.as_deref().map(|text| ("description", text));
        title.into_iter().chain(description)
    }
}
