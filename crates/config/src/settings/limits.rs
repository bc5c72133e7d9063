//! `limits`, and the rates that other blocks have.

use super::{DAY, field, word};
use crate::spec::Absent::{Group, Required, Value, Words};
use crate::spec::{Kind, Object};
use crate::text::KeyForm;
use std::time::Duration;

/// A rate of calls.
pub(super) const RATE: Kind = Kind::Rate {
    max: 1_000_000,
    max_per: Duration::from_millis(DAY),
};

const BURST: Kind = Kind::Count {
    min: 1,
    max: 1_000_000,
};

/// A rate with its burst.
pub(super) static LIMIT: Object = Object {
    fields: &[
        field("rate", RATE, Required, "Calls in a time."),
        field(
            "burst",
            BURST,
            Words("the count of `rate`"),
            "Most calls at once.",
        ),
    ],
    later: &[],
};

pub(super) static LIMITS: Object = Object {
    fields: &[
        field(
            "rate",
            RATE,
            Words("no limit"),
            "Calls in a time, of what `per` says.",
        ),
        field(
            "burst",
            BURST,
            Words("the count of `rate`"),
            "Most calls at once. Needs `rate`.",
        ),
        field(
            "per",
            Kind::Choice(&[word("client"), word("tenant"), word("global")]),
            Value("client"),
            "What `rate` is for: every client, every tenant, or all together. Needs `rate`.",
        ),
        field(
            "global",
            Kind::Object(&LIMIT),
            Group,
            "A further rate of all together; not with `per: global`.",
        ),
        field(
            "tenant",
            Kind::Object(&LIMIT),
            Group,
            "A further rate of every tenant that has no `limits` of its own; not with `per: tenant`.",
        ),
        field(
            "tools",
            Kind::Table {
                key: KeyForm::Tool,
                item: &Kind::Object(&LIMIT),
                max: 1000,
            },
            Value("{}"),
            "Rates of tools by pattern on the listed name, each tool by itself, all tenants together: they protect what is behind the tool. The first pattern counts.",
        ),
        field(
            "max_clients",
            Kind::Count {
                min: 1,
                max: 10_000_000,
            },
            Value("100000"),
            "Most clients whose state is kept; beyond, the ones idle the longest are forgotten.",
        ),
        field(
            "max_in_flight",
            Kind::Count {
                min: 1,
                max: 1_000_000,
            },
            Value("10000"),
            "Most calls at the same time; further ones are refused.",
        ),
    ],
    later: &[],
};
