//! `servers.ID.tls` and `servers.ID.auth`.

use super::{field, text, texts, word};
use crate::spec::Absent::{Group, Required, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::Form;

pub(super) static TLS: Object = Object {
    fields: &[
        field(
            "ca",
            text(Form::Secret),
            Words("the authorities that the system trusts"),
            "PEM certificates of authorities to trust beside those of the system, as in `${file:ca.pem}`.",
        ),
        field(
            "cert",
            text(Form::Secret),
            Words("none"),
            "PEM certificate chain to show to a server that asks for a client certificate. Needs `key`.",
        ),
        field(
            "key",
            text(Form::Secret),
            Words("none"),
            "PEM private key of `cert`, as in `${file:key.pem}`.",
        ),
    ],
    later: &[],
};

pub(super) static AUTH: Object = Object {
    fields: &[field(
        "oauth",
        Kind::Object(&OAUTH),
        Group,
        "Get access tokens from the server's authorization server, as a client with an identity of its own. Tokens of \
         callers are never passed on.",
    )],
    later: &[],
};

static OAUTH: Object = Object {
    fields: &[
        field(
            "client_id",
            text(Form::Line { max: 512 }),
            Required,
            "Who we are at the authorization server.",
        ),
        field(
            "client_secret",
            text(Form::Secret),
            Words("none"),
            "Secret of `client_id`, as in `${ID_SECRET}`.",
        ),
        field(
            "private_key",
            text(Form::Secret),
            Words("none"),
            "PEM private key of `client_id` (RSA or P-256, PKCS #8) for `private_key_jwt`, as in `${file:key.pem}`.",
        ),
        field(
            "key_id",
            text(Form::Line { max: 512 }),
            Words("none"),
            "`kid` of `private_key`, if the authorization server needs it.",
        ),
        field(
            "assertion",
            text(Form::KeyFile),
            Words("none: the client credentials grant is used"),
            "File with a signed JWT of another issuer that vouches for us (workload identity; RFC 7523, section 2.1). Read \
             anew for each token.",
        ),
        field(
            "auth_method",
            Kind::Choice(&[
                word("none"),
                word("client_secret_basic"),
                word("client_secret_post"),
                word("private_key_jwt"),
            ]),
            Words("the best that both sides have"),
            "How `client_id` is proved to the token endpoint.",
        ),
        field(
            "issuer",
            text(Form::Issuer),
            Words("the authorization server that the server names first"),
            "Authorization server that `client_id` belongs to. The credentials are shown to no other.",
        ),
        field(
            "token_url",
            text(Form::Issuer),
            Words("found out from the server's metadata (RFC 9728, RFC 8414)"),
            "Token endpoint, for servers without metadata. `resource` is then sent only if it is set.",
        ),
        field(
            "resource",
            text(Form::Line { max: 2048 }),
            Words("the identifier in the server's metadata, or its `url`"),
            "Whom the token is for (RFC 8707).",
        ),
        field(
            "scopes",
            texts(&Kind::Text(Form::Scope), false, 64),
            Words("those that the server asks for"),
            "Scopes to ask for.",
        ),
        field(
            "dpop",
            Kind::Bool,
            Value("false"),
            "Ask for tokens bound to a key of this process (RFC 9449). Done unasked where the server requires it.",
        ),
    ],
    later: &[],
};
