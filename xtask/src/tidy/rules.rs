//! The rules for a single file.

use super::Finding;
use super::source::{Source, words};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 80;

/// Work notes, spelled so that this file does not break its own rule.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Where a path of somebody's machine begins.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/wo", "rk/"),
    concat!("/t", "mp/"),
];

/// Those of them that test input may have.
const SAMPLE_PATHS: &[&str] = &[concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The only places that may start a process. An upgrade starts one that is to outlive it; `faults` is a test that users run: it starts gateways from outside.
const MAY_SPAWN: &[&str] = &[
    "crates/cli/src/faults/",
    "crates/cli/src/upgrade/old.rs",
    "crates/supervisor/",
    "crates/testkit/",
    "xtask/",
    "bench/",
    "tests/",
];

/// Rules for every text file.
pub(super) fn any_text(file: &str, text: &str) -> Vec<Finding> {
    let lock = file.ends_with("package-lock.json");
    // A corpus is test input: what people and attackers send, notes and paths included.
    if file.ends_with("Cargo.lock") || file.contains("/tests/corpora/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut say = |message: String| {
            findings.push(Finding {
                file: file.to_owned(),
                line: index + 1,
                message,
            });
        };
        if lock {
            if line.trim_start().starts_with("\"resolved\"") {
                say("a registry address: npm config set omit-lockfile-registry-resolved true".to_owned());
            }
            continue;
        }
        for note in NOTES {
            if words(line, note).next().is_some() {
                say(format!("work note `{note}`: do it, or file an issue"));
            }
        }
        for path in MACHINE_PATHS {
            // People's configurations, as test input, have such paths.
            if is_sample(file) && SAMPLE_PATHS.contains(path) {
                continue;
            }
            if line
                .match_indices(path)
                .any(|(position, _)| starts_a_path(line, position))
            {
                say(format!(
                    "a path of somebody's machine (`{path}`): make it relative, or use a temporary directory"
                ));
            }
        }
    }
    findings
}

fn is_sample(file: &str) -> bool {
    file.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "snapshots"))
}

/// Whether the slash at `position` begins an absolute path and is not inside a URL or a longer relative path.
fn starts_a_path(line: &str, position: usize) -> bool {
    let before = line[..position].chars().next_back();
    !before.is_some_and(|character| {
        character.is_alphanumeric() || matches!(character, '.' | '/' | '_' | '-' | '}' | '~' | '$')
    })
}

/// Rules for a Rust file.
pub(super) fn rust(file: &str, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |line: usize, message: String| {
        findings.push(Finding {
            file: file.to_owned(),
            line,
            message,
        });
    };
    let lines = source.product_lines();
    if lines > MAX_FILE_LINES {
        say(
            1,
            format!("{lines} lines without tests, at most {MAX_FILE_LINES}: split it by concept"),
        );
    }
    for function in source.functions() {
        if function.lines > MAX_FUNCTION_LINES && !source.in_test(function.start) {
            say(
                source.line(function.start),
                format!(
                    "fn {} has {} lines, at most {MAX_FUNCTION_LINES}",
                    function.name, function.lines
                ),
            );
        }
    }
    if file.ends_with("/lib.rs") && !opens_with_documentation(&source.text) {
        say(
            1,
            "lib.rs must open with //! lines: what it owns, what it must not know, where to start".to_owned(),
        );
    }
    for (position, import) in glob_imports(&source.code) {
        let allowed = source.in_test(position) && (import == "super::*" || import.ends_with("prelude::*"));
        if !allowed {
            say(
                source.line(position),
                format!("glob import `{import}`: name what is used"),
            );
        }
    }
    for name in ["todo", "unimplemented"] {
        for position in words(&source.code, name) {
            if source.code[position + name.len()..].starts_with('!') {
                say(source.line(position), format!("{name}!() is left over"));
            }
        }
    }
    if !MAY_SPAWN.iter().any(|directory| file.starts_with(directory)) {
        for (position, _) in source.code.match_indices("process::Command") {
            if !source.in_test(position) {
                say(
                    source.line(position),
                    "only ferromcp-supervisor starts processes".to_owned(),
                );
            }
        }
    }
    findings
}

/// At least two lines of crate documentation before anything else.
fn opens_with_documentation(text: &str) -> bool {
    let documentation = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .filter(|line| line.len() > 4)
        .count();
    documentation >= 2
}

/// Every glob in a `use` declaration: its position and the path up to the star.
fn glob_imports(code: &str) -> Vec<(usize, String)> {
    let mut globs = Vec::new();
    for start in words(code, "use") {
        let Some(length) = code[start..].find(';') else {
            continue;
        };
        let declaration = &code[start..start + length];
        for (star, _) in declaration
            .match_indices("::*")
            .chain(declaration.match_indices("{*"))
        {
            let path = declaration[3..star].split_whitespace().collect::<String>();
            globs.push((start + star, format!("{path}::*")));
        }
    }
    globs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> Vec<(usize, String)> {
        rust(file, &Source::new(file, text))
            .into_iter()
            .map(|finding| (finding.line, finding.message))
            .collect()
    }

    #[test]
    fn a_long_function_is_found_at_its_line_unless_it_is_a_test() {
        let body = "    let _ = 1;\n".repeat(80);
        let text = format!("\nfn long() {{\n{body}}}\n");
        let found = messages("crates/x/src/a.rs", &text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.contains("fn long has 82 lines"), "{found:?}");
        assert!(messages("crates/x/tests/a.rs", &text).is_empty());
        assert!(
            messages(
                "crates/x/src/a.rs",
                &format!("#[cfg(test)]\nmod tests {{\n{text}}}\n")
            )
            .is_empty()
        );
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let text = "const A: u8 = 1;\n".repeat(601);
        assert_eq!(messages("crates/x/src/a.rs", &text).len(), 1);
        let tested = format!(
            "{}#[cfg(test)]\nmod tests {{\n{}}}\n",
            "const A: u8 = 1;\n".repeat(600),
            "\n".repeat(500)
        );
        assert_eq!(messages("crates/x/src/a.rs", &tested), []);
    }

    #[test]
    fn globs_are_found_except_super_in_tests() {
        assert_eq!(messages("crates/x/src/a.rs", "use std::io::*;\n").len(), 1);
        assert_eq!(
            messages("crates/x/src/a.rs", "pub use crate::{\n    a,\n    b::*,\n};\n")[0].0,
            3
        );
        assert_eq!(messages("crates/x/src/a.rs", "use super::*;\n").len(), 1);
        assert_eq!(
            messages(
                "crates/x/src/a.rs",
                "#[cfg(test)]\nmod tests {\n    use super::*;\n}\n"
            ),
            []
        );
        assert_eq!(
            messages(
                "crates/x/src/a.rs",
                "// use std::io::*;\nfn f() -> u8 { 2 * 3 }\n"
            ),
            []
        );
    }

    #[test]
    fn lib_rs_must_open_with_documentation() {
        assert_eq!(messages("crates/x/src/lib.rs", "use std::io;\n").len(), 1);
        assert_eq!(
            messages("crates/x/src/lib.rs", "//! Owns this.\n//! Must not know that.\n"),
            []
        );
    }

    #[test]
    fn leftovers_and_children_are_found() {
        assert_eq!(messages("crates/x/src/a.rs", "fn f() { todo!() }\n").len(), 1);
        assert_eq!(messages("crates/x/src/a.rs", "fn f() { \"todo!()\"; }\n"), []);
        assert_eq!(
            messages("crates/x/src/a.rs", "use std::process::Command;\n").len(),
            1
        );
        assert_eq!(
            messages("crates/supervisor/src/a.rs", "use std::process::Command;\n"),
            []
        );
    }

    #[test]
    fn notes_and_machine_paths_are_found_in_any_text() {
        let note = format!("fine\n# {}: later\n", NOTES[0]);
        assert_eq!(any_text("a.md", &note)[0].line, 2);
        assert_eq!(
            any_text("a.md", &format!("see {}me/x", MACHINE_PATHS[0])).len(),
            1
        );
        assert_eq!(any_text("crates/a/tests/corpora/b.jsonl", &note), []);
        assert_eq!(
            any_text(
                "a.md",
                &format!(
                    "https://host{}x and file://{}x",
                    MACHINE_PATHS[0], MACHINE_PATHS[0]
                )
            ),
            []
        );
    }

    #[test]
    fn registry_addresses_in_a_lock_file_are_found() {
        assert_eq!(
            any_text("a/package-lock.json", "{\n  \"resolved\": \"x\"\n}").len(),
            1
        );
    }
}
