//! `cargo xtask bench`: builds the servers and the load harness in release, then hands over.

use crate::process::run;
use crate::{Outcome, workspace};

pub(crate) const HELP: &str = "\
cargo xtask bench [HARNESS OPTIONS]

Builds ferromcp, the baselines and the harness with the release profile and runs the harness. Without options
it measures throughput. The harness explains itself: cargo xtask bench -- --help. See bench/README.md.";

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let mut build = workspace::cargo();
    build.args([
        "build",
        "--release",
        "--package",
        "ferromcp-cli",
        "--package",
        "ferromcp-bench",
    ]);
    run(&mut build)?;
    let directory = workspace::target_directory()?.join("release");
    let mut harness = std::process::Command::new(directory.join("load"));
    harness.current_dir(workspace::root());
    harness.args(arguments.iter().filter(|argument| *argument != "--"));
    run(&mut harness)
}
