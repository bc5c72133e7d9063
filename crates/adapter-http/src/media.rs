//! Media types: what a body is, and what a client accepts.

use ferromcp_core::ErrorCode;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use crate::refusal::Refusal;

/// Refuses a body that does not say that it is JSON. Browsers can send other types across origins
/// without asking, so this is also a fence against forged requests.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |message: String| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::InvalidRequest,
            message,
        )
    };
    // One walk over the few headers that there are costs less than two look-ups.
    let (mut coding, mut kind) = (None, None);
    for (name, value) in headers {
        if *name == CONTENT_TYPE {
            kind = kind.or(Some(value));
        } else if *name == CONTENT_ENCODING {
            coding = coding.or(Some(value));
        }
    }
    if let Some(coding) = coding
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(unsupported(
            "compressed bodies are not accepted; send it as it is".into(),
        ));
    }
    let sent = kind.and_then(|v| v.to_str().ok()).unwrap_or_default();
    if sent == "application/json" {
        return Ok(());
    }
    let mut parts = sent.split(';');
    let is_json = parts
        .next()
        .is_some_and(|t| t.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let found: String = sent.chars().take(64).collect();
        return Err(unsupported(format!(
            "the Content-Type must be application/json, found `{found}`; with curl add \
             -H 'Content-Type: application/json'"
        )));
    }
    for parameter in parts {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        {
            return Err(unsupported("JSON is sent in UTF-8; leave the charset out".into()));
        }
    }
    Ok(())
}

/// What a client takes as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) json: bool,
    pub(crate) events: bool,
}

/// Reads `Accept`. A client that sends none takes everything (RFC 9110, 12.5.1).
pub(crate) fn accepts(headers: &HeaderMap) -> Accepts {
    // What MCP clients send, letter for letter.
    let mut sent = headers
        .iter()
        .filter(|(name, _)| **name == ACCEPT)
        .map(|(_, value)| value);
    if sent
        .next()
        .is_some_and(|v| v == "application/json, text/event-stream")
        && sent.next().is_none()
    {
        return Accepts {
            json: true,
            events: true,
        };
    }
    let mut found = Accepts {
        json: false,
        events: false,
    };
    let mut any = false;
    for value in headers.get_all(ACCEPT) {
        any = true;
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let refused = parts.any(|p| matches!(p.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
            if refused {
                continue;
            }
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            found.json |= is("application/json") || is("application/*") || is("*/*");
            found.events |= is("text/event-stream") || is("text/*") || is("*/*");
        }
    }
    if any {
        found
    } else {
        Accepts {
            json: true,
            events: true,
        }
    }
}

#[cfg(test)]
mod tests;
