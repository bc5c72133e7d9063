//! The tenants of file and store, and the order in which a change happens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ferromcp_core::{AccessSettings, Gateway};
use ferromcp_tenancy::{Directory, TenantId};
use serde_json::{Map, Value};

use crate::refusal::{Code, Refusal};
use crate::rules::{FileTenant, Issue, Others, Rules, TenantParts};
use crate::store::{Store, StoreError};

/// Most tenants of file and store together.
pub const MAX_TENANTS: usize = 10_000;

/// The tenants cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TenantsError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was let go of.
    #[error("another process is taking the place of this one, and has the store")]
    Away,
    /// What is in the store does not go with the configuration.
    #[error("{place}: {message}")]
    Conflict {
        /// Store and tenant.
        place: String,
        /// What is wrong, and what to do.
        message: String,
    },
}

/// A tenant of the store.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) version: u64,
    pub(crate) document: Map<String, Value>,
    parts: TenantParts,
}

type All = BTreeMap<String, Arc<Held>>;

/// The tenants of file and store.
pub struct Tenants {
    directory: PathBuf,
    /// Held for as long as it takes to copy or replace the pointer.
    rules: RwLock<Arc<dyn Rules>>,
    /// One change at a time. Held while the disk is written, so never in an async task.
    /// `None` while another process has it.
    store: Mutex<Option<Store>>,
    /// Held for as long as it takes to copy or replace the pointer.
    all: RwLock<Arc<All>>,
}

impl std::fmt::Debug for Tenants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tenants")
            .field("stored", &self.stored().len())
            .finish_non_exhaustive()
    }
}

/// What a change starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever is there.
    Any,
    /// A tenant, whatever its version.
    Present,
    /// No tenant.
    Absent,
    /// This version.
    Version(u64),
}

fn away() -> Refusal {
    Refusal::new(
        Code::Unavailable,
        "admin.upgrade",
        format!("{}; retry in a moment", TenantsError::Away),
    )
}

/// What a change comes down to.
pub(crate) enum Edit {
    /// The tenant is this from now on.
    Put(Map<String, Value>),
    /// It is gone.
    Remove,
}

/// What came of a change.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The tenant now; `None` if it is gone.
    pub(crate) now: Option<Arc<Held>>,
    /// It was not there before.
    pub(crate) created: bool,
    /// Names of the fields that are different.
    pub(crate) fields: Vec<String>,
}

impl Tenants {
    /// Opens the store in a directory. Every tenant in it is checked against the configuration.
    ///
    /// # Errors
    /// The store cannot be opened, or a tenant in it is also in the file or breaks the rules.
    pub fn open(directory: &Path, rules: Box<dyn Rules>) -> Result<Self, TenantsError> {
        let store = Store::open(directory)?;
        let rules: Arc<dyn Rules> = Arc::from(rules);
        let all = checked_all(directory, &store, &*rules)?;
        Ok(Self {
            directory: directory.to_owned(),
            rules: RwLock::new(rules),
            store: Mutex::new(Some(store)),
            all: RwLock::new(Arc::new(all)),
        })
    }

    /// Takes other rules, those of another configuration. Every tenant of the store is checked against them, then `apply`
    /// puts all of it in force, while no tenant changes. Blocks.
    ///
    /// # Errors
    /// A tenant of the store is also in the file, or breaks the rules. Nothing has changed then.
    pub fn reconfigure(
        &self,
        gateway: &Gateway,
        rules: Box<dyn Rules>,
        apply: impl FnOnce(AccessSettings),
    ) -> Result<(), TenantsError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = &*store else {
            return Err(TenantsError::Away);
        };
        let rules: Arc<dyn Rules> = Arc::from(rules);
        let all = checked_all(&self.directory, store, &*rules)?;
        let parts: Vec<&TenantParts> = all.values().map(|held| &held.parts).collect();
        let snapshot = gateway.snapshot();
        let access = rules
            .access(&parts, snapshot.access.directory())
            .map_err(|message| TenantsError::Conflict {
                place: format!("admin.store {}", self.directory.display()),
                message,
            })?;
        drop(snapshot);
        apply(access);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        Ok(())
    }

    /// Lets go of the store, so that another process can open it. Nothing can be changed from then on. Blocks.
    pub fn let_go(&self) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Opens the store again, which nobody has changed in between. Blocks.
    ///
    /// # Errors
    /// It cannot be opened; nothing can be changed then.
    pub fn take_back(&self) -> Result<(), StoreError> {
        let mut held = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(Store::open(&self.directory)?);
        }
        Ok(())
    }

    /// Settings for all tenants as they are now.
    ///
    /// # Errors
    /// A sentence.
    pub fn access(&self) -> Result<AccessSettings, String> {
        self.compiled(&self.stored(), &Directory::default())
    }

    fn compiled(&self, all: &All, before: &Directory) -> Result<AccessSettings, String> {
        let parts: Vec<&TenantParts> = all.values().map(|held| &held.parts).collect();
        self.rules().access(&parts, before)
    }

    /// The tenants of the store.
    pub(crate) fn stored(&self) -> Arc<All> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the configuration file says of tenants.
    pub(crate) fn rules(&self) -> Arc<dyn Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is such a tenant.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.stored().contains_key(id) || self.is_of_file(id)
    }

    fn is_of_file(&self, id: &str) -> bool {
        self.rules().file().iter().any(|tenant| tenant.id == id)
    }

    pub(crate) fn of_file(&self, id: &str) -> Option<FileTenant> {
        self.rules().file().iter().find(|tenant| tenant.id == id).cloned()
    }

    fn refuse_of_file(&self, id: &str) -> Result<(), Refusal> {
        if !self.is_of_file(id) {
            return Ok(());
        }
        let message = format!(
            "tenant {id} is in the configuration file: change it there and reload, or move it to the store"
        );
        Err(Refusal::new(Code::Conflict, "admin.tenant.file", message))
    }

    /// Changes one tenant: looks, edits, checks, writes to disk, puts it in force. Blocks.
    pub(crate) fn change(
        &self,
        gateway: &Gateway,
        id: &str,
        expected: Expected,
        edit: impl FnOnce(Option<&Held>) -> Result<Edit, Refusal>,
    ) -> Result<Changed, Refusal> {
        TenantId::new(id)
            .map_err(|e| Refusal::new(Code::InvalidRequest, "admin.tenant.id", e.to_string()).at("/id"))?;
        // Under the lock: a reload may just make it one of the file.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = store.as_mut().ok_or_else(away)?;
        self.refuse_of_file(id)?;
        let all = self.stored();
        let before = all.get(id).cloned();
        meets(id, expected, before.as_deref())?;
        let mut next = All::clone(&all);
        let edited = edit(before.as_deref())?;
        let fields = match &edited {
            Edit::Put(document) => differing(before.as_ref().map(|held| &held.document), document),
            Edit::Remove => Vec::new(),
        };
        if before.is_some() && fields.is_empty() && matches!(edited, Edit::Put(_)) {
            return Ok(Changed {
                now: before,
                created: false,
                fields,
            });
        }
        let put = match edited {
            Edit::Put(document) => Some(self.checked(id, document, &all)?),
            Edit::Remove => {
                free(id, &all)?;
                None
            }
        };
        let text = put
            .as_ref()
            .map(|held| Value::from(held.document.clone()).to_string());
        match &put {
            Some(held) => next.insert(id.to_owned(), Arc::new(held.clone())),
            None => next.remove(id),
        };
        let directory = gateway.snapshot();
        let access = self
            .compiled(&next, directory.access.directory())
            .map_err(|e| Refusal::new(Code::Internal, "admin.compile", e))?;
        let written = match &text {
            Some(text) => store.put(id, text).map(Some),
            None => store.remove(id).map(|()| None),
        };
        let version = written.map_err(|e| {
            tracing::error!(error = %e, "the store of the admin API cannot be written");
            Refusal::new(
                Code::Unavailable,
                "admin.store",
                "the store cannot be written; nothing was changed",
            )
        })?;
        let now = put
            .zip(version)
            .map(|(held, version)| Arc::new(Held { version, ..held }));
        if let Some(now) = &now {
            next.insert(id.to_owned(), Arc::clone(now));
        }
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        gateway.set_access(access);
        Ok(Changed {
            created: before.is_none(),
            now,
            fields,
        })
    }

    /// A document that follows the rules, among all others.
    fn checked(&self, id: &str, document: Map<String, Value>, all: &All) -> Result<Held, Refusal> {
        if !all.contains_key(id) && all.len() + self.rules().file().len() >= MAX_TENANTS {
            return Err(Refusal::new(
                Code::Conflict,
                "admin.tenant.limit",
                format!("there are {MAX_TENANTS} tenants, which is the limit: delete one first"),
            ));
        }
        let mut others = Others::default();
        for (other, held) in all.iter().filter(|(other, _)| *other != id) {
            others.ids.insert(other.clone());
            for key in &held.parts.settings.keys {
                others.keys.insert(key.hash.clone(), other.clone());
            }
            for rule in &held.parts.settings.certificates {
                others.certificates.insert(rule.clone(), other.clone());
            }
        }
        let text = Value::from(document.clone()).to_string();
        let parts = self
            .rules()
            .check(id, &text, &others)
            .map_err(Refusal::document)?;
        Ok(Held {
            version: 0,
            document,
            parts,
        })
    }
}

/// The tenants of a store, each by the rules and among the others.
fn checked_all(directory: &Path, store: &Store, rules: &dyn Rules) -> Result<All, TenantsError> {
    let stored = store.all()?;
    let mut others = Others {
        ids: stored.iter().map(|tenant| tenant.id.clone()).collect(),
        ..Others::default()
    };
    let mut all = All::new();
    for tenant in stored {
        let conflict = |message: String| TenantsError::Conflict {
            place: format!("admin.store {}, tenant {}", directory.display(), tenant.id),
            message,
        };
        if rules.file().iter().any(|other| other.id == tenant.id) {
            return Err(conflict(format!(
                "this tenant is in the store of the admin API and also in the configuration file (tenants.{}): \
                 remove it there, start, delete it through the admin API if the file shall have it, and put it back",
                tenant.id
            )));
        }
        let wrong = |issues: &[Issue]| {
            let lines: Vec<String> = issues
                .iter()
                .map(|i| format!("{} {}", i.pointer, i.message))
                .collect();
            conflict(format!(
                "does not go with this configuration: {}",
                lines.join("; ")
            ))
        };
        let document = parsed(&tenant.document).map_err(|refusal| wrong(&refusal.issues))?;
        let parts = rules
            .check(&tenant.id, &tenant.document, &others)
            .map_err(|issues| wrong(&issues))?;
        for key in &parts.settings.keys {
            others.keys.insert(key.hash.clone(), tenant.id.clone());
        }
        for rule in &parts.settings.certificates {
            others.certificates.insert(rule.clone(), tenant.id.clone());
        }
        let held = Held {
            version: tenant.version,
            document,
            parts,
        };
        all.insert(tenant.id, Arc::new(held));
    }
    Ok(all)
}

/// Reads a document.
pub(crate) fn parsed(text: &str) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_str(text) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(Refusal::new(
            Code::InvalidRequest,
            "admin.body",
            "the body must be a JSON object",
        )
        .at("")),
        Err(e) => Err(Refusal::new(Code::InvalidRequest, "json.syntax", format!("not JSON: {e}")).at("")),
    }
}

fn meets(id: &str, expected: Expected, found: Option<&Held>) -> Result<(), Refusal> {
    match (expected, found) {
        (Expected::Any, _) | (Expected::Present, Some(_)) | (Expected::Absent, None) => Ok(()),
        (Expected::Version(version), Some(held)) if held.version == version => Ok(()),
        (Expected::Version(version), Some(held)) => Err(Refusal::new(
            Code::PreconditionFailed,
            "admin.version",
            format!(
                "tenant {id} has version {}, not {version}: somebody changed it; read it again and repeat your change",
                held.version
            ),
        )),
        (Expected::Absent, Some(_)) => Err(Refusal::new(
            Code::Conflict,
            "admin.tenant.exists",
            format!("there is a tenant {id} already: change it with PUT or PATCH"),
        )),
        (Expected::Present | Expected::Version(_), None) => Err(unknown(id)),
    }
}

/// There is no such tenant.
pub(crate) fn unknown(id: &str) -> Refusal {
    let shown: String = id.chars().take(64).collect();
    Refusal::new(
        Code::NotFound,
        "admin.tenant.unknown",
        format!("there is no tenant `{shown}`"),
    )
}

/// A tenant that others act for stays.
fn free(id: &str, all: &All) -> Result<(), Refusal> {
    let user = all.iter().find(|(other, held)| {
        *other != id && held.parts.settings.may_act_for.iter().any(|target| target == id)
    });
    match user {
        None => Ok(()),
        Some((user, _)) => Err(Refusal::new(
            Code::Conflict,
            "admin.tenant.in_use",
            format!("tenant {user} may act for {id}: take {id} out of its acts_for first"),
        )),
    }
}

fn differing(before: Option<&Map<String, Value>>, after: &Map<String, Value>) -> Vec<String> {
    let Some(before) = before else {
        return after.keys().cloned().collect();
    };
    let mut fields: Vec<String> = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .cloned()
        .collect();
    fields.extend(
        after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(value))
            .map(|(key, _)| key.clone()),
    );
    fields.sort_unstable();
    fields
}
