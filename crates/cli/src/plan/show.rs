//! A plan for people.

use std::fmt::Write as _;

use ferromcp_config::{Change, Reload};

use super::diff::{Plan, What};

/// Names of one kind that are listed before the rest is only counted.
const LISTED: usize = 20;

pub(crate) fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        out.push_str("Nothing changes.\n");
        return out;
    }
    servers(plan, &mut out);
    tenants(plan, &mut out);
    let live = |change: &&Change| change.reload != Reload::Restart;
    settings("Settings", plan.settings.iter().filter(live), &mut out);
    settings("Refused: these need a restart", plan.refused(), &mut out);
    out
}

fn servers(plan: &Plan, out: &mut String) {
    if plan.servers.is_empty() {
        return;
    }
    out.push_str("Servers\n");
    for server in &plan.servers {
        let processes = match (server.children, server.what) {
            (false, _) => "",
            (true, What::Added) => "; starts child processes",
            (true, What::Changed) => "; restarts its child processes",
            (true, What::Removed) => "; ends its child processes",
        };
        let because = if server.because.is_empty() {
            String::new()
        } else {
            format!(" ({})", some(&server.because))
        };
        let unknown = if plan.unknown.contains(&server.id) {
            "; its tools are not known before it runs"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "  {} {}  {}{processes}{unknown}{because}",
            mark(server.what),
            server.id,
            server.what.as_str()
        );
    }
}

fn tenants(plan: &Plan, out: &mut String) {
    if plan.tenants.is_empty() {
        return;
    }
    out.push_str("Tenants\n");
    for tenant in &plan.tenants {
        let _ = writeln!(
            out,
            "  {} {}  {}",
            mark(tenant.what),
            tenant.id,
            tenant.what.as_str()
        );
        for reason in &tenant.widened {
            let _ = writeln!(out, "      WIDER  {reason}");
        }
        if !tenant.gained.is_empty() {
            let _ = writeln!(out, "      gains tools  {}", some(&tenant.gained));
        }
        if !tenant.lost.is_empty() {
            let _ = writeln!(out, "      loses tools  {}", some(&tenant.lost));
        }
    }
}

fn settings<'c>(title: &str, changes: impl Iterator<Item = &'c Change>, out: &mut String) {
    for (index, change) in changes.enumerate() {
        if index == 0 {
            let _ = writeln!(out, "{title}");
        }
        let limit = match change.raised {
            Some(true) => "  WIDER",
            Some(false) => "  narrower",
            None => "",
        };
        let _ = writeln!(
            out,
            "    {}: {} -> {}{limit}",
            change.path, change.from, change.to
        );
    }
}

fn mark(what: What) -> char {
    match what {
        What::Added => '+',
        What::Changed => '~',
        What::Removed => '-',
    }
}

fn some(names: &[String]) -> String {
    let shown = names
        .iter()
        .take(LISTED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(LISTED) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
