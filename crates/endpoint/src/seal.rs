//! Request state that travels through the client: sealed, so that nobody can read or change it, and
//! bound to who may bring it back, for what, and until when (2026-07-28 basic/patterns/mrtr, "Server
//! Requirements").

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferromcp_core::Principal;
use ferromcp_protocol::json::{self, Object};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// First byte of every sealed state; part of what is authenticated.
const FORMAT: u8 = 1;

/// What a sealed state belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) method: &'a str,
    pub(crate) name: &'a str,
    pub(crate) arguments: Option<&'a str>,
}

/// What travels.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// Answers of earlier rounds.
    pub(crate) answers: Vec<(String, String)>,
    /// The source's own state.
    pub(crate) state: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    /// Milliseconds since the Unix epoch.
    expires: u64,
    digest: [u8; 32],
    carried: Carried,
}

/// Why a state is not accepted. The client is only told that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// It was not made by us, or was changed.
    Forged,
    /// It is too old.
    Expired,
    /// It belongs to another principal or another request.
    Foreign,
}

/// Seals and opens state.
pub(crate) struct Seal {
    key: Option<LessSafeKey>,
    bytes: Option<[u8; 32]>,
    ttl: Duration,
}

impl Seal {
    /// With the given key, or a random one.
    pub(crate) fn new(key: Option<[u8; 32]>, ttl: Duration) -> Self {
        let bytes = key.or_else(|| {
            let mut random = [0u8; 32];
            getrandom::fill(&mut random).is_ok().then_some(random)
        });
        let key = bytes
            .and_then(|key| UnboundKey::new(&CHACHA20_POLY1305, &key).ok())
            .map(LessSafeKey::new);
        Self { key, bytes, ttl }
    }

    /// For another process that is to open what this one sealed.
    pub(crate) const fn key(&self) -> Option<[u8; 32]> {
        self.bytes
    }

    /// Seals state; `None` only without a system random source.
    pub(crate) fn seal(&self, binding: &Binding<'_>, carried: Carried) -> Option<String> {
        let expires = now().saturating_add(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        let envelope = Envelope {
            expires,
            digest: digest(binding),
            carried,
        };
        let mut sealed = serde_json::to_vec(&envelope).ok()?;
        // 96 random bits: safe for 2^32 states under one key (NIST SP 800-38D, section 8.3, holds
        // for this construction alike).
        let mut nonce = [0u8; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let aad = Aad::from([FORMAT]);
        self.key
            .as_ref()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .ok()?;
        let mut out = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        out.push(FORMAT);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(out))
    }

    /// Opens what a client brought back.
    pub(crate) fn open(&self, binding: &Binding<'_>, sealed: &str) -> Result<Carried, Unsealed> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Unsealed::Forged)?;
        let Some((&[FORMAT], rest)) = bytes.split_first_chunk_mut::<1>().map(|(a, b)| (&*a, b)) else {
            return Err(Unsealed::Forged);
        };
        let (nonce, text) = rest
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(Unsealed::Forged)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let key = self.key.as_ref().ok_or(Unsealed::Forged)?;
        let plain = key
            .open_in_place(nonce, Aad::from([FORMAT]), text)
            .map_err(|_| Unsealed::Forged)?;
        let envelope: Envelope = serde_json::from_slice(plain).map_err(|_| Unsealed::Forged)?;
        if envelope.expires <= now() {
            return Err(Unsealed::Expired);
        }
        if envelope.digest != digest(binding) {
            return Err(Unsealed::Foreign);
        }
        Ok(envelope.carried)
    }
}

/// Wall-clock time: the state may come back to another process.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// One digest of all that a state is bound to. Every part is preceded by its length, so that no two
/// bindings run together.
fn digest(binding: &Binding<'_>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [
        &*binding.principal.tenant,
        &*binding.principal.name,
        binding.method,
        binding.name,
    ] {
        feed(&mut context, part);
    }
    // Absent arguments and `{}` mean the same.
    canonical(&mut context, binding.arguments.unwrap_or("{}"), 0);
    let mut out = [0u8; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn feed(context: &mut Context, part: &str) {
    context.update(&(part.len() as u64).to_le_bytes());
    context.update(part.as_bytes());
}

/// Deeper than any argument that the pipeline lets through.
const MAX_DEPTH: usize = 256;

/// Feeds JSON without what serialization may change from one request to the next: the order of
/// members, whitespace, the escapes in strings.
fn canonical(context: &mut Context, raw: &str, depth: usize) {
    let raw = raw.trim();
    if depth < MAX_DEPTH
        && let Ok(object) = Object::parse(raw)
    {
        let mut members: Vec<(&str, &str)> = object.iter().collect();
        members.sort_unstable();
        context.update(b"{");
        context.update(&(members.len() as u64).to_le_bytes());
        for (name, value) in members {
            feed(context, name);
            canonical(context, value, depth + 1);
        }
    } else if depth < MAX_DEPTH
        && let Ok(elements) = json::elements(raw, usize::MAX)
    {
        context.update(b"[");
        context.update(&(elements.len() as u64).to_le_bytes());
        for element in elements {
            canonical(context, element, depth + 1);
        }
    } else if let Some(text) = json::decode_str(raw) {
        context.update(b"\"");
        feed(context, &text);
    } else {
        context.update(b"=");
        feed(context, raw);
    }
}

#[cfg(test)]
mod tests;
