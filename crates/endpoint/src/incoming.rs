//! What a door hands in with a message, and the way back that it offers.

use std::sync::Arc;

use ferromcp_core::{Credential, Door};
use ferromcp_protocol::{Method, ProtocolVersion};

use crate::session::Session;

/// One header of an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField<'a> {
    /// Not there.
    Absent,
    /// There once; the raw value.
    Single(&'a [u8]),
    /// There more than once, which none of the headers of MCP may be.
    Repeated,
}

/// A view of the headers of an HTTP request.
pub trait Headers: Send + Sync {
    /// Looks a header up by its lower-case name.
    fn field(&self, name: &str) -> HeaderField<'_>;
}

/// No headers at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn field(&self, _name: &str) -> HeaderField<'_> {
        HeaderField::Absent
    }
}

/// How a message is tied to what came before it.
#[derive(Clone, Copy)]
pub enum Link<'a> {
    /// Streamable HTTP: only by headers (`mcp-session-id` in the legacy era).
    Http(&'a dyn Headers),
    /// One long connection (stdio, a bidirectional stream) made with
    /// [`Endpoint::connect`](crate::Endpoint::connect). Both eras may use it, message by message.
    Connection(&'a Arc<Session>),
}

/// What the door is told of a request before it runs.
#[derive(Clone, Copy)]
pub struct Opened<'a> {
    /// Raw JSON id.
    pub id: &'a str,
    /// The method.
    pub method: Method,
    /// The revision that the request speaks; `version.is_modern()` tells the era.
    pub version: ProtocolVersion,
    /// The legacy session (over HTTP), or the connection.
    pub session: Option<&'a Arc<Session>>,
}

/// The way back to the caller while a request runs. Called on the call path: nothing here may
/// block. Bounds are the door's.
pub trait Outlet: Send + Sync {
    /// A request passed all checks of its era and starts now. Called once for each request that may
    /// wait (calls to sources), before anything is sent; a door that streams by need learns here
    /// what it deals with. Never called for what is answered at once.
    fn opened(&self, request: &Opened<'_>) {
        let _ = request;
    }

    /// True if [`Self::send`] can reach the caller (over HTTP: the client accepts an event stream).
    /// Must not change during a request.
    fn can_send(&self) -> bool;

    /// Queues one whole JSON-RPC message: a notification about the running request, or (legacy) a
    /// request to the client. False if it cannot be delivered; the message is then lost.
    fn send(&self, message: Vec<u8>) -> bool;

    /// The source lets the door close the caller's stream early where the revision knows polling
    /// ([`ProtocolVersion::has_sse_polling`]); the caller comes back for the rest.
    fn release_stream(&self) {}
}

/// An outlet that reaches nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutlet;

impl Outlet for NoOutlet {
    fn can_send(&self) -> bool {
        false
    }

    fn send(&self, _message: Vec<u8>) -> bool {
        false
    }
}

/// One message, or one batch of revision 2025-03-26, as it arrived. All borrowed: a door that wants
/// a `'static` future wraps [`Endpoint::exchange`](crate::Endpoint::exchange) in an `async move`
/// block that owns the parts.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The raw bytes of the message.
    pub body: &'a [u8],
    /// Where it came in.
    pub door: Door,
    /// What the caller showed to prove who it is.
    pub credential: Credential<'a>,
    /// What ties it to earlier messages.
    pub link: Link<'a>,
    /// The way back while it runs.
    pub outlet: &'a dyn Outlet,
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("bytes", &self.body.len())
            .field("door", &self.door)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Http(_) => "Http",
            Self::Connection(_) => "Connection",
        })
    }
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
