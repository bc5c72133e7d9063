//! Reading a log: all of it through a filter, or its end. Memory for one line at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::entry::{Entry, Filter};
use crate::lines::{Line, Lines};
use crate::storage::{names, segment_name, segments};

/// How much of a segment is searched backwards at a time.
const BLOCK: u64 = 64 << 10;

/// What cannot be read, and where.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line is none of an audit log. Reading can go on behind it.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The segment.
        path: PathBuf,
        /// Line in it, from 1; counted from where reading began, if that was not the beginning.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ReadError + '_ {
    |error| ReadError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Entries that match, from the oldest to the newest. Half a line at the end of the last segment
/// is being written, or a crash left it: it is passed over.
///
/// # Errors
/// If the directory cannot be listed; what happens later comes out of the iterator.
pub fn query(dir: &Path, filter: Filter) -> Result<Entries, ReadError> {
    let names = names(dir).map_err(failed(dir))?;
    let mut waiting: Vec<PathBuf> = segments(&names)
        .into_iter()
        .map(|first| dir.join(segment_name(first)))
        .collect();
    waiting.reverse();
    Ok(Entries {
        left: filter.limit.unwrap_or(usize::MAX),
        filter,
        waiting,
        open: None,
        skip: 0,
    })
}

/// The last `count` entries, from the oldest to the newest.
///
/// # Errors
/// If the directory or a segment cannot be read.
pub fn tail(dir: &Path, count: usize) -> Result<Entries, ReadError> {
    let mut entries = query(dir, Filter::default())?;
    // `waiting` has the newest first at its front.
    let mut lines = 0;
    for (index, path) in entries.waiting.iter().enumerate() {
        let (found, offset) = last_lines(path, count - lines).map_err(failed(path))?;
        lines += found;
        if lines >= count {
            entries.skip = offset;
            entries.waiting.truncate(index + 1);
            break;
        }
    }
    if count == 0 {
        entries.waiting.clear();
    }
    Ok(entries)
}

/// How many of the last `count` whole lines a file has, and where the first of them begins.
fn last_lines(path: &Path, count: usize) -> io::Result<(usize, u64)> {
    let mut file = File::open(path)?;
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = vec![0; BLOCK as usize];
    let mut ends = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        for at in memchr::memrchr_iter(b'\n', block) {
            // The end of the line before the first one wanted.
            if ends == count {
                return Ok((count, start + at as u64 + 1));
            }
            ends += 1;
        }
        end = start;
    }
    Ok((ends, 0))
}

/// The entries of a log, one by one.
#[derive(Debug)]
pub struct Entries {
    filter: Filter,
    left: usize,
    /// Segments to come, the next one last.
    waiting: Vec<PathBuf>,
    open: Option<Open>,
    /// Where to begin in the first segment.
    skip: u64,
}

struct Open {
    path: PathBuf,
    lines: Lines<File>,
    number: u64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.number)
    }
}

impl Entries {
    fn begin(&mut self, path: PathBuf) -> Result<Open, ReadError> {
        let mut file = File::open(&path).map_err(failed(&path))?;
        file.seek(SeekFrom::Start(std::mem::take(&mut self.skip)))
            .map_err(failed(&path))?;
        Ok(Open {
            path,
            lines: Lines::new(file),
            number: 0,
        })
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let Some(open) = &mut self.open else {
                let path = self.waiting.pop()?;
                match self.begin(path) {
                    Ok(open) => self.open = Some(open),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            open.number += 1;
            let reason = match open.lines.next() {
                Ok(Some(Line::Whole(line))) => match Entry::parse(line) {
                    Ok(entry) if self.filter.matches(&entry) => {
                        self.left -= 1;
                        return Some(Ok(entry));
                    }
                    Ok(_) => continue,
                    Err(reason) => reason,
                },
                Ok(Some(Line::TooLong(_))) => "longer than any record".to_owned(),
                Ok(Some(Line::Torn(_))) if self.waiting.is_empty() => continue,
                Ok(Some(Line::Torn(_))) => "the segment ends in the middle of a record".to_owned(),
                Ok(None) => {
                    self.open = None;
                    continue;
                }
                Err(error) => {
                    let path = open.path.clone();
                    self.open = None;
                    return Some(Err(ReadError::Io { path, error }));
                }
            };
            return Some(Err(ReadError::Line {
                path: open.path.clone(),
                line: open.number,
                reason,
            }));
        }
        None
    }
}
