//! Tokens, and the answers that bring them.

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::AuthError;
use super::fetch::Answer;
use super::spec::Secret;
use crate::transport::http::shown;

/// Longest token.
const MAX_TOKEN: usize = 16 * 1024;
/// Longest life that is believed; a longer one is cut.
const MAX_LIFE: u64 = 366 * 24 * 3600;
/// A token is renewed so long before it ends, or at nine tenths of its life.
const MARGIN: Duration = Duration::from_secs(60);

/// An access token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(super) access: Secret,
    /// Value of `Authorization`.
    pub(super) header: HeaderValue,
    /// Bound to our key.
    pub(super) bound: bool,
    pub(super) renew_at: Option<Instant>,
    pub(super) ends_at: Option<Instant>,
    pub(super) refresh: Option<Secret>,
    /// What it was asked for, or what it was given for if that was said.
    pub(super) scopes: BTreeSet<String>,
    pub(super) issuer: String,
}

#[derive(Deserialize)]
struct Document {
    access_token: String,
    token_type: String,
    expires_in: Option<Value>,
    refresh_token: Option<String>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

impl Token {
    /// `scopes`: what was asked for.
    pub(super) fn read(
        answer: &Answer,
        from: &Url,
        issuer: &str,
        scopes: &BTreeSet<String>,
    ) -> Result<Self, AuthError> {
        let unusable =
            |why: &str| AuthError::Exchange(format!("{} gave no usable token: {why}", shown(from)));
        if !answer.status.is_success() {
            return Err(refusal(answer, from));
        }
        let document: Document = serde_json::from_slice(&answer.body)
            .map_err(|e| unusable(&format!("{} in its answer", kind(&e))))?;
        let bound = match document.token_type.to_ascii_lowercase().as_str() {
            "bearer" => false,
            "dpop" => true,
            _ => return Err(unusable("its type is neither Bearer nor DPoP")),
        };
        if document.access_token.is_empty() || document.access_token.len() > MAX_TOKEN {
            return Err(unusable("it is empty or too long"));
        }
        let scheme = if bound { "DPoP" } else { "Bearer" };
        let mut header = HeaderValue::from_str(&format!("{scheme} {}", document.access_token))
            .map_err(|_| unusable("it has characters that a header cannot hold"))?;
        header.set_sensitive(true);
        let life = match document.expires_in {
            None | Some(Value::Null) => None,
            // Some servers write the number as a string.
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_f64().map(|seconds| seconds.max(0.0) as u64),
        };
        let now = Instant::now();
        let life = life.map(|seconds: u64| Duration::from_secs(seconds.min(MAX_LIFE)));
        Ok(Self {
            access: Secret::new(document.access_token),
            header,
            bound,
            renew_at: life.map(|life| now + life - MARGIN.min(life / 10)),
            ends_at: life.map(|life| now + life),
            refresh: document
                .refresh_token
                .filter(|text| !text.is_empty() && text.len() <= MAX_TOKEN)
                .map(Secret::new),
            scopes: match document.scope {
                Some(given) => words(&given).collect(),
                None => scopes.clone(),
            },
            issuer: issuer.to_owned(),
        })
    }
}

pub(super) fn words(scope: &str) -> impl Iterator<Item = String> {
    scope.split_ascii_whitespace().take(256).map(str::to_owned)
}

/// An answer that is an error.
pub(super) fn refusal(answer: &Answer, from: &Url) -> AuthError {
    let endpoint = shown(from);
    match serde_json::from_slice::<Refusal>(&answer.body) {
        Ok(refusal) => AuthError::Refused {
            endpoint,
            error: printable(&refusal.error),
            description: refusal.error_description.as_deref().map(printable),
        },
        Err(_) => AuthError::Exchange(format!("{endpoint} answered HTTP {}", answer.status.as_u16())),
    }
}

/// Words of a server, for a log.
pub(super) fn printable(text: &str) -> String {
    let cut: String = text.chars().take(200).collect();
    cut.escape_debug().to_string()
}

/// What is wrong with JSON, without its content: it may be a token.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "a member is missing, double or of another type",
        serde_json::error::Category::Eof => "the end is missing",
        _ => "no JSON",
    }
}
