//! The parts that need no server. What needs one is in `tests/it/oauth.rs`.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls::ClientConfig;
use serde_json::Value;
use url::Url;

use super::challenge::Challenge;
use super::discover::{Server, canonical};
use super::fetch::Fetcher;
use super::jwt::{ProofKey, SigningKey, code_challenge, random_text};
use super::spec::{ClientKey, Secret};
use super::{AuthError, code};

fn challenge(lines: &[&str]) -> Challenge {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(line).unwrap());
    }
    Challenge::of(&headers)
}

#[test]
fn challenges_are_read() {
    let read = challenge(&[
        r#"Basic realm="scope=no", Bearer realm="a, b", scope="x y",resource_metadata = "https://a/\"b\"" , error=insufficient_scope"#,
    ]);
    assert_eq!(read.scope.as_deref(), Some("x y"));
    assert_eq!(read.resource_metadata.as_deref(), Some("https://a/\"b\""));
    assert_eq!(read.error.as_deref(), Some("insufficient_scope"));
    assert!(!read.dpop);
    let read = challenge(&[
        "Bearer scope=a, scope=b",
        "DPoP algs=\"ES256\", error=\"use_dpop_nonce\"",
    ]);
    assert_eq!(read.scope.as_deref(), Some("a"));
    assert_eq!(read.error.as_deref(), Some("use_dpop_nonce"));
    assert!(read.dpop);
}

#[test]
fn hostile_challenges_do_no_harm() {
    for line in [
        "",
        ",,,",
        "=",
        "Bearer",
        "Bearer =",
        "Bearer scope",
        "Bearer scope=\"open",
        "Bearer scope=\"\\",
        "Basic scope=a",
    ] {
        let read = challenge(&[line]);
        assert!(read.error.is_none() && read.resource_metadata.is_none(), "{line}");
        assert!(
            read.scope.is_none_or(|scope| "open".starts_with(&scope)),
            "{line}"
        );
    }
    let many = "Bearer ".to_owned() + &"a=b, ".repeat(3000) + "scope=late";
    assert_eq!(challenge(&[&many]).scope, None);
}

proptest::proptest! {
    #[test]
    fn any_challenge_is_read_in_time(text in "[ -~]{0,400}") {
        challenge(&[&text]);
    }
}

fn fetcher(server: &str) -> Fetcher {
    let trust =
        ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    Fetcher::new(&Url::parse(server).unwrap(), trust)
}

#[test]
fn a_server_elsewhere_cannot_make_us_fetch_what_is_near() {
    let far = fetcher("https://mcp.example/");
    for near in [
        "https://127.0.0.1/",
        "https://localhost/",
        "https://a.localhost/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://172.16.0.1/",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://0x7f.1/",
    ] {
        let refused = far.check(&Url::parse(near).unwrap());
        assert!(matches!(refused, Err(AuthError::Address(_))), "{near}");
    }
    for odd in [
        "http://as.example/",
        "ftp://as.example/",
        "https://u:p@as.example/",
        "file:///etc/passwd",
    ] {
        assert!(far.check(&Url::parse(odd).unwrap()).is_err(), "{odd}");
    }
    far.check(&Url::parse("https://as.example/x").unwrap()).unwrap();
    let near = fetcher("http://127.0.0.1:1/");
    near.check(&Url::parse("http://localhost:2/").unwrap()).unwrap();
    near.check(&Url::parse("https://10.0.0.1/").unwrap()).unwrap();
    assert!(near.check(&Url::parse("http://10.0.0.1/").unwrap()).is_err());
}

fn landed(query: &str, promises: bool) -> Result<String, AuthError> {
    let mut server = Server::at(
        "https://as.example".to_owned(),
        Url::parse("https://as.example/t").unwrap(),
    );
    server.names_itself = promises;
    let url = Url::parse(&format!("http://localhost:1/cb?{query}")).unwrap();
    code::code(&url, "http://localhost:1/cb", "s", &server)
}

#[test]
fn only_our_own_answer_of_the_right_issuer_brings_a_code() {
    assert_eq!(landed("code=c&state=s", false).unwrap(), "c");
    assert_eq!(
        landed("code=c&state=s&iss=https%3A%2F%2Fas.example", true).unwrap(),
        "c"
    );
    for (query, promises) in [
        ("code=c", false),
        ("code=c&state=t", false),
        ("code=c&code=d&state=s", false),
        ("code=c&state=s&state=s", false),
        ("code=c&state=s", true),
        ("code=c&state=s&iss=https%3A%2F%2Fas.example%2F", true),
        ("code=c&state=s&iss=https%3A%2F%2Fevil.example", false),
        ("error=x&state=s&iss=https%3A%2F%2Fevil.example", false),
        ("state=s", false),
    ] {
        let refused = landed(query, promises);
        assert!(
            matches!(refused, Err(AuthError::Unsafe(_))),
            "{query}: {refused:?}"
        );
    }
    let refused = landed("error=access_denied&error_description=no%0Away&state=s", false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "https://as.example refused: access_denied (no\\nway)"
    );
    let server = Server::at(
        "https://as.example".to_owned(),
        Url::parse("https://as.example/t").unwrap(),
    );
    let elsewhere = Url::parse("http://localhost:2/cb?code=c&state=s").unwrap();
    assert!(code::code(&elsewhere, "http://localhost:1/cb", "s", &server).is_err());
}

#[test]
fn pkce_is_that_of_the_standard() {
    // RFC 7636, appendix B.
    assert_eq!(
        code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    let (one, other) = (random_text().unwrap(), random_text().unwrap());
    assert!(one != other && one.len() == 43);
}

fn part(token: &str, index: usize) -> Value {
    use base64::Engine;
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn assertions_are_signed_for_one_audience() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(document.as_ref())
    );
    let key = SigningKey::parse(&ClientKey {
        pem: Secret::new(pem),
        kid: None,
    })
    .unwrap();
    let token = key.assertion(Some("k1"), "me", "https://as.example").unwrap();
    let (header, claims) = (part(&token, 0), part(&token, 1));
    assert_eq!((&header["alg"], &header["kid"]), (&"ES256".into(), &"k1".into()));
    assert_eq!(
        (&claims["iss"], &claims["sub"], &claims["aud"]),
        (&"me".into(), &"me".into(), &"https://as.example".into())
    );
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        60
    );
    let (text, signature) = token.rsplit_once('.').unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
        .verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
    for bad in [
        "",
        "hello",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        let refused = SigningKey::parse(&ClientKey {
            pem: Secret::new(bad),
            kid: None,
        })
        .unwrap_err();
        assert!(matches!(refused, AuthError::Settings(_)));
    }
}

#[test]
fn proofs_name_the_request_and_the_token() {
    let key = ProofKey::generate().unwrap();
    let url = Url::parse("https://a.example/mcp?secret=1").unwrap();
    let (one, other) = (
        key.proof("POST", &url, Some("t"), Some("n")).unwrap(),
        key.proof("GET", &url, None, None).unwrap(),
    );
    let (header, claims) = (part(&one, 0), part(&one, 1));
    assert_eq!(header["typ"], "dpop+jwt");
    assert!(header["jwk"].get("d").is_none());
    assert_eq!(
        (&claims["htm"], &claims["htu"], &claims["nonce"]),
        (&"POST".into(), &"https://a.example/mcp".into(), &"n".into())
    );
    assert!(claims["ath"].is_string());
    assert!(part(&other, 1).get("ath").is_none());
    assert_ne!(claims["jti"], part(&other, 1)["jti"]);
}

#[test]
fn identifiers_have_no_slash_of_their_own() {
    for (url, id) in [
        ("https://a.example", "https://a.example"),
        ("https://a.example/", "https://a.example"),
        ("https://a.example/mcp?k=v#f", "https://a.example/mcp"),
    ] {
        assert_eq!(canonical(&Url::parse(url).unwrap()), id);
    }
}

#[test]
fn secrets_do_not_print() {
    let spec = super::OAuthSpec {
        client_secret: Some(Secret::new("hush")),
        ..super::OAuthSpec::new(super::Grant::JwtBearer(std::sync::Arc::new(Secret::new("hush"))))
    };
    assert!(!format!("{spec:?}").contains("hush"));
}
