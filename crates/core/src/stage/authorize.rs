//! May the principal use this, and who carries it out?

use std::borrow::Cow;
use std::sync::Arc;

use ferromcp_protocol::RpcError;
use ferromcp_tenancy::{Decision, Kind};

use crate::call::{Call, Operation, Principal};
use crate::catalog::{ItemKind, ToolEntry};
use crate::error::{CallError, ErrorCode};
use crate::snapshot::Snapshot;
use crate::source::Listing;

/// What a call resolved to.
pub(crate) struct Target<'a> {
    /// Who carries it out.
    pub(crate) source: &'a Arc<Listing>,
    /// The tool, for tool calls.
    pub(crate) tool: Option<&'a Arc<ToolEntry>>,
    /// The tool's place in the catalog.
    pub(crate) place: Option<usize>,
    /// The name at the source.
    pub(crate) local_name: Cow<'a, str>,
}

impl Target<'_> {
    /// Whether the call may change something that a second one would change again.
    pub(crate) fn has_effects(&self) -> bool {
        self.tool
            .is_some_and(|tool| self.source.source.has_effects(&self.local_name, tool.has_effects))
    }
}

/// Resolves the name within what the principal may see.
pub(crate) fn authorize<'a>(
    snapshot: &'a Snapshot,
    principal: &Principal,
    call: &'a Call<'a>,
) -> Result<Target<'a>, CallError> {
    let found = resolve(snapshot, call);
    if let Some(decision) =
        decision(principal, call, found.as_ref()).filter(|d| !d.allowed && found.is_some())
    {
        return Err(unknown(call).recorded_as(ErrorCode::PermissionDenied, decision.rule));
    }
    found.ok_or_else(|| missing(snapshot, principal, call))
}

/// There is no such thing, or it is kept back. Who could use it otherwise is told so.
fn missing(snapshot: &Snapshot, principal: &Principal, call: &Call<'_>) -> CallError {
    let kind = match call.operation {
        Operation::CallTool => ItemKind::Tool,
        Operation::GetPrompt | Operation::CompletePrompt => ItemKind::Prompt,
        _ => return unknown(call),
    };
    let allowed = decision(principal, call, None).is_none_or(|decision| decision.allowed);
    match snapshot.catalog.withheld(kind, call.name).filter(|_| allowed) {
        Some(withheld) => CallError::new(
            ErrorCode::PermissionDenied,
            format!(
                "{} {} is quarantined: {}. Its operator has to look at it (`ferromcp lock`); nothing was sent to it.",
                kind.as_str(),
                withheld.name,
                withheld.objection.message
            ),
        )
        .with_rule(withheld.objection.rule),
        None => unknown(call),
    }
}

/// What the access lists of the principal's tenant say; `None` if there are none for such a call. They are about
/// resources by the URIs that sources have for them, so that none can be had under another URI.
pub(crate) fn decision<'a>(
    principal: &'a Principal,
    call: &Call<'_>,
    found: Option<&Target<'_>>,
) -> Option<Decision<'a>> {
    let kind = match call.operation {
        Operation::CallTool => Kind::Tool,
        Operation::GetPrompt | Operation::CompletePrompt => Kind::Prompt,
        Operation::ReadResource | Operation::CompleteResource => Kind::Resource,
        // A task belongs to a principal, and its source knows to whom.
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => return None,
    };
    let name = match (kind, found) {
        (Kind::Resource, Some(target)) => &*target.local_name,
        _ => call.name,
    };
    principal.grants().acl().map(|acl| acl.decide(kind, name))
}

/// Who carries a call out, whoever makes it.
pub(crate) fn resolve<'a>(snapshot: &'a Snapshot, call: &'a Call<'a>) -> Option<Target<'a>> {
    let catalog = &snapshot.catalog;
    let target = |(source, local_name): (&'a Arc<Listing>, Cow<'a, str>)| Target {
        source,
        tool: None,
        place: None,
        local_name,
    };
    match call.operation {
        Operation::CallTool => catalog.tool_at(call.name).map(|(place, tool)| Target {
            source: &tool.source,
            tool: Some(tool),
            place: Some(place),
            local_name: Cow::Borrowed(&tool.local_name),
        }),
        Operation::GetPrompt | Operation::CompletePrompt => catalog
            .prompt(call.name)
            .map(|prompt| target((&prompt.source, Cow::Borrowed(&*prompt.local_name)))),
        Operation::ReadResource => catalog.resource(call.name).map(target),
        Operation::CompleteResource => {
            let found = catalog.template(call.name);
            found.map(|(source, local)| target((source, Cow::Borrowed(local))))
        }
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => {
            let found = catalog.task_source(call.name);
            found.map(|source| target((source, Cow::Borrowed(call.name))))
        }
    }
}

/// The one answer for "there is no such thing" and "not for you".
fn unknown(call: &Call<'_>) -> CallError {
    let shown: String = call.name.chars().take(200).collect();
    let kind = match call.operation {
        Operation::CallTool => "tool",
        Operation::GetPrompt | Operation::CompletePrompt => "prompt",
        Operation::ReadResource => return resource_not_found(call, &shown),
        Operation::CompleteResource => "resource template",
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => "task",
    };
    CallError::new(ErrorCode::ToolNotFound, format!("Unknown {kind}: {shown}"))
}

fn resource_not_found(call: &Call<'_>, uri: &str) -> CallError {
    let message = format!("Resource not found: {uri}");
    let data = serde_json::json!({ "uri": uri }).to_string();
    CallError::new(ErrorCode::ToolNotFound, message.clone())
        .with_rpc(RpcError::new(call.version.resource_not_found_code(), message).with_data(data))
}
