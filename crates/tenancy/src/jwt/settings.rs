//! What is set for tokens.

use std::fmt;
use std::time::Duration;

use crate::id::TenantId;
use crate::jwt::algorithm::Algorithm;

/// Most audiences.
const MAX_AUDIENCES: usize = 32;
const MAX_LEEWAY: Duration = Duration::from_secs(600);

/// Bytes that nobody may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Keeps them.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where the tenant of a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantSource {
    /// A claim: its whole name, or a path of names with dots between (`app.tenant`). Its value must be a string.
    Claim(String),
    /// All tokens of this issuer belong to one tenant.
    Fixed(TenantId),
}

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// The issuer (`iss`), compared exactly.
    pub issuer: String,
    /// The audiences of this server; `aud` of a token must hold one of them.
    pub audiences: Vec<String>,
    /// The algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ, for `exp` and `nbf`; at most 10 minutes.
    pub leeway: Duration,
    /// Where the tenant comes from.
    pub tenant: TenantSource,
    /// The claim with the name of the caller, found as the tenant is.
    pub subject_claim: String,
    /// The claim with the scopes, found as the tenant is: a string with blanks between them (RFC 8693), or an array.
    pub scopes_claim: String,
    /// The shared secret of `HS*`, which are accepted only with it.
    pub secret: Option<Secret>,
}

impl JwtSettings {
    /// The usual: all algorithms with public keys, a minute of leeway, claims `tenant`, `sub` and `scope`.
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audiences: vec![audience.to_owned()],
            algorithms: Algorithm::PUBLIC.to_vec(),
            leeway: Duration::from_secs(60),
            tenant: TenantSource::Claim("tenant".to_owned()),
            subject_claim: "sub".to_owned(),
            scopes_claim: "scope".to_owned(),
            secret: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.issuer.is_empty() {
            return Err(SettingsError::Issuer);
        }
        if self.audiences.is_empty()
            || self.audiences.len() > MAX_AUDIENCES
            || self.audiences.iter().any(String::is_empty)
        {
            return Err(SettingsError::Audience);
        }
        if self.algorithms.is_empty() {
            return Err(SettingsError::NoAlgorithm);
        }
        if self.leeway > MAX_LEEWAY {
            return Err(SettingsError::Leeway);
        }
        if self.scopes_claim.is_empty()
            || self.subject_claim.is_empty()
            || self.tenant == TenantSource::Claim(String::new())
        {
            return Err(SettingsError::Claim);
        }
        let shared = self
            .algorithms
            .iter()
            .filter(|algorithm| algorithm.is_shared_secret());
        let needed = shared.clone().filter_map(|algorithm| algorithm.hmac());
        let needed = needed
            .map(|algorithm| algorithm.digest_algorithm().output_len())
            .max();
        match (&self.secret, needed) {
            (None, Some(_)) => Err(SettingsError::SecretMissing),
            (Some(_), None) => Err(SettingsError::SecretUnused),
            (Some(secret), Some(needed)) if secret.bytes().len() < needed => {
                Err(SettingsError::SecretShort(needed))
            }
            _ => Ok(()),
        }
    }
}

/// Why tokens cannot be verified with these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// No issuer.
    #[error("an issuer is needed")]
    Issuer,
    /// No audience, an empty one, or too many.
    #[error(
        "1 to {MAX_AUDIENCES} audiences are needed: without one, tokens for other services would be good here"
    )]
    Audience,
    /// No algorithm.
    #[error("at least one algorithm is needed")]
    NoAlgorithm,
    /// Leeway over 10 minutes.
    #[error("the leeway is at most 10 minutes")]
    Leeway,
    /// The name of a claim is empty.
    #[error("the name of a claim is empty")]
    Claim,
    /// `HS*` without a secret.
    #[error("HS256, HS384 and HS512 need a shared secret")]
    SecretMissing,
    /// A secret without `HS*`.
    #[error("a shared secret is set, but none of HS256, HS384, HS512 is allowed")]
    SecretUnused,
    /// The secret is shorter than the hash (RFC 7518, section 3.2).
    #[error("the shared secret must have at least {0} bytes for the algorithms allowed")]
    SecretShort(usize),
}
