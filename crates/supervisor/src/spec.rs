//! What to run, and every way in which it can turn out to be impossible.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferromcp_protocol::lines::DEFAULT_MAX_LINE;

use crate::watchdog::Watchdog;

#[cfg(test)]
mod tests;

/// The variables a child inherits when they are set here; everything else comes from [`ChildSpec::env`]. In particular
/// no credentials, proxies or language-runtime options leak into a server.
pub const PASSED_ENV: [&str; 5] = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"];

/// Search path when neither the environment nor the spec has a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program to run as a child. `Debug` leaves out the values of `env`, which may be secrets.
#[derive(Clone)]
pub struct ChildSpec {
    /// Name for logs and messages (the server's name in the configuration).
    pub name: String,
    /// Program: a name to look up in the child's `PATH`, or a path (relative ones start at `cwd`).
    pub command: String,
    /// Arguments, passed as they are (no shell).
    pub args: Vec<String>,
    /// Variables on top of [`PASSED_ENV`]; they win over inherited ones.
    pub env: BTreeMap<String, String>,
    /// Working directory; by default that of this process.
    pub cwd: Option<PathBuf>,
    /// Bounds and grace periods.
    pub limits: ChildLimits,
    /// What the kernel lets it have.
    pub resources: Resources,
    /// Who ends it, and what it started, if this process is killed. Without one that is left to the parent-death signal,
    /// which reaches the child only.
    pub watchdog: Option<Watchdog>,
}

impl ChildSpec {
    /// A spec with defaults for all but the name and the program.
    pub fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            limits: ChildLimits::default(),
            resources: Resources::default(),
            watchdog: None,
        }
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item = S>, S: Into<String>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(key.into(), value.into());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// The exact environment of the child.
    pub(crate) fn environment(&self) -> Result<BTreeMap<OsString, OsString>, SpawnError> {
        let mut out: BTreeMap<OsString, OsString> = PASSED_ENV
            .iter()
            .filter_map(|key| Some((key.into(), std::env::var_os(key)?)))
            .collect();
        for (key, value) in &self.env {
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                return Err(SpawnError::Env {
                    name: self.name.clone(),
                    key: key.clone(),
                });
            }
            out.insert(key.into(), value.into());
        }
        out.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        Ok(out)
    }

    /// The file to execute, found the way a shell would, with an error that says where it was looked for.
    pub(crate) fn program(&self, path: Option<&OsStr>) -> Result<PathBuf, SpawnError> {
        if let Some(dir) = &self.cwd {
            let error = |reason: String| SpawnError::Cwd {
                name: self.name.clone(),
                dir: dir.clone(),
                reason,
            };
            let meta = std::fs::metadata(dir).map_err(|e| error(e.to_string()))?;
            if !meta.is_dir() {
                return Err(error("it is not a directory".into()));
            }
        }
        if self.command.is_empty() || self.command.contains('\0') {
            return Err(SpawnError::NoCommand {
                name: self.name.clone(),
            });
        }
        // The search is done here, not by exec: the PATH in force is the child's, and the error should name it.
        let base = match &self.cwd {
            Some(dir) => std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
            None => std::env::current_dir().unwrap_or_default(),
        };
        if self.command.contains('/') {
            let file = base.join(&self.command);
            return match executable(&file) {
                Ok(true) => Ok(file),
                Ok(false) => Err(self.not_executable(file)),
                Err(_) => Err(SpawnError::NoSuchFile {
                    name: self.name.clone(),
                    file,
                }),
            };
        }
        let path = path.unwrap_or_default();
        let mut denied = None;
        for dir in std::env::split_paths(path) {
            let file = base.join(dir).join(&self.command);
            match executable(&file) {
                Ok(true) => return Ok(file),
                Ok(false) => denied = denied.or(Some(file)),
                Err(_) => {}
            }
        }
        Err(match denied {
            Some(file) => self.not_executable(file),
            None => SpawnError::NotFound {
                name: self.name.clone(),
                command: self.command.clone(),
                path: path.to_string_lossy().into_owned(),
            },
        })
    }

    fn not_executable(&self, file: PathBuf) -> SpawnError {
        SpawnError::NotExecutable {
            name: self.name.clone(),
            file,
        }
    }
}

/// Whether the file that is there can be executed; an error if there is nothing.
fn executable(file: &Path) -> io::Result<bool> {
    let meta = std::fs::metadata(file)?;
    Ok(meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("limits", &self.limits)
            .field("resources", &self.resources)
            .field("watchdog", &self.watchdog.is_some())
            .finish()
    }
}

/// Resource limits of the kernel (setrlimit(2)), inherited by what the child starts; each process has its own account,
/// except for `processes`. A limit above the hard limit of this process is lowered to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Private writable memory in bytes (`RLIMIT_DATA`): heap, thread stacks, anonymous mappings. Address space that is only reserved, as
    /// by V8 or Go, does not count. Beyond it an allocation fails.
    pub memory: Option<u64>,
    /// Processor time (`RLIMIT_CPU`), rounded up to seconds: SIGXCPU at the limit, SIGKILL 5 s later.
    pub cpu_time: Option<Duration>,
    /// Open files (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Processes and threads (`RLIMIT_NPROC`) of the *user*, not of the child: beyond it the child cannot start more. Not
    /// enforced by the kernel for root.
    pub processes: Option<u64>,
}

/// Bounds and grace periods of one child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildLimits {
    /// Longest line accepted from stdout, in bytes. Default 16 MiB.
    pub max_line: usize,
    /// Messages that may wait for the child to read them; senders wait beyond that. Default 256, at least 1.
    pub queue_messages: usize,
    /// Bytes that may wait for the child to read them. One message may be larger if it is alone. Default 16 MiB.
    pub queue_bytes: usize,
    /// Time between closing stdin and SIGTERM. Default 2 s.
    pub stop_grace: Duration,
    /// Time between SIGTERM and SIGKILL. Default 2 s.
    pub term_grace: Duration,
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self {
            max_line: DEFAULT_MAX_LINE,
            queue_messages: 256,
            queue_bytes: 16 * 1024 * 1024,
            stop_grace: Duration::from_secs(2),
            term_grace: Duration::from_secs(2),
        }
    }
}

/// Why a child could not be started. Every message names the server and what to change.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No command at all.
    #[error("server `{name}`: `command` is empty or contains a NUL byte; give the program to run")]
    NoCommand {
        /// Server name.
        name: String,
    },
    /// The program is in none of the directories of `PATH`.
    #[error(
        "server `{name}`: command `{command}` not found in PATH ({path}); install it, give its full path in `command`, \
         or set PATH in the server's `env`"
    )]
    NotFound {
        /// Server name.
        name: String,
        /// The command as configured.
        command: String,
        /// The directories searched, as in `PATH`.
        path: String,
    },
    /// The command is a path and nothing is there.
    #[error("server `{name}`: command `{}` does not exist; a relative `command` starts at the server's `cwd`", file.display())]
    NoSuchFile {
        /// Server name.
        name: String,
        /// The absolute path that was tried.
        file: PathBuf,
    },
    /// The file is there but cannot be run.
    #[error("server `{name}`: `{}` is not an executable file; check the path, or `chmod +x` it", file.display())]
    NotExecutable {
        /// Server name.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The working directory cannot be used.
    #[error("server `{name}`: working directory `{}` cannot be used: {reason}; correct `cwd` or create it", dir.display())]
    Cwd {
        /// Server name.
        name: String,
        /// The directory as configured.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable that no environment can hold.
    #[error("server `{name}`: environment variable `{}` is empty, or has `=` or a NUL byte in it", key.escape_debug())]
    Env {
        /// Server name.
        name: String,
        /// The name of the variable; never its value.
        key: String,
    },
    /// The operating system refused.
    #[error("server `{name}`: cannot start `{}`: {source}{}", file.display(), hint(source))]
    Os {
        /// Server name.
        name: String,
        /// The file that was to be run.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Our own side could not do it (no thread, no runtime).
    #[error("server `{name}`: cannot start a process: {reason}")]
    Internal {
        /// Server name.
        name: String,
        /// What failed.
        reason: String,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "; the interpreter named in its first line (`#!`) may be missing",
        io::ErrorKind::PermissionDenied => {
            "; check its permissions and that its file system allows execution"
        }
        io::ErrorKind::ArgumentListTooLong => "; shorten `args` and `env`",
        io::ErrorKind::WouldBlock => "; the limit of processes is reached (see `ulimit -u`)",
        _ => "",
    }
}
