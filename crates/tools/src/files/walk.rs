//! Walking through a tree: in order of names, without following links, within a budget.

use std::ffi::OsString;
use std::io;

use cap_std::fs::{Dir, FileType};

use super::job::Job;
use super::refusal::Refusal;

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    Device,
    Other,
}

impl Kind {
    /// Every kind by the name that callers see.
    pub(super) const NAMES: [&'static str; 7] = [
        "file",
        "directory",
        "symlink",
        "fifo",
        "socket",
        "device",
        "other",
    ];

    pub(super) const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(super) fn of(file_type: FileType) -> Self {
        if file_type.is_file() {
            Self::File
        } else if file_type.is_dir() {
            Self::Directory
        } else if file_type.is_symlink() {
            Self::Symlink
        } else {
            Self::special(file_type)
        }
    }

    #[cfg(unix)]
    fn special(file_type: FileType) -> Self {
        use cap_std::fs::FileTypeExt;
        if file_type.is_fifo() {
            Self::Fifo
        } else if file_type.is_socket() {
            Self::Socket
        } else if file_type.is_char_device() || file_type.is_block_device() {
            Self::Device
        } else {
            Self::Other
        }
    }

    #[cfg(not(unix))]
    fn special(_file_type: FileType) -> Self {
        Self::Other
    }
}

/// One thing on the way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: Kind,
    /// As callers address it; lossy where the name is not UTF-8.
    pub(super) path: String,
}

struct Level {
    dir: Dir,
    names: std::vec::IntoIter<(OsString, Kind)>,
    path: String,
}

/// The way through a tree. Directories come before what is in them.
pub(super) struct Walk<'a> {
    job: &'a Job,
    levels: Vec<Level>,
    /// The directory that the last entry was, to be entered next.
    below: Option<(OsString, String)>,
    max_depth: usize,
    /// Entries that may still be read.
    budget: usize,
    hidden: bool,
    /// Entries were left out because the budget was used up.
    pub(super) over_budget: bool,
    /// Directories were left out because they are too deep.
    pub(super) too_deep: bool,
    /// Directories that could not be read.
    pub(super) unreadable: u64,
}

impl<'a> Walk<'a> {
    /// Starts in `dir`. `max_depth` counts directories inside each other, 1 is this one alone;
    /// `budget` bounds the entries read, and with them memory. Without `hidden`, names that begin
    /// with a dot are passed over.
    pub(super) fn new(
        job: &'a Job,
        dir: Dir,
        path: String,
        max_depth: usize,
        budget: usize,
        hidden: bool,
    ) -> io::Result<Self> {
        let mut walk = Self {
            job,
            levels: Vec::new(),
            below: None,
            max_depth,
            budget,
            hidden,
            over_budget: false,
            too_deep: false,
            unreadable: 0,
        };
        walk.enter(dir, path)?;
        Ok(walk)
    }

    /// The next entry. An error says that the call is over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Refusal> {
        self.job.check()?;
        if let Some((name, path)) = self.below.take() {
            let dir = self.dir().map(|dir| dir.open_dir(&name));
            let entered = dir.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
            if entered.and_then(|dir| self.enter(dir, path)).is_err() {
                self.unreadable += 1;
            }
        }
        while let Some(level) = self.levels.last_mut() {
            let Some((name, kind)) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let path = format!("{}/{}", level.path, name.to_string_lossy());
            if kind == Kind::Directory {
                if self.levels.len() < self.max_depth {
                    self.below = Some((name.clone(), path.clone()));
                } else {
                    self.too_deep = true;
                }
            }
            return Ok(Some(Entry { name, kind, path }));
        }
        Ok(None)
    }

    /// The directory that the last entry is in.
    pub(super) fn dir(&self) -> Option<&Dir> {
        self.levels.last().map(|level| &level.dir)
    }

    /// Entries that may still be read.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    fn enter(&mut self, dir: Dir, path: String) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in dir.entries()? {
            if self.budget == 0 || self.job.check().is_err() {
                self.over_budget = true;
                break;
            }
            let entry = entry?;
            self.budget -= 1;
            let name = entry.file_name();
            if !self.hidden && name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let mut kind = Kind::of(entry.file_type()?);
            if kind == Kind::Other {
                // Some file systems do not tell types in their directories.
                kind = entry.metadata().map_or(kind, |m| Kind::of(m.file_type()));
            }
            names.push((name, kind));
        }
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.levels.push(Level {
            dir,
            names: names.into_iter(),
            path,
        });
        Ok(())
    }
}
