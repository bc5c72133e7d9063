//! Starting programs from our own memory: what they get of it, and what we keep.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferromcp_supervisor::{Child, ChildSpec, ExitKind};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

const SOON: Duration = Duration::from_secs(20);

/// All that the program prints.
async fn printed(spec: ChildSpec) -> Vec<String> {
    let mut child = Child::spawn(spec).await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let mut lines = Vec::new();
    while let Some(line) = tokio::time::timeout(SOON, stdout.next()).await.unwrap() {
        lines.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
    }
    let exit = child.exit().wait().await;
    assert_eq!(exit.kind, ExitKind::Code(0), "{exit}");
    lines
}

/// An executable file `script`.
fn script(directory: &TempDir, text: &str) -> PathBuf {
    let file = directory.path().join("script");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

/// This process has no child any more, dead or alive.
async fn childless() {
    let deadline = Instant::now() + SOON;
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::All, options) {
            Err(Errno::CHILD) => return,
            left => assert!(Instant::now() < deadline, "{left:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_program_starts_without_our_signal_handlers_and_files() {
    // Handlers that write to a pipe of ours; and Rust ignores SIGPIPE.
    let _handlers = [
        SignalKind::user_defined1(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let _file = std::fs::File::open("/dev/null").unwrap();
    let status = printed(ChildSpec::new("test", "cat").args(["/proc/self/status"])).await;
    let signals = |name: &str| {
        let line = status.iter().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!([signals("SigBlk:"), signals("SigCgt:")], [0, 0]);
    let pipe = 1 << (rustix::process::Signal::PIPE.as_raw() - 1);
    assert_eq!(signals("SigIgn:") & pipe, 0);
    let mut files = printed(ChildSpec::new("test", "ls").args(["/proc/self/fd"])).await;
    files.retain(|file| !["0", "1", "2"].contains(&file.as_str()) && !passed_on(file));
    // The directory that is listed.
    assert_eq!(files.len(), 1, "{files:?}");
}

/// Whoever started this test may have meant a file for all that it starts.
fn passed_on(file: &str) -> bool {
    let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{file}")).unwrap_or_default();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|octal| u32::from_str_radix(octal.trim(), 8).unwrap() & 0o2_000_000 == 0)
}

#[tokio::test]
async fn a_script_without_an_interpreter_is_the_shells() {
    let directory = tempfile::tempdir().unwrap();
    script(&directory, "echo $# \"$2\"; echo $VARIABLE; pwd\n");
    let spec = ChildSpec::new("test", "./script")
        .args(["one", "two words"])
        .env("VARIABLE", "value")
        .cwd(directory.path());
    let real = directory.path().canonicalize().unwrap();
    assert_eq!(
        printed(spec).await,
        ["2 two words", "value", real.to_str().unwrap()]
    );
}

#[tokio::test]
async fn a_program_that_does_not_run_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = script(&directory, "#!/no/such/interpreter\n");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for round in 0..50 {
        let error = Child::spawn(ChildSpec::new("test", file.to_str().unwrap()))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("the interpreter named"), "{error}");
        if round == 0 {
            before = open();
        }
    }
    assert_eq!(open(), before);
    childless().await;
}

#[tokio::test]
async fn who_no_longer_waits_for_a_start_leaves_nothing() {
    for round in 0..100_u64 {
        let start = Child::spawn(ChildSpec::new("test", "sleep").args(["600"]));
        let _ = tokio::time::timeout(Duration::from_micros(round * 20), start).await;
    }
    childless().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_that_go_on_and_children_do_not_disturb_each_other() {
    let over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..3_u8)
        .map(|number| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    kept.push(vec![number; 1 + kept.len() * 37 % 5000]);
                    if kept.len() > 500 {
                        assert!(kept.iter().flatten().all(|&byte| byte == number));
                        kept.clear();
                    }
                    // Writes errno.
                    assert!(std::fs::metadata("/no/such/file").is_err());
                }
            })
        })
        .collect();
    for round in 0..10 {
        let starts = (0..20).map(|number| {
            let said = format!("{round}-{number}");
            tokio::spawn(async move {
                let spec = ChildSpec::new("test", "echo").args([said.clone()]);
                assert_eq!(printed(spec).await, [said]);
            })
        });
        for done in starts.collect::<Vec<_>>() {
            done.await.unwrap();
        }
    }
    over.store(true, Ordering::Relaxed);
    for thread in busy {
        thread.join().unwrap();
    }
}
