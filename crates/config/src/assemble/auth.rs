//! `auth`, with the defaults that depend on other blocks.

use std::time::Duration;

use super::limits::limit;
use super::no_effect;
use crate::fields::{Fields, Text};
use crate::model::{Anonymous, Auth, Jwt, JwtAlgorithm, JwtKeys, Rate};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use crate::text::Parsed;

/// `has_keys`: some tenant has an API key or a client certificate, or the admin API may give it one.
pub(super) fn auth(mut fields: Fields, has_keys: bool, problems: &mut Problems) -> Auth {
    let has_jwt = fields.span("jwt").is_some();
    if !has_jwt {
        for key in ["resource", "authorization_servers"] {
            if let Some(span) = fields.span(key) {
                problems.push(
                    no_effect(span, &fields.path, key, "no tokens are accepted without `jwt`")
                        .hint("add `jwt`, or remove the key"),
                );
            }
        }
    }
    if !has_keys
        && !has_jwt
        && let Some(span) = fields.span("guesses")
    {
        let why = "there are neither keys of tenants nor `jwt`";
        problems.push(no_effect(span, &fields.path, "guesses", why).hint("remove it"));
    }
    let guesses = fields.object("guesses");
    let guesses = guesses.and_then(|mut fields| limit(&mut fields, problems));
    let jwt = fields.object("jwt").and_then(|f| jwt(f, problems));
    let issuer = jwt.as_ref().map(|jwt| jwt.issuer.clone());
    Auth {
        anonymous: match fields.word("anonymous") {
            Some("local") => Anonymous::Local,
            Some(_) => Anonymous::Refuse,
            None if has_keys || has_jwt => Anonymous::Refuse,
            None => Anonymous::Local,
        },
        resource: fields.string("resource"),
        authorization_servers: fields
            .strings("authorization_servers")
            .unwrap_or_else(|| issuer.into_iter().collect()),
        guesses: (has_keys || has_jwt).then(|| guesses.unwrap_or(GUESSES)),
        jwt,
    }
}

/// Wrong keys of one address.
const GUESSES: Rate = Rate {
    count: 30,
    per: Duration::from_secs(60),
    burst: Some(60),
};

fn jwt(mut fields: Fields, problems: &mut Problems) -> Option<Jwt> {
    let secret = fields.span("secret");
    let shared = match (fields.span("jwks"), &secret) {
        (None, None) => {
            problems.push(
                Problem::new(
                    fields.span.clone(),
                    &fields.path,
                    "there is neither `jwks` nor `secret`",
                )
                .expected("`jwks` for the issuer's public keys, or `secret` for HS256, HS384 and HS512"),
            );
            return None;
        }
        (Some(jwks), Some(secret)) => {
            problems.push(
                Problem::new(
                    jwks.start.max(secret.start)..jwks.end.max(secret.end),
                    &fields.path,
                    "there are both `jwks` and `secret`",
                )
                .expected("one of them")
                .hint("remove one of them: with both, a public key could be taken for the secret"),
            );
            return None;
        }
        (_, secret) => secret.is_some(),
    };
    if shared && let Some(span) = fields.span("jwks_max_age") {
        problems.push(no_effect(span, &fields.path, "jwks_max_age", "there is no `jwks`").hint("remove it"));
    }
    let algorithms = algorithms(&mut fields, shared, problems);
    let keys = keys(&mut fields, &algorithms, problems)?;
    let mut claim = |key: &str, default: &str| match fields.text(key).map(|t| t.parsed) {
        Some(Parsed::Names(names)) => names,
        _ => vec![default.to_owned()],
    };
    Some(Jwt {
        tenant_claim: claim("tenant_claim", "tenant"),
        subject_claim: claim("subject_claim", "sub"),
        issuer: fields.string("issuer")?,
        audience: fields.strings("audience")?,
        keys,
        algorithms,
        scopes: fields.strings("scopes").unwrap_or_default(),
        leeway: fields.duration("leeway").unwrap_or(Duration::from_secs(60)),
        jwks_max_age: fields
            .duration("jwks_max_age")
            .unwrap_or(Duration::from_secs(600)),
    })
}

fn keys(fields: &mut Fields, algorithms: &[JwtAlgorithm], problems: &mut Problems) -> Option<JwtKeys> {
    let secret = fields.span("secret");
    if let Some(text) = fields.text("secret") {
        let text = Text::into_string(text)?;
        let least = algorithms
            .iter()
            .filter_map(|a| a.secret_bytes())
            .max()
            .unwrap_or(32);
        if text.len() < least {
            problems.push(
                Problem::new(
                    secret.unwrap_or_default(),
                    "secret",
                    format!("the secret is {} bytes long", text.len()),
                )
                .inside(&fields.path)
                .expected(format!(
                    "at least {least} bytes, as long as the hash (RFC 7518, section 3.2)"
                ))
                .hint("make one with `openssl rand -base64 64`"),
            );
        }
        Some(JwtKeys::Secret(Secret::new(text)))
    } else {
        match fields.text("jwks")?.parsed {
            Parsed::Url(url) => Some(JwtKeys::Url(*url)),
            Parsed::Path(path) => {
                if let Some(span) = fields.span("jwks_max_age") {
                    let why = "the file is read once, at the start";
                    problems.push(no_effect(span, &fields.path, "jwks_max_age", why).hint("remove it"));
                }
                Some(JwtKeys::File(path))
            }
            _ => None,
        }
    }
}

fn algorithms(fields: &mut Fields, shared: bool, problems: &mut Problems) -> Vec<JwtAlgorithm> {
    let Some(words) = fields.words("algorithms") else {
        return if shared {
            vec![JwtAlgorithm::HS256]
        } else {
            vec![JwtAlgorithm::RS256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA]
        };
    };
    let span = fields.span("algorithms").unwrap_or_default();
    let problem = |message: String| Problem::new(span.clone(), "algorithms", message).inside(&fields.path);
    let mut out = Vec::new();
    for algorithm in words
        .iter()
        .filter_map(|word| JwtAlgorithm::ALL.into_iter().find(|a| a.as_str() == *word))
    {
        let word = algorithm.as_str();
        if out.contains(&algorithm) {
            problems.push(problem(format!("`{word}` appears twice")).hint("remove one of them"));
        } else if algorithm.secret_bytes().is_some() && !shared {
            problems.push(
                problem(format!("`{word}` needs `secret`, and there is `jwks`"))
                    .expected("algorithms with a public key, as RS256, ES256 and EdDSA")
                    .hint("with a shared secret, replace `jwks` by `secret`"),
            );
        } else if algorithm.secret_bytes().is_none() && shared {
            problems.push(
                problem(format!("`{word}` needs `jwks`, and there is `secret`"))
                    .expected("HS256, HS384 or HS512")
                    .hint("with public keys, replace `secret` by `jwks`"),
            );
        } else {
            out.push(algorithm);
        }
    }
    out
}
