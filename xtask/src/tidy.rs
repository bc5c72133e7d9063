//! `cargo xtask tidy`: the house rules that no other tool checks. Every finding names a file and a line.

mod layers;
mod rules;
mod source;

use std::path::Path;
use std::process::Command;

use source::Source;

use crate::{Outcome, workspace};

pub(crate) const HELP: &str = "\
cargo xtask tidy

Checks what rustc, clippy and rustfmt do not:
  layers      a crate depends only on the crates and libraries of the layers below it (ARCHITECTURE.md)
  file size   at most 600 lines, tests not counted
  functions   at most 80 lines, tests not counted
  imports     no `use x::*`, except `use super::*` and preludes in tests
  lib.rs      opens with `//!`: what the crate owns, what it must not know, where to start
  leftovers   no notes of work still to do, no todo!(), no unimplemented!()
  children    only the supervisor starts processes
  paths       no path of somebody's machine, no registry address in a lock file";

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

pub(crate) fn main(arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.first() {
        return Err(format!("`{unknown}` is no option; see cargo xtask tidy --help"));
    }
    let root = workspace::root();
    let mut findings = layers::check(&workspace::dependencies()?);
    let files = files(&root)?;
    let mut checked = 0;
    for file in &files {
        // A file that is listed but was deleted, or is no text, has nothing to check.
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        checked += 1;
        findings.extend(rules::any_text(file, &text));
        if file.ends_with(".rs") {
            findings.extend(rules::rust(file, &Source::new(file, &text)));
        }
    }
    if checked == 0 {
        return Err("found no file to check: is this a git work tree?".to_owned());
    }
    findings.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    for finding in &findings {
        println!("{}:{}: {}", finding.file, finding.line, finding.message);
    }
    if findings.is_empty() {
        println!("tidy: {checked} files, nothing to say");
        Ok(())
    } else {
        Err(format!("{} findings in {checked} files", findings.len()))
    }
}

/// The files that belong to the project: tracked, or new and not ignored.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let mut files: Vec<String> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}
