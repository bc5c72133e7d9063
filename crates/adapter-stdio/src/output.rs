//! The one task that writes what is queued, a line a message.

use std::io;

use ferromcp_endpoint::Queue;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Messages are gathered up to this size before they are written.
const GATHER: usize = 64 * 1024;

/// Writes what is queued until the connection has ended. An error ends it, and the connection with it.
pub(crate) async fn write_all(mut queue: Queue, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    while let Some(first) = queue.next().await {
        push_line(&mut buffer, first.message());
        let mut held = vec![first];
        while buffer.len() < GATHER
            && let Some(next) = queue.try_next()
        {
            push_line(&mut buffer, next.message());
            held.push(next);
        }
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        // Room is given back only for what has left.
        drop(held);
        buffer.clear();
        buffer.shrink_to(GATHER * 2);
    }
    writer.shutdown().await
}

/// Appends a message and the line end. Raw parts of a message may come from a pretty printer: line
/// ends between tokens become spaces (within JSON strings they are always escaped).
fn push_line(buffer: &mut Vec<u8>, message: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(message);
    let mut at = start;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &buffer[at..]) {
        at += found;
        buffer[at] = b' ';
    }
    buffer.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::push_line;

    #[test]
    fn a_message_is_one_line() {
        let mut out = b"first\n".to_vec();
        push_line(&mut out, b"{\r\n  \"a\": \"x\\n\"\n}");
        assert_eq!(out, b"first\n{    \"a\": \"x\\n\" }\n");
    }
}
