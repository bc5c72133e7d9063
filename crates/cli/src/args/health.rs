//! `ferromcp health`.

use std::time::Duration;

use clap::Args;

use super::server::Address;

#[derive(Debug, Args)]
#[command(after_help = "\
A server is ready when the servers behind it have started, or had their start_timeout for it, and
until it drains. One that is down does not make it unready: `GET /health` tells of each. What is
wrong goes to standard error, in one line; when all is well there is no output. Needs no shell, so
that a container can use it as it is:
  HEALTHCHECK CMD [\"/usr/bin/ferromcp\", \"health\"]")]
pub(crate) struct Health {
    #[command(flatten)]
    pub(crate) address: Address,
    /// Longest wait for the answer, as in 500ms.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}
