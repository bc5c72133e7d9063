//! One call: arguments to a message, and what comes back to a result.

use std::time::Duration;

use ferromcp_core::{CallContext, CallError, ErrorCode, Issue, Payload, Progress, Reply};
use ferromcp_protocol::json;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use tokio::time::Instant;
use tonic::client::Grpc as Client;
use tonic::{Request, Status, Streaming};

use crate::channel::Channel;
use crate::codec::Dynamic;
use crate::status;
use crate::tools::Method;

/// Largest message, either way; also the sum of a stream.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Most messages of a stream that become a result.
const MAX_MESSAGES: usize = 1_000;

pub(crate) async fn call(
    channel: &Channel,
    method: &Method,
    cx: &CallContext<'_>,
) -> Result<Reply, CallError> {
    let server = &*channel.server;
    let message = message(method.descriptor.input(), cx.arguments.raw)?;
    let mut request = Request::new(message);
    // The gateway's own deadline is what ends the call; the server should know of it.
    let left = cx.deadline.end().saturating_duration_since(Instant::now());
    request.set_timeout(left.max(Duration::from_millis(1)));
    let mut client = Client::with_origin(channel.clone(), channel.http.origin().clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let codec = Dynamic(method.descriptor.output());
    let path = method.path.clone();
    let answer = match method.descriptor.is_server_streaming() {
        false => {
            let answer = client.unary(request, path, codec).await;
            match answer {
                Ok(answer) => written(server, answer.get_ref())?,
                Err(status) => return status::reply(server, &status),
            }
        }
        true => {
            let stream = client.server_streaming(request, path, codec).await;
            match collected(server, cx, stream.map(tonic::Response::into_inner)).await? {
                Ok(text) => text,
                Err(status) => return status::reply(server, &status),
            }
        }
    };
    let content = format!(r#"[{{"type":"text","text":{}}}]"#, json::quote(&answer));
    let structured = answer.starts_with('{').then_some(answer.as_str());
    Ok(Reply::Complete(Payload::tool(&content, structured, false, None)))
}

/// All messages of a stream, as far as there is room. Each one is a sign of life.
async fn collected(
    server: &str,
    cx: &CallContext<'_>,
    stream: Result<Streaming<DynamicMessage>, Status>,
) -> Result<Result<String, Status>, CallError> {
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(status) => return Ok(Err(status)),
    };
    let mut out = String::from("{\"messages\":[");
    let mut count = 0;
    let truncated = loop {
        match stream.message().await {
            Err(status) => return Ok(Err(status)),
            Ok(None) => break false,
            Ok(Some(_)) if count >= MAX_MESSAGES => break true,
            Ok(Some(message)) => {
                let text = written(server, &message)?;
                if out.len() + text.len() > MAX_MESSAGE {
                    break true;
                }
                if count > 0 {
                    out.push(',');
                }
                out.push_str(&text);
                count += 1;
                cx.progress(&Progress {
                    progress: count as f64,
                    total: None,
                    message: None,
                });
            }
        }
    };
    out.push(']');
    if truncated {
        out.push_str(",\"truncated\":true");
    }
    out.push('}');
    Ok(Ok(out))
}

/// The message that arguments are.
pub(crate) fn message(kind: MessageDescriptor, raw: &str) -> Result<DynamicMessage, CallError> {
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut reader = serde_json::Deserializer::from_str(raw);
    DynamicMessage::deserialize_with_options(kind, &mut reader, &options).map_err(|e| {
        let message = e.to_string();
        CallError::new(
            ErrorCode::InvalidArguments,
            format!("arguments do not fit the message: {message}"),
        )
        .with_rule("grpc.arguments")
        .with_issues(vec![Issue {
            pointer: String::new(),
            message,
        }])
    })
}

/// A message as JSON, with all its fields.
pub(crate) fn written(server: &str, message: &DynamicMessage) -> Result<String, CallError> {
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut out = Vec::new();
    let mut writer = serde_json::Serializer::new(&mut out);
    let written = message
        .serialize_with_options(&mut writer, &options)
        .map_err(|e| e.to_string())
        .and_then(|()| String::from_utf8(out).map_err(|e| e.to_string()));
    written.map_err(|e| {
        let text = format!("server `{server}`: its answer cannot be written as JSON: {e}");
        CallError::new(ErrorCode::UpstreamError, text)
            .with_rule("upstream.protocol")
            .maybe_ran()
    })
}
