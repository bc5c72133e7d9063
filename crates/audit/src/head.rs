//! The signed head, `head.json`: how far the log certainly goes, and where it begins.
//!
//! Without it, cutting whole records off the end, or removing the oldest segments, would leave a
//! chain that fits. It is replaced as a whole, after what it speaks of is durable, and before old
//! segments are removed.

use serde::Deserialize;

use crate::key::{PublicKey, SigningKey};
use crate::line::Chain;
use crate::text;

/// Name of the file.
pub(crate) const HEAD: &str = "head.json";
/// What the signature covers before the bytes of the file.
const CONTEXT: &[u8] = b"ferromcp-audit head v1\n";
const SIG: &[u8] = b",\"sig\":\"";
/// Longest file that is read.
pub(crate) const MAX_HEAD: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Last record that retention has removed; the log begins behind it.
    pub(crate) base: Chain,
    /// Last checkpoint known to be durable.
    pub(crate) last: Chain,
    pub(crate) time_us: u64,
}

/// Why a head cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFault {
    Form,
    /// Signed by a key that is not among those given.
    ForeignKey,
    Signature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    v: u32,
    base_seq: u64,
    base_hash: &'a str,
    seq: u64,
    hash: &'a str,
    time: &'a str,
    key: &'a str,
    sig: &'a str,
}

impl Head {
    pub(crate) fn write(&self, key: &SigningKey) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        text::number(&mut out, b"{\"v\":1,\"base_seq\":", self.base.seq);
        out.extend_from_slice(b",\"base_hash\":\"");
        text::hex(&mut out, &self.base.hash);
        text::number(&mut out, b"\",\"seq\":", self.last.seq);
        out.extend_from_slice(b",\"hash\":\"");
        text::hex(&mut out, &self.last.hash);
        out.extend_from_slice(b"\",\"time\":\"");
        text::timestamp(&mut out, self.time_us);
        out.extend_from_slice(b"\",\"key\":\"");
        text::hex(&mut out, key.public_key().bytes());
        out.push(b'"');
        let signature = key.sign(&[CONTEXT, &out].concat());
        out.extend_from_slice(SIG);
        text::hex(&mut out, &signature);
        out.extend_from_slice(b"\"}\n");
        out
    }

    /// Reads and checks; `keys` empty means that the key named inside is believed.
    pub(crate) fn read(bytes: &[u8], keys: &[PublicKey]) -> Result<Self, HeadFault> {
        let file: File<'_> = serde_json::from_slice(bytes).map_err(|_| HeadFault::Form)?;
        let form = |hex: &str| text::unhex::<32>(hex.as_bytes()).ok_or(HeadFault::Form);
        let head = Self {
            base: Chain {
                seq: file.base_seq,
                hash: form(file.base_hash)?,
            },
            last: Chain {
                seq: file.seq,
                hash: form(file.hash)?,
            },
            time_us: text::parse_timestamp(file.time.as_bytes()).ok_or(HeadFault::Form)?,
        };
        let key = PublicKey::parse(file.key.as_bytes()).map_err(|_| HeadFault::Form)?;
        let signature = text::unhex::<64>(file.sig.as_bytes()).ok_or(HeadFault::Form)?;
        // 128 digits, the quote, the brace and the end of the line come behind what is signed.
        let signed = bytes
            .len()
            .checked_sub(128 + 3)
            .and_then(|end| bytes[..end].strip_suffix(SIG))
            .ok_or(HeadFault::Form)?;
        if file.v != 1 || !bytes.ends_with(b"\"}\n") || head.base.seq > head.last.seq {
            return Err(HeadFault::Form);
        }
        if !keys.is_empty() && !keys.contains(&key) {
            return Err(HeadFault::ForeignKey);
        }
        if !key.verifies(&[CONTEXT, signed].concat(), &signature) {
            return Err(HeadFault::Signature);
        }
        Ok(head)
    }

    /// The key the head names, whoever signed it.
    pub(crate) fn names_key(bytes: &[u8]) -> Option<PublicKey> {
        let file: File<'_> = serde_json::from_slice(bytes).ok()?;
        PublicKey::parse(file.key.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            base: Chain {
                seq: 3,
                hash: [1; 32],
            },
            last: Chain {
                seq: 9,
                hash: [2; 32],
            },
            time_us: 77,
        }
    }

    #[test]
    fn it_survives_and_any_changed_byte_is_seen() {
        let key = SigningKey::parse(&[7; 32]).unwrap();
        let other = SigningKey::parse(&[8; 32]).unwrap();
        let bytes = head().write(&key);
        assert!((bytes.len() as u64) < MAX_HEAD);
        assert_eq!(Head::read(&bytes, &[key.public_key()]), Ok(head()));
        assert_eq!(Head::read(&bytes, &[]), Ok(head()));
        assert_eq!(
            Head::read(&bytes, &[other.public_key()]),
            Err(HeadFault::ForeignKey)
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Head::read(&changed, &[key.public_key()]).is_err(), "{at}");
        }
    }
}
