use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;

fn tenant() -> TenantId {
    TenantId::new("company_a.eu-1").unwrap()
}

#[test]
fn a_new_key_is_one() {
    let new = new_key(&tenant(), &[0xab; KEY_RANDOM_BYTES]);
    assert!(new.key.starts_with("fmcp_company_a.eu-1_abababab"), "{}", new.key);
    assert!(is_plausible(&new.key));
    assert_eq!(new.hash, KeyHash::of(&new.key));
    assert_eq!(KeyHash::parse(&new.hash.to_string()), Ok(new.hash));
    let shown = format!("{new:?}");
    assert!(!shown.contains("abab") && shown.contains("sha256:"), "{shown}");
    // The hash of the empty text is known (FIPS 180-4).
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(KeyHash::of("").to_string(), empty);
}

#[test]
fn what_is_no_hash() {
    let key = new_key(&tenant(), &[1; KEY_RANDOM_BYTES]).key;
    for (text, error) in [
        ("", KeyHashError::Prefix),
        (
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            KeyHashError::Prefix,
        ),
        ("sha256:e3b0", KeyHashError::Digits),
        (&format!("sha256:{}", "x".repeat(64)), KeyHashError::Digits),
        (&format!("sha256:{}", "ß".repeat(32)), KeyHashError::Digits),
        (&key, KeyHashError::IsKey),
    ] {
        assert_eq!(KeyHash::parse(text), Err(error), "{text}");
    }
}

#[test]
fn what_cannot_be_a_key() {
    for text in [
        "",
        "fmcp_",
        "fmcp_a",
        "fmcp_a_",
        "with blank",
        "umlaut-ä",
        &format!("fmcp__{}", "0".repeat(72)),
        &format!("fmcp_a_{}", "0".repeat(72)),
        &format!("fmcp_A_{}", "0".repeat(72)),
        &"x".repeat(MAX_KEY_BYTES + 1),
    ] {
        assert!(!is_plausible(text), "{text}");
    }
    assert!(is_plausible("made-elsewhere-0123456789"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_change_to_a_key_is_noticed(random in any::<[u8; 32]>(), position in 5usize..90, to in any::<char>()) {
        let new = new_key(&tenant(), &random);
        let mut changed: Vec<char> = new.key.chars().collect();
        let position = position.min(changed.len() - 1);
        changed[position] = to;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(is_plausible(&changed), changed == new.key);
    }

    #[test]
    fn comparison_is_equality(one in any::<[u8; 32]>(), bit in 0usize..256) {
        let mut other = one;
        other[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(KeyHash(one).equals(&KeyHash(one)));
        prop_assert!(!KeyHash(one).equals(&KeyHash(other)));
    }

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        let _ = (is_plausible(&text), KeyHash::parse(&text));
    }
}
