//! `cargo xtask ci`: what continuous integration runs, in the order in which a mistake is found soonest.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::process::run;
use crate::{Outcome, workspace};

pub(crate) const HELP: &str = "\
cargo xtask ci [--no-test]

Format, tidy, clippy, build, generated files, documentation, cargo deny, then every test. Everything is run, so that
one push shows all that is wrong; the tests come last so that their counts close the output. --no-test leaves
the tests out. One target directory and the dev profile throughout.

cargo-deny is used when it is installed; with CI=true in the environment it is installed first. Its advisory
check needs the advisory database from the network; when that cannot be had the other checks still count, and
it says so.";

const DENY_VERSION: &str = "0.20.2";

type Step = fn() -> Outcome;

pub(crate) fn main(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.iter().find(|argument| *argument != "--no-test") {
        return Err(format!("`{unknown}` is no option; see cargo xtask ci --help"));
    }
    let mut steps: Vec<(&str, Step)> = vec![
        ("format", format_check),
        ("tidy", || crate::tidy::main(&[])),
        ("clippy", clippy),
        ("generated files", || {
            crate::generate::main(&["--check".to_owned()])
        }),
        ("documentation", documentation),
        ("cargo deny", deny),
    ];
    if arguments.is_empty() {
        steps.push(("tests", || crate::suite::main(&[])));
    }
    let mut failed = Vec::new();
    for (name, step) in steps {
        println!("\n==> {name}");
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("==> {name}: ok, {took:.1} s"),
            Err(message) => {
                println!("==> {name}: FAILED after {took:.1} s: {message}");
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

fn format_check() -> Outcome {
    run(workspace::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Outcome {
    run(workspace::cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Outcome {
    run(workspace::cargo()
        .args(["doc", "--workspace", "--all-features", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Outcome {
    if !deny_is_installed() {
        if std::env::var_os("CI").is_none_or(|value| value.is_empty()) {
            println!("NOT RUN: to run it, cargo install cargo-deny --version {DENY_VERSION} --locked");
            return Ok(());
        }
        // Without optimisation: it runs for a second, and building it is what costs.
        run(workspace::cargo().args([
            "install",
            "cargo-deny",
            "--version",
            DENY_VERSION,
            "--locked",
            "--debug",
        ]))?;
    }
    run(cargo_deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if let Err(message) = run(cargo_deny().args(["fetch", "db"])) {
        println!("NOT RUN: advisories; the database cannot be fetched ({message})");
        return Ok(());
    }
    run(cargo_deny().args(["check", "advisories"]))
}

fn deny_is_installed() -> bool {
    let mut version = workspace::cargo();
    version
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn cargo_deny() -> Command {
    let mut command = workspace::cargo();
    command.args(["deny", "--all-features"]);
    command
}
