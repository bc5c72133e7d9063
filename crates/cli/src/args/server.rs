//! Commands that speak to a running server as one of its callers.

use std::path::PathBuf;

use clap::Args;

/// A running server, and the certificates of both sides.
#[derive(Debug, Args)]
pub(crate) struct Address {
    /// A running server: http:// or https:// (REST), grpc:// or grpcs:// (its gRPC door).
    #[arg(
        long,
        value_name = "URL",
        env = "FERROMCP_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub(crate) url: String,
    /// Trust the certificates of this PEM file, instead of those that the system trusts.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Client certificate for the server: a PEM file.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of the client certificate: a PEM file.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}

/// A running server, and what opens it.
#[derive(Debug, Args)]
pub(crate) struct Server {
    #[command(flatten)]
    pub(crate) address: Address,
    /// Key or token for the server, sent as `Authorization: Bearer`.
    #[arg(long, value_name = "KEY", env = "FERROMCP_TENANT_KEY", hide_env_values = true)]
    pub(crate) tenant_key: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Shows the tenant of the key, token or certificate, and how its limits stand at this moment.
`rate` is of all its clients together, `client rate` of you alone; quotas are per window. Asking
counts against none of them. Limits that all tenants share are not shown: a call that one of them
refuses says so, with its rule and when to come again.

Examples:
  ferromcp usage                                   of the local server
  ferromcp usage --json | jq .quotas.tool_calls.remaining
  ferromcp usage --url grpc://127.0.0.1:50051

On a terminal it is a table; piped, one JSON object as GET /v1/usage answers it. Exit code 1 if
the server refused. For any tenant, with the key of the admin API: `ferromcp tenants usage TENANT`.")]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print JSON also on a terminal.
    #[arg(long)]
    pub(crate) json: bool,
}
