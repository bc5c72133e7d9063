//! `ferromcp doctor`.

use clap::Args;

use super::ConfigFile;

#[derive(Debug, Args)]
#[command(after_help = "\
One line for each thing: ok, warn, FAIL, or skip with the reason. Starts each server for itself and stops it again, calls no
tool, changes nothing, and can be used beside a running ferromcp. Secrets are not printed.

Examples:
  ferromcp doctor
  ferromcp doctor --config ferromcp.yaml --json

Exit codes: 0 nothing failed, 1 something did, 2 bad configuration or arguments.")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
