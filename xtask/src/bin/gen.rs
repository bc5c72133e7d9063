//! Writes or checks the generated files; `cargo xtask gen` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use similar::TextDiff;

/// Equal lines around each difference.
const CONTEXT: usize = 3;
/// Most lines that are shown of one file, and most characters of a line.
const LINES: usize = 40;
const WIDTH: usize = 160;
/// After so long, differences may be larger than they need be.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = ferromcp_config::generated();
    files.extend(ferromcp_adapter_http::generated());
    files.extend(ferromcp_admin::generated());
    let mut wrong = 0;
    for (path, text) in &files {
        let outcome = if check {
            compare(&root, path, text)
        } else {
            write(&root, path, text)
        };
        if let Err(message) = outcome {
            eprintln!("{message}");
            wrong += 1;
        }
    }
    if wrong > 0 {
        if check {
            eprintln!(
                "gen: {wrong} of {} files differ; `cargo xtask gen` writes them anew",
                files.len()
            );
        }
        return ExitCode::FAILURE;
    }
    println!(
        "gen: {} files {}",
        files.len(),
        if check { "are as the code says" } else { "written" }
    );
    ExitCode::SUCCESS
}

fn compare(root: &Path, path: &str, wanted: &str) -> Result<(), String> {
    let found = match std::fs::read_to_string(root.join(path)) {
        Ok(found) => found,
        Err(error) => return Err(format!("{path}:1: {error}: run `cargo xtask gen` and commit it")),
    };
    if found == wanted {
        return Ok(());
    }
    let same = found
        .lines()
        .zip(wanted.lines())
        .take_while(|(found, wanted)| found == wanted)
        .count();
    Err(format!(
        "{path}:{}: differs from what the code says: run `cargo xtask gen` and commit it\n{}",
        same + 1,
        excerpt(path, &found, wanted)
    ))
}

/// The first differences as a unified diff.
fn excerpt(path: &str, found: &str, wanted: &str) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(found, wanted);
    let text = diff
        .unified_diff()
        .context_radius(CONTEXT)
        .header(path, "what the code says")
        .to_string();
    let count = text.lines().count();
    let mut shown = String::new();
    for line in text.lines().take(LINES) {
        let end = line.char_indices().nth(WIDTH).map(|(end, _)| end);
        shown.push_str("    ");
        shown.push_str(end.map_or(line, |end| &line[..end]));
        shown.push_str(if end.is_some() { "...\n" } else { "\n" });
    }
    if count > LINES {
        shown.push_str(&format!("    ... {} more lines\n", count - LINES));
    }
    shown
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    let target = root.join(path);
    let directory = target.parent().unwrap_or(root);
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    std::fs::write(&target, text).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn what_differs_is_shown_with_what_is_around_it() {
        let found = "a\nb\nc\nd\ne\nf\ng\nh\n";
        assert_eq!(
            excerpt("docs/x.md", found, &found.replace('e', "E")),
            "    --- docs/x.md\n    +++ what the code says\n    @@ -2,7 +2,7 @@\n     b\n     c\n     d\n    -e\n    +E\n     f\n     g\n     h\n"
        );
    }

    #[test]
    fn it_is_bounded() {
        let found: String = (0..10_000).map(|line| format!("{line}\n")).collect();
        let shown = excerpt("x", &found, "");
        assert_eq!(shown.lines().count(), 41);
        assert!(shown.ends_with("    ... 9963 more lines\n"), "{shown}");
        let shown = excerpt("x", "", &"\u{e9}".repeat(10_000));
        let longest = shown.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(4 + 160 + 3), "{shown}");
    }

    #[test]
    fn a_last_line_without_its_end_is_a_difference() {
        let shown = excerpt("x", "a\nb", "a\nb\n");
        assert!(shown.contains("-b") && shown.contains("+b"), "{shown}");
    }
}
