//! Is the server alive, is it ready, and what is the matter with it?

use std::collections::HashMap;

use ferromcp_core::{SourceState, WorkerHealth};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::body::Body;
use crate::refusal::json_response;
use crate::route::Site;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `GET /healthz`: the process answers. Nothing else is looked at, so that an orchestrator does
/// not restart a server because of somebody else's fault.
pub(crate) fn live() -> Response<Body> {
    text(StatusCode::OK, "ok")
}

/// `GET /readyz`: the server takes calls, and the servers behind it had the time to start.
pub(crate) fn ready(site: &Site) -> Response<Body> {
    if site.gateway().is_draining() || site.stop().is_cancelled() {
        text(StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if !site.gateway().is_ready() {
        text(StatusCode::SERVICE_UNAVAILABLE, "starting")
    } else {
        text(StatusCode::OK, "ready")
    }
}

/// `GET /health`: every part and its state. 200 even when a source is down: the others serve.
pub(crate) fn components(site: &Site) -> Response<Body> {
    let gateway = site.gateway();
    let snapshot = gateway.snapshot();
    let mut tools: HashMap<&str, usize> = HashMap::new();
    for tool in snapshot.catalog.tools() {
        *tools.entry(&tool.source.name).or_default() += 1;
    }
    let mut degraded = false;
    let sources: Vec<Value> = snapshot
        .catalog
        .sources()
        .iter()
        .map(|source| {
            degraded |= source.state != SourceState::Ready;
            let mut entry = json!({
                "name": &*source.name,
                "state": source.state.as_str(),
                "tools": tools.get(&*source.name).copied().unwrap_or_default(),
                "resources": source.resources.len(),
                "prompts": source.prompts.len(),
            });
            if let Value::Object(entry) = &mut entry {
                if let Some(reason) = source.state.reason() {
                    entry.insert("reason".into(), reason.into());
                }
                let health = source.source.health();
                if !health.workers.is_empty() {
                    entry.insert("workers".into(), health.workers.iter().map(worker).collect());
                }
                if let Some(breaker) = health.breaker {
                    entry.insert("breaker".into(), breaker.into());
                }
            }
            entry
        })
        .collect();
    let status = match (gateway.is_draining(), gateway.is_ready(), degraded) {
        (true, ..) => "draining",
        (false, false, _) => "starting",
        (false, true, true) => "degraded",
        (false, true, false) => "ok",
    };
    let answer = json!({
        "status": status,
        "name": snapshot.identity.name,
        "version": snapshot.identity.version,
        "uptime_seconds": site.started().elapsed().as_secs(),
        "generation": snapshot.generation,
        "in_flight": gateway.in_flight(),
        "connections": site.connections().load(std::sync::atomic::Ordering::Relaxed),
        "sessions": site.endpoint().sessions(),
        "sources": sources,
    });
    uncached(json_response(StatusCode::OK, answer.to_string().into_bytes()))
}

fn worker(worker: &WorkerHealth) -> Value {
    let mut entry = json!({
        "id": worker.id,
        "state": worker.state,
        "restarts": worker.restarts,
        "in_flight": worker.in_flight,
    });
    if let Value::Object(entry) = &mut entry {
        if let Some(pid) = worker.pid {
            entry.insert("pid".into(), pid.into());
        }
        if let Some(reason) = &worker.reason {
            entry.insert("reason".into(), reason.as_str().into());
        }
    }
    entry
}

/// `GET /`: where the doors are.
pub(crate) fn index(site: &Site) -> Response<Body> {
    let snapshot = site.gateway().snapshot();
    let answer = json!({
        "name": snapshot.identity.name,
        "version": snapshot.identity.version,
        "doors": {
            "mcp": "/mcp",
            "list_tools": "/v1/tools",
            "call_tool": "/v1/tools/call",
            "batch_call": "/v1/tools/batch",
            "usage": "/v1/usage",
            "openapi": "/v1/openapi.json",
            "health": "/health",
        },
    });
    json_response(StatusCode::OK, answer.to_string().into_bytes())
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    uncached(response)
}

pub(crate) fn uncached(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
