//! `cargo xtask gen`: generated files. The work is in the binary `gen` of this package, behind a feature,
//! so that xtask itself does not have to build the product.

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
    let mut cargo = workspace::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--package",
        "xtask",
        "--features",
        "gen",
        "--bin",
        "gen",
        "--",
    ]);
    run(cargo.args(arguments))
}
