//! JSON Web Tokens (RFC 7519) as proof of who calls.
//!
//! The order of the checks is the protection: size, form, algorithm against the list that was configured, key by its id
//! *and* kind, signature; only then is anything in the claims believed. Key material comes from the configured key set and
//! never from the token (`jwk`, `jku`, `x5u` and the like are ignored), and a public key is never used as a shared secret.

mod algorithm;
mod cache;
mod claims;
mod jwks;
mod refresh;
mod settings;
mod verifier;

pub use algorithm::Algorithm;
pub use jwks::{JwkSet, JwksError, MAX_JWKS_BYTES, MAX_JWKS_KEYS};
pub use refresh::{JwksRefresh, RefreshSettings};
pub use settings::{JwtSettings, Secret, SettingsError, TenantSource};
pub use verifier::{JwtVerifier, MAX_TOKEN_BYTES, Verified};

#[cfg(test)]
mod tests;
