//! `limits`, and rates anywhere.

use super::{count, no_effect};
use crate::fields::{Fields, Value};
use crate::model::{Limits, Rate};
use crate::problem::{Problem, Problems};

pub(super) fn limits(mut fields: Fields, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let per = fields.word("per").unwrap_or("client");
    if fields.span("rate").is_none() {
        for key in ["burst", "per"] {
            if let Some(span) = fields.span(key) {
                problems.push(
                    no_effect(span, &fields.path, key, "there is no `rate`")
                        .hint("add `rate`, as in `rate: 100/s`"),
                );
            }
        }
    } else if let Some(span) = fields.span(per) {
        problems.push(
            Problem::new(
                span,
                per,
                format!("both `rate` with `per: {per}` and `{per}` limit the same"),
            )
            .inside(&fields.path)
            .expected("one of them")
            .hint("remove one of them"),
        );
    }
    let general = limit(&mut fields);
    let mut limits = Limits {
        client: None,
        tenant: fields.object("tenant").and_then(|mut f| limit(&mut f)),
        global: fields.object("global").and_then(|mut f| limit(&mut f)),
        tools: fields
            .table("tools")
            .into_iter()
            .filter_map(|(tool, checked)| match checked.value {
                Some(Value::Object(mut rate)) => Some((tool, limit(&mut rate)?)),
                _ => None,
            })
            .collect(),
        max_clients: count(fields.number("max_clients"), default.max_clients),
        max_in_flight: count(fields.number("max_in_flight"), default.max_in_flight),
    };
    match per {
        "tenant" => limits.tenant = general.or(limits.tenant),
        "global" => limits.global = general.or(limits.global),
        _ => limits.client = general,
    }
    limits
}

/// `rate` and `burst` of a group.
pub(super) fn limit(fields: &mut Fields) -> Option<Rate> {
    let rate = fields.rate("rate")?;
    Some(Rate {
        burst: fields.number("burst").and_then(|b| u32::try_from(b).ok()),
        ..rate
    })
}
