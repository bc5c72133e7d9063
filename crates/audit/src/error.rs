//! What can go wrong, each with its place.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::verify::Bad;

/// A setting that cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("audit.{setting}: {reason}")]
pub struct ConfigError {
    setting: &'static str,
    reason: String,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, reason: impl Into<String>) -> Self {
        Self {
            setting,
            reason: reason.into(),
        }
    }

    /// Name of the setting in [`Config`](crate::Config).
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a form that is read.
    #[error(
        "not a key: give PKCS#8 in PEM or DER, a SubjectPublicKeyInfo in PEM, or 32 bytes raw or in hexadecimal"
    )]
    Form,
    /// A form that is read, but not of an Ed25519 key.
    #[error("not an Ed25519 key")]
    Algorithm,
    /// The machine gives no random bytes.
    #[error("the machine gives no random bytes for a new key")]
    NoRandom,
}

/// Why the log cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process, or another handle of this one, has the directory open for writing.
    #[error("audit directory {} is in use by another writer", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The system refused.
    #[error("audit directory {}: {what}: {error}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What was being done.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// The files were changed by something that was no crash. Nothing was touched: look with
    /// [`verify`](crate::verify::verify), keep the directory as evidence and start with another one.
    #[error(
        "audit directory {} was damaged and not by a crash: {bad}; keep it as evidence, and start with another one",
        dir.display()
    )]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// The first bad record.
        bad: Box<Bad>,
    },
    /// The signing key in the directory cannot be used.
    #[error("audit directory {}: sign.key: {error}", dir.display())]
    Key {
        /// The directory.
        dir: PathBuf,
        /// Why.
        error: KeyError,
    },
}

/// A record was not taken. Under [`record`](crate::Audit::record) and
/// [`record_now`](crate::Audit::record_now) it is counted, and the log will show how many were lost.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotRecorded {
    /// No room: the log does not keep up, or cannot be written.
    #[error("the audit queue is full")]
    Full,
    /// The log was closed, or its writer died.
    #[error("the audit log is closed")]
    Closed,
}

/// The log cannot be written at this time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the audit log cannot be written: {reason}")]
pub struct Unavailable {
    /// What the system said.
    pub reason: String,
}
