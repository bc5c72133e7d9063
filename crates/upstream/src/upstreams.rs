//! All upstream servers of a gateway, from start to stop.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::Gateway;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::driver;
use crate::spec::UpstreamSpec;
use crate::upstream::Upstream;

/// The running upstream servers. Dropping it ends them without waiting.
#[derive(Debug)]
pub struct Upstreams {
    running: Vec<Running>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Running {
    upstream: Arc<Upstream>,
    driver: JoinHandle<()>,
}

impl Upstreams {
    /// Publishes an empty listing in state `Starting` for each server, in order, and connects to all of them in the
    /// background. Must be called on a tokio runtime with I/O and time enabled; children, sessions and event streams
    /// live there. `max_workers`: most child processes of all of them at a time; one too many is not started, and says why.
    pub fn start(gateway: &Arc<Gateway>, specs: Vec<UpstreamSpec>, max_workers: usize) -> Self {
        let stop = CancellationToken::new();
        let room = Arc::new(Semaphore::new(max_workers.min(Semaphore::MAX_PERMITS)));
        let running = specs
            .into_iter()
            .map(|spec| {
                let upstream = Upstream::publish(gateway, spec, Arc::clone(&room));
                let driver = tokio::spawn(driver::run(Arc::clone(&upstream), stop.clone()));
                Running { upstream, driver }
            })
            .collect();
        Self {
            running,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    /// Waits until every server has been ready or down once, at most `limit`.
    pub async fn settled(&self, limit: Duration) {
        let all = join_all(self.running.iter().map(|r| r.upstream.settled()));
        // What has not settled in time shows in the state of its listing.
        let _ = tokio::time::timeout(limit, all).await;
    }

    /// Ends children and sessions in good order, all at the same time. Calls in flight fail. Returns when every child is
    /// reaped; the grace periods of [`ChildLimits`](ferromcp_supervisor::ChildLimits) bound the time.
    pub async fn stop(self) {
        self.stop.cancel();
        // A driver that panicked has dropped, and so killed, its child.
        let _ = join_all(self.running.into_iter().map(|r| r.driver)).await;
    }
}
