//! Newline framing without I/O: feed bytes as they arrive, take lines as they complete.
//!
//! The stdio transport of MCP is one JSON message per line, so both ends need the same three guarantees: a line is
//! never larger than a limit (and an over-long one is skipped without being stored), every line is valid UTF-8, and
//! scanning stays linear however the bytes were chunked.

use bytes::{Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Default limit for one line: 16 MiB, without its line end.
pub const DEFAULT_MAX_LINE: usize = 16 * 1024 * 1024;

/// How much of an over-long line [`LineError::TooLong`] keeps for a message to the user.
pub const TOO_LONG_HEAD: usize = 1024;

/// Buffers whose capacity grew beyond this are given back once they are empty, so that one giant line does not pin its
/// memory for the rest of a connection.
const KEEP_CAPACITY: usize = 256 * 1024;

/// Why a line was not delivered. The splitter stays usable: the next call goes on with the following line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The line is longer than the limit. Reported as soon as that is known; the rest of the line is then discarded as
    /// it arrives, so memory stays bounded even if no newline ever comes.
    #[error("line longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
        /// At most [`TOO_LONG_HEAD`] first bytes of the line, for diagnostics.
        head: Bytes,
    },
    /// The line is not UTF-8.
    #[error("line of {} bytes is not valid UTF-8 after byte {valid_up_to}", line.len())]
    NotUtf8 {
        /// The whole line without its line end.
        line: Bytes,
        /// Number of leading bytes that are valid.
        valid_up_to: usize,
    },
    /// The stream ended inside a line (only from [`LineSplitter::finish`]). The text is valid UTF-8 within the limit; a
    /// reader that accepts a missing last newline may use it as a line.
    #[error("stream ended inside a line, {} bytes after its start", line.len())]
    Unterminated {
        /// What arrived of the line.
        line: Bytes,
    },
}

/// Splits a byte stream into lines ending in LF or CRLF. Lines that are empty are skipped.
///
/// Memory is bounded by the line limit plus what is fed at once, provided that [`next_line`](Self::next_line) is called
/// until it returns `None` before more is fed.
#[derive(Debug)]
pub struct LineSplitter {
    buf: BytesMut,
    /// Leading bytes of `buf` known to hold no newline.
    scanned: usize,
    max_line: usize,
    /// Inside an over-long line that was already reported.
    skipping: bool,
}

impl LineSplitter {
    /// `max_line`: longest line in bytes, without its line end; 0 is taken as 1.
    #[must_use]
    pub fn new(max_line: usize) -> Self {
        Self {
            buf: BytesMut::new(),
            scanned: 0,
            max_line: max_line.max(1),
            skipping: false,
        }
    }

    /// The limit in bytes given to [`new`](Self::new).
    #[must_use]
    pub fn max_line(&self) -> usize {
        self.max_line
    }

    /// Number of bytes held for lines that are not complete or not yet taken.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buf.len()
    }

    /// Appends bytes from the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// The receive buffer with at least `room` bytes of spare capacity, for reading into without a copy. Only append
    /// to it.
    pub fn buffer(&mut self, room: usize) -> &mut BytesMut {
        self.buf.reserve(room);
        &mut self.buf
    }

    /// The next complete line, or what is wrong with it, or `None` if more bytes are needed.
    pub fn next_line(&mut self) -> Option<Result<Bytes, LineError>> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buf[self.scanned..]) else {
                return self.keep_partial();
            };
            let end = self.scanned + offset;
            self.scanned = 0;
            let mut line = self.buf.split_to(end + 1);
            self.give_back();
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(end - 1);
            }
            if !line.is_empty() {
                return Some(self.check(line));
            }
        }
    }

    /// Tells that the stream has ended; call it after [`next_line`](Self::next_line) returned `None`. Returns the
    /// unfinished last line as [`LineError::Unterminated`] (or what else is wrong with it), or `None` if the stream
    /// ended at a line end.
    pub fn finish(&mut self) -> Option<LineError> {
        self.scanned = 0;
        let mut line = std::mem::take(&mut self.buf);
        if std::mem::take(&mut self.skipping) {
            return None;
        }
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if line.is_empty() {
            return None;
        }
        Some(match self.check(line) {
            Ok(line) => LineError::Unterminated { line },
            Err(error) => error,
        })
    }

    /// No newline in the buffer: remember how far it was searched, or start skipping if the line is over the limit.
    fn keep_partial(&mut self) -> Option<Result<Bytes, LineError>> {
        if self.skipping {
            self.buf.clear();
            self.scanned = 0;
            self.give_back();
            return None;
        }
        // One byte more than the limit may be the CR of a CRLF.
        let over = self.buf.len() > self.max_line
            && !(self.buf.len() == self.max_line + 1 && self.buf.last() == Some(&b'\r'));
        if !over {
            self.scanned = self.buf.len();
            return None;
        }
        self.skipping = true;
        self.scanned = 0;
        let line = std::mem::take(&mut self.buf);
        Some(Err(self.too_long(&line)))
    }

    fn check(&self, line: BytesMut) -> Result<Bytes, LineError> {
        if line.len() > self.max_line {
            return Err(self.too_long(&line));
        }
        match std::str::from_utf8(&line) {
            Ok(_) => Ok(line.freeze()),
            Err(error) => Err(LineError::NotUtf8 {
                valid_up_to: error.valid_up_to(),
                line: line.freeze(),
            }),
        }
    }

    fn too_long(&self, line: &[u8]) -> LineError {
        let head = Bytes::copy_from_slice(&line[..line.len().min(TOO_LONG_HEAD)]);
        LineError::TooLong {
            limit: self.max_line,
            head,
        }
    }

    fn give_back(&mut self) {
        if self.buf.is_empty() && self.buf.capacity() > KEEP_CAPACITY {
            self.buf = BytesMut::new();
        }
    }
}
