//! The project's own tasks, as `cargo xtask COMMAND`.
//!
//! Owns: how the tree is tested, checked and generated. Must not know: the product's crates; it sees them as
//! packages, files and programs, so that it builds in seconds and works when they do not compile.
//! Start reading at [`main`]; each command is one module.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bench;
mod browser;
mod ci;
mod conformance;
mod dist;
mod generate;
mod image;
mod package;
mod packages;
mod peers;
mod process;
mod ralph;
mod report;
mod sbom;
mod sdk;
mod suite;
mod through;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// What every command answers: `Err` is a message for the terminal that says what to do next.
type Outcome = Result<(), String>;

struct Command {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "test",
        summary: "run every test there is",
        help: suite::HELP,
        run: suite::main,
    },
    Command {
        name: "conformance",
        summary: "run the official MCP conformance suites",
        help: conformance::HELP,
        run: conformance::main,
    },
    Command {
        name: "peers",
        summary: "run real MCP clients against us",
        help: peers::HELP,
        run: peers::main,
    },
    Command {
        name: "tidy",
        summary: "check layering, sizes and house rules",
        help: tidy::HELP,
        run: tidy::main,
    },
    Command {
        name: "gen",
        summary: "write or check generated files",
        help: generate::HELP,
        run: generate::main,
    },
    Command {
        name: "ralph",
        summary: "repeat the whole suite to flush out flaky tests",
        help: ralph::HELP,
        run: ralph::main,
    },
    Command {
        name: "bench",
        summary: "run the end-to-end load harness",
        help: bench::HELP,
        run: bench::main,
    },
    Command {
        name: "dist",
        summary: "make what a release hands out",
        help: dist::HELP,
        run: dist::main,
    },
    Command {
        name: "image",
        summary: "make and check the container image",
        help: image::HELP,
        run: image::main,
    },
    Command {
        name: "ci",
        summary: "everything that .ci/run runs",
        help: ci::HELP,
        run: ci::main,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{}", overview());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", overview());
        return ExitCode::SUCCESS;
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: no command `{name}`\n\n{}", overview());
        return ExitCode::from(2);
    };
    if rest
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{}", command.help.trim_end());
        return ExitCode::SUCCESS;
    }
    match (command.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn overview() -> String {
    let mut text = String::from("cargo xtask COMMAND [OPTIONS]   (cargo xtask COMMAND --help says more)\n\n");
    for command in COMMANDS {
        text.push_str(&format!("  {:<12} {}\n", command.name, command.summary));
    }
    text
}
