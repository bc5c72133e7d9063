//! Cursors of lists: opaque to clients, and still good when the list changed between two pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where the next page starts: behind the item with this key, or, if that is gone, at this index.
/// `list` tells the lists apart.
pub(crate) fn make(list: u8, next: usize, last_key: &str) -> String {
    let mut raw = Vec::with_capacity(17);
    raw.push(list);
    raw.extend_from_slice(&(next as u64).to_be_bytes());
    raw.extend_from_slice(&hash(last_key).to_be_bytes());
    URL_SAFE_NO_PAD.encode(raw)
}

/// The index of the first item of the page that a cursor stands for. `None` if it is not a cursor
/// of this list.
pub(crate) fn find<'a>(list: u8, cursor: &str, len: usize, key: impl Fn(usize) -> &'a str) -> Option<usize> {
    let raw = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (&made_for, rest) = raw.split_first()?;
    let (next, rest) = rest.split_first_chunk::<8>()?;
    let last: [u8; 8] = rest.try_into().ok()?;
    if made_for != list {
        return None;
    }
    let next = usize::try_from(u64::from_be_bytes(*next)).ok()?;
    let last = u64::from_be_bytes(last);
    let is_last = |i: &usize| hash(key(*i)) == last;
    if let Some(i) = next.checked_sub(1).filter(|i| *i < len && is_last(i)) {
        return Some(i + 1);
    }
    Some((0..len).find(is_last).map_or(next.min(len), |i| i + 1))
}

/// FNV-1a, 64 bits: the same on every replica.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::{find, make};

    const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn look(cursor: &str, keys: &[&'static str]) -> Option<usize> {
        find(b't', cursor, keys.len(), |i| keys[i])
    }

    #[test]
    fn goes_on_behind_the_last_item() {
        let cursor = make(b't', 2, "b");
        assert_eq!(look(&cursor, &KEYS), Some(2));
        assert_eq!(
            look(&cursor, &["0", "a", "b", "c"]),
            Some(3),
            "an item was added before"
        );
        assert_eq!(look(&cursor, &["b", "c"]), Some(1), "an item was removed before");
        assert_eq!(
            look(&cursor, &["a", "c", "d"]),
            Some(2),
            "the last item itself is gone"
        );
        assert_eq!(look(&cursor, &[]), Some(0));
    }

    #[test]
    fn refuses_what_it_did_not_make() {
        for bad in ["x", "!!!", "AAAA", "dGVzdA", &make(b'r', 2, "b")] {
            assert_eq!(look(bad, &KEYS), None, "{bad}");
        }
    }
}
