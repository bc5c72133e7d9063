//! An HTTP server at the level of bytes, so that every way of misbehaving can be written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One accepted connection.
pub(crate) struct Conn {
    stream: TcpStream,
    buf: Vec<u8>,
}

impl Conn {
    /// The next request, head and body; `None` if the client has closed.
    pub(crate) async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buf.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(self.buf[..end].to_vec())
                    .unwrap()
                    .to_ascii_lowercase();
                let length = head
                    .lines()
                    .find_map(|l| l.strip_prefix("content-length: "))
                    .map_or(0, |l| l.parse().unwrap());
                let total = end + 4 + length;
                if self.buf.len() >= total {
                    return Some(String::from_utf8(self.buf.drain(..total).collect()).unwrap());
                }
            }
            if self.stream.read_buf(&mut self.buf).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may be gone already; what it makes of that is what is tested.
        drop(self.stream.write_all(bytes.as_ref()).await);
    }

    /// Answers with a complete body.
    pub(crate) async fn answer(&mut self, status: &str, content_type: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        self.send(body).await;
    }

    /// Begins an event stream in chunked coding.
    pub(crate) async fn begin_events(&mut self) {
        self.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
    }

    pub(crate) async fn chunk(&mut self, data: &str) {
        self.send(format!("{:x}\r\n{data}\r\n", data.len())).await;
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Waits until the client has closed.
    pub(crate) async fn closed(&mut self) {
        while self.request().await.is_some() {}
    }
}

/// A server that is busy with `handle` for every connection it gets.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) async fn serve<F, Fut>(handle: F) -> Server
where
    F: Fn(Conn) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    serve_at("127.0.0.1:0", handle).await
}

pub(crate) async fn serve_at<F, Fut>(address: &str, handle: F) -> Server
where
    F: Fn(Conn) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(handle(Conn {
                stream,
                buf: Vec::new(),
            }));
        }
    });
    Server { url, connections }
}

/// A server that gives every request the same answer.
pub(crate) async fn always(
    status: &'static str,
    content_type: &'static str,
    body: impl Into<Vec<u8>>,
) -> Server {
    let body: Arc<Vec<u8>> = Arc::new(body.into());
    serve(move |mut conn| {
        let body = Arc::clone(&body);
        async move {
            while conn.request().await.is_some() {
                conn.answer(status, content_type, &*body).await;
            }
        }
    })
    .await
}
