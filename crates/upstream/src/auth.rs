//! OAuth 2.1 as a client, for upstream servers that want tokens (2026-07-28 basic/authorization).
//!
//! Owns: finding out which authorization server a resource trusts (`discover`), what we are to it (`client`), the
//! grants (`grant`, `code`), and one token per server with its renewal (`Authorizer`).
//!
//! Must not know: callers. A caller's token never reaches an upstream (basic/authorization/security-considerations,
//! "Token Passthrough"): everything here is the gateway's own identity.
//!
//! What is fetched is named by servers, so every address is checked (`fetch`): `https` except between programs of
//! one machine, no redirects, bounded sizes and times.

mod authorizer;
mod challenge;
mod client;
mod code;
mod discover;
mod fetch;
mod grant;
mod jwt;
mod spec;
mod token;

#[cfg(test)]
mod tests;

pub(crate) use authorizer::{Attempts, Authorizer};
pub use challenge::Challenge;
pub use code::{Landing, UserAgent};
pub use fetch::is_local;
pub use spec::{Assertion, AuthMethod, ClientKey, Grant, OAuthSpec, Secret};

/// Why there is no token. Messages hold no secret: neither tokens, nor codes, nor what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// An address that must not be fetched.
    #[error("{0}")]
    Address(String),
    /// A server could not be reached, or answered what cannot be used.
    #[error("{0}")]
    Exchange(String),
    /// The authorization server refused.
    #[error("{endpoint} refused: {error}{}", .description.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Its address.
        endpoint: String,
        /// The code of RFC 6749, as `invalid_client`.
        error: String,
        /// Its words.
        description: Option<String>,
    },
    /// A check that protects us from a hostile server failed.
    #[error("{0}")]
    Unsafe(String),
}
