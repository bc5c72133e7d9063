//! `servers.ID.tls` and `servers.ID.auth`, and what of them goes together.

use super::no_effect;
use crate::fields::{Fields, Text};
use crate::model::{AssertionSource, OAuth, OAuthMethod, UpstreamTls};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;
use crate::text::Parsed;

/// `https`: the server's address is such a one.
pub(super) fn tls(mut fields: Fields, https: bool, problems: &mut Problems) -> UpstreamTls {
    if !https {
        for key in ["ca", "cert", "key"] {
            if let Some(span) = fields.span(key) {
                problems.push(
                    no_effect(span, &fields.path, key, "the server's `url` is not https").hint("remove it"),
                );
            }
        }
    }
    let mut secret = |key: &str| fields.text(key).and_then(Text::into_string).map(Secret::new);
    let (ca, cert, key) = (secret("ca"), secret("cert"), secret("key"));
    if cert.is_some() != key.is_some() {
        let (there, other) = if cert.is_some() {
            ("cert", "key")
        } else {
            ("key", "cert")
        };
        problems.push(
            Problem::new(
                fields.span(there).unwrap_or(fields.span.clone()),
                there,
                format!("`{there}` without `{other}`"),
            )
            .inside(&fields.path)
            .expected("both for a client certificate, or neither"),
        );
    }
    UpstreamTls {
        ca,
        identity: cert.zip(key),
    }
}

/// `server`: its path. `authorization`: the place of `headers`, if they set `Authorization`.
pub(super) fn oauth(
    mut auth: Fields,
    server: &str,
    authorization: Option<std::ops::Range<usize>>,
    problems: &mut Problems,
) -> Option<OAuth> {
    let mut fields = match auth.object("oauth") {
        Some(fields) => fields,
        None => {
            if auth.span("oauth").is_none() {
                problems.push(
                    Problem::new(auth.span.clone(), &auth.path, "`auth` has no effect without `oauth`")
                        .hint("add `oauth`, or remove the key; a fixed token goes into `headers` as `Authorization`"),
                );
            }
            return None;
        }
    };
    if let Some(span) = authorization {
        problems.push(
            Problem::new(
                span,
                "headers",
                "the header `Authorization` is set by `auth.oauth`",
            )
            .inside(server)
            .hint("remove the header, or `auth`"),
        );
    }
    let method = fields.word("auth_method").map(|word| match word {
        "none" => OAuthMethod::None,
        "client_secret_post" => OAuthMethod::Post,
        "private_key_jwt" => OAuthMethod::PrivateKeyJwt,
        _ => OAuthMethod::Basic,
    });
    together(&fields, method, problems);
    let assertion = fields.text("assertion").and_then(|text| match text.parsed {
        Parsed::TextOrPath { text: content, .. } if text.interpolated => {
            Some(AssertionSource::Text(Secret::new(content)))
        }
        Parsed::TextOrPath { path, .. } => Some(AssertionSource::File(path)),
        _ => None,
    });
    let mut secret = |key: &str| fields.text(key).and_then(Text::into_string).map(Secret::new);
    Some(OAuth {
        client_secret: secret("client_secret"),
        private_key: secret("private_key"),
        key_id: fields.string("key_id"),
        assertion,
        auth_method: method,
        issuer: fields.string("issuer"),
        token_url: fields.string("token_url"),
        resource: fields.string("resource"),
        scopes: fields.strings("scopes").unwrap_or_default(),
        dpop: fields.flag("dpop", false),
        client_id: fields.string("client_id")?,
    })
}

/// What needs something else, and what has no effect.
fn together(fields: &Fields, method: Option<OAuthMethod>, problems: &mut Problems) {
    let has = |key: &str| fields.span(key).is_some();
    let needed = match method {
        Some(OAuthMethod::Basic | OAuthMethod::Post) => Some("client_secret"),
        Some(OAuthMethod::PrivateKeyJwt) => Some("private_key"),
        Some(OAuthMethod::None) | None => None,
    };
    if let (Some(key), Some(span)) = (needed.filter(|key| !has(key)), fields.span("auth_method")) {
        problems.push(
            Problem::new(span, "auth_method", format!("this way needs `{key}`"))
                .inside(&fields.path)
                .expected(format!("`{key}` beside it, or another way")),
        );
    }
    if !has("client_secret") && !has("private_key") && !has("assertion") && fields.span("client_id").is_some()
    {
        problems.push(
            Problem::new(
                fields.span.clone(),
                &fields.path,
                "nothing proves who `client_id` is",
            )
            .expected("`client_secret`, `private_key` or `assertion`"),
        );
    }
    if let Some(span) = fields.span("key_id").filter(|_| !has("private_key")) {
        problems.push(no_effect(span, &fields.path, "key_id", "there is no `private_key`").hint("remove it"));
    }
}
