//! A server under load as a program: started on a core of its own, measured through `/proc`, ended for sure.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::client::Connection;
use crate::settings::Settings;
use crate::target::{Guards, Program};

const START_LIMIT: Duration = Duration::from_secs(60);

/// How a program is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The core it is pinned to.
    pub core: Option<usize>,
    /// A program that runs it, with its own arguments (valgrind).
    pub wrapper: Vec<String>,
    /// Ours only: one worker thread on a current-thread runtime, as the baselines have.
    pub single_thread: bool,
    /// Ours only: what is on.
    pub guards: Guards,
    /// Ours only: it is to be reached over gRPC.
    pub grpc: bool,
    /// Ours only: so many tenants, each with a key, an access list, a rate and quotas; in place of `guards` unless 0.
    pub tenants: usize,
    /// Ours only: the block `servers` of the configuration.
    pub servers: Option<Arc<Value>>,
    /// Ours only: the whole configuration, in place of all that is said above of it.
    pub config: Option<Arc<Value>>,
    /// What is behind the baselines that relay: a URL, or a command with its arguments.
    pub upstream: Vec<String>,
}

/// Where a server is, and how to get in.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where it listens.
    pub address: SocketAddr,
    /// A key of its tenant, where it has tenants.
    pub key: Option<String>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    settings: Option<Settings>,
    /// When its process was started; what was prepared for it is not in it.
    pub(crate) started: Instant,
}

impl Program {
    fn file(self) -> &'static str {
        match self {
            Self::Hyper => "base-hyper",
            Self::Tonic => "base-tonic",
            Self::Rmcp => "base-rmcp",
            Self::RelayHttp => "base-relay-http",
            Self::RelayStdio => "base-relay-stdio",
            Self::UpstreamEcho => "upstream-echo",
            Self::Ferromcp => "ferromcp",
        }
    }

    fn arguments(self, address: SocketAddr, how: &Start, config: Option<&Path>) -> Vec<String> {
        let address = address.to_string();
        let config = config.map(|path| path.to_string_lossy().into_owned());
        let mut words: Vec<&str> = match self {
            Self::Hyper | Self::Tonic | Self::Rmcp | Self::UpstreamEcho => vec!["--addr", &address],
            Self::RelayHttp => vec!["--addr", &address, "--upstream"],
            Self::RelayStdio => vec!["--addr", &address, "--child"],
            Self::Ferromcp if how.grpc => {
                vec![
                    "serve",
                    "--mode",
                    "http",
                    "--addr",
                    "127.0.0.1:0",
                    "--grpc-addr",
                    &address,
                ]
            }
            Self::Ferromcp => vec!["serve", "--mode", "http", "--addr", &address],
        };
        if self == Self::Ferromcp && how.single_thread {
            words.extend(["--threads", "1"]);
        }
        if let Some(config) = &config {
            words.extend(["--config", config]);
        }
        words.into_iter().map(str::to_owned).collect()
    }
}

/// The programs lie beside the harness: one cargo build makes them all.
pub(crate) fn beside_us(file: &str) -> Result<PathBuf> {
    let ourselves =
        std::env::current_exe().map_err(|error| format!("cannot find the harness itself: {error}"))?;
    let path = ourselves.parent().unwrap_or(Path::new(".")).join(file);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{} does not exist: cargo xtask bench builds it",
            path.display()
        ))
    }
}

/// Where nobody listens at this moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}

impl Server {
    /// Starts a program and waits until it accepts connections.
    ///
    /// # Errors
    /// It is not built, does not start, or does not listen within a minute.
    pub async fn start(program: Program, how: &Start) -> Result<Self> {
        let server = Self::spawn(program, how)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match Connection::open(server.address).await {
                Ok(_) => return Ok(server),
                Err(message) if Instant::now() > deadline => {
                    return Err(format!("{} does not listen: {message}", program.file()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    /// Starts a program and does not wait.
    ///
    /// # Errors
    /// It is not built or does not start.
    pub fn spawn(program: Program, how: &Start) -> Result<Self> {
        let address = free_address()?;
        let mut words: Vec<String> = Vec::new();
        if let Some(core) = how.core {
            words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        words.extend(how.wrapper.iter().cloned());
        words.push(beside_us(program.file())?.to_string_lossy().into_owned());
        let settings = match (&how.config, how.tenants) {
            (Some(config), _) => Some(Settings::put(config, Vec::new())?),
            (None, 0) => Settings::write(how.guards, how.servers.as_deref())?,
            (None, tenants) => Some(Settings::many(tenants)?),
        };
        let config = settings.as_ref().map(Settings::file);
        words.extend(program.arguments(address, how, config.as_deref()));
        words.extend(how.upstream.iter().cloned());
        let started = Instant::now();
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start `{}`: {error}", words.join(" ")))?;
        Ok(Self {
            child,
            address,
            settings,
            started,
        })
    }

    /// Where it is, and the key of its first tenant.
    #[must_use]
    pub fn site(&self) -> Site {
        let keys = self.settings.as_ref().map(|settings| &settings.keys);
        Site {
            address: self.address,
            key: keys.and_then(|keys| keys.first()).cloned(),
        }
    }

    /// The same for its second tenant, which has a rate that it soon uses up.
    #[must_use]
    pub fn second_site(&self) -> Site {
        let keys = self.settings.as_ref().map(|settings| &settings.keys);
        Site {
            address: self.address,
            key: keys.and_then(|keys| keys.get(1)).cloned(),
        }
    }

    /// Writes its configuration file anew.
    ///
    /// # Errors
    /// It has none, or the file cannot be written.
    pub(crate) fn rewrite(&self, config: &Value) -> Result<()> {
        let settings = self.settings.as_ref().ok_or("the server has no configuration")?;
        settings.rewrite(config)
    }

    /// CPU time of all its threads so far, user and system.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> Result<Duration> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .map_err(|error| format!("the server has ended: {error}"))?;
        let mut nanoseconds = 0;
        for task in tasks.flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split(' ')
                .next()
                .and_then(|word| word.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory, in KiB.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_kib(&self) -> Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The most memory that was resident so far, in KiB.
    ///
    /// # Errors
    /// It has ended.
    pub fn peak_kib(&self) -> Result<u64> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(|error| format!("the server has ended: {error}"))?;
        text.lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok())
            .ok_or_else(|| format!("no {field} in /proc"))
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// It does not end within a minute.
    pub async fn stop(mut self) -> Result<()> {
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err("the server does not end on SIGTERM".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pins the harness to a core, away from the server. Says so when that cannot be.
///
/// # Errors
/// `taskset` is missing or refuses.
pub fn pin_ourselves(core: usize) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-acp", &core.to_string(), &std::process::id().to_string()])
        .output()
        .map_err(|error| format!("cannot run taskset (package util-linux): {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "cannot pin to core {core}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}
