//! `tools/call` (server/tools).

use ferromcp_core::Operation;

use super::call::{Wanted, run as call};
use crate::answer::Answer;
use crate::cx::Cx;

pub(super) async fn run(cx: &Cx<'_, '_>) -> Answer {
    let name = match cx.required_str("name") {
        Ok(name) => name,
        Err(answer) => return answer,
    };
    // Absent arguments are `{}`; what is there and no object is refused by the pipeline, in a way
    // that a model can read.
    let arguments = cx.params.get("arguments");
    call(
        cx,
        Wanted {
            operation: Operation::CallTool,
            name: &name,
            arguments,
            hints: None,
        },
    )
    .await
}
