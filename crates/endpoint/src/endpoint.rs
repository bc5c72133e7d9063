//! [`Endpoint`]: what doors talk to.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use ferromcp_core::{Call, CallError, Credential, Gateway, NoClient, Operation, Principal, Snapshot};
use ferromcp_protocol::message::is_batch;
use ferromcp_protocol::{
    Message, Method, Notification, ProtocolVersion, Request, RequestMeta, Response, RpcError, code, header,
};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::batch;
use crate::cx::Cx;
use crate::dress::Dress;
use crate::feed::Feed;
use crate::gate::Gates;
use crate::handed::Peer;
use crate::incoming::{HeaderField, Headers, Incoming, Link};
use crate::legacy;
use crate::method;
use crate::modern;
use crate::seal::Seal;
use crate::session::Session;
use crate::settings::EndpointSettings;
use crate::store::{MemoryStore, SessionStore};

/// One MCP endpoint over a gateway. Share it in an [`Arc`]; all methods take `&self`.
pub struct Endpoint {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) settings: EndpointSettings,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) seal: Seal,
    dress: ArcSwap<Dress>,
    /// What listeners do with their sockets.
    gates: Gates,
    /// The other process, while two have the sessions.
    pub(crate) peer: ArcSwapOption<Arc<dyn Peer>>,
}

impl Endpoint {
    /// An endpoint over a gateway.
    pub fn new(gateway: Arc<Gateway>, mut settings: EndpointSettings) -> Self {
        settings.page_size = settings.page_size.max(1);
        let store = settings.store.clone();
        let store = store.unwrap_or_else(|| Arc::new(MemoryStore::new(settings.max_sessions)));
        let seal = Seal::new(settings.sealing_key.take(), settings.input_ttl);
        let dress = ArcSwap::from_pointee(Dress::of(&gateway.snapshot()));
        Self {
            gateway,
            settings,
            store,
            seal,
            dress,
            gates: Gates::default(),
            peer: ArcSwapOption::empty(),
        }
    }

    /// What listeners do with their sockets.
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The key that seals request state, for a process that takes this one's place.
    pub fn sealing_key(&self) -> Option<[u8; 32]> {
        self.seal.key()
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
        // A connection proved who it is when it was opened.
        let shown = match incoming.link {
            Link::Connection(session) => Credential::Proven(session.principal()),
            Link::Http(_) => incoming.credential,
        };
        let principal = match self.gateway.authenticate(shown) {
            Ok(principal) => principal,
            Err(error) => return turned_away(self, &incoming, &error),
        };
        // Checked once for the whole message.
        let incoming = Incoming {
            credential: Credential::Proven(&principal),
            ..incoming
        };
        if is_batch(incoming.body) {
            return Box::pin(batch::run(self, &incoming)).await;
        }
        // Matched by reference, so that the message is not moved into its variant's own place.
        let message = Message::parse(incoming.body);
        match &message {
            Ok(Message::Request(request)) => self.request(&incoming, request).await,
            Ok(Message::Notification(notification)) => self.notification(&incoming, notification),
            Ok(Message::Response(response)) => self.response(&incoming, response),
            Err(refused) => {
                // 2026-07-28 leaves an unknown id out; JSON-RPC and the revisions before write null.
                let unknown = match incoming.link {
                    Link::Http(headers) if modern::header_claims(headers) => None,
                    _ => Some("null"),
                };
                Answer::error(refused.id.as_deref().or(unknown), &refused.error, 400)
            }
        }
    }

    async fn request(&self, incoming: &Incoming<'_>, request: &Request<'_>) -> Answer {
        let meta = match &request.meta {
            Ok(meta) => meta,
            Err(message) => {
                let error = RpcError::new(code::INVALID_PARAMS, format!("`params`: {message}"));
                return Answer::error(Some(request.id), &error, 400);
            }
        };
        let method = Method::parse(&request.method);
        if !modern::claims(&incoming.link, meta, method) {
            return legacy::request(self, incoming, request, meta, method).await;
        }
        let (snapshot, dress) = self.current(request, method);
        let checked = match modern::check(&snapshot, &incoming.link, request, meta) {
            Ok(checked) => checked,
            Err(answer) => return answer,
        };
        let cx = Cx {
            endpoint: self,
            incoming,
            id: request.id,
            params: &request.params,
            params_raw: request.params_raw,
            meta,
            version: ProtocolVersion::LATEST,
            session: match incoming.link {
                Link::Connection(session) => Some(session),
                Link::Http(_) => None,
            },
            capabilities: &checked.capabilities,
            client_name: checked.client_name.as_deref(),
            log_level: checked.log_level.filter(|_| self.settings.logging),
            snapshot: &snapshot,
            dress: &dress,
        };
        method::run(&cx, checked.method).await
    }

    fn notification(&self, incoming: &Incoming<'_>, notification: &Notification<'_>) -> Answer {
        let session = match incoming.link {
            Link::Connection(session) => Arc::clone(session),
            // 2026-07-28 has no client notifications over HTTP; what comes all the same is ignored.
            Link::Http(headers) if modern::header_claims(headers) => return modern::notification(headers),
            Link::Http(headers) => match self.session_for(headers, incoming.credential, None) {
                Ok(session) => session,
                Err(answer) => return answer,
            },
        };
        session.touch();
        if !notified(&session, notification) {
            self.pass_on(&session, incoming);
        }
        Answer::accepted()
    }

    fn response(&self, incoming: &Incoming<'_>, response: &Response<'_>) -> Answer {
        let session = match incoming.link {
            Link::Connection(session) => Arc::clone(session),
            Link::Http(headers) if modern::header_claims(headers) => {
                let error = RpcError::new(
                    code::INVALID_REQUEST,
                    "clients of 2026-07-28 send no responses: answers to `inputRequests` go into `inputResponses`",
                );
                return Answer::error(None, &error, 400);
            }
            Link::Http(headers) => match self.session_for(headers, incoming.credential, None) {
                Ok(session) => session,
                Err(answer) => return answer,
            },
        };
        session.touch();
        if !answered(&session, response) {
            self.pass_on(&session, incoming);
        }
        Answer::accepted()
    }

    /// What belongs to nothing that runs here may belong to something in the other process.
    fn pass_on(&self, session: &Session, incoming: &Incoming<'_>) {
        if let Some((peer, text)) = self.peer().zip(std::str::from_utf8(incoming.body).ok())
            && !session.id().is_empty()
        {
            peer.message(session.id(), text);
        }
    }

    /// The snapshot for this request, and the prebuilt text that goes with it.
    pub(crate) fn current(
        &self,
        request: &Request<'_>,
        method: Option<Method>,
    ) -> (Arc<Snapshot>, Arc<Dress>) {
        let is_call = method == Some(Method::ToolsCall);
        let snapshot = self
            .gateway
            .snapshot_for(|| request.params.get_str("name").filter(|_| is_call));
        let dress = self.dress.load_full();
        if dress.generation == snapshot.generation {
            return (snapshot, dress);
        }
        let dress = Arc::new(Dress::of(&snapshot));
        self.dress.store(Arc::clone(&dress));
        (snapshot, dress)
    }

    /// Opens a long connection (stdio, a bidirectional stream) for a caller. The door ends it with
    /// [`Self::end`]. The error is an answer with status 401.
    pub fn connect(&self, credential: Credential<'_>) -> Result<Arc<Session>, Answer> {
        let view = self
            .gateway
            .view(credential)
            .map_err(|e| Answer::turned_away(None, &e))?;
        Ok(Arc::new(Session::connection(view.principal().clone())))
    }

    /// Finds the legacy HTTP session that `mcp-session-id` names, for GET and DELETE. The error is
    /// ready to be sent: 400 without the header, 404 for a session that is unknown, has ended, or
    /// belongs to somebody else, 401 for a bad credential.
    pub fn session(&self, headers: &dyn Headers, credential: Credential<'_>) -> Result<Arc<Session>, Answer> {
        self.session_for(headers, credential, None)
    }

    /// As [`Self::session`]; the error names the request that it answers.
    pub(crate) fn session_for(
        &self,
        headers: &dyn Headers,
        credential: Credential<'_>,
        id: Option<&str>,
    ) -> Result<Arc<Session>, Answer> {
        let refuse = |status: u16, error: &RpcError| Answer::error(Some(id.unwrap_or("null")), error, status);
        let HeaderField::Single(raw) = headers.field(header::SESSION_ID) else {
            let error = RpcError::new(
                code::INVALID_REQUEST,
                "one Mcp-Session-Id header is needed: send `initialize` first and repeat the id it answers with",
            );
            return Err(refuse(400, &error));
        };
        let found_now;
        let principal = match credential {
            // Found for this very message.
            Credential::Proven(principal) => principal,
            shown => {
                found_now = self
                    .gateway
                    .authenticate(shown)
                    .map_err(|e| Answer::turned_away(Some(id.unwrap_or("null")), &e))?;
                &found_now
            }
        };
        let found = std::str::from_utf8(raw)
            .ok()
            .and_then(|id| self.store.get(id.trim()));
        // A session of somebody else does not exist for this caller.
        found
            .filter(|s| s.principal() == principal && !s.is_ended())
            .ok_or_else(|| {
                let error = RpcError::new(
                    code::INVALID_REQUEST,
                    "unknown or expired session: send `initialize` again",
                );
                refuse(404, &error)
            })
    }

    /// Change notifications for a legacy session or a connection: the stream that GET opens, or
    /// what a connection writes between answers.
    pub fn feed(&self, session: &Arc<Session>) -> Feed {
        self.feed_of(session, session.principal().clone())
    }

    /// As [`Self::feed`], as long as the credential that asked for it is good. It may be newer than the one that opened the
    /// session.
    ///
    /// # Errors
    /// An answer with status 401 or 403.
    pub fn feed_with(&self, session: &Arc<Session>, credential: Credential<'_>) -> Result<Feed, Answer> {
        let principal = self
            .gateway
            .authenticate(credential)
            .map_err(|e| Answer::turned_away(None, &e))?;
        Ok(self.feed_of(session, principal))
    }

    fn feed_of(&self, session: &Arc<Session>, principal: Principal) -> Feed {
        Feed::new(Arc::clone(&self.gateway), Arc::clone(session), principal)
    }

    /// Nothing more will come in over a connection, though its running requests may still be
    /// answered: questions that are open on it fail.
    pub fn input_ended(&self, session: &Session) {
        session.close_questions();
    }

    /// Ends a session or a connection (DELETE, end of input): running requests are cancelled, and
    /// the id is unknown from now on.
    pub fn end(&self, session: &Session) {
        if !session.id().is_empty() {
            self.store.remove(session.id());
            if let Some(peer) = self.peer() {
                peer.ended(session.id());
            }
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

/// The answer to a message whose sender is not let in. A call leaves its record all the same.
fn turned_away(endpoint: &Endpoint, incoming: &Incoming<'_>, error: &CallError) -> Answer {
    let parsed = Message::parse(incoming.body);
    let request = match &parsed {
        Ok(Message::Request(request)) => request,
        // There is no request that an answer on a connection could belong to.
        Ok(_) if matches!(incoming.link, Link::Connection(_)) => return Answer::accepted(),
        _ => return Answer::turned_away(None, error),
    };
    let call = match Method::parse(&request.method) {
        Some(Method::ToolsCall) => Some((Operation::CallTool, "name")),
        Some(Method::PromptsGet) => Some((Operation::GetPrompt, "name")),
        Some(Method::ResourcesRead) => Some((Operation::ReadResource, "uri")),
        _ => None,
    };
    if let Some((operation, member)) = call {
        let name = request.params.get_str(member).unwrap_or_default();
        endpoint.gateway.refused(
            &Call {
                operation,
                name: &name,
                arguments: request.params.get("arguments"),
                params: request.params_raw,
                meta: request.meta.as_ref().unwrap_or(&RequestMeta::default()),
                version: ProtocolVersion::LATEST,
                door: incoming.door,
                credential: incoming.credential,
                tenant: None,
                client: &NoClient,
                input: None,
                timeout: None,
            },
            error,
        );
    }
    Answer::turned_away(Some(request.id), error)
}

/// Acts on a notification from a client. False if it is about a request that is not running here (any more).
pub(crate) fn notified(session: &Session, notification: &Notification<'_>) -> bool {
    if Method::parse(&notification.method) != Some(Method::Cancelled) {
        return true;
    }
    let id = notification.params.get("requestId");
    id.is_none_or(|id| session.cancel(id))
}

/// Acts on a client's answer to a question of ours. False if nobody here waits for it.
pub(crate) fn answered(session: &Session, response: &Response<'_>) -> bool {
    response
        .id
        .is_none_or(|id| session.answer(id, response.outcome.clone()))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("settings", &self.settings)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}
