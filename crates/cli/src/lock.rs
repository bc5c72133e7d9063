//! `ferromcp lock`: pins the definitions of upstream tools and prompts, and shows what changed since.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::pins::{Change, Kind, Pin, Pins, ServerPins, Suspicion, What, suspicions};
use ferromcp_config::Config;
use ferromcp_core::{Gateway, SourceState};
use serde_json::json;

use crate::args::Lock;
use crate::build;
use crate::client::direct;
use crate::exit::Failure;
use crate::files::print;

/// What the servers have now.
pub(crate) struct Found {
    pub(crate) pins: Pins,
    /// Servers that do not answer, and why.
    unavailable: Vec<(String, String)>,
    /// What cannot be pinned, and why.
    unpinnable: Vec<String>,
}

/// All that is said at the end.
struct Report {
    file: PathBuf,
    written: bool,
    changes: Vec<Change>,
    suspicions: Vec<(Change, Suspicion)>,
    pinned: usize,
}

pub(crate) fn run(args: &Lock) -> Result<(), Failure> {
    let config = Config::load(&args.config.path)?;
    let file = file(args, &config);
    let locked = build::read_lock(&file).map_err(Failure::Usage)?;
    if locked.is_none() && args.check {
        return Err(Failure::Usage(format!(
            "there is no lock file {}: make it with `ferromcp lock` first",
            file.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))?;
    let mut found = runtime.block_on(async {
        let started = direct::start_unvetted(&config).await?;
        let found = look(&started.gateway);
        started.upstreams.stop().await;
        Ok::<_, Failure>(found)
    })?;
    let first = locked.is_none();
    let before = locked.unwrap_or_default();
    // What cannot be asked now has not changed.
    let silent = found.unavailable.iter().map(|(server, _)| server);
    for server in silent.chain(&config.disabled_servers) {
        if let Some(pins) = before.servers.get(server) {
            found.pins.servers.insert(server.clone(), pins.clone());
        }
    }
    let mut report = Report {
        changes: before.changes(&found.pins),
        suspicions: Vec::new(),
        written: false,
        pinned: found
            .pins
            .servers
            .values()
            .map(|s| s.tools.len() + s.prompts.len())
            .sum(),
        file,
    };
    report.suspicions = suspicious(&report.changes, &found.pins);
    let mut open = report.changes.len();
    if let Some(next) = accepted(args, first, &before, &found.pins, &report.changes)? {
        open = next.changes(&found.pins).len();
        write(&report.file, &next.render())?;
        report.written = true;
    }
    if args.json {
        print(&format!("{}\n", report.json(&found, open)))?;
    } else {
        print(&report.text(&found, open, first))?;
    }
    if open == 0 && found.unavailable.is_empty() && found.unpinnable.is_empty() {
        return Ok(());
    }
    Err(Failure::Silent)
}

fn file(args: &Lock, config: &Config) -> PathBuf {
    let configured = config.lock.as_ref().map(|lock| lock.file.clone());
    args.file
        .clone()
        .or(configured)
        .unwrap_or_else(|| args.config.path.with_file_name("mcp.lock"))
}

/// The pins to write; `None` if nothing is to be written.
fn accepted(
    args: &Lock,
    first: bool,
    before: &Pins,
    found: &Pins,
    changes: &[Change],
) -> Result<Option<Pins>, Failure> {
    let Some(wanted) = &args.accept else {
        return Ok(first.then(|| found.clone()));
    };
    if wanted.is_empty() {
        return Ok(Some(found.clone()));
    }
    let mut next = before.clone();
    for what in wanted {
        let mut matched = false;
        for change in changes.iter().filter(|change| is_meant(what, change)) {
            next.accept(change, found);
            matched = true;
        }
        if !matched {
            return Err(Failure::Usage(format!(
                "--accept {what}: nothing of that name has changed. Name a server, or SERVER/TOOL as `ferromcp lock` shows \
                 it; the lock file is as it was"
            )));
        }
    }
    Ok(Some(next))
}

fn is_meant(what: &str, change: &Change) -> bool {
    match what.split_once('/') {
        Some((server, name)) => server == change.server && name == change.name,
        None => what == change.server,
    }
}

pub(crate) fn look(gateway: &Gateway) -> Found {
    let mut found = Found {
        pins: Pins::default(),
        unavailable: Vec::new(),
        unpinnable: Vec::new(),
    };
    let snapshot = gateway.snapshot();
    for listing in snapshot
        .catalog
        .sources()
        .iter()
        .filter(|listing| listing.foreign)
    {
        match &listing.state {
            SourceState::Ready => {}
            SourceState::Starting => {
                let why = "it has not started in time".to_owned();
                found.unavailable.push((listing.name.to_string(), why));
                continue;
            }
            SourceState::Down { reason } => {
                found.unavailable.push((listing.name.to_string(), reason.clone()));
                continue;
            }
        }
        let mut pins = ServerPins::default();
        for (kind, specs) in [(Kind::Tool, &listing.tools), (Kind::Prompt, &listing.prompts)] {
            for spec in specs {
                match Pin::of(kind, &spec.definition) {
                    Ok(pin) => {
                        pins.of_mut(kind).insert(spec.key.to_string(), pin);
                    }
                    Err(why) => found.unpinnable.push(format!(
                        "{}/{}: its definition cannot be pinned: {why}",
                        listing.name,
                        spec.key.escape_debug()
                    )),
                }
            }
        }
        if !pins.tools.is_empty() || !pins.prompts.is_empty() {
            found.pins.servers.insert(listing.name.to_string(), pins);
        }
    }
    found
}

/// What is suspicious in everything that is new or changed.
fn suspicious(changes: &[Change], found: &Pins) -> Vec<(Change, Suspicion)> {
    let mut made = Vec::new();
    for change in changes {
        let Some(pin) = found.get(&change.server, change.kind, &change.name) else {
            continue;
        };
        // Tools of one server may speak of each other.
        let own = found.servers.get(&change.server).map(|server| &server.tools);
        let others: BTreeSet<&str> = found
            .servers
            .values()
            .flat_map(|server| server.tools.keys())
            .filter(|name| own.is_none_or(|own| !own.contains_key(*name)))
            .map(String::as_str)
            .collect();
        let others: Vec<&str> = others.into_iter().collect();
        let seen = suspicions(change.kind, pin, &others);
        made.extend(seen.into_iter().map(|suspicion| (change.clone(), suspicion)));
    }
    made
}

/// A reader sees the old file or the new one, never half of one.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let failed = |e: std::io::Error| {
        // Nothing to be done if it is not there.
        let _ = std::fs::remove_file(&temporary);
        Failure::other(&format!("cannot write {}", path.display()), e)
    };
    std::fs::write(&temporary, text).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

impl Report {
    fn json(&self, found: &Found, open: usize) -> serde_json::Value {
        let change = |change: &Change| {
            let mut made = json!({
                "server": change.server, "kind": change.kind.as_str(), "name": change.name, "change": change.what.as_str(),
            });
            if let What::Changed(diff) = &change.what {
                made["diff"] = diff.lines().collect();
            }
            made
        };
        let suspicion = |(change, found): &(Change, Suspicion)| {
            json!({
                "server": change.server, "kind": change.kind.as_str(), "name": change.name,
                "rule": found.rule, "pointer": found.pointer, "shown": found.shown,
            })
        };
        json!({
            "file": self.file.display().to_string(),
            "written": self.written,
            "items": self.pinned,
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
            "open": open,
            "suspicions": self.suspicions.iter().map(suspicion).collect::<Vec<_>>(),
            "unavailable": found.unavailable.iter().map(|(server, why)| json!({"server": server, "reason": why}))
                .collect::<Vec<_>>(),
            "unpinnable": found.unpinnable,
        })
    }

    fn text(&self, found: &Found, open: usize, first: bool) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        if !first {
            for change in &self.changes {
                let _ = writeln!(out, "{:<8} {}", change.what.as_str(), place(change));
                if let What::Changed(diff) = &change.what {
                    diff.lines().for_each(|line| {
                        let _ = writeln!(out, "    {line}");
                    });
                }
            }
        }
        for (change, suspicion) in &self.suspicions {
            let _ = writeln!(
                out,
                "SUSPICIOUS {} {}: {} ({})\n    {}",
                place(change),
                suspicion.pointer,
                suspicion.what,
                suspicion.rule,
                suspicion.shown
            );
        }
        for (server, why) in &found.unavailable {
            let _ = writeln!(out, "NOT LOOKED AT {server}: {}", why.escape_debug());
        }
        for line in &found.unpinnable {
            let _ = writeln!(out, "NOT PINNED {line}");
        }
        let file = self.file.display();
        let _ = match (self.written, open) {
            (true, 0) => writeln!(out, "{file}: written, {} tools and prompts", self.pinned),
            (true, open) => writeln!(out, "{file}: written; {open} changes are not accepted"),
            (false, 0) => writeln!(out, "{file}: {} tools and prompts, all as locked", self.pinned),
            (false, open) => writeln!(
                out,
                "{file}: {open} changes. Look at them, then accept with `ferromcp lock --accept [SERVER|SERVER/TOOL ...]`"
            ),
        };
        out
    }
}

fn place(change: &Change) -> String {
    let kind = if change.kind == Kind::Prompt {
        " (prompt)"
    } else {
        ""
    };
    format!("{}/{}{kind}", change.server, change.name.escape_debug())
}
