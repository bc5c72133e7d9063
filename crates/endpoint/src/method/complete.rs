//! `completion/complete` (server/utilities/completion).

use ferromcp_core::Operation;
use ferromcp_protocol::json::Object;

use super::call::{Wanted, run as call};
use crate::answer::Answer;
use crate::cx::Cx;

pub(super) async fn run(cx: &Cx<'_, '_>) -> Answer {
    let reference = match cx.params.get("ref").map(Object::parse) {
        Some(Ok(reference)) => reference,
        Some(Err(e)) => return cx.invalid(format!("`params.ref`: {e}")),
        None => return cx.invalid("`params.ref` is missing"),
    };
    let argument = match cx.params.get("argument").map(Object::parse) {
        Some(Ok(argument)) => argument,
        Some(Err(e)) => return cx.invalid(format!("`params.argument`: {e}")),
        None => return cx.invalid("`params.argument` is missing"),
    };
    if argument.get_str("name").is_none() || argument.get_str("value").is_none() {
        return cx.invalid("`params.argument` needs the strings `name` and `value`");
    }
    let (operation, member) = match reference.get_str("type").as_deref() {
        Some("ref/prompt") => (Operation::CompletePrompt, "name"),
        Some("ref/resource") => (Operation::CompleteResource, "uri"),
        _ => return cx.invalid("`params.ref.type` must be \"ref/prompt\" or \"ref/resource\""),
    };
    let Some(name) = reference.get_str(member) else {
        return cx.invalid(format!("`params.ref.{member}` must be a string"));
    };
    // The source reads argument and context out of the whole params.
    call(
        cx,
        Wanted {
            operation,
            name: &name,
            arguments: cx.params_raw,
            hints: None,
        },
    )
    .await
}
