//! `tasks/get`, `tasks/update`, `tasks/cancel` (tasks extension, SEP-2663).

use ferromcp_core::Operation;
use ferromcp_protocol::Method;
use ferromcp_protocol::json::Object;

use super::call::{Wanted, run as call};
use crate::answer::Answer;
use crate::cx::Cx;

pub(super) async fn run(cx: &Cx<'_, '_>, method: Method) -> Answer {
    let id = match cx.required_str("taskId") {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let (operation, arguments) = match method {
        Method::TasksGet => (Operation::GetTask, None),
        Method::TasksUpdate => {
            // What the source gets as arguments is the map of answers.
            let answers = cx.params.get("inputResponses");
            match answers.map(Object::parse) {
                Some(Ok(_)) => (Operation::UpdateTask, answers),
                Some(Err(e)) => return cx.invalid(format!("`params.inputResponses`: {e}")),
                None => return cx.invalid("`params.inputResponses` is missing"),
            }
        }
        _ => (Operation::CancelTask, None),
    };
    call(
        cx,
        Wanted {
            operation,
            name: &id,
            arguments,
            hints: None,
        },
    )
    .await
}
