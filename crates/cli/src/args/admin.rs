//! Commands that speak to the admin API.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

/// Where the admin API is, and what opens it.
#[derive(Debug, Args)]
pub(crate) struct AdminApi {
    /// The admin API of the server.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "FERROMCP_ADMIN_URL",
        default_value = "http://127.0.0.1:9090"
    )]
    pub(crate) admin: String,
    /// Key of the admin API.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "FERROMCP_ADMIN_KEY",
        hide_env_values = true
    )]
    pub(crate) admin_key: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  export FERROMCP_ADMIN_KEY=fmcpadmin_...        (made by `ferromcp keys new --admin`)
  ferromcp tenants create acme '{\"name\":\"Acme\",\"quotas\":{\"tool_calls\":\"1000/min\"}}'
  ferromcp tenants set acme '{\"tools\":{\"allow\":[\"echo\"]}}'
  ferromcp tenants suspend acme
  ferromcp tenants usage acme

Tenants have the fields of `tenants:` in ferromcp.yaml. Those of the file are listed and cannot be changed here.
Answers are JSON. Exit code 0 if it was done, 1 if the server refused.")]
pub(crate) struct Tenants {
    #[command(subcommand)]
    pub(crate) what: TenantsCommand,
    #[command(flatten)]
    pub(crate) api: AdminApi,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantsCommand {
    /// All tenants, of the file and of the store.
    List,
    /// One tenant.
    Show {
        /// Its id.
        id: String,
    },
    /// Make a tenant.
    Create {
        /// Its id.
        id: String,
        /// Its settings: a JSON object, `@FILE`, or `-` for standard input. Default {}.
        settings: Option<String>,
    },
    /// Change settings of a tenant; the others stay. null removes one.
    Set {
        /// Its id.
        id: String,
        /// The settings to change: a JSON object, `@FILE`, or `-` for standard input.
        settings: String,
    },
    /// Make an API key for a tenant; it is shown once.
    Key {
        /// Its id.
        id: String,
    },
    /// Refuse all calls of a tenant from now on.
    Suspend {
        /// Its id.
        id: String,
    },
    /// Take its calls again.
    Resume {
        /// Its id.
        id: String,
    },
    /// Delete a tenant.
    Delete {
        /// Its id.
        id: String,
    },
    /// What of its rate and quotas is used.
    Usage {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
The server reads the file that it was started with, checks it, starts what is new, and puts all of it in force at one moment. Calls
that run finish under the old configuration. If anything is wrong with it, nothing changes. SIGHUP and `serve --watch` do the same.

With FILE, the server takes that text in place of its file (`admin.accept_config` must allow it), with paths relative to its own, and writes it
to its file once it is in force.

With --watch and --rollback-on, the server counts calls for a while and takes the configuration back by itself if a larger part of them
fails than may, and than did before. With fewer than 20 calls it stays.

Examples:
  export FERROMCP_ADMIN_KEY=fmcpadmin_...        (made by `ferromcp keys new --admin`)
  ferromcp apply                                 the server with its admin API on 127.0.0.1:9090
  ferromcp apply new.yaml --watch 30s --rollback-on 5%
  ferromcp apply --admin http://127.0.0.1:9191 --json

What changed is printed as `ferromcp plan` says it. Exit code 0 if it is in force, 1 if the server refused or took it back.")]
pub(crate) struct Apply {
    /// Take this file's text in place of the server's own file.
    pub(crate) file: Option<PathBuf>,
    /// Count calls for so long, at most 10 minutes, before the answer: `30s`, `2m`.
    #[arg(long, value_name = "TIME", requires = "rollback_on", value_parser = humantime::parse_duration)]
    pub(crate) watch: Option<Duration>,
    /// Take it back if a larger part of calls fails: `5%`.
    #[arg(long, value_name = "PERCENT", requires = "watch", value_parser = percent)]
    pub(crate) rollback_on: Option<f64>,
    /// Print what changed as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: AdminApi,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The server keeps its last ten configurations since its start. Taking one back works as `ferromcp apply` does, all of it or nothing; then
the file is written as it was.

Examples:
  ferromcp rollback --list
  ferromcp rollback            to the one before the last
  ferromcp rollback 3")]
pub(crate) struct Rollback {
    /// Number of the configuration. Default: the one before the last.
    pub(crate) generation: Option<u64>,
    /// Only list them.
    #[arg(long, conflicts_with = "generation")]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) api: AdminApi,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The server starts its program file again, with its own arguments, and the new process takes its place: listening sockets, sessions,
the audit log and the store of tenants go over, and the old process serves the connections that it has to their end (at most
`supervisor.drain`). No call fails. If the new process does not come up, everything stays as it was, and you are told why.
SIGUSR2 does the same.

Examples:
  export FERROMCP_ADMIN_KEY=fmcpadmin_...        (made by `ferromcp keys new --admin`)
  install -m 755 ferromcp-new /usr/local/bin/ferromcp && ferromcp upgrade

Exit code 0 if the new process serves, 1 if the server refused or the new process did not come up.")]
pub(crate) struct Upgrade {
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) api: AdminApi,
}

/// `5%` as 0.05.
fn percent(text: &str) -> Result<f64, String> {
    let number = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("it is a percentage of at least 0% and less than 100%, such as 5%".to_owned()),
    }
}
