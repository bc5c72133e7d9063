//! Writes or checks the generated files; `cargo xtask gen` runs it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

use std::path::Path;
use std::process::ExitCode;

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
        "{path}:{}: differs from what the code says: run `cargo xtask gen` and commit it",
        same + 1
    ))
}

fn write(root: &Path, path: &str, text: &str) -> Result<(), String> {
    let target = root.join(path);
    let directory = target.parent().unwrap_or(root);
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    std::fs::write(&target, text).map_err(|error| format!("{path}: {error}"))
}
