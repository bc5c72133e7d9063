//! What a run found, as a table for people and as one closing line for machines.

use std::time::Duration;

/// One row: a suite, its counts, its failures' details.
pub(crate) struct Suite {
    pub(crate) name: String,
    pub(crate) passed: usize,
    pub(crate) skipped: usize,
    pub(crate) failures: Vec<Failure>,
    pub(crate) took: Duration,
}

pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) detail: String,
}

impl Suite {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            passed: 0,
            skipped: 0,
            failures: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub(crate) fn fail(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.failures.push(Failure {
            name: name.into(),
            detail: detail.into(),
        });
    }
}

/// The table, then every failure in full, then `N passed, N failed`.
pub(crate) fn render(suites: &[Suite]) -> String {
    let width = suites
        .iter()
        .map(|suite| suite.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    let mut text = format!("\n{:<width$}  passed  failed  skipped  seconds\n", "suite");
    for suite in suites {
        text.push_str(&format!(
            "{:<width$}  {:>6}  {:>6}  {:>7}  {:>7.1}\n",
            suite.name,
            suite.passed,
            suite.failures.len(),
            suite.skipped,
            suite.took.as_secs_f64()
        ));
    }
    for suite in suites {
        for failure in &suite.failures {
            text.push_str(&format!("\nFAILED {}: {}\n", suite.name, failure.name));
            for line in failure.detail.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    let passed: usize = suites.iter().map(|suite| suite.passed).sum();
    let failed: usize = suites.iter().map(|suite| suite.failures.len()).sum();
    let skipped: usize = suites.iter().map(|suite| suite.skipped).sum();
    text.push_str(&format!("\n{passed} passed, {failed} failed"));
    if skipped > 0 {
        text.push_str(&format!(", {skipped} skipped"));
    }
    text.push('\n');
    text
}

/// Prints the report; an error when anything failed or when nothing ran.
pub(crate) fn conclude(suites: &[Suite]) -> Result<(), String> {
    print!("{}", render(suites));
    let failed: usize = suites.iter().map(|suite| suite.failures.len()).sum();
    if failed > 0 {
        return Err(format!("{failed} failed"));
    }
    match suites.iter().find(|suite| suite.passed == 0) {
        Some(empty) => Err(format!("the suite `{}` ran no test", empty.name)),
        None if suites.is_empty() => Err("no suite ran".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_adds_up_and_failures_are_shown() {
        let mut one = Suite::new("one");
        one.passed = 3;
        one.skipped = 1;
        let mut two = Suite::new("two");
        two.passed = 1;
        two.fail("case", "what\nhappened");
        let suites = [one, two];
        let text = render(&suites);
        assert!(text.ends_with("\n4 passed, 1 failed, 1 skipped\n"), "{text}");
        assert!(
            text.contains("FAILED two: case\n    what\n    happened\n"),
            "{text}"
        );
        assert_eq!(conclude(&suites), Err("1 failed".to_owned()));
    }

    #[test]
    fn a_suite_without_a_test_is_an_error() {
        assert!(conclude(&[Suite::new("empty")]).unwrap_err().contains("empty"));
        assert!(conclude(&[]).is_err());
    }
}
