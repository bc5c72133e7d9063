//! `auth`: tokens, and callers without a credential.

use super::limits::LIMIT;
use super::{DAY, MINUTE, SECOND, duration, field, text, texts, word};
use crate::spec::Absent::{Group, Required, Value, Words};
use crate::spec::{Choice, Kind, Object};
use crate::text::Form;

pub(super) static AUTH: Object = Object {
    fields: &[
        field(
            "jwt",
            Kind::Object(&JWT),
            Group,
            "JSON Web Tokens that are accepted as credentials; without the block, none.",
        ),
        field(
            "anonymous",
            Kind::Choice(&[word("local"), word("refuse")]),
            Words("`local` if there are neither keys of tenants nor `jwt`, else `refuse`"),
            "Callers without a credential: `local` takes them for the one local tenant, `refuse` refuses them.",
        ),
        field(
            "resource",
            text(Form::Issuer),
            Words("none"),
            "This server as clients and authorization servers name it (resource identifier of RFC 9728). Needs `jwt`.",
        ),
        field(
            "authorization_servers",
            texts(&Kind::Text(Form::Issuer), false, 16),
            Words("`jwt.issuer`"),
            "Authorization servers that clients are sent to (RFC 9728). Needs `jwt`.",
        ),
        field(
            "guesses",
            Kind::Object(&LIMIT),
            Words("`{ rate: 30/min, burst: 60 }`"),
            "How many keys and tokens that are nobody's one address (of IPv6: one /64) may show; further ones are answered with 429 unseen. Behind a proxy, all have its address.",
        ),
    ],
    later: &[],
};

static JWT: Object = Object {
    fields: &[
        field(
            "issuer",
            text(Form::Issuer),
            Required,
            "Who issues the tokens: the exact value of `iss`.",
        ),
        field(
            "audience",
            Kind::OneOrMore {
                item: &Kind::Text(Form::Line { max: 512 }),
                max: 32,
            },
            Required,
            "Whom the tokens are for: `aud` must hold one of these.",
        ),
        field(
            "jwks",
            text(Form::Jwks),
            Words("required, or `secret`"),
            "The issuer's public keys: a URL to fetch them from, or a file, relative to the config file.",
        ),
        field(
            "secret",
            text(Form::Secret),
            Words("required, or `jwks`"),
            "Secret shared with the issuer, for HS256, HS384 and HS512: at least 32, 48 or 64 bytes. Best a reference.",
        ),
        field(
            "algorithms",
            Kind::List {
                item: &Kind::Choice(ALGORITHMS),
                may_be_empty: false,
                max: 12,
            },
            Words("RS256, ES256 and EdDSA with `jwks`, HS256 with `secret`"),
            "Signatures that are accepted, whatever a token claims.",
        ),
        field(
            "tenant_claim",
            text(Form::Claim),
            Value("tenant"),
            "Claim with the tenant's id; dots lead into nested claims, but a name with `://` is one name.",
        ),
        field(
            "subject_claim",
            text(Form::Claim),
            Value("sub"),
            "Claim with the caller's name, written likewise.",
        ),
        field(
            "scopes",
            texts(&Kind::Text(Form::Scope), true, 64),
            Value("[]"),
            "Scopes that a token must have, all of them.",
        ),
        field(
            "leeway",
            duration(0, 10 * MINUTE),
            Value("60s"),
            "How far the issuer's clock and this one may differ.",
        ),
        field(
            "jwks_max_age",
            duration(10 * SECOND, 7 * DAY),
            Value("10m"),
            "How long fetched keys are used before they are fetched again. Needs a URL in `jwks`; a file is read at the start.",
        ),
    ],
    later: &[],
};

const ALGORITHMS: &[Choice] = &[
    word("RS256"),
    word("RS384"),
    word("RS512"),
    word("PS256"),
    word("PS384"),
    word("PS512"),
    word("ES256"),
    word("ES384"),
    word("EdDSA"),
    word("HS256"),
    word("HS384"),
    word("HS512"),
    Choice {
        word: "none",
        refused: Some("anybody can make a token without a signature"),
    },
];
