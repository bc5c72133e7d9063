//! Signing: client assertions (RFC 7523) and proofs of possession (RFC 9449).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use url::Url;

use super::AuthError;
use super::spec::ClientKey;

/// How long a client assertion is valid, in seconds.
const ASSERTION_LIFE: u64 = 60;

/// A key of one of the two kinds that every authorization server knows.
pub(super) enum SigningKey {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm())
    }
}

impl SigningKey {
    pub(super) fn parse(key: &ClientKey) -> Result<Self, AuthError> {
        let unusable =
            |why: &str| AuthError::Settings(format!("the client's private key cannot be used: {why}"));
        let der = PrivateKeyDer::from_pem_slice(key.pem.expose().as_bytes())
            .map_err(|_| unusable("it is no PEM private key"))?;
        match &der {
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let random = SystemRandom::new();
                if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random) {
                    return Ok(Self::Es256(Box::new(key)));
                }
                let key = RsaKeyPair::from_pkcs8(der).map_err(|_| {
                    unusable("it is neither an RSA key of 2048 to 4096 bits nor one on the curve P-256")
                })?;
                Ok(Self::Rs256(Box::new(key)))
            }
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(|key| Self::Rs256(Box::new(key)))
                .map_err(|_| unusable("its RSA parameters are not accepted (2048 to 4096 bits)")),
            _ => Err(unusable(
                "write it as PKCS #8: openssl pkcs8 -topk8 -nocrypt -in KEY",
            )),
        }
    }

    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> Result<String, AuthError> {
        let text = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let random = SystemRandom::new();
        let failed = |_| AuthError::Exchange("signing failed".to_owned());
        let signature = match self {
            Self::Es256(key) => key
                .sign(&random, text.as_bytes())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            Self::Rs256(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut out)
                    .map_err(failed)?;
                out
            }
        };
        Ok(format!("{text}.{}", encode(signature)))
    }

    /// A statement that we are `client_id`, for `audience` alone and once.
    pub(super) fn assertion(
        &self,
        kid: Option<&str>,
        client_id: &str,
        audience: &str,
    ) -> Result<String, AuthError> {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let now = now();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience,
            "jti": random_text()?, "iat": now, "exp": now + ASSERTION_LIFE,
        });
        self.sign(&header, &claims)
    }
}

/// The key that tokens are bound to. It lives as long as the process.
#[derive(Debug)]
pub(super) struct ProofKey {
    key: SigningKey,
    jwk: Value,
}

impl ProofKey {
    pub(super) fn generate() -> Result<Self, AuthError> {
        let failed = || AuthError::Exchange("no key could be made for proofs of possession".to_owned());
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| failed())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .map_err(|_| failed())?;
        // An uncompressed point: 4, then both coordinates.
        let point = key.public_key().as_ref();
        let (x, y) = (
            point.get(1..33).ok_or_else(failed)?,
            point.get(33..65).ok_or_else(failed)?,
        );
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
        Ok(Self {
            key: SigningKey::Es256(Box::new(key)),
            jwk,
        })
    }

    /// A proof for one request. `token`: the access token it goes with.
    pub(super) fn proof(
        &self,
        method: &str,
        url: &Url,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<String, AuthError> {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let mut claims = json!({
            "jti": random_text()?, "htm": method, "htu": &url[..url::Position::AfterPath], "iat": now(),
        });
        if let Some(token) = token {
            claims["ath"] = encode(digest(&SHA256, token.as_bytes())).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        self.key.sign(&header, &claims)
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// 256 random bits.
pub(super) fn random_text() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| AuthError::Exchange("the system has no random numbers".to_owned()))?;
    Ok(encode(bytes))
}

/// PKCE S256 (RFC 7636).
pub(super) fn code_challenge(verifier: &str) -> String {
    encode(digest(&SHA256, verifier.as_bytes()))
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
