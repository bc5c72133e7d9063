//! A connection to a child process, or to a server of 2024-11-05 over HTTP: everything shares one pipe each way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{CallContext, Principal};
use ferromcp_protocol::json;
use ferromcp_protocol::lines::LineError;
use ferromcp_protocol::message::{MAX_BATCH, is_batch};
use ferromcp_protocol::{Message, Response};
use ferromcp_supervisor::ChildSpec;
use tokio::sync::{mpsc, watch};

use super::pipe::{self, Pipe, PipeIncoming};
use super::slot::{Item, Owner, Pending, Slot};
use super::{Ids, MAX_CALLS, Outgoing};
use crate::ask;
use crate::converse::{self, Open};
use crate::fault::Fault;
use crate::heard::{self, Ear, Happening, Heard};
use crate::loose;
use crate::transport::TransportError;
use crate::transport::events::EventTransport;
use crate::transport::http::HttpSpec;
use crate::transport::stdio::StdioTransport;
use crate::wire;

/// Cancellations and answers to the server that may wait for it to read. A server that does not read loses them.
const MAX_CONTROL: usize = 256;

/// A running child and what it has been asked.
#[derive(Debug)]
pub(crate) struct StdioLink {
    pub(crate) ids: Ids,
    transport: Arc<Pipe>,
    shared: Arc<Shared>,
    ended: watch::Receiver<Option<Arc<str>>>,
}

/// What the reading task shares with the requests.
#[derive(Debug)]
struct Shared {
    ear: Arc<Ear>,
    pending: Pending,
    /// For those who must not wait: the reader and `Drop`.
    control: mpsc::Sender<Bytes>,
    /// It was initialized, so it may ask.
    legacy: AtomicBool,
}

impl StdioLink {
    /// Starts the child; nothing is sent yet.
    pub(crate) async fn connect(spec: ChildSpec, ear: Arc<Ear>) -> Result<Arc<Self>, TransportError> {
        let (child, incoming) = StdioTransport::connect(spec).await?;
        Ok(Self::over(
            Pipe::Child(Box::new(child)),
            PipeIncoming::Child(Box::new(incoming)),
            ear,
        ))
    }

    /// Opens the event stream of a server of 2024-11-05, within `time`.
    pub(crate) async fn connect_events(
        spec: &HttpSpec,
        ear: Arc<Ear>,
        time: Duration,
    ) -> Result<Arc<Self>, TransportError> {
        let (events, incoming) = EventTransport::connect(spec, time).await?;
        Ok(Self::over(
            Pipe::Events(Box::new(events)),
            PipeIncoming::Events(Box::new(incoming)),
            ear,
        ))
    }

    fn over(pipe: Pipe, incoming: PipeIncoming, ear: Arc<Ear>) -> Arc<Self> {
        let transport = Arc::new(pipe);
        let (control, controls) = mpsc::channel(MAX_CONTROL);
        let (tell_end, ended) = watch::channel(None);
        let shared = Arc::new(Shared {
            ear,
            pending: Pending::new(MAX_CALLS),
            control,
            legacy: AtomicBool::new(false),
        });
        tokio::spawn(send_controls(Arc::clone(&transport), controls));
        tokio::spawn(Arc::clone(&shared).listen(incoming, tell_end));
        Arc::new(Self {
            ids: Ids::default(),
            transport,
            shared,
            ended,
        })
    }

    /// See [`Link::request`](super::Link::request). One push on the queue, one wait for the slot.
    pub(crate) async fn request(
        &self,
        request: Outgoing<'_>,
        caller: Option<&CallContext<'_>>,
    ) -> Result<Bytes, Fault> {
        let conversation = caller.and_then(|cx| cx.call.client.conversation());
        let slot = Arc::new(Slot::new(caller.is_some(), conversation));
        self.shared.pending.insert(request.id, Arc::clone(&slot))?;
        let mut waiting = Waiting {
            shared: &self.shared,
            slot: &slot,
            id: request.id,
            tell: false,
            answered: false,
        };
        self.send(request.body).await?;
        waiting.tell = request.cancellable;
        loop {
            match slot.next().await {
                Item::Happening(happening) => {
                    if let Some(cx) = caller {
                        happening.tell(cx);
                    }
                }
                Item::End(end) => {
                    waiting.answered = true;
                    return end;
                }
                Item::Withdrawn(_) => {}
                Item::Question(question) => {
                    let open = OpenSlot {
                        shared: Arc::clone(&self.shared),
                        slot: Arc::clone(&slot),
                        id: request.id,
                        detached: false,
                        ended: false,
                    };
                    let Some(cx) = caller else {
                        open.send(ask::unattributed(&question).into());
                        continue;
                    };
                    let end = Box::pin(converse::go_on(Open::Stdio(open), Some(question), cx)).await;
                    waiting.answered = true;
                    return end;
                }
            }
        }
    }

    /// The handshake of the legacy era begins: from now on the server may make requests.
    pub(crate) fn initializing(&self) {
        self.shared.legacy.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn send(&self, message: Bytes) -> Result<(), Fault> {
        self.transport.send(message).await
    }

    /// Waits for the end of the connection; the text says why.
    pub(crate) async fn ended(&self) -> Arc<str> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(Some(why)) => why,
            _ => "its connection was dropped".into(),
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.transport.pid()
    }

    /// Kills and reaps the child.
    pub(crate) async fn kill(&self) {
        let why = format!("server `{}` did not respond and was ended", self.shared.ear.name);
        self.shared.pending.end(&why.into());
        self.transport.kill().await;
    }

    /// Ends and reaps the child.
    pub(crate) async fn close(&self) {
        self.shared
            .pending
            .end(&format!("server `{}` is being stopped", self.shared.ear.name).into());
        self.transport.close().await;
    }
}

impl Drop for StdioLink {
    fn drop(&mut self) {
        // The control task holds the transport too, and ends only when the child does.
        self.transport.begin_close();
    }
}

/// A request on the wire that can be kept apart from the call that made it.
#[derive(Debug)]
pub(crate) struct OpenSlot {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    id: u64,
    detached: bool,
    ended: bool,
}

impl OpenSlot {
    pub(crate) async fn next(&mut self) -> Item {
        let item = self.slot.next().await;
        self.ended |= matches!(item, Item::End(_));
        item
    }

    pub(crate) fn send(&self, message: Bytes) {
        self.shared.control(message);
    }

    pub(crate) fn detach(&mut self, owner: &Principal) {
        self.detached = true;
        self.slot.park(Some(owner.clone()));
    }

    pub(crate) fn attach(&self) {
        self.slot.park(None);
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        if self.detached && !self.ended && self.shared.pending.give_up(self.id) {
            self.shared.control(wire::cancelled(self.id));
        }
    }
}

/// A request on the wire; gives it up when dropped unanswered.
struct Waiting<'a> {
    shared: &'a Shared,
    slot: &'a Slot,
    id: u64,
    /// The server has it and wants to know.
    tell: bool,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        if self.shared.pending.give_up(self.id) {
            if self.tell {
                self.shared.control(wire::cancelled(self.id));
            }
        } else if let Some(Ok(result)) = self.slot.abandon() {
            // It came, and its caller went away before hearing of it.
            self.shared.answered_late(&result);
        }
    }
}

impl Shared {
    fn answered_late(&self, result: &[u8]) {
        if let Ok(text) = std::str::from_utf8(result) {
            self.ear.answered_late(text);
        }
    }

    fn control(&self, message: Bytes) {
        if self.control.try_send(message).is_err() {
            self.ear.nonsense.note(
                &self.ear.name,
                "it does not read its input; a control message was dropped",
                b"",
            );
        }
    }

    async fn listen(self: Arc<Self>, mut incoming: PipeIncoming, ended: watch::Sender<Option<Arc<str>>>) {
        let why = loop {
            match incoming.next(&self.ear.name).await {
                pipe::Item::Message(line) => self.line(&line),
                pipe::Item::Refused(error) => self.refused(error),
                pipe::Item::End(why) => break why,
            }
        };
        self.pending.end(&why);
        ended.send_replace(Some(why));
    }

    fn line(&self, line: &Bytes) {
        if is_batch(line) {
            return self.batch(line);
        }
        match std::str::from_utf8(line) {
            Ok(text) => self.message(line, text),
            Err(_) => self.nonsense("a line that is not UTF-8", line),
        }
    }

    /// Revision 2025-03-26 lets servers put messages into an array.
    fn batch(&self, line: &Bytes) {
        match json::validate(line).and_then(|text| json::elements(text, MAX_BATCH)) {
            Ok(messages) => messages.into_iter().for_each(|text| self.message(line, text)),
            Err(_) => self.nonsense("a line that is no JSON-RPC message", line),
        }
    }

    fn message(&self, line: &Bytes, text: &str) {
        match heard::read(text) {
            Ok(Message::Response(response)) => self.response(line, response),
            Ok(message) => match self.ear.hear(&message) {
                Heard::Nothing => {}
                Heard::Reply(reply) => self.control(reply.into()),
                Heard::Progress(id, happening) => {
                    if let Some(slot) = self.pending.get(id) {
                        slot.happened(happening);
                    }
                }
                Heard::Told(happening) => self.told(happening),
                Heard::Question(question) => self.question(question),
                Heard::Withdrawn(id) => self.pending.withdrawn(&id),
            },
            Err((Some(id), what)) => match self.pending.take(id) {
                Owner::Waiting(slot) => {
                    slot.end(Err(Fault::Protocol(what)));
                }
                Owner::GaveUp => {}
                Owner::Nobody => self.nonsense("a line that is no JSON-RPC message", line),
            },
            Err((None, _)) => self.nonsense("a line that is no JSON-RPC message", line),
        }
    }

    fn response(&self, line: &Bytes, response: Response<'_>) {
        let Some(id) = response.id.and_then(|raw| raw.parse().ok()) else {
            return self.nonsense("an answer without an id of ours", line);
        };
        match self.pending.take(id) {
            Owner::Waiting(slot) => {
                let end = response.outcome.map(|raw| line.slice_ref(raw.as_bytes()));
                if let Some(Ok(result)) = slot.end(end.map_err(Fault::Rpc)) {
                    self.answered_late(&result);
                }
            }
            Owner::GaveUp => {
                if let Ok(result) = response.outcome {
                    self.ear.answered_late(result);
                }
            }
            Owner::Nobody => self.nonsense(
                "an answer to a request that is not open (asked never, or answered before)",
                line,
            ),
        }
    }

    /// On this transport a log message does not say which call it belongs to, so it goes to a call only when there is
    /// no other caller it could be for.
    fn told(&self, happening: Happening) {
        match self.pending.attributed() {
            Some((slot, others)) if others.is_empty() => slot.happened(happening),
            _ => self.ear.log_here(&happening),
        }
    }

    /// Nor does a question.
    fn question(&self, question: ask::Question) {
        let legacy = self.legacy.load(Ordering::Relaxed);
        let unasked = match self.pending.attributed().filter(|_| legacy) {
            Some((slot, others)) => slot.asked(ask::Question { others, ..question }).err(),
            None => Some(question),
        };
        if let Some(question) = unasked {
            self.control(ask::unattributed(&question).into());
        }
    }

    fn refused(&self, error: LineError) {
        match error {
            // What ends without a line end is still a message, if it is one; else the end of the server is
            // what its calls are told.
            LineError::Unterminated { line } if json::validate(&line).is_ok() => self.line(&line),
            LineError::Unterminated { line } => self.nonsense("a line that was cut off", &line),
            LineError::TooLong { limit, head } => {
                if let Some(id) = loose::id(&head)
                    && let Owner::Waiting(slot) = self.pending.take(id)
                {
                    let what = format!("its answer is longer than the limit of {limit} bytes");
                    slot.end(Err(Fault::Protocol(what)));
                    return;
                }
                self.nonsense("a line longer than the limit", &head);
            }
            LineError::NotUtf8 { line, .. } => self.nonsense("a line that is not UTF-8", &line),
        }
    }

    fn nonsense(&self, what: &str, line: &[u8]) {
        self.ear.nonsense.note(&self.ear.name, what, line);
    }
}

/// Sends what must not make anybody wait. Ends with the connection.
async fn send_controls(transport: Arc<Pipe>, mut controls: mpsc::Receiver<Bytes>) {
    while let Some(message) = controls.recv().await {
        if transport.send(message).await.is_err() {
            return;
        }
    }
}
