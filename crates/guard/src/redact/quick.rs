//! A cheap first look: most text has nothing in it that could be sensitive.

use std::sync::LazyLock;

use aho_corasick::packed::{MatchKind, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Longest text that is looked at in this way, in bytes: in longer ones the searches for each kind, which skip ahead,
/// are faster than this look, which does not.
const LONGEST: usize = 1024;

/// One of these is in everything that is found by what it begins with, by the name before it, or by its `@`. The last one
/// begins the escapes in which any of the others could hide.
const TRIGGERS: [&str; 22] = [
    "akia",
    "asia",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "xapp-",
    "sk-",
    "k_live_",
    "aiza",
    "-----begin ",
    "eyj",
    "passw",
    "secret",
    "token",
    "api",
    "@",
    "\\u",
];

/// None if it cannot be built, which makes every text suspect.
static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .build(TRIGGERS)
        .ok()
});

/// Three bytes of every trigger that has three: a search that takes many bytes at a time, and is mostly enough. None where
/// the processor cannot do that.
static RUNS: LazyLock<Option<Searcher>> = LazyLock::new(|| {
    let runs = EXACT
        .iter()
        .map(|run| **run)
        .chain(EITHER.iter().flat_map(|run| spellings(**run)));
    aho_corasick::packed::Config::new()
        .match_kind(MatchKind::LeftmostFirst)
        .builder()
        .extend(runs)
        .build()
});

/// Of what is found in this case of letters only. More than 64 runs, with those below, would be too many.
const EXACT: [&[u8; 3]; 16] = [
    b"AKI", b"ASI", b"ghp", b"gho", b"ghs", b"ghu", b"ghr", b"b_p", b"at-", b"xox", b"pp-", b"sk-", b"k_l",
    b"AIz", b"---", b"eyJ",
];

/// Of what is found in any case.
const EITHER: [&[u8; 3]; 4] = [b"ssw", b"ecr", b"oke", b"api"];

/// The eight ways to write three letters.
fn spellings(run: [u8; 3]) -> impl Iterator<Item = [u8; 3]> {
    (0..8).map(move |upper| {
        std::array::from_fn(|at| {
            if upper >> at & 1 == 1 {
                run[at].to_ascii_uppercase()
            } else {
                run[at]
            }
        })
    })
}

fn triggers_may_hold(text: &[u8]) -> bool {
    let plain = RUNS.as_ref().is_some_and(|runs| {
        text.len() >= runs.minimum_len()
            && memchr::memchr2(b'@', b'\\', text).is_none()
            && runs.find(text).is_none()
    });
    !plain && SEARCH.as_ref().is_none_or(|search| search.is_match(text))
}

/// Whether something sensitive of any kind may be in `text`: a string, or a whole JSON document. Errs on that side only.
pub(super) fn may_hold(text: &[u8]) -> bool {
    text.len() > LONGEST || digits_may_hold(text) || triggers_may_hold(text)
}

/// Whether there is a group of as many digits as the shortest card number has (13), parted by single spaces or dashes or
/// not at all, or of as many as a social security number has (9) with a dash in it, or the beginning of an IBAN: two
/// capitals and two digits.
fn digits_may_hold(text: &[u8]) -> bool {
    const CARD: usize = 13;
    const SOCIAL_SECURITY: usize = 9;
    // Counting is many bytes at a time, and mostly enough.
    let (mut digits, mut capitals) = (0usize, 0usize);
    for block in text.chunks(u8::MAX as usize) {
        let (mut digit, mut capital) = (0u8, 0u8);
        for byte in block {
            digit += u8::from(byte.is_ascii_digit());
            capital += u8::from(byte.is_ascii_uppercase());
        }
        digits += usize::from(digit);
        capitals += usize::from(capital);
    }
    if digits < 2 || (digits < SOCIAL_SECURITY && capitals < 2) {
        return false;
    }
    let mut group = 0;
    let mut dash = false;
    let mut parted = false;
    for (at, byte) in text.iter().enumerate() {
        if byte.is_ascii_digit() {
            group += 1;
            parted = false;
            let before = at.checked_sub(3).and_then(|from| text.get(from..at));
            let country = matches!(before, Some([one, two, digit])
                if digit.is_ascii_digit() && one.is_ascii_uppercase() && two.is_ascii_uppercase());
            if country || group >= CARD || (group >= SOCIAL_SECURITY && dash) {
                return true;
            }
        } else if group > 0 {
            if parted || !matches!(byte, b' ' | b'-') {
                group = 0;
                dash = false;
            } else {
                parted = true;
                dash |= *byte == b'-';
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, prop_assert, prop_oneof, proptest};

    use super::*;
    use crate::redact::kinds;

    /// Pieces that together make what is found, in either case.
    fn pieces() -> impl Strategy<Value = String> {
        let samples = vec![
            "ann@example.com",
            "@",
            "AKIA",
            "ASIA",
            "IOSFODNN7EXAMPLE",
            "eyJ0.eyJ1.x",
            "password",
            "Passwd",
            "client_secret",
            "TOKEN",
            "api-key",
            "API_KEY",
            "apikey",
            "=hunter22",
            ": hunter22x",
            "4111 1111 1111 1111",
            "DE89370400440532013000",
            "GB29 NWBK 6016 1331 9268 19",
            "-----BEGIN PRIVATE KEY-----",
            "536-22-1234",
            "ghp_",
            "github_pat_",
            "glpat-",
            "xoxb-",
            "xapp-",
            "sk-",
            "sk_live_",
            "rk_live_",
            "AIza",
            "0123456789abcdefghij",
            " ",
        ];
        let piece = prop_oneof![
            prop::sample::select(samples).prop_map(str::to_owned),
            "[a-zA-Z0-9 ]{0,6}"
        ];
        prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_suspected(filler in "([a-z ]{40})?", text in pieces()) {
            // The fast search takes only what is long enough for it.
            let text = filler + &text;
            let mut spans = Vec::new();
            kinds::find(text.as_bytes(), u16::MAX, &mut spans);
            prop_assert!(spans.is_empty() || may_hold(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_trigger_has_its_run() {
        let runs = EXACT.iter().chain(&EITHER).map(|run| run.to_ascii_lowercase());
        let long = TRIGGERS.iter().filter(|trigger| trigger.len() >= 3);
        assert_eq!(long.clone().count(), runs.clone().count());
        for (trigger, run) in long.zip(runs) {
            assert!(trigger.as_bytes().windows(3).any(|part| part == run), "{trigger}");
        }
        #[cfg(target_arch = "x86_64")]
        assert!(RUNS.is_some() || !std::arch::is_x86_feature_detected!("ssse3"));
    }

    #[test]
    fn what_is_plain_and_what_is_not() {
        for plain in [
            "{\"content\":[{\"type\":\"text\",\"text\":\"hello 1234567890, 12 34, 1-2\"}]}",
            "",
            "AB1",
            "Line one\\nline two, 3 apples \\\"quoted\\\"",
        ] {
            assert!(!may_hold(plain.as_bytes()), "{plain}");
        }
        for suspect in [
            "{\"Password\":1}",
            "a@b",
            "123-45-6789",
            "x4111 1111 1111-1111",
            "4111111111111",
            "DE89",
            "\\u0040",
            "-----BEGIN X",
            "SK-",
            &"a".repeat(LONGEST + 1),
        ] {
            assert!(may_hold(suspect.as_bytes()), "{suspect}");
        }
    }
}
