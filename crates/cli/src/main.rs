//! The `ferromcp` program: arguments, wiring, signals. The only crate that sees everything.
//!
//! Start reading at `serve.rs`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program prints"
)]

mod apply;
mod args;
mod audit;
mod build;
mod client;
mod doctor;
mod exit;
mod faults;
mod files;
mod https;
mod init;
mod jwks;
mod keys;
mod lock;
mod otlp;
mod pins;
mod plan;
mod reload;
mod serve;
mod shell;
mod tenants;
mod upgrade;
mod why;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, Keys};

/// Measured with `cargo xtask bench callgrind` against the system's allocator; see bench/README.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Tools(args) => client::tools(&args),
        Command::Call(args) => client::call(&args),
        Command::Batch(args) => client::batch(&args),
        Command::Usage(args) => client::usage(&args),
        Command::Health(args) => client::health(&args),
        Command::Keys(Keys::New(args)) => keys::new(&args),
        Command::Apply(args) => apply::run(&args),
        Command::Rollback(args) => apply::roll_back(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Tenants(args) => tenants::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Lock(args) => lock::run(&args),
        Command::Check(args) => files::check(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Schema => files::schema(),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Import(args) => files::import(&args),
        Command::Faults(args) => faults::run(&args),
        Command::FaultServer(args) => {
            faults::server(args.linger).map_err(|e| exit::Failure::other("cannot go on", e))
        }
        Command::Watchdog(args) => ferromcp_supervisor::watchdog::serve(&args.mark)
            .map_err(|e| exit::Failure::other("cannot watch over children", e)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.code()
        }
    }
}
