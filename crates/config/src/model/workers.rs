//! How many workers a server has, and what they may use.

use std::time::Duration;

/// `pool`: workers of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Kept running; 1 to 64, default 1.
    pub min: usize,
    /// Most; `min` to 256, default `min`; with `per` at least 2, default 16.
    pub max: usize,
    /// Idle time after which one beyond `min` is ended; default 5 min.
    pub idle: Duration,
    /// Whose calls may share a worker.
    pub per: Sharing,
}

/// `per`: whose calls may share a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everybody's.
    #[default]
    All,
    /// Those of one tenant.
    Tenant,
    /// Those of one principal.
    Principal,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            min: 1,
            max: 1,
            idle: Duration::from_secs(300),
            per: Sharing::All,
        }
    }
}

/// `limits` of a server with `command`: what each of its processes may use. `None`: no limit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceLimits {
    /// Writable memory in bytes, at least 1 MiB.
    pub memory: Option<u64>,
    /// Processor time, at least 1 s.
    pub cpu_time: Option<Duration>,
    /// Open files, at least 16.
    pub open_files: Option<u64>,
    /// Processes and threads of the user.
    pub processes: Option<u64>,
}

/// What a tool changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    ReadOnly,
    /// Nothing more the second time.
    Idempotent,
    /// Something.
    Effects,
}
