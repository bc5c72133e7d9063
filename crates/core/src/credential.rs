//! What a request's headers, or metadata, show to prove who sent it. One reading for all doors over the network.

use std::sync::Arc;

use ferromcp_tenancy::CertificateNames;

use crate::call::Credential;
use crate::error::{CallError, ErrorCode};

const BEARER: &str = "bearer ";

impl<'a> Credential<'a> {
    /// A bearer token (RFC 6750), else an API key, else the connection's client certificate, else none. What the request itself
    /// says wins, also when it is no good: a revoked key must not fall back to something else.
    ///
    /// # Errors
    /// If a header is there that is not what it should be.
    pub fn of_headers(
        authorization: Option<&'a [u8]>,
        api_key: Option<&'a [u8]>,
        certificate: Option<&'a Arc<CertificateNames>>,
    ) -> Result<Self, CallError> {
        if let Some(value) = authorization {
            let text = visible(value).ok_or_else(|| malformed("Authorization"))?;
            let token = match text.get(..BEARER.len()) {
                Some(scheme) if scheme.eq_ignore_ascii_case(BEARER) => text[BEARER.len()..].trim(),
                _ => return Err(malformed("Authorization")),
            };
            if token.is_empty() {
                return Err(malformed("Authorization"));
            }
            return Ok(Self::Token(token));
        }
        match api_key {
            Some(value) => match visible(value).map(str::trim) {
                Some(key) if !key.is_empty() => Ok(Self::Token(key)),
                _ => Err(malformed("X-Api-Key")),
            },
            None => Ok(certificate.map_or(Self::Anonymous, Self::Certificate)),
        }
    }
}

/// Text of visible ASCII, blanks and tabs.
fn visible(value: &[u8]) -> Option<&str> {
    let good = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    std::str::from_utf8(value).ok().filter(|_| good)
}

fn malformed(what: &str) -> CallError {
    CallError::new(
        ErrorCode::Unauthenticated,
        format!("the {what} header is malformed: send `Authorization: Bearer TOKEN` or `X-Api-Key: KEY`"),
    )
}
