//! One request that passed the checks of its era, with all that its method needs.

use std::sync::Arc;

use ferromcp_core::Snapshot;
use ferromcp_protocol::json::Object;
use ferromcp_protocol::{ClientCapabilities, LogLevel, ProtocolVersion, RequestMeta, RpcError, code};

use crate::answer::Answer;
use crate::dress::Dress;
use crate::endpoint::Endpoint;
use crate::incoming::Incoming;
use crate::session::Session;

/// A request of either era: `'b` is the message, `'a` the exchange.
pub(crate) struct Cx<'a, 'b> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) incoming: &'a Incoming<'a>,
    /// Raw JSON id.
    pub(crate) id: &'a str,
    /// Members of `params`.
    pub(crate) params: &'a Object<'b>,
    /// Raw `params`.
    pub(crate) params_raw: Option<&'b str>,
    pub(crate) meta: &'a RequestMeta<'a>,
    pub(crate) version: ProtocolVersion,
    /// The legacy session, or the connection that the request came over.
    pub(crate) session: Option<&'a Arc<Session>>,
    pub(crate) capabilities: &'a ClientCapabilities,
    /// Name of the client's program.
    pub(crate) client_name: Option<&'a str>,
    /// Least level of log messages that the client wants to see; `None` for no messages.
    pub(crate) log_level: Option<LogLevel>,
    /// What the endpoint's checks looked at. The call itself takes its own.
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) dress: &'a Dress,
}

impl<'b> Cx<'_, 'b> {
    /// True for 2026-07-28.
    pub(crate) fn modern(&self) -> bool {
        self.version.is_modern()
    }

    /// An error answer with the HTTP status that its era asks for.
    pub(crate) fn error(&self, error: &RpcError) -> Answer {
        Answer::error(Some(self.id), error, status(self.version, error.code))
    }

    /// An error about `params`.
    pub(crate) fn invalid(&self, message: impl Into<String>) -> Answer {
        self.error(&RpcError::new(code::INVALID_PARAMS, message))
    }

    /// A string member of `params` that has to be there.
    pub(crate) fn required_str(&self, name: &str) -> Result<std::borrow::Cow<'b, str>, Answer> {
        self.params.get_str(name).ok_or_else(|| {
            let found = self
                .params
                .get(name)
                .map_or("nothing", ferromcp_protocol::json::kind);
            self.invalid(format!("`params.{name}` must be a string, found {found}"))
        })
    }

    /// A result that this endpoint makes itself: `members` without braces. Modern results get
    /// `resultType` and `_meta` besides.
    pub(crate) fn result(&self, members: &[u8]) -> Answer {
        self.result_of(&[members])
    }

    /// The same from members in pieces, put together as they are.
    pub(crate) fn result_of(&self, members: &[&[u8]]) -> Answer {
        let size: usize = members.iter().map(|piece| piece.len()).sum();
        let mut out = Vec::with_capacity(size + self.id.len() + self.dress.meta_member.len() + 96);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(b",\"result\":{");
        for piece in members {
            out.extend_from_slice(piece);
        }
        if self.modern() {
            if size > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"\"resultType\":\"complete\",\"_meta\":{");
            out.extend_from_slice(&self.dress.meta_member);
            out.push(b'}');
        }
        out.extend_from_slice(b"}}");
        Answer::json(out)
    }
}

/// HTTP status of an error response (2026-07-28 basic/transports/streamable-http; legacy eras
/// answer requests with 200).
pub(crate) fn status(version: ProtocolVersion, code: i64) -> u16 {
    if !version.is_modern() {
        return 200;
    }
    match code {
        code::METHOD_NOT_FOUND => 404,
        code::HEADER_MISMATCH | code::MISSING_CLIENT_CAPABILITY | code::UNSUPPORTED_VERSION => 400,
        _ => 200,
    }
}
