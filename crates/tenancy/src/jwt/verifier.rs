//! From a token to who sent it.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value};

use crate::id::TenantId;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::cache::Cache;
use crate::jwt::claims;
use crate::jwt::jwks::JwkSet;
use crate::jwt::settings::{JwtSettings, SettingsError};
use crate::reason::{Denied, Rule, shown};

/// Longest token that is looked at.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Most signatures that are computed for one token.
const MAX_TRIES: usize = 4;

/// What a token that was verified says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The tenant it names. Whether there is one is for the [`crate::Directory`] to say.
    pub tenant: TenantId,
    /// The subject: who it was made for.
    pub subject: Arc<str>,
    /// Its scopes.
    pub scopes: Arc<[String]>,
    /// First Unix second in which it is good, leeway included.
    pub good_from: u64,
    /// First Unix second in which it is not good any more, leeway included.
    pub good_until: u64,
}

impl Verified {
    pub(super) fn check_time(&self, now: u64) -> Result<(), Denied> {
        if now >= self.good_until {
            return Err(Denied::new(
                Rule::JwtExpired,
                "the token has expired; get a new one",
            ));
        }
        if now < self.good_from {
            return Err(Denied::new(
                Rule::JwtNotYet,
                "the token is not valid yet; are the clocks of issuer and server right?",
            ));
        }
        Ok(())
    }
}

/// Verifies the tokens of one issuer. Never changes; for new keys there is a new one: see [`Self::with_keys`].
pub struct JwtVerifier {
    settings: Arc<JwtSettings>,
    keys: JwkSet,
    /// Of HS256, HS384, HS512, where they are allowed.
    secrets: Vec<(Algorithm, hmac::Key)>,
    cache: Cache,
}

impl JwtVerifier {
    /// A verifier with these keys.
    ///
    /// # Errors
    /// When the settings would let in what they should not: see [`SettingsError`].
    pub fn new(settings: JwtSettings, keys: JwkSet) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self::build(Arc::new(settings), keys))
    }

    /// A verifier with the same settings and other keys; `None` when the keys are the same, so that the tokens verified so
    /// far stay known.
    pub fn with_keys(&self, keys: JwkSet) -> Option<Self> {
        (!self.keys.is_same(&keys)).then(|| Self::build(Arc::clone(&self.settings), keys))
    }

    fn build(settings: Arc<JwtSettings>, keys: JwkSet) -> Self {
        let secrets = settings.secret.iter().flat_map(|secret| {
            settings.algorithms.iter().filter_map(|algorithm| {
                let key = hmac::Key::new(algorithm.hmac()?, secret.bytes());
                Some((*algorithm, key))
            })
        });
        Self {
            secrets: secrets.collect(),
            keys,
            cache: Cache::new(),
            settings,
        }
    }

    /// Whether a bearer credential looks like a token (three parts with dots between) and not like an API key.
    pub fn looks_like_token(credential: &str) -> bool {
        credential.bytes().filter(|byte| *byte == b'.').count() == 2 && !credential.starts_with("fmcp_")
    }

    /// Verifies a token. `now` in Unix seconds. A token that was verified before costs one SHA-256.
    ///
    /// # Errors
    /// The first check that fails, in the order of [`Rule`]'s `auth.jwt.*`: form, algorithm, key, signature, then the
    /// claims. On [`Rule::JwtUnknownKey`], tell [`crate::JwksRefresh::on_unknown_key`].
    pub fn verify(&self, token: &str, now: u64) -> Result<Arc<Verified>, Denied> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed(format!(
                "the token is longer than {MAX_TOKEN_BYTES} bytes"
            )));
        }
        let key = Cache::key(token);
        if let Some(verified) = self.cache.get(&key) {
            verified.check_time(now)?;
            return Ok(verified);
        }
        let verified = Arc::new(self.verify_cold(token, now)?);
        self.cache.put(key, &verified, now);
        Ok(verified)
    }

    fn verify_cold(&self, token: &str, now: u64) -> Result<Verified, Denied> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("a token has three parts with dots between"));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = object(header, "header")?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| malformed("the signature of the token is not base64url without padding"))?;
        let algorithm = self.algorithm(&header)?;
        if header.contains_key("crit") {
            return Err(malformed(
                "the token demands extensions (`crit`) that are not supported",
            ));
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err(malformed("`kid` of the token is no string")),
        };
        self.check_signature(algorithm, kid, signed.as_bytes(), &signature)?;
        claims::check(&object(payload, "payload")?, &self.settings, now)
    }

    fn algorithm(&self, header: &Map<String, Value>) -> Result<Algorithm, Denied> {
        let Some(Value::String(name)) = header.get("alg") else {
            return Err(malformed("the token names no algorithm"));
        };
        Algorithm::from_name(name)
            .filter(|algorithm| self.settings.algorithms.contains(algorithm))
            .ok_or_else(|| {
                let message = format!("tokens with the algorithm {} are not accepted", shown(name));
                Denied::new(Rule::JwtAlgorithm, message)
            })
    }

    fn check_signature(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Denied> {
        let wrong = || Denied::new(Rule::JwtSignature, "the signature of the token is wrong");
        if algorithm.is_shared_secret() {
            let secret = self.secrets.iter().find(|(own, _)| *own == algorithm);
            let (_, secret) = secret.ok_or_else(wrong)?;
            return hmac::verify(secret, message, signature).map_err(|_| wrong());
        }
        let mut tried = false;
        for key in self.keys.candidates(kid, algorithm).take(MAX_TRIES) {
            tried = true;
            if key.verify(algorithm, message, signature) {
                return Ok(());
            }
        }
        // A key of that id but of another kind is no reason to fetch the keys again.
        if tried || kid.is_some_and(|kid| self.keys.has(kid)) {
            return Err(wrong());
        }
        let message = match kid {
            Some(kid) => format!("the issuer's key set has no key {}", shown(kid)),
            None => format!("the issuer's key set has no key for {algorithm}"),
        };
        Err(Denied::new(Rule::JwtUnknownKey, message))
    }

    /// What is set.
    pub fn settings(&self) -> &JwtSettings {
        &self.settings
    }

    /// The keys.
    pub fn keys(&self) -> &JwkSet {
        &self.keys
    }

    /// How many verified tokens are remembered, and how many can be.
    pub fn remembered(&self) -> (usize, usize) {
        (self.cache.len(), Cache::capacity())
    }
}

fn malformed(message: impl Into<String>) -> Denied {
    Denied::new(Rule::JwtMalformed, message)
}

fn object(part: &str, name: &str) -> Result<Map<String, Value>, Denied> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| {
        malformed(format!(
            "the {name} of the token is not base64url without padding"
        ))
    })?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(malformed(format!("the {name} of the token is no JSON object"))),
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier")
            .field("issuer", &self.settings.issuer)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
