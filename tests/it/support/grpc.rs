//! The gRPC door, through Google's client for Python.

use std::path::Path;

use serde_json::{Value, json};

use super::{Peers, Process, Served, Session};

/// Where a running server has its gRPC door.
pub(crate) fn grpc_address(served: &Served) -> String {
    served
        .process
        .stderr
        .wait(|line| line.strip_prefix("gRPC ").map(str::to_owned))
}

/// `serve` with this configuration and a gRPC door, and the door's address.
pub(crate) fn serve_grpc(config: &Path) -> (Served, String) {
    let served = Served::start([
        "--grpc-addr".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
    ]);
    let address = grpc_address(&served);
    (served, address)
}

/// A client that makes one call after the other.
pub(crate) struct Grpc {
    process: Process,
    next: u64,
    /// The script.
    _directory: tempfile::TempDir,
}

/// What the client shows and whom it trusts.
#[derive(Clone, Copy, Default)]
pub(crate) struct GrpcWith<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) ca: Option<&'a Path>,
    /// Certificate and its key.
    pub(crate) identity: Option<(&'a Path, &'a Path)>,
}

fn start(address: &str, with: GrpcWith<'_>, mode: &str) -> (std::process::Command, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut command = Peers::find().python_script("grpc_door.py", directory.path());
    command.arg(address).arg(mode);
    if let Some(key) = with.key {
        command.args(["--key", key]);
    }
    if let Some(ca) = with.ca {
        command.arg("--ca").arg(ca);
    }
    if let Some((certificate, key)) = with.identity {
        command.arg("--cert").arg(certificate).arg("--cert-key").arg(key);
    }
    // It speaks to this machine only.
    command.env("NO_PROXY", "*").env("no_grpc_proxy", "*");
    (command, directory)
}

impl Grpc {
    pub(crate) fn start(address: &str, with: GrpcWith<'_>) -> Self {
        let (command, directory) = start(address, with, "calls");
        Self {
            process: Process::start(command),
            next: 1,
            _directory: directory,
        }
    }

    /// Makes a call; bytes are text in `message` and in what came.
    pub(crate) fn call(&mut self, method: &str, message: Value) -> Value {
        self.call_within(method, message, 60.0)
    }

    /// With a deadline in seconds.
    #[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
    pub(crate) fn call_within(&mut self, method: &str, message: Value, timeout: f64) -> Value {
        let id = self.next;
        self.next += 1;
        let line = json!({ "id": id, "method": method, "message": message, "timeout": timeout });
        self.process.write(format!("{line}\n").as_bytes());
        self.process.stdout.wait(|line| {
            let answer: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            (answer["id"] == id).then_some(answer)
        })
    }
}

/// A conversation over `Mcp`, as lines.
pub(crate) fn grpc_session(address: &str, key: Option<&str>) -> Session {
    let with = GrpcWith {
        key,
        ..GrpcWith::default()
    };
    let (command, directory) = start(address, with, "mcp");
    Session::start_in(command, directory)
}
