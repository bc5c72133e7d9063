//! Commands that speak to the admin API.

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

Examples:
  export FERROMCP_ADMIN_KEY=fmcpadmin_...        (made by `ferromcp keys new --admin`)
  ferromcp apply                                 the server with its admin API on 127.0.0.1:9090
  ferromcp apply --admin http://10.0.0.7:9090

The answer is what changed, as `ferromcp plan --json` says it. Exit code 0 if it is in force, 1 if the server refused.")]
pub(crate) struct Apply {
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
