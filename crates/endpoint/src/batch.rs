//! JSON-RPC batches: received under 2025-03-26, the one revision that has them
//! (2025-03-26 basic/index, "Batching").

use std::sync::Arc;

use ferromcp_protocol::message::parse_batch;
use ferromcp_protocol::{Message, Method, RpcError, code};
use futures_util::future::join_all;

use crate::answer::Answer;
use crate::endpoint::Endpoint;
use crate::incoming::{Incoming, Link};
use crate::legacy;
use crate::session::Session;

/// Carries out a batch: its requests run side by side, the answers come in their order.
pub(crate) async fn run(endpoint: &Endpoint, incoming: &Incoming<'_>) -> Answer {
    let session = match session(endpoint, incoming) {
        Ok(session) => session,
        Err(answer) => return answer,
    };
    let messages = match parse_batch(incoming.body) {
        Ok(messages) => messages,
        Err(refused) => return Answer::error(Some("null"), &refused.error, 400),
    };
    session.touch();
    if let Some(limits) = session.principal().grants().limits()
        && let Err(refused) = limits.check_batch(messages.len())
    {
        let error = RpcError::new(code::QUOTA_EXCEEDED, refused.message()).with_data(format!(
            "{{\"code\":\"quota_exceeded\",\"rule\":\"{}\"}}",
            refused.rule.id()
        ));
        return Answer::error(Some("null"), &error, 200);
    }
    let answers = join_all(
        messages
            .iter()
            .map(|message| one(endpoint, incoming, &session, message.as_ref())),
    )
    .await;
    let mut out = Vec::with_capacity(256);
    for body in answers.into_iter().filter_map(Answer::into_json) {
        out.extend_from_slice(if out.is_empty() { b"[" } else { b"," });
        out.extend_from_slice(&body);
    }
    if out.is_empty() {
        return Answer::accepted();
    }
    out.push(b']');
    Answer::json(out)
}

fn session(endpoint: &Endpoint, incoming: &Incoming<'_>) -> Result<Arc<Session>, Answer> {
    let session = match incoming.link {
        Link::Connection(session) => Arc::clone(session),
        Link::Http(headers) => endpoint.session_for(headers, incoming.credential, None)?,
    };
    if session.version().is_some_and(|v| v.has_batches()) {
        return Ok(session);
    }
    let error = RpcError::new(
        code::INVALID_REQUEST,
        "JSON-RPC batches exist only in protocol version 2025-03-26, after `initialize`: send the messages one by one",
    );
    Err(Answer::error(Some("null"), &error, 400))
}

async fn one(
    endpoint: &Endpoint,
    incoming: &Incoming<'_>,
    session: &Arc<Session>,
    message: Result<&Message<'_>, &ferromcp_protocol::MessageError>,
) -> Answer {
    match message {
        Err(refused) => Answer::error(Some(refused.id.as_deref().unwrap_or("null")), &refused.error, 200),
        Ok(Message::Request(request)) => match &request.meta {
            Ok(meta) => {
                let method = Method::parse(&request.method);
                Box::pin(legacy::run(endpoint, incoming, session, request, meta, method)).await
            }
            Err(message) => Answer::error(
                Some(request.id),
                &RpcError::new(code::INVALID_PARAMS, message.as_str()),
                200,
            ),
        },
        Ok(Message::Notification(notification)) => {
            crate::endpoint::notified(session, notification);
            Answer::accepted()
        }
        Ok(Message::Response(response)) => {
            crate::endpoint::answered(session, response);
            Answer::accepted()
        }
    }
}
