//! `listen.tls` and the certificates of tenants.

use std::path::Path;

use ferromcp_config::Config;

use crate::load_in;

/// A directory with `a.pem`, `a.key` and `b.pem`, `b.key`, which do not fit each other, and `empty`.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(dir.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(
            dir.path().join(format!("{name}.key")),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
    }
    std::fs::write(dir.path().join("empty"), "").unwrap();
    dir
}

fn good(dir: &Path, text: &str) -> Config {
    load_in(dir, text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn good_files() {
    let dir = files();
    let plain = good(dir.path(), "listen: { tls: { cert: a.pem, key: a.key } }");
    let tls = plain.listen.tls.as_ref().unwrap();
    assert_eq!(tls.cert, dir.path().join("a.pem"));
    assert_eq!(
        (tls.client_ca.as_deref(), tls.client_required, tls.tls13_only),
        (None, false, false)
    );
    assert!(!plain.authenticates(), "TLS alone says nothing about clients");

    let all = good(
        dir.path(),
        "listen: { tls: { cert: a.pem, key: a.key, client_ca: b.pem, client_auth: optional, min_version: 1.3 } }\n\
         tenants: { a: { certificates: [\"dns:*.a.example\", 'subject:CN=a,O=Company\\, Inc'] }, b: {} }",
    );
    let tls = all.listen.tls.as_ref().unwrap();
    assert_eq!(tls.client_ca.as_deref(), Some(&*dir.path().join("b.pem")));
    assert!(tls.tls13_only && !tls.client_required);
    assert_eq!(
        all.tenants[0].certificates,
        ["dns:*.a.example", "subject:CN=a,O=Company\\, Inc"]
    );
    assert!(all.authenticates());

    // Nobody connects without a certificate, so everybody has shown something.
    let closed = good(
        dir.path(),
        "listen: { tls: { cert: a.pem, key: a.key, client_ca: b.pem } }",
    );
    assert!(closed.listen.tls.as_ref().unwrap().client_required);
    assert!(closed.authenticates());
}

#[test]
fn bad_files_and_combinations() {
    let dir = files();
    let tls = |settings: &str| format!("listen: {{ tls: {{ {settings} }} }}");
    let with = |settings: &str, tenants: &str| {
        format!(
            "{}\ntenants: {{ {tenants} }}",
            tls(&format!("cert: a.pem, key: a.key{settings}"))
        )
    };
    let key = std::fs::read_to_string(dir.path().join("a.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let mut missed = Vec::new();
    for (text, path, message) in [
        (tls(""), "listen.tls", "cert"),
        (tls("cert: a.pem"), "listen.tls", "`key` is missing"),
        (tls("cert: 7, key: a.key"), "listen.tls.cert", "found a number"),
        (tls("cert: none, key: a.key"), "listen.tls.cert", "no such file"),
        (tls("cert: [a.pem], key: a.key"), "listen.tls.cert", ""),
        (
            tls("cert: ., key: a.key"),
            "listen.tls.cert",
            "not a regular file",
        ),
        (tls("cert: a.pem, key: none"), "listen.tls.key", "no such file"),
        (
            tls("cert: empty, key: a.key"),
            "listen.tls.cert",
            "no certificate",
        ),
        (
            tls("cert: a.key, key: a.key"),
            "listen.tls.cert",
            "no certificate",
        ),
        (tls("cert: a.pem, key: a.pem"), "listen.tls.key", "no private key"),
        (tls("cert: a.pem, key: b.key"), "listen.tls.key", "does not fit"),
        (
            with(", client_ca: empty", ""),
            "listen.tls.client_ca",
            "no certificate",
        ),
        (
            with(", client_auth: optional", ""),
            "listen.tls.client_auth",
            "no effect",
        ),
        (with(", client_auth: sometimes", ""), "listen.tls.client_auth", ""),
        (with(", min_version: 1.1", ""), "listen.tls.min_version", ""),
        (
            with(", client_ca: b.pem, client_auth: optional", ""),
            "listen.tls.client_ca",
            "no effect",
        ),
        (
            with("", "a: { certificates: [\"dns:a\"] }"),
            "tenants.a.certificates",
            "no effect",
        ),
        (
            "tenants: { a: { certificates: [\"dns:a\"] } }".into(),
            "tenants.a.certificates",
            "no effect",
        ),
        (
            with(", client_ca: b.pem", "a: { certificates: [] }"),
            "tenants.a.certificates",
            "",
        ),
        (
            with(", client_ca: b.pem", "a: { certificates: [\"a.example\"] }"),
            "tenants.a.certificates[0]",
            "not a rule",
        ),
        (
            with(", client_ca: b.pem", "a: { certificates: [\"dns:\"] }"),
            "tenants.a.certificates[0]",
            "not a rule",
        ),
        (
            with(", client_ca: b.pem", "a: { certificates: [\"ip:::1\"] }"),
            "tenants.a.certificates[0]",
            "not a rule",
        ),
        (
            with(
                ", client_ca: b.pem",
                "a: { certificates: [\"dns:a\"] }, b: { certificates: [\"dns:a\"] }",
            ),
            "tenants.b.certificates[0]",
            "is also `tenants.a.certificates[0]`",
        ),
    ] {
        let error = load_in(dir.path(), &text).expect_err(&text);
        let hit = error
            .problems()
            .iter()
            .any(|p| p.path().starts_with(path) && p.message().contains(message));
        if !hit {
            missed.push(format!("{text}\nwanted {path} {message}\n{error}"));
        }
        assert!(!error.to_string().contains(secret), "{error}");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}
