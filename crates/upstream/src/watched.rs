//! Which resources of one server are watched by callers.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Most watched resources of one server; more are not subscribed to.
const MAX_WATCHED: usize = 10_000;

/// The wanted set, and a bell for the one task that brings the server's subscriptions in line with it.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    uris: Mutex<BTreeSet<String>>,
    pub(crate) changed: Notify,
}

impl Watched {
    pub(crate) fn set(&self, uri: &str, on: bool) {
        let mut uris = self.uris.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if !on {
            uris.remove(uri)
        } else if uris.len() < MAX_WATCHED {
            uris.insert(uri.to_owned())
        } else {
            tracing::warn!(target: "ferromcp::server", uri, "{MAX_WATCHED} resources are watched already; this one is not");
            false
        };
        drop(uris);
        if changed {
            self.changed.notify_one();
        }
    }

    pub(crate) fn all(&self) -> BTreeSet<String> {
        self.uris.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
