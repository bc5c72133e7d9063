//! The answer of the server as a result, or as an error that says whose fault it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferromcp_core::{CallError, ErrorCode, Payload, Reply};
use ferromcp_protocol::json;
use ferromcp_upstream::transport::http::{Exchanged, refused_by_status};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// Most bytes of an error's content that the model sees.
const MAX_ERROR: usize = 16 * 1024;
/// Most bytes of it in the message of an error.
const MAX_WORDS: usize = 200;

/// What an answer means. `server`: its name, for messages.
pub(crate) fn reply(server: &str, answer: &Exchanged) -> Result<Reply, CallError> {
    let status = answer.status;
    if let Some(coding) = answer.headers.get(CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let text = format!("server `{server}`: its answer is compressed, and nobody asked for that");
        return Err(CallError::new(ErrorCode::UpstreamError, text)
            .with_rule("upstream.protocol")
            .maybe_ran());
    }
    if status.is_success() {
        return success(server, answer);
    }
    match status {
        // It would be the same for every call, or it is worth trying later.
        StatusCode::UNAUTHORIZED
        | StatusCode::PROXY_AUTHENTICATION_REQUIRED
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let words = words(answer);
            Err(refused_by_status(server, answer, words))
        }
        _ if status.is_client_error() => Ok(Reply::Complete(Payload::error_text(&refusal(answer)))),
        _ => {
            let mut text = format!("server `{server}`: it answered HTTP {}", shown(status));
            let words = words(answer);
            if !words.is_empty() {
                text.push_str(": ");
                text.push_str(&words);
            }
            // Of this call; the next one may be well.
            Err(CallError::new(ErrorCode::UpstreamError, text)
                .with_rule("upstream.answer")
                .maybe_ran())
        }
    }
}

fn success(server: &str, answer: &Exchanged) -> Result<Reply, CallError> {
    let body = &answer.body;
    if body.is_empty() {
        return Ok(Reply::Complete(Payload::text(&format!(
            "HTTP {}",
            shown(answer.status)
        ))));
    }
    let media = media(answer);
    if is_json(&media) {
        let text = json::validate(body).map_err(|e| {
            let text = format!(
                "server `{server}`: its answer is said to be JSON and is not: {}",
                e.message
            );
            CallError::new(ErrorCode::UpstreamError, text)
                .with_rule("upstream.protocol")
                .maybe_ran()
        })?;
        let structured = text.starts_with('{').then_some(text);
        return Ok(Reply::Complete(Payload::tool(
            &blocks("text", "text", text, None),
            structured,
            false,
            None,
        )));
    }
    let kind = media.split('/').next().unwrap_or_default();
    if !matches!(kind, "image" | "audio")
        && let Ok(text) = std::str::from_utf8(body)
    {
        return Ok(Reply::Complete(Payload::text(text)));
    }
    let data = STANDARD.encode(body);
    let content = match kind {
        "image" | "audio" => blocks(kind, "data", &data, Some(&media)),
        _ => {
            let media = if media.is_empty() {
                "application/octet-stream"
            } else {
                &media
            };
            let quoted = json::quote(media);
            format!(
                r#"[{{"type":"resource","resource":{{"uri":"openapi:answer","mimeType":{quoted},"blob":"{data}"}}}}]"#
            )
        }
    };
    Ok(Reply::Complete(Payload::tool(&content, None, false, None)))
}

/// A list of one content block.
fn blocks(kind: &str, member: &str, content: &str, media: Option<&str>) -> String {
    let content = json::quote(content);
    match media {
        None => format!(r#"[{{"type":"{kind}","{member}":{content}}}]"#),
        Some(media) => format!(
            r#"[{{"type":"{kind}","{member}":{content},"mimeType":{}}}]"#,
            json::quote(media)
        ),
    }
}

/// What the model is told of a call that the server refused.
fn refusal(answer: &Exchanged) -> String {
    let mut text = format!("HTTP {}", shown(answer.status));
    if let Ok(body) = std::str::from_utf8(&answer.body)
        && !body.trim().is_empty()
    {
        let end = body.floor_char_boundary(MAX_ERROR);
        text.push('\n');
        text.push_str(&body[..end]);
        if end < body.len() {
            text.push_str(&format!("\n[cut: {end} of {} bytes shown]", body.len()));
        }
    }
    text
}

fn words(answer: &Exchanged) -> String {
    let start = &answer.body[..answer.body.len().min(MAX_WORDS)];
    let text = String::from_utf8_lossy(start);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shown(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn media(answer: &Exchanged) -> String {
    let declared = answer.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media = declared.and_then(|v| v.split(';').next()).unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

fn is_json(media: &str) -> bool {
    matches!(media, "application/json" | "text/json")
        || (media.starts_with("application/") && media.ends_with("+json"))
}
