//! Tokens and key sets that somebody made up.

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, proptest};

use super::*;

#[test]
fn no_algorithm_and_unknown_algorithms() {
    let (verifier, signer) = pair();
    for name in [
        "none", "None", "NONE", "nOnE", "", "eddsa", "EdDSA ", "ES512", "RSA-OAEP",
    ] {
        let unsigned = format!(
            "{}.{}.",
            b64(json!({"alg": name}).to_string()),
            b64(claims().to_string())
        );
        assert_eq!(
            rule(verifier.verify(&unsigned, NOW)),
            "auth.jwt.algorithm",
            "{name}"
        );
        let signed = signer.token(&json!({"alg": name, "kid": "one"}), &claims());
        assert_eq!(
            rule(verifier.verify(&signed, NOW)),
            "auth.jwt.algorithm",
            "{name}"
        );
    }
    for header in [
        json!({}),
        json!({"alg": null}),
        json!({"alg": ["EdDSA"]}),
        json!([]),
        json!("EdDSA"),
    ] {
        assert_eq!(
            rule(verifier.verify(&signer.token(&header, &claims()), NOW)),
            "auth.jwt.malformed"
        );
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // The classic: sign with HS256, the secret being the public RSA key as everybody can download it.
    let rsa = Signer::rsa(&signature::RSA_PKCS1_SHA256);
    let jwk = rsa.jwk("one");
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let own_secret = Secret::new(vec![9; 32]);
    let both = JwtSettings {
        algorithms: vec![Algorithm::RS256, Algorithm::HS256],
        secret: Some(own_secret),
        ..settings()
    };
    for secret in [
        n,
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().into(),
        Vec::new(),
    ] {
        let forged = Signer::secret(&secret).token(&json!({"alg": "HS256", "kid": "one"}), &claims());
        assert_eq!(
            rule(verifier(std::slice::from_ref(&jwk)).verify(&forged, NOW)),
            "auth.jwt.algorithm"
        );
        let with_secret = JwtVerifier::new(both.clone(), set(std::slice::from_ref(&jwk))).unwrap();
        assert_eq!(rule(with_secret.verify(&forged, NOW)), "auth.jwt.signature");
    }
    // With the secret it is good, and only then.
    let with_secret = JwtVerifier::new(both, JwkSet::empty()).unwrap();
    let good = Signer::secret(&[9; 32]).token(&json!({"alg": "HS256"}), &claims());
    assert_eq!(rule(with_secret.verify(&good, NOW)), "ok");
    let hs384 = Signer::secret(&[9; 32]).token(&json!({"alg": "HS384"}), &claims());
    assert_eq!(rule(with_secret.verify(&hs384, NOW)), "auth.jwt.algorithm");
}

#[test]
fn keys_that_do_not_fit() {
    let (verifier, signer) = pair();
    let stranger = Signer::ed();
    assert_eq!(
        rule(verifier.verify(&stranger.token(&header(), &claims()), NOW)),
        "auth.jwt.signature"
    );
    let unknown = stranger.token(&json!({"alg": "EdDSA", "kid": "two"}), &claims());
    assert_eq!(rule(verifier.verify(&unknown, NOW)), "auth.jwt.unknown_key");
    // The same id with another kind of key is no reason to fetch the keys again.
    let other =
        Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING).token(&json!({"alg": "ES256", "kid": "one"}), &claims());
    assert_eq!(rule(verifier.verify(&other, NOW)), "auth.jwt.signature");
    // A key that the token brings along is not looked at.
    let brought = json!({"alg": "EdDSA", "jwk": stranger.jwk("x"), "jku": "https://evil.example", "x5u": "https://evil.example"});
    assert_eq!(
        rule(verifier.verify(&stranger.token(&brought, &claims()), NOW)),
        "auth.jwt.signature"
    );
    // Without an id any key of the kind will do.
    assert_eq!(
        rule(verifier.verify(&signer.token(&json!({"alg": "EdDSA"}), &claims()), NOW)),
        "ok"
    );
    let critical = json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": false});
    assert_eq!(
        rule(verifier.verify(&signer.token(&critical, &claims()), NOW)),
        "auth.jwt.malformed"
    );
    let long = json!({"alg": "EdDSA", "kid": "k".repeat(5_000)});
    let denied = verifier
        .verify(&stranger.token(&long, &claims()), NOW)
        .unwrap_err();
    assert!(denied.rule == Rule::JwtUnknownKey && denied.message.len() < 300);
}

#[test]
fn several_keys_may_share_an_id() {
    let (old, new, rsa) = (
        Signer::ed(),
        Signer::ed(),
        Signer::rsa(&signature::RSA_PKCS1_SHA256),
    );
    let verifier = verifier(&[old.jwk("one"), new.jwk("one"), rsa.jwk("one")]);
    for signer in [&old, &new] {
        assert_eq!(
            rule(verifier.verify(&signer.token(&header(), &claims()), NOW)),
            "ok"
        );
    }
    let token = rsa.token(&json!({"alg": "RS256", "kid": "one"}), &claims());
    assert_eq!(rule(verifier.verify(&token, NOW)), "ok");
    // A key that says which algorithm it is for is for no other.
    let mut pinned = rsa.jwk("one");
    pinned["alg"] = json!("PS256");
    let verifier = super::verifier(&[pinned]);
    assert_eq!(rule(verifier.verify(&token, NOW)), "auth.jwt.signature");
}

#[test]
fn malformed_and_huge_tokens() {
    let (verifier, signer) = pair();
    let good = signer.token(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        format!("{good}.x"),
        format!("{good}="),
        format!(" {good}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}\n", parts[0], parts[1], parts[2]),
        format!("{}.{}.+/+/", parts[0], parts[1]),
        "ё.ж.з".into(),
        "x".repeat(MAX_TOKEN_BYTES + 1),
        signer.token(&header(), &json!([1])),
        signer.token(&header(), &json!("text")),
        signer.token(&json!({"alg": "EdDSA", "kid": 1}), &claims()),
        signer.token(&header(), &with(&json!({"pad": "x".repeat(MAX_TOKEN_BYTES)}))),
    ] {
        assert_eq!(
            rule(verifier.verify(&token, NOW)),
            "auth.jwt.malformed",
            "{:.60}",
            token
        );
    }
    let deep = format!("{{\"alg\":{}", "[".repeat(9_000));
    let token = format!("{}.{}.{}", b64(deep), parts[1], parts[2]);
    assert_eq!(rule(verifier.verify(&token, NOW)), "auth.jwt.malformed");
    let other_payload = format!(
        "{}.{}.{}",
        parts[0],
        b64(with(&json!({"tenant": "b"})).to_string()),
        parts[2]
    );
    assert_eq!(rule(verifier.verify(&other_payload, NOW)), "auth.jwt.signature");
    assert_eq!(
        rule(verifier.verify(&format!("{}.{}.", parts[0], parts[1]), NOW)),
        "auth.jwt.signature"
    );
    assert_eq!(rule(verifier.verify(&good, NOW)), "ok");
    assert!(JwtVerifier::looks_like_token(&good) && !JwtVerifier::looks_like_token("fmcp_a.b.c_00"));
}

#[test]
fn errors_hold_nothing_of_the_token() {
    let (verifier, signer) = pair();
    let token = signer.token(&header(), &with(&json!({"exp": 1, "sub": "somebody-private"})));
    let denied = verifier.verify(&token, NOW).unwrap_err();
    let text = format!("{denied} {denied:?} {verifier:?}");
    assert!(
        !text.contains("somebody") && !text.contains(&token[..20]),
        "{text}"
    );
}

#[test]
fn memory_of_verified_tokens_is_bounded_and_ends_with_the_keys() {
    let (verifier, signer) = pair();
    let first = signer.token(&header(), &claims());
    assert!(verifier.verify(&first, NOW).is_ok());
    assert_eq!(verifier.remembered().0, 1);
    // Refused tokens are not remembered.
    assert!(
        verifier
            .verify(&Signer::ed().token(&header(), &claims()), NOW)
            .is_err()
    );
    assert_eq!(verifier.remembered().0, 1);
    let capacity = verifier.remembered().1;
    for number in 0..1_500 {
        let token = signer.token(&header(), &with(&json!({"jti": number})));
        assert!(verifier.verify(&token, NOW).is_ok());
    }
    let held = verifier.remembered().0;
    assert!((1_400..=capacity).contains(&held), "{held} of {capacity}");
    assert!(
        verifier.with_keys(set(&[signer.jwk("one")])).is_none(),
        "the same keys change nothing"
    );
    let rotated = verifier.with_keys(set(&[Signer::ed().jwk("one")])).unwrap();
    assert_eq!(
        rule(rotated.verify(&first, NOW)),
        "auth.jwt.signature",
        "a key that was taken back is not remembered"
    );
}

#[test]
fn key_sets_that_are_none() {
    let parse = |text: &str| JwkSet::parse(text.as_bytes());
    for text in ["", "x", "{\"keys\":[", "\u{feff}{\"keys\":[]}"] {
        assert!(matches!(parse(text), Err(JwksError::Syntax(_))), "{text}");
    }
    for text in ["[]", "{}", "null", "{\"keys\":{}}"] {
        assert_eq!(parse(text).unwrap_err(), JwksError::NoKeys);
    }
    assert_eq!(
        parse(&" ".repeat(MAX_JWKS_BYTES + 1)).unwrap_err(),
        JwksError::TooLarge
    );
    let many = json!({"keys": vec![json!({}); MAX_JWKS_KEYS + 1]});
    assert_eq!(parse(&many.to_string()).unwrap_err(), JwksError::TooMany);
    assert!(matches!(parse("{\"keys\":[]}"), Err(JwksError::NothingUsable(_))));
    let good = Signer::ed().jwk("good");
    let mut private = good.clone();
    private["d"] = json!("AAAA");
    let oct = json!({"kty": "oct", "k": "AAAA"});
    for secret in [private, oct] {
        let document = json!({"keys": [good, secret]});
        assert_eq!(parse(&document.to_string()).unwrap_err(), JwksError::Private(1));
    }
}

#[test]
fn keys_of_no_use_are_skipped_and_named() {
    let good = Signer::ed().jwk("good");
    let rsa = Signer::rsa(&signature::RSA_PKCS1_SHA256).jwk("rsa");
    let change = |base: &Value, name: &str, value: Value| {
        let mut changed = base.clone();
        changed[name] = value;
        changed
    };
    let useless = [
        json!(1),
        json!({}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}),
        change(&good, "crv", json!("X25519")),
        change(&good, "x", json!("AAAA")),
        change(&good, "x", json!("====")),
        change(&good, "use", json!("enc")),
        change(&good, "key_ops", json!(["encrypt"])),
        change(&good, "alg", json!("RS256")),
        change(&good, "alg", json!("HS256")),
        change(&good, "alg", json!("made-up")),
        change(&rsa, "n", json!(b64([3; 128]))),
        change(&rsa, "n", json!(b64([3; 2_000]))),
        change(&rsa, "e", Value::Null),
        json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
    ];
    let mut keys = useless.to_vec();
    keys.push(good);
    let parsed = set(&keys);
    assert_eq!(
        (parsed.len(), parsed.skipped().len()),
        (1, useless.len()),
        "{:?}",
        parsed.skipped()
    );
    // A point that is not on the curve is found when it is used.
    let off_curve = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": b64([1; 32]), "y": b64([2; 32])});
    let token =
        Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING).token(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(
        rule(verifier(&[off_curve]).verify(&token, NOW)),
        "auth.jwt.signature"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_to_a_token_passes(position in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let (verifier, signer) = pair();
        let token = signer.token(&header(), &claims());
        let mut changed = token.clone();
        let position = position.index(token.len());
        changed.replace_range(position..=position, &to);
        prop_assert!(changed == token || verifier.verify(&changed, NOW).is_err());
    }

    #[test]
    fn any_bytes_get_an_answer(token in any::<String>(), document in any::<Vec<u8>>()) {
        let (verifier, _) = pair();
        prop_assert!(verifier.verify(&token, NOW).is_err());
        prop_assert!(JwkSet::parse(&document).is_err());
    }
}
