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
    command
        .args(["test", "--silent"])
        .current_dir(&directory)
        .env("FERROMCP_BIN", workspace::target_directory()?.join("debug/ferromcp"));
    let finished = capture(&mut command, LIMIT, false)?;
    let mut suite = Suite::new("TypeScript SDK");
    for line in &finished.lines {
        let text = line.text.as_str();
        if let Some(name) = text.strip_prefix("not ok ") {
            suite.fail(name, "npm test in sdk/typescript shows more");
        } else if text.starts_with("ok ") {
            suite.passed += 1;
        }
    }
    if (!finished.success() || suite.passed == 0) && suite.failures.is_empty() {
        suite.fail(finished.ending(LIMIT), finished.tail(40));
    }
    suite.took = started.elapsed();
    Ok(suite)
}
