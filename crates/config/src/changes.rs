//! What is different between two files, setting by setting, and what a reload makes of it.

mod given;
mod reload;

use std::collections::BTreeSet;

pub use given::Given;
pub use reload::Reload;
pub(crate) use reload::reload_of;

use given::Entry;

/// One setting that means something else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is in the file: `servers.files.timeout`.
    pub path: String,
    /// The server that it belongs to.
    pub server: Option<String>,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// What it was. Never a secret.
    pub from: String,
    /// What it is. Never a secret.
    pub to: String,
    /// Where it can be told: a limit is higher than before, or gone.
    pub raised: Option<bool>,
    /// What a running server makes of it.
    pub reload: Reload,
}

/// All settings that mean something else in `new`, in the order of their paths. A value that is written out and equals the
/// default is no change.
pub fn changes(old: &Given, new: &Given) -> Vec<Change> {
    let paths: BTreeSet<&String> = old.entries.keys().chain(new.entries.keys()).collect();
    let change = |path: &String| {
        let (before, after) = (old.entries.get(path), new.entries.get(path));
        let known = after.or(before)?;
        let default = known.default();
        let meaning = |entry: Option<&Entry>| match entry {
            Some(entry) => Some(entry.meaning.clone()),
            None => default.as_ref().map(|default| default.meaning.clone()),
        };
        if meaning(before) == meaning(after) {
            return None;
        }
        let shown = |entry: Option<&Entry>| entry.map_or_else(|| known.absent(), |entry| entry.shown.clone());
        let amount = |entry: Option<&Entry>| entry.or(default.as_ref()).and_then(|entry| entry.amount);
        // A limit that is not set does not limit.
        let raised = match (amount(before), amount(after)) {
            (Some(before), Some(after)) => (before != after).then_some(after > before),
            (Some(_), None) if after.is_none() => Some(true),
            (None, Some(_)) if before.is_none() => Some(false),
            _ => None,
        };
        Some(Change {
            path: path.clone(),
            server: known.under("servers"),
            tenant: known.under("tenants"),
            from: shown(before),
            to: shown(after),
            raised: raised.filter(|_| known.is_limit()),
            reload: reload_of(&known.pattern),
        })
    };
    paths.into_iter().filter_map(change).collect()
}
