//! One connection: HTTP/1.1, or HTTP/2 if the client opens with its preface.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::control::{Control, Order};
use crate::route::Service;

/// Largest request head, and largest read buffer of a connection, in bytes.
const MAX_BUFFER: usize = 64 << 10;
/// Heads and bodies that are smaller together are written as one piece.
const GATHER: usize = 2 << 10;
/// Most requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// A quiet HTTP/2 connection is asked for a sign of life this often.
const PING: Duration = Duration::from_secs(30);
/// What an HTTP/2 client without TLS sends first (RFC 9113, 3.4), as far as no HTTP/1 method begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// What HTTP travels on.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// What is below.
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// Serves a connection to its end. Errors only say that the client went away or broke HTTP.
pub(super) async fn run(stream: TcpStream, control: Arc<Control>, service: Service) {
    let watch = Arc::clone(&control);
    until_closed(&watch, talk(stream, control, service)).await;
}

/// Does the work of a connection until the server closes it.
pub(super) async fn until_closed(control: &Control, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let mut registered = false;
    poll_fn(|cx| {
        if !registered {
            registered = true;
            control.register(cx.waker());
        }
        if control.ordered() == Order::Close {
            return Poll::Ready(());
        }
        work.as_mut().poll(cx)
    })
    .await;
}

async fn talk(stream: TcpStream, control: Arc<Control>, service: Service) {
    let http2 = tokio::select! {
        biased;
        http2 = opens_with_http2(&stream) => http2,
        () = told_to_finish(&control) => return,
    };
    let Ok(http2) = http2 else { return };
    talk_http(stream, http2, control, service).await;
}

pub(super) async fn talk_http<S: Socket>(stream: S, http2: bool, control: Arc<Control>, service: Service) {
    let io = Watched {
        stream,
        early: Bytes::new(),
        whole: Vec::new(),
        control: Arc::clone(&control),
    };
    let ended = if http2 {
        control.exempt();
        // Boxed: HTTP/2 state is large, and few connections need it.
        Box::pin(talk_http2(io, &control, service)).await
    } else {
        talk_http1(io, &control, service).await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Speaks HTTP/1. Each round ends with the connection, or with a rest: hyper keeps two buffers of
/// 8 KiB for every connection that it holds, so one that idles is taken from it until the client
/// speaks again.
async fn talk_http1<S: Socket>(
    mut io: Watched<S>,
    control: &Control,
    mut service: Service,
) -> Result<(), hyper::Error> {
    while let Some((idle_io, idle_service)) = requests(io, control, service).await? {
        (io, service) = (idle_io, idle_service);
        if io.early.is_empty() {
            let resting = service.rest();
            io.whole = Vec::new();
            let mut first = [0; 1];
            tokio::select! {
                biased;
                count = io.stream.tcp().peek(&mut first) => if !matches!(count, Ok(1)) { return Ok(()) },
                () = told_to_finish(control) => return Ok(()),
            }
            drop(resting);
        }
        control.awake();
    }
    Ok(())
}

/// Answers requests until the connection ends (`None`) or may rest.
async fn requests<S: Socket>(
    io: Watched<S>,
    control: &Control,
    service: Service,
) -> Result<Option<(Watched<S>, Service)>, hyper::Error> {
    // At most 100 header lines: the default, which unlike a number set here is parsed on the stack.
    let mut connection = http1::Builder::new()
        .max_header_size(MAX_BUFFER)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut finishing = false;
    let ended = poll_fn(|cx| {
        if !finishing && control.ordered() >= Order::Finish {
            finishing = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(ended.map(|()| true));
        }
        if !finishing && control.may_rest() {
            Poll::Ready(Ok(false))
        } else {
            Poll::Pending
        }
    })
    .await?;
    if ended {
        return Ok(None);
    }
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner();
    // The beginning of a request that came in one piece with the one before it. Empty, it would
    // still hold the buffer.
    if !parts.read_buf.is_empty() {
        io.early = parts.read_buf;
    }
    Ok(Some((io, parts.service)))
}

async fn talk_http2<S: Socket>(
    io: Watched<S>,
    control: &Control,
    service: Service,
) -> Result<(), hyper::Error> {
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_BUFFER as u32)
            .keep_alive_interval(PING)
            .serve_connection(TokioIo::new(io), service)
    );
    let mut finishing = false;
    poll_fn(|cx| {
        // HTTP/2 can say so without a request that gets lost (RFC 9113, 6.8).
        if !finishing && control.ordered() >= Order::Leave {
            finishing = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await
}

/// Looks at the first bytes without taking them. A connection that never speaks costs no buffers.
async fn opens_with_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let count = stream.peek(&mut first).await?;
    // An HTTP/2 client sends its preface in one piece. Less than "PRI" may be a POST or PUT.
    Ok(count >= 3 && HTTP2_PREFACE.starts_with(&first[..count]))
}

pub(super) async fn told_to_finish(control: &Control) {
    poll_fn(|_| {
        if control.ordered() < Order::Finish {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// A socket that notes when something arrives and when everything is out.
#[derive(Debug)]
struct Watched<S> {
    stream: S,
    /// Bytes that were read from it before, and come first.
    early: Bytes,
    /// Head and body of an answer together.
    whole: Vec<u8>,
    control: Arc<Control>,
}

impl<S: Socket> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(count));
            if self.early.is_empty() {
                self.early = Bytes::new();
            }
            self.control.received();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.control.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.control.written();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked for once nothing is left to be written. TLS may still hold a part that did not fit into the socket.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.control.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.control.written();
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if length > GATHER {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        // One send of a copied piece costs the kernel less than a gather of two.
        let this = &mut *self;
        this.whole.clear();
        bufs.iter().for_each(|buf| this.whole.extend_from_slice(buf));
        Pin::new(&mut this.stream).poll_write(cx, &this.whole)
    }
}
