//! Pools, limits of processes, effects of tools.

use super::{count, no_effect};
use crate::fields::{Checked, Fields, Value};
use crate::model::{Config, Effect, PoolSettings, ResourceLimits, Sharing, Transport};
use crate::problem::{Problem, Problems};
use crate::source::Span;

/// Most workers of a server that has one for each caller, where `max` does not say.
const PER_CALLER: usize = 16;

pub(super) fn pool(mut fields: Fields, problems: &mut Problems) -> PoolSettings {
    let default = PoolSettings::default();
    let min = count(fields.number("min"), default.min);
    let given = fields.number("max");
    let per = match fields.word("per") {
        Some("tenant") => Sharing::Tenant,
        Some(_) => Sharing::Principal,
        None => Sharing::All,
    };
    let shared = per == Sharing::All;
    let max = count(given, if shared { min } else { PER_CALLER });
    if !shared && min > 1 {
        let why = "with `per`, workers are kept for callers that come";
        let span = fields.span("min").unwrap_or_default();
        problems.push(no_effect(span, &fields.path, "min", why).hint("remove it"));
    }
    if !shared
        && max < 2
        && let Some(span) = fields.span("max")
    {
        problems.push(
            Problem::new(
                span,
                "max",
                "with `per`, one worker lists and takes no calls, so 1 leaves none for callers",
            )
            .inside(&fields.path)
            .expected("at least 2")
            .hint("raise it"),
        );
    }
    if max < min
        && let Some(span) = fields.span("max")
    {
        problems.push(
            Problem::new(span, "max", format!("{max} is below `min` ({min})"))
                .inside(&fields.path)
                .expected(format!("at least {min}"))
                .hint("raise it, or lower `min`"),
        );
    } else if max == min
        && let Some(span) = fields.span("idle")
    {
        let why = "no worker is ever beyond `min`";
        problems.push(no_effect(span, &fields.path, "idle", why).hint("raise `max`, or remove it"));
    }
    PoolSettings {
        min,
        max: max.max(min),
        idle: fields.duration("idle").unwrap_or(default.idle),
        per,
    }
}

pub(super) fn resources(mut fields: Fields) -> ResourceLimits {
    ResourceLimits {
        memory: fields.number("memory"),
        cpu_time: fields.duration("cpu_time"),
        open_files: fields.number("open_files"),
        processes: fields.number("processes"),
    }
}

pub(super) fn effects(entries: Vec<(String, Checked)>) -> Vec<(String, Effect)> {
    let effect = |(tool, checked): (String, Checked)| match checked.value {
        Some(Value::Word("read_only")) => Some((tool, Effect::ReadOnly)),
        Some(Value::Word("idempotent")) => Some((tool, Effect::Idempotent)),
        Some(Value::Word(_)) => Some((tool, Effect::Effects)),
        _ => None,
    };
    entries.into_iter().filter_map(effect).collect()
}

/// Workers that are always kept must fit into what all servers together may have.
pub(super) fn fit(config: &Config, span: Option<Span>, problems: &mut Problems) {
    let children = config
        .servers
        .iter()
        .filter(|server| matches!(server.transport, Transport::Stdio(_)));
    let needed: usize = children.map(|server| server.pool.min).sum();
    let max = config.supervisor.max_workers;
    if needed > max {
        let text = format!(
            "the servers with `command` keep {needed} workers (`pool.min`), more than `max_workers` ({max})"
        );
        problems.push(
            Problem::new(span.unwrap_or_default(), "max_workers", text)
                .inside("supervisor")
                .expected(format!("at least {needed}"))
                .hint("raise it, or lower `pool.min` of servers"),
        );
    }
}
