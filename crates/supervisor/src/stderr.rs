//! A child's stderr becomes log lines, with a limit on their length and their rate, and a short memory of the last
//! ones for error messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferromcp_protocol::lines::LineError;
use tokio::io::AsyncRead;
use tokio::time::Instant;

use crate::reader::{LineReader, ReadError};

#[cfg(test)]
mod tests;

/// Longest line logged, in bytes.
pub(crate) const MAX_LINE: usize = 8 * 1024;
/// Lines logged per window; more are counted, not logged.
const LINES_PER_WINDOW: u32 = 50;
pub(crate) const WINDOW: Duration = Duration::from_secs(1);
/// Lines remembered, and how many bytes of each.
const TAIL_LINES: usize = 20;
const TAIL_LINE_BYTES: usize = 512;

/// The last lines a child wrote.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        let end = (0..=line.len().min(TAIL_LINE_BYTES))
            .rev()
            .find(|i| line.is_char_boundary(*i))
            .unwrap_or(0);
        lines.push_back(line[..end].to_owned());
    }

    /// Oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

/// Where lines go; the log in production.
pub(crate) trait Sink {
    fn line(&mut self, line: &str);
    fn suppressed(&mut self, lines: u64);
}

/// Writes to `tracing` under the target `ferromcp::server`, with the server's name.
#[derive(Debug)]
pub(crate) struct Log(pub(crate) Arc<str>);

impl Sink for Log {
    fn line(&mut self, line: &str) {
        tracing::info!(target: "ferromcp::server", server = %self.0, "{line}");
    }

    fn suppressed(&mut self, lines: u64) {
        tracing::warn!(target: "ferromcp::server", server = %self.0, "suppressed {lines} lines of stderr");
    }
}

/// Reads until the end of the stream, logging at most [`LINES_PER_WINDOW`] lines in each period `per`. Reading never stops, however much comes, so a child cannot block on its stderr.
pub(crate) async fn capture<R: AsyncRead + Unpin, S: Sink>(
    stderr: R,
    tail: Tail,
    mut sink: S,
    per: Duration,
) {
    let mut reader = LineReader::new(stderr, MAX_LINE);
    let mut window = Instant::now();
    let mut logged = 0u32;
    let mut suppressed = 0u64;
    loop {
        let item = if suppressed > 0 {
            match tokio::time::timeout_at(window + per, reader.next()).await {
                Ok(item) => item,
                Err(_) => {
                    sink.suppressed(std::mem::take(&mut suppressed));
                    continue;
                }
            }
        } else {
            reader.next().await
        };
        let line = match item {
            Some(Ok(line)) => clean(&line),
            Some(Err(ReadError::Line(LineError::TooLong { head, .. }))) => clean(&head) + "... (line cut)",
            Some(Err(ReadError::Line(
                LineError::NotUtf8 { line, .. } | LineError::Unterminated { line },
            ))) => clean(&line),
            Some(Err(ReadError::Io(_))) | None => break,
        };
        tail.push(&line);
        let now = Instant::now();
        if now >= window + per {
            if suppressed > 0 {
                sink.suppressed(std::mem::take(&mut suppressed));
            }
            window = now;
            logged = 0;
        }
        if logged < LINES_PER_WINDOW {
            logged += 1;
            sink.line(&line);
        } else {
            suppressed += 1;
        }
    }
    if suppressed > 0 {
        sink.suppressed(suppressed);
    }
}

/// Text that is safe in a log and on a terminal: colour sequences are dropped, other control characters replaced.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                // A control sequence ends at its first character from `@` to `~`.
                for c in chars.by_ref() {
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
            }
            '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
