//! What this crate asks of whoever knows the configuration.

use std::collections::{HashMap, HashSet};

use ferromcp_core::AccessSettings;
use ferromcp_core::guard::PatternPolicy;
use ferromcp_tenancy::{Directory, TenantSettings};
use serde_json::{Map, Value};

/// A tenant of the configuration file: shown, never changed.
#[derive(Clone, Debug)]
pub struct FileTenant {
    /// Its id.
    pub id: String,
    /// The fields as the file could have them.
    pub document: Map<String, Value>,
}

/// A checked tenant, in the parts that the pipeline is made of.
#[derive(Clone, Debug)]
pub struct TenantParts {
    /// Who it is and what it may see.
    pub settings: TenantSettings,
    /// Its rate and quotas, if it has any.
    pub limits: Option<ferromcp_limits::TenantSettings>,
    /// Pattern rules of its own.
    pub patterns: Option<PatternPolicy>,
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// JSON Pointer (RFC 6901) into the document.
    pub pointer: String,
    /// What is wrong, what would be right, what to do. Never a secret.
    pub message: String,
}

/// The other tenants of the store.
#[derive(Debug, Default)]
pub struct Others {
    /// Their ids.
    pub ids: HashSet<String>,
    /// Whose each hash of a key (`sha256:...`) is.
    pub keys: HashMap<String, String>,
    /// Whose each rule for client certificates is.
    pub certificates: HashMap<String, String>,
}

/// Decides what a tenant may be, by the same rules as the configuration file.
pub trait Rules: Send + Sync {
    /// The tenants of the file.
    fn file(&self) -> &[FileTenant];

    /// Checks a tenant's document (a JSON object) among the others.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn check(&self, id: &str, document: &str, others: &Others) -> Result<TenantParts, Vec<Issue>>;

    /// Settings for the tenants of the file and these. What did not change against `before` is taken from it.
    ///
    /// # Errors
    /// A sentence; what was checked compiles, so that is a mistake of ours.
    fn access(&self, stored: &[&TenantParts], before: &Directory) -> Result<AccessSettings, String>;
}
