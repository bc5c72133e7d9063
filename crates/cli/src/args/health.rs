//! `ferromcp health`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
A server is ready when the servers behind it have started, or had their start_timeout for it, and until it drains. One that is
down does not make it unready: `GET /health` tells of each. What is wrong goes to standard error, in one line; when all is well there is no output. Needs no shell, so that a container can use it as it is:
  HEALTHCHECK CMD [\"/usr/bin/ferromcp\", \"health\"]")]
pub(crate) struct Health {
    /// The server: http:// or https:// (REST), grpc:// or grpcs:// (its gRPC door).
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
    /// Longest wait for the answer, as in 500ms.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}
