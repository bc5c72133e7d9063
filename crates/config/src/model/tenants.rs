//! Tenants and credentials as plain data.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use url::Url;

use super::{Patterns, Quotas, Rate};
use crate::secret::Secret;

/// One entry of `tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenant {
    /// Key in the file: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit. Unique.
    pub id: String,
    /// Name for people.
    pub name: Option<String>,
    /// Every call is refused; default false.
    pub suspended: bool,
    /// Hashes of the API keys, at most 64; none appears twice, here or in another tenant.
    pub keys: Vec<KeyHash>,
    /// Its client certificates: `subject:GLOB`, `dns:GLOB`, `uri:GLOB` or `email:GLOB`, none twice in the file. Empty without
    /// `listen.tls.client_ca`.
    pub certificates: Vec<String>,
    /// Tools by listed name.
    pub tools: AccessList,
    /// Resources by URI.
    pub resources: AccessList,
    /// Prompts by listed name.
    pub prompts: AccessList,
    /// What it may use.
    pub quotas: Quotas,
    /// Rate of the tenant as a whole. `None`: `Limits::tenant`.
    pub limits: Option<Rate>,
    /// In whose name its principals may act, besides their own.
    pub acts_for: ActsFor,
    /// Replaces `Validation::patterns` for this tenant.
    pub patterns: Option<Patterns>,
}

/// The SHA-256 of an API key. Prints only its beginning.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash {
    /// SHA-256 of the key's text.
    pub sha256: [u8; 32],
    /// The key is refused from this time on; it may be past. `None`: it does not expire.
    pub expires: Option<SystemTime>,
}

impl KeyHash {
    /// The beginning of the hash, enough to find it in the file: `sha256:1a2b3c4d…`.
    pub fn shown(&self) -> String {
        let [a, b, c, d, ..] = self.sha256;
        format!("sha256:{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHash")
            .field("sha256", &self.shown())
            .field("expires", &self.expires)
            .finish()
    }
}

/// Patterns on names or URIs: `*` is any text, `?` one character.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessList {
    /// Only these; `None` means all, an empty list none.
    pub allow: Option<Vec<String>>,
    /// Not these, even if allowed.
    pub deny: Vec<String>,
}

/// In whose name a tenant's principals may act, besides their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActsFor {
    /// These tenants, all of which are in the file. Empty: nobody.
    Tenants(Vec<String>),
    /// Every tenant.
    All,
}

impl Default for ActsFor {
    fn default() -> Self {
        Self::Tenants(Vec::new())
    }
}

/// `auth`: how callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth {
    /// Bearer tokens; default none.
    pub jwt: Option<Jwt>,
    /// Callers without a credential. Resolved: without `auth.anonymous`, `Local` if neither keys nor `jwt` are configured,
    /// else `Refuse`.
    pub anonymous: Anonymous,
    /// Resource identifier of RFC 9728 as written; `None` when not set. Never without `jwt`.
    pub resource: Option<String>,
    /// Authorization servers of RFC 9728 as written. Resolved: without the key, the issuer of `jwt`. Empty without `jwt`.
    pub authorization_servers: Vec<String>,
    /// How many keys and tokens that are nobody's one address may show. `None` without keys, certificates, `jwt` and admin API.
    pub guesses: Option<Rate>,
}

/// What happens to callers without a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Anonymous {
    /// They are the one local tenant.
    #[default]
    Local,
    /// They are refused.
    Refuse,
}

/// `auth.jwt`: which tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Exact value of `iss`, as written.
    pub issuer: String,
    /// Accepted values of `aud`, at least one.
    pub audience: Vec<String>,
    /// Where the keys are.
    pub keys: JwtKeys,
    /// Accepted algorithms, at least one, none twice. Shared-secret ones with [`JwtKeys::Secret`] only, and with it only those.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Names from the token's top to the claim that holds the tenant, at least one; default `tenant`.
    pub tenant_claim: Vec<String>,
    /// The same for the claim that names the caller; default `sub`.
    pub subject_claim: Vec<String>,
    /// Scopes that a token must have, all of them; default none.
    pub scopes: Vec<String>,
    /// How far clocks may differ, up to 10 min; default 60 s.
    pub leeway: Duration,
    /// How long keys from a URL are used before they are fetched again, 10 s to 7 days; default 10 min.
    pub jwks_max_age: Duration,
}

/// Where the keys of tokens come from.
#[derive(Clone, PartialEq, Eq)]
pub enum JwtKeys {
    /// A JSON Web Key Set to fetch: https, or http on a loopback host.
    Url(Url),
    /// A file with a JSON Web Key Set, resolved against the config file; it was a file when the config was read.
    File(PathBuf),
    /// A shared secret, at least as long as the hash of every algorithm (32, 48 or 64 bytes).
    Secret(Secret),
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The path of an address can hold a token.
            Self::Url(url) => write!(f, "Url({}, [redacted])", url.origin().ascii_serialization()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Secret(secret) => f.debug_tuple("Secret").field(secret).finish(),
        }
    }
}

/// Signature algorithms of tokens (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "the names are those of RFC 7518, section 3.1, and RFC 8037"
)]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

impl JwtAlgorithm {
    pub(crate) const ALL: [Self; 12] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
        Self::HS256,
        Self::HS384,
        Self::HS512,
    ];

    /// The value of `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// Shortest shared secret in bytes (RFC 7518, section 3.2); `None` for algorithms with a public key.
    pub fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }
}
