//! Ending what children left behind when they ended.
//!
//! That takes a look at every process of the machine. One thread does it, for all children that ended since its last look
//! at once, and gives way to the threads that serve calls.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use tokio::sync::{mpsc, oneshot};

use crate::leftovers::{Mark, kill_marked};

/// Looks at a child's leftovers before they are given up, a pause apart.
const LOOKS: u32 = 500;
const PAUSE: Duration = Duration::from_millis(2);
/// From one look to the next for other children: those that end one after the other are looked for together.
const APART: Duration = Duration::from_millis(50);
/// Children that may wait; more make their drivers wait.
const QUEUE: usize = 1024;
/// A tenth of the weight of other threads where there are too few cores, else no difference (setpriority(2)).
const NICE: i32 = 10;

static SWEEPER: OnceLock<Option<mpsc::Sender<Job>>> = OnceLock::new();

#[derive(Debug)]
struct Job {
    mark: Mark,
    looks: u32,
    done: oneshot::Sender<()>,
}

/// Kills every process that carries the mark, until there is none. `false`: some cannot be ended.
pub(crate) async fn sweep(mark: Mark) -> bool {
    let Some(sweeper) = SWEEPER.get_or_init(start) else {
        return false;
    };
    let (done, ended) = oneshot::channel();
    let job = Job { mark, looks: 0, done };
    sweeper.send(job).await.is_ok() && ended.await.is_ok()
}

fn start() -> Option<mpsc::Sender<Job>> {
    let (tx, rx) = mpsc::channel(QUEUE);
    std::thread::Builder::new()
        .name("ferromcp-sweep".into())
        .spawn(move || run(rx))
        .ok()?;
    Some(tx)
}

fn run(mut rx: mpsc::Receiver<Job>) {
    // Of this thread, on Linux. Without it the work is the same.
    let _ = setpriority_process(None, NICE);
    let mut jobs: Vec<Job> = Vec::new();
    let mut last: Option<Instant> = None;
    loop {
        if jobs.is_empty() {
            match rx.blocking_recv() {
                Some(job) => jobs.push(job),
                None => return,
            }
            pause(last.map_or(Duration::ZERO, |last| APART.saturating_sub(last.elapsed())));
        } else {
            pause(PAUSE);
        }
        last = Some(Instant::now());
        while let Ok(job) = rx.try_recv() {
            jobs.push(job);
        }
        let found = kill_marked(jobs.iter().map(|job| &job.mark));
        jobs = jobs
            .into_iter()
            .zip(found)
            .filter_map(|(mut job, found)| {
                job.looks += 1;
                if !found {
                    // Whoever waited may be gone.
                    let _ = job.done.send(());
                    return None;
                }
                // Dropped, it says that some are left.
                (job.looks < LOOKS).then_some(job)
            })
            .collect();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two looks at what has no event; on a thread of its own"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::leftovers::MARK_ENV;

    /// What a daemon is: in a group of its own, with the environment of who started it.
    fn daemon(mark: &Mark) -> std::process::Child {
        use std::os::unix::process::CommandExt as _;
        Command::new("sleep")
            .arg("600")
            .env(MARK_ENV, mark.to_string())
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[tokio::test]
    async fn of_many_children_each_loses_its_own_leftovers_and_others_stay() {
        let marks: Vec<Mark> = (0..8).map(|_| Mark::next()).collect();
        let mut left: Vec<_> = marks.iter().map(daemon).collect();
        let stranger = Mark::next();
        let mut stays = daemon(&stranger);
        let swept = marks.iter().map(|mark| tokio::spawn(sweep(mark.clone())));
        for swept in swept.collect::<Vec<_>>() {
            assert!(swept.await.unwrap());
        }
        for child in &mut left {
            use std::os::unix::process::ExitStatusExt as _;
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        assert_eq!(stays.try_wait().unwrap(), None);
        assert!(sweep(stranger).await);
        stays.wait().unwrap();
        // Of a child that left nothing there is nothing to wait for.
        assert!(sweep(Mark::next()).await);
    }
}
