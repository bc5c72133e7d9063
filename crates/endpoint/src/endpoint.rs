//! [`Endpoint`]: what doors talk to.

use std::fmt;
use std::sync::Arc;

use ferromcp_core::{Credential, Gateway};
use ferromcp_protocol::{Message, RpcError, code};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::feed::Feed;
use crate::incoming::{HeaderField, Headers, Incoming};
use crate::session::Session;
use crate::settings::EndpointSettings;
use crate::store::{MemoryStore, SessionStore};

/// One MCP endpoint over a gateway. Share it in an [`Arc`]; all methods take `&self`.
pub struct Endpoint {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) settings: EndpointSettings,
    pub(crate) store: Arc<dyn SessionStore>,
}

impl Endpoint {
    /// An endpoint over a gateway.
    pub fn new(gateway: Arc<Gateway>, mut settings: EndpointSettings) -> Self {
        settings.page_size = settings.page_size.max(1);
        let store = settings.store.clone();
        let store = store.unwrap_or_else(|| Arc::new(MemoryStore::new(settings.max_sessions)));
        Self {
            gateway,
            settings,
            store,
        }
    }

    /// The gateway behind.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Takes in one message, or one batch, and carries it out: the future ends with the answer.
    ///
    /// Nothing is spawned; dropping the future cancels the request (2026-07-28 over HTTP: a client
    /// that disconnects; legacy HTTP doors keep the future running instead, for the client may come
    /// back for its answer).
    pub async fn exchange(&self, incoming: Incoming<'_>) -> Answer {
        match Message::parse(incoming.body) {
            Err(refused) => Answer::error(Some(refused.id.as_deref().unwrap_or("null")), &refused.error, 400),
            Ok(Message::Request(request)) => {
                let error = RpcError::new(
                    code::METHOD_NOT_FOUND,
                    format!("Method not found: {}", request.method),
                );
                Answer::error(Some(request.id), &error, 404)
            }
            Ok(Message::Notification(_) | Message::Response(_)) => Answer::accepted(),
        }
    }

    /// Opens a long connection (stdio, a bidirectional stream) for a caller. The door ends it with
    /// [`Self::end`]. The error is an answer with status 401.
    pub fn connect(&self, credential: Credential<'_>) -> Result<Arc<Session>, Answer> {
        let view = self
            .gateway
            .view(credential)
            .map_err(|e| Answer::error(None, &e.to_rpc(), 401))?;
        Ok(Arc::new(Session::connection(view.principal().clone())))
    }

    /// Finds the legacy HTTP session that `mcp-session-id` names, for GET and DELETE. The error is
    /// ready to be sent: 400 without the header, 404 for a session that is unknown, has ended, or
    /// belongs to somebody else, 401 for a bad credential.
    pub fn session(&self, headers: &dyn Headers, credential: Credential<'_>) -> Result<Arc<Session>, Answer> {
        let HeaderField::Single(raw) = headers.field(ferromcp_protocol::header::SESSION_ID) else {
            let error = RpcError::new(
                code::INVALID_REQUEST,
                "one Mcp-Session-Id header is needed: send `initialize` first and repeat the id it answers with",
            );
            return Err(Answer::error(None, &error, 400));
        };
        let view = self
            .gateway
            .view(credential)
            .map_err(|e| Answer::error(None, &e.to_rpc(), 401))?;
        let found = std::str::from_utf8(raw).ok().and_then(|id| self.store.get(id));
        match found {
            Some(session) if session.principal() == view.principal() && !session.is_ended() => Ok(session),
            _ => {
                let error = RpcError::new(
                    code::INVALID_REQUEST,
                    "unknown or expired session: send `initialize` again",
                );
                Err(Answer::error(None, &error, 404))
            }
        }
    }

    /// Change notifications for a legacy session or a connection: the stream that GET opens, or
    /// what a connection writes between answers.
    pub fn feed(&self, session: &Arc<Session>) -> Feed {
        Feed::new(&self.gateway, Arc::clone(session))
    }

    /// Ends a session or a connection (DELETE, end of input): running requests are cancelled, and
    /// the id is unknown from now on.
    pub fn end(&self, session: &Session) {
        if !session.id().is_empty() {
            self.store.remove(session.id());
        }
        session.end();
    }

    /// Ends the HTTP sessions that have been idle for too long; returns how many. Call it every few
    /// seconds.
    pub fn sweep(&self, now: Instant) -> usize {
        let (idle, init) = (self.settings.session_idle, self.settings.init_timeout);
        let dead = self.store.sweep(&|session| session.is_idle(now, idle, init));
        for session in &dead {
            session.end();
        }
        dead.len()
    }

    /// Number of open HTTP sessions.
    pub fn sessions(&self) -> usize {
        self.store.len()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("settings", &self.settings)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}
