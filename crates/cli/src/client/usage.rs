//! `ferromcp usage`.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::Value;

use super::show::clean;
use super::{remote, run_async};
use crate::args::Usage;
use crate::exit::Failure;
use crate::files::print;

pub(crate) fn usage(args: &Usage) -> Result<(), Failure> {
    let told = run_async(remote::usage(&args.server))?;
    match args.json || !std::io::stdout().is_terminal() {
        true => print(&format!("{told}\n")),
        false => print(&table(&told)),
    }
}

/// One limit a line; what is not limited is said too.
fn table(told: &Value) -> String {
    let quotas = &told["quotas"];
    let mut out = format!("tenant       {}\n", clean(told["tenant"].as_str().unwrap_or("?")));
    for (name, line) in [
        ("rate", limited(&told["rate"], rate)),
        ("client rate", limited(&told["client_rate"], rate)),
        ("concurrent", limited(&told["concurrent"], concurrent)),
        ("tool calls", limited(&quotas["tool_calls"], quota)),
        ("bytes", limited(&quotas["bytes"], quota)),
        ("batch size", limited(&quotas["batch_size"], batch_size)),
    ] {
        out.push_str(&format!("{name:<12} {line}\n"));
    }
    out
}

fn limited(of: &Value, shown: impl Fn(&Value) -> String) -> String {
    match of.is_object() {
        true => shown(of),
        false => "not limited".to_owned(),
    }
}

fn rate(of: &Value) -> String {
    format!(
        "{} of {} calls at once left, {} come back in {}{}",
        count(of, "remaining"),
        count(of, "limit"),
        count(of, "calls"),
        time(of, "window_ms"),
        resets(of)
    )
}

fn quota(of: &Value) -> String {
    format!(
        "{} of {} left in {}{}",
        count(of, "remaining"),
        count(of, "limit"),
        time(of, "window_ms"),
        resets(of)
    )
}

fn concurrent(of: &Value) -> String {
    format!(
        "{} of {} left, {} running",
        count(of, "remaining"),
        count(of, "limit"),
        count(of, "now")
    )
}

fn batch_size(of: &Value) -> String {
    format!("at most {} calls", count(of, "limit"))
}

/// Nothing, if all of it is there.
fn resets(of: &Value) -> String {
    match count(of, "resets_in_ms") {
        0 => String::new(),
        _ => format!("; all again in {}", time(of, "resets_in_ms")),
    }
}

fn count(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

fn time(of: &Value, name: &str) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_millis(count(of, name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::table;

    #[test]
    fn each_limit_is_a_line() {
        let told = json!({
            "tenant": "acme\u{1b}[2J",
            "rate": { "limit": 200, "used": 3, "remaining": 197, "resets_in_ms": 30, "calls": 100, "window_ms": 1000 },
            "client_rate": null,
            "concurrent": { "limit": 10, "now": 1, "remaining": 9 },
            "quotas": {
                "tool_calls": { "limit": 5, "used": 0, "remaining": 5, "window_ms": 60_000, "resets_in_ms": 0 },
                "batch_size": { "limit": 50 },
            },
        });
        assert_eq!(
            table(&told),
            "tenant       acme\u{fffd}[2J\n\
             rate         197 of 200 calls at once left, 100 come back in 1s; all again in 30ms\n\
             client rate  not limited\n\
             concurrent   9 of 10 left, 1 running\n\
             tool calls   5 of 5 left in 1m\n\
             bytes        not limited\n\
             batch size   at most 50 calls\n"
        );
    }
}
