//! The harness: `load --help`, or `cargo xtask bench`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

use std::process::ExitCode;

use ferromcp_bench::{Result, catalog, idle, instructions, isolation, reloads, target, tenants, throughput};

const HELP: &str = "\
load [throughput|callgrind|idle|isolation|reloads|tenants|catalog|all] [OPTIONS]

  throughput   requests per second, latency, CPU per request, memory (the default)
  callgrind    instructions per request, by valgrind
  idle         start to first answer, idle memory, memory per idle session
  isolation    latency of one tenant, alone and while another one floods
  reloads      latency at a constant rate, while nothing changes and while the configuration does
  tenants      start, memory and CPU per request with 10 to 10,000 tenants
  catalog      100 servers with 100 tools each: time to list them, memory

  --only NAME          only this target; may be repeated. Names: hyper, rmcp-2025, rmcp-2026, mcp-2025, mcp-2026, rest, and
                       mcp-2025-off, mcp-2025-on, mcp-2026-off, mcp-2026-on, rest-off, rest-on (all guards off and on), rest-batch, rest-batch-on, over gRPC
                       tonic, grpc, grpc-on, grpc-batch, grpc-batch-on, grpc-mcp, grpc-mcp-on, and for relays
                       base-relay-http, relay-http, base-relay-stdio, relay-stdio, relay-pool-1, relay-pool-4
  --rounds N           turns of every target in throughput (default 5)
  --seconds S          length of a turn (default 3)
  --connections N      keep-alive connections in throughput (default 32)
  --requests N         requests in the shorter callgrind run (default 2000)
  --reloads N          reloads at each of two paces, one a second and without pause (default 60)
  --sessions N         idle sessions to open (default 1000)

Needs Linux with taskset; callgrind mode needs valgrind. The servers must lie beside this program.";

struct Arguments {
    mode: String,
    only: Vec<String>,
    throughput: throughput::Options,
    requests: u64,
    sessions: usize,
    reloads: usize,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("load: {message}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("load: {message}; see load --help");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Arguments>> {
    let mut arguments = Arguments {
        mode: "throughput".to_owned(),
        only: Vec::new(),
        throughput: throughput::Options {
            rounds: 5,
            seconds: 3.0,
            connections: 32,
        },
        requests: 2000,
        sessions: 1000,
        reloads: 60,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "throughput" | "callgrind" | "idle" | "isolation" | "reloads" | "tenants" | "catalog" | "all" => {
                arguments.mode = word;
            }
            "--only" => arguments.only.push(value()?),
            "--rounds" => arguments.throughput.rounds = number(&value()?)?,
            "--seconds" => arguments.throughput.seconds = number(&value()?)?,
            "--connections" => arguments.throughput.connections = number(&value()?)?,
            "--requests" => arguments.requests = number(&value()?)?,
            "--reloads" => arguments.reloads = number(&value()?)?,
            "--sessions" => arguments.sessions = number(&value()?)?,
            other => return Err(format!("`{other}` is no option")),
        }
    }
    let options = &arguments.throughput;
    if options.rounds == 0
        || options.connections == 0
        || options.seconds <= 0.0
        || arguments.requests == 0
        || arguments.reloads == 0
    {
        return Err("a count of zero measures nothing".to_owned());
    }
    Ok(Some(arguments))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn run(arguments: &Arguments) -> Result<()> {
    let targets = target::select(&arguments.only)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))?;
    let wants = |mode: &str| arguments.mode == mode || arguments.mode == "all";
    runtime.block_on(async {
        if wants("callgrind") {
            instructions::run(&targets, arguments.requests).await?;
        }
        // Before throughput, which pins the harness and with it what it starts.
        if wants("idle") {
            idle::run(arguments.sessions).await?;
        }
        if wants("tenants") {
            tenants::run().await?;
        }
        if wants("catalog") {
            catalog::run().await?;
        }
        if wants("isolation") {
            isolation::run(&arguments.throughput).await?;
        }
        if wants("reloads") {
            reloads::run(arguments.reloads).await?;
        }
        if wants("throughput") {
            throughput::run(&targets, &arguments.throughput).await?;
        }
        Ok(())
    })
}
