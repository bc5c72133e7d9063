//! Finding and ending what a child started and did not end: by the process group, and by a mark in the environment that
//! processes inherit also when they leave the group.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal};

/// The one variable that a child gets beside [`PASSED_ENV`](crate::PASSED_ENV) and its spec: it names the child, so that
/// whatever comes of it is recognised, even a daemon that left the process group. It says nothing else.
pub const MARK_ENV: &str = "FERROMCP_CHILD";

/// What tells the processes of one child, or of all children of this process, from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// Of a new child.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(format!(
            "{}{}",
            Self::of_all().0,
            NEXT.fetch_add(1, Ordering::Relaxed)
        ))
    }

    /// What the marks of all children of this process begin with. It ends in a dot; marks of single children do not.
    pub(crate) fn of_all() -> Self {
        static INSTANCE: OnceLock<u64> = OnceLock::new();
        let instance = INSTANCE.get_or_init(|| RandomState::new().build_hasher().finish());
        Self(format!("{instance:016x}."))
    }

    /// The mark with this text, if it can be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (instance, child) = text.split_once('.')?;
        let hex = instance.len() == 16 && instance.bytes().all(|b| b.is_ascii_hexdigit());
        let number = child.bytes().all(|b| b.is_ascii_digit());
        (hex && number).then(|| Self(text.to_owned()))
    }

    /// Whether an environment, as the kernel shows it, carries this mark.
    pub(crate) fn is_on(&self, environment: &[u8]) -> bool {
        environment.split(|byte| *byte == 0).any(|variable| {
            let value = variable
                .strip_prefix(MARK_ENV.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| {
                value == self.0.as_bytes() || self.0.ends_with('.') && value.starts_with(self.0.as_bytes())
            })
        })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sends `signal` to every living process that carries the mark or is in one of the groups. Returns how many there were.
#[cfg(target_os = "linux")]
pub(crate) fn signal(mark: &Mark, groups: &BTreeSet<i32>, signal: Signal) -> usize {
    ours(mark, groups)
        .filter(|pid| kill(*pid, mark, groups, signal))
        .count()
}

/// How many living processes carry the mark or are in one of the groups.
#[cfg(target_os = "linux")]
pub(crate) fn count(mark: &Mark, groups: &BTreeSet<i32>) -> usize {
    ours(mark, groups).count()
}

#[cfg(target_os = "linux")]
fn ours(mark: &Mark, groups: &BTreeSet<i32>) -> impl Iterator<Item = i32> {
    processes().filter(|pid| is_ours(*pid, mark, groups))
}

/// All processes of the machine, as far as they can be seen.
#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a process was started with. Nothing for kernel threads, and for those that ended and were not reaped.
#[cfg(target_os = "linux")]
fn environment(pid: i32) -> Option<Vec<u8>> {
    use std::io::Read as _;
    /// Arguments and environment together may be a quarter of the stack, 8 MiB as a rule.
    const MAX_ENVIRONMENT: u64 = 16 << 20;
    let mut environment = Vec::new();
    let file = std::fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(MAX_ENVIRONMENT).read_to_end(&mut environment).ok()?;
    Some(environment)
}

/// Elsewhere there is no way to read another process's environment; groups have to do.
#[cfg(not(target_os = "linux"))]
pub(crate) fn signal(_mark: &Mark, groups: &BTreeSet<i32>, signal: Signal) -> usize {
    let kill = |group: &&i32| {
        Pid::from_raw(**group).is_some_and(|group| rustix::process::kill_process_group(group, signal).is_ok())
    };
    groups.iter().filter(kill).count()
}

/// How many of the groups have members.
#[cfg(not(target_os = "linux"))]
pub(crate) fn count(_mark: &Mark, groups: &BTreeSet<i32>) -> usize {
    let lives = |group: &&i32| {
        Pid::from_raw(**group).is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())
    };
    groups.iter().filter(lives).count()
}

#[cfg(target_os = "linux")]
fn is_ours(pid: i32, mark: &Mark, groups: &BTreeSet<i32>) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let Some((state, group)) = state_and_group(&stat) else {
        return false;
    };
    if matches!(state, 'Z' | 'X') {
        return false;
    }
    if groups.contains(&group) {
        return true;
    }
    environment(pid).is_some_and(|environment| mark.is_on(&environment))
}

/// Whether a process is stopped (SIGSTOP, or a debugger), as far as can be told.
#[must_use]
pub fn is_stopped(pid: u32) -> bool {
    matches!(state(pid), Some('T' | 't'))
}

/// Whether a process runs: it is there, and not about to be reaped. Where that cannot be told, it does.
#[must_use]
pub fn is_running(pid: u32) -> bool {
    !cfg!(target_os = "linux") || !matches!(state(pid), None | Some('Z' | 'X'))
}

fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    state_and_group(&stat).map(|(state, _)| state)
}

/// Fields 3 and 5 of `/proc/PID/stat` (proc_pid_stat(5)); the name before them may contain anything.
pub(crate) fn state_and_group(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((state, group))
}

/// Signals through a descriptor and after a second look, so that a process that took over the number is never hit.
#[cfg(target_os = "linux")]
fn kill(pid: i32, mark: &Mark, groups: &BTreeSet<i32>, signal: Signal) -> bool {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
    let Some(id) = Pid::from_raw(pid) else {
        return false;
    };
    match pidfd_open(id, PidfdFlags::empty()) {
        Ok(fd) => is_ours(pid, mark, groups) && pidfd_send_signal(fd, signal).is_ok(),
        // Kernels before 5.3.
        Err(rustix::io::Errno::NOSYS) => rustix::process::kill_process(id, signal).is_ok(),
        Err(_) => false,
    }
}

/// Kills every process that carries one of the marks. Says for each mark whether there was any.
#[cfg(target_os = "linux")]
pub(crate) fn kill_marked<'a>(marks: impl Iterator<Item = &'a Mark>) -> Vec<bool> {
    let mut marks: Vec<(&Mark, bool)> = marks.map(|mark| (mark, false)).collect();
    for pid in processes() {
        let Some(environment) = environment(pid) else {
            continue;
        };
        for (mark, found) in &mut marks {
            if mark.is_on(&environment) {
                *found |= kill(pid, mark, &BTreeSet::new(), Signal::KILL);
            }
        }
    }
    marks.into_iter().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests;
