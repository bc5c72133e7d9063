//! Questions that servers have for the user of a call: what they need, who can be asked, and how they are written in
//! each era.

use ferromcp_core::{
    CallContext, CallError, ErrorCode, InputKind, InputRequest, Interaction, Operation, Principal,
};
use ferromcp_protocol::error::write_error_response;
use ferromcp_protocol::json::{self, Object};
use ferromcp_protocol::{ProtocolVersion, RpcError, code};

use crate::wire::{self, Writer};

/// A request that a legacy server makes during a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Raw JSON id, the server's own.
    pub(crate) id: Box<str>,
    pub(crate) method: Box<str>,
    /// Raw JSON object.
    pub(crate) params: Box<str>,
    /// Whose else it could be, if unlikely.
    pub(crate) others: Vec<Principal>,
}

/// True for the requests of servers that go on to callers.
pub(crate) fn is_relayed(method: &str) -> bool {
    matches!(
        method,
        "sampling/createMessage" | "elicitation/create" | "roots/list"
    )
}

/// What kind of input a request asks for; `None` for what is not relayed.
pub(crate) fn kind(method: &str, params: &Object<'_>) -> Option<InputKind> {
    match method {
        "sampling/createMessage" => Some(InputKind::Sample),
        "roots/list" => Some(InputKind::Roots),
        "elicitation/create" => match params.get_str("mode").as_deref() {
            None | Some("form") => Some(InputKind::ElicitForm),
            Some("url") => Some(InputKind::ElicitUrl),
            Some(_) => None,
        },
        _ => None,
    }
}

/// Whether the caller of a call can be asked for this; else what it lacks.
fn able(cx: &CallContext<'_>, kind: InputKind, params: &Object<'_>) -> Result<(), &'static str> {
    let client = cx.call.client;
    if client.interaction() == Interaction::None {
        return Err("its caller cannot be asked for anything while a call runs");
    }
    let (capabilities, version) = (client.capabilities(), cx.call.version);
    let able = match kind {
        InputKind::ElicitForm => capabilities.elicitation_form && version.has_elicitation(),
        InputKind::ElicitUrl => capabilities.elicitation_url && version.has_url_elicitation(),
        InputKind::Sample if params.get("tools").is_some() || params.get("toolChoice").is_some() => {
            capabilities.sampling && capabilities.sampling_tools
        }
        InputKind::Sample => capabilities.sampling,
        InputKind::Roots => capabilities.roots,
    };
    match (able, kind) {
        (true, _) => Ok(()),
        (_, InputKind::ElicitForm) => Err("its caller did not declare elicitation with forms"),
        (_, InputKind::ElicitUrl) => Err("its caller did not declare elicitation with URLs"),
        (_, InputKind::Sample) => Err("its caller did not declare such sampling"),
        (_, InputKind::Roots) => Err("its caller did not declare roots"),
    }
}

/// The question as the caller of this call gets it, under the name `key`; or why it cannot be asked.
pub(crate) fn for_caller(
    cx: &CallContext<'_>,
    question: &Question,
    key: String,
) -> Result<InputRequest, RpcError> {
    if question.others.iter().any(|other| other != cx.principal) {
        return Err(nobodys(question));
    }
    let params = Object::parse(&question.params)
        .map_err(|e| RpcError::new(code::INVALID_PARAMS, format!("`params`: {e}")))?;
    let kind = kind(&question.method, &params)
        .ok_or_else(|| RpcError::new(code::INVALID_PARAMS, "`params.mode` must be \"form\" or \"url\""))?;
    able(cx, kind, &params).map_err(|lacks| {
        RpcError::new(
            code::METHOD_NOT_FOUND,
            format!("`{}` is not possible in this call: {lacks}", question.method),
        )
    })?;
    Ok(InputRequest {
        key,
        kind,
        params: in_era(kind, &question.params, &params, cx.call.version),
    })
}

/// The params as the caller's revision knows them: before 2026-07-28 a URL elicitation has an id of its own.
pub(crate) fn in_era(kind: InputKind, raw: &str, params: &Object<'_>, version: ProtocolVersion) -> String {
    const ID: &str = "elicitationId";
    if kind != InputKind::ElicitUrl || params.get(ID).is_some() != version.is_modern() {
        return raw.to_owned();
    }
    let mut out = String::with_capacity(raw.len() + 64);
    out.push('{');
    if !version.is_modern() {
        let id = ferromcp_core::RequestId::next();
        out.push_str(&format!("\"{ID}\":\"{id}\""));
    }
    for (key, raw) in params.iter().filter(|(key, _)| *key != ID) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&json::quote(key));
        out.push(':');
        out.push_str(raw);
    }
    out.push('}');
    out
}

/// The response to a question. `id` is raw JSON.
pub(crate) fn answered(id: &str, result: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(result.len() + id.len() + 40);
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":");
    out.extend_from_slice(result.as_bytes());
    out.push(b'}');
    out
}

/// The response to a question that has no answer.
pub(crate) fn refused(id: &str, error: &RpcError) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_error_response(&mut out, Some(id), error);
    out
}

/// The response to a question that no call can be named for.
pub(crate) fn unattributed(question: &Question) -> Vec<u8> {
    refused(&question.id, &nobodys(question))
}

fn nobodys(question: &Question) -> RpcError {
    let text = format!(
        "`{}` cannot be passed on: a gateway asks the caller of a call, and it cannot tell which call this belongs to \
         (none is running, or several of different callers are)",
        question.method
    );
    RpcError::new(code::UNAVAILABLE, text)
}

/// The response that tells how the caller answered.
pub(crate) fn response(id: &str, answer: Result<Box<str>, CallError>) -> Vec<u8> {
    match answer {
        Ok(result) => answered(id, &result),
        Err(error) => refused(id, &error.to_rpc()),
    }
}

/// Appends what of the caller's capabilities can be relayed, for `_meta` of 2026-07-28: what the caller of this very
/// call can do, and no more. `tasks`: it can have tasks, or its call is about one.
pub(crate) fn write_capabilities(out: &mut Writer, cx: &CallContext<'_>, tasks: bool) {
    const KEY: &str = "io.modelcontextprotocol/clientCapabilities";
    let client = cx.call.client;
    let (able, version) = (client.capabilities(), cx.call.version);
    out.raw(KEY, "{");
    let mut comma = "";
    let mut say = |out: &mut Writer, what: &str| {
        if !what.is_empty() {
            out.more(comma);
            out.more(what);
            comma = ",";
        }
    };
    let about_task = matches!(
        cx.call.operation,
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask
    );
    // What a task asks is answered by another request than the one that hears of it.
    if client.interaction() != Interaction::None || about_task {
        let form = able.elicitation_form && version.has_elicitation();
        let url = able.elicitation_url && version.has_url_elicitation();
        let elicitation = match (form, url) {
            (true, true) => "\"elicitation\":{\"form\":{},\"url\":{}}",
            (true, false) => "\"elicitation\":{\"form\":{}}",
            (false, true) => "\"elicitation\":{\"url\":{}}",
            (false, false) => "",
        };
        let sampling = match (able.sampling, able.sampling_tools) {
            (true, true) => "\"sampling\":{\"tools\":{}}",
            (true, false) => "\"sampling\":{}",
            _ => "",
        };
        say(out, elicitation);
        say(out, sampling);
        if able.roots {
            say(out, "\"roots\":{}");
        }
    }
    if tasks {
        say(out, wire::TASKS);
    }
    out.more("}");
}

/// The error of a call whose server asked in a way that cannot be relayed.
pub(crate) fn broken(name: &str, what: impl std::fmt::Display) -> CallError {
    CallError::new(ErrorCode::UpstreamError, format!("server `{name}`: {what}"))
        .with_rule("upstream.protocol")
        .maybe_ran()
}

#[cfg(test)]
mod tests;
