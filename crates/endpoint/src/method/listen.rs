//! `subscriptions/listen` (2026-07-28 basic/patterns/subscriptions; task ids: SEP-2663).

use std::collections::VecDeque;
use std::sync::Arc;

use ferromcp_core::View;
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{RpcError, code};

use super::call::not_started;
use crate::answer::{Answer, Body};
use crate::capability;
use crate::cx::Cx;
use crate::listen::{Filter, Subscription};
use crate::render;

pub(super) fn run(cx: &Cx<'_, '_>) -> Answer {
    let wanted = match cx.params.get("notifications").map(Object::parse) {
        Some(Ok(wanted)) => wanted,
        Some(Err(e)) => return cx.invalid(format!("`params.notifications`: {e}")),
        None => return cx.invalid("`params.notifications` is missing: say what to listen for"),
    };
    let view = match cx.endpoint.gateway.view(cx.incoming.credential) {
        Ok(view) => view,
        Err(error) => return Answer::turned_away(Some(cx.id), &error),
    };
    if cx.endpoint.gateway.is_draining() {
        let error = RpcError::new(
            code::UNAVAILABLE,
            "the server is shutting down; retry on another instance",
        );
        return cx.error(&error);
    }
    let running = match cx
        .session
        .map(|s| s.begin(cx.id, cx.endpoint.settings.max_in_flight))
    {
        None => None,
        Some(Ok(guard)) => Some(guard),
        Some(Err(why)) => return not_started(cx, why),
    };
    // From here on nothing is missed: what changes while the filter is built waits in the channel.
    let events = cx.endpoint.gateway.events();
    let filter = match filter(cx, &view, &wanted) {
        Ok(filter) => filter,
        Err(error) => return cx.error(&error),
    };
    let acknowledged = render::acknowledged(cx.id, &filter);
    let mut subscription = Subscription {
        id: cx.id.into(),
        filter,
        owner: view.principal().clone(),
        gateway: Arc::clone(&cx.endpoint.gateway),
        events,
        queue: VecDeque::from([acknowledged]),
        running,
        server_info: Arc::clone(&cx.dress.meta_member),
        over: false,
    };
    if cx.endpoint.gateway.is_leaving() && subscription.running.is_none() {
        // The process that takes this one's place takes the next one.
        subscription.end();
    }
    Answer {
        body: Body::Listen(Box::new(subscription)),
        status: 200,
        opened: None,
        retry_after: None,
        challenge: None,
    }
}

/// What is asked for and can be had.
fn filter(cx: &Cx<'_, '_>, view: &View, wanted: &Object<'_>) -> Result<Filter, RpcError> {
    let offers = view.snapshot().catalog.offers();
    let mut filter = Filter {
        tools: flag(wanted, "toolsListChanged")? && offers.tools,
        prompts: flag(wanted, "promptsListChanged")? && offers.prompts,
        resources: flag(wanted, "resourcesListChanged")? && offers.resources,
        ..Filter::default()
    };
    let max = cx.endpoint.settings.max_watches;
    for uri in strings(wanted, "resourceSubscriptions", max)? {
        let known = filter.watches.iter().any(|w| w.uri() == uri);
        if !known && view.resource_source(&uri).is_some() {
            filter.watches.push(cx.endpoint.gateway.watch(&uri));
        }
    }
    let tasks = strings(wanted, "taskIds", max)?;
    if wanted.get("taskIds").is_some() && !cx.capabilities.tasks {
        return Err(capability::missing(capability::TASKS));
    }
    for id in tasks {
        if !filter.tasks.iter().any(|task| task.id() == id) {
            filter
                .tasks
                .extend(cx.endpoint.gateway.watch_task(view.principal(), &id));
        }
    }
    Ok(filter)
}

fn flag(wanted: &Object<'_>, name: &str) -> Result<bool, RpcError> {
    match wanted.get(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(format!(
            "`params.notifications.{name}` must be true or false"
        ))),
    }
}

fn strings(wanted: &Object<'_>, name: &str, max: usize) -> Result<Vec<String>, RpcError> {
    let Some(raw) = wanted.get(name) else {
        return Ok(Vec::new());
    };
    let elements =
        json::elements(raw, max).map_err(|e| invalid(format!("`params.notifications.{name}`: {e}")))?;
    let decoded = elements
        .into_iter()
        .map(|raw| json::decode_str(raw).map(std::borrow::Cow::into_owned));
    decoded.collect::<Option<_>>().ok_or_else(|| {
        invalid(format!(
            "`params.notifications.{name}` must be an array of strings"
        ))
    })
}

fn invalid(message: String) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, message)
}
