//! `tenants`: the settings of one tenant.

use std::time::Duration;

use super::limits::LIMIT;
use super::patterns::PATTERNS;
use super::{DAY, TIB, field, text, texts};
use crate::spec::Absent::{Group, Value, Words};
use crate::spec::{Field, Kind, Object};
use crate::text::Form;

/// Longest window of a quota.
const WINDOW: Duration = Duration::from_millis(31 * DAY);
/// Most patterns in one list.
const PATTERNS_MAX: usize = 1000;

pub(crate) static TENANT: Object = Object {
    fields: &[
        field(
            "name",
            text(Form::Line { max: 128 }),
            Words("none"),
            "Name for people.",
        ),
        field(
            "suspended",
            Kind::Bool,
            Value("false"),
            "Refuse every call of the tenant.",
        ),
        field(
            "keys",
            texts(&Kind::Text(Form::KeyHash), false, 64),
            Words("no keys"),
            "Hashes of its API keys, as `ferromcp keys new TENANT` prints them; ` until 2027-01-31T00:00:00Z` behind one makes \
             the key end. No hash may appear twice in the file.",
        ),
        field(
            "certificates",
            texts(&Kind::Text(Form::CertificateRule), false, 64),
            Words("no certificates"),
            "Its client certificates: `subject:`, `dns:`, `uri:` or `email:` and a pattern, where `*` stands for any characters. \
             The subject is written as in RFC 4514 (`CN=client,O=Company A`), `\\` in it as `\\\\`. A key or token in a request wins \
             over the certificate. Needs `listen.tls.client_ca`.",
        ),
        field(
            "tools",
            Kind::Object(&NAMES),
            Group,
            "Which tools it sees and may call, by listed name.",
        ),
        field(
            "resources",
            Kind::Object(&URIS),
            Group,
            "Which resources it sees and may read, by URI.",
        ),
        field(
            "prompts",
            Kind::Object(&NAMES),
            Group,
            "Which prompts it sees and may get, by listed name.",
        ),
        field("quotas", Kind::Object(&QUOTAS), Group, "How much it may use."),
        field(
            "limits",
            Kind::Object(&LIMIT),
            Group,
            "Rate of the tenant as a whole, instead of the one that `limits` sets for every tenant.",
        ),
        field(
            "acts_for",
            texts(&Kind::Text(Form::TenantOrAll), true, 1024),
            Value("[]"),
            "Tenants in whose name its principals may act, besides their own; `*` for all.",
        ),
        field(
            "patterns",
            Kind::Object(&PATTERNS),
            Group,
            "Replaces `validation.patterns` for this tenant.",
        ),
    ],
    later: &[],
};

const ALLOW: &str = "Only what matches one of these patterns; `[]` is nothing.";
const DENY: &str = "Not what matches one of these patterns, even if allowed.";

const fn allow(item: &'static Kind) -> Field {
    field("allow", texts(item, true, PATTERNS_MAX), Words("all"), ALLOW)
}

const fn deny(item: &'static Kind) -> Field {
    field("deny", texts(item, true, PATTERNS_MAX), Value("[]"), DENY)
}

static NAMES: Object = Object {
    fields: &[allow(&Kind::Text(Form::Glob)), deny(&Kind::Text(Form::Glob))],
    later: &[],
};

static URIS: Object = Object {
    fields: &[
        allow(&Kind::Text(Form::UriGlob)),
        deny(&Kind::Text(Form::UriGlob)),
    ],
    later: &[],
};

static QUOTAS: Object = Object {
    fields: &[
        field(
            "tool_calls",
            Kind::Rate {
                max: 1_000_000_000,
                max_per: WINDOW,
            },
            Words("no quota"),
            "Tool calls in a window.",
        ),
        field(
            "bytes",
            Kind::ByteRate {
                max: 1024 * TIB,
                max_per: WINDOW,
            },
            Words("no quota"),
            "Bytes of requests and results in a window.",
        ),
        field(
            "batch_size",
            Kind::Count { min: 1, max: 10_000 },
            Words("no quota"),
            "Most calls in one batch.",
        ),
        field(
            "concurrent",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            Words("no quota"),
            "Most calls at the same time.",
        ),
    ],
    later: &[],
};
