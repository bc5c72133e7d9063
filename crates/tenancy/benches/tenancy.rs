//! What it costs to know who calls and what they may touch, next to what those answers are made of, in the same run.
//!
//! `cargo bench -p ferromcp-tenancy`
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use ferromcp_tenancy::{
    Acl, AclSettings, CertificateNames, Directory, JwkSet, JwtSettings, JwtVerifier, KeySettings, List,
    TenantId, TenantSettings, new_key,
};
use globset::{Glob, GlobSetBuilder};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;

fn keys(criterion: &mut Criterion) {
    let mut settings = Vec::new();
    let mut texts = Vec::new();
    for number in 0u32..1_000 {
        let id = format!("tenant-{number}");
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_le_bytes());
        let new = new_key(&TenantId::new(&id).unwrap(), &random);
        texts.push(new.key);
        settings.push(TenantSettings {
            id,
            keys: vec![KeySettings {
                hash: new.hash.to_string(),
                ..KeySettings::default()
            }],
            ..TenantSettings::default()
        });
    }
    let directory = Directory::new(&settings).unwrap();
    let map: HashMap<Vec<u8>, usize> = texts
        .iter()
        .enumerate()
        .map(|(index, key)| (digest(&SHA256, key.as_bytes()).as_ref().to_vec(), index))
        .collect();
    let mut group = criterion.benchmark_group("API key of one of 1,000 tenants");
    let mut call = 0;
    group.bench_function("by_key", |bencher| {
        bencher.iter(|| {
            call = (call + 7) % texts.len();
            directory
                .by_key(black_box(&texts[call]), NOW)
                .unwrap()
                .tenant
                .id()
                .as_str()
                .len()
        });
    });
    group.bench_function("mistyped key", |bencher| {
        let mistyped = texts[0].replace("00000000", "00000001");
        bencher.iter(|| directory.by_key(black_box(&mistyped), NOW).is_err());
    });
    group.bench_function("baseline: one SHA-256 and a map", |bencher| {
        bencher.iter(|| {
            call = (call + 7) % texts.len();
            map.get(digest(&SHA256, black_box(&texts[call]).as_bytes()).as_ref())
                .unwrap()
        });
    });
    group.finish();
}

fn certificates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client certificate");
    for count in [10u32, 10_000] {
        let settings: Vec<_> = (0..count)
            .map(|number| TenantSettings {
                id: format!("tenant-{number}"),
                certificates: vec![format!("subject:CN=*,O=company-{number}")],
                ..TenantSettings::default()
            })
            .collect();
        let directory = Directory::new(&settings).unwrap();
        let names = Arc::new(CertificateNames {
            subject: format!("CN=client,O=company-{}", count / 2),
            expires: NOW,
            ..CertificateNames::default()
        });
        group.bench_function(format!("of one of {count} tenants"), |bencher| {
            bencher.iter(|| directory.by_certificate(black_box(&names), NOW).unwrap());
        });
    }
    group.finish();
}

fn acls(criterion: &mut Criterion) {
    let list = |count: usize, globs: &[&str]| List {
        allow: (0..count)
            .map(|number| format!("tool_{number}"))
            .chain(globs.iter().map(|glob| (*glob).to_owned()))
            .collect(),
        deny: vec!["tool_7".to_owned()],
        ..List::default()
    };
    let acl = |tools: List| {
        Acl::new(&AclSettings {
            resources: List {
                allow: vec!["file:///data/*".to_owned()],
                deny: vec!["*.env".to_owned()],
                ..List::default()
            },
            tools,
            ..AclSettings::default()
        })
        .unwrap()
    };
    let mut group = criterion.benchmark_group("access list");
    let names = acl(list(200, &[]));
    group.bench_function("a name among 200", |bencher| {
        bencher.iter(|| names.tool(black_box("tool_150")).allowed);
    });
    let globs = acl(list(200, &["read_*", "*_list", "git.{log,show}*"]));
    group.bench_function("a glob among 200 names and 3 globs", |bencher| {
        bencher.iter(|| globs.tool(black_box("read_file")).allowed);
    });
    group.bench_function("nothing matches", |bencher| {
        bencher.iter(|| globs.tool(black_box("write_file")).allowed);
    });
    group.bench_function("a resource, spelt plainly", |bencher| {
        bencher.iter(|| globs.resource(black_box("file:///data/reports/week-31")).allowed);
    });
    group.bench_function("a resource, to be normalised", |bencher| {
        bencher.iter(|| {
            globs
                .resource(black_box("file:///data/Reports/week%2031.csv"))
                .allowed
        });
    });
    let mut set = GlobSetBuilder::new();
    for number in 0..200 {
        set.add(Glob::new(&format!("tool_{number}")).unwrap());
    }
    for glob in ["read_*", "*_list", "git.{log,show}*"] {
        set.add(Glob::new(glob).unwrap());
    }
    let set = set.build().unwrap();
    group.bench_function("baseline: all patterns in one GlobSet", |bencher| {
        bencher.iter(|| set.is_match(black_box("read_file")));
    });
    group.finish();
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa() -> RsaKeyPair {
    let pem = include_str!("../testdata/test-rsa-key.pem");
    let lines = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1);
    let text: String = lines.take_while(|line| !line.starts_with("-----END")).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap()
}

/// Many tokens of one signer, so that each can be seen for the first time.
fn tokens(algorithm: &str, count: usize, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<String> {
    let header = b64(json!({"alg": algorithm, "kid": "k"}).to_string());
    (0..count)
        .map(|number| {
            let claims: Value = json!({
                "iss": "https://issuer.example", "aud": "ferromcp", "sub": "user-1", "tenant": "company-a",
                "scope": "tools:read tools:call", "exp": NOW + 300, "iat": NOW, "jti": number
            });
            let signed = format!("{header}.{}", b64(claims.to_string()));
            let signature = b64(sign(signed.as_bytes()));
            format!("{signed}.{signature}")
        })
        .collect()
}

fn jwts(criterion: &mut Criterion) {
    let random = SystemRandom::new();
    let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let rsa = rsa();
    let parts: RsaPublicKeyComponents<Vec<u8>> = rsa.public().into();
    let ed_jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(ed.public_key())});
    let rsa_jwk = json!({"kty": "RSA", "kid": "k", "n": b64(&parts.n), "e": b64(&parts.e)});
    // Twice as many as are remembered, in turn: each has been forgotten when it comes again.
    let ed_tokens = tokens("EdDSA", 8_192, |message| ed.sign(message).as_ref().to_vec());
    let rsa_tokens = tokens("RS256", 64, |message| {
        let mut signature = vec![0; rsa.public().modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
            .unwrap();
        signature
    });
    let verifier = |jwk: &Value| {
        let keys = JwkSet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        JwtVerifier::new(JwtSettings::new("https://issuer.example", "ferromcp"), keys).unwrap()
    };
    let mut group = criterion.benchmark_group("JSON Web Token");
    let trusted = verifier(&ed_jwk);
    let mut call = 0;
    group.bench_function("EdDSA, cold", |bencher| {
        bencher.iter(|| {
            call = (call + 1) % ed_tokens.len();
            trusted.verify(black_box(&ed_tokens[call]), NOW).unwrap()
        });
    });
    group.bench_function("EdDSA, cached", |bencher| {
        bencher.iter(|| trusted.verify(black_box(&ed_tokens[0]), NOW).unwrap());
    });
    let trusted = verifier(&rsa_jwk);
    group.bench_function("RS256, cold", |bencher| {
        // A wrong audience is found after the signature, and is not remembered.
        let keys = JwkSet::parse(json!({"keys": [rsa_jwk]}).to_string().as_bytes()).unwrap();
        let other = JwtVerifier::new(JwtSettings::new("https://issuer.example", "other"), keys).unwrap();
        bencher.iter(|| other.verify(black_box(&rsa_tokens[0]), NOW).is_err());
    });
    group.bench_function("RS256, cached", |bencher| {
        bencher.iter(|| trusted.verify(black_box(&rsa_tokens[0]), NOW).unwrap());
    });
    group.bench_function("baseline: the RS256 signature alone", |bencher| {
        let (signed, signature) = rsa_tokens[0].rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bencher.iter(|| {
            let algorithm = &ring::signature::RSA_PKCS1_2048_8192_SHA256;
            parts
                .verify(algorithm, black_box(signed.as_bytes()), &signature)
                .unwrap();
        });
    });
    group.bench_function("baseline: SHA-256 of the token", |bencher| {
        bencher.iter(|| digest(&SHA256, black_box(rsa_tokens[0].as_bytes())));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = keys, certificates, acls, jwts
}
criterion_main!(benches);
