//! The few things the writer does with files, as a trait, so that tests can make them fail.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A directory that the writer has for itself.
pub trait Storage: Send {
    /// Names of the files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for appending; makes it when it is not there.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn LogFile>>;
    /// Size of a file in bytes.
    fn size(&self, name: &str) -> io::Result<u64>;
    /// Reads a file from an offset on.
    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read>>;
    /// Replaces a file by these bytes, all or nothing, durably.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes new and removed names durable.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A file that only grows, unless a failed write is taken back.
pub trait LogFile: Send {
    /// Appends all bytes. After an error any part of them may be in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to a length that it had before.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Files of a directory of the machine. Holds a lock on the directory's `lock` file as long as it
/// lives; directories are made with mode 0700 and files with 0600.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory where needed and locks it. [`io::ErrorKind::WouldBlock`] when another
    /// process, or another handle of this one, holds the lock.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        let lock = private().create(true).truncate(false).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        names(&self.path)
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let mut file = private()
            .create(true)
            .truncate(false)
            .open(self.path.join(name))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(Plain { file }))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read>> {
        let mut file = File::open(self.path.join(name))?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Box::new(file))
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = private().create(true).truncate(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&new, self.path.join(name))?;
        self.sync_names()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct Plain {
    file: File,
}

impl LogFile for Plain {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

/// Names of the files in a directory; names that are no UTF-8 are none of ours.
pub(crate) fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";

/// Name of the segment that begins with this record.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{PREFIX}{first:020}{SUFFIX}")
}

/// The first records that the names of segments promise, in order.
pub(crate) fn segments(names: &[String]) -> Vec<u64> {
    let mut firsts: Vec<u64> = names
        .iter()
        .filter_map(|name| {
            let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
            let first = digits.parse().ok()?;
            (segment_name(first) == *name).then_some(first)
        })
        .collect();
    firsts.sort_unstable();
    firsts
}
