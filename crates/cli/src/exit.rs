//! How the program ends when something is wrong.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use ferromcp_config::ConfigError;

/// Why the program ends without success. Exit codes are part of the contract.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration has errors: 2.
    Config(Box<ConfigError>),
    /// The arguments make no sense: 2.
    Usage(String),
    /// The address cannot be bound: 3.
    Bind(String),
    /// Calls were still running when the drain limit passed: 4.
    Drain(String),
    /// Anything else: 1.
    Other(String),
    /// Already said: 1.
    Silent,
}

impl Failure {
    /// Anything else, from an error and what was being done.
    pub(crate) fn other(doing: &str, error: impl Display) -> Self {
        Self::Other(format!("{doing}: {error}"))
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Bind(_) => 3,
            Self::Drain(_) => 4,
            Self::Other(_) | Self::Silent => 1,
        })
    }

    pub(crate) fn print(&self) {
        match self {
            Self::Config(error) => eprint!("{}", error.render(colour())),
            Self::Usage(text) | Self::Bind(text) | Self::Drain(text) | Self::Other(text) => {
                eprintln!("ferromcp: {text}");
            }
            Self::Silent => {}
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(error) => f.write_str(error.render(false).trim_end()),
            Self::Usage(text) | Self::Bind(text) | Self::Drain(text) | Self::Other(text) => f.write_str(text),
            Self::Silent => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

/// True if standard error shows colours.
pub(crate) fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
