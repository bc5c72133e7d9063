//! Real children: what they see, how they end, and what they cannot do to us.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromcp_protocol::lines::LineError;
use ferromcp_supervisor::{
    Child, ChildSpec, ExitKind, LineReader, MARK_ENV, PASSED_ENV, ReadError, Resources, SendError, SpawnError,
};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::process::ChildStdout;

/// Upper bound for anything that should happen at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

/// `sh -c script`, stopping quickly.
fn sh(script: &str) -> ChildSpec {
    let mut spec = ChildSpec::new("test", "sh").args(["-c", script]);
    spec.limits.stop_grace = Duration::from_millis(300);
    spec.limits.term_grace = Duration::from_millis(300);
    spec
}

async fn start(spec: ChildSpec) -> (Child, LineReader<ChildStdout>) {
    let mut child = Child::spawn(spec).await.unwrap();
    let stdout = child.take_stdout().unwrap();
    assert!(child.take_stdout().is_none());
    (child, stdout)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("took too long")
}

async fn line(stdout: &mut LineReader<ChildStdout>) -> String {
    let line = soon(stdout.next()).await.expect("output ended").unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}

/// Reads to the end: every process that held the output is gone then.
async fn ended(mut stdout: LineReader<ChildStdout>) {
    while soon(stdout.next()).await.is_some() {}
}

fn alive(pid: u32) -> bool {
    Pid::from_raw(pid as i32).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

#[tokio::test]
async fn lines_go_through_and_closing_stdin_is_a_clean_end() {
    let (child, mut stdout) = start(sh("exec cat")).await;
    for i in 0..1000 {
        child
            .stdin()
            .send(Bytes::from(format!("line {i}")))
            .await
            .unwrap();
    }
    for i in 0..1000 {
        assert_eq!(line(&mut stdout).await, format!("line {i}"));
    }
    // What is queued before the stop still arrives.
    child.stdin().send(Bytes::from_static(b"last")).await.unwrap();
    let exit = soon(child.stop()).await;
    assert_eq!((exit.kind, exit.requested), (ExitKind::Code(0), true));
    assert_eq!(line(&mut stdout).await, "last");
    assert!(soon(stdout.next()).await.is_none());
    assert_eq!(
        child.stdin().send(Bytes::from_static(b"x")).await,
        Err(SendError::Closed)
    );
    assert!(!alive(child.pid()), "not reaped");
}

#[tokio::test]
async fn a_line_end_cannot_be_smuggled_in() {
    let (child, _stdout) = start(sh("exec cat")).await;
    for bad in ["a\nb", "a\r", "\n"] {
        assert_eq!(
            child.stdin().send(Bytes::from(bad)).await,
            Err(SendError::LineEnd)
        );
    }
}

#[tokio::test]
async fn the_environment_is_clean() {
    assert!(
        std::env::var_os("CARGO_MANIFEST_DIR").is_some(),
        "run by cargo, so there is something to leak"
    );
    let (_child, mut stdout) = start(
        ChildSpec::new("test", "env")
            .env("GIVEN", "1")
            .env("HOME", "/elsewhere"),
    )
    .await;
    let mut seen = BTreeSet::new();
    while let Some(item) = soon(stdout.next()).await {
        let text = String::from_utf8(item.unwrap().to_vec()).unwrap();
        seen.insert(text.split_once('=').unwrap().0.to_owned());
        assert!(!text.starts_with("HOME=") || text == "HOME=/elsewhere");
    }
    assert!(seen.remove("GIVEN") && seen.remove(MARK_ENV) && seen.contains("PATH"));
    assert!(
        seen.iter().all(|key| PASSED_ENV.contains(&key.as_str())),
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_working_directory_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let (_child, mut stdout) = start(ChildSpec::new("test", "pwd").cwd(dir.path())).await;
    assert_eq!(
        line(&mut stdout).await,
        dir.path().canonicalize().unwrap().to_str().unwrap()
    );
}

#[tokio::test]
async fn impossible_starts_explain_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let script = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let file = dir.path().join(format!("s{}", text.len()));
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let message = async |spec: ChildSpec| Child::spawn(spec).await.unwrap_err().to_string();

    let text = message(ChildSpec::new("files", "no-such-command-here").env("PATH", "/bin:/opt/x")).await;
    assert!(
        text.starts_with("server `files`: command `no-such-command-here` not found in PATH (/bin:/opt/x)"),
        "{text}"
    );
    let text = message(ChildSpec::new("files", "sh").cwd(dir.path().join("gone"))).await;
    assert!(
        text.contains("working directory") && text.contains("gone") && text.contains("No such file"),
        "{text}"
    );
    let text = message(ChildSpec::new("files", "")).await;
    assert!(text.contains("`command` is empty"), "{text}");
    let text = message(ChildSpec::new("files", script("#!/no/such/interpreter\n"))).await;
    assert!(text.contains("the interpreter named in its first line"), "{text}");
    let error = Child::spawn(ChildSpec::new("files", "sh").args(["-c", "a\0b"]))
        .await
        .unwrap_err();
    assert!(matches!(error, SpawnError::Os { .. }), "{error}");
    let huge = "x".repeat(8 << 20);
    let text = message(ChildSpec::new("files", "sh").args([huge])).await;
    assert!(
        text.contains("shorten `args` and `env`"),
        "{}",
        &text[..200.min(text.len())]
    );
}

#[tokio::test]
async fn an_early_exit_tells_the_code_and_the_last_words() {
    let (child, stdout) = start(sh("echo one >&2; echo two >&2; exit 3")).await;
    let exit = soon(child.exit().wait()).await;
    assert_eq!((exit.kind, exit.requested), (ExitKind::Code(3), false));
    let text = exit.to_string();
    assert!(
        text.starts_with("server `test` exited with code 3 after "),
        "{text}"
    );
    assert!(text.ends_with("s; last stderr: one | two"), "{text}");
    assert_eq!(child.exit().get().unwrap().kind, ExitKind::Code(3));
    ended(stdout).await;
    assert!(!alive(child.pid()), "zombie");
}

#[tokio::test]
async fn a_signal_is_told_too() {
    let (child, _stdout) = start(sh("kill -SEGV $$")).await;
    assert_eq!(
        soon(child.exit().wait()).await.kind,
        ExitKind::Signal(Signal::SEGV.as_raw())
    );
}

#[tokio::test]
async fn one_that_ignores_stdin_is_terminated() {
    let (child, mut stdout) = start(sh(
        "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done",
    ))
    .await;
    assert_eq!(line(&mut stdout).await, "up");
    assert_eq!(soon(child.stop()).await.kind, ExitKind::Code(7));
    assert_eq!(line(&mut stdout).await, "bye");
}

#[tokio::test]
async fn one_that_ignores_term_is_killed_with_its_grandchildren() {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & while :; do sleep 1; done";
    let (child, mut stdout) = start(sh(script)).await;
    let grandchild: u32 = line(&mut stdout).await.parse().unwrap();
    assert!(alive(grandchild));
    let begun = Instant::now();
    assert_eq!(
        soon(child.stop()).await.kind,
        ExitKind::Signal(Signal::KILL.as_raw())
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "both grace periods were given"
    );
    ended(stdout).await;
}

#[tokio::test]
async fn grandchildren_go_when_the_leader_exits_or_is_killed_or_the_handle_is_dropped() {
    let script = "sleep 1000 & sleep 1000 & echo up; read -r how; exit 0";
    let (child, mut stdout) = start(sh(script)).await;
    assert_eq!(line(&mut stdout).await, "up");
    child.stdin().send(Bytes::from_static(b"leave")).await.unwrap();
    assert_eq!(soon(child.exit().wait()).await.kind, ExitKind::Code(0));
    ended(stdout).await;

    let (child, mut stdout) = start(sh(script)).await;
    assert_eq!(line(&mut stdout).await, "up");
    assert_eq!(
        soon(child.kill()).await.kind,
        ExitKind::Signal(Signal::KILL.as_raw())
    );
    ended(stdout).await;

    let (child, mut stdout) = start(sh(script)).await;
    assert_eq!(line(&mut stdout).await, "up");
    let exit = child.exit().clone();
    drop(child);
    assert!(soon(exit.wait()).await.requested);
    ended(stdout).await;
}

#[tokio::test]
async fn a_kill_cuts_a_stop_short() {
    let mut spec = sh("trap '' TERM; echo up; while :; do sleep 1; done");
    spec.limits.stop_grace = Duration::from_secs(1000);
    let (child, mut stdout) = start(spec).await;
    assert_eq!(line(&mut stdout).await, "up");
    child.begin_stop();
    soon(child.kill()).await;
}

#[tokio::test]
async fn a_stopped_child_that_does_not_read_is_not_waited_for_for_ever() {
    let mut spec = sh("exec sleep 1000");
    spec.limits.queue_bytes = 100_000;
    let (child, _stdout) = start(spec).await;
    let big = Bytes::from(vec![b'x'; 90_000]);
    // The pipe and the queue fill up; the sender is held back, and told when there is no hope left.
    let stdin = child.stdin().clone();
    let sender = tokio::spawn(async move {
        let mut sent = 0;
        loop {
            match stdin.send(big.clone()).await {
                Ok(()) => sent += 1,
                Err(error) => return (sent, error),
            }
        }
    });
    assert_eq!(
        soon(child.stop()).await.kind,
        ExitKind::Signal(Signal::TERM.as_raw())
    );
    let (sent, error) = soon(sender).await.unwrap();
    assert_eq!(error, SendError::Closed);
    assert!(
        sent < 5,
        "{sent} messages of 90 kB went into a queue of 100 kB and a pipe"
    );
}

#[tokio::test]
async fn one_that_closes_its_stdin_makes_senders_fail_and_lives_on() {
    let (child, mut stdout) = start(sh("exec <&-; echo up; exec sleep 1000")).await;
    assert_eq!(line(&mut stdout).await, "up");
    let send = async {
        loop {
            if let Err(error) = child.stdin().send(Bytes::from_static(b"x")).await {
                return error;
            }
        }
    };
    assert_eq!(soon(send).await, SendError::Closed);
    assert!(child.exit().get().is_none());
}

#[tokio::test]
async fn one_that_closes_its_stdout_ends_the_reader_and_lives_on() {
    let (child, stdout) = start(sh("exec >&-; exec sleep 1000")).await;
    ended(stdout).await;
    assert!(child.exit().get().is_none());
    assert_eq!(
        soon(child.stop()).await.kind,
        ExitKind::Signal(Signal::TERM.as_raw())
    );
}

#[tokio::test]
async fn a_flood_of_stderr_does_not_hold_up_stdout() {
    let (child, mut stdout) = start(sh("yes flood | head -n 300000 >&2; echo done; exec sleep 1000")).await;
    assert_eq!(line(&mut stdout).await, "done");
    let exit = soon(child.stop()).await;
    assert_eq!(exit.stderr, vec!["flood"; 20]);
}

#[tokio::test]
async fn garbage_giant_lines_and_a_missing_line_end_are_errors_of_one_line_each() {
    let script = "import sys; w = sys.stdout.buffer.write; w(b'ok 1\\n\\xff\\xfe\\n'); w(b'x' * 30_000_000 + b'\\n'); \
                  w(b'\\r\\n\\nok 2\\nend'); sys.stdout.flush()";
    let mut spec = ChildSpec::new("test", "python3").args(["-c", script]);
    spec.limits.max_line = 1 << 20;
    let (_child, mut stdout) = start(spec).await;
    assert_eq!(line(&mut stdout).await, "ok 1");
    let error = soon(stdout.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(error, ReadError::Line(LineError::NotUtf8 { valid_up_to: 0, .. })),
        "{error}"
    );
    let error = soon(stdout.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Line(LineError::TooLong { limit: 1_048_576, .. })
        ),
        "{error}"
    );
    assert_eq!(line(&mut stdout).await, "ok 2");
    let error = soon(stdout.next()).await.unwrap().unwrap_err();
    let ReadError::Line(LineError::Unterminated { line }) = error else {
        panic!("{error}")
    };
    assert_eq!(line, "end");
    assert!(soon(stdout.next()).await.is_none());
    assert!(stdout.ended());
}

#[test]
fn children_outlive_the_thread_that_asked_for_them_but_not_their_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    let (child, mut stdout) = std::thread::spawn(move || handle.block_on(start(sh("exec cat"))))
        .join()
        .unwrap();
    runtime.block_on(async {
        child
            .stdin()
            .send(Bytes::from_static(b"still here"))
            .await
            .unwrap();
        assert_eq!(line(&mut stdout).await, "still here");
    });
    let pidfd = open(child.pid());
    drop(runtime);
    await_exit(&pidfd);
    let exit = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(child.exit().wait());
    assert_eq!(exit.kind, ExitKind::Unknown);
}

fn open(pid: u32) -> std::os::fd::OwnedFd {
    rustix::process::pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Waits until the process behind a pidfd has exited.
fn await_exit(pidfd: &std::os::fd::OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: SOON.as_secs() as i64,
        tv_nsec: 0,
    };
    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1, "still running");
}

/// Set for the copy of this test binary that plays a gateway which is about to be killed.
const PARENT: &str = "FERROMCP_TEST_PARENT";

#[cfg(target_os = "linux")]
#[test]
fn children_die_with_a_parent_that_is_killed() {
    use std::io::{BufRead, BufReader, Write};
    if std::env::var_os(PARENT).is_some() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            // One that looks at neither its stdin nor signals that can be ignored.
            let (child, mut stdout) = start(sh("trap '' TERM HUP PIPE; echo up; exec sleep 1000")).await;
            assert_eq!(line(&mut stdout).await, "up");
            writeln!(std::io::stdout(), "\nPID {}", child.pid()).unwrap();
            std::future::pending::<()>().await;
        });
    }
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "children_die_with_a_parent_that_is_killed",
            "--nocapture",
        ])
        .env(PARENT, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = loop {
        let text = lines.next().expect("the parent ended early").unwrap();
        if let Some(pid) = text.strip_prefix("PID ") {
            break pid.parse().unwrap();
        }
    };
    let pidfd = open(pid);
    parent.kill().unwrap();
    parent.wait().unwrap();
    await_exit(&pidfd);
}

/// Waits until no process with this variable in its environment is left.
async fn gone(mark: &str) {
    soon(async {
        while marked(mark) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn marked(mark: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap();
    let environment =
        |entry: std::fs::DirEntry| std::fs::read(entry.path().join("environ")).unwrap_or_default();
    entries
        .flatten()
        .map(environment)
        .filter(|all| all.split(|b| *b == 0).any(|variable| variable == mark.as_bytes()))
        .count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_left_the_process_group_ends_with_the_child_too() {
    let mark = format!("escaped-{}", std::process::id());
    let spec = sh("setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & echo up; read -r how")
        .env("TEST_MARK", &mark);
    let (child, mut stdout) = start(spec).await;
    assert_eq!(line(&mut stdout).await, "up");
    soon(child.stop()).await;
    gone(&format!("TEST_MARK={mark}")).await;
    assert_eq!(marked(&format!("TEST_MARK={mark}")), 0);
}

#[tokio::test]
async fn resource_limits_are_in_force_before_the_program_runs() {
    let mut spec = sh("ulimit -d; ulimit -t; ulimit -n; sh -c 'ulimit -n'");
    spec.resources = Resources {
        memory: Some(64 << 20),
        cpu_time: Some(Duration::from_millis(6500)),
        open_files: Some(40),
        processes: None,
    };
    let (_child, mut stdout) = start(spec).await;
    // Kibibytes; seconds; and what a child starts has the same.
    for expected in ["65536", "7", "40", "40"] {
        assert_eq!(line(&mut stdout).await, expected);
    }
}

#[tokio::test]
async fn a_child_that_uses_up_its_processor_time_is_ended() {
    let mut spec = sh("while :; do :; done");
    spec.resources.cpu_time = Some(Duration::from_secs(1));
    let (child, _stdout) = start(spec).await;
    let exit = soon(child.exit().wait()).await;
    assert_eq!(exit.kind, ExitKind::Signal(Signal::XCPU.as_raw()));
}
