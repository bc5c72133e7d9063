use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, signature};
use serde_json::{Value, json};

use super::*;
use crate::id::TenantId;
use crate::reason::{Denied, Rule};

mod attacks;
mod refresh;

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Signer {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(hmac::Key),
}

impl Signer {
    fn rsa(encoding: &'static dyn RsaEncoding) -> Self {
        let pem = include_str!("../../testdata/test-rsa-key.pem");
        let lines = pem
            .lines()
            .skip_while(|line| !line.starts_with("-----BEGIN"))
            .skip(1);
        let text: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
        let der = STANDARD.decode(text).unwrap();
        Self::Rsa(RsaKeyPair::from_pkcs8(&der).unwrap(), encoding)
    }

    fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn secret(bytes: &[u8]) -> Self {
        Self::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = b64(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The public key as a member of a key set.
    fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(key, _) => {
                let parts: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                json!({"kty": "RSA", "kid": kid, "use": "sig", "n": b64(parts.n), "e": b64(parts.e)})
            }
            Self::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "kid": kid, "x": b64(x), "y": b64(y)})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.public_key())}),
            Self::Secret(_) => unreachable!("secrets are in no key set"),
        }
    }
}

fn set(keys: &[Value]) -> JwkSet {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "ferromcp", "sub": "user-1", "tenant": "company-a", "scope": "tools:read tools:call",
        "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW - 10
    })
}

fn settings() -> JwtSettings {
    JwtSettings::new(ISSUER, "ferromcp")
}

fn verifier(keys: &[Value]) -> JwtVerifier {
    JwtVerifier::new(settings(), set(keys)).unwrap()
}

/// A verifier and a signer that it trusts.
fn pair() -> (JwtVerifier, Signer) {
    let signer = Signer::ed();
    (verifier(&[signer.jwk("one")]), signer)
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"})
}

/// The claims with some members changed; `null` takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn rule(result: Result<impl Sized, Denied>) -> &'static str {
    result.err().map_or("ok", |denied| denied.rule.id())
}

#[test]
fn every_algorithm_verifies_what_it_signed_and_nothing_else() {
    let signers = [
        ("RS256", Signer::rsa(&signature::RSA_PKCS1_SHA256)),
        ("RS384", Signer::rsa(&signature::RSA_PKCS1_SHA384)),
        ("RS512", Signer::rsa(&signature::RSA_PKCS1_SHA512)),
        ("PS256", Signer::rsa(&signature::RSA_PSS_SHA256)),
        ("PS384", Signer::rsa(&signature::RSA_PSS_SHA384)),
        ("PS512", Signer::rsa(&signature::RSA_PSS_SHA512)),
        ("ES256", Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        ("ES384", Signer::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        ("EdDSA", Signer::ed()),
    ];
    for (name, signer) in &signers {
        let verifier = verifier(&[signer.jwk("k")]);
        let verified = verifier
            .verify(&signer.token(&json!({"alg": name, "kid": "k"}), &claims()), NOW)
            .unwrap();
        assert_eq!(
            (verified.tenant.as_str(), &*verified.subject),
            ("company-a", "user-1")
        );
        assert_eq!(*verified.scopes, ["tools:read", "tools:call"]);
        // The same signature under any other name is wrong.
        for other in Algorithm::ALL.iter().filter(|other| other.name() != *name) {
            let token = signer.token(&json!({"alg": other.name(), "kid": "k"}), &claims());
            let expected = if other.is_shared_secret() {
                "auth.jwt.algorithm"
            } else {
                "auth.jwt.signature"
            };
            assert_eq!(rule(verifier.verify(&token, NOW)), expected, "{name} as {other}");
        }
    }
}

#[test]
fn the_example_of_rfc_7515_a3() {
    let key = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    });
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let verifier = JwtVerifier::new(JwtSettings::new("joe", "us"), set(&[key])).unwrap();
    // Signature and issuer pass; the example has no audience.
    assert_eq!(rule(verifier.verify(token, 1_300_000_000)), "auth.jwt.audience");
}

#[test]
fn times() {
    let (verifier, signer) = pair();
    for (changes, now, expected) in [
        (json!({}), NOW, "ok"),
        (json!({}), NOW + 359, "ok"),
        (json!({}), NOW + 360, "auth.jwt.expired"),
        (json!({}), NOW - 70, "ok"),
        (json!({}), NOW - 71, "auth.jwt.not_yet"),
        (json!({"nbf": null}), 0, "ok"),
        (json!({"exp": NOW as f64 + 0.5}), NOW + 59, "ok"),
        (json!({"exp": NOW as f64 + 0.5}), NOW + 60, "auth.jwt.expired"),
        (json!({"exp": 0}), NOW, "auth.jwt.expired"),
        (json!({"exp": u64::MAX}), u64::MAX - 1, "ok"),
        (json!({"exp": null}), NOW, "auth.jwt.malformed"),
        (json!({"exp": "2030-01-01"}), NOW, "auth.jwt.malformed"),
        (json!({"exp": -1}), NOW, "auth.jwt.malformed"),
        (json!({"exp": 1e300}), NOW, "auth.jwt.malformed"),
        (json!({"nbf": []}), NOW, "auth.jwt.malformed"),
    ] {
        let token = signer.token(&header(), &with(&changes));
        // Twice: the second answer comes from memory.
        for _ in 0..2 {
            assert_eq!(rule(verifier.verify(&token, now)), expected, "{changes} at {now}");
        }
    }
    let token = signer.token(&header(), &claims());
    assert!(verifier.verify(&token, NOW).is_ok());
    assert_eq!(
        rule(verifier.verify(&token, NOW + 360)),
        "auth.jwt.expired",
        "memory does not outlive the token"
    );
    assert_eq!(rule(verifier.verify(&token, NOW - 71)), "auth.jwt.not_yet");
}

#[test]
fn issuer_audience_subject_scopes() {
    let (verifier, signer) = pair();
    for (changes, expected) in [
        (json!({"iss": "https://issuer.example/"}), "auth.jwt.issuer"),
        (json!({"iss": null}), "auth.jwt.issuer"),
        (json!({"iss": [ISSUER]}), "auth.jwt.issuer"),
        (json!({"aud": "other"}), "auth.jwt.audience"),
        (json!({"aud": null}), "auth.jwt.audience"),
        (json!({"aud": {"ferromcp": 1}}), "auth.jwt.audience"),
        (json!({"aud": []}), "auth.jwt.audience"),
        (json!({"aud": ["other", "ferromcp"]}), "ok"),
        (json!({"aud": "Ferromcp"}), "auth.jwt.audience"),
        (json!({"sub": null}), "auth.jwt.malformed"),
        (json!({"sub": "x".repeat(257)}), "auth.jwt.malformed"),
        (json!({"sub": "a\nb"}), "auth.jwt.malformed"),
        (json!({"scope": ["a", "b"]}), "ok"),
        (json!({"scope": null}), "ok"),
        (json!({"scope": ["a", 1]}), "auth.jwt.malformed"),
        (json!({"scope": 7}), "auth.jwt.malformed"),
        (json!({"scope": "x ".repeat(257)}), "auth.jwt.malformed"),
    ] {
        let token = signer.token(&header(), &with(&changes));
        assert_eq!(rule(verifier.verify(&token, NOW)), expected, "{changes}");
    }
}

#[test]
fn the_tenant_of_a_token() {
    let signer = Signer::ed();
    let tenant = |source: TenantSource, changes: &Value| {
        let verifier = JwtVerifier::new(
            JwtSettings {
                tenant: source,
                ..settings()
            },
            set(&[signer.jwk("one")]),
        )
        .unwrap();
        let verified = verifier.verify(&signer.token(&header(), &with(changes)), NOW);
        verified
            .map(|verified| verified.tenant.to_string())
            .map_err(|denied| denied.rule.id())
    };
    let claim = |path: &str| TenantSource::Claim(path.to_owned());
    assert_eq!(
        tenant(claim("app.org.id"), &json!({"app": {"org": {"id": "a"}}})).unwrap(),
        "a"
    );
    assert_eq!(
        tenant(claim("https://x.example/t"), &json!({"https://x.example/t": "a"})).unwrap(),
        "a"
    );
    assert_eq!(
        tenant(claim("a.b"), &json!({"a.b": "whole", "a": {"b": "path"}})).unwrap(),
        "whole"
    );
    let fixed = TenantSource::Fixed(TenantId::new("only").unwrap());
    assert_eq!(tenant(fixed, &json!({"tenant": "other"})).unwrap(), "only");
    for value in [
        Value::Null,
        json!(1),
        json!(["a"]),
        json!(""),
        json!("Company"),
        json!("kömpany"),
        json!("x".repeat(65)),
    ] {
        assert_eq!(
            tenant(claim("tenant"), &json!({"tenant": value})),
            Err("auth.jwt.no_tenant")
        );
    }
    assert_eq!(tenant(claim("sub.x"), &json!({})), Err("auth.jwt.no_tenant"));
}

#[test]
fn settings_that_would_let_anybody_in() {
    let secret = |bytes: usize| Some(Secret::new(vec![7; bytes]));
    let hs = |algorithm| vec![algorithm, Algorithm::RS256];
    let base = settings();
    for (settings, error) in [
        (
            JwtSettings {
                issuer: String::new(),
                ..base.clone()
            },
            SettingsError::Issuer,
        ),
        (
            JwtSettings {
                audiences: vec![],
                ..base.clone()
            },
            SettingsError::Audience,
        ),
        (
            JwtSettings {
                audiences: vec![String::new()],
                ..base.clone()
            },
            SettingsError::Audience,
        ),
        (
            JwtSettings {
                algorithms: vec![],
                ..base.clone()
            },
            SettingsError::NoAlgorithm,
        ),
        (
            JwtSettings {
                leeway: Duration::from_secs(601),
                ..base.clone()
            },
            SettingsError::Leeway,
        ),
        (
            JwtSettings {
                scopes_claim: String::new(),
                ..base.clone()
            },
            SettingsError::Claim,
        ),
        (
            JwtSettings {
                tenant: TenantSource::Claim(String::new()),
                ..base.clone()
            },
            SettingsError::Claim,
        ),
        (
            JwtSettings {
                algorithms: hs(Algorithm::HS256),
                ..base.clone()
            },
            SettingsError::SecretMissing,
        ),
        (
            JwtSettings {
                secret: secret(32),
                ..base.clone()
            },
            SettingsError::SecretUnused,
        ),
        (
            JwtSettings {
                algorithms: hs(Algorithm::HS512),
                secret: secret(63),
                ..base.clone()
            },
            SettingsError::SecretShort(64),
        ),
    ] {
        assert_eq!(JwtVerifier::new(settings, JwkSet::empty()).unwrap_err(), error);
    }
    let settings = JwtSettings {
        algorithms: hs(Algorithm::HS256),
        secret: secret(32),
        ..base
    };
    assert!(!format!("{settings:?}").contains('7'), "{settings:?}");
}
