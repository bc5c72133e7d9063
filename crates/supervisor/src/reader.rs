//! Lines from an asynchronous byte stream, on top of the splitter that knows no I/O.

use std::io;

use bytes::Bytes;
use ferromcp_protocol::lines::{LineError, LineSplitter};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Spare room offered to each read; pipes hold 64 KiB on Linux, most messages are far smaller.
const CHUNK: usize = 16 * 1024;

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// One line was refused; reading can go on with the next.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The stream broke; it has ended.
    #[error("reading failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads lines of bounded length. Cancel-safe: dropping the future of [`next`](Self::next) loses nothing.
#[derive(Debug)]
pub struct LineReader<R> {
    inner: R,
    lines: LineSplitter,
    ended: bool,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// `max_line`: longest line in bytes.
    pub fn new(inner: R, max_line: usize) -> Self {
        Self {
            inner,
            lines: LineSplitter::new(max_line),
            ended: false,
        }
    }

    /// The next line without its end, what is wrong with it, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Some(line.map_err(ReadError::Line));
            }
            if self.ended {
                return None;
            }
            match self.inner.read_buf(self.lines.buffer(CHUNK)).await {
                Ok(0) => {
                    self.ended = true;
                    return self.lines.finish().map(|e| Err(ReadError::Line(e)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Some(Err(ReadError::Io(error)));
                }
            }
        }
    }

    /// Whether the stream has ended. Lines that were read before the end may still come from [`next`](Self::next).
    pub fn ended(&self) -> bool {
        self.ended
    }
}
