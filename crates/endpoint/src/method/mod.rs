//! One file per MCP method, or per group of methods that differ only in a name.

mod call;
mod complete;
mod discover;
mod initialize;
mod input;
mod list;
mod listen;
mod prompts_get;
mod resources_read;
mod set_level;
mod subscribe;
mod tasks;
mod tools_call;

use ferromcp_protocol::Method;

use crate::answer::Answer;
use crate::cx::Cx;
use crate::modern;

pub(crate) use initialize::{
    connection as initialize_connection, http as initialize_http, twice as initialized_twice,
};

/// Runs the method of a request that passed the checks of its era.
pub(crate) async fn run(cx: &Cx<'_, '_>, method: Method) -> Answer {
    match method {
        Method::ToolsCall => tools_call::run(cx).await,
        Method::ResourcesRead => resources_read::run(cx).await,
        Method::PromptsGet => prompts_get::run(cx).await,
        Method::Complete => complete::run(cx).await,
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => tasks::run(cx, method).await,
        Method::ToolsList => list::tools(cx),
        Method::ResourcesList => list::resources(cx),
        Method::ResourceTemplatesList => list::templates(cx),
        Method::PromptsList => list::prompts(cx),
        Method::Discover => discover::run(cx),
        Method::Listen => listen::run(cx),
        Method::Ping => cx.result(b""),
        Method::SetLevel => set_level::run(cx),
        Method::ResourcesSubscribe => subscribe::on(cx),
        Method::ResourcesUnsubscribe => subscribe::off(cx),
        // Handled before there is a context, or notifications sent with an id.
        Method::Initialize
        | Method::Initialized
        | Method::Cancelled
        | Method::Progress
        | Method::RootsListChanged => cx.error(&modern::method_not_found(method.as_str())),
    }
}
