//! One `subscriptions/listen` request of 2026-07-28 (basic/patterns/subscriptions).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ferromcp_core::{Event, Gateway, Principal, TaskWatch, Watch};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Duration, sleep};

use crate::render;
use crate::session::RunningGuard;

/// How often a quiet stream looks whether its caller may still hear anything. What is changed ends it at once; only time, which
/// ends keys, tokens and certificates, has no event.
pub(crate) const LOOK: Duration = Duration::from_secs(5);

/// An open subscription. The door sends what [`Self::next`] yields until it ends; dropping it ends
/// the subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Raw JSON id of the request, which tags everything.
    pub(crate) id: Box<str>,
    pub(crate) filter: Filter,
    pub(crate) owner: Principal,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) events: broadcast::Receiver<Event>,
    /// Messages that are ready: first of all the acknowledgement.
    pub(crate) queue: VecDeque<Vec<u8>>,
    /// On connections: the place in the list of running requests, for `notifications/cancelled`.
    pub(crate) running: Option<RunningGuard>,
    /// Raw member with the server's name and version, for the last message.
    pub(crate) server_info: Arc<[u8]>,
    pub(crate) over: bool,
}

/// What the client wants to hear of.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) watches: Vec<Watch>,
    pub(crate) tasks: Vec<TaskWatch>,
}

impl Subscription {
    /// The next whole JSON-RPC message: first the acknowledgement, then notifications, and when the
    /// server ends the subscription itself (drain) the result of the request. `None` after that, or
    /// at once when the client cancelled. Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.queue.pop_front() {
                return Some(message);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                event = self.event() => match event {
                    Some(event) => self.take(event),
                    None => {
                        self.over = true;
                        return None;
                    }
                },
                () = sleep(LOOK) => if !self.gateway.still_admits(&self.owner) {
                    self.end();
                }
            }
        }
    }

    /// Ends the subscription from our side: the result of the request, unless it has ended already.
    /// For doors that stop while the gateway goes on.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.over).then(|| render::listen_result(&self.id, &self.server_info))
    }

    /// Raw JSON id of the request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The next event; `None` when the client cancelled.
    async fn event(&mut self) -> Option<Result<Event, RecvError>> {
        let Self { events, running, .. } = self;
        let mut received = std::pin::pin!(events.recv());
        poll_fn(|cx| {
            if running.as_ref().is_some_and(|r| r.stop().poll(cx).is_ready()) {
                return Poll::Ready(None);
            }
            received.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// The server ends it: the result of the request comes last.
    pub(crate) fn end(&mut self) {
        self.queue
            .push_back(render::listen_result(&self.id, &self.server_info));
        self.over = true;
    }

    fn take(&mut self, event: Result<Event, RecvError>) {
        if !self.gateway.still_admits(&self.owner) {
            self.end();
            return;
        }
        let tag = Some(&*self.id);
        let mut lists = (false, false, false);
        match event {
            Ok(Event::ToolsChanged) => lists.0 = true,
            Ok(Event::PromptsChanged) => lists.1 = true,
            Ok(Event::ResourcesChanged) => lists.2 = true,
            Ok(Event::ResourceUpdated { uri }) => {
                let watched = self.filter.watches.iter().any(|w| w.uri() == &*uri);
                if watched && self.gateway.may_read(&self.owner, &uri) {
                    self.queue.push_back(render::resource_updated(&uri, tag));
                }
            }
            Ok(Event::TaskChanged { owner, id, task }) => {
                if owner == self.owner && self.filter.tasks.iter().any(|task| task.id() == &*id) {
                    self.queue.push_back(render::task_notification(&task, &self.id));
                }
            }
            Ok(Event::AccessChanged(change)) => {
                let seen = change.of(&self.owner.tenant);
                lists = (seen.tools, seen.prompts, seen.resources);
            }
            Ok(Event::Started) => {}
            // A connection is served to its end.
            Ok(Event::Leaving) if self.running.is_some() => {}
            Ok(Event::Leaving | Event::Draining) | Err(RecvError::Closed) => {
                self.end();
                return;
            }
            // Too slow to hear everything: look at all lists and resources anew.
            Err(RecvError::Lagged(_)) => {
                lists = (true, true, true);
                let updates = self
                    .filter
                    .watches
                    .iter()
                    .filter(|w| self.gateway.may_read(&self.owner, w.uri()))
                    .map(|w| render::resource_updated(w.uri(), tag));
                self.queue.extend(updates);
            }
        }
        let lists = [
            (lists.0 && self.filter.tools, "notifications/tools/list_changed"),
            (
                lists.1 && self.filter.prompts,
                "notifications/prompts/list_changed",
            ),
            (
                lists.2 && self.filter.resources,
                "notifications/resources/list_changed",
            ),
        ];
        self.queue.extend(
            lists
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, method)| render::notification(method, tag)),
        );
    }
}
