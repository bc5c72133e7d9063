//! `cargo xtask gen`: generated files. The work is in the binary `gen` of this package, behind a feature,
//! so that xtask itself does not have to build the product.

use std::process::Command;

use crate::process::run;
use crate::{Outcome, workspace};

pub(crate) const HELP: &str = "\
cargo xtask gen [--check]

Writes the files that are generated from the code (configuration schema and reference, OpenAPI document).
With --check it writes nothing and fails when a file differs from what the code says.";

pub(crate) fn main(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.iter().find(|argument| *argument != "--check") {
        return Err(format!("`{unknown}` is no option; see cargo xtask gen --help"));
    }
    // All packages are selected for their features, so that this shares every dependency with the test build.
    let mut build = workspace::cargo();
    build.args([
        "build",
        "--quiet",
        "--workspace",
        "--all-features",
        "--bin",
        "gen",
    ]);
    run(&mut build)?;
    run_built(arguments)
}

/// Runs the generator that was built already.
pub(crate) fn run_built(arguments: &[String]) -> Outcome {
    run(Command::new(workspace::target_directory()?.join("debug/gen")).args(arguments))
}
