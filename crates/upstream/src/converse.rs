//! A call during which its server asks: questions go to the caller while progress, logs and the result come in.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ferromcp_core::{CallContext, InputRequest, Interaction, Principal};
use ferromcp_protocol::{RpcError, code};
use tokio::time::timeout;

use crate::ask::{self, Question};
use crate::fault::Fault;
use crate::link::http::OpenStream;
use crate::link::slot::Item;
use crate::link::stdio::OpenSlot;

/// Questions that come within this time of each other are asked together.
const TOGETHER: Duration = Duration::from_millis(50);

/// Most questions of one call that are open at a time.
pub(crate) const MAX_OPEN: usize = 16;

/// A request that is open at a server, apart from the call that made it.
#[derive(Debug)]
pub(crate) enum Open {
    Stdio(OpenSlot),
    Http(Box<OpenStream>),
}

impl Open {
    /// The next item. Cancel-safe. Not to be called again after the end.
    async fn next(&mut self) -> Item {
        match self {
            Self::Stdio(open) => open.next().await,
            Self::Http(open) => open.next().await,
        }
    }

    /// Sends an answer to the server.
    pub(crate) fn send(&self, message: Vec<u8>) {
        match self {
            Self::Stdio(open) => open.send(message.into()),
            Self::Http(open) => open.send(message.into()),
        }
    }

    /// From now on the server is told if this is dropped before its end.
    fn detach(&mut self, owner: &Principal) {
        match self {
            Self::Stdio(open) => open.detach(owner),
            Self::Http(open) => open.detach(owner),
        }
    }

    /// Its caller is back.
    pub(crate) fn attach(&self) {
        match self {
            Self::Stdio(open) => open.attach(),
            Self::Http(open) => open.attach(),
        }
    }
}

/// A call that stands still until its caller comes back with answers.
#[derive(Debug)]
pub(crate) struct Halted {
    pub(crate) open: Open,
    /// What the server waits for, and how the caller was asked.
    pub(crate) questions: Vec<(Question, InputRequest)>,
}

/// Goes on with a request until it ends, asking the caller what the server asks.
pub(crate) async fn go_on(
    mut open: Open,
    first: Option<Question>,
    cx: &CallContext<'_>,
) -> Result<Bytes, Fault> {
    let mut asked = 0;
    let mut asks = Asks(Vec::new());
    let mut next = first.map(Item::Question);
    loop {
        let item = match next.take() {
            Some(item) => item,
            None => tokio::select! {
                biased;
                (id, answer) = asks.next() => {
                    open.send(ask::response(&id, answer));
                    continue;
                }
                item = open.next() => item,
            },
        };
        match item {
            Item::Happening(happening) => happening.tell(cx),
            Item::Withdrawn(id) => asks.0.retain(|(open, _)| *open != id),
            Item::End(end) => return end,
            Item::Question(question) => {
                asked += 1;
                let key = format!("input{asked}");
                match ask::for_caller(cx, &question, key) {
                    Err(error) => open.send(ask::refused(&question.id, &error)),
                    Ok(_) if asks.0.len() >= MAX_OPEN => {
                        open.send(ask::refused(&question.id, &too_many()));
                    }
                    Ok(request) if cx.call.client.interaction() == Interaction::Direct => {
                        let answer = Box::pin(async move { cx.ask(&request).await });
                        asks.0.push((question.id, answer));
                    }
                    Ok(request) => return halt(open, (question, request), cx).await,
                }
            }
        }
    }
}

fn too_many() -> RpcError {
    RpcError::new(
        code::UNAVAILABLE,
        format!("{MAX_OPEN} questions of this call are open already"),
    )
}

/// Stops the call at a question, together with others that are there already.
async fn halt(mut open: Open, first: (Question, InputRequest), cx: &CallContext<'_>) -> Result<Bytes, Fault> {
    let mut questions = vec![first];
    while questions.len() < MAX_OPEN {
        // Servers that ask several things at a time send one after the other.
        let ready = timeout(TOGETHER, open.next()).await.ok();
        match ready {
            None => break,
            Some(Item::Happening(happening)) => happening.tell(cx),
            Some(Item::Withdrawn(id)) => questions.retain(|(question, _)| question.id != id),
            // It did not wait for the answer.
            Some(Item::End(end)) => return end,
            Some(Item::Question(question)) => {
                let key = format!("input{}", questions.len() + 1);
                match ask::for_caller(cx, &question, key) {
                    Ok(request) => questions.push((question, request)),
                    Err(error) => open.send(ask::refused(&question.id, &error)),
                }
            }
        }
    }
    if questions.is_empty() {
        return Box::pin(go_on(open, None, cx)).await;
    }
    open.detach(cx.principal);
    Err(Fault::Waits(Box::new(Halted { open, questions })))
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Box<str>, ferromcp_core::CallError>> + Send + 'a>>;

/// Questions that the caller has not answered yet, with the server's ids.
struct Asks<'a>(Vec<(Box<str>, Asking<'a>)>);

impl Asks<'_> {
    /// The next answer; never without open questions. Cancel-safe.
    async fn next(&mut self) -> (Box<str>, Result<Box<str>, ferromcp_core::CallError>) {
        poll_fn(|task| {
            for at in 0..self.0.len() {
                if let Poll::Ready(answer) = self.0[at].1.as_mut().poll(task) {
                    let (id, _) = self.0.swap_remove(at);
                    return Poll::Ready((id, answer));
                }
            }
            Poll::Pending
        })
        .await
    }
}
