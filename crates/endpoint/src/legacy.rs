//! Requests of the revisions up to 2025-11-25: bound to a session, opened by `initialize`.

use std::sync::Arc;

use ferromcp_protocol::{Method, Request, RequestMeta, RpcError, code};

use crate::answer::Answer;
use crate::capability;
use crate::cx::Cx;
use crate::endpoint::Endpoint;
use crate::incoming::{Incoming, Link};
use crate::method;
use crate::modern::method_not_found;
use crate::session::Session;

/// Carries out one request: finds its session, and refuses what the session cannot do.
pub(crate) async fn request(
    endpoint: &Endpoint,
    incoming: &Incoming<'_>,
    request: &Request<'_>,
    meta: &RequestMeta<'_>,
    method: Option<Method>,
) -> Answer {
    let session = match find(endpoint, incoming, request, method) {
        Ok(session) => session,
        Err(answer) => {
            if let Some(opened) = &answer.opened {
                endpoint.share(opened).await;
            }
            return answer;
        }
    };
    session.touch();
    run(endpoint, incoming, &session, request, meta, method).await
}

/// The session of a request. The error is the answer, which for `initialize` is its result.
fn find(
    endpoint: &Endpoint,
    incoming: &Incoming<'_>,
    request: &Request<'_>,
    method: Option<Method>,
) -> Result<Arc<Session>, Answer> {
    match incoming.link {
        Link::Connection(session) if method == Some(Method::Initialize) => {
            Err(method::initialize_connection(endpoint, session, request))
        }
        Link::Connection(session) => Ok(Arc::clone(session)),
        Link::Http(headers) => {
            if method == Some(Method::Initialize) && !has_session(incoming) {
                return Err(method::initialize_http(endpoint, incoming, request));
            }
            endpoint.session_for(headers, incoming.credential, Some(request.id))
        }
    }
}

fn has_session(incoming: &Incoming<'_>) -> bool {
    match incoming.link {
        Link::Http(headers) => {
            headers.field(ferromcp_protocol::header::SESSION_ID) != crate::incoming::HeaderField::Absent
        }
        Link::Connection(_) => true,
    }
}

/// Carries out one request within a session; also what a batch is made of.
pub(crate) async fn run(
    endpoint: &Endpoint,
    incoming: &Incoming<'_>,
    session: &Arc<Session>,
    request: &Request<'_>,
    meta: &RequestMeta<'_>,
    method: Option<Method>,
) -> Answer {
    let refuse = |error: RpcError| Answer::error(Some(request.id), &error, 200);
    if method == Some(Method::Initialize) {
        return refuse(method::initialized_twice());
    }
    let Some(client) = session.client() else {
        return if method == Some(Method::Ping) {
            Answer::json(pong(request.id))
        } else {
            refuse(RpcError::new(
                code::INVALID_REQUEST,
                "not initialized: send `initialize` first, or name a protocol version in `params._meta` (2026-07-28)",
            ))
        };
    };
    let (snapshot, dress) = endpoint.current(request, method);
    let served = method
        .filter(|m| m.in_legacy() && capability::serves(snapshot.catalog.offers(), *m))
        .filter(|m| *m != Method::SetLevel || endpoint.settings.logging);
    let Some(method) = served else {
        return refuse(method_not_found(&request.method));
    };
    let cx = Cx {
        endpoint,
        incoming,
        id: request.id,
        params: &request.params,
        params_raw: request.params_raw,
        meta,
        version: client.version,
        session: Some(session),
        capabilities: &client.capabilities,
        client_name: client.name.as_deref(),
        log_level: endpoint.settings.logging.then(|| session.log_level()),
        snapshot: &snapshot,
        dress: &dress,
    };
    let answer = method::run(&cx, method).await;
    if matches!(
        method,
        Method::SetLevel | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe
    ) {
        endpoint.share(session).await;
    }
    answer
}

fn pong(id: &str) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}").into_bytes()
}
