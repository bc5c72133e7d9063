//! Running other programs: with their output shown, captured or both, with a time limit, and never left behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Starts a program with our terminal and waits for it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    let status = command
        .status()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{shown}` failed: {status}"))
    }
}

/// A command as a person would type it.
pub(crate) fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a finished program said.
pub(crate) struct Finished {
    /// `None` when it was ended because its time was up.
    pub(crate) status: Option<ExitStatus>,
    /// Standard output and standard error, in the order of their lines' arrival.
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) stdout: bool,
    pub(crate) text: String,
}

impl Finished {
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, in words.
    pub(crate) fn ending(&self, limit: Duration) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => format!("no end after {} s, killed", limit.as_secs()),
        }
    }

    /// The last `count` lines, for a failure report.
    pub(crate) fn tail(&self, count: usize) -> String {
        let start = self.lines.len().saturating_sub(count);
        self.lines[start..]
            .iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Runs a program to its end or to `limit`, collecting its lines; `echo` also shows them as they come.
/// The program gets its own process group, all of which is killed when time is up.
pub(crate) fn capture(command: &mut Command, limit: Duration, echo: bool) -> Result<Finished, String> {
    let shown = show(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let child = command
        .spawn()
        .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
    let mut guard = Running { child };
    let (sender, receiver) = sync_channel::<Line>(1024);
    if let Some(stdout) = guard.child.stdout.take() {
        read_lines(stdout, true, sender.clone());
    }
    if let Some(stderr) = guard.child.stderr.take() {
        read_lines(stderr, false, sender.clone());
    }
    drop(sender);
    let deadline = Instant::now() + limit;
    let mut lines = Vec::new();
    let status = loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if echo {
                    show_line(&line);
                }
                lines.push(line);
            }
            // Both pipes are closed: the program has ended or is about to.
            Err(RecvTimeoutError::Disconnected) => break guard.wait_until(deadline),
            Err(RecvTimeoutError::Timeout) => break None,
        }
    };
    drop(guard);
    Ok(Finished { status, lines })
}

fn show_line(line: &Line) {
    if line.stdout {
        println!("{}", line.text);
    } else {
        eprintln!("{}", line.text);
    }
    // Nobody is helped by a panic when the reader of our output went away.
    let _ = std::io::stdout().flush();
}

fn read_lines(from: impl Read + Send + 'static, stdout: bool, to: std::sync::mpsc::SyncSender<Line>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(bytes) = line else { return };
            let text = String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
            if to.send(Line { stdout, text }).is_err() {
                return;
            }
        }
    });
}

/// A program in its own process group, all of which is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a server; its standard output is dropped and its standard error is written to `log`.
    pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> Result<Self, String> {
        let shown = show(command);
        let file =
            std::fs::File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|error| format!("cannot start `{shown}`: {error}"))?;
        Ok(Self { child })
    }

    /// Waits until the server accepts connections, or says why that will not happen.
    pub(crate) fn wait_for_port(&mut self, address: SocketAddr, limit: Duration) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "the server ended before it listened on {address}: {status}"
                ));
            }
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "nothing listens on {address} after {} s",
                    limit.as_secs()
                ));
            }
            pause();
        }
    }

    /// Whether it still runs.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => pause(),
                _ => return None,
            }
        }
    }

    /// Asks the server to stop as an operator would (SIGTERM) and waits for its end.
    pub(crate) fn stop(mut self, limit: Duration) -> Result<ExitStatus, String> {
        signal("-TERM", self.child.id());
        self.wait_until(Instant::now() + limit)
            .ok_or_else(|| format!("the server did not end {} s after SIGTERM", limit.as_secs()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The group also after the leader's end: what it started must not outlive the run.
        signal("-KILL", self.child.id());
        let _ = self.child.wait();
    }
}

/// Signals a process group through kill(1), which keeps this crate free of unsafe code and of dependencies.
fn signal(name: &str, group: u32) {
    let _ = Command::new("kill")
        .args([name, "--", &format!("-{group}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[expect(
    clippy::disallowed_methods,
    reason = "polling another process from a synchronous tool"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("cannot find a free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_streams_and_the_status_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let finished = capture(&mut command, Duration::from_secs(20), false).unwrap();
        assert_eq!(finished.status.unwrap().code(), Some(3));
        assert!(
            finished
                .lines
                .iter()
                .any(|line| line.stdout && line.text == "out")
        );
        assert!(
            finished
                .lines
                .iter()
                .any(|line| !line.stdout && line.text == "err")
        );
        assert!(!finished.success());
    }

    #[test]
    fn a_program_that_never_ends_is_killed_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let finished = capture(&mut command, Duration::from_millis(500), false).unwrap();
        assert!(finished.status.is_none());
        let grandchild = finished
            .lines
            .iter()
            .find(|line| line.stdout)
            .unwrap()
            .text
            .clone();
        let deadline = Instant::now() + Duration::from_secs(20);
        // A killed orphan stays visible as a zombie until init reaps it.
        let running = || {
            std::fs::read_to_string(format!("/proc/{grandchild}/stat"))
                .is_ok_and(|stat| !stat.contains(") Z "))
        };
        while running() && Instant::now() < deadline {
            pause();
        }
        assert!(!running(), "process {grandchild} outlived its group");
    }
}
