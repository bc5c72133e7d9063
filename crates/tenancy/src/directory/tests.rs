use super::*;
use crate::id::MAX_ID_BYTES;
use crate::key::{NewKey, new_key};

const NOW: u64 = 1_800_000_000;

fn key(tenant: &str, seed: u8) -> NewKey {
    new_key(&TenantId::new(tenant).unwrap(), &[seed; 32])
}

fn tenant(id: &str, keys: &[&NewKey]) -> TenantSettings {
    TenantSettings {
        id: id.to_owned(),
        keys: keys
            .iter()
            .map(|key| KeySettings {
                hash: key.hash.to_string(),
                ..KeySettings::default()
            })
            .collect(),
        ..TenantSettings::default()
    }
}

#[test]
fn keys_find_their_tenants() {
    let (old, new, other) = (key("a", 1), key("a", 2), key("b", 3));
    let mut a = tenant("a", &[&old, &new]);
    a.keys[0].expires = Some(NOW + 10);
    a.keys[1].name = "ci".to_owned();
    let directory = Directory::new(&[a, tenant("b", &[&other])]).unwrap();
    // Two live keys: the old one goes on working until it ends.
    for (key, name) in [(&old, "a"), (&new, "ci")] {
        let identity = directory.by_key(&key.key, NOW).unwrap();
        assert_eq!((identity.tenant.id().as_str(), &*identity.principal), ("a", name));
        assert!(matches!(identity.proof, Proof::Key(_)));
    }
    assert_eq!(
        directory.by_key(&other.key, NOW).unwrap().tenant.id().as_str(),
        "b"
    );
    assert!(directory.by_key(&old.key, NOW + 9).is_ok());
    assert_eq!(
        directory.by_key(&old.key, NOW + 10).unwrap_err().rule,
        Rule::KeyExpired
    );
    assert!(directory.has_keys());
}

#[test]
fn guesses_find_nobody() {
    let real = key("a", 1);
    let directory = Directory::new(&[tenant("a", &[&real])]).unwrap();
    let hash = real.hash.to_string();
    let truncated = &real.key[..real.key.len() - 1];
    let upper = real.key.to_uppercase();
    for guess in [
        "",
        "a",
        &hash,
        truncated,
        &upper,
        &format!("{} ", real.key),
        &"x".repeat(100_000),
        "ключ",
    ] {
        let denied = directory.by_key(guess, NOW).unwrap_err();
        assert_eq!(denied.rule, Rule::KeyUnknown);
        assert!(guess.len() < 8 || !denied.message.contains(guess));
    }
    for seed in 2..200 {
        assert!(directory.by_key(&key("a", seed).key, NOW).is_err());
    }
    let everything = format!("{directory:?}");
    assert!(!everything.contains(&real.key));
}

#[test]
fn suspended_tenants_are_refused_on_every_way() {
    let real = key("a", 1);
    let mut settings = tenant("a", &[&real]);
    settings.suspended = true;
    settings.certificates = vec!["dns:a.example".to_owned()];
    let mut other = tenant("b", &[]);
    other.may_act_for = vec!["a".to_owned()];
    let directory = Directory::new(&[settings, other]).unwrap();
    let names = Arc::new(CertificateNames {
        dns: vec!["a.example".to_owned()],
        expires: NOW,
        ..CertificateNames::default()
    });
    let b = directory.by_id("b").unwrap();
    for rule in [
        directory.by_key(&real.key, NOW).map(|_| ()),
        directory.by_id("a").map(|_| ()),
        directory.by_certificate(&names, NOW).map(|_| ()),
        directory.act_for(&b, "a").map(|_| ()),
    ] {
        let denied = rule.unwrap_err();
        assert_eq!(
            (denied.rule, denied.rule.is_forbidden()),
            (Rule::TenantSuspended, true)
        );
    }
    assert!(directory.tenant("a").unwrap().is_suspended());
}

#[test]
fn who_may_act_for_whom() {
    let mut broker = tenant("broker", &[]);
    broker.may_act_for = vec!["a".to_owned()];
    let mut root = tenant("root", &[]);
    root.may_act_for = vec!["*".to_owned()];
    let directory = Directory::new(&[broker, root, tenant("a", &[]), tenant("b", &[])]).unwrap();
    let act = |who: &str, for_whom: &str| {
        let identity = directory.by_id(who).unwrap();
        directory
            .act_for(&identity, for_whom)
            .map(|tenant| tenant.id().to_string())
    };
    assert_eq!(act("a", "a").unwrap(), "a");
    assert_eq!(act("broker", "a").unwrap(), "a");
    assert_eq!(act("root", "b").unwrap(), "b");
    for (who, for_whom) in [
        ("a", "b"),
        ("broker", "b"),
        ("a", "nobody"),
        ("root", "nobody"),
        ("a", "*"),
        ("a", ""),
    ] {
        assert_eq!(
            act(who, for_whom).unwrap_err().rule,
            Rule::TenantActFor,
            "{who} {for_whom}"
        );
    }
    // What does not exist and what is out of reach look the same.
    let same = act("a", "b").unwrap_err().message.replace("\"b\"", "\"x\"");
    assert_eq!(same, act("a", "x").unwrap_err().message);
    assert_eq!(directory.by_id("nobody").unwrap_err().rule, Rule::TenantUnknown);
}

#[test]
fn certificates() {
    let with = |id: &str, rules: &[&str]| {
        let mut settings = tenant(id, &[]);
        settings.certificates = rules.iter().map(|rule| (*rule).to_owned()).collect();
        settings
    };
    let directory = Directory::new(&[
        with("a", &["dns:*.a.example", "uri:spiffe://example/a/*"]),
        with("b", &["subject:CN=b,O=Company B", "email:*@b.example"]),
        with("c", &["uri:spiffe://example/a/shared"]),
    ])
    .unwrap();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let names = |subject: &str, dns: &[&str], uris: &[&str], emails: &[&str]| {
        Arc::new(CertificateNames {
            subject: subject.to_owned(),
            dns: owned(dns),
            uris: owned(uris),
            emails: owned(emails),
            expires: NOW,
        })
    };
    for (names, tenant, principal) in [
        (names("CN=x", &["X.A.Example"], &[], &[]), "a", "X.A.Example"),
        (
            names("", &[], &["spiffe://example/a/one"], &[]),
            "a",
            "spiffe://example/a/one",
        ),
        (names("CN=b,O=Company B", &[], &[], &[]), "b", "CN=b,O=Company B"),
        (names("CN=b", &[], &[], &["me@b.example"]), "b", "me@b.example"),
    ] {
        let identity = directory.by_certificate(&names, NOW).unwrap();
        assert_eq!(
            directory.by_certificate(&names, NOW + 1).unwrap_err().rule,
            Rule::CertificateExpired
        );
        assert_eq!(
            (identity.tenant.id().as_str(), &*identity.principal),
            (tenant, principal)
        );
    }
    let shared = names("", &[], &["spiffe://example/a/shared"], &[]);
    assert_eq!(
        directory.by_certificate(&shared, NOW).unwrap_err().rule,
        Rule::CertificateAmbiguous
    );
    let many = vec!["x.a.example"; crate::MAX_NAMES + 1];
    for unknown in [
        names("", &[], &[], &[]),
        names("CN=b,O=Company B,OU=evil", &[], &[], &[]),
        names("CN=b\\,O=Company B", &[], &[], &[]),
        names("", &["a.example.evil"], &[], &[]),
        names("dns:x.a.example", &[], &[], &[]),
        names("", &many, &[], &[]),
    ] {
        assert_eq!(
            directory.by_certificate(&unknown, NOW).unwrap_err().rule,
            Rule::CertificateUnknown
        );
    }
}

#[test]
fn what_was_proved_holds_as_long_as_it_would_be_accepted() {
    let (old, new) = (key("a", 1), key("a", 2));
    let mut a = tenant("a", &[&old, &new]);
    a.certificates = vec!["dns:a.example".to_owned()];
    a.keys[1].expires = Some(NOW + 10);
    a.may_act_for = vec!["b".to_owned()];
    let before = Directory::new(&[a.clone(), tenant("b", &[])]).unwrap();
    let names = Arc::new(CertificateNames {
        dns: vec!["a.example".to_owned()],
        expires: NOW + 20,
        ..CertificateNames::default()
    });
    let proofs = [
        before.by_key(&old.key, NOW).unwrap().proof.clone(),
        before.by_key(&new.key, NOW).unwrap().proof.clone(),
        before.by_certificate(&names, NOW).unwrap().proof,
        Proof::Token { until: NOW + 30 },
        before.by_id("a").unwrap().proof,
    ];
    let rules = |directory: &Directory, tenant: &str, now: u64| {
        proofs
            .each_ref()
            .map(|proof| match directory.still(proof, tenant, now) {
                Ok(()) => "ok",
                Err(denied) => denied.rule.id(),
            })
    };
    assert_eq!(rules(&before, "a", NOW), ["ok"; 5]);
    assert_eq!(rules(&before, "b", NOW), ["ok"; 5], "a may act for b");
    assert_eq!(
        rules(&before, "a", NOW + 30),
        [
            "ok",
            "auth.key.expired",
            "auth.certificate.expired",
            "auth.jwt.expired",
            "ok"
        ]
    );
    // The first key is revoked, and the certificate is another tenant's.
    a.keys.remove(0);
    a.certificates.clear();
    a.may_act_for.clear();
    let mut b = tenant("b", &[]);
    b.certificates = vec!["dns:a.example".to_owned()];
    let after = before.renewed(&[a.clone(), b]).unwrap();
    assert_eq!(
        rules(&after, "a", NOW),
        ["auth.key.unknown", "ok", "auth.tenant.act_for", "ok", "ok"]
    );
    a.suspended = true;
    let after = before.renewed(&[a]).unwrap();
    assert_eq!(
        rules(&after, "a", NOW),
        [
            "auth.key.unknown",
            "auth.tenant.suspended",
            "auth.certificate.unknown",
            "auth.tenant.suspended",
            "auth.tenant.suspended"
        ]
    );
}

#[test]
fn everything_wrong_is_named_at_once() {
    let shared = key("a", 1);
    let mut bad = tenant("b", &[&shared]);
    bad.keys.push(KeySettings {
        hash: shared.key.clone(),
        ..KeySettings::default()
    });
    bad.certificates = vec!["nonsense".to_owned(), "dns:".to_owned(), "dns:[".to_owned()];
    bad.may_act_for = vec!["nobody".to_owned(), "No!".to_owned()];
    bad.acl.tools.deny = vec!["[".to_owned()];
    let mut worse = bad.clone();
    worse.acl.tools.deny.clear();
    let errors = Directory::new(&[
        tenant("a", &[&shared]),
        bad,
        tenant("a", &[]),
        worse,
        tenant("Größe", &[]),
    ])
    .unwrap_err();
    let places: Vec<String> = errors
        .iter()
        .map(|error| format!("{} {}", error.index, error.field))
        .collect();
    assert_eq!(
        places,
        [
            "1 tools.deny[0]",
            "1 may_act_for[0]",
            "1 may_act_for[1]",
            "2 id",
            "3 may_act_for[0]",
            "3 may_act_for[1]",
            "3 keys[0]",
            "3 keys[1]",
            "3 certificates[0]",
            "3 certificates[1]",
            "3 certificates[2]",
            "4 id",
        ]
    );
    let all = format!("{errors:?}");
    assert!(
        !all.contains(&shared.key),
        "a key that was put in place of its hash is not repeated"
    );
    let mut many = tenant("a", &[]);
    many.keys = (0..=u8::try_from(MAX_KEYS).unwrap())
        .map(|seed| KeySettings {
            hash: key("a", seed).hash.to_string(),
            ..KeySettings::default()
        })
        .collect();
    assert_eq!(Directory::new(&[many]).unwrap_err()[0].field, "keys");
}

#[test]
fn ids() {
    for good in ["a", "0", "company-a", "a.b_c-d", &"x".repeat(MAX_ID_BYTES)] {
        assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        assert!(TenantId::is_valid(good));
    }
    for (bad, says) in [
        ("", "empty"),
        ("A", "'A' at position 1"),
        (".a", "'.' at position 1"),
        ("-a", "'-' at position 1"),
        ("a b", "' ' at position 2"),
        ("a/b", "'/' at position 2"),
        ("a\0", "'\\0' at position 2"),
        ("а", "'а' at position 1"),
        ("ｃompany", "at position 1"),
        ("a\u{202e}b", "'\\u{202e}' at position 2"),
        ("a\u{200b}", "at position 2"),
        (&"x".repeat(MAX_ID_BYTES + 1), "65 characters"),
    ] {
        let error = TenantId::new(bad).unwrap_err().to_string();
        assert!(error.contains(says), "{bad:?}: {error}");
        assert!(!TenantId::is_valid(bad));
    }
    assert!(TenantId::new(&"ü".repeat(100_000)).unwrap_err().to_string().len() < 500);
}

#[test]
fn tenants_that_did_not_change_are_kept_as_they_are() {
    let tenant = |id: &str, name: &str, reach: &[&str]| TenantSettings {
        id: id.into(),
        name: name.into(),
        may_act_for: reach.iter().map(|&id| id.into()).collect(),
        ..TenantSettings::default()
    };
    let first = Directory::new(&[tenant("a", "A", &["b"]), tenant("b", "B", &[])]).unwrap();
    let second = first
        .renewed(&[tenant("a", "A", &["b"]), tenant("b", "Other", &[])])
        .unwrap();
    let same = |id: &str| Arc::ptr_eq(first.tenant(id).unwrap(), second.tenant(id).unwrap());
    assert!(same("a"));
    assert!(!same("b"));
    assert_eq!(second.tenant("b").unwrap().name(), "Other");
    // One that reaches a tenant that is gone is looked at again.
    let errors = first.renewed(&[tenant("a", "A", &["b"])]).unwrap_err();
    assert_eq!(errors[0].field, "may_act_for[0]");
}
