//! Change notifications of one legacy session (HTTP: the GET stream) or connection.

use std::collections::VecDeque;
use std::sync::Arc;

use ferromcp_core::{Event, Gateway, Principal};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::sleep;

use crate::listen::LOOK;
use crate::render;
use crate::session::Session;

/// Yields notifications for a legacy client: list changes, and updates of the resources that the
/// session subscribed to. Made by [`Endpoint::feed`](crate::Endpoint::feed); a session with an open
/// feed is not idle.
#[derive(Debug)]
pub struct Feed {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    /// By the credential that the feed was asked for with.
    owner: Principal,
    events: broadcast::Receiver<Event>,
    queue: VecDeque<Vec<u8>>,
    over: bool,
}

impl Feed {
    pub(crate) fn new(gateway: Arc<Gateway>, session: Arc<Session>, owner: Principal) -> Self {
        session.open_feed();
        let events = gateway.events();
        let over = gateway.is_leaving() && !session.id().is_empty();
        Self {
            session,
            owner,
            events,
            gateway,
            queue: VecDeque::new(),
            // Where its client comes back to is another process.
            over,
        }
    }

    /// The next notification, as whole JSON-RPC message; `None` when the session ended, its caller is out (as of
    /// [`Gateway::still_admits`]) or the server drains. Cancel safe. A connection is not cut for its tenant: it is told nothing until that is back.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Some(message);
            }
            if self.over {
                return None;
            }
            let mut changes = Changes::default();
            tokio::select! {
                event = self.events.recv() => changes.add(event, &self.gateway, &self.session),
                () = self.session.ended() => return None,
                () = sleep(LOOK) => {}
            }
            // What is waiting already is taken along: a burst of changes is told once.
            loop {
                match self.events.try_recv() {
                    Ok(event) => changes.add(Ok(event), &self.gateway, &self.session),
                    Err(TryRecvError::Lagged(n)) => {
                        changes.add(Err(RecvError::Lagged(n)), &self.gateway, &self.session);
                    }
                    Err(TryRecvError::Closed | TryRecvError::Empty) => break,
                }
            }
            if !self.gateway.still_admits(&self.owner) {
                self.over = changes.over || !self.session.id().is_empty();
                continue;
            }
            self.over = changes.over;
            // Before `initialize` there is no legacy client to be told anything.
            if self.session.version().is_some() {
                changes.write(&mut self.queue);
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.session.close_feed();
    }
}

/// What a burst of events comes down to.
#[derive(Debug, Default)]
struct Changes {
    tools: bool,
    prompts: bool,
    resources: bool,
    updated: Vec<Arc<str>>,
    over: bool,
}

impl Changes {
    fn add(&mut self, event: Result<Event, RecvError>, gateway: &Gateway, session: &Session) {
        let watched = |uri: &str| session.watches(uri) && gateway.may_read(session.principal(), uri);
        match event {
            Ok(Event::ToolsChanged) => self.tools = true,
            Ok(Event::PromptsChanged) => self.prompts = true,
            Ok(Event::ResourcesChanged) => self.resources = true,
            Ok(Event::ResourceUpdated { uri }) => {
                if watched(&uri) && !self.updated.contains(&uri) {
                    self.updated.push(uri);
                }
            }
            Ok(Event::TaskChanged { .. } | Event::Started) => {}
            Ok(Event::AccessChanged(change)) => {
                let lists = change.of(&session.principal().tenant);
                self.tools |= lists.tools;
                self.prompts |= lists.prompts;
                self.resources |= lists.resources;
            }
            Ok(Event::Leaving) => self.over |= !session.id().is_empty(),
            Ok(Event::Draining) | Err(RecvError::Closed) => self.over = true,
            Err(RecvError::Lagged(_)) => {
                self.tools = true;
                self.prompts = true;
                self.resources = true;
            }
        }
    }

    fn write(self, queue: &mut VecDeque<Vec<u8>>) {
        let lists = [
            (self.tools, "notifications/tools/list_changed"),
            (self.prompts, "notifications/prompts/list_changed"),
            (self.resources, "notifications/resources/list_changed"),
        ];
        queue.extend(
            lists
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, method)| render::notification(method, None)),
        );
        queue.extend(self.updated.iter().map(|uri| render::resource_updated(uri, None)));
    }
}
