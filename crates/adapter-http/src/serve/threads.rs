//! One single-threaded runtime per listener: no request ever crosses a core.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::serve;
use crate::listen::Listener;
use crate::route::Doors;

/// Threads that serve, one for each listener.
#[derive(Debug)]
pub struct Threads {
    handles: Vec<JoinHandle<bool>>,
}

impl Threads {
    /// Starts a thread with a runtime of its own for each listener (see [`Listener::bind_shared`]).
    /// When `stop` is cancelled, each ends its connections within `drain`.
    ///
    /// # Errors
    /// If a thread or its runtime cannot be started; those already started are stopped.
    pub fn start(
        listeners: Vec<Listener>,
        doors: &Doors,
        stop: &CancellationToken,
        drain: Duration,
    ) -> io::Result<Self> {
        let mut started = Self {
            handles: Vec::with_capacity(listeners.len()),
        };
        for (number, listener) in listeners.into_iter().enumerate() {
            let (doors, stop_one) = (doors.clone(), stop.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let spawned = runtime.and_then(|runtime| {
                std::thread::Builder::new()
                    .name(format!("http-{number}"))
                    .spawn(move || runtime.block_on(drained(listener, doors, stop_one, drain)))
            });
            match spawned {
                Ok(handle) => started.handles.push(handle),
                Err(e) => {
                    stop.cancel();
                    started.join();
                    return Err(e);
                }
            }
        }
        Ok(started)
    }

    /// Waits for all threads. True if every connection ended within the drain limit. Blocks: call
    /// it from a thread that serves nothing.
    pub fn join(self) -> bool {
        let ended: Vec<bool> = self
            .handles
            .into_iter()
            .map(|h| h.join().unwrap_or(false))
            .collect();
        ended.into_iter().all(|drained| drained)
    }
}

async fn drained(listener: Listener, doors: Doors, stop: CancellationToken, drain: Duration) -> bool {
    let over = async {
        stop.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        served = serve(listener, doors, stop.clone()) => match served {
            Ok(()) => true,
            Err(e) => {
                tracing::error!(error = %e, "cannot serve");
                false
            }
        },
        () = over => false,
    }
}
