//! Tenants on disk: one file of an embedded database, and a lock beside it.
//!
//! A change is one transaction, and on disk (`fsync`) when it returns. A process that is killed at any point leaves
//! the state before or after a change, never one in between: the database writes the new pages first and the pointer
//! to them last.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// Id to version and document.
const TENANTS: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("tenants");
/// `format`, and the last version that was given to anything.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: u64 = 1;
const FILE: &str = "tenants.redb";
/// A new database is made beside and renamed: half of one is never taken for a store.
const UNFINISHED: &str = "tenants.redb.new";
const LOCK: &str = "lock";

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "{}: another process uses this store; stop it, or give this server an admin.store of its own",
        directory.display()
    )]
    InUse {
        /// The store.
        directory: PathBuf,
    },
    /// Files cannot be read or written.
    #[error("{}: {doing}: {error}", path.display())]
    Io {
        /// What was used.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The database says no.
    #[error(
        "{}: {doing}: {reason}. If the file is damaged, put a copy of it back, or move it away to start without \
         tenants of the admin API",
        path.display()
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        reason: String,
    },
    /// Written by a later version.
    #[error("{}: the store has format {found}, this version of ferromcp reads {FORMAT}: use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: u64,
    },
}

/// A tenant as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) version: u64,
    /// A JSON object.
    pub(crate) document: String,
}

/// The open store.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    database: Database,
    /// Held as long as the store is open. The system lets go of it however the process ends.
    _lock: File,
}

impl Store {
    /// Opens the store of a directory; makes both where there is none.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let failed = |path: &Path, doing| {
            let path = path.to_owned();
            move |error| StoreError::Io { path, doing, error }
        };
        fs::create_dir_all(directory).map_err(failed(directory, "cannot make the directory"))?;
        let lock_path = directory.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(failed(&lock_path, "cannot open the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    directory: directory.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&lock_path, "cannot lock")(error)),
        }
        let path = directory.join(FILE);
        if !path.exists() {
            make(directory, &path)?;
        }
        let database = Database::open(&path).map_err(|e| said(&path, "cannot open the store", e))?;
        let store = Self {
            path,
            database,
            _lock: lock,
        };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let doing = "cannot read the store";
        let read = self.database.begin_read().map_err(|e| self.said(doing, e))?;
        let meta = read.open_table(META).map_err(|e| self.said(doing, e))?;
        let found = meta.get("format").map_err(|e| self.said(doing, e))?;
        match found.map(|found| found.value()) {
            Some(FORMAT) => Ok(()),
            found => Err(StoreError::Format {
                path: self.path.clone(),
                found: found.unwrap_or_default(),
            }),
        }
    }

    /// All tenants, by id.
    pub(crate) fn all(&self) -> Result<Vec<Stored>, StoreError> {
        let doing = "cannot read the store";
        let read = self.database.begin_read().map_err(|e| self.said(doing, e))?;
        let table = read.open_table(TENANTS).map_err(|e| self.said(doing, e))?;
        let mut all = Vec::new();
        for entry in table.iter().map_err(|e| self.said(doing, e))? {
            let (id, value) = entry.map_err(|e| self.said(doing, e))?;
            let (version, document) = value.value();
            all.push(Stored {
                id: id.value().to_owned(),
                version,
                document: document.to_owned(),
            });
        }
        Ok(all)
    }

    /// Puts a tenant, durably. Gives its version: higher than any that was given before, also to tenants that are gone.
    pub(crate) fn put(&mut self, id: &str, document: &str) -> Result<u64, StoreError> {
        self.write(id, Some(document))
    }

    /// Takes a tenant out, durably.
    pub(crate) fn remove(&mut self, id: &str) -> Result<(), StoreError> {
        self.write(id, None).map(|_| ())
    }

    fn write(&mut self, id: &str, document: Option<&str>) -> Result<u64, StoreError> {
        let doing = "cannot write the store; nothing was changed";
        let write = self.database.begin_write().map_err(|e| self.said(doing, e))?;
        let version = {
            let mut meta = write.open_table(META).map_err(|e| self.said(doing, e))?;
            let last = meta
                .get("version")
                .map_err(|e| self.said(doing, e))?
                .map_or(0, |last| last.value());
            let version = last + 1;
            meta.insert("version", version).map_err(|e| self.said(doing, e))?;
            let mut table = write.open_table(TENANTS).map_err(|e| self.said(doing, e))?;
            match document {
                Some(document) => {
                    table
                        .insert(id, (version, document))
                        .map_err(|e| self.said(doing, e))?;
                }
                None => {
                    table.remove(id).map_err(|e| self.said(doing, e))?;
                }
            }
            version
        };
        write.commit().map_err(|e| self.said(doing, e))?;
        Ok(version)
    }

    fn said(&self, doing: &'static str, error: impl std::fmt::Display) -> StoreError {
        said(&self.path, doing, error)
    }
}

fn said(path: &Path, doing: &'static str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Database {
        path: path.to_owned(),
        doing,
        reason: error.to_string(),
    }
}

/// An empty store in one step: it is there whole, or not at all.
fn make(directory: &Path, path: &Path) -> Result<(), StoreError> {
    let unfinished = directory.join(UNFINISHED);
    let failed = |doing| {
        let path = unfinished.clone();
        move |error| StoreError::Io { path, doing, error }
    };
    if unfinished.exists() {
        fs::remove_file(&unfinished).map_err(failed("cannot remove what a crash left"))?;
    }
    let doing = "cannot make the store";
    let database = Database::create(&unfinished).map_err(|e| said(&unfinished, doing, e))?;
    let write = database.begin_write().map_err(|e| said(&unfinished, doing, e))?;
    write
        .open_table(TENANTS)
        .map_err(|e| said(&unfinished, doing, e))?;
    {
        let mut meta = write.open_table(META).map_err(|e| said(&unfinished, doing, e))?;
        meta.insert("format", FORMAT)
            .map_err(|e| said(&unfinished, doing, e))?;
    }
    write.commit().map_err(|e| said(&unfinished, doing, e))?;
    drop(database);
    fs::rename(&unfinished, path).map_err(failed("cannot rename"))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("cannot sync the directory"))
}

#[cfg(test)]
mod tests;
