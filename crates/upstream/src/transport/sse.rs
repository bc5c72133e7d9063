//! Parser of `text/event-stream` without I/O, after the WHATWG specification (HTML, section 9.2.6), with limits.

use bytes::{Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Ids longer than this are ignored: they could not be sent back in a header.
const MAX_ID: usize = 4096;

/// Room in a line beside the data itself (`data: `).
const FIELD_ROOM: usize = 16;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field; `None` means the default type, `message`.
    pub event: Option<String>,
    /// The `data` lines joined by LF; valid UTF-8. May be empty (servers send such events to hand over an id).
    pub data: Bytes,
    /// The id in force after this event, to be given as `Last-Event-ID` when resuming.
    pub id: Option<String>,
}

/// Why an event was not delivered. The parser goes on with the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// Larger than the limit; the rest of it is skipped as it arrives.
    #[error("an event of its stream is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Its data are not UTF-8.
    #[error("an event of its stream is not valid UTF-8")]
    NotUtf8,
}

/// Feed chunks, take events. Memory is bounded by twice the event limit plus one chunk, provided that
/// [`next_event`](Self::next_event) is called until it returns `None` before more is fed.
#[derive(Debug)]
pub struct SseParser {
    max_event: usize,
    buf: BytesMut,
    /// Leading bytes of `buf` known to hold no line end.
    scanned: usize,
    /// The last line ended in CR at the end of a chunk: a LF that follows belongs to it.
    after_cr: bool,
    first_line: bool,
    /// Inside a line whose rest is discarded.
    skip_line: bool,
    /// Inside an event that was already reported as too large.
    skip_event: bool,
    event: Option<String>,
    data: BytesMut,
    has_data: bool,
    pending_id: Option<String>,
    last_id: Option<String>,
    retry_ms: Option<u64>,
}

impl SseParser {
    /// `max_event`: most bytes of data in one event.
    #[must_use]
    pub fn new(max_event: usize) -> Self {
        Self {
            max_event,
            buf: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            first_line: true,
            skip_line: false,
            skip_event: false,
            event: None,
            data: BytesMut::new(),
            has_data: false,
            pending_id: None,
            last_id: None,
            retry_ms: None,
        }
    }

    /// Appends bytes from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// The id of the last complete event that had one.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The reconnection time the server asked for last, in milliseconds.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// The next complete event, or what is wrong with it, or `None` if more bytes are needed.
    pub fn next_event(&mut self) -> Option<Result<SseEvent, SseError>> {
        loop {
            if self.after_cr {
                let first = *self.buf.first()?;
                self.after_cr = false;
                if first == b'\n' {
                    let _ = self.buf.split_to(1);
                }
            }
            let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buf[self.scanned..]) else {
                return self.keep_partial();
            };
            let end = self.scanned + offset;
            self.scanned = 0;
            let mut line = self.buf.split_to(end + 1);
            self.after_cr = line[end] == b'\r';
            line.truncate(end);
            if std::mem::take(&mut self.skip_line) {
                continue;
            }
            if std::mem::take(&mut self.first_line) && line.starts_with(b"\xef\xbb\xbf") {
                let _ = line.split_to(3);
            }
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Some(event);
                }
            } else if let Err(error) = self.field(&line) {
                return Some(Err(error));
            }
        }
    }

    /// No line end in the buffer: remember how far it was searched, or give the line up if it is too long.
    fn keep_partial(&mut self) -> Option<Result<SseEvent, SseError>> {
        if self.skip_line {
            self.buf.clear();
        } else if self.buf.len() > self.max_event.saturating_add(FIELD_ROOM) {
            self.buf = BytesMut::new();
            self.skip_line = true;
            self.first_line = false;
            self.scanned = 0;
            return self.too_large().err().map(Err);
        }
        self.scanned = self.buf.len();
        None
    }

    /// Drops what there is of the current event and skips the rest; an error the first time.
    fn too_large(&mut self) -> Result<(), SseError> {
        self.data = BytesMut::new();
        if std::mem::replace(&mut self.skip_event, true) {
            return Ok(());
        }
        Err(SseError::TooLarge {
            limit: self.max_event,
        })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), SseError> {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => return self.append(value),
            b"event" if value.len() <= MAX_ID => {
                self.event = (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned());
            }
            b"id" if value.len() <= MAX_ID && !value.contains(&0) => {
                if let Ok(id) = std::str::from_utf8(value) {
                    self.pending_id = Some(id.to_owned());
                }
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let ms = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                self.retry_ms = ms.or(self.retry_ms);
            }
            // Comments have an empty name; unknown fields are to be ignored.
            _ => {}
        }
        Ok(())
    }

    fn append(&mut self, value: &[u8]) -> Result<(), SseError> {
        if self.skip_event {
            return Ok(());
        }
        let separator = usize::from(self.has_data);
        if self.data.len() + separator + value.len() > self.max_event {
            return self.too_large();
        }
        if self.has_data {
            self.data.extend_from_slice(b"\n");
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    /// At the empty line that ends an event; `None` if there is nothing to deliver.
    fn dispatch(&mut self) -> Option<Result<SseEvent, SseError>> {
        if let Some(id) = self.pending_id.take() {
            // An empty id takes the last one back.
            self.last_id = (!id.is_empty()).then_some(id);
        }
        let event = self.event.take();
        let data = self.data.split().freeze();
        let has_data = std::mem::take(&mut self.has_data);
        if std::mem::take(&mut self.skip_event) || !has_data {
            return None;
        }
        if std::str::from_utf8(&data).is_err() {
            return Some(Err(SseError::NotUtf8));
        }
        Some(Ok(SseEvent {
            event,
            data,
            id: self.last_id.clone(),
        }))
    }
}
