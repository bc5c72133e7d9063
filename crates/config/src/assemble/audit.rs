//! `audit`.

use super::transport::endpoint;
use super::{count, no_effect};
use crate::fields::{Fields, Text};
use crate::model::{Audit, AuditLog, AuditOtlp, Keep, OnError, OnFull, SignKey};
use crate::problem::{Problem, Problems};
use crate::scalar::show_size;
use crate::secret::Secret;
use crate::text::{Parsed, regular_file};

/// What only the durable log has.
const OF_THE_LOG: [&str; 7] = [
    "on_full",
    "on_error",
    "sign_key",
    "rotate",
    "keep",
    "commit_delay",
    "journal",
];

/// `admin`: there is somebody to ask for recent records.
pub(super) fn audit(mut fields: Fields, admin: bool, problems: &mut Problems) -> Audit {
    let default = Audit::default();
    if !admin && let Some(span) = fields.span("ring") {
        problems.push(
            no_effect(span, &fields.path, "ring", "nobody reads it without `admin`")
                .hint("add `admin`, or remove the key: `ferromcp audit query` reads the log"),
        );
    }
    if fields.span("file").is_none() {
        for key in OF_THE_LOG {
            if let Some(span) = fields.span(key) {
                problems.push(
                    no_effect(span, &fields.path, key, "there is no durable log without `file`")
                        .hint("add `file: DIRECTORY`"),
                );
            }
        }
    }
    let store_arguments = fields.word("arguments") == Some("store");
    if !store_arguments && let Some(span) = fields.span("max_arguments") {
        problems.push(
            no_effect(span, &fields.path, "max_arguments", "arguments are not stored")
                .hint("add `arguments: store`, or remove the key"),
        );
    }
    Audit {
        log: log(&mut fields, problems),
        store_arguments,
        redact: fields.strings("redact").unwrap_or(default.redact),
        max_arguments: count(fields.number("max_arguments"), default.max_arguments),
        ring: count(fields.number("ring"), if admin { Audit::RING } else { 0 }),
        stdout: fields.flag("stdout", false),
        otlp: fields.object("otlp").and_then(|fields| otlp(fields, problems)),
    }
}

fn otlp(mut fields: Fields, problems: &mut Problems) -> Option<AuditOtlp> {
    let mut set = AuditOtlp::new(endpoint(&mut fields, "endpoint", problems)?);
    set.interval = fields.duration("interval").unwrap_or(set.interval);
    set.timeout = fields.duration("timeout").unwrap_or(set.timeout);
    set.queue = count(fields.number("queue"), set.queue);
    Some(set)
}

fn log(fields: &mut Fields, problems: &mut Problems) -> Option<AuditLog> {
    let mut log = AuditLog::new(fields.text("file").and_then(Text::into_path)?);
    if fields.word("on_full") == Some("drop") {
        log.on_full = OnFull::Drop;
    }
    if fields.word("on_error") == Some("continue") {
        log.on_error = OnError::Continue;
    }
    log.sign_key = fields.text("sign_key").and_then(|text| sign_key(text, problems));
    if let Some(mut rotate) = fields.object("rotate") {
        log.rotate_size = rotate.number("size").unwrap_or(log.rotate_size);
        log.rotate_age = rotate.duration("age").unwrap_or(log.rotate_age);
    }
    if let Some(mut keep) = fields.object("keep") {
        log.keep = Keep {
            files: keep.number("files").and_then(|n| u32::try_from(n).ok()),
            age: keep.duration("age"),
            size: keep.number("size"),
        };
        if let (Some(size), Some(span)) = (log.keep.size, keep.span("size"))
            && size < log.rotate_size
        {
            let least = show_size(log.rotate_size);
            problems.push(
                Problem::new(
                    span,
                    "size",
                    format!(
                        "{} is less than one segment (`rotate.size`, {least})",
                        show_size(size)
                    ),
                )
                .inside(&keep.path)
                .expected(format!("at least {least}"))
                .hint("raise it, or lower `audit.rotate.size`"),
            );
        }
    }
    log.commit_delay = fields.duration("commit_delay").unwrap_or(log.commit_delay);
    log.journal = fields.flag("journal", false);
    if log.journal
        && log.on_full == OnFull::Drop
        && let Some(span) = fields.span("journal")
    {
        problems.push(
            Problem::new(span, "journal", "a journal that may lose records says nothing")
                .inside(&fields.path)
                .expected("`on_full: block`")
                .hint("remove `on_full: drop`, or the journal"),
        );
    }
    Some(log)
}

/// `${file:PATH}` brings in the key itself; everything else is the path of its file.
fn sign_key(text: Text, problems: &mut Problems) -> Option<SignKey> {
    let span = text.span;
    let content = text.spelling.contains("${file:");
    match text.parsed {
        Parsed::Text(key) => Some(SignKey::Text(Secret::new(key))),
        Parsed::TextOrPath { text, .. } if content => Some(SignKey::Text(Secret::new(text))),
        Parsed::TextOrPath { path, .. } => {
            if let Err(message) = regular_file(&path) {
                problems.push(
                    Problem::new(span, "audit.sign_key", message)
                        .expected("the path of a file that exists, or `${file:PATH}` for its content")
                        .hint("correct the path (it is relative to the config file), or remove the key: one is made at the first start"),
                );
            }
            Some(SignKey::File(path))
        }
        _ => None,
    }
}
