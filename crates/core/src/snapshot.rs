//! What one call sees of configuration and catalog, from start to end.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_guard::{Redactor, ScanLimits};
use ferromcp_limits::Limits;

use crate::access::{Access, ToolGuards};
use crate::catalog::Catalog;
use crate::lists::ListTexts;

/// Who the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Programmatic name.
    pub name: String,
    /// Name for people.
    pub title: Option<String>,
    /// Version of the server.
    pub version: String,
    /// Advice for models, put before that of the sources.
    pub instructions: Option<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: "ferromcp".into(),
            title: None,
            version: env!("CARGO_PKG_VERSION").into(),
            instructions: None,
        }
    }
}

/// Whether tool arguments are checked against the tool's JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchemaMode {
    /// Refuse what does not fit.
    #[default]
    Enforce,
    /// Do not look.
    Off,
}

/// Limits of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bounds on arguments.
    pub scan: ScanLimits,
    /// Schema check.
    pub schema: SchemaMode,
    /// What is taken out of results; by default nothing.
    pub redact: Redactor,
    /// A call without progress for this long has failed. Default 30 s.
    pub idle_timeout: Duration,
    /// No call runs longer. Default 10 min.
    pub max_timeout: Duration,
    /// Largest result in bytes; larger text is cut with a mark. Default 10 MiB.
    pub max_output: usize,
    /// Most calls at a time. Default 10,000.
    pub max_in_flight: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            scan: ScanLimits::default(),
            schema: SchemaMode::Enforce,
            redact: Redactor::default(),
            idle_timeout: Duration::from_secs(30),
            max_timeout: Duration::from_secs(600),
            max_output: 10 << 20,
            max_in_flight: 10_000,
        }
    }
}

/// Configuration and catalog of one moment. Never edited: a change makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts up with every change.
    pub generation: u64,
    /// Who we are.
    pub identity: Identity,
    /// Limits.
    pub policy: Policy,
    /// Names to sources.
    pub catalog: Catalog,
    /// Who may call, and what.
    pub access: Arc<Access>,
    /// Rates and quotas, those of the catalog's tools among them.
    pub limits: Arc<Limits>,
    /// Pattern rules by policy; see [`Grants`](crate::Grants).
    pub guards: Vec<Option<ToolGuards>>,
    /// Texts of lists that were made from it; see [`View::cached`](crate::View::cached).
    pub(crate) lists: ListTexts,
}
