//! Sessions of two processes: one that goes and one that takes its place. While both have connections of the same clients,
//! each tells the other of the sessions that it opens, changes and ends, before a client hears of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ferromcp_protocol::{ClientCapabilities, LogLevel, Message, ProtocolVersion};
use serde::{Deserialize, Serialize};

use crate::endpoint::{Endpoint, answered, notified};
use crate::session::{LegacyClient, Session};

/// A legacy HTTP session, as another process needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    id: Box<str>,
    tenant: String,
    principal: String,
    version: String,
    capabilities: [bool; 6],
    client: Option<Box<str>>,
    log_level: Option<String>,
    watches: Vec<String>,
    /// Numbers up to this one are the other process's.
    next: u64,
}

/// Numbers of requests and questions in one process.
const NUMBERS: u64 = 1 << 32;

/// The other process.
pub trait Peer: Send + Sync {
    /// There is such a session, or it is different. The future ends when the other process knows.
    fn session(&self, handed: Handed) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// A session has ended.
    fn ended(&self, id: &str);
    /// A client's message that belongs to something that may be running there: an answer, or a cancellation.
    fn message(&self, session: &str, message: &str);
}

impl Handed {
    /// Of a session that has been initialized.
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let client = session.client()?;
        let can = &client.capabilities;
        Some(Self {
            id: session.id().into(),
            tenant: session.principal().tenant.to_string(),
            principal: session.principal().name.to_string(),
            version: client.version.as_str().to_owned(),
            capabilities: [
                can.sampling,
                can.sampling_tools,
                can.roots,
                can.elicitation_form,
                can.elicitation_url,
                can.tasks,
            ],
            client: client.name.clone(),
            log_level: session
                .has_log_level()
                .then(|| session.log_level().as_str().to_owned()),
            watches: session.watched(),
            next: session.last_number(),
        })
    }

    fn client(&self) -> Option<LegacyClient> {
        let [
            sampling,
            sampling_tools,
            roots,
            elicitation_form,
            elicitation_url,
            tasks,
        ] = self.capabilities;
        Some(LegacyClient {
            version: ProtocolVersion::parse(&self.version)?,
            capabilities: ClientCapabilities {
                sampling,
                sampling_tools,
                roots,
                elicitation_form,
                elicitation_url,
                tasks,
            },
            name: self.client.clone(),
        })
    }
}

impl Endpoint {
    /// Tells another process of sessions from now on; `None`: there is none any more.
    pub fn set_peer(&self, peer: Option<Arc<dyn Peer>>) {
        self.peer.store(peer.map(Arc::new));
    }

    pub(crate) fn peer(&self) -> Option<Arc<dyn Peer>> {
        self.peer.load().as_deref().cloned()
    }

    /// All sessions.
    pub fn handed(&self) -> Vec<Handed> {
        let mut all = Vec::new();
        self.store.each(&mut |session| all.extend(Handed::of(session)));
        all
    }

    /// Takes a session of another process, or what is different about it. One whose tenant is not here any more is not taken.
    pub fn take(&self, handed: &Handed) {
        let session = match self.store.get(&handed.id) {
            Some(session) => session,
            None => {
                let principal = self.gateway.handed(&handed.tenant, &handed.principal);
                let (Ok(principal), Some(client)) = (principal, handed.client()) else {
                    return;
                };
                let session = Arc::new(Session::taken(&handed.id, principal, handed.next + NUMBERS));
                session.initialize(client);
                if self.store.insert(Arc::clone(&session)).is_err() {
                    return;
                }
                session
            }
        };
        if let Some(level) = handed.log_level.as_deref().and_then(LogLevel::parse)
            && !(session.has_log_level() && session.log_level() == level)
        {
            session.set_log_level(level, self.gateway.want_logs(level));
        }
        for uri in session.watched() {
            if !handed.watches.contains(&uri) {
                session.unwatch(&uri);
            }
        }
        for uri in &handed.watches {
            session.watch(uri, self.settings.max_watches, || self.gateway.watch(uri));
        }
    }

    /// The other process ended a session.
    pub fn taken_out(&self, id: &str) {
        if let Some(session) = self.store.remove(id) {
            session.end();
        }
    }

    /// A client's message that came to the other process, for something that runs here.
    pub fn heard(&self, id: &str, message: &str) {
        let Some(session) = self.store.get(id) else { return };
        match Message::parse(message.as_bytes()) {
            Ok(Message::Notification(notification)) => drop(notified(&session, &notification)),
            Ok(Message::Response(response)) => drop(answered(&session, &response)),
            _ => {}
        }
    }

    /// Tells the other process of a session, if there is one; ends when it knows.
    pub(crate) async fn share(&self, session: &Session) {
        if session.id().is_empty() {
            return;
        }
        let peer = self.peer();
        if let Some((peer, handed)) = peer.zip(Handed::of(session)) {
            peer.session(handed).await;
        }
    }
}
