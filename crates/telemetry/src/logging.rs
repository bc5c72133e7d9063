//! The log on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSetup {
    /// A level (`info`) or directives of `tracing` (`info,ferromcp_upstream=debug`).
    pub filter: String,
    /// How lines look.
    pub format: LogFormat,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The filter is not understood.
    #[error(
        "log filter `{filter}`: {reason}. Use a level (error, warn, info, debug, trace) or directives like `info,ferromcp_upstream=debug`"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// Another log is already set up in this process.
    #[error("a log is already set up in this process")]
    AlreadySet,
}

/// Sends the log of the whole process to standard error.
pub fn init(setup: &LogSetup) -> Result<(), LogSetupError> {
    let filter = EnvFilter::try_new(&setup.filter).map_err(|e| LogSetupError::Filter {
        filter: setup.filter.clone(),
        reason: e.to_string(),
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let done = match setup.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    done.map_err(|_| LogSetupError::AlreadySet)
}
