//! Calls in several rounds: a server of 2026-07-28 ends a call with what it wants to know, and is called again with the
//! answers (basic/patterns/mrtr). Legacy callers are asked by requests; others pass the rounds on.

use ferromcp_core::{
    CallContext, CallError, ErrorCode, Input, InputKind, InputRequest, InputRequired, Interaction, Reply,
};
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{RpcError, code};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::ask;
use crate::session::Session;
use crate::tasks::Shown;
use crate::wire::member;

/// Most rounds of one call of a legacy caller.
const MAX_ROUNDS: usize = 10;
/// Most questions of one round.
const MAX_QUESTIONS: usize = 100;

/// What goes through the caller between two rounds, sealed by the door.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// The state of a server of 2026-07-28.
    Server { server: String, state: Option<String> },
    /// A call that a legacy server has not ended.
    Parked { node: u64, id: u64 },
    /// Nothing runs: a legacy server wants URLs to be visited before it is called again.
    Visits { server: String, keys: Vec<String> },
}

impl State {
    pub(crate) fn write(&self) -> String {
        // Writing plain data to a string cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn of(input: &Input) -> Option<Self> {
        serde_json::from_str(input.state.as_deref()?).ok()
    }

    /// The call that waits for what this call brings.
    pub(crate) fn parked(input: &Input) -> Option<(u64, u64)> {
        match Self::of(input)? {
            Self::Parked { node, id } => Some((node, id)),
            Self::Server { .. } | Self::Visits { .. } => None,
        }
    }
}

/// What a server of 2026-07-28 wants to know.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    requests: Vec<InputRequest>,
    state: Option<String>,
}

/// What is added to the params of the next round, both as raw JSON.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) responses: Option<String>,
    pub(crate) state: Option<String>,
}

impl Wanted {
    pub(crate) fn requests(&self) -> &[InputRequest] {
        &self.requests
    }

    /// Reads an `input_required` result.
    pub(crate) fn read(server: &str, result: &Object<'_>, cx: &CallContext<'_>) -> Result<Self, CallError> {
        let bad = |what: String| ask::broken(server, what);
        let mut requests = Vec::new();
        if let Some(raw) = result.get("inputRequests") {
            let object = Object::parse(raw).map_err(|e| bad(format!("`inputRequests`: {e}")))?;
            if object.len() > MAX_QUESTIONS {
                return Err(bad(format!(
                    "it asks more than {MAX_QUESTIONS} questions at a time"
                )));
            }
            for (key, raw) in object.iter() {
                requests.push(question(key, raw, cx).map_err(bad)?);
            }
        }
        let state = result.get_str("requestState").map(|state| state.into_owned());
        if requests.is_empty() && state.is_none() {
            return Err(bad("it asks for input, but for none in particular".into()));
        }
        Ok(Self { requests, state })
    }
}

fn question(key: &str, raw: &str, cx: &CallContext<'_>) -> Result<InputRequest, String> {
    let request = Object::parse(raw).map_err(|e| format!("an input request: {e}"))?;
    let method = request.get_str("method").unwrap_or_default();
    let raw = request.get("params").unwrap_or("{}");
    let params = Object::parse(raw).map_err(|e| format!("`params` of an input request: {e}"))?;
    let Some(kind) = ask::kind(&method, &params) else {
        let shown: String = method.chars().take(50).collect();
        return Err(format!(
            "it asks for `{}`, which is not known here",
            shown.escape_debug()
        ));
    };
    Ok(InputRequest {
        key: key.to_owned(),
        kind,
        params: ask::in_era(kind, raw, &params, cx.call.version),
    })
}

/// What the caller brought for this round, if the server is one that takes it.
pub(crate) fn brought(server: &str, input: &Input) -> Result<Brought, CallError> {
    let state = match State::of(input) {
        Some(State::Server { server: of, state }) if of == server => state.map(|state| json::quote(&state)),
        None if input.state.is_none() => None,
        _ => return Err(stale()),
    };
    let answers = input.answers.iter();
    let responses = responses(answers.map(|(key, raw)| (key.as_str(), raw.as_str())));
    Ok(Brought {
        responses: (!input.answers.is_empty()).then_some(responses),
        state,
    })
}

/// Checks what the caller brought for a legacy server: all URLs that it named were visited.
pub(crate) fn visited(server: &str, input: &Input) -> Result<(), CallError> {
    let keys = match State::of(input) {
        Some(State::Visits { server: of, keys }) if of == server => keys,
        None if input.state.is_none() => return Ok(()),
        _ => return Err(stale()),
    };
    let accepted = |key: &String| {
        let answer = input.answer(key).and_then(|raw| Object::parse(raw).ok());
        answer.and_then(|answer| answer.get_str("action")).as_deref() == Some("accept")
    };
    if keys.iter().all(accepted) {
        return Ok(());
    }
    Err(CallError::new(
        ErrorCode::InvalidRequest,
        format!("server `{server}` can only be called after its URL was visited, which was not agreed to"),
    )
    .with_rule("relay.declined"))
}

fn stale() -> CallError {
    CallError::new(
        ErrorCode::InvalidRequest,
        "`requestState` belongs to another server, or to one that was replaced since: start again without it",
    )
    .with_rule("relay.state")
}

/// `inputResponses`, from keys and raw answers.
pub(crate) fn responses<'a>(answers: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (key, raw) in answers {
        member(&mut out, key, raw);
    }
    out.push('}');
    out
}

/// Goes on with a call whose server asked: to the end, until it becomes a task, or until the caller has to call again.
pub(crate) async fn go_on(
    session: &Session,
    cx: &CallContext<'_>,
    mut wanted: Wanted,
) -> Result<Turn, CallError> {
    match cx.call.client.interaction() {
        Interaction::RoundTrip => return Ok(Turn::Over(passed_on(&session.name, wanted))),
        Interaction::None => {
            return Err(ask::broken(
                &session.name,
                "it asked for input, and was told that this caller has none; the call has not ended",
            ));
        }
        Interaction::Direct => {}
    }
    for _ in 0..MAX_ROUNDS {
        let asked = wanted.requests.iter().map(|request| cx.ask(request));
        let answers = try_join_all(asked).await?;
        let keys = wanted.requests.iter().map(|request| request.key.as_str());
        let responses = responses(keys.zip(answers.iter().map(AsRef::as_ref)));
        let brought = Brought {
            responses: (!answers.is_empty()).then_some(responses),
            state: wanted.state.as_deref().map(json::quote),
        };
        match session.round(cx, Some(&brought)).await? {
            Turn::Wants(more) => wanted = more,
            last => return Ok(last),
        }
    }
    Err(ask::broken(
        &session.name,
        format!("it asked for input more than {MAX_ROUNDS} times in one call"),
    ))
}

/// One round of a call.
#[derive(Debug)]
pub(crate) enum Turn {
    Over(Reply),
    Wants(Wanted),
    /// It goes on as a task.
    Task(Shown),
}

fn passed_on(server: &str, wanted: Wanted) -> Reply {
    let state = State::Server {
        server: server.to_owned(),
        state: wanted.state,
    };
    Reply::InputRequired(InputRequired {
        requests: wanted.requests,
        state: Some(state.write()),
        forget_answers: true,
    })
}

/// A legacy server refused the call until URLs are visited (2025-11-25 client/elicitation, "URLElicitationRequiredError"):
/// what a caller of 2026-07-28 is asked instead. `None` if it cannot be asked.
pub(crate) fn visits(server: &str, error: &RpcError, cx: &CallContext<'_>) -> Option<Reply> {
    let client = cx.call.client;
    if error.code != code::LEGACY_URL_ELICITATION_REQUIRED
        || client.interaction() != Interaction::RoundTrip
        || !client.capabilities().elicitation_url
    {
        return None;
    }
    let data = Object::parse(error.data.as_deref()?).ok()?;
    let urls = json::elements(data.get("elicitations")?, MAX_QUESTIONS).ok()?;
    let mut requests = Vec::with_capacity(urls.len());
    for raw in urls {
        let params = Object::parse(raw).ok()?;
        params.get_str("url")?;
        requests.push(InputRequest {
            key: format!("url{}", requests.len() + 1),
            kind: InputKind::ElicitUrl,
            params: ask::in_era(InputKind::ElicitUrl, raw, &params, cx.call.version),
        });
    }
    if requests.is_empty() {
        return None;
    }
    let state = State::Visits {
        server: server.to_owned(),
        keys: requests.iter().map(|request| request.key.clone()).collect(),
    };
    Some(Reply::InputRequired(InputRequired {
        requests,
        state: Some(state.write()),
        forget_answers: true,
    }))
}

#[cfg(test)]
mod tests;
