use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::*;

fn rules(texts: &[&str]) -> CertificateRules<usize> {
    let parsed = texts.iter().map(|text| CertificateRule::parse(text).unwrap());
    CertificateRules::new(parsed.zip(0..).collect())
}

fn subject(text: &str) -> CertificateNames {
    CertificateNames {
        subject: text.to_owned(),
        ..CertificateNames::default()
    }
}

/// Every rule, whatever the index says.
fn one_by_one(rules: &CertificateRules<usize>, names: &CertificateNames) -> Vec<usize> {
    let fits = |rule: &CertificateRule| rule.field.of(names).any(|name| rule.pattern.matches(&name));
    let matching = rules.rules.iter().filter(|(rule, _)| fits(rule));
    matching.map(|(_, place)| *place).collect()
}

fn found(rules: &CertificateRules<usize>, names: &CertificateNames) -> Vec<usize> {
    let mut found: Vec<usize> = rules.matching(names).copied().collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn a_certificate_is_compared_with_few_of_ten_thousand_rules() {
    for pattern in [
        "subject:CN=*,O=company-{}",
        "subject:CN=client-{},O=one",
        "subject:CN={}.*,O=a company with a long name that all of them have",
        "subject:CN=a long name that all of them have,OU=*,O={}",
    ] {
        let texts: Vec<String> = (0..10_000)
            .map(|n| pattern.replace("{}", &n.to_string()))
            .collect();
        let rules = rules(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        for number in [0usize, 7, 77, 9_999] {
            let name = pattern["subject:".len()..]
                .replace('*', "x")
                .replace("{}", &number.to_string());
            let mut looked = 0;
            rules.fields[Field::Subject as usize].candidates(name.as_bytes(), |_| looked += 1);
            // One, and those that are the end of its number.
            assert!((1..=4).contains(&looked), "{looked} of {pattern}");
            assert_eq!(found(&rules, &subject(&name)), [number], "{pattern}");
        }
    }
}

#[test]
fn escapes_classes_and_alternatives_are_found_too() {
    let rules = rules(&[
        r"subject:CN=a\\,b,O=x",
        "subject:CN=[ab]*,O=x",
        "subject:{CN=c,CN=d},O=x",
        "subject:*",
        "subject:C?=*=*",
        "subject:CN=**",
        r"subject:CN=\*",
    ]);
    for (name, expected) in [
        (r"CN=a\,b,O=x", vec![0, 1, 3, 4, 5]),
        ("CN=bee,O=x", vec![1, 3, 4, 5]),
        ("CN=d,O=x", vec![2, 3, 4, 5]),
        ("CN=*", vec![3, 5, 6]),
        ("x", vec![3]),
        ("", vec![]),
    ] {
        assert_eq!(found(&rules, &subject(name)), expected, "{name}");
        assert_eq!(one_by_one(&rules, &subject(name)), expected, "{name}");
    }
}

#[test]
fn wildcards_need_no_regular_expression() {
    for plain in ["subject:CN=*,O=a", "dns:*.a.example", r"subject:CN=\[x\]?"] {
        let rule = CertificateRule::parse(plain).unwrap();
        assert!(matches!(rule.pattern, Pattern::Wildcards(_)), "{plain}");
    }
    for other in ["subject:CN=[a-c]", "uri:spiffe://{a,b}/*", "uri:**/x"] {
        let rule = CertificateRule::parse(other).unwrap();
        assert!(matches!(rule.pattern, Pattern::Glob(_)), "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wildcards_decide_as_the_globs_do(pattern in "[ab?*]{1,8}|[abé*]{1,8}", name in "[abé]{0,10}") {
        // To a glob, `?` is a byte; here it is a character.
        let name = if pattern.contains('?') { name.replace('é', "b") } else { name };
        let glob = GlobBuilder::new(&pattern).backslash_escape(true).build().unwrap().compile_matcher();
        if let Some(parts) = wildcards(&pattern) {
            prop_assert_eq!(fits(&parts, &name), glob.is_match(&name), "{} {}", pattern, name);
        }
    }

    #[test]
    fn the_index_finds_what_a_look_at_every_rule_finds(
        one in "[ab*?]{1,5}", two in "[ab*]{1,5}", three in r"[ab*{}]{0,2}\\[*ab][ab*]{1,3}", name in "[ab*]{1,8}",
    ) {
        let texts = [one, two, three].map(|pattern| format!("subject:{pattern}"));
        let good: Vec<&str> = texts.iter().map(String::as_str).filter(|t| CertificateRule::parse(t).is_ok()).collect();
        let rules = rules(&good);
        prop_assert_eq!(found(&rules, &subject(&name)), one_by_one(&rules, &subject(&name)), "{:?} {}", texts, name);
    }
}
