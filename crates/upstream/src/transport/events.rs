//! HTTP+SSE, the transport of revision 2024-11-05: one event stream for all that the server says, whose first event
//! names the address that messages are posted to (2024-11-05 basic/transports, "HTTP with SSE").

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::TransportError;
use super::http::{Body, HttpReply, HttpSpec, HttpTransport, SseStream};
use super::sse::SseError;

/// Most characters of a refusal that are shown.
const MAX_TEXT: usize = 200;

/// The sending half.
#[derive(Debug)]
pub struct EventTransport {
    /// At the address for messages.
    http: HttpTransport,
    time: Duration,
    closed: CancellationToken,
}

/// The receiving half.
#[derive(Debug)]
pub struct EventIncoming {
    stream: SseStream,
    closed: CancellationToken,
}

/// What comes from the server.
#[derive(Debug)]
pub enum Heard {
    /// The data of one event; normally a JSON-RPC message.
    Message(Bytes),
    /// An event larger than this many bytes was refused; the stream goes on.
    TooLarge(usize),
    /// An event that is not UTF-8 was refused; the stream goes on.
    NotUtf8,
    /// The last item, and why.
    End(String),
}

impl EventTransport {
    /// Opens the stream. `time`: for that and the first event together; later for each message.
    ///
    /// # Errors
    /// [`TransportError`]; [`TransportError::NoStream`] if there is no such transport at the address.
    pub async fn connect(spec: &HttpSpec, time: Duration) -> Result<(Self, EventIncoming), TransportError> {
        let http = HttpTransport::new(spec)?;
        let no_stream = |what: String| TransportError::NoStream {
            name: spec.name.as_str().into(),
            what,
        };
        let opening = async {
            let reply = http.get_stream(None, &[], time).await?;
            let Body::Sse(mut stream) = reply.body else {
                return Err(no_stream(format!("it answered HTTP {}", reply.status.as_u16())));
            };
            loop {
                match stream.next().await {
                    Some(Ok(event)) if event.event.as_deref() == Some("endpoint") => {
                        let text = String::from_utf8_lossy(&event.data).into_owned();
                        return Ok((http.beside(text.trim())?, stream));
                    }
                    Some(Ok(event)) if event.data.is_empty() => {}
                    Some(Ok(_)) => return Err(no_stream("its first event is not `endpoint`".to_owned())),
                    Some(Err(error)) => return Err(error),
                    None => {
                        return Err(no_stream(
                            "it ended the stream without an `endpoint` event".to_owned(),
                        ));
                    }
                }
            }
        };
        let (http, stream) = timeout(time, opening).await.unwrap_or_else(|_| {
            Err(no_stream(format!(
                "no `endpoint` event within {:.1} s",
                time.as_secs_f64()
            )))
        })?;
        let closed = CancellationToken::new();
        let incoming = EventIncoming {
            stream,
            closed: closed.clone(),
        };
        Ok((Self { http, time, closed }, incoming))
    }

    /// Posts one message; the answer comes as an event.
    ///
    /// # Errors
    /// [`TransportError`]; any status but success is one.
    pub async fn send(&self, message: Bytes) -> Result<(), TransportError> {
        let HttpReply { status, body, .. } = self.http.post(message, &[], self.time).await?;
        if status.is_success() {
            return Ok(());
        }
        if status == http::StatusCode::NOT_FOUND || status == http::StatusCode::GONE {
            // It no longer knows the session, so nothing will come on the stream either.
            self.closed.cancel();
        }
        let content = match body {
            Body::Json(content) | Body::Other { content, .. } => content,
            Body::Empty | Body::Sse(_) => Bytes::new(),
        };
        let text = String::from_utf8_lossy(&content[..content.len().min(MAX_TEXT)]);
        Err(self
            .http
            .refused(status, text.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// Ends the stream, which ends the session.
    pub fn close(&self) {
        self.closed.cancel();
    }
}

impl Drop for EventTransport {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl EventIncoming {
    /// The next item. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        loop {
            let item = tokio::select! {
                biased;
                item = self.stream.next() => item,
                () = self.closed.cancelled() => return Heard::End("its session has ended".to_owned()),
            };
            return match item {
                Some(Ok(event)) if event.data.is_empty() => continue,
                Some(Ok(event)) => Heard::Message(event.data),
                Some(Err(TransportError::Event { source, .. })) => match source {
                    SseError::TooLarge { limit } => Heard::TooLarge(limit),
                    SseError::NotUtf8 => Heard::NotUtf8,
                },
                Some(Err(error)) => Heard::End(error.to_string()),
                None => Heard::End("it closed its event stream, on which all answers come".to_owned()),
            };
        }
    }
}
