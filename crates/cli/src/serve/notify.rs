//! Tells systemd how the service is (`sd_notify(3)`), where it asks for that (`Type=notify`).

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// This process serves. It may have taken the place of another one, so it says which it is (`NotifyAccess=all`).
pub(super) fn serving() {
    tell(&format!("READY=1\nMAINPID={}", std::process::id()));
}

/// It is about to end.
pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Some(path) = std::env::var("NOTIFY_SOCKET")
        .ok()
        .filter(|path| !path.is_empty())
    else {
        return;
    };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(e) = sent {
        tracing::warn!(error = %e, "NOTIFY_SOCKET: the service manager cannot be told");
    }
}
