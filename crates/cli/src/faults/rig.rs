//! The gateway with its servers, in a directory of its own, and what can be seen of its processes.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use super::client::{Answer, Client};
use super::inject::{Fault, signal};
use super::load::Load;
use super::remote::Remote;
use super::report::{Invariant, Report};
use super::{Random, eventually, eventually_now, secure, server, stop};

/// Marks every process of the servers, whoever started it.
const MARK: &str = "FERROMCP_FAULTS_MARK";
/// Two workers of `direct` and of `wrapped`, one of `calm`; each with its helper, and with the shell around it.
const MOST: usize = 2 * 2 + 2 * 3 + 2;
/// Cycles before memory counts as used for good.
const WARM_UP: usize = 4;
const MAX_GROWTH_KIB: u64 = 32 * 1024;
const MAX_MORE_FILES: u64 = 24;

pub(super) struct Rig {
    directory: PathBuf,
    gateway: Gateway,
    pub(super) remote: Remote,
    /// As `remote`, with TLS.
    pub(super) secure: Remote,
    load: Load,
}

struct Gateway {
    process: Child,
    address: SocketAddr,
    /// Memory in KiB and open files after each cycle.
    samples: Vec<(u64, u64)>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        stop::forget(&self.process);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Rig {
    /// Also when a fault could not be run, or somebody does not want to wait for the end. The watchdog of the gateway ends the
    /// servers.
    fn drop(&mut self) {
        self.load.point_to(None);
        stop::forget(&self.gateway.process);
        let _ = self.gateway.process.kill();
        let _ = self.gateway.process.wait();
        let directory = self.directory.display().to_string();
        eventually_now(|| marked(&directory).is_empty().then_some(()));
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Rig {
    pub(super) fn start(seed: u64) -> std::io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("ferromcp-faults-{}-{seed}", std::process::id()));
        std::fs::create_dir(&directory)?;
        let remote = Remote::start(None)?;
        let secure = Remote::start(Some(secure::Server::new(&directory)?))?;
        std::fs::write(directory.join("ca.pem"), secure::CA)?;
        let own = std::env::current_exe()?;
        let environment = json!({ MARK: directory, server::JOURNAL: directory.join("journal") });
        let pool = json!({ "min": 1, "max": 2 });
        let config = json!({
            "supervisor": { "heartbeat": "300ms", "default_timeout": "15s", "drain": "5s" },
            "log": { "level": "error", "calls": false },
            "servers": {
                "calm": { "command": own, "args": ["__fault-server"], "env": environment, "era": "legacy" },
                "direct": { "command": own, "args": ["__fault-server"], "env": environment, "era": "legacy", "pool": pool },
                // A shell in between, as with npx.
                "wrapped": {
                    "command": "sh", "args": ["-c", "\"$0\" __fault-server; exit $?", own], "env": environment,
                    "era": "legacy", "pool": pool,
                },
                "remote": { "url": format!("http://{}/mcp", remote.address), "era": "legacy" },
                "secure": {
                    "url": format!("https://{}/mcp", secure.address), "era": "legacy", "tls": { "ca": "${file:ca.pem}" },
                },
            },
        });
        std::fs::write(directory.join("ferromcp.yaml"), config.to_string())?;
        let gateway = Gateway::start(&directory)?;
        let load = Load::start(seed)?;
        let rig = Self {
            directory,
            gateway,
            remote,
            secure,
            load,
        };
        rig.begin()?;
        Ok(rig)
    }

    /// Waits until the gateway serves everything, and lets the load in.
    fn begin(&self) -> std::io::Result<()> {
        for name in ["calm", "direct", "wrapped", "remote", "secure"] {
            if self.until_called(name).is_none() {
                return Err(std::io::Error::other(format!(
                    "the server `{name}` did not get ready"
                )));
            }
        }
        self.load.point_to(Some(self.gateway.address));
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.gateway.address
    }

    /// One fault, the recovery from it, and a look at what is left of it.
    pub(super) fn cycle(
        &mut self,
        fault: Fault,
        random: &mut Random,
        report: &mut Report,
    ) -> std::io::Result<()> {
        self.inject(fault, random, report)?;
        stop::check()?;
        let since = Instant::now();
        match self.until_called(fault.target()) {
            Some(()) => report.took("a server can be called again", since.elapsed()),
            None => report.violated(Invariant::Recovers, format!("after: {}", fault.words())),
        }
        let directory = self.directory.display().to_string();
        if eventually(|| (marked(&directory).len() <= MOST).then_some(())).is_none() {
            let left = marked(&directory);
            let how = format!(
                "after: {}: {} processes, more than {MOST}: {left:?}",
                fault.words(),
                left.len()
            );
            report.violated(Invariant::NoOrphan, how);
        }
        let gateway = self.gateway.process.id();
        let is_zombie = |pid: &u32| state(*pid).is_some_and(|(state, _)| state == 'Z');
        if eventually(|| (!children_of(gateway).iter().any(is_zombie)).then_some(())).is_none() {
            report.violated(Invariant::NoZombie, format!("after: {}", fault.words()));
        }
        self.gateway.sample();
        stop::check()
    }

    fn until_called(&self, name: &str) -> Option<()> {
        let mut client = Client::new(self.address());
        let tool = format!("{name}__echo");
        eventually(|| {
            let answer = client.call(&tool, &json!({ "n": 7 }));
            matches!(answer, Answer::Text(text) if text == "7").then_some(())
        })
    }

    /// Process ids of the workers of a server.
    pub(super) fn pids(&self, name: &str) -> Vec<u32> {
        self.workers(name)
            .iter()
            .filter_map(|worker| u32::try_from(worker["pid"].as_u64()?).ok())
            .collect()
    }

    pub(super) fn in_flight(&self, name: &str) -> u64 {
        self.workers(name)
            .iter()
            .filter_map(|worker| worker["in_flight"].as_u64())
            .sum()
    }

    fn workers(&self, name: &str) -> Vec<serde_json::Value> {
        let health = Client::new(self.address()).health().unwrap_or_default();
        let sources = health["sources"].as_array().cloned().unwrap_or_default();
        let source = sources.into_iter().find(|source| source["name"] == name);
        source
            .and_then(|source| source["workers"].as_array().cloned())
            .unwrap_or_default()
    }

    /// Kills the gateway, waits until nothing is left, and starts another one.
    pub(super) fn kill_gateway(&mut self, report: &mut Report) -> std::io::Result<()> {
        self.load.point_to(None);
        self.gateway.judge(report);
        let since = Instant::now();
        stop::forget(&self.gateway.process);
        signal(self.gateway.process.id(), Signal::KILL);
        self.gateway.process.wait()?;
        self.assert_empty(Invariant::NoOrphan, "kill -9 of the gateway", report);
        report.took("nothing is left of a killed gateway", since.elapsed());
        self.gateway = Gateway::start(&self.directory)?;
        self.begin()
    }

    fn assert_empty(&self, invariant: Invariant, after: &str, report: &mut Report) {
        let directory = self.directory.display().to_string();
        if eventually(|| marked(&directory).is_empty().then_some(())).is_none() {
            let left = marked(&directory);
            report.violated(invariant, format!("after {after}: {left:?}"));
            for pid in left {
                signal(pid, Signal::KILL);
            }
        }
    }

    /// Stops everything and looks once more.
    pub(super) fn finish(&mut self, report: &mut Report) -> std::io::Result<()> {
        self.load.point_to(None);
        self.gateway.judge(report);
        stop::forget(&self.gateway.process);
        signal(self.gateway.process.id(), Signal::TERM);
        let process = &mut self.gateway.process;
        match eventually(|| process.try_wait().transpose()).transpose()? {
            Some(status) if status.success() => {}
            Some(status) => report.violated(Invariant::StopsCleanly, format!("it ended with {status}")),
            None => report.violated(Invariant::StopsCleanly, "it did not end".into()),
        }
        self.assert_empty(Invariant::StopsCleanly, "the end", report);
        self.load.finish(&self.directory.join("journal"), report);
        Ok(())
    }
}

impl Gateway {
    fn start(directory: &std::path::Path) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--addr", "127.0.0.1:0", "--config"]);
        command.arg(directory.join("ferromcp.yaml"));
        for name in ["FERROMCP_CONFIG", "FERROMCP_LOG"] {
            command.env_remove(name);
        }
        stop::check()?;
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let said = process.stderr.take().map(BufReader::new);
        let mut lines = said
            .into_iter()
            .flat_map(|said| said.lines().map_while(Result::ok));
        let address = lines
            .find_map(|line| line.strip_prefix("listening http://")?.parse().ok())
            .ok_or_else(|| std::io::Error::other("the gateway did not start"));
        let address = match address {
            Ok(address) => address,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        stop::remember(&process);
        // It must not wait for somebody who reads what it says.
        std::thread::Builder::new().spawn(move || lines.for_each(drop))?;
        Ok(Self {
            process,
            address,
            samples: Vec::new(),
        })
    }

    fn sample(&mut self) {
        let pid = self.process.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        });
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |files| files.count() as u64);
        self.samples.push((memory.unwrap_or_default(), files));
    }

    /// Whether it grew since it was warm.
    fn judge(&self, report: &mut Report) {
        let (Some(first), Some(last)) = (self.samples.get(WARM_UP), self.samples.last()) else {
            return;
        };
        let cycles = self.samples.len() - WARM_UP;
        if last.0 > first.0 + MAX_GROWTH_KIB {
            report.violated(
                Invariant::MemoryFlat,
                format!("{} to {} KiB in {cycles} cycles", first.0, last.0),
            );
        }
        if last.1 > first.1 + MAX_MORE_FILES {
            report.violated(
                Invariant::FilesFlat,
                format!("{} to {} in {cycles} cycles", first.1, last.1),
            );
        }
    }
}

/// Processes that carry the mark.
fn marked(directory: &str) -> Vec<u32> {
    let mark = format!("{MARK}={directory}");
    let carries = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    all().filter(carries).collect()
}

pub(super) fn children_of(parent: u32) -> Vec<u32> {
    all()
        .filter(|pid| state(*pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent (proc_pid_stat(5), fields 3 and 4).
fn state(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
