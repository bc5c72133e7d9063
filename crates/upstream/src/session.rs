//! A server that has been spoken to: what it is, and calls to it.

use std::sync::Arc;

use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, Operation, Reply};
use ferromcp_protocol::{ProtocolVersion, code};

use crate::converse::Halted;
use crate::fault::Fault;
use crate::link::{Link, Outgoing};
use crate::opening::Facts;
use crate::rounds::{Brought, Turn};
use crate::{relay, rounds, wire};

/// An opened connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Arc<str>,
    pub(crate) link: Link,
    pub(crate) version: ProtocolVersion,
    pub(crate) facts: Facts,
}

/// How far a call came.
#[derive(Debug)]
pub(crate) enum Called {
    Over(Reply),
    /// It stands still until its caller comes back.
    Waits(Box<Halted>),
}

impl Session {
    /// Relays a call.
    pub(crate) async fn call(&self, cx: &CallContext<'_>) -> Result<Called, CallError> {
        let brought = match cx.call.input {
            None => None,
            Some(input) if self.version.is_modern() => Some(rounds::brought(&self.name, input)?),
            Some(input) => {
                rounds::visited(&self.name, input)?;
                None
            }
        };
        match self.exchange(cx, brought.as_ref()).await? {
            Err(Fault::Waits(halted)) => Ok(Called::Waits(halted)),
            ended => match self.finish(cx, ended)? {
                Turn::Over(reply) => Ok(Called::Over(reply)),
                // Boxed, so that the common case stays small.
                Turn::Wants(wanted) => Box::pin(rounds::go_on(self, cx, wanted)).await.map(Called::Over),
            },
        }
    }

    /// One round of a call to a server that ends a round where it asks.
    pub(crate) async fn round(
        &self,
        cx: &CallContext<'_>,
        brought: Option<&Brought>,
    ) -> Result<Turn, CallError> {
        let ended = self.exchange(cx, brought).await?;
        self.finish(cx, ended)
    }

    /// What an exchange comes to by the way it ended.
    pub(crate) fn finish(
        &self,
        cx: &CallContext<'_>,
        ended: Result<Bytes, Fault>,
    ) -> Result<Turn, CallError> {
        match ended {
            Ok(result) => relay::turn(&self.name, result, self.version, cx),
            Err(Fault::Rpc(error)) => {
                if let Some(reply) = rounds::visits(&self.name, &error, cx) {
                    return Ok(Turn::Over(reply));
                }
                let error = relay::error_code(error, cx, self.version);
                if error.code == code::MISSING_CLIENT_CAPABILITY && cx.call.version.is_modern() {
                    // It was told what this caller can do, and says what it lacks.
                    return Err(CallError::rpc(error));
                }
                Err(Fault::Rpc(error).into_call_error(&self.name))
            }
            Err(fault) => Err(fault.into_call_error(&self.name)),
        }
    }

    async fn exchange(
        &self,
        cx: &CallContext<'_>,
        brought: Option<&Brought>,
    ) -> Result<Result<Bytes, Fault>, CallError> {
        let id = self.link.next_id();
        let http = matches!(self.link, Link::Http(_)) && self.version.is_modern();
        let request = Outgoing {
            id,
            method: cx.call.operation.method(),
            name: match cx.call.operation {
                Operation::CallTool | Operation::GetPrompt | Operation::ReadResource => Some(cx.local_name),
                _ => None,
            },
            params: if http {
                relay::param_headers(cx)?
            } else {
                Vec::new()
            },
            body: relay::request(id, cx, self.version, brought)?,
            cancellable: true,
        };
        Ok(self.link.request(request, Some(cx)).await)
    }

    /// A request of our own. `members`: raw members of `params` without braces.
    pub(crate) async fn ask(&self, method: &str, members: &str) -> Result<Bytes, Fault> {
        ask(&self.link, self.version, method, members).await
    }
}

pub(crate) async fn ask(
    link: &Link,
    version: ProtocolVersion,
    method: &str,
    members: &str,
) -> Result<Bytes, Fault> {
    let id = link.next_id();
    let request = Outgoing {
        id,
        method,
        name: None,
        params: Vec::new(),
        body: wire::request(id, method, members, version),
        // Opening requests must not be cancelled (2025-11-25 basic/utilities/cancellation).
        cancellable: !matches!(method, "initialize" | "server/discover"),
    };
    link.request(request, None).await
}
