//! What a tenant may do that it could not before, by its settings alone: no list of tools is needed, so nothing is missed
//! that a server may get later.

use std::collections::HashSet;

use ferromcp_config::{AccessList, ActsFor, Tenant};

/// One sentence for each.
pub(super) fn widened(old: &Tenant, new: &Tenant) -> Vec<String> {
    let mut found = Vec::new();
    if old.suspended && !new.suspended {
        found.push("it is no longer suspended".to_owned());
    }
    let keys: HashSet<[u8; 32]> = old.keys.iter().map(|key| key.sha256).collect();
    for key in &new.keys {
        if !keys.contains(&key.sha256) {
            found.push(format!("a key more: {}", key.shown()));
        } else if let Some(before) = old.keys.iter().find(|other| other.sha256 == key.sha256)
            && later(before.expires, key.expires)
        {
            found.push(format!("a key that lasts longer: {}", key.shown()));
        }
    }
    for rule in new
        .certificates
        .iter()
        .filter(|rule| !old.certificates.contains(rule))
    {
        found.push(format!("certificates more: {rule}"));
    }
    for (what, old, new) in [
        ("tools", &old.tools, &new.tools),
        ("resources", &old.resources, &new.resources),
        ("prompts", &old.prompts, &new.prompts),
    ] {
        list(what, old, new, &mut found);
    }
    match (&old.acts_for, &new.acts_for) {
        (ActsFor::All, _) => {}
        (ActsFor::Tenants(_), ActsFor::All) => found.push("it may act for every tenant".to_owned()),
        (ActsFor::Tenants(old), ActsFor::Tenants(new)) => {
            for id in new.iter().filter(|id| !old.contains(id)) {
                found.push(format!("it may act for {id}"));
            }
        }
    }
    found
}

fn later<T: PartialOrd>(before: Option<T>, after: Option<T>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => after > before,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn list(what: &str, old: &AccessList, new: &AccessList, found: &mut Vec<String>) {
    match (&old.allow, &new.allow) {
        (None, _) => {}
        (Some(_), None) => found.push(format!("{what}.allow is gone: all that is not denied")),
        (Some(old), Some(new)) => {
            for pattern in new.iter().filter(|pattern| !old.contains(pattern)) {
                found.push(format!("{what}.allow has `{pattern}` more"));
            }
        }
    }
    for pattern in old.deny.iter().filter(|pattern| !new.deny.contains(pattern)) {
        found.push(format!("{what}.deny has `{pattern}` no more"));
    }
}
