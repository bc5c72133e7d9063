//! What the caller shows to prove who it is.

use ferromcp_core::{Credential, ErrorCode};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::refusal::Refusal;

/// Header that carries an API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const BEARER: &str = "bearer ";

/// The credential of a request: a bearer token (RFC 6750), else an API key, else none.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Credential<'_>, Refusal> {
    let malformed = |what: &str| {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthenticated,
            format!("the {what} header is malformed: send `Authorization: Bearer TOKEN` or `X-Api-Key: KEY`"),
        )
    };
    let (authorization, api_key) = shown(headers);
    if let Some(value) = authorization {
        let text = value.to_str().map_err(|_| malformed("Authorization"))?;
        let token = match text.get(..BEARER.len()) {
            Some(scheme) if scheme.eq_ignore_ascii_case(BEARER) => text[BEARER.len()..].trim(),
            _ => return Err(malformed("Authorization")),
        };
        if token.is_empty() {
            return Err(malformed("Authorization"));
        }
        return Ok(Credential::Token(token));
    }
    match api_key {
        Some(value) => match value.to_str() {
            Ok(key) if !key.trim().is_empty() => Ok(Credential::Token(key.trim())),
            _ => Err(malformed("X-Api-Key")),
        },
        None => Ok(Credential::Anonymous),
    }
}

/// The first `Authorization` and the first `X-Api-Key`. A request has few headers: one walk over them costs less than two
/// look-ups, which hash the names anew each time.
fn shown(headers: &HeaderMap) -> (Option<&HeaderValue>, Option<&HeaderValue>) {
    let mut found = (None, None);
    for (name, value) in headers {
        if *name == AUTHORIZATION {
            found.0 = found.0.or(Some(value));
        } else if *name == API_KEY {
            found.1 = found.1.or(Some(value));
        }
    }
    found
}
