//! Problems as text for people, plain or coloured.

use std::fmt::Write as _;

use crate::problem::{ConfigError, Problem};

const RED: &str = "\x1b[1;31m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const OFF: &str = "\x1b[0m";

struct Paint(bool);

impl Paint {
    fn put(&self, style: &str, text: &str) -> String {
        if self.0 {
            format!("{style}{text}{OFF}")
        } else {
            text.to_owned()
        }
    }
}

pub(crate) fn render(error: &ConfigError, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    for problem in error.problems() {
        one(&mut out, error, problem, &paint);
        out.push('\n');
    }
    let count = error.problems().len() + error.further();
    let noun = if count == 1 { "error" } else { "errors" };
    let mut summary = format!("{count} {noun} in {}", error.origin().display());
    if error.further() > 0 {
        let _ = write!(summary, ", the first {} shown", error.problems().len());
    }
    out.push_str(&paint.put(BOLD, &summary));
    out.push('\n');
    out
}

fn one(out: &mut String, error: &ConfigError, problem: &Problem, paint: &Paint) {
    let _ = writeln!(
        out,
        "{}{}",
        paint.put(RED, "error"),
        paint.put(BOLD, &format!(": {}", problem.message()))
    );
    let number = if problem.line() > 0 {
        problem.line().to_string()
    } else {
        String::new()
    };
    let gutter = " ".repeat(number.len());
    let place = if problem.line() > 0 {
        format!(
            "{}:{}:{}",
            error.origin().display(),
            problem.line(),
            problem.column()
        )
    } else {
        error.origin().display().to_string()
    };
    let path = if problem.path().is_empty() {
        String::new()
    } else {
        format!(" ({})", problem.path())
    };
    let _ = writeln!(out, "{gutter}{} {place}{path}", paint.put(BLUE, "-->"));
    let bar = paint.put(BLUE, "|");
    if let Some(excerpt) = &problem.excerpt {
        let _ = writeln!(out, "{gutter} {bar}");
        let line = format!("{} {bar} {}", paint.put(BLUE, &number), excerpt.text);
        let _ = writeln!(out, "{}", line.trim_end());
        let carets = paint.put(RED, &"^".repeat(excerpt.width));
        let _ = writeln!(out, "{gutter} {bar} {}{carets}", " ".repeat(excerpt.start));
    }
    let equals = paint.put(BLUE, "=");
    if let Some(expected) = problem.expected_text() {
        let _ = writeln!(
            out,
            "{gutter} {equals} {}: {expected}",
            paint.put(BOLD, "expected")
        );
    }
    if let Some(hint) = problem.hint_text() {
        let _ = writeln!(out, "{gutter} {equals} {}: {hint}", paint.put(CYAN, "help"));
    }
}
