//! Programs and how to talk to them. Nothing here uses the product's code: only what it prints and answers.

mod admin;
mod grpc;
mod http;
mod pki;
mod process;
mod stdio;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use self::admin::{Api, Setup, admin_address, audited, made};
pub(crate) use self::grpc::{Grpc, GrpcWith, grpc_address, grpc_session, serve_grpc};
pub(crate) use self::http::{Answer, Door, Legacy, parse};
pub(crate) use self::pki::{Authority, Leaf, Secured, Shown, put};
pub(crate) use self::process::{Finished, Process, alive_with, finish};
pub(crate) use self::stdio::Session;

/// Longest wait for anything that should happen; only a test that fails takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const MODERN: &str = "2026-07-28";
pub(crate) const LEGACY: &str = "2025-11-25";

/// The built `ferromcp`, which lies beside the directory of this test.
pub(crate) fn program() -> PathBuf {
    built("ferromcp")
}

/// The built conformance fixture.
pub(crate) fn fixture() -> PathBuf {
    built("examples/conformance")
}

fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let profile = own
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST");
    let path = profile.join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask test`, or before this test `cargo build --workspace --all-features --bins --examples`",
        path.display()
    );
    path
}

/// `ferromcp` with these arguments and none of the environment variables that it reads.
pub(crate) fn ferromcp<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program());
    command.args(arguments);
    for name in [
        "FERROMCP_CONFIG",
        "FERROMCP_LOG",
        "FERROMCP_URL",
        "FERROMCP_TENANT_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

/// A running `ferromcp serve` with its HTTP doors.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) door: Door,
}

impl Served {
    /// `serve` on a free port with further arguments.
    pub(crate) fn start<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = ferromcp(["serve", "--addr", "127.0.0.1:0"]);
        command.args(arguments);
        Self::of(Process::start(command))
    }

    /// A server that is starting.
    pub(crate) fn of(process: Process) -> Self {
        let address = process.stderr.wait(|line| {
            let (_, address) = line.strip_prefix("listening http")?.split_once("://")?;
            Some(address.to_owned())
        });
        Self {
            process,
            door: Door::new(&address),
        }
    }

    pub(crate) fn with_config(path: &Path) -> Self {
        Self::start([Path::new("--config"), path])
    }
}

/// Says that it is over, also when a test fails, so that threads which look at it end.
pub(crate) struct OnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "after {PATIENCE:?}, still not: {what}"
        );
        #[expect(clippy::disallowed_methods, reason = "between two looks at what has no event")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a server that cannot be asked for its port, on one that was free a moment ago; on another one if somebody
/// else was quicker.
pub(crate) fn on_a_free_port(command: impl Fn(&str) -> Command) -> (Process, String) {
    eventually("a server has a port", || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port").to_string();
        let mut process = Process::start(command(&address));
        eventually("it accepts connections or ends", || {
            if process.has_ended() {
                return Some(false);
            }
            std::net::TcpStream::connect(&address).is_ok().then_some(true)
        })
        .then_some((process, address))
    })
}

/// Other people's servers, as `cargo xtask test` installs them.
pub(crate) struct Peers {
    pub(crate) node: PathBuf,
    pub(crate) python: PathBuf,
    modules: PathBuf,
}

impl Peers {
    pub(crate) fn find() -> Self {
        let path = |name: &str| {
            let path = std::env::var_os(name).unwrap_or_else(|| {
                panic!("{name} is not set: run `cargo xtask test`, which installs the peers")
            });
            PathBuf::from(path)
        };
        Self {
            node: path("FERROMCP_PEERS_NODE"),
            python: path("FERROMCP_PEERS_PYTHON"),
            modules: path("FERROMCP_PEERS_NODE_DIR").join("node_modules"),
        }
    }

    /// Runs one of our own scripts of `tests/peers/node`, which finds the installed packages beside it.
    pub(crate) fn node_script(&self, name: &str, at: &Path) -> Command {
        self.install(&format!("node/{name}"), &at.join(name));
        let modules = at.join("node_modules");
        if !modules.exists() {
            std::os::unix::fs::symlink(&self.modules, modules).expect("a link");
        }
        let mut command = Command::new(&self.node);
        command.arg(at.join(name));
        command
    }

    /// The same of `tests/peers/python`.
    pub(crate) fn python_script(&self, name: &str, at: &Path) -> Command {
        self.install(&format!("python/{name}"), &at.join(name));
        let mut command = Command::new(&self.python);
        command.arg(at.join(name));
        command
    }

    fn install(&self, script: &str, to: &Path) {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        std::fs::copy(peers.join(script), to).expect("the script");
    }

    /// The script of an official npm server.
    pub(crate) fn script(&self, server: &str) -> PathBuf {
        self.file(&format!("@modelcontextprotocol/{server}/dist/index.js"))
    }

    /// A file of an npm package.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let path = self.modules.join(name);
        assert!(
            path.is_file(),
            "{} is missing: run `cargo xtask test`, which installs the peers",
            path.display()
        );
        path
    }
}

/// The text of a tool's result.
pub(crate) fn text(result: &Value) -> &str {
    result["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("no text in {result}"))
}

/// Names in a list such as `tools`.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|entry| entry["name"].as_str().expect("a name"))
        .collect()
}

/// A directory with one file.
pub(crate) fn directory_with(name: &str, content: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join(name), content).expect("a file in it");
    directory
}
