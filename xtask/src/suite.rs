//! `cargo xtask test`: the one command that runs everything.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Finished, capture, run};
use crate::report::{Suite, conclude};
use crate::{Outcome, conformance, packages, peers, sdk, workspace};

pub(crate) const HELP: &str = "\
cargo xtask test [--quick] [-- TEST FILTER]

Runs every test: Rust (with cargo-nextest when it is installed, else cargo test), documentation examples,
the SDKs, the packages, real MCP clients of five implementations, and the official conformance suites. What it needs it installs by
itself into .peers/: Node 22 and npm packages, and a Python environment, all at exact versions; npm and
python3 (3.10 or newer) must be on the machine.

--quick runs the Rust tests alone. Anything after -- is passed to the Rust test runner and implies --quick.
The last line is `N passed, N failed`.";

/// No Rust test run takes longer than this, compilation included.
const LIMIT: Duration = Duration::from_secs(2700);

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let split = arguments.iter().position(|argument| argument == "--");
    let own = &arguments[..split.unwrap_or(arguments.len())];
    let filter = split.map_or(&[][..], |split| &arguments[split + 1..]);
    if let Some(unknown) = own.iter().find(|argument| *argument != "--quick") {
        return Err(format!("`{unknown}` is no option; see cargo xtask test --help"));
    }
    let quick = !own.is_empty() || split.is_some();
    // The Rust tests drive some of the peers too.
    let tools = peers::install()?;
    build()?;
    let mut suites = vec![rust(&tools, filter)?];
    if !quick {
        suites.push(doctests()?);
        suites.push(sdk::typescript()?);
        suites.push(sdk::python()?);
        suites.push(packages::suite()?);
        suites.extend(peers::suites(&tools, None)?);
        suites.extend(conformance::everything(&tools)?);
    }
    conclude(&suites)
}

/// Everything that tests start as a program, built once and with the same features as the tests.
pub(crate) fn build() -> Outcome {
    run(workspace::cargo().args([
        "build",
        "--workspace",
        "--all-features",
        "--bins",
        "--examples",
        "--tests",
        "--quiet",
    ]))
}

fn rust(tools: &peers::Tools, filter: &[String]) -> Result<Suite, String> {
    let nextest = Command::new("cargo-nextest")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut command = workspace::cargo();
    if nextest {
        command.args([
            "nextest",
            "run",
            "--no-fail-fast",
            "--status-level",
            "fail",
            "--final-status-level",
            "slow",
        ]);
    } else {
        command.args([
            "test",
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--tests",
            "--examples",
        ]);
    }
    command.args(["--workspace", "--all-features"]);
    if !nextest && !filter.is_empty() {
        command.arg("--");
    }
    command.args(filter).envs(tools.environment());
    let runner = if nextest { Runner::Nextest } else { Runner::Cargo };
    rust_suite("rust", &mut command, runner)
}

fn doctests() -> Result<Suite, String> {
    rust_suite(
        "rust documentation",
        workspace::cargo().args(["test", "--doc", "--workspace", "--all-features"]),
        Runner::Cargo,
    )
}

/// Who runs the tests, and so whose closing lines count.
#[derive(Clone, Copy)]
enum Runner {
    Nextest,
    Cargo,
}

fn rust_suite(name: &str, command: &mut Command, runner: Runner) -> Result<Suite, String> {
    let started = Instant::now();
    let finished = capture(command, LIMIT, true)?;
    let mut suite = Suite::new(name);
    let counts = count(&finished, runner);
    (suite.passed, suite.skipped) = (counts.passed, counts.skipped);
    for index in 0..counts.failed {
        suite.fail(
            format!("failure {} of {}", index + 1, counts.failed),
            "its output is above",
        );
    }
    if !finished.success() && suite.failures.is_empty() {
        suite.fail(finished.ending(LIMIT), finished.tail(40));
    }
    suite.took = started.elapsed();
    Ok(suite)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Adds up the closing lines of `cargo test` (one per binary), or takes the one of nextest. Nextest also shows what a failing test
/// printed, with the closing line of its binary in it; that is the same failure again.
fn count(finished: &Finished, runner: Runner) -> Counts {
    let mut counts = Counts::default();
    let mut lines = finished.lines.iter().map(|line| line.text.trim());
    let closing: Vec<&str> = match runner {
        Runner::Nextest => lines
            .rfind(|text| text.starts_with("Summary ["))
            .into_iter()
            .collect(),
        Runner::Cargo => lines.filter(|text| text.starts_with("test result:")).collect(),
    };
    for text in closing {
        counts.passed += number_before(text, "passed");
        counts.failed += number_before(text, "failed") + number_before(text, "timed out");
        counts.skipped += number_before(text, "skipped") + number_before(text, "ignored");
    }
    counts
}

/// The number in front of `word`, 0 when the word is not there.
fn number_before(text: &str, word: &str) -> usize {
    text.split([',', ';', ':', '.'])
        .filter_map(|part| part.split(" (").next()?.trim().strip_suffix(word))
        .filter_map(|part| part.trim().rsplit(' ').next()?.parse::<usize>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Line;

    fn counts_of(runner: Runner, text: &str) -> Counts {
        let lines = text
            .lines()
            .map(|line| Line {
                stdout: true,
                text: line.to_owned(),
            })
            .collect();
        count(&Finished { status: None, lines }, runner)
    }

    #[test]
    fn nextest_summary_is_understood() {
        assert_eq!(
            counts_of(
                Runner::Nextest,
                "     Summary [   1.234s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 3 skipped"
            ),
            Counts {
                passed: 10,
                failed: 2,
                skipped: 3
            }
        );
        assert_eq!(
            counts_of(
                Runner::Nextest,
                "     Summary [   0.007s] 2 tests run: 2 passed, 0 skipped"
            ),
            Counts {
                passed: 2,
                failed: 0,
                skipped: 0
            }
        );
    }

    #[test]
    fn cargo_test_results_add_up() {
        let text = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
                    noise 7 passed\n\
                    test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(
            counts_of(Runner::Cargo, text),
            Counts {
                passed: 7,
                failed: 1,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_failing_test_of_nextest_is_counted_once() {
        let text = "        FAIL [   0.005s] (1/2) ferromcp-config tests::one\n\
                    \x20 stdout ---\n\
                    \n\
                    \x20   running 1 test\n\
                    \x20   test tests::one ... FAILED\n\
                    \x20   Summary [ 9.999s] 7 tests run: 7 passed, 0 skipped\n\
                    \x20   test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 41 filtered out; finished in 0.00s\n\
                    \x20 stderr ---\n\
                    ------------\n\
                    \x20    Summary [   0.007s] 2 tests run: 1 passed, 1 failed, 41 skipped\n\
                    error: test run failed";
        assert_eq!(
            counts_of(Runner::Nextest, text),
            Counts {
                passed: 1,
                failed: 1,
                skipped: 41
            }
        );
        assert_eq!(counts_of(Runner::Nextest, ""), Counts::default());
    }
}
