//! HTTP/2 as tonic's clients want it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferromcp_core::CallError;
use ferromcp_upstream::transport::http::{Http2, Incoming};
use http::header::{HeaderValue, USER_AGENT};
use tonic::body::Body;
use tower_service::Service;

/// A way to the server. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) http: Arc<Http2<Body>>,
    pub(crate) server: Arc<str>,
}

/// The request did not get an answer: the error of a call, as it is for every server.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) CallError);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl std::error::Error for Lost {}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = Lost;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Lost>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let Self { http, server } = self.clone();
        let agent = HeaderValue::from_static(concat!("ferromcp/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        Box::pin(async move {
            let answer = http.send(request).await;
            answer.map_err(|error| Lost(error.into_call_error(&server)))
        })
    }
}
