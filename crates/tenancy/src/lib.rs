//! Who calls, for which tenant, and what that tenant may see: bytes in, decisions out.
//!
//! **Owns** tenants and their ids, API keys, JSON Web Tokens with their key sets, the mapping of client certificates,
//! access lists of tools, resources and prompts, and the rule ids of all of them.
//! **Must not know** where any of it comes from: no I/O, no clock (times are given as Unix seconds), no configuration
//! files, no transports. Whoever fetches a key set does so when [`JwksRefresh`] says so.
//!
//! Start reading at [`Directory`]: compiled once per configuration, it turns a credential into an [`Identity`]. A token
//! goes through [`JwtVerifier`] first. [`Acl`] then says what the tenant may touch.
//!
//! Secrets (keys, tokens, shared secrets) are in no error, `Debug` or `Display` of this crate.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acl;
mod certificate;
mod directory;
mod id;
mod jwt;
mod key;
mod reason;
mod uri;

pub use acl::{
    Acl, AclDefault, AclError, AclSettings, Decision, Kind, List, MAX_PATTERN_BYTES, MAX_PATTERNS,
};
pub use certificate::{CertificateNames, MAX_NAMES, check_certificate_rule};
pub use directory::{
    Directory, DirectoryError, Identity, KeySettings, MAX_KEYS, Proof, Tenant, TenantSettings,
};
pub use id::{IdError, MAX_ID_BYTES, TenantId};
pub use jwt::{
    Algorithm, JwkSet, JwksError, JwksRefresh, JwtSettings, JwtVerifier, MAX_JWKS_BYTES, MAX_JWKS_KEYS,
    MAX_TOKEN_BYTES, RefreshSettings, Secret, SettingsError, TenantSource, Verified,
};
pub use key::{KEY_RANDOM_BYTES, KeyHash, KeyHashError, MAX_KEY_BYTES, NewKey, new_admin_key, new_key};
pub use reason::{Denied, Rule};
