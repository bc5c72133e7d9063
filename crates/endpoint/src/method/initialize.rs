//! `initialize` (2025-11-25 basic/lifecycle): who the client is, and which legacy revision is spoken.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::Snapshot;
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{ClientCapabilities, Era, ProtocolVersion, Request, RpcError, code};

use crate::answer::Answer;
use crate::capability;
use crate::dress::Dress;
use crate::endpoint::Endpoint;
use crate::incoming::Incoming;
use crate::session::{LegacyClient, Session};

/// Over HTTP: opens a session.
pub(crate) fn http(endpoint: &Endpoint, incoming: &Incoming<'_>, request: &Request<'_>) -> Answer {
    let client = match read(request) {
        Ok(client) => client,
        Err(error) => return Answer::error(Some(request.id), &error, 200),
    };
    let view = match endpoint.gateway.view(incoming.credential) {
        Ok(view) => view,
        Err(error) => return Answer::turned_away(Some(request.id), &error),
    };
    // A session that is opened now would soon be lost: another instance takes it.
    if endpoint.gateway.is_draining() {
        let error = RpcError::new(
            code::UNAVAILABLE,
            "the server is shutting down; retry on another instance",
        )
        .with_data("{\"code\":\"unavailable\",\"rule\":\"admit.draining\",\"retry_after_ms\":1000}");
        return Answer {
            retry_after: Some(Duration::from_secs(1)),
            ..Answer::error(Some(request.id), &error, 503)
        };
    }
    let Some(session) = Session::http(view.principal().clone()) else {
        let error = RpcError::new(
            code::INTERNAL_ERROR,
            "no session: the system gives no random numbers",
        );
        return Answer::error(Some(request.id), &error, 500);
    };
    let version = client.version;
    session.initialize(client);
    let session = Arc::new(session);
    if let Err(full) = endpoint.store.insert(Arc::clone(&session)) {
        let error = RpcError::new(
            code::UNAVAILABLE,
            format!("{full}; retry later, or raise the limit"),
        )
        .with_data("{\"code\":\"unavailable\",\"rule\":\"session.max_sessions\"}");
        return Answer::error(Some(request.id), &error, 503);
    }
    let mut answer = answer(endpoint, request.id, view.snapshot(), version);
    answer.opened = Some(session);
    answer
}

/// Over a connection: once.
pub(crate) fn connection(endpoint: &Endpoint, session: &Arc<Session>, request: &Request<'_>) -> Answer {
    let client = match read(request) {
        Ok(client) => client,
        Err(error) => return Answer::error(Some(request.id), &error, 200),
    };
    let version = client.version;
    if !session.initialize(client) {
        return Answer::error(Some(request.id), &twice(), 200);
    }
    answer(endpoint, request.id, &endpoint.gateway.snapshot(), version)
}

/// The error for a second `initialize`.
pub(crate) fn twice() -> RpcError {
    RpcError::new(
        code::INVALID_REQUEST,
        "already initialized: `initialize` opens a session and comes once",
    )
}

fn read(request: &Request<'_>) -> Result<LegacyClient, RpcError> {
    let invalid = |message: String| RpcError::new(code::INVALID_PARAMS, message);
    let asked = request
        .params
        .get_str("protocolVersion")
        .ok_or_else(|| invalid("`params.protocolVersion` must be a string such as \"2025-11-25\"".into()))?;
    let capabilities = match request.params.get("capabilities") {
        Some(raw) => {
            ClientCapabilities::parse(raw).map_err(|e| invalid(format!("`params.capabilities`: {e}")))?
        }
        None => ClientCapabilities::default(),
    };
    let name = match request.params.get("clientInfo") {
        Some(raw) => Object::parse(raw)
            .map_err(|e| invalid(format!("`params.clientInfo`: {e}")))?
            .get_str("name")
            .map(|name| name.chars().take(200).collect::<String>().into()),
        None => None,
    };
    let version = ProtocolVersion::parse(&asked)
        .filter(|v| v.era() == Era::Legacy)
        .unwrap_or(ProtocolVersion::LATEST_LEGACY);
    // The tasks extension belongs to 2026-07-28 (SEP-2663, "Backward Compatibility").
    Ok(LegacyClient {
        version,
        capabilities: ClientCapabilities {
            tasks: false,
            ..capabilities
        },
        name,
    })
}

fn answer(endpoint: &Endpoint, id: &str, snapshot: &Snapshot, version: ProtocolVersion) -> Answer {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":{\"protocolVersion\":\"");
    out.extend_from_slice(version.as_str().as_bytes());
    out.extend_from_slice(b"\",\"capabilities\":");
    let capabilities = capability::announced(snapshot, endpoint.settings.logging, version);
    out.extend_from_slice(capabilities.to_string().as_bytes());
    out.extend_from_slice(b",\"serverInfo\":");
    out.extend_from_slice(&Dress::of(snapshot).server_info);
    if let Some(text) = instructions(snapshot) {
        out.extend_from_slice(b",\"instructions\":");
        json::write_str(&mut out, &text);
    }
    out.extend_from_slice(b"}}");
    Answer::json(out)
}

/// The server's advice for models, then that of its sources, each under its name if there are
/// several.
pub(super) fn instructions(snapshot: &Snapshot) -> Option<String> {
    let sources = snapshot.catalog.sources();
    let advice: Vec<(&str, &str)> = sources
        .iter()
        .filter_map(|s| Some((&*s.name, s.instructions.as_deref()?.trim())))
        .collect();
    let mut text = snapshot.identity.instructions.clone().unwrap_or_default();
    for (name, one) in advice.iter().filter(|(_, one)| !one.is_empty()) {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        if sources.len() > 1 {
            text.push_str("About ");
            text.push_str(name);
            text.push_str(": ");
        }
        text.push_str(one);
    }
    (!text.is_empty()).then_some(text)
}
