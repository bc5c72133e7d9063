//! Tokens of an identity provider: a key set over HTTP, tokens signed here, and what clients are told.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::support::{Answer, Door, Served};

/// An identity provider: its address, and what it signs with.
struct Issuer {
    url: String,
    key: Ed25519KeyPair,
}

impl Issuer {
    /// Serves its key set on a thread, as long as the test runs.
    fn start() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let set = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "k1", "use": "sig", "alg": "EdDSA", "x": x },
        ] })
        .to_string();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                // The whole request is in the first piece, and nothing in it matters.
                let _ = socket.read(&mut [0; 4096]);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/jwk-set+json\r\nconnection: close";
                let _ = write!(socket, "{head}\r\ncontent-length: {}\r\n\r\n{set}", set.len());
            }
        });
        Self { url, key }
    }

    /// A token, good unless `changes` make it bad.
    fn token(&self, header: &Value, changes: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": self.url, "aud": "ferromcp", "sub": "ada", "tenant": "company-a", "scope": "mcp:tools",
            "exp": now + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let [header, claims] = [header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn call(door: &Door, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", bearer.as_str()),
    ];
    let body = json!({ "tool": "echo", "arguments": { "msg": "hello" } }).to_string();
    door.request("POST", "/v1/tools/call", &headers, &body)
}

#[test]
fn tokens_become_tenants_and_bad_ones_are_told_what_is_missing() {
    let issuer = Issuer::start();
    let directory = tempfile::tempdir().unwrap();
    let config = json!({
        "tenants": { "company-a": {}, "gone": { "suspended": true } },
        "auth": { "jwt": {
            "issuer": issuer.url, "audience": "ferromcp", "jwks": format!("{}/keys", issuer.url), "scopes": ["mcp:tools"],
        } },
    });
    let file = directory.path().join("ferromcp.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let served = Served::with_config(&file);
    let door = &served.door;

    let good = json!({ "alg": "EdDSA", "kid": "k1", "typ": "JWT" });
    let answer = call(door, &issuer.token(&good, &json!({})));
    assert_eq!(
        (answer.status, answer.json()["success"].as_bool()),
        (200, Some(true)),
        "{answer:?}"
    );

    for (header, changes, status, rule) in [
        (&good, json!({ "aud": "other" }), 401, "auth.jwt.audience"),
        (
            &good,
            json!({ "iss": "http://127.0.0.1:1" }),
            401,
            "auth.jwt.issuer",
        ),
        (&good, json!({ "exp": 1_000 }), 401, "auth.jwt.expired"),
        (&json!({ "alg": "none" }), json!({}), 401, "auth.jwt.algorithm"),
        (
            &json!({ "alg": "HS256", "kid": "k1" }),
            json!({}),
            401,
            "auth.jwt.algorithm",
        ),
        (
            &json!({ "alg": "EdDSA", "kid": "k2" }),
            json!({}),
            401,
            "auth.jwt.unknown_key",
        ),
        (&good, json!({ "scope": "other" }), 403, "auth.scope"),
        (&good, json!({ "tenant": "gone" }), 403, "auth.tenant.suspended"),
        (&good, json!({ "tenant": "nobody" }), 403, "auth.tenant.unknown"),
    ] {
        let answer = call(door, &issuer.token(header, &changes));
        assert_eq!(answer.json()["error"]["rule"], rule, "{answer:?}");
        assert_eq!(answer.status, status, "{answer:?}");
        let asked = answer.header("www-authenticate").unwrap_or_default();
        match rule {
            "auth.scope" => assert!(asked.contains("insufficient_scope"), "{answer:?}"),
            _ if status == 401 => assert!(asked.contains("invalid_token"), "{answer:?}"),
            _ => assert_eq!(asked, "", "{answer:?}"),
        }
    }
    let mut forged = issuer.token(&good, &json!({}));
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    assert_eq!(call(door, &forged).json()["error"]["rule"], "auth.jwt.signature");

    // A client that has nothing yet finds the way.
    let asked = door.get("/v1/tools");
    let challenge = asked.header("www-authenticate").unwrap().to_owned();
    assert!(challenge.contains("scope=\"mcp:tools\""), "{challenge}");
    let (_, rest) = challenge.split_once("resource_metadata=\"").unwrap();
    let path = rest.trim_end_matches('"').split_once("/.well-known").unwrap().1;
    let metadata = door.get(&format!("/.well-known{path}")).json();
    assert_eq!(
        metadata["authorization_servers"],
        json!([issuer.url]),
        "{metadata}"
    );
    assert_eq!(metadata["scopes_supported"], json!(["mcp:tools"]), "{metadata}");
    assert!(
        metadata["resource"].as_str().unwrap().ends_with("/mcp"),
        "{metadata}"
    );
}
