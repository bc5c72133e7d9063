//! `limits`, and rates anywhere.

use std::time::Duration;

use super::{count, no_effect};
use crate::fields::{Fields, Value};
use crate::model::{Limits, Rate};
use crate::problem::{Problem, Problems};
use crate::scalar::show_duration;

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
    let general = limit(&mut fields, problems);
    let mut limits = Limits {
        client: None,
        tenant: fields.object("tenant").and_then(|mut f| limit(&mut f, problems)),
        global: fields.object("global").and_then(|mut f| limit(&mut f, problems)),
        tools: fields
            .table("tools")
            .into_iter()
            .filter_map(|(tool, checked)| match checked.value {
                Some(Value::Object(mut rate)) => Some((tool, limit(&mut rate, problems)?)),
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

/// Longest time in which a burst may come back. Beyond it, rate and burst do not mean what they seem to.
const MAX_REFILL: Duration = Duration::from_secs(3650 * 86_400);

/// `rate` and `burst` of a group.
pub(super) fn limit(fields: &mut Fields, problems: &mut Problems) -> Option<Rate> {
    let rate = fields.rate("rate")?;
    let burst = fields.number("burst").and_then(|b| u32::try_from(b).ok());
    let rate = Rate { burst, ..rate };
    let refill = rate.per.saturating_mul(rate.burst_or_count()) / rate.count.max(1);
    if refill > MAX_REFILL
        && let Some(span) = fields.span("burst")
    {
        problems.push(
            Problem::new(
                span,
                "burst",
                "at this rate, the burst needs more than ten years to come back",
            )
            .inside(&fields.path)
            .expected(format!(
                "a burst that comes back within {}",
                show_duration(MAX_REFILL)
            ))
            .hint("lower `burst`, or raise `rate`"),
        );
    }
    Some(rate)
}
