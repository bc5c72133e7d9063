//! The client libraries under `sdk/`, against the binary.

use std::process::Command;
use std::time::{Duration, Instant};

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
    let mut command = Command::new("npm");
    command.args(["test", "--silent"]).current_dir(&directory).env(
        "FERROMCP_BIN",
        workspace::target_directory()?.join("debug/ferromcp"),
    );
    let finished = capture(&mut command, LIMIT, false)?;
    let mut suite = Suite::new("TypeScript SDK");
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
fn count(suite: &mut Suite, line: &str) {
    if let Some(name) = line.strip_prefix("not ok ") {
        suite.fail(name, "npm test in sdk/typescript shows more");
    } else if line.starts_with("ok ") {
        suite.passed += 1;
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
            "  ok 1 - inner",
            "# ok",
            "1..2",
        ] {
            count(&mut suite, line);
        }
        assert_eq!((suite.passed, suite.failures.len()), (1, 1));
        assert_eq!(suite.failures[0].name, "2 - b");
    }
}
