//! The server's parts as a source of the gateway. One immutable object per listing: a change of the
//! parts makes a new one, so a call sees one state from start to end and takes no lock.

use std::collections::HashMap;
use std::sync::Arc;

use ferromcp_core::{CallContext, CallError, ErrorCode, Operation, Reply, Source, SourceFuture};

use crate::complete::Completers;
use crate::context::{Context, Ended, drive_task_body};
use crate::error::resource_not_found;
use crate::prompt::Prompt;
use crate::resource::{Resource, ResourceTemplate};
use crate::server::Shared;
use crate::task::{can_have_tasks, tasks_not_declared};
use crate::tool::{TaskSupport, Tool, finish};

pub(crate) struct ServerSource {
    pub(crate) tools: HashMap<Box<str>, Arc<Tool>>,
    pub(crate) resources: HashMap<Box<str>, Arc<Resource>>,
    pub(crate) templates: Vec<Arc<ResourceTemplate>>,
    pub(crate) prompts: HashMap<Box<str>, Arc<Prompt>>,
    pub(crate) server: Arc<Shared>,
}

impl Source for ServerSource {
    fn call<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        match cx.call.operation {
            Operation::CallTool => match self.tools.get(cx.local_name) {
                Some(tool) if tool.task.support.is_none() => tool.handler.call(cx, &self.server),
                Some(tool) => Box::pin(self.call_with_tasks(tool, cx)),
                None => unknown("tool", cx.local_name),
            },
            Operation::ReadResource => self.read(cx),
            Operation::GetPrompt => match self.prompts.get(cx.local_name) {
                Some(prompt) => prompt.handler.call(cx, &self.server),
                None => unknown("prompt", cx.local_name),
            },
            Operation::CompletePrompt => match self.prompts.get(cx.local_name) {
                Some(prompt) => complete(&prompt.completers, cx),
                None => unknown("prompt", cx.local_name),
            },
            Operation::CompleteResource => {
                match self.templates.iter().find(|t| t.template == cx.local_name) {
                    Some(template) => complete(&template.completers, cx),
                    // A plain resource has nothing to complete.
                    None => Box::pin(async move { Completers::default().answer(cx.call).await }),
                }
            }
            Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => {
                Box::pin(std::future::ready(self.server.tasks.call(&cx, &self.server)))
            }
        }
    }

    fn watch(&self, uri: &str, on: bool) {
        if let Some(watch) = &self.server.on_watch {
            watch(uri, on);
        }
    }
}

impl ServerSource {
    fn read<'a>(&'a self, cx: CallContext<'a>) -> SourceFuture<'a> {
        let uri = cx.local_name;
        if let Some(resource) = self.resources.get(uri) {
            return resource.handler.read(cx, &resource.facts, &self.server);
        }
        match self.templates.iter().find(|t| t.handler.fits(uri)) {
            Some(template) => template.handler.read(cx, &template.facts, &self.server),
            None => Box::pin(std::future::ready(Err(resource_not_found(cx.call.version, uri)))),
        }
    }

    async fn call_with_tasks(&self, tool: &Tool, cx: CallContext<'_>) -> Result<Reply, CallError> {
        let able = can_have_tasks(&cx);
        if !able {
            if tool.task.support == Some(TaskSupport::Required) {
                return Err(tasks_not_declared(cx.call.name));
            }
            return tool.handler.call(cx, &self.server).await;
        }
        let context = Context::new(&cx, &self.server, true);
        let mut body = tool.handler.start(&cx, context.clone())?;
        if !tool.task.when_asked {
            return self
                .server
                .tasks
                .create(&cx, &context, body, &self.server)
                .map_err(|(e, _)| e);
        }
        loop {
            match drive_task_body(cx, &context, body).await {
                Ended::Done(output) => return finish(output, Some(&context), cx.call.version),
                Ended::BecomeTask(running, wish) => {
                    match self.server.tasks.create(&cx, &context, running, &self.server) {
                        Ok(reply) => {
                            // The task runs already; its handler waits for this word.
                            let _ = wish.send(Ok(()));
                            return Ok(reply);
                        }
                        Err((refused, running)) => {
                            let _ = wish.send(Err(refused));
                            body = running;
                        }
                    }
                }
            }
        }
    }
}

fn complete<'a>(completers: &'a Completers, cx: CallContext<'a>) -> SourceFuture<'a> {
    Box::pin(completers.answer(cx.call))
}

/// Only if the catalog and the source disagree, which a change between two lookups cannot cause.
fn unknown<'a>(kind: &str, name: &str) -> SourceFuture<'a> {
    let error = CallError::new(ErrorCode::ToolNotFound, format!("Unknown {kind}: {name}"));
    Box::pin(std::future::ready(Err(error)))
}
