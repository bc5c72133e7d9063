//! Which resources are watched by callers, and which source was told so.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::source::Source;

/// Counts watchers by the URI that they use, and keeps the sources in line with it: a source hears of the first watcher
/// and of the last, also when the resource moves to another source in between.
#[derive(Default)]
pub(super) struct Watches {
    by_uri: HashMap<Arc<str>, Watched>,
}

struct Watched {
    watchers: usize,
    /// Who was told, of which URI of its own; nobody while no source has the resource.
    told: Option<(Arc<dyn Source>, Box<str>)>,
}

impl Watches {
    pub(super) fn add(&mut self, uri: &Arc<str>, catalog: &Catalog) {
        let watched = self.by_uri.entry(Arc::clone(uri)).or_insert(Watched {
            watchers: 0,
            told: None,
        });
        watched.watchers += 1;
        if watched.watchers == 1 {
            watched.point(uri, catalog);
        }
    }

    pub(super) fn has(&self, uri: &str) -> bool {
        self.by_uri.contains_key(uri)
    }

    pub(super) fn remove(&mut self, uri: &Arc<str>) {
        let Some(watched) = self.by_uri.get_mut(uri) else {
            return;
        };
        watched.watchers -= 1;
        if watched.watchers == 0
            && let Some(Watched {
                told: Some((source, own)),
                ..
            }) = self.by_uri.remove(uri)
        {
            source.watch(&own, false);
        }
    }

    /// After the catalog changed.
    pub(super) fn follow(&mut self, catalog: &Catalog) {
        for (uri, watched) in &mut self.by_uri {
            watched.point(uri, catalog);
        }
    }
}

impl Watched {
    fn point(&mut self, uri: &str, catalog: &Catalog) {
        let owner = catalog.resource(uri).map(|(listing, own)| (&listing.source, own));
        let same = match (&self.told, &owner) {
            (Some((told, before)), Some((owner, own))) => Arc::ptr_eq(told, owner) && **before == **own,
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        if let Some((before, own)) = self.told.take() {
            before.watch(&own, false);
        }
        if let Some((owner, own)) = owner {
            owner.watch(&own, true);
            self.told = Some((Arc::clone(owner), (*own).into()));
        }
    }
}
