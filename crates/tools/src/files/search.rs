//! `search_files`: names by glob, content by regular expression, within bounds of files, bytes and
//! time. What was found by then is the answer.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::Instant;

use cap_std::fs::{Dir, File};
use ferromcp_core::Payload;
use globset::{GlobBuilder, GlobMatcher};
use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::jail::{Place, Spot, reading};
use super::job::Job;
use super::list::structured;
use super::refusal::{Refusal, one_line, quoted};
use super::walk::{Entry, Kind, Walk};
use super::{Files, SearchLimits, sniff};

/// Directories inside each other that are entered.
pub(super) const MAX_DEPTH: usize = 64;
pub(super) const MAX_RESULTS: usize = 1_000;
pub(super) const DEFAULT_RESULTS: usize = 100;
/// Longest pattern in bytes.
pub(super) const MAX_PATTERN: usize = 1_024;
/// Memory of a compiled expression in bytes.
const REGEX_BYTES: usize = 4 << 20;
/// How much of a matching line is shown, in bytes.
const SHOWN_LINE: usize = 300;
/// How much of that may come before the match.
const SHOWN_BEFORE: usize = 100;
/// Lines between two looks at the clock.
const LINES_PER_CHECK: u64 = 1_024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    #[serde(default)]
    path: String,
    pattern: Option<String>,
    content: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    hidden: bool,
    max_results: Option<usize>,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    matches: Vec<Match>,
    /// Files and directories looked at.
    entries: u64,
    /// Files whose content was searched.
    files: u64,
    /// Files not searched: binary or unreadable; and unreadable directories.
    skipped: u64,
    /// Files searched in their first part only.
    partial: u64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Match {
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(super) fn run(files: &Files, args: &Args, job: &Job) -> Result<Payload, Refusal> {
    let limits = &files.settings.search;
    let mut search = Search {
        names: Names::new(args)?,
        content: args.content.as_deref().map(|c| expression(c, args)).transpose()?,
        hidden: args.hidden,
        max_results: args.max_results.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS),
        limits,
        entries_left: limits.max_entries,
        bytes_left: limits.max_bytes,
        stop_at: job.stop_at(limits.max_time),
        job,
        buffer: Vec::new(),
        found: Found::default(),
    };
    match files.jail.locate(&args.path)? {
        Place::In(spot) => search.place(files, &spot)?,
        Place::Roots => {
            for spot in files.jail.roots() {
                search.place(files, &spot)?;
                if search.found.stopped_by.is_some() {
                    break;
                }
            }
        }
    }
    search.answer()
}

/// Which names are wanted.
struct Names {
    glob: Option<GlobMatcher>,
    /// The pattern is on the whole path from the start, not on the last name.
    whole_path: bool,
}

impl Names {
    fn new(args: &Args) -> Result<Self, Refusal> {
        let Some(pattern) = args.pattern.as_deref() else {
            return Ok(Self {
                glob: None,
                whole_path: false,
            });
        };
        bounded("pattern", pattern)?;
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .case_insensitive(args.ignore_case)
            .build()
            .map_err(|e| {
                Refusal::new(format!(
                    "the pattern {} is not a glob: {}; use *, ?, [a-z], {{a,b}} and ** for any directories",
                    quoted(pattern),
                    e.kind()
                ))
            })?;
        Ok(Self {
            glob: Some(glob.compile_matcher()),
            whole_path: pattern.contains('/'),
        })
    }

    /// `path` is the whole path, `start` the length of its part above where the search started.
    fn wanted(&self, entry: &Entry, start: usize) -> bool {
        let Some(glob) = &self.glob else { return true };
        if self.whole_path {
            glob.is_match(entry.path.get(start + 1..).unwrap_or_default())
        } else {
            glob.is_match(&entry.name)
        }
    }
}

/// The expression is tried line by line, each in time linear in the line (that is the promise of
/// the `regex` crate; looking for all matches in a whole file would not be linear).
fn expression(text: &str, args: &Args) -> Result<Regex, Refusal> {
    bounded("content", text)?;
    RegexBuilder::new(text)
        .case_insensitive(args.ignore_case)
        .size_limit(REGEX_BYTES)
        .dfa_size_limit(REGEX_BYTES)
        .build()
        .map_err(|e| {
            Refusal::new(format!(
                "the expression {} in \"content\" cannot be used: {e}. Look-around and back-references are not \
                 supported; put a backslash before special characters that are meant literally",
                quoted(text)
            ))
        })
}

fn bounded(name: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > MAX_PATTERN {
        return Err(Refusal::new(format!(
            "\"{name}\" has {} bytes; {MAX_PATTERN} are allowed",
            text.len()
        )));
    }
    Ok(())
}

struct Search<'a> {
    names: Names,
    content: Option<Regex>,
    hidden: bool,
    max_results: usize,
    limits: &'a SearchLimits,
    entries_left: usize,
    bytes_left: u64,
    stop_at: Instant,
    job: &'a Job,
    /// Content of the file at hand; kept to save allocations.
    buffer: Vec<u8>,
    found: Found,
}

impl Search<'_> {
    fn place(&mut self, files: &Files, spot: &Spot) -> Result<(), Refusal> {
        let failed = |e: std::io::Error| Refusal::io("search", &spot.shown, &e);
        let metadata = files.jail.metadata(spot).map_err(failed)?;
        if metadata.is_dir() {
            let dir = files.jail.open_dir(spot).map_err(failed)?;
            return self.tree(dir, spot);
        }
        // A single file: only its content can be meant.
        let (file, _) = files.jail.open_file(spot)?;
        if self.content.is_none() {
            return Err(Refusal::new(format!(
                "cannot search names in {}: it is a file; pass \"content\" to search in it, or name a directory",
                quoted(&spot.shown)
            )));
        }
        self.found.entries += 1;
        self.file(file, &spot.shown)
    }

    fn tree(&mut self, dir: Dir, spot: &Spot) -> Result<(), Refusal> {
        let start = spot.shown.len();
        let mut walk = Walk::new(
            self.job,
            dir,
            spot.shown.clone(),
            MAX_DEPTH,
            self.entries_left,
            self.hidden,
        )
        .map_err(|e| Refusal::io("search", &spot.shown, &e))?;
        while self.found.stopped_by.is_none()
            && let Some(entry) = walk.next()?
        {
            self.found.entries += 1;
            self.report();
            if self.is_late() {
                break;
            }
            if !self.names.wanted(&entry, start) {
                continue;
            }
            if self.content.is_none() {
                self.add(entry.path, entry.kind, None);
            } else if entry.kind == Kind::File {
                match walk.dir().map(|dir| dir.open_with(&entry.name, &reading())) {
                    Some(Ok(file)) => self.file(file, &entry.path)?,
                    Some(Err(_)) | None => self.found.skipped += 1,
                }
            }
        }
        self.found.skipped += walk.unreadable;
        self.entries_left = walk.budget();
        if walk.over_budget {
            self.stop("entries");
        } else if walk.too_deep {
            self.stop("depth");
        }
        Ok(())
    }

    fn file(&mut self, file: File, path: &str) -> Result<(), Refusal> {
        let Some(expression) = self.content.clone() else {
            return Ok(());
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let searched = self.content(file, path, &expression, &mut buffer);
        self.buffer = buffer;
        searched
    }

    fn content(
        &mut self,
        file: File,
        path: &str,
        expression: &Regex,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        // It may have been replaced by something else since its directory was read.
        let is_file = file.metadata().is_ok_and(|m| m.is_file());
        let most = self.limits.max_file_bytes.min(self.bytes_left);
        buffer.clear();
        if !is_file || file.take(most + 1).read_to_end(buffer).is_err() {
            self.found.skipped += 1;
            return Ok(());
        }
        let head = &buffer[..buffer.len().min(sniff::HEAD)];
        if !sniff::is_text(head) {
            self.bytes_left = self.bytes_left.saturating_sub(buffer.len() as u64);
            self.found.skipped += 1;
            return Ok(());
        }
        self.found.files += 1;
        if buffer.len() as u64 > most {
            buffer.pop();
            self.found.partial += 1;
        }
        self.bytes_left -= buffer.len() as u64;
        self.lines(buffer, path, expression)?;
        if self.bytes_left == 0 {
            self.stop("bytes");
        }
        Ok(())
    }

    fn lines(&mut self, mut rest: &[u8], path: &str, expression: &Regex) -> Result<(), Refusal> {
        let mut number = 0;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            number += 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(found) = expression.find(line) {
                self.add(
                    path.to_owned(),
                    Kind::File,
                    Some((number, shown_line(line, found.start()))),
                );
                if self.found.stopped_by.is_some() {
                    return Ok(());
                }
            }
            if number % LINES_PER_CHECK == 0 {
                self.job.check()?;
                if self.is_late() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes a match; one more than is wanted only shows that there are more.
    fn add(&mut self, path: String, kind: Kind, line: Option<(u64, String)>) {
        if self.found.matches.len() == self.max_results {
            self.stop("results");
            return;
        }
        let (line, text) = line.unzip();
        self.found.matches.push(Match {
            path,
            kind: kind.as_str(),
            line,
            text,
        });
    }

    fn stop(&mut self, by: &'static str) {
        self.found.stopped_by.get_or_insert(by);
    }

    fn is_late(&mut self) -> bool {
        let late = Instant::now() >= self.stop_at;
        if late {
            self.stop("time");
        }
        late
    }

    fn report(&self) {
        let (entries, matches) = (self.found.entries, self.found.matches.len());
        self.job.report(entries, || {
            format!("{entries} entries searched, {matches} matches")
        });
    }

    fn answer(mut self) -> Result<Payload, Refusal> {
        self.found.complete = self.found.stopped_by.is_none();
        let found = &self.found;
        let mut text = String::new();
        // Writing to a String cannot fail.
        for found in &found.matches {
            let path = one_line(&found.path);
            let _ = match (found.line, &found.text) {
                (Some(line), Some(shown)) => writeln!(text, "{path}:{line}: {}", one_line(shown)),
                _ if found.kind == Kind::Directory.as_str() => writeln!(text, "{path}/"),
                _ => writeln!(text, "{path}"),
            };
        }
        let _ = write!(
            text,
            "[{} matches; looked at {} entries",
            found.matches.len(),
            found.entries
        );
        if self.content.is_some() {
            let _ = write!(
                text,
                ", searched {} files, skipped {} (binary or unreadable), {} only in their first {} bytes",
                found.files, found.skipped, found.partial, self.limits.max_file_bytes
            );
        } else if found.skipped > 0 {
            let _ = write!(text, ", {} directories could not be read", found.skipped);
        }
        text.push(']');
        if let Some(by) = found.stopped_by {
            let why = match by {
                "results" => "there are more matches; raise \"max_results\" or narrow the search",
                "time" => "the time for one search is over; search further down",
                "bytes" => {
                    "the limit on searched bytes is reached; search further down or give a \"pattern\""
                }
                "depth" => "directories nested too deep were left out; search further down",
                _ => "the limit on entries is reached; search further down",
            };
            let _ = write!(text, "\n[not complete: {why}]");
        }
        structured(&text, found)
    }
}

/// The part of a line around the match.
fn shown_line(line: &[u8], at: usize) -> String {
    let from = if line.len() <= SHOWN_LINE {
        0
    } else {
        at.saturating_sub(SHOWN_BEFORE)
    };
    // Not in the middle of a character.
    let is_inside = |i: usize| line.get(i).is_some_and(|b| b & 0xc0 == 0x80);
    let from = (from..from + 4).find(|i| !is_inside(*i)).unwrap_or(from);
    let to = (from + SHOWN_LINE).min(line.len());
    let to = (to.saturating_sub(3)..=to)
        .rev()
        .find(|i| !is_inside(*i))
        .unwrap_or(to);
    let mut shown = String::with_capacity(SHOWN_LINE + 8);
    if from > 0 {
        shown.push('…');
    }
    shown.push_str(&String::from_utf8_lossy(&line[from..to]));
    if to < line.len() {
        shown.push('…');
    }
    shown
}
