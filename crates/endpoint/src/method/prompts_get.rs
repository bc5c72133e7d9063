//! `prompts/get` (server/prompts).

use ferromcp_core::Operation;

use super::call::{Wanted, run as call};
use crate::answer::Answer;
use crate::cx::Cx;

pub(super) async fn run(cx: &Cx<'_, '_>) -> Answer {
    let name = match cx.required_str("name") {
        Ok(name) => name,
        Err(answer) => return answer,
    };
    let arguments = cx.params.get("arguments");
    call(
        cx,
        Wanted {
            operation: Operation::GetPrompt,
            name: &name,
            arguments,
            hints: None,
        },
    )
    .await
}
