//! API keys: made once, kept as hashes.
//!
//! A key is `fmcp_<tenant>_<64 hex digits: 32 random bytes><8 hex digits: a checksum>`. The prefix lets scanners find keys
//! that leaked, the checksum (the first 4 bytes of the SHA-256 of all before it) tells a mistyped or invented key from
//! a revoked one. 256 random bits need no slow hash: there is nothing to guess.
//!
//! Keys are looked up by their SHA-256, so what a comparison costs depends on the digest and tells nothing about the key;
//! the digest that was found is compared once more in constant time.

use std::fmt;
use std::hash::Hasher;
use std::hint::black_box;

use ring::digest::{SHA256, digest};

use crate::id::TenantId;

/// Random bytes that a new key needs.
pub const KEY_RANDOM_BYTES: usize = 32;
/// Longest text that is looked at as a key.
pub const MAX_KEY_BYTES: usize = 512;

const HEX: &[u8; 16] = b"0123456789abcdef";
const PREFIX: &str = "fmcp_";
const ADMIN_PREFIX: &str = "fmcpadmin_";
const CHECKSUM_DIGITS: usize = 8;
const SECRET_DIGITS: usize = 2 * KEY_RANDOM_BYTES + CHECKSUM_DIGITS;

/// A key that was just made: to be shown once.
pub struct NewKey {
    /// The key itself.
    pub key: String,
    /// What is kept of it.
    pub hash: KeyHash,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewKey {{ key: [secret], hash: {} }}", self.hash)
    }
}

/// Makes a key of random bytes, which must come from the operating system's generator.
pub fn new_key(tenant: &TenantId, random: &[u8; KEY_RANDOM_BYTES]) -> NewKey {
    let mut key = format!("{PREFIX}{tenant}_{}", hex(random));
    key.push_str(&checksum(&key));
    let hash = KeyHash::of(&key);
    NewKey { key, hash }
}

/// Makes a key of the admin API. It begins in another way than those of tenants, so that nobody takes one for the other.
pub fn new_admin_key(random: &[u8; KEY_RANDOM_BYTES]) -> NewKey {
    let mut key = format!("{ADMIN_PREFIX}{}", hex(random));
    key.push_str(&checksum(&key));
    let hash = KeyHash::of(&key);
    NewKey { key, hash }
}

/// The SHA-256 of a key; written `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

/// Why a text is no hash of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyHashError {
    /// It does not begin with `sha256:`.
    #[error("a key is given as `sha256:` and 64 hex digits, as `ferromcp keys new TENANT` prints it")]
    Prefix,
    /// It is a key.
    #[error(
        "this is a key itself: put only its `sha256:` line here, and make a new key, for this one was written down"
    )]
    IsKey,
    /// Not 64 hex digits.
    #[error("behind `sha256:` there must be 64 hex digits")]
    Digits,
}

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }

    /// A hash that was made before.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Reads `sha256:<64 hex digits>`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, KeyHashError> {
        if text.starts_with(PREFIX) || text.starts_with(ADMIN_PREFIX) {
            return Err(KeyHashError::IsKey);
        }
        let digits = text.strip_prefix("sha256:").ok_or(KeyHashError::Prefix)?;
        if digits.len() != 64 {
            return Err(KeyHashError::Digits);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            *byte = high
                .zip(low)
                .map(|(high, low)| high << 4 | low)
                .ok_or(KeyHashError::Digits)?;
        }
        Ok(Self(hash))
    }

    /// Compares without telling by its time where the difference is.
    pub fn equals(&self, other: &Self) -> bool {
        let (one, two) = (words(&self.0), words(&other.0));
        let pairs = one.iter().zip(&two);
        black_box(pairs.fold(0, |difference, (one, two)| black_box(difference | (one ^ two)))) == 0
    }
}

fn words(digest: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Hashes a digest for a table: its first bytes are as good as any. Whoever shows keys cannot fill the table, which holds
/// what the operator has set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether a text may be looked up as a key: of a length and an alphabet that keys have.
pub(crate) fn is_wellformed(key: &str) -> bool {
    // Without a way out in the middle: many bytes at once.
    let graphic = |all, byte: u8| all & byte.is_ascii_graphic();
    !key.is_empty() && key.len() <= MAX_KEY_BYTES && key.bytes().fold(true, graphic)
}

/// Whether a text can be a key at all: one of ours with the right checksum, or one that was made elsewhere.
pub(crate) fn is_plausible(key: &str) -> bool {
    if !is_wellformed(key) {
        return false;
    }
    let Some(rest) = key.strip_prefix(PREFIX) else {
        return true;
    };
    let Some((tenant, secret)) = rest.rsplit_once('_') else {
        return false;
    };
    if secret.len() != SECRET_DIGITS || !TenantId::is_valid(tenant) {
        return false;
    }
    let (text, sum) = key.split_at(key.len() - CHECKSUM_DIGITS);
    let expected = KeyHash::of(text).0;
    let digits = expected.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    sum.bytes()
        .zip(digits)
        .all(|(given, digit)| given == HEX[usize::from(digit)])
}

fn checksum(text: &str) -> String {
    hex(&KeyHash::of(text).0[..CHECKSUM_DIGITS / 2])
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(HEX[usize::from(digit)])).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests;
