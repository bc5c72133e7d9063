//! Files replaced and given back: a reader sees the old one or the new one, never half of one.
//!
//! A backup lies beside its file, and its name says what the file was replaced by (the beginning of the SHA-256). So a file is
//! given back only while it is what was written here, and nothing else has to be remembered.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ferromcp_config::MAX_FILE;
use ring::digest::{SHA256, digest};
use tempfile::NamedTempFile;

/// Characters of the hash in the name of a backup.
const HASH: usize = 16;

/// What became of a file that was to be given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// There is no backup beside it.
    NoBackup,
    /// It has the content of this backup again.
    Restored(PathBuf),
    /// It is not what was written here; the newest backup.
    Changed(PathBuf),
}

/// Replaces a file that has this content. Symbolic links are followed; permissions and owner stay. The path of the backup.
pub(super) fn replace(path: &Path, old: &str, new: &str) -> Result<PathBuf, String> {
    let (real, meta) = target(path)?;
    if read(&real).map_err(said)? != old.as_bytes() {
        return Err("it was changed by somebody else meanwhile; run this again".to_owned());
    }
    let backup = backup_of(&real, new);
    put(&backup, old.as_bytes(), &meta)?;
    put(&real, new.as_bytes(), &meta).inspect_err(|_| {
        // Nothing was replaced, so there is nothing to go back to.
        let _ = std::fs::remove_file(&backup);
    })?;
    Ok(backup)
}

/// Gives a file back what it had, step by step if it was replaced several times. `look_only`: changes nothing.
pub(super) fn give_back(path: &Path, look_only: bool) -> Result<Returned, String> {
    let (real, meta) = target(path)?;
    let mut backups = backups(&real).map_err(said)?;
    let mut content = read(&real).map_err(said)?;
    let mut last = None;
    while let Some(at) = backups.iter().position(|(hash, _)| *hash == hash_of(&content)) {
        let (_, backup) = backups.swap_remove(at);
        content = read(&backup).map_err(said)?;
        if !look_only {
            put(&real, &content, &meta)?;
            std::fs::remove_file(&backup).map_err(said)?;
        }
        last = Some(backup);
    }
    match (last, backups.pop()) {
        (Some(last), _) => Ok(Returned::Restored(last)),
        (None, None) => Ok(Returned::NoBackup),
        (None, Some((_, backup))) => Ok(Returned::Changed(backup)),
    }
}

/// Makes a file that is not there yet, for its owner only: it may hold secrets.
pub(super) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(parent(path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn target(path: &Path) -> Result<(PathBuf, Metadata), String> {
    let real = path.canonicalize().map_err(said)?;
    let meta = real.metadata().map_err(said)?;
    if meta.permissions().readonly() {
        return Err("it is read-only; allow writing first (chmod u+w)".to_owned());
    }
    Ok((real, meta))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn put(path: &Path, content: &[u8], like: &Metadata) -> Result<(), String> {
    let write = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(parent(path))?;
        file.write_all(content)?;
        same_owner(file.as_file(), like)?;
        file.as_file().set_permissions(like.permissions())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|e| format!("cannot write {}: {}", path.display(), said(e)))
}

#[cfg(unix)]
fn same_owner(file: &File, like: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    fchown(file, Some(like.uid()), Some(like.gid()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "where files have owners it can fail")]
fn same_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn said(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

fn hash_of(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..HASH].to_owned()
}

fn backup_of(real: &Path, new: &str) -> PathBuf {
    let mut name = real.file_name().unwrap_or_default().to_owned();
    name.push(format!(".ferromcp-{}.bak", hash_of(new.as_bytes())));
    real.with_file_name(name)
}

/// The backups of a file with the hash of what replaced them, oldest first.
fn backups(real: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut start = real.file_name().unwrap_or_default().to_owned();
    start.push(".ferromcp-");
    let start = start.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent(real))? {
        let entry = entry?;
        let name = entry.file_name();
        let hash = name
            .to_str()
            .and_then(|name| name.strip_prefix(&start)?.strip_suffix(".bak"))
            .filter(|hash| hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let Some(hash) = hash {
            found.push((entry.metadata()?.modified()?, hash.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, hash, path)| (hash, path)).collect())
}

#[cfg(test)]
mod tests;
