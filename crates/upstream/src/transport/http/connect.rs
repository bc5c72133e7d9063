//! A connector with one time limit for the whole of connecting: name lookup, TCP and TLS.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Without it, a peer that accepts and then says nothing would hold a TLS handshake until the time of the whole request
/// is over, and it would look as if the request had been sent.
#[derive(Debug, Clone)]
pub(crate) struct TimedConnector {
    inner: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl TimedConnector {
    pub(super) fn new(inner: HttpsConnector<HttpConnector>, limit: Duration) -> Self {
        Self { inner, limit }
    }
}

impl Service<Uri> for TimedConnector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let limit = self.limit;
        Box::pin(async move {
            tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
                let text = format!("no connection within {:.1} s", limit.as_secs_f64());
                Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
            })
        })
    }
}
