//! Which call waits for which.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::reference::{self, Reference};
use super::{
    BatchCall, BatchRequest, MAX_CALLS, MAX_ID, MAX_PARALLEL, RULE_CALLS, RULE_CYCLE, RULE_DUPLICATE_ID,
    RULE_REFERENCE, refused,
};
use crate::error::{CallError, ErrorCode};

/// A batch that can be run: its ids are unique, its references lead to other calls of it, and no call waits for itself.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub(super) calls: Vec<Planned<'a>>,
    pub(super) parallel: usize,
    pub(super) stop_on_error: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) tenant: Option<Cow<'a, str>>,
}

/// One call, with its neighbours.
#[derive(Clone, Debug)]
pub(super) struct Planned<'a> {
    pub(super) call: BatchCall<'a>,
    /// References in its arguments, and the places of the calls that they mean.
    pub(super) references: Vec<(Reference<'a>, u32)>,
    /// Calls that wait for this one, each once.
    pub(super) dependants: Vec<u32>,
    /// How many calls it waits for.
    pub(super) waits_for: u32,
}

impl<'a> Batch<'a> {
    /// Checks a batch and finds its order.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] with the rule and the place: no calls, an id twice, a reference to nothing, calls that
    /// wait for one another. [`ErrorCode::PayloadTooLarge`] for more than [`MAX_CALLS`].
    pub fn plan(request: BatchRequest<'a>) -> Result<Self, CallError> {
        let BatchRequest {
            calls,
            parallel,
            stop_on_error,
            timeout,
            tenant,
        } = request;
        let size = |code, message: &str| refused(code, Some(RULE_CALLS), "/requests".into(), message.into());
        if calls.is_empty() {
            return Err(size(
                ErrorCode::InvalidRequest,
                "there are no calls; send at least one",
            ));
        }
        if calls.len() > MAX_CALLS {
            let message = format!(
                "there are {} calls, the limit is {MAX_CALLS}; send several batches",
                calls.len()
            );
            return Err(size(ErrorCode::PayloadTooLarge, &message));
        }
        let ids = ids(&calls)?;
        let mut planned = Vec::with_capacity(calls.len());
        for (at, call) in calls.iter().enumerate() {
            planned.push(Planned {
                call: call.clone(),
                references: references(at, call, &ids)?,
                dependants: Vec::new(),
                waits_for: 0,
            });
        }
        link(&mut planned);
        refuse_cycles(&planned)?;
        Ok(Self {
            calls: planned,
            parallel: parallel.clamp(1, MAX_PARALLEL),
            stop_on_error,
            timeout,
            tenant,
        })
    }

    /// Number of calls.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Never: a batch has calls.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The id of the call at a place, if it has one.
    pub fn id(&self, at: usize) -> Option<&str> {
        self.calls.get(at)?.call.id.as_deref()
    }
}

type Ids<'c> = HashMap<&'c str, u32, RandomState>;

fn ids<'c>(calls: &'c [BatchCall<'_>]) -> Result<Ids<'c>, CallError> {
    let mut ids = Ids::default();
    for (at, call) in calls.iter().enumerate() {
        let Some(id) = call.id.as_deref() else { continue };
        let wrong = |rule, message| {
            let pointer = format!("/requests/{at}/id");
            Err(refused(ErrorCode::InvalidRequest, rule, pointer, message))
        };
        if id.is_empty() || id.len() > MAX_ID {
            let message = format!("an id has 1 to {MAX_ID} bytes, this one has {}", id.len());
            return wrong(None, message);
        }
        if let Some(first) = ids.insert(id, at as u32) {
            let message = format!("the id `{id}` is that of /requests/{first} already; ids are unique");
            return wrong(Some(RULE_DUPLICATE_ID), message);
        }
    }
    Ok(ids)
}

fn references<'a>(
    at: usize,
    call: &BatchCall<'a>,
    ids: &Ids<'_>,
) -> Result<Vec<(Reference<'a>, u32)>, CallError> {
    let Some(raw) = call.arguments else {
        return Ok(Vec::new());
    };
    let wrong = |message| {
        let pointer = format!("/requests/{at}/arguments");
        refused(ErrorCode::InvalidRequest, Some(RULE_REFERENCE), pointer, message)
    };
    let found = reference::find(raw).map_err(wrong)?;
    let known = found.into_iter().map(|reference| match ids.get(&*reference.id) {
        Some(&to) => Ok((reference, to)),
        None => {
            let shown: String = reference.id.chars().take(64).collect();
            Err(wrong(format!("no call of this batch has the id `{shown}`")))
        }
    });
    known.collect()
}

/// Tells every call who waits for it.
fn link(calls: &mut [Planned<'_>]) {
    for at in 0..calls.len() {
        if calls[at].references.is_empty() {
            continue;
        }
        let mut needed: Vec<u32> = calls[at].references.iter().map(|(_, to)| *to).collect();
        needed.sort_unstable();
        needed.dedup();
        calls[at].waits_for = needed.len() as u32;
        for to in needed {
            calls[to as usize].dependants.push(at as u32);
        }
    }
}

fn refuse_cycles(calls: &[Planned<'_>]) -> Result<(), CallError> {
    let mut waits: Vec<u32> = calls.iter().map(|c| c.waits_for).collect();
    let mut free: Vec<usize> = (0..calls.len()).filter(|&at| waits[at] == 0).collect();
    let mut done = 0;
    while let Some(at) = free.pop() {
        done += 1;
        for &next in &calls[at].dependants {
            waits[next as usize] -= 1;
            if waits[next as usize] == 0 {
                free.push(next as usize);
            }
        }
    }
    if done == calls.len() {
        return Ok(());
    }
    let circle = circle(calls, &waits);
    let first = circle.first().copied().unwrap_or_default();
    let names: Vec<&str> = circle.iter().map(|&at| name(calls, at)).collect();
    let shown = match names.len() {
        0..=8 => names.join(" -> "),
        n => format!("{} -> ... ({n} calls)", names[..8].join(" -> ")),
    };
    Err(refused(
        ErrorCode::InvalidRequest,
        Some(RULE_CYCLE),
        format!("/requests/{first}/arguments"),
        format!("calls wait for one another: {shown} -> {}", name(calls, first)),
    ))
}

/// One circle of calls that wait for one another: whoever follows what is still waited for comes to one.
fn circle(calls: &[Planned<'_>], waits: &[u32]) -> Vec<usize> {
    let mut seen = vec![usize::MAX; calls.len()];
    let mut path = Vec::new();
    let Some(mut at) = waits.iter().position(|&n| n > 0) else {
        return path;
    };
    while seen[at] == usize::MAX {
        seen[at] = path.len();
        path.push(at);
        let next = calls[at].references.iter().map(|(_, to)| *to as usize);
        match next.into_iter().find(|&to| waits[to] > 0) {
            Some(to) => at = to,
            None => return path,
        }
    }
    path.split_off(seen[at])
}

fn name<'c>(calls: &'c [Planned<'_>], at: usize) -> &'c str {
    calls[at].call.id.as_deref().unwrap_or("(no id)")
}
