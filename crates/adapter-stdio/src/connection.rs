//! One connection from its first line to its end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use ferromcp_core::{Credential, Door};
use ferromcp_endpoint::{Connection, Endpoint, Gone, InputEnd};
use ferromcp_protocol::lines::{LineError, LineSplitter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::output::write_all;
use crate::{Ended, StdioSettings};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Serves one client until its input ends, `shutdown` resolves, or it stops reading.
///
/// Requests run at the same time, as many as the endpoint allows for one client; what is answered
/// at once never leaves this task. After the end of the input, running calls have
/// [`StdioSettings::drain`] to be answered. Dropping the future cancels everything.
///
/// Errors are those of reading and writing, except that a broken pipe is an [`Ended`].
pub async fn serve(
    endpoint: Arc<Endpoint>,
    reader: impl AsyncRead + Unpin + Send,
    writer: impl AsyncWrite + Unpin + Send + 'static,
    settings: StdioSettings,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<Ended> {
    let credential = match &settings.tenant {
        Some(tenant) => Credential::Tenant(tenant),
        None => Credential::Local,
    };
    let opened = Connection::open(endpoint, credential, Door::Stdio, settings.max_queued);
    let (mut connection, queue) = opened.map_err(|refused| {
        let said = refused.into_json().unwrap_or_default();
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            String::from_utf8_lossy(&said).into_owned(),
        )
    })?;
    let writer = tokio::spawn(write_all(queue, writer));
    let read = read(&mut connection, reader, settings.max_line, shutdown).await;
    let end = Instant::now() + settings.drain;
    let why = *read.as_ref().unwrap_or(&InputEnd::Gone);
    let drained = connection.finish(why, end).await;
    // A client that does not read its last answers cannot keep us.
    let abort = writer.abort_handle();
    let written = match timeout_at(end.max(Instant::now()), writer).await {
        Ok(Ok(written)) => written,
        Ok(Err(panicked)) => Err(io::Error::other(panicked)),
        Err(_late) => {
            abort.abort();
            return Ok(Ended::DrainTimedOut);
        }
    };
    debug!(drained, "connection ended");
    match (read, written) {
        (Err(error), _) => Err(error),
        (Ok(_), Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::BrokenPipe),
        (Ok(_), Err(error)) => Err(error),
        (Ok(_), Ok(())) if !drained => Ok(Ended::DrainTimedOut),
        (Ok(_), Ok(())) => Ok(Ended::Clean),
    }
}

/// Reads until nothing more comes, or matters.
async fn read(
    connection: &mut Connection,
    mut reader: impl AsyncRead + Unpin,
    max_line: usize,
    shutdown: impl Future<Output = ()>,
) -> io::Result<InputEnd> {
    let mut shutdown = pin!(shutdown);
    let mut lines = LineSplitter::new(max_line);
    loop {
        while let Some(next) = lines.next_line() {
            if line(connection, next).await.is_err() {
                return Ok(InputEnd::Gone);
            }
        }
        // Ended requests give their memory back while the client is silent.
        connection.tidy();
        let read = tokio::select! {
            read = reader.read_buf(lines.buffer(CHUNK)) => read?,
            () = &mut shutdown => return Ok(InputEnd::Shutdown),
            () = connection.gone() => return Ok(InputEnd::Gone),
        };
        if read == 0 {
            let last = match lines.finish() {
                // A last message without its line end is still a message.
                Some(LineError::Unterminated { line: last }) => line(connection, Ok(last)).await,
                Some(broken) => line(connection, Err(broken)).await,
                None => Ok(()),
            };
            return Ok(match last {
                Ok(()) => InputEnd::Finished,
                Err(Gone) => InputEnd::Gone,
            });
        }
    }
}

/// Takes in one line. Waits only if the client does not read its answers.
async fn line(connection: &mut Connection, line: Result<Bytes, LineError>) -> Result<(), Gone> {
    match line {
        Ok(line) => connection.message(line).await,
        Err(broken) => {
            warn!(error = %broken, "line refused");
            connection.unreadable(&unreadable(&broken)).await
        }
    }
}

/// What the client is told of a line that is no message.
fn unreadable(broken: &LineError) -> String {
    match broken {
        LineError::TooLong { limit, .. } => {
            format!(
                "the message is longer than {limit} bytes, which is the limit of this server; it was skipped"
            )
        }
        LineError::NotUtf8 { valid_up_to, .. } => {
            format!("the message is not valid UTF-8 (at byte {valid_up_to}); it was skipped")
        }
        LineError::Unterminated { .. } => "the input ended inside a message".into(),
    }
}
