//! Which log messages callers want of sources that have to be told (`logging/setLevel` of revisions up to 2025-11-25).

use std::sync::{Arc, Mutex};

use ferromcp_protocol::LogLevel;
use tokio::sync::watch;

use super::Gateway;
use super::board::lock;

/// Counts wishes by level, and shows the most verbose of them.
#[derive(Debug)]
pub(super) struct Logs {
    wishes: Mutex<[usize; LogLevel::ALL.len()]>,
    pub(super) level: watch::Sender<Option<LogLevel>>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            wishes: Mutex::default(),
            level: watch::Sender::new(None),
        }
    }
}

impl Logs {
    fn change(&self, level: LogLevel, change: impl FnOnce(usize) -> usize) {
        let mut wishes = lock(&self.wishes);
        if let Some(place) = LogLevel::ALL.iter().position(|known| *known == level) {
            wishes[place] = change(wishes[place]);
        }
        // Levels are in order, the most verbose first. Under the lock, so that the last change is the one that shows.
        let most = LogLevel::ALL
            .into_iter()
            .zip(*wishes)
            .find(|(_, count)| *count > 0);
        let most = most.map(|(level, _)| level);
        self.level
            .send_if_modified(|shown| std::mem::replace(shown, most) != most);
    }
}

/// Keeps a level wanted.
#[derive(Debug)]
pub struct LogWish {
    gateway: Arc<Gateway>,
    level: LogLevel,
}

impl Drop for LogWish {
    fn drop(&mut self) {
        self.gateway
            .logs
            .change(self.level, |count| count.saturating_sub(1));
    }
}

impl Gateway {
    /// Wants messages of this level and above from all sources until the guard is dropped. What a caller gets is decided
    /// call by call all the same.
    pub fn want_logs(self: &Arc<Self>, level: LogLevel) -> LogWish {
        self.logs.change(level, |count| count + 1);
        LogWish {
            gateway: Arc::clone(self),
            level,
        }
    }

    /// The most verbose level that anybody wants, from now on. `None`: nobody said so.
    pub fn wanted_logs(&self) -> watch::Receiver<Option<LogLevel>> {
        self.logs.level.subscribe()
    }
}
