//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The guarded front door for MCP tools.
///
/// One binary serves tools, built in or living in other MCP servers, to MCP hosts (stdio and
/// Streamable HTTP), scripts and services (REST). Every call goes through one pipeline that
/// limits, validates and records it.
#[derive(Debug, Parser)]
#[command(name = "ferromcp", version, about, long_about, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ferromcp serve                                  built-in tools on http://127.0.0.1:8080
  ferromcp serve --root ./data                    the same, with file tools jailed to ./data
  ferromcp serve --config ferromcp.yaml           upstream servers and settings from a file
  ferromcp serve --mode stdio --root .            for an MCP host that starts its servers
  ferromcp import claude_desktop_config.json > ferromcp.yaml
  ferromcp call echo '{\"msg\":\"hello\"}'            call a tool of the running server

Exit codes: 0 ok, 2 bad configuration or arguments, 3 cannot bind, 4 drain timed out, 1 anything else.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve tools until stopped.
    Serve(Serve),
    /// List the tools of a running server, or of a configuration.
    Tools(Tools),
    /// Call a tool of a running server, or of a configuration.
    Call(Call),
    /// Check a configuration file: every error with its line and column.
    Check(Check),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
    /// Turn an MCP host's `mcpServers` JSON into a ferromcp.yaml on standard output.
    Import(Import),
}

/// Which doors are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// MCP on standard input and output; ends when the input ends.
    Stdio,
    /// MCP and REST over HTTP, on one port.
    Http,
    /// Both; ends when the input ends.
    All,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Signals: SIGTERM and SIGINT stop accepting, finish the calls in flight (supervisor.drain, default 30 s), then
exit; a second one exits at once. Standard output of --mode stdio carries MCP only; logs go to standard error.")]
pub(crate) struct Serve {
    /// Configuration file. Without one: the built-in tools, on loopback.
    #[arg(long, short, value_name = "FILE", env = "FERROMCP_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Which doors to open.
    #[arg(long, value_enum, default_value_t = Mode::Http)]
    pub(crate) mode: Mode,
    /// Address of the HTTP doors; `:8080` means all interfaces, port 0 picks a free one. Default:
    /// listen.http of the configuration, or 127.0.0.1:8080.
    #[arg(long, value_name = "HOST:PORT", value_parser = ferromcp_config::parse_listen_addr)]
    pub(crate) addr: Option<SocketAddr>,
    /// Open the file tools on this directory (may be repeated). Read only, unless --write.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
    /// Let the file tools of --root write files.
    #[arg(long, requires = "root")]
    pub(crate) write: bool,
    /// Let the file tools of --root delete files.
    #[arg(long, requires = "root")]
    pub(crate) delete: bool,
    /// Threads that serve HTTP. Default: one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Log level or directives (`info`, `warn`, `info,ferromcp_upstream=debug`). Default: log.level
    /// of the configuration, or info.
    #[arg(long, value_name = "FILTER", env = "FERROMCP_LOG")]
    pub(crate) log: Option<String>,
    /// Serve on an address that others can reach although no authentication is configured.
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,
}

/// Where the tools are.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// A running server.
    #[arg(
        long,
        value_name = "URL",
        env = "FERROMCP_URL",
        default_value = "http://127.0.0.1:8080",
        conflicts_with = "config"
    )]
    pub(crate) url: String,
    /// Start what this configuration names, without a server, and stop it afterwards.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Key or token for the server, sent as `Authorization: Bearer`.
    #[arg(
        long,
        value_name = "KEY",
        env = "FERROMCP_TENANT_KEY",
        hide_env_values = true,
        conflicts_with = "config"
    )]
    pub(crate) tenant_key: Option<String>,
    /// Print JSON also on a terminal.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal the list is for people; piped, it is one JSON object {\"tools\":[...]}."
)]
pub(crate) struct Tools {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp call echo '{\"msg\":\"hello\"}'
  ferromcp call files__read_file @arguments.json --config ferromcp.yaml
  echo '{\"msg\":\"hi\"}' | ferromcp call echo -

On a terminal the tool's text is printed as it is; piped, the whole answer is one JSON object.
Exit code 1 if the call failed or the tool said so.")]
pub(crate) struct Call {
    /// Name of the tool, as `ferromcp tools` lists it.
    pub(crate) tool: String,
    /// Arguments: a JSON object, `@FILE`, or `-` for standard input. Default {}.
    pub(crate) arguments: Option<String>,
    /// Give up after this many milliseconds.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) timeout_ms: Option<u64>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file to check.
    #[arg(default_value = "ferromcp.yaml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The host's JSON file (Claude Desktop, Cursor, VS Code, or a bare map of servers).
    pub(crate) file: PathBuf,
    /// Write here instead of to standard output. An existing file is not overwritten.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
