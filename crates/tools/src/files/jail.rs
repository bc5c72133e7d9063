//! The jail: the roots, and how a path of a caller becomes a place inside one of them.
//!
//! Two independent walls. Here, by the text alone: a path with `..`, or an absolute path that is
//! under no root, goes no further. Behind it cap-std: each place is opened relative to the handle
//! of its root, and the system (`openat2` with `RESOLVE_BENEATH`, or a walk step by step) refuses to
//! leave it through links, also through links that appear in between.
//!
//! Addressing: `<root name>/...`, or an absolute path under a root; with a single root also plain
//! relative paths. The name of a root wins over a directory in the root that is called the same.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, OpenOptions};

use super::refusal::{Refusal, quoted};
use super::walk::Kind;
use crate::pack::PackError;

/// Longest path in bytes.
pub(super) const MAX_PATH: usize = 4096;
/// Longest name within a path in bytes.
const MAX_NAME: usize = 255;

/// A directory that callers may see.
#[derive(Debug)]
struct Root {
    /// How callers name it.
    name: String,
    dir: Dir,
    /// Its absolute paths: as resolved, and as configured.
    homes: Vec<PathBuf>,
}

#[derive(Debug)]
pub(super) struct Jail {
    roots: Vec<Root>,
}

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All roots together.
    Roots,
    /// A place in one of them.
    In(Spot),
}

/// A place inside a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    root: usize,
    /// From the root; `.` for the root itself. Only plain names.
    path: PathBuf,
    /// The path as callers address it, with the root's name.
    pub(super) shown: String,
}

impl Jail {
    pub(super) fn open(roots: &[PathBuf]) -> Result<Self, PackError> {
        let mut made: Vec<Root> = Vec::with_capacity(roots.len());
        for given in roots {
            let failed = |source| PackError::Root {
                path: given.clone(),
                source,
            };
            let home = std::fs::canonicalize(given).map_err(failed)?;
            if !home.is_dir() {
                return Err(PackError::NotADirectory { path: given.clone() });
            }
            let configured = std::path::absolute(given).map_err(failed)?;
            if let Some(same) = made.iter_mut().find(|r| r.homes.first() == Some(&home)) {
                same.homes.push(configured);
                continue;
            }
            let dir = Dir::open_ambient_dir(&home, ambient_authority()).map_err(failed)?;
            // Opening needs less than listing does; find out now and not at the first call.
            dir.entries().map_err(failed)?;
            made.push(Root {
                name: free_name(&home, &made),
                dir,
                homes: vec![home, configured],
            });
        }
        Ok(Self { roots: made })
    }

    /// The names of the roots for a sentence.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.roots.iter().map(|r| quoted(&r.name)).collect();
        names.join(", ")
    }

    /// How paths are written, for models.
    pub(super) fn addressing(&self) -> String {
        match self.roots.as_slice() {
            [only] => format!(
                "Paths are relative to {}, with or without its name in front; \".\" is the directory itself.",
                quoted(&only.name)
            ),
            _ => "Paths start with the name of one of them, as in \"<name>/file.txt\"; \".\" stands for all of them."
                .to_owned(),
        }
    }

    /// Every root as a place.
    pub(super) fn roots(&self) -> impl Iterator<Item = Spot> {
        (0..self.roots.len()).map(|root| self.spot(root, &[]))
    }

    /// Finds the place that a path stands for. Looks at nothing but the text.
    pub(super) fn locate(&self, given: &str) -> Result<Place, Refusal> {
        if given.contains('\0') {
            return Err(Refusal::new("the path contains a NUL character; leave it out"));
        }
        if given.len() > MAX_PATH {
            return Err(Refusal::new(format!(
                "the path has {} bytes; {MAX_PATH} are allowed",
                given.len()
            )));
        }
        let mut names = Vec::new();
        let mut absolute = false;
        for part in Path::new(given).components() {
            match part {
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir => absolute = true,
                Component::ParentDir => {
                    return Err(Refusal::new(format!(
                        "the path {} contains \"..\", which is not allowed; write the path without it. {}",
                        quoted(given),
                        self.hint()
                    )));
                }
                Component::Normal(name) if name.len() > MAX_NAME => {
                    return Err(Refusal::new(format!(
                        "a name in the path has {} bytes; {MAX_NAME} are allowed",
                        name.len()
                    )));
                }
                Component::Normal(name) => names.push(name),
            }
        }
        if absolute {
            return self.under_a_root(given);
        }
        let Some((first, rest)) = names.split_first() else {
            return Ok(match self.roots.len() {
                1 => Place::In(self.spot(0, &[])),
                _ => Place::Roots,
            });
        };
        if let Some(root) = self.roots.iter().position(|r| OsStr::new(&r.name) == *first) {
            return Ok(Place::In(self.spot(root, rest)));
        }
        if self.roots.len() == 1 {
            return Ok(Place::In(self.spot(0, &names)));
        }
        Err(Refusal::new(format!(
            "the path {} does not start with the name of a root directory. {}",
            quoted(given),
            self.hint()
        )))
    }

    /// Finds a single place; all roots together will not do.
    pub(super) fn locate_one(&self, given: &str) -> Result<Spot, Refusal> {
        match self.locate(given)? {
            Place::In(spot) => Ok(spot),
            Place::Roots => Err(Refusal::new(format!(
                "the path {} stands for all root directories together; name one file. {}",
                quoted(given),
                self.hint()
            ))),
        }
    }

    fn under_a_root(&self, given: &str) -> Result<Place, Refusal> {
        let path = Path::new(given);
        let homes = self.roots.iter().enumerate();
        let inside = homes
            .flat_map(|(root, r)| r.homes.iter().map(move |home| (root, home)))
            .filter_map(|(root, home)| {
                let rest = path.strip_prefix(home).ok()?;
                Some((root, home.as_os_str().len(), rest))
            })
            // Roots may be inside each other: the innermost has it.
            .max_by_key(|(_, length, _)| *length);
        let Some((root, _, rest)) = inside else {
            return Err(Refusal::new(format!(
                "the path {} is not inside a root directory. {}",
                quoted(given),
                self.hint()
            )));
        };
        let names: Vec<&OsStr> = rest.iter().filter(|name| *name != ".").collect();
        Ok(Place::In(self.spot(root, &names)))
    }

    fn hint(&self) -> String {
        format!("Allowed: {}. {}", self.names(), self.addressing())
    }

    fn spot(&self, root: usize, names: &[&OsStr]) -> Spot {
        let mut shown = self.roots.get(root).map(|r| r.name.clone()).unwrap_or_default();
        for name in names {
            shown.push('/');
            shown.push_str(&name.to_string_lossy());
        }
        let path = if names.is_empty() {
            PathBuf::from(".")
        } else {
            names.iter().collect()
        };
        Spot { root, path, shown }
    }

    fn dir(&self, spot: &Spot) -> io::Result<&Dir> {
        let root = self.roots.get(spot.root).map(|r| &r.dir);
        root.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens a directory.
    pub(super) fn open_dir(&self, spot: &Spot) -> io::Result<Dir> {
        self.dir(spot)?.open_dir(&spot.path)
    }

    /// What is there; links are followed inside the root.
    pub(super) fn metadata(&self, spot: &Spot) -> io::Result<Metadata> {
        self.dir(spot)?.metadata(&spot.path)
    }

    /// Opens the directory that a place is in. With `make` it is made where it is missing.
    pub(super) fn parent(&self, doing: &str, spot: &Spot, make: bool) -> Result<(Dir, OsString), Refusal> {
        let (Some(parent), Some(name)) = (spot.path.parent(), spot.path.file_name()) else {
            return Err(Refusal::new(format!(
                "cannot {doing} {}: it is a root directory",
                quoted(&spot.shown)
            )));
        };
        let open = || {
            let dir = self.dir(spot)?;
            if parent.as_os_str().is_empty() {
                return dir.try_clone();
            }
            if make {
                dir.create_dir_all(parent).map_err(|e| match e.kind() {
                    // A file is where a directory should be.
                    io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
                    _ => e,
                })?;
            }
            dir.open_dir(parent)
        };
        let shown = spot.shown.rsplit_once('/').map_or("", |(parent, _)| parent);
        let dir = open().map_err(|e| {
            if e.kind() == io::ErrorKind::NotFound && doing == "write" {
                return Refusal::new(format!(
                    "cannot write {}: the directory {} does not exist; pass \"create_dirs\": true to make it",
                    quoted(&spot.shown),
                    quoted(shown)
                ));
            }
            Refusal::io(&format!("{doing} in"), shown, &e)
        })?;
        Ok((dir, name.to_owned()))
    }

    /// Resolves links in a place that exists, inside its root.
    pub(super) fn resolve(&self, spot: &Spot) -> io::Result<Spot> {
        let path = self.dir(spot)?.canonicalize(&spot.path)?;
        let names: Vec<&OsStr> = path.iter().filter(|name| *name != ".").collect();
        Ok(self.spot(spot.root, &names))
    }

    /// Opens a regular file to read.
    pub(super) fn open_file(&self, spot: &Spot) -> Result<(File, Metadata), Refusal> {
        let failed = |e: io::Error| Refusal::io("read", &spot.shown, &e);
        let dir = self.dir(spot).map_err(failed)?;
        // Opening a device can have effects, so look before.
        let before = dir.metadata(&spot.path).map_err(failed)?;
        refuse_special("read", &spot.shown, Kind::of(before.file_type()))?;
        let file = dir.open_with(&spot.path, &reading()).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        refuse_special("read", &spot.shown, Kind::of(metadata.file_type()))?;
        Ok((file, metadata))
    }
}

/// Refuses what is not a regular file.
pub(super) fn refuse_special(doing: &str, shown: &str, kind: Kind) -> Result<(), Refusal> {
    let why = match kind {
        Kind::File => return Ok(()),
        Kind::Directory if doing == "read" => "it is a directory; list_dir shows what is in it",
        Kind::Directory => "it is a directory",
        _ => "it is not a regular file, and only those can be used",
    };
    Err(Refusal::new(format!(
        "cannot {doing} {}: {why} (it is a {})",
        quoted(shown),
        kind.as_str()
    )))
}

/// How files are opened to read: never waiting for the other end of a pipe, should one be there.
pub(super) fn reading() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    never_wait(&mut options);
    options
}

#[cfg(unix)]
pub(super) fn never_wait(options: &mut OpenOptions) {
    use cap_std::fs::OpenOptionsExt;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
}

#[cfg(not(unix))]
pub(super) fn never_wait(_options: &mut OpenOptions) {}

/// The last name of the path, with a number where another root has it already.
fn free_name(home: &Path, others: &[Root]) -> String {
    let base = home
        .file_name()
        .map_or_else(|| "root".into(), |n| n.to_string_lossy().into_owned());
    let mut name = base.clone();
    let mut number = 1;
    while others.iter().any(|r| r.name == name) {
        number += 1;
        name = format!("{base}-{number}");
    }
    name
}
