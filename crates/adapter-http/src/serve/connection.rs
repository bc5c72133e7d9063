//! One connection: HTTP/1.1, or HTTP/2 if the client opens with its preface.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::control::{Control, Order};
use crate::route::Service;

/// Largest request head, and largest read buffer of a connection, in bytes.
const MAX_BUFFER: usize = 64 << 10;
/// Most requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;
/// A quiet HTTP/2 connection is asked for a sign of life this often.
const PING: Duration = Duration::from_secs(30);
/// What an HTTP/2 client without TLS sends first (RFC 9113, 3.4), as far as no HTTP/1 method begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// Serves a connection to its end. Errors only say that the client went away or broke HTTP.
pub(crate) async fn run(stream: TcpStream, control: Arc<Control>, service: Service) {
    let watch = Arc::clone(&control);
    let mut work = pin!(talk(stream, control, service));
    let mut registered = false;
    poll_fn(|cx| {
        if !registered {
            registered = true;
            watch.register(cx.waker());
        }
        if watch.ordered() == Order::Close {
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
    let io = TokioIo::new(Watched {
        stream,
        control: Arc::clone(&control),
    });
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

async fn talk_http1(io: TokioIo<Watched>, control: &Control, service: Service) -> Result<(), hyper::Error> {
    // At most 100 header lines: the default, which unlike a number set here is parsed on the stack.
    let mut connection = pin!(
        http1::Builder::new()
            .max_header_size(MAX_BUFFER)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(io, service)
    );
    let mut finishing = false;
    poll_fn(|cx| {
        if !finishing && control.ordered() >= Order::Finish {
            finishing = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await
}

async fn talk_http2(io: TokioIo<Watched>, control: &Control, service: Service) -> Result<(), hyper::Error> {
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_BUFFER as u32)
            .keep_alive_interval(PING)
            .serve_connection(io, service)
    );
    let mut finishing = false;
    poll_fn(|cx| {
        if !finishing && control.ordered() >= Order::Finish {
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

async fn told_to_finish(control: &Control) {
    poll_fn(|_| {
        if control.ordered() == Order::Run {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// A socket that notes when something arrives.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    control: Arc<Control>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.control.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
