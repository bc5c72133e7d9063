//! [`View`]: the catalog as one caller may see it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use ferromcp_tenancy::Kind;

use crate::call::{Credential, Principal};
use crate::catalog::{PromptEntry, ResourceEntry, TemplateEntry, ToolEntry};
use crate::error::CallError;
use crate::lists::ListKey;
#[cfg(doc)]
use crate::lists::MAX_TEXT;
use crate::snapshot::Snapshot;
use crate::source::Listing;
use crate::usage::TenantUsage;

/// The catalog as one caller may see it.
#[derive(Clone, Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    principal: Principal,
}

impl View {
    pub(super) fn of(snapshot: Arc<Snapshot>, credential: Credential<'_>) -> Result<Self, CallError> {
        let principal = snapshot.access.principal(credential)?;
        Ok(Self { snapshot, principal })
    }

    /// The snapshot that the view is of.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whose view it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Text made from this view: kept with the snapshot, for everybody who sees the same. `key` says what it is; `make` is
    /// asked if it is not there. At most [`MAX_TEXT`] bytes are kept, the oldest go first.
    pub fn cached<E>(&self, key: ListKey<'_>, make: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Bytes, E> {
        let seen_by = self.seen_by();
        if let Some(text) = self.snapshot.lists.find(seen_by, key) {
            return Ok(text);
        }
        let text = Bytes::from(make()?);
        self.snapshot.lists.keep(seen_by, key, &text);
        Ok(text)
    }

    /// Tells views of the same snapshot apart: 0 if everything is seen. The snapshot's access holds the grants, so no other
    /// grants can be at the same place while it lives.
    fn seen_by(&self) -> usize {
        let grants = self.principal.grants();
        match grants.acl() {
            None => 0,
            Some(_) => std::ptr::from_ref(grants).addr(),
        }
    }

    /// What the principal and its tenant may use, and have used at this moment. Counts nothing.
    pub fn usage(&self) -> TenantUsage {
        TenantUsage::of_caller(&self.snapshot, &self.principal)
    }

    /// The tools that the principal may see, in list order.
    pub fn tools(&self) -> Cow<'_, [Arc<ToolEntry>]> {
        self.seen(Kind::Tool, self.snapshot.catalog.tools(), |tool| &tool.name)
    }

    /// The resources that the principal may see, in list order.
    pub fn resources(&self) -> Cow<'_, [Arc<ResourceEntry>]> {
        self.seen(Kind::Resource, self.snapshot.catalog.resources(), |resource| {
            &resource.local_uri
        })
    }

    /// The resource templates that the principal may see, in list order.
    pub fn templates(&self) -> Cow<'_, [Arc<TemplateEntry>]> {
        self.seen(Kind::Resource, self.snapshot.catalog.templates(), |template| {
            template.local.as_str()
        })
    }

    /// The prompts that the principal may see, in list order.
    pub fn prompts(&self) -> Cow<'_, [Arc<PromptEntry>]> {
        self.seen(Kind::Prompt, self.snapshot.catalog.prompts(), |prompt| {
            &prompt.name
        })
    }

    /// Who reads this URI, if the principal may.
    pub fn resource_source<'a>(&'a self, uri: &'a str) -> Option<&'a Arc<Listing>> {
        let (found, own) = self.snapshot.catalog.resource(uri)?;
        self.principal
            .grants()
            .allows(Kind::Resource, &own)
            .then_some(found)
    }

    fn seen<'a, T>(&self, kind: Kind, all: &'a [Arc<T>], name: impl Fn(&T) -> &str) -> Cow<'a, [Arc<T>]> {
        let grants = self.principal.grants();
        if grants.acl().is_none() || all.iter().all(|item| grants.allows(kind, name(item))) {
            return Cow::Borrowed(all);
        }
        let seen = all.iter().filter(|item| grants.allows(kind, name(item)));
        Cow::Owned(seen.cloned().collect())
    }
}
