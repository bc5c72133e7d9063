//! `write_file`: a reader sees the old content or the new, never a part, and a crash leaves one of
//! them.

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write as _};
use std::sync::PoisonError;

use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use ferromcp_core::{Payload, RequestId};
use serde::Deserialize;
use tracing::debug;

use super::Files;
use super::jail::{Spot, never_wait, refuse_special};
use super::job::Job;
use super::refusal::{Refusal, quoted};
use super::walk::Kind;

/// Written at once; the call's end is looked for in between.
const CHUNK: usize = 256 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    path: String,
    content: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    create_dirs: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Only if there is nothing yet.
    Create,
    #[default]
    Overwrite,
    Append,
}

pub(super) fn run(files: &Files, args: &Args, job: &Job) -> Result<Payload, Refusal> {
    let content = args.content.as_bytes();
    if content.len() as u64 > files.settings.max_write {
        return Err(Refusal::new(format!(
            "the content has {} bytes, and at most {} can be written at once; write a first part, then the rest \
             with \"mode\": \"append\"",
            content.len(),
            files.settings.max_write
        )));
    }
    let mut spot = files.jail.locate_one(&args.path)?;
    let (mut dir, mut name) = files.jail.parent("write", &spot, args.create_dirs)?;
    let mut existing = look(&dir, &name, &spot)?;
    if existing.as_ref().is_some_and(Metadata::is_symlink) && args.mode != Mode::Create {
        // A link is written through, where it stays inside. Rename would replace the link itself.
        spot = files
            .jail
            .resolve(&spot)
            .map_err(|e| Refusal::io("write", &spot.shown, &e))?;
        (dir, name) = files.jail.parent("write", &spot, false)?;
        existing = look(&dir, &name, &spot)?;
    }
    if existing.is_none() && name.as_encoded_bytes().iter().any(u8::is_ascii_control) {
        return Err(Refusal::new(format!(
            "cannot write {}: names of new files must not contain control characters",
            quoted(&spot.shown)
        )));
    }
    if let Some(existing) = &existing {
        if args.mode == Mode::Create {
            return Err(exists(&spot));
        }
        refuse_special("write", &spot.shown, Kind::of(existing.file_type()))?;
        if existing.permissions().readonly() {
            return Err(Refusal::new(format!(
                "cannot write {}: the file is marked read-only",
                quoted(&spot.shown)
            )));
        }
    }
    let target = Target {
        files,
        dir: &dir,
        name: &name,
        spot: &spot,
    };
    let shown = quoted(&spot.shown);
    let bytes = content.len();
    let appended = |size| format!("appended {bytes} bytes to {shown}, which has {size} bytes now");
    let done = match args.mode {
        Mode::Append if existing.is_some() => appended(target.append(content)?),
        Mode::Create | Mode::Append => {
            if target.create(content, job)? {
                format!("created {shown} with {bytes} bytes")
            } else if args.mode == Mode::Append {
                // Somebody else made it meanwhile.
                appended(target.append(content)?)
            } else {
                return Err(exists(&spot));
            }
        }
        Mode::Overwrite => {
            target.overwrite(content, existing.as_ref(), job)?;
            let verb = if existing.is_some() { "replaced" } else { "created" };
            format!("{verb} {shown} with {bytes} bytes")
        }
    };
    Ok(Payload::text(&done))
}

fn look(dir: &Dir, name: &OsStr, spot: &Spot) -> Result<Option<Metadata>, Refusal> {
    match dir.symlink_metadata(name) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Refusal::io("write", &spot.shown, &e)),
    }
}

fn exists(spot: &Spot) -> Refusal {
    Refusal::new(format!(
        "cannot create {}: it exists; use \"mode\": \"overwrite\" or \"append\" to change it",
        quoted(&spot.shown)
    ))
}

/// A file to be written, in its directory.
struct Target<'a> {
    files: &'a Files,
    dir: &'a Dir,
    name: &'a OsStr,
    spot: &'a Spot,
}

impl Target<'_> {
    fn failed(&self, e: &io::Error) -> Refusal {
        Refusal::io("write", &self.spot.shown, e)
    }

    /// Adds to the end. One write at the end of the file, so that appends do not mix.
    fn append(&self, content: &[u8]) -> Result<u64, Refusal> {
        let mut options = OpenOptions::new();
        options.append(true);
        never_wait(&mut options);
        let placing = self.files.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self
            .dir
            .open_with(self.name, &options)
            .map_err(|e| self.failed(&e))?;
        let metadata = file.metadata().map_err(|e| self.failed(&e))?;
        refuse_special("write", &self.spot.shown, Kind::of(metadata.file_type()))?;
        file.write_all(content).map_err(|e| self.failed(&e))?;
        let size = file.metadata().map_err(|e| self.failed(&e))?.len();
        drop(placing);
        file.sync_all().map_err(|e| self.failed(&e))?;
        Ok(size)
    }

    fn overwrite(&self, content: &[u8], existing: Option<&Metadata>, job: &Job) -> Result<(), Refusal> {
        let temporary = self.temporary(content, existing, job)?;
        let placing = self.files.placing.lock().unwrap_or_else(PoisonError::into_inner);
        self.dir
            .rename(&temporary.name, self.dir, self.name)
            .map_err(|e| self.failed(&e))?;
        drop(placing);
        temporary.placed();
        self.sync_dir();
        Ok(())
    }

    /// Puts the file in place; false if there is one already. A second name for the same file (a hard link)
    /// is the one portable way that is atomic and does not replace; the temporary name goes away.
    fn create(&self, content: &[u8], job: &Job) -> Result<bool, Refusal> {
        let temporary = self.temporary(content, None, job)?;
        match self.dir.hard_link(&temporary.name, self.dir, self.name) {
            Ok(()) => drop(temporary),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
            // A file system without hard links.
            Err(_) => {
                if !self.claim(temporary)? {
                    return Ok(false);
                }
            }
        }
        self.sync_dir();
        Ok(true)
    }

    /// Takes the name with an empty file first, then puts the content there: others may see the
    /// empty file for a moment, but nothing of theirs is replaced.
    fn claim(&self, temporary: Temporary<'_>) -> Result<bool, Refusal> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        match self.dir.open_with(self.name, &options) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(e) => return Err(self.failed(&e)),
        }
        self.dir
            .rename(&temporary.name, self.dir, self.name)
            .map_err(|e| self.failed(&e))?;
        temporary.placed();
        Ok(true)
    }

    /// Writes the content to a file of its own beside the target, and to the disk.
    fn temporary(
        &self,
        content: &[u8],
        existing: Option<&Metadata>,
        job: &Job,
    ) -> Result<Temporary<'_>, Refusal> {
        let name: OsString = format!(".ferromcp-{}.tmp", RequestId::next()).into();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = self.dir.open_with(&name, &options).map_err(|e| self.failed(&e))?;
        let temporary = Temporary {
            dir: self.dir,
            name,
            placed: false,
        };
        if let Some(existing) = existing {
            keep_permissions(&file, existing).map_err(|e| self.failed(&e))?;
        }
        for part in content.chunks(CHUNK) {
            job.check()?;
            file.write_all(part).map_err(|e| self.failed(&e))?;
        }
        file.sync_all().map_err(|e| self.failed(&e))?;
        job.check()?;
        Ok(temporary)
    }

    /// Makes the new name last. The content is in place already, and some file systems do not know
    /// this, so a failure is not the caller's.
    fn sync_dir(&self) {
        if cfg!(unix)
            && let Err(error) = self.dir.open(".").and_then(|dir| dir.sync_all())
        {
            debug!(path = self.spot.shown, %error, "directory not synced");
        }
    }
}

/// The new file may be used as the old one could, but never runs as another user.
#[cfg(unix)]
fn keep_permissions(file: &File, existing: &Metadata) -> io::Result<()> {
    use cap_std::fs::{Permissions, PermissionsExt};
    let mode = existing.permissions().mode() & 0o777;
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_permissions(_file: &File, _existing: &Metadata) -> io::Result<()> {
    Ok(())
}

/// A file that goes away unless it was put in place.
struct Temporary<'a> {
    dir: &'a Dir,
    name: OsString,
    placed: bool,
}

impl Temporary<'_> {
    fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed
            && let Err(error) = self.dir.remove_file(&self.name)
        {
            debug!(name = ?self.name, %error, "temporary file not removed");
        }
    }
}

#[cfg(test)]
mod tests;
