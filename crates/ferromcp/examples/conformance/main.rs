//! The server that the official conformance suite is run against: every tool, resource and prompt
//! that its scenarios ask for.
//!
//! ```text
//! cargo run --release -p ferromcp --example conformance -- --addr 127.0.0.1:9001   # endpoint /mcp
//! cargo run --release -p ferromcp --example conformance -- --stdio
//! ```

mod asking;
mod content;
mod elicitation;
mod jobs;
mod parts;
mod running;

use std::error::Error;
use std::time::Duration;

use ferromcp::{Server, ServerBuilder, ServerHandle};

const USAGE: &str = "usage: conformance --addr HOST:PORT | --stdio";

enum Mode {
    Http(String),
    Stdio,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mode = arguments(std::env::args().skip(1))?;
    let server = fixture().build()?;
    let updates = tokio::spawn(keep_changing(server.handle()));
    match mode {
        Mode::Http(addr) => server.serve_http(addr).await?,
        Mode::Stdio => server.serve_stdio().await?,
    }
    updates.abort();
    Ok(())
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Mode, Box<dyn Error>> {
    let mode = match (given.next().as_deref(), given.next()) {
        (Some("--addr"), Some(addr)) => Mode::Http(addr),
        (Some("--stdio"), None) => Mode::Stdio,
        _ => return Err(USAGE.into()),
    };
    if given.next().is_some() {
        return Err(USAGE.into());
    }
    Ok(mode)
}

/// All parts. The first tool works without arguments, which the suite relies on.
fn fixture() -> ServerBuilder {
    let mut server = Server::builder("ferromcp-conformance", env!("CARGO_PKG_VERSION"))
        .title("FerroMCP conformance fixture")
        .instructions("Call the tool that a scenario names.");
    let groups = [
        content::tools(),
        running::tools(),
        elicitation::tools(),
        asking::tools(),
        jobs::tools(),
    ];
    for tool in groups.into_iter().flatten() {
        server = server.tool(tool);
    }
    parts::add(server)
}

/// `test://watched-resource` has news every three seconds.
async fn keep_changing(server: ServerHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(3));
    loop {
        tick.tick().await;
        server.resource_updated("test://watched-resource");
    }
}
