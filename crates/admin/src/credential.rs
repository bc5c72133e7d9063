//! Who may use the API, and for which host a request must be.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use ferromcp_tenancy::KeyHash;
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use http::{Request, Version};

use crate::refusal::{Code, Refusal};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Longest credential that is looked at, in bytes.
const MAX_KEY: usize = 512;

/// A key of the admin API.
#[derive(Clone, Copy)]
pub struct AdminKey {
    hash: KeyHash,
    expires: Option<SystemTime>,
    id: [u8; 4],
}

impl AdminKey {
    /// From the SHA-256 of a key; refused from `expires` on.
    pub fn new(sha256: [u8; 32], expires: Option<SystemTime>) -> Self {
        let [a, b, c, d, ..] = sha256;
        Self {
            hash: KeyHash::from_digest(sha256),
            expires,
            id: [a, b, c, d],
        }
    }

    /// What records call its holder: enough to find the key's line in the configuration.
    pub fn principal(&self) -> String {
        let mut name = "admin-".to_owned();
        for byte in self.id {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AdminKey({})", self.principal())
    }
}

/// The key that a request shows. Every key is compared, each in constant time.
pub(crate) fn check<'k>(
    keys: &'k [AdminKey],
    headers: &HeaderMap,
    now: SystemTime,
) -> Result<&'k AdminKey, Refusal> {
    let refused = |rule, message: &str| Err(Refusal::new(Code::Unauthenticated, rule, message));
    let mut shown = headers.get_all(AUTHORIZATION).iter().map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let mut keyed = headers.get_all(API_KEY).iter().map(|value| value.to_str().ok());
    let key = match (shown.next(), keyed.next(), shown.next(), keyed.next()) {
        (None, None, None, None) => {
            return refused(
                "admin.key.missing",
                "show an admin key: `Authorization: Bearer KEY` or `X-Api-Key: KEY`",
            );
        }
        (Some(key), None, None, None) | (None, Some(key), None, None) => key,
        _ => return refused("admin.key.unknown", "show one credential, not several"),
    };
    let Some(key) = key.filter(|key| !key.is_empty() && key.len() <= MAX_KEY) else {
        return refused("admin.key.unknown", "this is no key of the admin API");
    };
    let hash = KeyHash::of(key);
    let mut found = None;
    for known in keys {
        if known.hash.equals(&hash) {
            found = Some(known);
        }
    }
    let Some(found) = found else {
        return refused(
            "admin.key.unknown",
            "this is no key of the admin API (admin.keys); keys of tenants do not open it",
        );
    };
    if found.expires.is_some_and(|expires| now >= expires) {
        return refused(
            "admin.key.expired",
            "this key has expired; use another of admin.keys",
        );
    }
    Ok(found)
}

/// Refuses requests for other hosts and those that web pages send: a page can make a browser send requests to this
/// machine, and with DNS rebinding read the answers, but it cannot choose these headers.
pub(crate) fn check_host<B>(request: &Request<B>) -> Result<(), Refusal> {
    let bad = |message| Err(Refusal::new(Code::InvalidRequest, "admin.host", message));
    let mut sent = request.headers().get_all(HOST).iter();
    let host = match (request.uri().authority(), sent.next(), sent.next()) {
        (Some(target), _, None) => target.as_str(),
        (None, Some(value), None) => value.to_str().unwrap_or_default(),
        (None, None, _) if request.version() < Version::HTTP_11 => "localhost",
        (None, None, _) => return bad("the request has no Host header"),
        _ => return bad("the request has more than one Host header"),
    };
    if !is_loopback(host) {
        return Err(Refusal::new(
            Code::PermissionDenied,
            "admin.host",
            "the admin API answers for 127.0.0.1, [::1] and localhost only; from elsewhere, use a tunnel (ssh -L)",
        ));
    }
    if request.headers().contains_key(ORIGIN) {
        return Err(Refusal::new(
            Code::PermissionDenied,
            "admin.origin",
            "the admin API does not take requests of web pages",
        ));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) if port.is_empty() || is_port(port) => v6,
        Some(_) => return false,
        None => match host.split_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
            Some(_) => return false,
            None => host,
        },
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ring_free::digest;

    use super::*;

    /// The digest of a key, by the crate that compares them.
    mod ring_free {
        pub(super) fn digest(key: &str) -> [u8; 32] {
            let text = ferromcp_tenancy::KeyHash::of(key).to_string();
            let hex = text.strip_prefix("sha256:").unwrap();
            std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn one_known_key_opens_and_nothing_else_does() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let keys = [
            AdminKey::new(digest("good"), None),
            AdminKey::new(digest("old"), Some(now)),
            AdminKey::new(digest("young"), Some(now + Duration::from_secs(1))),
        ];
        for pairs in [
            [("authorization", "Bearer good")],
            [("authorization", "bearer good")],
            [("x-api-key", "good")],
            [("x-api-key", "young")],
        ] {
            assert!(check(&keys, &headers(&pairs), now).is_ok(), "{pairs:?}");
        }
        let long = "x".repeat(513);
        let cases: [(&[(&'static str, &str)], &str); 9] = [
            (&[], "admin.key.missing"),
            (&[("authorization", "Bearer bad")], "admin.key.unknown"),
            (&[("authorization", "Basic good")], "admin.key.unknown"),
            (&[("authorization", "good")], "admin.key.unknown"),
            (&[("x-api-key", "")], "admin.key.unknown"),
            (&[("x-api-key", &long)], "admin.key.unknown"),
            (
                &[("x-api-key", "good"), ("authorization", "Bearer good")],
                "admin.key.unknown",
            ),
            (
                &[("x-api-key", "good"), ("x-api-key", "good")],
                "admin.key.unknown",
            ),
            (&[("x-api-key", "old")], "admin.key.expired"),
        ];
        for (pairs, rule) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let refusal = check(&keys, &map, now).unwrap_err();
            assert_eq!(
                (refusal.code, refusal.rule),
                (Code::Unauthenticated, rule),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn only_loopback_names_are_this_host() {
        for good in [
            "localhost",
            "LocalHost:9090",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]",
            "[::1]:9",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1:",
            "localhost:x",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "user@localhost",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
