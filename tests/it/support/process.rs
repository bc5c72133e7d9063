//! A child process whose lines are kept, and which never outlives its test.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// How long a server that a test leaves behind may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(8);

/// What a stream has said so far, line by line.
#[derive(Clone)]
pub(crate) struct Lines {
    name: &'static str,
    shared: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(name: &'static str, stream: impl Read + Send + 'static) -> Self {
        let lines = Self {
            name,
            shared: Arc::default(),
        };
        let theirs = lines.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                theirs.shared.0.lock().unwrap().lines.push(text);
                theirs.shared.1.notify_all();
                line.clear();
            }
            theirs.shared.0.lock().unwrap().ended = true;
            theirs.shared.1.notify_all();
        });
        lines
    }

    /// The first line, of all so far and to come, that `look` makes something of.
    pub(crate) fn wait<T>(&self, mut look: impl FnMut(&str) -> Option<T>) -> T {
        let since = Instant::now();
        let mut said = self.shared.0.lock().unwrap();
        let mut looked = 0;
        loop {
            while looked < said.lines.len() {
                looked += 1;
                if let Some(found) = look(&said.lines[looked - 1]) {
                    return found;
                }
            }
            let left = PATIENCE.saturating_sub(since.elapsed());
            assert!(
                !said.ended && !left.is_zero(),
                "{} did not say it; it said: {:#?}",
                self.name,
                said.lines
            );
            said = self.shared.1.wait_timeout(said, left).unwrap().0;
        }
    }

    /// How many lines there are.
    pub(crate) fn so_far(&self) -> usize {
        self.shared.0.lock().unwrap().lines.len()
    }

    /// Everything, once the stream has ended.
    pub(crate) fn all(&self) -> Vec<String> {
        let said = self.shared.0.lock().unwrap();
        let (said, timeout) = self
            .shared
            .1
            .wait_timeout_while(said, PATIENCE, |said| !said.ended)
            .unwrap();
        assert!(!timeout.timed_out(), "{} did not end", self.name);
        said.lines.clone()
    }
}

pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            stdin: child.stdin.take(),
            stdout: Lines::of("standard output", child.stdout.take().expect("piped")),
            stderr: Lines::of("standard error", child.stderr.take().expect("piped")),
            child,
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        stdin
            .write_all(bytes)
            .and_then(|()| stdin.flush())
            .expect("it reads its input");
    }

    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it runs");
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of this test").is_some()
    }

    /// The exit code, after at most `limit`.
    pub(crate) fn exit_code(&mut self, limit: Duration) -> i32 {
        let status = self
            .ended(limit)
            .unwrap_or_else(|| panic!("still running after {limit:?}"));
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this test") {
                return Some(status);
            }
            if since.elapsed() >= limit {
                return None;
            }
            #[expect(clippy::disallowed_methods, reason = "between two looks at what has no event")]
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.stdin = None;
            // First politely, so that the server ends its own children.
            self.signal(Signal::TERM);
            if self.ended(GRACE).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
    }
}

/// How a program that ends by itself ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, with `input` on its standard input.
pub(crate) fn finish(command: Command, input: &str) -> Finished {
    let mut process = Process::start(command);
    if !input.is_empty() {
        process.write(input.as_bytes());
    }
    process.close_input();
    Finished {
        code: process.exit_code(PATIENCE),
        stdout: process.stdout.all().join("\n"),
        stderr: process.stderr.all().join("\n"),
    }
}

/// Ids of living processes whose environment contains `mark`. Zombies have none.
pub(crate) fn alive_with(mark: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes())
        })
        .collect()
}
