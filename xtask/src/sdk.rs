//! The client libraries under `sdk/`, against the binary.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::browser;
use crate::peers;
use crate::process::{capture, run};
use crate::report::Suite;
use crate::workspace;

const LIMIT: Duration = Duration::from_secs(300);

/// Builds `@ferromcp/sdk`, checks its types and package, and runs its tests with the machine's Node.
pub(crate) fn typescript() -> Result<Suite, String> {
    let directory = workspace::root().join("sdk/typescript");
    let started = Instant::now();
    run(Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&directory))?;
    browser::install()?;
    let mut command = Command::new("npm");
    command.args(["test", "--silent"]).current_dir(&directory);
    test("TypeScript SDK", command, tap, started)
}

/// Checks the types and the wheel of `ferromcp` for Python and runs its tests, with the packages that it pins.
pub(crate) fn python() -> Result<Suite, String> {
    let directory = workspace::root().join("sdk/python");
    let started = Instant::now();
    let venv = workspace::root().join(".peers/sdk-python");
    peers::install_python(&directory.join("requirements.txt"), &venv)?;
    let mut command = Command::new(venv.join("bin/python"));
    command
        .args([
            "-m",
            "pytest",
            "-q",
            "--tb=short",
            "--color=no",
            "-rpPfE",
            "--show-capture=no",
        ])
        .current_dir(&directory)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    test("Python SDK", command, pytest, started)
}

pub(crate) fn test(
    name: &str,
    mut command: Command,
    count: fn(&mut Suite, &str),
    started: Instant,
) -> Result<Suite, String> {
    command.env(
        "FERROMCP_BIN",
        workspace::target_directory()?.join("debug/ferromcp"),
    );
    let finished = capture(&mut command, LIMIT, false)?;
    let mut suite = Suite::new(name);
    for line in &finished.lines {
        count(&mut suite, &line.text);
    }
    if (!finished.success() || suite.passed == 0) && suite.failures.is_empty() {
        suite.fail(finished.ending(LIMIT), finished.tail(40));
    }
    suite.took = started.elapsed();
    Ok(suite)
}

/// A line of the Test Anything Protocol.
fn tap(suite: &mut Suite, line: &str) {
    if let Some(name) = line.strip_prefix("not ok ") {
        suite.fail(name, "npm test in sdk/typescript shows more");
    } else if line.starts_with("ok ") && line.contains(" # SKIP") {
        suite.skipped += 1;
    } else if line.starts_with("ok ") {
        suite.passed += 1;
    }
}

/// A line of pytest's summary.
pub(crate) fn pytest(suite: &mut Suite, line: &str) {
    let Some((kind, name)) = line.split_once(' ') else {
        return;
    };
    // Those of one place are told together.
    if kind == "SKIPPED"
        && let Some((count, place)) = name
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] tests/"))
        && let Ok(count) = count.parse::<usize>()
    {
        println!("NOT RUN: tests/{place}");
        suite.skipped += count;
    }
    if !name.starts_with("tests/") {
        return;
    }
    match kind {
        "PASSED" => suite.passed += 1,
        "FAILED" | "ERROR" => suite.fail(name, "pytest on this file alone shows more"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_and_what_tests_print_is_not() {
        let mut suite = Suite::new("");
        for line in [
            "TAP version 13",
            "ok 1 - a",
            "not ok 2 - b",
            "ok 3 - c # SKIP no browser",
            "  ok 1 - inner",
            "# ok",
            "1..2",
        ] {
            tap(&mut suite, line);
        }
        assert_eq!((suite.passed, suite.skipped, suite.failures.len()), (1, 1, 1));
        assert_eq!(suite.failures[0].name, "2 - b");
    }

    #[test]
    fn the_summary_of_pytest_is_counted_and_nothing_else() {
        let mut suite = Suite::new("");
        for line in [
            "....F [100%]",
            "PASSED tests/test_a.py::one",
            "FAILED tests/test_a.py::two - AssertionError",
            "SKIPPED [1] tests/test_a.py:7: no engine",
            "SKIPPED [3] tests/test_b.py:9: not root",
            "ERROR tests/test_b.py",
            "PASSED by a test's own print",
            "1 failed, 1 passed",
        ] {
            pytest(&mut suite, line);
        }
        assert_eq!((suite.passed, suite.skipped, suite.failures.len()), (1, 4, 2));
    }
}
