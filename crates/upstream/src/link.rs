//! One connection to a server: requests and notifications out, answers and everything else in. It knows JSON-RPC, not
//! what the methods mean.

pub(crate) mod http;
mod pipe;
pub(crate) mod slot;
pub(crate) mod stdio;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use ferromcp_core::CallContext;

use self::http::HttpLink;
use self::stdio::StdioLink;
use crate::fault::Fault;
use crate::wire;

/// Most calls in flight to one server.
pub(crate) const MAX_CALLS: usize = 1000;

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Outgoing<'a> {
    /// Of this connection; also the progress token.
    pub(crate) id: u64,
    pub(crate) method: &'a str,
    /// What the `Mcp-Name` header repeats, if the method has it.
    pub(crate) name: Option<&'a str>,
    /// `Mcp-Param-*` headers.
    pub(crate) params: Vec<(HeaderName, HeaderValue)>,
    /// The whole JSON-RPC message.
    pub(crate) body: Bytes,
    /// Whether the server is told when nobody waits for the answer any more.
    pub(crate) cancellable: bool,
}

/// A connection of either kind.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    Stdio(Arc<StdioLink>),
    Http(Arc<HttpLink>),
}

/// Ids of the requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Link {
    pub(crate) fn next_id(&self) -> u64 {
        match self {
            Self::Stdio(link) => link.ids.next(),
            Self::Http(link) => link.ids.next(),
        }
    }

    /// Sends a request and waits for its raw result, which is not checked to be valid JSON. What happens meanwhile goes
    /// to `caller`. Dropping the future gives the request up.
    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Bytes, Fault> {
        match self {
            Self::Stdio(link) => link.request(request, caller).await,
            Self::Http(link) => link.request(request, caller).await,
        }
    }

    /// Sends a notification.
    pub(crate) async fn notify(&self, method: &str, params: &str) -> Result<(), Fault> {
        let message = wire::notification(method, params);
        match self {
            Self::Stdio(link) => link.send(message).await,
            Self::Http(link) => link.notify(message).await,
        }
    }

    /// The process at the other end, if it is a child of ours.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Stdio(link) => link.pid(),
            Self::Http(_) => None,
        }
    }

    /// Ends the connection at once: the other side does not listen.
    pub(crate) async fn kill(&self) {
        match self {
            Self::Stdio(link) => link.kill().await,
            Self::Http(link) => link.close().await,
        }
    }

    /// Ends the connection in good order: the child is reaped, the session is given back.
    pub(crate) async fn close(&self) {
        match self {
            Self::Stdio(link) => link.close().await,
            Self::Http(link) => link.close().await,
        }
    }
}
