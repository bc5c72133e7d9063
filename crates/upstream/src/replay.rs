//! Whether a call whose worker was lost may be made once more. A tool with effects must not run twice because a process
//! died; one that only reads may.

use std::sync::atomic::{AtomicI64, Ordering};

use ferromcp_core::{CallContext, CallError, Operation};
use ferromcp_protocol::json::Object;

use crate::spec::{Effect, UpstreamSpec};

#[cfg(test)]
mod tests;

/// Rules of errors that mean a lost connection.
pub(crate) const DIED: &str = "upstream.died";
pub(crate) const LOST: &str = "upstream.lost";
pub(crate) const DOWN: &str = "upstream.down";

/// Whether `error` leaves room for a second attempt.
pub(crate) fn is_safe(error: &CallError, cx: &CallContext<'_>, spec: &UpstreamSpec) -> bool {
    let lost = error.code() == ferromcp_core::ErrorCode::Unavailable
        && matches!(error.rule(), Some(DIED | LOST | DOWN));
    // What the caller answered in an earlier round was for the worker that asked.
    if !lost || cx.call.input.is_some() {
        return false;
    }
    !error.may_have_run() || effect(cx, spec) != Effect::Effects
}

/// What the call may change. A server's own hints count unless the configuration knows better.
pub(crate) fn effect(cx: &CallContext<'_>, spec: &UpstreamSpec) -> Effect {
    match cx.call.operation {
        Operation::CallTool => {}
        Operation::ReadResource
        | Operation::GetPrompt
        | Operation::CompletePrompt
        | Operation::CompleteResource
        | Operation::GetTask => return Effect::ReadOnly,
        Operation::UpdateTask | Operation::CancelTask => return Effect::Effects,
    }
    if let Some(effect) = spec.effects.get(cx.local_name) {
        return *effect;
    }
    cx.tool.map_or(Effect::Effects, |tool| hinted(&tool.definition))
}

/// What the annotations of a definition say.
fn hinted(definition: &str) -> Effect {
    let annotations = Object::parse(definition)
        .ok()
        .and_then(|tool| Object::parse(tool.get("annotations")?).ok());
    let Some(annotations) = annotations else {
        return Effect::Effects;
    };
    let says = |hint: &str| annotations.get(hint) == Some("true");
    if says("readOnlyHint") {
        Effect::ReadOnly
    } else if says("idempotentHint") {
        Effect::Idempotent
    } else {
        Effect::Effects
    }
}

/// Keeps second attempts a small part of all calls, so that they cannot keep a server down that is short of breath.
#[derive(Debug)]
pub(crate) struct Budget(AtomicI64);

impl Budget {
    /// One second attempt, in the units that calls bring.
    const COST: i64 = 10;
    /// Most second attempts saved up.
    const MAX: i64 = 20 * Self::COST;

    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(Self::MAX))
    }

    /// A call went well: a tenth of a second attempt.
    pub(crate) fn earn(&self) {
        // Full most of the time, and then nobody writes.
        if self.0.load(Ordering::Relaxed) < Self::MAX {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes one second attempt, if there is one.
    pub(crate) fn spend(&self) -> bool {
        let take = |left: i64| (left >= Self::COST).then(|| left - Self::COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}
