//! One call to a mounted rmcp handler.

use std::future::Future;
use std::pin::Pin;

use ferromcp_core::{
    CallContext, CallError, ErrorCode, InputRequest, Interaction, LogMessage, Operation, Payload, Progress,
    Reply,
};
use ferromcp_protocol::json::quote;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::wire::{Report, Wire, members};

type Asks<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>;

pub(super) async fn call(wire: &Wire, cx: CallContext<'_>) -> Result<Reply, CallError> {
    let direct = cx.call.client.interaction() == Interaction::Direct;
    // The guard takes the call out of the connection however it ends.
    let (entered, mut reports) = wire.enter(direct);
    let (method, params) = request(&cx, entered.id)?;
    let answer = wire.request_as(entered.id, method, &params);
    let mut answer = std::pin::pin!(answer);
    let mut asks: Asks<'_> = FuturesUnordered::new();
    let result = loop {
        tokio::select! {
            // Reports that came before the answer are passed on before it.
            biased;
            Some(report) = reports.recv() => match report {
                Report::Progress { progress, total, message } => {
                    cx.progress(&Progress { progress, total, message: message.as_deref() });
                }
                Report::Log { level, logger, data } => {
                    cx.log(&LogMessage { level, logger: logger.as_deref(), data: &data });
                }
                Report::Ask { id, kind, params } => asks.push(Box::pin(async move {
                    let request = InputRequest { key: format!("rmcp-{id}"), kind, params };
                    let answer = cx.ask(&request).await;
                    wire.reply(&id, answer);
                })),
            },
            Some(()) = asks.next(), if !asks.is_empty() => {}
            answer = &mut answer => break answer?,
        }
    };
    let payload = Payload::relayed(result.into_string().into_bytes()).map_err(|e| {
        CallError::new(
            ErrorCode::UpstreamError,
            format!("the rmcp server's result is malformed: {e}"),
        )
        .maybe_ran()
    })?;
    Ok(Reply::Complete(payload))
}

/// Method and raw params, with our number as the progress token.
fn request(cx: &CallContext<'_>, token: u64) -> Result<(&'static str, String), CallError> {
    let name = quote(cx.local_name);
    let arguments = cx.arguments.raw;
    let raw = cx.call.params.unwrap_or("{}");
    let body = match cx.call.operation {
        Operation::CallTool | Operation::GetPrompt => format!("\"name\":{name},\"arguments\":{arguments}"),
        Operation::ReadResource => format!("\"uri\":{name}"),
        Operation::CompletePrompt => {
            let rest = members(raw, &["argument", "context"]);
            format!("\"ref\":{{\"type\":\"ref/prompt\",\"name\":{name}}}{rest}")
        }
        Operation::CompleteResource => {
            let rest = members(raw, &["argument", "context"]);
            format!("\"ref\":{{\"type\":\"ref/resource\",\"uri\":{name}}}{rest}")
        }
        Operation::GetTask | Operation::UpdateTask | Operation::CancelTask => {
            return Err(CallError::new(
                ErrorCode::ToolNotFound,
                format!("Unknown task: {}", cx.call.name),
            ));
        }
    };
    Ok((
        cx.call.operation.method(),
        format!("{{{body},\"_meta\":{{\"progressToken\":{token}}}}}"),
    ))
}
