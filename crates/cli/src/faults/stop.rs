//! Ends the gateway when this command is told to end, so that nothing is left behind.

use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::inject;

/// Somebody wants this command to end.
static WANTED: AtomicBool = AtomicBool::new(false);
/// Process id of the gateway; 0 while there is none.
static GATEWAY: AtomicU32 = AtomicU32::new(0);

/// From now on SIGINT, SIGTERM and SIGHUP end the gateway, and then this command, which finds all its calls broken. A second
/// one changes nothing: what is left to do takes a moment.
pub(super) fn listen() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = {
        let _inside = runtime.enter();
        [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ]
        .map(signal)
        .into_iter()
        .collect::<std::io::Result<Vec<_>>>()?
    };
    std::thread::Builder::new().spawn(move || {
        runtime.block_on(async {
            let any = std::future::poll_fn(|cx| {
                let ready = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
                if ready {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            });
            any.await;
            WANTED.store(true, Ordering::SeqCst);
            let gateway = GATEWAY.swap(0, Ordering::SeqCst);
            if gateway != 0 {
                inject::signal(gateway, Signal::KILL);
            }
            // The handlers stay, so that nobody is cut off while he cleans up.
            std::future::pending::<()>().await;
        });
    })?;
    Ok(())
}

pub(super) fn is_wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}

/// An error if this command is to end.
pub(super) fn check() -> std::io::Result<()> {
    if is_wanted() {
        return Err(std::io::Error::other(
            "stopped by a signal; the gateway and its servers are ended",
        ));
    }
    Ok(())
}

/// This is the gateway from now on.
pub(super) fn remember(gateway: &Child) {
    GATEWAY.store(gateway.id(), Ordering::SeqCst);
    if is_wanted() && GATEWAY.swap(0, Ordering::SeqCst) != 0 {
        inject::signal(gateway.id(), Signal::KILL);
    }
}

/// This gateway is about to be reaped: its id can be another's then.
pub(super) fn forget(gateway: &Child) {
    // Another one may have taken its place.
    let _ = GATEWAY.compare_exchange(gateway.id(), 0, Ordering::SeqCst, Ordering::SeqCst);
}
