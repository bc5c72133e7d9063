//! Key sets (RFC 7517): parsed once, bounded, what is of no use skipped.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Map, Value};

use crate::jwt::algorithm::{Algorithm, Family};

/// Largest document.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;
/// Most keys of a document, those of no use included.
pub const MAX_JWKS_KEYS: usize = 100;

/// Why a document is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Over [`MAX_JWKS_BYTES`].
    #[error("the key set is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    /// Over [`MAX_JWKS_KEYS`].
    #[error("the key set has more than {MAX_JWKS_KEYS} keys")]
    TooMany,
    /// Not JSON.
    #[error("the key set is not JSON: {0}")]
    Syntax(String),
    /// No `keys` array.
    #[error("the key set has no array `keys` (RFC 7517, section 5)")]
    NoKeys,
    /// A private key, or a shared secret, where public keys belong.
    #[error(
        "key {0} of the key set is a private key: take it back, whoever publishes it, and make a new one"
    )]
    Private(usize),
    /// No key that tokens can be verified with.
    #[error("the key set has no key that can be used; skipped: {0}")]
    NothingUsable(String),
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

pub(super) struct Jwk {
    pub(super) kid: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

/// The public keys of an issuer.
pub struct JwkSet {
    keys: Vec<Jwk>,
    skipped: Vec<String>,
    digest: [u8; 32],
}

impl JwkSet {
    /// Reads a document. Keys of unknown kinds, for encryption, or malformed are skipped, as the RFC asks for: see
    /// [`Self::skipped`].
    ///
    /// # Errors
    /// When it is no key set, is over a bound, holds private keys or nothing of use.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge);
        }
        let value: Value =
            serde_json::from_slice(document).map_err(|error| JwksError::Syntax(error.to_string()))?;
        let Some(Value::Array(values)) = value.get("keys") else {
            return Err(JwksError::NoKeys);
        };
        if values.len() > MAX_JWKS_KEYS {
            return Err(JwksError::TooMany);
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            let Value::Object(members) = value else {
                skipped.push(format!("key {index} is no object"));
                continue;
            };
            if members.contains_key("d") || text(members, "kty") == Some("oct") {
                return Err(JwksError::Private(index));
            }
            match Jwk::read(members) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(format!("key {index}: {reason}")),
            }
        }
        if keys.is_empty() {
            return Err(JwksError::NothingUsable(skipped.join("; ")));
        }
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, document).as_ref());
        Ok(Self {
            keys,
            skipped,
            digest: sum,
        })
    }

    /// A set without keys: for shared secrets alone, or until the first document has arrived.
    pub fn empty() -> Self {
        Self {
            keys: Vec::new(),
            skipped: Vec::new(),
            digest: [0; 32],
        }
    }

    /// Keys that can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Which keys were skipped, and why; for the log.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Whether both were read from the same bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether any key has this id.
    pub(super) fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// The keys that may have signed a token with this header. Several can share an id while an issuer changes algorithm;
    /// a token without an id may be from any.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Jwk> {
        self.keys
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
            .filter(move |key| key.material.family() == algorithm.family())
            .filter(move |key| key.algorithm.is_none_or(|own| own == algorithm))
    }
}

impl Jwk {
    fn read(members: &Map<String, Value>) -> Result<Self, String> {
        if let Some(usage) = members.get("use")
            && usage != "sig"
        {
            return Err("not for signatures".to_owned());
        }
        if let Some(operations) = members.get("key_ops")
            && !operations
                .as_array()
                .is_some_and(|list| list.iter().any(|name| name == "verify"))
        {
            return Err("not for verifying".to_owned());
        }
        let material = Material::read(members)?;
        let algorithm = match text(members, "alg") {
            Some(name) => {
                Some(Algorithm::from_name(name).ok_or_else(|| format!("algorithm {name:.20?} is unknown"))?)
            }
            None => None,
        };
        if algorithm.is_some_and(|algorithm| algorithm.family() != material.family()) {
            return Err("algorithm and kind of key do not fit".to_owned());
        }
        Ok(Self {
            kid: text(members, "kid").map(str::to_owned),
            algorithm,
            material,
        })
    }

    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.material, algorithm.rsa()) {
            (Material::Rsa { n, e }, Some(parameters)) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Material::P256(point), None) if algorithm.family() == Family::P256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Material::P384(point), None) if algorithm.family() == Family::P384 => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (Material::Ed25519(point), None) if algorithm.family() == Family::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

impl Material {
    fn read(members: &Map<String, Value>) -> Result<Self, String> {
        match (text(members, "kty"), text(members, "crv")) {
            (Some("RSA"), _) => {
                let mut n = bytes(members, "n")?;
                // Some issuers put a zero in front, which ring refuses.
                let zeros = n.iter().take_while(|byte| **byte == 0).count();
                n.drain(..zeros);
                if !(256..=1_024).contains(&n.len()) {
                    return Err(format!(
                        "an RSA key of {} bits; 2048 to 8192 are accepted",
                        n.len() * 8
                    ));
                }
                let e = bytes(members, "e")?;
                Ok(Self::Rsa { n, e })
            }
            (Some("EC"), Some("P-256")) => Ok(Self::P256(point(members, 32)?)),
            (Some("EC"), Some("P-384")) => Ok(Self::P384(point(members, 48)?)),
            (Some("OKP"), Some("Ed25519")) => match bytes(members, "x")? {
                x if x.len() == 32 => Ok(Self::Ed25519(x)),
                x => Err(format!("`x` has {} bytes and not 32", x.len())),
            },
            (Some(_), _) => Err("a kind of key that is not supported".to_owned()),
            (None, _) => Err("`kty` is missing".to_owned()),
        }
    }

    fn family(&self) -> Family {
        match self {
            Self::Rsa { .. } => Family::Rsa,
            Self::P256(_) => Family::P256,
            Self::P384(_) => Family::P384,
            Self::Ed25519(_) => Family::Ed25519,
        }
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(members, name).ok_or_else(|| format!("`{name}` is missing"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| format!("`{name}` is not base64url without padding"))
}

/// An uncompressed point (SEC 1, section 2.3.3).
fn point(members: &Map<String, Value>, size: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
    if x.len() != size || y.len() != size {
        return Err(format!("`x` and `y` must have {size} bytes each"));
    }
    Ok([&[4], &x[..], &y[..]].concat())
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self
            .keys
            .iter()
            .map(|key| key.kid.as_deref().unwrap_or(""))
            .collect();
        f.debug_struct("JwkSet")
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}
