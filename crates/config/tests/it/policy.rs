//! Tenants, credentials, limits, pattern rules and the audit log: what good blocks mean, and what bad ones are told.

use std::time::{Duration, SystemTime};

use ferromcp_config::{
    ActsFor, Anonymous, ByteRate, Config, JwtAlgorithm, JwtKeys, OnError, OnFull, PatternAction, Rate,
    SignKey,
};

use crate::{good, load, load_in};

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

#[test]
fn tenants() {
    let config = good(&format!(
        r#"
tenants:
  company-a:
    name: Company A
    suspended: true
    keys: ["sha256:{HASH}", "sha256:{} until 2027-01-31T00:00:00Z"]
    tools: {{ allow: ["read_*"], deny: [delete_file] }}
    resources: {{ allow: [] }}
    quotas: {{ tool_calls: 1000/min, bytes: 10MiB/h, batch_size: 50, concurrent: 10 }}
    limits: {{ rate: 100/s, burst: 200 }}
    acts_for: [b.2]
    patterns: {{ action: flag, exempt: [{{ tool: write_file, field: content, rules: [pattern.script] }}] }}
  b.2: {{ acts_for: ["*"] }}
"#,
        "AB".repeat(32)
    ));
    let [a, b] = &config.tenants[..] else {
        panic!("two")
    };
    assert_eq!(
        (a.id.as_str(), a.name.as_deref(), a.suspended),
        ("company-a", Some("Company A"), true)
    );
    assert_eq!(a.keys[0].sha256[..3], [0x9f, 0x86, 0xd0]);
    assert_eq!((a.keys[0].expires, a.keys[1].sha256), (None, [0xab; 32]));
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_801_353_600);
    assert_eq!(a.keys[1].expires, Some(end));
    assert_eq!(a.tools.allow.as_deref(), Some(&["read_*".to_owned()][..]));
    assert_eq!(a.tools.deny, ["delete_file"]);
    assert_eq!(
        (a.resources.allow.as_deref(), &a.prompts.allow),
        (Some(&[][..]), &None)
    );
    let minute = Duration::from_secs(60);
    assert_eq!(
        a.quotas.tool_calls,
        Some(Rate {
            count: 1000,
            per: minute,
            burst: None
        })
    );
    assert_eq!(
        a.quotas.bytes,
        Some(ByteRate {
            bytes: 10 << 20,
            per: minute * 60
        })
    );
    assert_eq!((a.quotas.batch_size, a.quotas.concurrent), (Some(50), Some(10)));
    assert_eq!(a.limits.unwrap().burst, Some(200));
    assert_eq!(a.acts_for, ActsFor::Tenants(vec!["b.2".into()]));
    let patterns = a.patterns.as_ref().unwrap();
    assert_eq!(patterns.action, PatternAction::Flag);
    assert_eq!(
        patterns.exempt[0].rules.as_deref(),
        Some(&["pattern.script".to_owned()][..])
    );
    assert_eq!((&b.acts_for, &b.patterns, b.limits), (&ActsFor::All, &None, None));
    assert!(!format!("{config:?}").contains(&HASH[..16]));
}

#[test]
fn callers_without_a_credential() {
    let jwt = "jwt: { issuer: \"https://i\", audience: a, jwks: \"https://j\" }";
    let keys = format!("tenants: {{ a: {{ keys: [\"sha256:{HASH}\"] }} }}");
    for (text, meant) in [
        ("{}".to_owned(), Anonymous::Local),
        ("tenants: { a: {} }".to_owned(), Anonymous::Local),
        (keys.clone(), Anonymous::Refuse),
        (format!("{keys}\nauth: {{ anonymous: local }}"), Anonymous::Local),
        (format!("auth: {{ {jwt} }}"), Anonymous::Refuse),
        (format!("auth: {{ {jwt}, anonymous: local }}"), Anonymous::Local),
        ("auth: { anonymous: refuse }".to_owned(), Anonymous::Refuse),
    ] {
        let config = good(&text);
        assert_eq!(config.auth.anonymous, meant, "{text}");
        assert_eq!(config.authenticates(), meant == Anonymous::Refuse, "{text}");
    }
    assert!(!Config::default().authenticates());
}

#[test]
fn tokens() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("keys.json"), "{}").unwrap();
    let jwt = |more: &str| {
        let text =
            format!("auth: {{ jwt: {{ issuer: \"http://127.0.0.1:9/i\", audience: [a, b], {more} }} }}");
        load_in(dir.path(), &text).unwrap_or_else(|e| panic!("{e}")).auth
    };
    let auth = jwt("jwks: keys.json, tenant_claim: org.tenant, subject_claim: \"https://x.example.com/who\"");
    assert_eq!(auth.authorization_servers, ["http://127.0.0.1:9/i"]);
    let token = auth.jwt.unwrap();
    assert_eq!(token.keys, JwtKeys::File(dir.path().join("keys.json")));
    assert_eq!((token.audience.len(), token.leeway), (2, Duration::from_secs(60)));
    assert_eq!(token.tenant_claim, ["org", "tenant"]);
    assert_eq!(token.subject_claim, ["https://x.example.com/who"]);
    use JwtAlgorithm::{ES256, EdDSA, HS256, RS256};
    assert_eq!(token.algorithms, [RS256, ES256, EdDSA]);
    let auth = jwt(&format!("secret: {}", "hunter2.".repeat(4)));
    assert!(!format!("{auth:?}").contains("hunter2"));
    assert_eq!(auth.jwt.unwrap().algorithms, [HS256]);
}

#[test]
fn limits() {
    let rate = |count, seconds, burst| {
        Some(Rate {
            count,
            per: Duration::from_secs(seconds),
            burst,
        })
    };
    let limits = good("limits: { rate: 100/10s, burst: 7, global: { rate: 5/min }, tenant: { rate: 6/day }, tools: { \"web__*\": { rate: 1/h } } }").limits;
    assert_eq!(
        (limits.client, limits.global),
        (rate(100, 10, Some(7)), rate(5, 60, None))
    );
    assert_eq!(limits.tenant, rate(6, 86_400, None));
    assert_eq!(
        limits.tools,
        [("web__*".to_owned(), rate(1, 3600, None).unwrap())]
    );
    assert_eq!(limits.tools[0].1.burst_or_count(), 1);
    let limits = good("limits: { rate: 1/s, per: tenant, max_clients: 5 }").limits;
    assert_eq!(
        (limits.client, limits.tenant, limits.max_clients),
        (None, rate(1, 1, None), 5)
    );
    let limits = good("limits: { rate: 1/s, per: global }").limits;
    assert_eq!((limits.client, limits.global), (None, rate(1, 1, None)));
}

#[test]
fn audit_log() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "0a0b\n").unwrap();
    let audit = load_in(
        dir.path(),
        "audit: { file: log, on_full: drop, on_error: continue, sign_key: \"${file:key}\", rotate: { size: 1MiB }, keep: { files: 3, age: 90d, size: 1MiB }, redact: [pin] }",
    )
    .unwrap()
    .audit;
    let log = audit.log.unwrap();
    assert_eq!(log.directory, dir.path().join("log"));
    assert_eq!((log.on_full, log.on_error), (OnFull::Drop, OnError::Continue));
    assert!(matches!(&log.sign_key, Some(SignKey::Text(key)) if key.expose() == "0a0b"));
    assert_eq!(
        (log.keep.files, log.keep.size, log.rotate_size),
        (Some(3), Some(1 << 20), 1 << 20)
    );
    assert_eq!(log.keep.age, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(audit.redact, ["pin"]);
    assert!(!log.journal);
    let audit = load_in(
        dir.path(),
        "audit: { file: log, journal: true, otlp: { endpoint: \"https://c.example.com/v1/logs?k=1\", headers: { X-Key: hunter2 }, interval: 50ms, queue: 1MiB } }",
    )
    .unwrap()
    .audit;
    let shown = format!("{audit:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("k=1"), "{shown}");
    assert!(audit.log.unwrap().journal);
    let otlp = audit.otlp.unwrap();
    assert_eq!(otlp.endpoint.url.as_str(), "https://c.example.com/v1/logs?k=1");
    assert_eq!((otlp.interval, otlp.queue), (Duration::from_millis(50), 1 << 20));
    assert_eq!(otlp.endpoint.headers[0].1.expose(), "hunter2");
    let audit = load_in(dir.path(), "audit: { file: ., sign_key: ./key }")
        .unwrap()
        .audit;
    assert_eq!(
        audit.log.unwrap().sign_key,
        Some(SignKey::File(dir.path().join("./key")))
    );
}

#[test]
fn rates() {
    for bad in [
        "100",
        "/s",
        "100/",
        "1.5/s",
        "100 /s",
        "100/ s",
        "100/sec",
        "-1/s",
        "100/1h30m",
        "100/ms",
        "a/s",
    ] {
        let error = load(&format!("limits: {{ rate: \"{bad}\" }}")).expect_err(bad);
        assert!(error.problems()[0].message().starts_with("not a rate"), "{error}");
    }
    for bad in [
        "0/s",
        "1000001/s",
        "99999999999999999999999/s",
        "1/0s",
        "1/2d",
        "1/99999999h",
    ] {
        let error = load(&format!("limits: {{ rate: {bad} }}")).expect_err(bad);
        assert!(error.problems()[0].message().starts_with("too "), "{error}");
    }
    for bad in ["10/h", "MiB/h", "10MiB", "10MiB/"] {
        let error = load(&format!("tenants: {{ a: {{ quotas: {{ bytes: {bad} }} }} }}")).expect_err(bad);
        assert!(
            error.problems()[0].message().starts_with("not a rate of bytes"),
            "{error}"
        );
    }
}

/// Every rule of these blocks broken once; no message shows a secret.
#[test]
fn mistakes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let hash = format!("sha256:{HASH}");
    let jwt = "auth: { jwt: { issuer: \"https://i\", audience: a, ";
    let mut out = String::new();
    for text in [
        "tenants: { Acme: {}, .a: {}, \"a b\": {} }".to_owned(),
        "tenants: { a: { keys: [hunter2, \"sha256:hunter2\"] } }".to_owned(),
        format!("tenants: {{ a: {{ keys: [\"{hash} til 2027\", \"{hash} until 2027-13-01T00:00:00Z\"] }} }}"),
        format!("tenants:\n  a: {{ keys: [\"{hash}\"] }}\n  b:\n    keys: [\"{}\"]\n", hash.replace('d', "D")),
        "tenants: { a: { acts_for: [companyb, a, nobody-like-this] }, company-b: { acts_for: [a, a, \"*\"] } }".to_owned(),
        "tenants: { a: { tools: {}, resources: { deny: [\"a b\"] }, limits: { burst: 0 }, quotas: { batch_size: 0, tool_calls: 1/32d } } }".to_owned(),
        "auth: { resource: \"https://h/mcp\", authorization_servers: [\"https://h\"], anonymous: no }".to_owned(),
        "auth: { jwt: {} }".to_owned(),
        "auth: { jwt: { issuer: \"http://example.com\", audience: [], jwks: \"https://u:hunter2@h/\", scopes: [\"a b\"], tenant_claim: a..b } }".to_owned(),
        format!("{jwt} jwks: \"https://j\", secret: hunter2 }} }}"),
        format!("{jwt} jwks: \"https://j\", algorithms: [RS256, HS256, RS256] }} }}"),
        format!("{jwt} jwks: no-such-file, algorithms: [none] }} }}"),
        format!("{jwt} jwks: file, jwks_max_age: 1h }} }}"),
        format!("{jwt} secret: hunter2, algorithms: [ES256, HS512], jwks_max_age: 1h }} }}"),
        "limits: { burst: 5, per: tenant }".to_owned(),
        "limits: { rate: 1/day, burst: 1000000, tools: { a: { rate: 1/day, burst: 3651 } } }".to_owned(),
        "limits: { rate: 1/s, per: global, global: { rate: 2/s }, tools: { \"a[b]\": { rate: 1/s }, c: {} } }".to_owned(),
        "validation: { patterns: { action: off, rules: { pattern.sql: block } }, redact: [pi] }".to_owned(),
        "validation: { patterns: { action: flag, rules: { pattern.sql: block, sql: off, pattern.sql*: off }, exempt: [{}, { rules: [shell], tool: x }] } }".to_owned(),
        "audit: { on_full: drop, keep: { age: 1d }, max_arguments: 1KiB }".to_owned(),
        "audit: { file: file, rotate: { size: 1KiB } }".to_owned(),
        "audit: { file: log, sign_key: no-such-key }".to_owned(),
        "audit: { file: log, sign_key: . }".to_owned(),
        "audit: { file: log, keep: { size: 1MiB }, stdout: 1 }".to_owned(),
        "audit: { journal: true, otlp: {} }".to_owned(),
        "audit: { file: log, journal: true, on_full: drop, otlp: { endpoint: \"grpc://h:4317\" } }".to_owned(),
        "audit: { otlp: { endpoint: \"http://u:hunter2@h/\", headers: { Content-Type: a, x-a: hunter2, X-A: hunter2 }, interval: 1ms, timeout: 2h, queue: 2GiB } }".to_owned(),
    ] {
        let error = load_in(dir.path(), &text).expect_err(&text);
        for problem in error.problems() {
            assert!(problem.line() > 0 && problem.column() > 0 && !problem.path().is_empty(), "{error}");
            assert!(problem.expected_text().is_some() || problem.hint_text().is_some(), "{error}");
        }
        out.push_str(&error.render(false).replace(&dir.path().display().to_string(), "DIR"));
    }
    assert!(!out.contains("hunter2"), "{out}");
    assert!(!out.to_lowercase().contains(&HASH[..16]), "{out}");
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("policy", out);
    });
}

/// Very many tenants, each with a mistake that asks for a look at all others, do not take long.
#[test]
fn many_tenants() {
    let tenants: String = (0..10_001).map(|i| format!("  t{i:05}: {{}}\n")).collect();
    let error = load(&format!("tenants:\n{tenants}")).expect_err("too many");
    assert!(error.problems()[0].message().contains("10001 entries"), "{error}");
    let tenants: String = (0..9_000)
        .map(|i| format!("  t{i:05}: {{ acts_for: [u{i:05}] }}\n"))
        .collect();
    let error = load(&format!("tenants:\n{tenants}")).expect_err("unknown");
    assert_eq!(error.problems().len() + error.further(), 9_000);
    let suggested = error
        .problems()
        .iter()
        .filter(|p| p.hint_text().is_some())
        .count();
    assert_eq!(suggested, 3);
}
