//! Calls that stand still at a legacy server until a client of 2026-07-28 brings the answers (basic/patterns/mrtr): the
//! server waits for them in the middle of the call, and the client learns of it by the call's result.
//!
//! Bounds: number, also for each principal, and time. What is parked for too long is cancelled at the server. What is
//! parked belongs to one principal and one name, and is taken out by the first who comes for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferromcp_core::{CallContext, CallError, ErrorCode, InputRequired, Operation, Principal, Reply};
use tokio::task::AbortHandle;

use crate::ask;
use crate::converse::{self, Halted};
use crate::fault::Fault;
use crate::pool::Lease;
use crate::rounds::{State, Turn};

/// Most calls of one server that are parked at a time.
pub(crate) const MAX: usize = 1000;
/// Most of them that belong to one principal.
pub(crate) const MAX_OF_ONE: usize = 250;
/// How long a call is parked; also how long request state is good for by default.
pub(crate) const TTL: Duration = Duration::from_secs(600);

/// The parked calls of one server.
#[derive(Debug)]
pub(crate) struct Parking {
    /// Tells this process from others that have the same key for request state.
    node: u64,
    next: AtomicU64,
    ttl: Duration,
    calls: Mutex<HashMap<u64, Parked>>,
}

#[derive(Debug)]
struct Parked {
    owner: Principal,
    operation: Operation,
    /// The server's own name of what was called.
    name: Box<str>,
    /// The worker that waits; it is not to be ended as an idle one.
    lease: Lease,
    halted: Box<Halted>,
    _timer: Timer,
}

impl Parked {
    fn belongs_to(&self, cx: &CallContext<'_>) -> bool {
        self.owner == *cx.principal && self.operation == cx.call.operation && *self.name == *cx.local_name
    }
}

/// Ends the call when its time is over, unless dropped before.
#[derive(Debug)]
struct Timer(AbortHandle);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Parking {
    pub(crate) fn new(ttl: Duration) -> Arc<Self> {
        // Not a secret: what the client gets of it is sealed.
        let random = u128::from_be_bytes(ferromcp_core::RequestId::next().to_bytes());
        Arc::new(Self {
            node: (random >> 64) as u64,
            next: AtomicU64::new(0),
            ttl,
            calls: Mutex::default(),
        })
    }

    /// Keeps a call until its caller comes back; the reply tells what is asked.
    pub(crate) fn park(
        self: &Arc<Self>,
        cx: &CallContext<'_>,
        server: &str,
        lease: Lease,
        halted: Box<Halted>,
    ) -> Result<Reply, CallError> {
        let requests = halted.questions.iter().map(|(_, request)| request.clone());
        let requests = requests.collect();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut calls = self.calls();
        let own = || {
            calls
                .values()
                .filter(|parked| parked.owner == *cx.principal)
                .count()
        };
        if calls.len() >= MAX || calls.len() >= MAX_OF_ONE && own() >= MAX_OF_ONE {
            drop(calls);
            return Err(CallError::new(
                ErrorCode::Unavailable,
                format!("server `{server}`: too many calls wait for answers of their callers; this one was cancelled"),
            )
            .with_rule("limit.parked_calls")
            .with_retry_after(Duration::from_secs(1))
            .maybe_ran());
        }
        let parking = Arc::downgrade(self);
        let ttl = self.ttl;
        let timer = tokio::spawn(async move {
            tokio::time::sleep(ttl).await;
            if let Some(parking) = parking.upgrade() {
                let expired = parking.calls().remove(&id);
                drop(expired);
            }
        });
        let parked = Parked {
            owner: cx.principal.clone(),
            operation: cx.call.operation,
            name: cx.local_name.into(),
            lease,
            halted,
            _timer: Timer(timer.abort_handle()),
        };
        calls.insert(id, parked);
        drop(calls);
        let state = State::Parked { node: self.node, id };
        Ok(Reply::InputRequired(InputRequired {
            requests,
            state: Some(state.write()),
            forget_answers: true,
        }))
    }

    /// Goes on with a parked call: hands the answers to the server, and waits as the first caller did.
    pub(crate) async fn resume(
        self: &Arc<Self>,
        cx: &CallContext<'_>,
        server: &str,
        node: u64,
        id: u64,
    ) -> Result<Reply, CallError> {
        let found = {
            let mut calls = self.calls();
            // What belongs to somebody else stays where it is.
            match calls.get(&id) {
                Some(parked) if node == self.node && parked.belongs_to(cx) => calls.remove(&id),
                _ => None,
            }
        };
        let Some(Parked { lease, halted, .. }) = found else {
            return Err(gone(node == self.node));
        };
        let Halted { open, questions } = *halted;
        let answer = |key: &str| cx.call.input.and_then(|input| input.answer(key));
        let (answered, missing): (Vec<_>, Vec<_>) = questions
            .into_iter()
            .partition(|(_, request)| answer(&request.key).is_some());
        if missing.is_empty() {
            open.attach();
        }
        for (question, request) in &answered {
            if let Some(result) = answer(&request.key) {
                open.send(ask::answered(&question.id, result));
            }
        }
        if !missing.is_empty() {
            // What was not answered is asked again.
            let halted = Halted {
                open,
                questions: missing,
            };
            return self.park(cx, server, lease, Box::new(halted));
        }
        match converse::go_on(open, None, cx).await {
            Err(Fault::Waits(halted)) => self.park(cx, server, lease, halted),
            ended => match lease.session.finish(cx, ended)? {
                Turn::Over(reply) => Ok(reply),
                Turn::Wants(_) | Turn::Task(_) => Err(ask::broken(
                    server,
                    "it asked for input in a way that its revision does not know",
                )),
            },
        }
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<u64, Parked>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone(here: bool) -> CallError {
    let why = if here {
        "it was answered before, took too long, or its server has ended"
    } else {
        "another instance of the gateway has it, or had it before a restart"
    };
    CallError::new(
        ErrorCode::InvalidRequest,
        format!(
            "the call that waited for these answers is not here: {why}. Start again without `requestState`"
        ),
    )
    .with_rule("relay.parked")
    .maybe_ran()
}
