//! Multi round-trip requests (2026-07-28 basic/patterns/mrtr): answers that come with a repeated
//! call, and results that ask for more.

use ferromcp_core::{Input, InputRequired, Principal};
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{RpcError, code};

use super::call::Wanted;
use crate::answer::Answer;
use crate::capability;
use crate::cx::Cx;
use crate::render;
use crate::seal::{Binding, Carried, Unsealed};

/// Most answers that one call can bring.
const MAX_ANSWERS: usize = 100;

/// What the client brought along: answers of this round and, sealed, of earlier ones. `None` on the
/// first round, and where the method does not ask.
pub(super) fn brought(cx: &Cx<'_, '_>, wanted: &Wanted<'_>) -> Result<Option<Input>, RpcError> {
    if !cx.modern() || !may_ask(wanted) {
        return Ok(None);
    }
    let (responses, state) = (cx.params.get("inputResponses"), cx.params.get("requestState"));
    if responses.is_none() && state.is_none() {
        return Ok(None);
    }
    let Carried { mut answers, state } = match state {
        Some(raw) => unseal(cx, wanted, raw)?,
        None => Carried::default(),
    };
    if let Some(raw) = responses {
        let object = Object::parse(raw).map_err(|e| invalid(format!("`params.inputResponses`: {e}")))?;
        for (key, answer) in object.iter() {
            if json::kind(answer) != "an object" {
                let found = json::kind(answer);
                let shown: String = key.chars().take(100).collect();
                return Err(invalid(format!(
                    "`params.inputResponses.{shown}` must be an object, found {found}"
                )));
            }
            // A question that was asked again has the newer answer.
            answers.retain(|(known, _)| known != key);
            answers.push((key.to_owned(), answer.to_owned()));
        }
    }
    if answers.len() > MAX_ANSWERS {
        return Err(invalid(format!(
            "more than {MAX_ANSWERS} answers in `params.inputResponses`"
        )));
    }
    Ok(Some(Input { answers, state }))
}

fn may_ask(wanted: &Wanted<'_>) -> bool {
    ferromcp_protocol::Method::parse(wanted.operation.method()).is_some_and(|m| m.may_ask_for_input())
}

fn unseal(cx: &Cx<'_, '_>, wanted: &Wanted<'_>, raw: &str) -> Result<Carried, RpcError> {
    let sealed = json::decode_str(raw).ok_or_else(|| invalid("`params.requestState` must be a string"))?;
    let principal = principal(cx)?;
    cx.endpoint
        .seal
        .open(&binding(wanted, &principal), &sealed)
        .map_err(|why| {
            tracing::warn!(?why, method = wanted.operation.method(), "request state refused");
            invalid(match why {
                Unsealed::Expired => "`params.requestState` has expired: start again without it",
                Unsealed::Forged | Unsealed::Foreign => {
                    "`params.requestState` is not valid for this request: start again without it"
                }
            })
        })
}

fn principal(cx: &Cx<'_, '_>) -> Result<Principal, RpcError> {
    let view = cx
        .endpoint
        .gateway
        .view(cx.incoming.credential)
        .map_err(|e| e.to_rpc())?;
    Ok(view.principal().clone())
}

fn binding<'a>(wanted: &Wanted<'a>, principal: &'a Principal) -> Binding<'a> {
    Binding {
        principal,
        method: wanted.operation.method(),
        name: wanted.name,
        arguments: wanted.arguments,
    }
}

/// The result that asks for input.
pub(super) fn required(
    cx: &Cx<'_, '_>,
    wanted: &Wanted<'_>,
    brought: Option<&Input>,
    needed: &InputRequired,
) -> Answer {
    if !cx.modern() || !may_ask(wanted) || (needed.requests.is_empty() && needed.state.is_none()) {
        let error = RpcError::new(
            code::INTERNAL_ERROR,
            format!(
                "{} asked for input in a way that this request cannot carry",
                wanted.name
            ),
        );
        return cx.error(&error);
    }
    let unable = needed
        .requests
        .iter()
        .find(|r| !capability::can_ask(r.kind, cx.capabilities, cx.version));
    if let Some(request) = unable {
        return cx.error(&capability::missing(capability::needed(request.kind)));
    }
    let mut members = Vec::with_capacity(256);
    members.extend_from_slice(b"\"resultType\":\"input_required\"");
    if !needed.requests.is_empty() {
        members.extend_from_slice(b",\"inputRequests\":{");
        for (i, request) in needed.requests.iter().enumerate() {
            if i > 0 {
                members.push(b',');
            }
            json::write_str(&mut members, &request.key);
            members.extend_from_slice(b":{");
            render::method_and_params(&mut members, request.kind.method(), &request.params);
            members.push(b'}');
        }
        members.push(b'}');
    }
    let kept = brought.filter(|_| !needed.forget_answers);
    let earlier = kept.map(|b| b.answers.clone()).unwrap_or_default();
    if needed.state.is_some() || !earlier.is_empty() {
        let carried = Carried {
            answers: earlier,
            state: needed.state.clone(),
        };
        match seal(cx, wanted, carried) {
            Ok(sealed) => {
                members.extend_from_slice(b",\"requestState\":");
                json::write_str(&mut members, &sealed);
            }
            Err(error) => return cx.error(&error),
        }
    }
    Answer::json(render::modern_raw(cx.id, &members, &cx.dress.meta_member))
}

fn seal(cx: &Cx<'_, '_>, wanted: &Wanted<'_>, carried: Carried) -> Result<String, RpcError> {
    let principal = principal(cx)?;
    cx.endpoint
        .seal
        .seal(&binding(wanted, &principal), carried)
        .ok_or_else(|| {
            RpcError::new(
                code::INTERNAL_ERROR,
                "request state cannot be sealed: the system gives no random numbers",
            )
        })
}

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, message)
}
