//! `ferromcp init`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Looks for the files of MCP hosts on this machine and in this directory, puts their servers into one ferromcp.yaml, and then
asks for each host whether it is to start ferromcp in place of them. A host's file keeps everything but its list of servers,
and a backup is put beside it. Where standard input is no terminal nothing is asked, and hosts are changed only with --yes or
--host. Without any host, the file has the built-in tools.

Hosts: claude-desktop, claude-code, cursor, vscode, windsurf, zed, and of this directory claude-code-project, cursor-project,
vscode-project.

Examples:
  ferromcp init                             look, write, and ask for each host
  ferromcp init --dry-run                   only show what would be done
  ferromcp init --host cursor               only Cursor, without a question
  ferromcp init --undo                      give all hosts back what they had
  ferromcp init --config ~/mcp/ferromcp.yaml

Exit codes: 0 done, 1 a host could not be changed or given back, 2 bad arguments or files, or the configuration exists
already and lacks servers that were found.")]
pub(crate) struct Init {
    /// Write this file. Hosts get its absolute path.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "FERROMCP_CONFIG",
        default_value = "ferromcp.yaml"
    )]
    pub(crate) config: PathBuf,
    /// Only this host, by name or by its file (may be repeated); it is changed without a question.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) host: Vec<String>,
    /// Change all hosts that are found, without a question.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Replace the configuration if it exists; the old one is kept beside it.
    #[arg(long)]
    pub(crate) force: bool,
    /// Show what would be done, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give hosts back what they had, if their files are still as they were written here.
    #[arg(long, conflicts_with_all = ["yes", "force"])]
    pub(crate) undo: bool,
}
