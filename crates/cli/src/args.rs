//! The command line.

mod admin;
mod doctor;
mod health;
mod init;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use admin::{AdminApi, Apply, Rollback, Tenants, TenantsCommand, Upgrade};
pub(crate) use doctor::Doctor;
pub(crate) use health::Health;
pub(crate) use init::Init;
pub(crate) use server::{Address, Server, Usage};

/// The guarded front door for MCP tools.
///
/// One binary serves tools, built in or living in other MCP servers, to MCP hosts (stdio and
/// Streamable HTTP), scripts and services (REST, gRPC). Every call goes through one pipeline that
/// limits, validates and records it.
#[derive(Debug, Parser)]
#[command(name = "ferromcp", version, about, long_about, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ferromcp init                                   a configuration from the MCP hosts of this machine
  ferromcp serve                                  built-in tools on http://127.0.0.1:8080
  ferromcp serve --root ./data                    the same, with file tools jailed to ./data
  ferromcp serve --config ferromcp.yaml           upstream servers and settings from a file
  ferromcp serve --mode stdio --root .            for an MCP host that starts its servers
  ferromcp import claude_desktop_config.json > ferromcp.yaml
  ferromcp call echo '{\"msg\":\"hello\"}'            call a tool of the running server

Exit codes: 0 ok, 2 bad configuration or arguments, 3 cannot bind, 4 drain timed out, 1 anything else.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a ferromcp.yaml from the MCP hosts of this machine, and point them at it.
    Init(Init),
    /// Check everything that a configuration needs: servers, ports, files, certificates, limits. Says what to do.
    Doctor(Doctor),
    /// Serve tools until stopped.
    Serve(Serve),
    /// List the tools of a running server, or of a configuration.
    Tools(Tools),
    /// Call a tool of a running server, or of a configuration.
    Call(Call),
    /// Call many tools in one request, from a JSON file.
    Batch(Batch),
    /// Show what your tenant may use, and has used: rates and quotas of a running server.
    Usage(Usage),
    /// Ask a running server whether it takes calls: exit code 0 if so, 1 if not. For probes.
    Health(Health),
    /// Make an API key for a tenant.
    #[command(subcommand)]
    Keys(Keys),
    /// List and change the tenants of a running server.
    Tenants(Tenants),
    /// Read or verify an audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Walk a call through the pipeline without making it, and say what each stage decides.
    Why(Why),
    /// Pin the definitions of upstream tools and prompts, or show what changed since.
    Lock(Lock),
    /// Check a configuration file: every error with its line and column.
    Check(Check),
    /// Show what a reload would change: servers, tools of each tenant, limits, and what it would refuse.
    Plan(Plan),
    /// Have a running server take over its configuration file, and show what changed.
    Apply(Apply),
    /// Have a running server take back an earlier configuration, or list them.
    Rollback(Rollback),
    /// Replace the program of a running server without a failed call.
    Upgrade(Upgrade),
    /// Print the JSON Schema of the configuration file, for editors.
    Schema,
    /// Print a script that completes commands and options in a shell.
    Completions(Completions),
    /// Print the manual page, or write those of all commands to a directory.
    Man(Man),
    /// Turn an MCP host's `mcpServers` JSON into a ferromcp.yaml on standard output.
    Import(Import),
    /// Kill, freeze and break servers and the gateway itself under load, and check what must hold.
    Faults(Faults),
    /// The server that `faults` kills; of no use by itself.
    #[command(name = "__fault-server", hide = true)]
    FaultServer(FaultServer),
    /// Ends the children of a gateway that is gone; started by `serve`, of no use by itself.
    #[command(name = "__watchdog", hide = true)]
    Watchdog(Watchdog),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Starts a gateway of its own on a free port with five servers: one alone, one behind a shell, two at URLs, one of them with
TLS, and one to which nothing happens. Four clients call them all the time. Each cycle does one thing: kill -9 a server,
its shell, what it started or the gateway; SIGSTOP; closed pipes; garbage; a slow call; a remote server that is down,
answers 500, forgets the session or cuts answers off; one with a false certificate, or that breaks TLS handshakes off.
Your configuration and running servers are not touched.

Then it says for each of twelve invariants whether it held: no process left behind, no zombie, no stuck call, no wrong
answer, no call with effects that ran twice, ... Exit code 0 if all held, 1 if not. A seed gives the same faults again.
Linux only.

Examples:
  ferromcp faults                        28 cycles, under a minute
  ferromcp faults --cycles 500 --json    a long run for a machine to read")]
pub(crate) struct Faults {
    /// How many faults, one after the other.
    #[arg(long, value_name = "N", default_value_t = 28, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) cycles: u32,
    /// Decides the order of the faults and what is called. Default: another one each time; the report has it.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FaultServer {
    /// Be the helper of one.
    #[arg(long)]
    pub(crate) linger: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watchdog {
    /// What marks the gateway's children.
    pub(crate) mark: String,
}

/// Which doors are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// MCP on standard input and output; ends when the input ends.
    Stdio,
    /// MCP and REST over HTTP, on one port, and gRPC on another if it has an address.
    Http,
    /// All of them; ends when the input ends.
    All,
}

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Signals: SIGTERM and SIGINT stop accepting, finish the calls in flight (supervisor.drain, default 30 s), then
exit; a second one exits at once. SIGHUP takes over the configuration file, all of it or nothing. Standard output of --mode stdio carries MCP only; logs go to standard error.")]
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
    /// Open the gRPC door too, on this address; not with --mode stdio. Default: listen.grpc of the configuration, or no gRPC.
    #[arg(long, value_name = "HOST:PORT", value_parser = ferromcp_config::parse_listen_addr)]
    pub(crate) grpc_addr: Option<SocketAddr>,
    /// Open the file tools on this directory (may be repeated). Read only, unless --write.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
    /// Let the file tools of --root write files.
    #[arg(long, requires = "root")]
    pub(crate) write: bool,
    /// Let the file tools of --root delete files.
    #[arg(long, requires = "root")]
    pub(crate) delete: bool,
    /// The tenant of the client on standard input. Default: `local`.
    #[arg(long, value_name = "TENANT")]
    pub(crate) tenant: Option<String>,
    /// Threads that serve HTTP. Default: one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Log level or directives (`info`, `warn`, `info,ferromcp_upstream=debug`). Default: log.level
    /// of the configuration, or info.
    #[arg(long, value_name = "FILTER", env = "FERROMCP_LOG")]
    pub(crate) log: Option<String>,
    /// Take over the configuration file whenever it changes, or a file that `${file:...}` brings into it, as SIGHUP does.
    #[arg(long, requires = "config")]
    pub(crate) watch: bool,
    /// Serve on an address that others can reach although no authentication is configured.
    #[arg(long)]
    pub(crate) insecure_no_auth: bool,
}

/// Where the tools are.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Start what this configuration names, without a server, and stop it afterwards.
    #[arg(
        long,
        short,
        value_name = "FILE",
        conflicts_with_all = ["url", "tenant_key", "ca", "cert", "key"]
    )]
    pub(crate) config: Option<PathBuf>,
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
#[command(after_help = "\
The file is the body of POST /v1/tools/batch, or only its list of requests:
  [ { \"id\": \"a\", \"tool\": \"echo\", \"arguments\": { \"msg\": \"hello\" } },
    { \"tool\": \"echo\", \"arguments\": { \"msg\": { \"$result\": \"a\" } } } ]
{\"$result\": ID, \"pointer\": \"/json/pointer\"} stands for the output of another request, or a part of it.

Examples:
  ferromcp batch @requests.json
  ferromcp batch @requests.json --parallel 20 --stop-on-error --config ferromcp.yaml
  echo '[{\"tool\":\"echo\",\"arguments\":{\"msg\":\"hi\"}}]' | ferromcp batch -

On a terminal each result is printed under its id or number; piped, the whole answer is one JSON object. Exit code 1 if any
call failed.")]
pub(crate) struct Batch {
    /// The batch: JSON, `@FILE`, or `-` for standard input.
    pub(crate) batch: String,
    /// Make so many calls at the same time; overrides the file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) parallel: Option<u16>,
    /// Make no more calls once one has failed; overrides the file.
    #[arg(long)]
    pub(crate) stop_on_error: bool,
    /// Give up on what is not done after this many milliseconds; overrides the file.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) timeout_ms: Option<u64>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key and print it once, with the hash for the configuration.
    New(NewKey),
}

#[derive(Debug, Args)]
#[command(after_help = "\
The key is shown once and kept nowhere. Put the sha256 line under `tenants: TENANT: keys:`. To replace a key
without a gap, list both hashes until all clients have the new one.")]
pub(crate) struct NewKey {
    /// Id of the tenant.
    #[arg(required_unless_present = "admin")]
    pub(crate) tenant: Option<String>,
    /// Make a key of the admin API instead, for `admin: keys:`.
    #[arg(long, conflicts_with = "tenant")]
    pub(crate) admin: bool,
    /// Print {\"tenant\", \"key\", \"hash\"} as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Print the last records.
    Tail(AuditTail),
    /// Print the records that match, oldest first.
    Query(AuditQuery),
    /// Check every record, hash and signature; exit code 1 names the first bad record.
    Verify(AuditVerify),
}

#[derive(Debug, Args)]
pub(crate) struct AuditTail {
    /// Directory of the log (`audit.file`).
    pub(crate) directory: PathBuf,
    /// How many records.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) lines: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "Prints one JSON object a line: the members of the record as they stand in the log.")]
pub(crate) struct AuditQuery {
    /// Directory of the log (`audit.file`).
    pub(crate) directory: PathBuf,
    /// Only this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only this principal.
    #[arg(long)]
    pub(crate) principal: Option<String>,
    /// Only this tool (or resource, or prompt).
    #[arg(long)]
    pub(crate) tool: Option<String>,
    /// Only this outcome: `ok`, `tool_error`, or an error code.
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Only what this rule refused.
    #[arg(long)]
    pub(crate) rule: Option<String>,
    /// Only this kind: `call`, `admin`, `reload`, `marker`, `checkpoint`, ...
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only what policy decided so.
    #[arg(long, value_enum)]
    pub(crate) decision: Option<AuditDecision>,
    /// Not before this time (RFC 3339, as in 2026-01-31T12:00:00Z), or this long ago (10m, 24h, 7d).
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before this time; forms as for --since.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most so many.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
}

/// What policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuditDecision {
    /// Let through.
    Allow,
    /// Refused.
    Deny,
    /// Let through, and noted.
    Flag,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Needs the files and the public key, nothing else: a copy of the directory can be verified on another machine.
Note `last` somewhere else and give it as --anchor the next time: then a log that was put back as a whole is found too.
Exit code 0 if every record is in order, 1 if not.")]
pub(crate) struct AuditVerify {
    /// Directory of the log (`audit.file`).
    pub(crate) directory: PathBuf,
    /// File with the public key (PEM or hexadecimal; may be repeated after a change of keys). Default:
    /// audit.pub of the directory, which shows accidents but not an intruder who replaced it too.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// SEQ:HASH of a record that was noted before, and must still be there.
    #[arg(long, value_name = "SEQ:HASH")]
    pub(crate) anchor: Option<String>,
    /// The log is being written now: half a line at its end is no fault.
    #[arg(long)]
    pub(crate) live: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp why --config ferromcp.yaml --tenant company-a delete_file '{\"path\":\"x\"}'
  ferromcp why --config ferromcp.yaml --tenant company-a read_file --json

Starts what the configuration names, calls nothing. Counters of a running server are not looked at: rates and
quotas are shown as configured. Exit code 0 if the call would be let through, 1 if not.")]
pub(crate) struct Why {
    /// Name of the tool, as listed.
    pub(crate) tool: String,
    /// Arguments: a JSON object, `@FILE`, or `-` for standard input. Default {}.
    pub(crate) arguments: Option<String>,
    /// The tenant that would call. Default: the local one.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Configuration file. Without one: the built-in tools.
    #[arg(long, short, value_name = "FILE", env = "FERROMCP_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print the verdicts as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp lock                        the first time: writes mcp.lock beside the configuration
  ferromcp lock --check                in CI: exit code 1 if anything differs
  ferromcp lock --accept files         take over what changed of one server
  ferromcp lock --accept files/read    or of one tool

Starts what the configuration names, and reports texts that look as if they were to steer a model. With `lock.file` in the
configuration, `ferromcp serve` quarantines what is not as locked.
Exit codes: 0 all as locked, 1 something differs or a server does not answer, 2 bad arguments, configuration or lock file.")]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Lock file. Default: lock.file of the configuration, or mcp.lock beside it.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Take over changes: all, or those of a server (SERVER) or one tool or prompt (SERVER/NAME).
    #[arg(long, value_name = "WHAT", num_args = 0.., conflicts_with = "check")]
    pub(crate) accept: Option<Vec<String>>,
    /// Write nothing, and fail if there is no lock file.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The file of a command that cannot do without one.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// Configuration file.
    #[arg(
        id = "config",
        long = "config",
        short = 'c',
        value_name = "FILE",
        env = "FERROMCP_CONFIG",
        default_value = "ferromcp.yaml"
    )]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file to check.
    #[arg(default_value = "ferromcp.yaml")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp plan new.yaml --against ferromcp.yaml
  ferromcp plan new.yaml --against ferromcp.yaml --start --json
  ferromcp plan new.yaml                         against a running server (FERROMCP_ADMIN_KEY; `admin.accept_config`)

WIDER marks what lets somebody do more than before: a key, an access list, a limit. Tools of servers are known from the lock
file (`lock.file`), or with --start from the servers themselves; which are not known is said.
Exit codes: 0, 1 if a reload would refuse a change because it needs a restart, 2 bad configuration.")]
pub(crate) struct Plan {
    /// The configuration file that would be loaded.
    pub(crate) file: PathBuf,
    /// The one that it is compared with. Without, the one that a running server has in force is asked for, by its admin API.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "admin_key"])]
    pub(crate) against: Option<PathBuf>,
    /// Start the servers of both to see their tools, and stop them afterwards. A running server knows its own.
    #[arg(long, requires = "against")]
    pub(crate) start: bool,
    #[command(flatten)]
    pub(crate) api: AdminApi,
    /// Print the plan as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp completions bash > ~/.local/share/bash-completion/completions/ferromcp
  ferromcp completions zsh > ~/.zfunc/_ferromcp                (with ~/.zfunc in fpath)
  ferromcp completions fish > ~/.config/fish/completions/ferromcp.fish")]
pub(crate) struct Completions {
    /// For which shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ferromcp man | man -l -
  ferromcp man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write a page for each command here; the directory is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The host's JSON file (Claude Desktop, Cursor, VS Code, or a bare map of servers).
    pub(crate) file: PathBuf,
    /// Write here instead of to standard output. An existing file is not overwritten.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
