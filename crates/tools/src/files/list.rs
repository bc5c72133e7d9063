//! `list_dir`.

use std::fmt::Write as _;

use ferromcp_core::Payload;
use ferromcp_protocol::json;
use serde::{Deserialize, Serialize};

use super::Files;
use super::jail::Place;
use super::job::Job;
use super::refusal::{Refusal, one_line};
use super::time::rfc3339;
use super::walk::{Kind, Walk};

/// Deepest listing.
pub(super) const MAX_DEPTH: usize = 32;
/// Most entries of one answer.
pub(super) const MAX_LIMIT: usize = 10_000;
pub(super) const DEFAULT_LIMIT: usize = 1_000;
/// Most entries looked at to find the first ones in order.
const MAX_READ: usize = 200_000;
/// Paths of one answer together, in bytes.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    #[serde(default)]
    path: String,
    depth: Option<usize>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Listed {
    path: String,
    entries: Vec<Item>,
    truncated: bool,
    unreadable: u64,
}

#[derive(Debug, Serialize)]
struct Item {
    name: String,
    path: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    /// The name is not UTF-8: shown with replacement characters, and not to be addressed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lossy: bool,
}

pub(super) fn run(files: &Files, args: &Args, job: &Job) -> Result<Payload, Refusal> {
    let listed = match files.jail.locate(&args.path)? {
        Place::Roots => roots(files),
        Place::In(spot) => {
            let failed = |e: std::io::Error| {
                if e.kind() == std::io::ErrorKind::NotADirectory
                    && files.jail.metadata(&spot).is_ok_and(|m| m.is_file())
                {
                    let shown = super::refusal::quoted(&spot.shown);
                    return Refusal::new(format!(
                        "cannot list {shown}: it is a file; read_file shows what is in it"
                    ));
                }
                Refusal::io("list", &spot.shown, &e)
            };
            let dir = files.jail.open_dir(&spot).map_err(failed)?;
            let depth = args.depth.unwrap_or(1).clamp(1, MAX_DEPTH);
            let walk = Walk::new(job, dir, spot.shown.clone(), depth, MAX_READ, true).map_err(failed)?;
            let limit = args.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
            tree(spot.shown.clone(), walk, limit, job)?
        }
    };
    answer(&listed)
}

fn roots(files: &Files) -> Listed {
    let entries = files.jail.roots().map(|spot| Item {
        name: spot.shown.clone(),
        kind: Kind::Directory.as_str(),
        size: None,
        modified: files
            .jail
            .metadata(&spot)
            .ok()
            .and_then(|m| rfc3339(m.modified().ok()?.into_std())),
        lossy: false,
        path: spot.shown,
    });
    Listed {
        path: ".".into(),
        entries: entries.collect(),
        truncated: false,
        unreadable: 0,
    }
}

fn tree(path: String, mut walk: Walk<'_>, limit: usize, job: &Job) -> Result<Listed, Refusal> {
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut truncated = false;
    while let Some(entry) = walk.next()? {
        bytes += entry.path.len();
        if entries.len() == limit || bytes > MAX_BYTES {
            truncated = true;
            break;
        }
        // Gone since its directory was read, or not ours to look at: it is listed without facts.
        let metadata = walk.dir().and_then(|dir| dir.symlink_metadata(&entry.name).ok());
        let modified = metadata.as_ref().and_then(|m| m.modified().ok());
        entries.push(Item {
            lossy: entry.name.to_str().is_none(),
            name: entry.name.to_string_lossy().into_owned(),
            path: entry.path,
            kind: entry.kind.as_str(),
            size: metadata.filter(|_| entry.kind == Kind::File).map(|m| m.len()),
            modified: modified.and_then(|t| rfc3339(t.into_std())),
        });
        job.report(entries.len() as u64, || format!("{} entries", entries.len()));
    }
    Ok(Listed {
        path,
        entries,
        truncated: truncated || walk.over_budget,
        unreadable: walk.unreadable,
    })
}

fn answer(listed: &Listed) -> Result<Payload, Refusal> {
    let mut text = String::with_capacity(64 * listed.entries.len() + 64);
    let count = listed.entries.len();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}: {count} entries", one_line(&listed.path));
    for item in &listed.entries {
        let size = item.size.map(|s| s.to_string()).unwrap_or_default();
        let modified = item.modified.as_deref().unwrap_or("-");
        let path = one_line(&item.path);
        let lossy = if item.lossy { " [name is not UTF-8]" } else { "" };
        let _ = writeln!(text, "{:<9} {size:>12} {modified:<20} {path}{lossy}", item.kind);
    }
    if listed.truncated {
        text.push_str("[cut: there are more entries; raise \"limit\" or list a directory further down]\n");
    }
    if listed.unreadable > 0 {
        let _ = writeln!(text, "[{} directories could not be read]", listed.unreadable);
    }
    structured(&text, listed)
}

/// A result as text and as data.
pub(super) fn structured(text: &str, data: &impl Serialize) -> Result<Payload, Refusal> {
    let data = serde_json::to_string(data)
        .map_err(|e| Refusal::new(format!("the result cannot be written as JSON: {e}")))?;
    let content = format!(r#"[{{"type":"text","text":{}}}]"#, json::quote(text));
    Ok(Payload::tool(&content, Some(&data), false, None))
}
