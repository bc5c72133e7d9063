//! Exposed names.

/// Longest exposed tool or prompt name with a prefix: model APIs accept 64 characters.
pub const MAX_NAME: usize = 64;

/// Between prefix and name.
const SEPARATOR: &str = "__";

/// The name that callers see: `<prefix>__<name>`, or the name as it is without a prefix.
/// Characters other than `A-Z a-z 0-9 _ -` become `_`; a name that had such characters or is too
/// long ends in `_` and eight hexadecimal digits of a hash of the full name, so that two names
/// never become one. The result depends on nothing but prefix and name.
pub fn exposed_name(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        return name.to_owned();
    }
    let full = format!("{prefix}{SEPARATOR}{name}");
    let clean: String = full
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                c
            } else {
                '_'
            }
        })
        .collect();
    if clean == full && clean.len() <= MAX_NAME {
        return clean;
    }
    let keep = clean.len().min(MAX_NAME - 9);
    format!("{}_{:08x}", &clean[..keep], fnv1a(full.as_bytes()) as u32)
}

/// FNV-1a, 64 bits: stable across versions and machines, which std's hashers do not promise.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}
