//! `ferromcp doctor`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
One line for each thing: ok, warn, FAIL, or skip with the reason. Starts each server for itself and stops it again, calls no
tool, changes nothing, and can be used beside a running ferromcp. Secrets are not printed.

Examples:
  ferromcp doctor
  ferromcp doctor --config ferromcp.yaml --json

Exit codes: 0 nothing failed, 1 something did, 2 bad configuration or arguments.")]
pub(crate) struct Doctor {
    /// Configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "FERROMCP_CONFIG",
        default_value = "ferromcp.yaml"
    )]
    pub(crate) config: PathBuf,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
