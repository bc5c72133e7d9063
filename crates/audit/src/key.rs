//! Keys of checkpoints: Ed25519 (RFC 8032), in the forms that other programs write.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::KeyError;
use crate::text;

/// DER before the 32 bytes of a SubjectPublicKeyInfo of Ed25519 (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The object identifier of Ed25519 in DER.
const OID: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// Half of a key that signs checkpoints.
#[derive(Clone)]
pub struct SigningKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

impl SigningKey {
    /// Reads PKCS#8 in PEM (`BEGIN PRIVATE KEY`, as `openssl genpkey -algorithm ed25519` writes it)
    /// or DER, or a 32-byte seed, raw or as 64 hexadecimal digits.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Some(der) = pem(bytes, "PRIVATE KEY")? {
            return Self::from_der(&der);
        }
        if bytes.len() == 32 {
            return Self::from_seed(bytes);
        }
        if let Some(seed) = text::unhex::<32>(bytes.trim_ascii()) {
            return Self::from_seed(&seed);
        }
        if bytes.first() == Some(&0x30) {
            return Self::from_der(bytes);
        }
        Err(KeyError::Form)
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| {
            if der.windows(OID.len()).any(|part| part == OID) {
                KeyError::Form
            } else {
                KeyError::Algorithm
            }
        })?;
        Self::from_pair(pair)
    }

    fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        Self::from_pair(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Form)?)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, KeyError> {
        let bytes = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Form)?;
        Ok(Self {
            pair: Arc::new(pair),
            public: PublicKey { bytes },
        })
    }

    /// Makes a key; returns it and its PKCS#8 in PEM.
    pub fn generate() -> Result<(Self, String), KeyError> {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandom)?;
        Ok((Self::from_der(der.as_ref())?, to_pem("PRIVATE KEY", der.as_ref())))
    }

    /// The half that verifies.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(message).as_ref());
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(public {})", self.public.to_hex())
    }
}

/// Half of a key that verifies checkpoints; no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo in PEM (`BEGIN PUBLIC KEY`, as `openssl pkey -pubout` writes it)
    /// or DER, or the 32 bytes, raw or as 64 hexadecimal digits.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Some(der) = pem(bytes, "PUBLIC KEY")? {
            return Self::from_der(&der);
        }
        if let Ok(bytes) = bytes.try_into() {
            return Ok(Self { bytes });
        }
        if let Some(bytes) = text::unhex::<32>(bytes.trim_ascii()) {
            return Ok(Self { bytes });
        }
        if bytes.first() == Some(&0x30) {
            return Self::from_der(bytes);
        }
        Err(KeyError::Form)
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let bytes = der.strip_prefix(&SPKI).ok_or(KeyError::Algorithm)?;
        let bytes = bytes.try_into().map_err(|_| KeyError::Algorithm)?;
        Ok(Self { bytes })
    }

    /// 64 hexadecimal digits: the form in the `key` member of a checkpoint.
    #[must_use]
    pub fn to_hex(&self) -> String {
        text::hex_string(&self.bytes)
    }

    /// SubjectPublicKeyInfo in PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut der = SPKI.to_vec();
        der.extend_from_slice(&self.bytes);
        to_pem("PUBLIC KEY", &der)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes)
            .verify(message, signature)
            .is_ok()
    }
}

/// The bytes between the lines of a PEM block; `None` when it is no PEM at all.
fn pem(bytes: &[u8], label: &str) -> Result<Option<Vec<u8>>, KeyError> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(None);
    };
    if !text.contains("-----BEGIN ") {
        return Ok(None);
    }
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let (_, rest) = text.split_once(&begin).ok_or(KeyError::Form)?;
    let (body, _) = rest.split_once(&end).ok_or(KeyError::Form)?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).map(Some).map_err(|_| KeyError::Form)
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_survives_its_pem() {
        let (key, pem) = SigningKey::generate().unwrap();
        let again = SigningKey::parse(pem.as_bytes()).unwrap();
        assert_eq!(key.public_key(), again.public_key());
        let signature = again.sign(b"x");
        assert!(key.public_key().verifies(b"x", &signature));
        assert!(!key.public_key().verifies(b"y", &signature));
        assert!(!format!("{key:?}").contains(&pem[40..60]));
    }

    /// RFC 8410, section 10.3, and the public key it gives in 10.1.
    #[test]
    fn keys_of_other_programs_are_read() {
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let key = SigningKey::parse(private.as_bytes()).unwrap();
        let known = PublicKey::parse(public.as_bytes()).unwrap();
        assert_eq!(key.public_key(), known);
        assert_eq!(known.to_pem(), public);
        assert_eq!(PublicKey::parse(known.to_hex().as_bytes()).unwrap(), known);
        assert_eq!(PublicKey::parse(known.bytes()).unwrap(), known);
    }

    #[test]
    fn a_seed_is_a_key() {
        let raw = SigningKey::parse(&[7; 32]).unwrap();
        let hex = SigningKey::parse(format!("{}\n", "07".repeat(32)).as_bytes()).unwrap();
        assert_eq!(raw.public_key(), hex.public_key());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let wrong = |bytes: &[u8]| SigningKey::parse(bytes).unwrap_err();
        assert_eq!(wrong(b""), KeyError::Form);
        assert_eq!(wrong(&[1; 31]), KeyError::Form);
        assert_eq!(wrong(b"-----BEGIN PRIVATE KEY-----\nAAAA"), KeyError::Form);
        assert_eq!(wrong(b"-----BEGIN RSA PRIVATE KEY-----\nAAAA"), KeyError::Form);
        assert_eq!(wrong(&[0x30, 0x03, 0, 0, 0]), KeyError::Algorithm);
        assert_eq!(PublicKey::parse(&[0x30, 0x03, 0, 0, 0]), Err(KeyError::Algorithm));
        assert_eq!(PublicKey::parse(b"short"), Err(KeyError::Form));
    }
}
