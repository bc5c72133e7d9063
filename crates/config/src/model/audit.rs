//! The audit log as plain data.

use std::path::PathBuf;
use std::time::Duration;

use super::Endpoint;
use crate::secret::Secret;

/// `audit`: what is kept of every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The durable log; default none.
    pub log: Option<AuditLog>,
    /// Store arguments, not only their hash; default false (`hash`).
    pub store_arguments: bool,
    /// Names of members whose values are left out of stored arguments.
    pub redact: Vec<String>,
    /// Most bytes of arguments stored with a record, 64 B to 16 MiB; default 16 KiB.
    pub max_arguments: usize,
    /// Records kept in memory, 0 to 1,000,000. Resolved: without the key, 10,000 with `admin`, else none.
    pub ring: usize,
    /// Also write records to stdout as JSON lines; default false.
    pub stdout: bool,
    /// Also send records to an OpenTelemetry collector; default not.
    pub otlp: Option<AuditOtlp>,
}

/// `audit.otlp`: records as log records over OTLP/HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOtlp {
    /// The collector's logs endpoint.
    pub endpoint: Endpoint,
    /// How long records are gathered for one request, 10 ms to 1 min; default 1 s.
    pub interval: Duration,
    /// Longest wait for an answer, 100 ms to 1 min; default 10 s.
    pub timeout: Duration,
    /// Most bytes of records that wait, 64 KiB to 1 GiB; default 8 MiB.
    pub queue: usize,
}

/// The durable log, with `audit.file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLog {
    /// Its directory, resolved against the config file. It need not exist; it was nothing but a directory when the config
    /// was read.
    pub directory: PathBuf,
    /// What calls do when records come faster than they are written; default block.
    pub on_full: OnFull,
    /// What calls do when records cannot be written; default refuse.
    pub on_error: OnError,
    /// Signs checkpoints. `None`: a key made in the directory at the first start.
    pub sign_key: Option<SignKey>,
    /// A segment that is larger is closed, in bytes, 64 KiB to 16 GiB; default 64 MiB.
    pub rotate_size: u64,
    /// A segment that is older is closed, 1 min to 365 days; default 24 h.
    pub rotate_age: Duration,
    /// Which segments are kept; default all.
    pub keep: Keep,
    /// Longest wait of a record for others to be written with, up to 10 s; default 20 ms.
    pub commit_delay: Duration,
    /// Write durably that a call with effects begins, before it does; default false.
    pub journal: bool,
}

/// `audit.on_full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// Wait.
    #[default]
    Block,
    /// Go on; the records are counted and lost.
    Drop,
}

/// `audit.on_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Calls are refused.
    #[default]
    Refuse,
    /// Calls go on, the records are lost.
    Continue,
}

/// Where the key that signs checkpoints is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignKey {
    /// In this file, resolved against the config file; it was a file when the config was read.
    File(PathBuf),
    /// Here: the content that a `${file:...}` brought in, or a PEM text.
    Text(Secret),
}

/// `audit.keep`: older segments are deleted when any bound is passed. `None` is no bound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keep {
    /// Most segments, 1 to 1,000,000.
    pub files: Option<u32>,
    /// Greatest age, 1 h to 3650 days.
    pub age: Option<Duration>,
    /// Most bytes in all; at least the size of one segment (`rotate_size`), at most 1024 TiB.
    pub size: Option<u64>,
}

impl Audit {
    pub(crate) const RING: usize = 10_000;
    pub(crate) const REDACT: [&'static str; 5] = ["password", "token", "secret", "authorization", "api_key"];
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            log: None,
            store_arguments: false,
            redact: Self::REDACT.map(str::to_owned).into(),
            max_arguments: 16 << 10,
            ring: 0,
            stdout: false,
            otlp: None,
        }
    }
}

impl AuditOtlp {
    /// To this endpoint, all else as without further settings.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            queue: 8 << 20,
        }
    }
}

impl AuditLog {
    /// A log in this directory, all else as without further settings.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            on_full: OnFull::default(),
            on_error: OnError::default(),
            sign_key: None,
            rotate_size: 64 << 20,
            rotate_age: Duration::from_secs(86_400),
            keep: Keep::default(),
            commit_delay: Duration::from_millis(20),
            journal: false,
        }
    }
}
