//! Limits and patterns in one pass over raw arguments.

use std::fmt;

use crate::limits::ScanLimits;
use crate::patterns::{Action, Finding, PatternPolicy, ToolPatterns, Watch};
use crate::scan::{Scanned, scan_watched};
use crate::violation::Violation;

/// What a check learned of arguments that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub scanned: Scanned,
    /// Rules that only flag, in the order of the text. At most as many as the policy allows.
    pub findings: Vec<Finding>,
    /// There were more findings than the policy allows to report.
    pub more: bool,
}

/// Why arguments were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The limit or pattern rule that refused, with its place.
    pub violation: Violation,
    /// What was found up to there; where a pattern rule refused, it is the last.
    pub findings: Vec<Finding>,
    /// There were more findings than the policy allows to report.
    pub more: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.violation.fmt(f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.violation)
    }
}

/// The limits and patterns that arguments are held to.
#[derive(Clone, Debug)]
pub struct Guard {
    limits: ScanLimits,
    patterns: PatternPolicy,
}

impl Guard {
    #[must_use]
    pub fn new(limits: ScanLimits, patterns: PatternPolicy) -> Self {
        Self { limits, patterns }
    }

    /// The guard of one tool. Costs a few hundred nanoseconds; keep it where the tool is called often.
    #[must_use]
    pub fn tool(&self, name: &str) -> ToolGuard {
        ToolGuard {
            limits: self.limits,
            patterns: self.patterns.tool(name),
        }
    }

    /// Checks the arguments of one call; as [`ToolGuard::check`].
    ///
    /// # Errors
    /// As [`ToolGuard::check`].
    pub fn check(&self, raw: &str, tool: &str) -> Result<Checked, Refusal> {
        self.tool(tool).check(raw)
    }
}

/// A [`Guard`] made ready for one tool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ToolGuard {
    limits: ScanLimits,
    patterns: ToolPatterns,
}

impl ToolGuard {
    /// Holds raw arguments to the limits (as [`crate::scan()`]) and to the patterns, in one pass. Text behind the first fault or
    /// blocking match is not read.
    ///
    /// Time is linear in the text, whatever it holds. Memory is that of the scan, plus four copies of the longest string
    /// that needs a closer look.
    ///
    /// # Errors
    /// The first violation of a limit or match of a blocking rule, in the order of the text.
    pub fn check(&self, raw: &str) -> Result<Checked, Refusal> {
        let mut watch = Watch::new(raw.as_bytes(), &self.patterns);
        let outcome = scan_watched(raw, &self.limits, &mut watch);
        let Watch { findings, more, .. } = watch;
        match outcome {
            Ok(scanned) => Ok(Checked {
                scanned,
                findings,
                more,
            }),
            Err(violation) => Err(Refusal {
                violation: match findings.last() {
                    Some(finding) if violation.rule == crate::violation::rule::PATTERN => Violation {
                        rule: finding.rule,
                        pointer: finding.pointer.clone(),
                        offset: finding.offset,
                        message: finding.message.clone(),
                    },
                    _ => violation,
                },
                findings,
                more,
            }),
        }
    }

    /// Whether any rule is on for this tool.
    #[must_use]
    pub fn watches_patterns(&self) -> bool {
        self.patterns.strongest() > Action::Off
    }
}
