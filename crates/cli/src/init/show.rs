//! What `ferromcp init` prints. Values of variables, headers and arguments are not in it.

use std::path::Path;

use ferromcp_config::{Config, HostServer, Merged};
use url::Url;

use super::places::Candidate;
use super::{Broken, Fate, Found, fate};
use crate::args::Init;

/// The hosts with their servers, and what cannot be read.
pub(super) fn found(found: &[Found], merged: Option<&Merged>, program: &Path, broken: &[Broken]) {
    for one in found {
        println!("{}: {}", one.candidate.name, one.candidate.path.display());
        let servers = one.host.servers();
        if servers.is_empty() {
            println!("  no servers");
        }
        let width = servers
            .iter()
            .map(|server| server.name.chars().count())
            .max()
            .unwrap_or_default()
            .min(32);
        for server in &servers {
            let name = server.name.escape_debug().to_string();
            println!("  {name:<width$}  {}", kind(server, program));
        }
    }
    for one in broken {
        eprint!("{}: left out\n{}", one.name, one.why);
    }
    if found.is_empty() && broken.is_empty() {
        println!("No MCP host was found on this machine.");
    }
    let Some(merged) = merged else { return };
    for server in &merged.servers {
        if server.id != server.wanted {
            let names = names(found, &server.hosts);
            println!("{} of {names} is another one: it is {}", server.wanted, server.id);
        }
        if !server.unset.is_empty() {
            println!(
                "{} is disabled until {} is set where ferromcp starts, and `disabled` is removed",
                server.id,
                server.unset.join(", ")
            );
        }
    }
    for (host, note) in &merged.notes {
        println!("{}:{note}", found[*host].candidate.path.display());
    }
}

fn names(found: &[Found], hosts: &[usize]) -> String {
    let names: Vec<&str> = hosts
        .iter()
        .map(|host| found[*host].candidate.name.as_str())
        .collect();
    names.join(", ")
}

fn kind(server: &HostServer, program: &Path) -> String {
    match fate(server, program) {
        Fate::Own => "this program; not taken over".to_owned(),
        Fate::Kept => "the host's own; stays there".to_owned(),
        Fate::Taken => match (&server.command, &server.url) {
            (Some(command), _) => command.escape_debug().to_string(),
            (None, Some(url)) => Url::parse(url).map_or_else(
                |_| "(an address)".to_owned(),
                |url| url.origin().ascii_serialization(),
            ),
            (None, None) => String::new(),
        },
    }
}

/// That the configuration is there now, or would be.
pub(super) fn written(args: &Init, merged: Option<&Merged>, backup: Option<&Path>) {
    let what = match merged.map(|merged| merged.servers.len()) {
        None => "the built-in tools".to_owned(),
        Some(1) => "1 server".to_owned(),
        Some(servers) => format!("{servers} servers"),
    };
    let done = if args.dry_run {
        "would be written"
    } else {
        "written"
    };
    println!("{}: {done}, {what}", args.config.display());
    if let Some(backup) = backup {
        println!("  backup: {}", backup.display());
    }
}

/// The command that takes one change back.
pub(super) fn undo_command(candidate: &Candidate) -> String {
    format!(
        "ferromcp init --undo --host {}",
        quoted(&candidate.path.display().to_string())
    )
}

pub(super) fn undo(commands: &[String]) {
    if !commands.is_empty() {
        println!("To take it back:");
    }
    for command in commands {
        println!("  {command}");
    }
}

/// What to do next.
pub(super) fn next(args: &Init, config: &Config, changed: bool) {
    if args.dry_run {
        println!("Nothing was written (--dry-run).");
        return;
    }
    let file = quoted(&args.config.display().to_string());
    let scheme = crate::build::scheme(config);
    println!("Next:");
    println!("  ferromcp doctor --config {file}");
    println!("  ferromcp serve --config {file}");
    println!(
        "  curl -s {scheme}://{}/v1/tools/call -H 'content-type: application/json' -d \
         '{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"hello\"}}}}'",
        config.listen.http
    );
    if changed {
        println!("Restart the hosts that were changed.");
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
