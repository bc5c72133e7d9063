//! What the caller shows to prove who it is.

use std::sync::Arc;

use ferromcp_core::{CertificateNames, Credential, ErrorCode};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, StatusCode};

use crate::refusal::Refusal;

/// Header that carries an API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const BEARER: &str = "bearer ";

/// The names in the client certificate of a connection, as its requests carry them.
pub(crate) type Certificate = Arc<CertificateNames>;

/// The credential of a request: a bearer token (RFC 6750), else an API key, else the connection's client certificate, else
/// none. What the request itself says wins, also when it is no good: a revoked key must not fall back to something else.
pub(crate) fn credential<'a>(
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
) -> Result<Credential<'a>, Refusal> {
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
        None => Ok(match extensions.get::<Certificate>() {
            Some(names) => Credential::Certificate(names),
            None => Credential::Anonymous,
        }),
    }
}

/// What of a request can be a guess: the text of its key or token.
pub(crate) fn text(headers: &HeaderMap) -> Option<&[u8]> {
    let (authorization, api_key) = shown(headers);
    authorization.or(api_key).map(HeaderValue::as_bytes)
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
