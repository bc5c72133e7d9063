//! Server-sent events as text (WHATWG HTML, "Server-sent events").

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use memchr::memchr2;

/// Sent into a quiet stream. A comment: readers skip it.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One event with a JSON-RPC message, and with an id if it can be asked for again.
pub(super) fn message(id: Option<EventId>, json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 64);
    if let Some(id) = id {
        id.write(&mut out);
    }
    out.extend_from_slice(b"event: message\ndata: ");
    append_line(&mut out, json);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// The first event of a stream that can be polled: an id to come back with, how long to wait before
/// that, and no data (2025-11-25 basic/transports, "Sending Messages to the Server", 6).
pub(super) fn prime(id: EventId, retry: Duration) -> Bytes {
    let mut out = Vec::with_capacity(64);
    id.write(&mut out);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "retry: {}\ndata:\n\n", retry.as_millis());
    out.into()
}

/// Appends JSON as one line. Line breaks can only stand between tokens, where a space does as well.
fn append_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    let mut rest = &mut out[start..];
    while let Some(at) = memchr2(b'\n', b'\r', rest) {
        rest[at] = b' ';
        rest = &mut rest[at + 1..];
    }
}

/// Names one event of a session: the stream it belongs to, and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) stream: u64,
    pub(super) event: u64,
}

impl EventId {
    fn write(self, out: &mut Vec<u8>) {
        let _ = writeln!(out, "id: {}-{}", self.stream, self.event);
    }

    /// Reads what a client sends as `Last-Event-ID`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stream, event) = text.trim().split_once('-')?;
        Some(Self {
            stream: stream.parse().ok()?,
            event: event.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
