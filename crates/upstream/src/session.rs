//! A server that has been spoken to: what it is, and calls to it.

use std::sync::Arc;

use bytes::Bytes;
use ferromcp_core::{CallContext, CallError, Operation, Reply};
use ferromcp_protocol::ProtocolVersion;

use crate::fault::Fault;
use crate::link::{Link, Outgoing};
use crate::opening::Facts;
use crate::{relay, wire};

/// An opened connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: Arc<str>,
    pub(crate) link: Link,
    pub(crate) version: ProtocolVersion,
    pub(crate) facts: Facts,
}

impl Session {
    /// Relays a call.
    pub(crate) async fn call(&self, cx: &CallContext<'_>) -> Result<Reply, CallError> {
        let id = self.link.next_id();
        let body = relay::request(id, cx, self.version)?;
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
            body,
            cancellable: true,
        };
        match self.link.request(request, Some(cx)).await {
            Ok(result) => relay::reply(&self.name, result, self.version),
            Err(Fault::Rpc(error)) => {
                Err(Fault::Rpc(relay::error_code(error, cx, self.version)).into_call_error(&self.name))
            }
            Err(fault) => Err(fault.into_call_error(&self.name)),
        }
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
