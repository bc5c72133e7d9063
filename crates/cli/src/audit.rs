//! `ferromcp audit`: reading and verifying a log, whether or not a server is writing it.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ferromcp_audit::{
    Anchor, Decision, Entries, Filter, PublicKey, ReadError, Report, VerifyOptions, query, tail, verify,
};
use serde_json::json;

use crate::args::{Audit, AuditDecision, AuditQuery, AuditVerify};
use crate::exit::Failure;

pub(crate) fn run(args: &Audit) -> Result<(), Failure> {
    match args {
        Audit::Tail(args) => print(tail(&args.directory, args.lines)),
        Audit::Query(args) => print(query(&args.directory, filter(args)?)),
        Audit::Verify(args) => verified(args),
    }
}

fn print(entries: Result<Entries, ReadError>) -> Result<(), Failure> {
    let entries = entries.map_err(|e| Failure::other("cannot read the audit log", e))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for entry in entries {
        let entry = entry.map_err(|e| Failure::other("cannot read the audit log", e))?;
        let line = serde_json::to_string(&entry).map_err(|e| Failure::other("cannot print a record", e))?;
        match writeln!(out, "{line}") {
            // A reader such as `head` has enough.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|e| Failure::other("cannot print", e))?,
        }
    }
    match out.flush() {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::other("cannot print", e)),
        _ => Ok(()),
    }
}

fn filter(args: &AuditQuery) -> Result<Filter, Failure> {
    let time = |option: &str, text: &Option<String>| {
        text.as_deref()
            .map(|text| moment(text, SystemTime::now()))
            .transpose()
            .map_err(|e| Failure::Usage(format!("{option}: {e}")))
    };
    Ok(Filter {
        kind: args.kind.clone(),
        tenant: args.tenant.clone(),
        principal: args.principal.clone(),
        tool: args.tool.clone(),
        outcome: args.outcome.clone(),
        rule: args.rule.clone(),
        decision: args.decision.map(|decision| match decision {
            AuditDecision::Allow => Decision::Allow,
            AuditDecision::Deny => Decision::Deny,
            AuditDecision::Flag => Decision::Flag,
        }),
        from: time("--since", &args.since)?,
        until: time("--until", &args.until)?,
        limit: args.limit,
    })
}

/// A time as RFC 3339 in UTC, or as how long ago.
fn moment(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    if let Some(ago) = ago(text) {
        return now
            .checked_sub(ago)
            .ok_or_else(|| format!("`{text}` is too long ago"));
    }
    humantime::parse_rfc3339(text).map_err(|e| {
        format!("`{text}` is neither a time (2026-01-31T12:00:00Z) nor a duration (10m, 24h, 7d): {e}")
    })
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs)
}

fn verified(args: &AuditVerify) -> Result<(), Failure> {
    let options = VerifyOptions {
        keys: keys(args)?,
        anchor: args
            .anchor
            .as_deref()
            .map(|text| {
                anchor(text).ok_or_else(|| Failure::Usage(format!("--anchor {text}: expected SEQ:HASH")))
            })
            .transpose()?,
        live: args.live,
    };
    let report =
        verify(&args.directory, &options).map_err(|e| Failure::other("cannot read the audit log", e))?;
    if args.json {
        println!("{}", as_json(&report));
    } else {
        show(&report);
    }
    if report.first_bad.is_some() {
        return Err(Failure::Silent);
    }
    Ok(())
}

fn keys(args: &AuditVerify) -> Result<Vec<PublicKey>, Failure> {
    let own = [args.directory.join("audit.pub")];
    let files: &[PathBuf] = if args.key.is_empty() { &own } else { &args.key };
    files.iter().map(|file| key(file)).collect()
}

fn key(file: &Path) -> Result<PublicKey, Failure> {
    let bytes = std::fs::read(file).map_err(|e| {
        Failure::Usage(format!(
            "{}: {e}; give the public key of the log with --key FILE",
            file.display()
        ))
    })?;
    PublicKey::parse(&bytes).map_err(|e| Failure::Usage(format!("{}: {e}", file.display())))
}

fn anchor(text: &str) -> Option<Anchor> {
    let (seq, hash) = text.split_once(':')?;
    let mut bytes = [0; 32];
    if hash.len() != 64 || !hash.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hash[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Anchor {
        seq: seq.parse().ok()?,
        hash: bytes,
    })
}

fn last(report: &Report) -> Option<String> {
    let last = report.last?;
    let hash: String = last.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{}:{hash}", last.seq))
}

fn as_json(report: &Report) -> serde_json::Value {
    json!({
        "ok": report.first_bad.is_none(),
        "segments": report.segments,
        "records": report.records,
        "checkpoints": report.checkpoints,
        "first_seq": report.first_seq,
        "last": last(report),
        "signed_through": report.signed_through,
        "unsigned": report.unsigned,
        "closed": report.closed,
        "first_bad": report.first_bad.as_ref().map(|bad| json!({
            "file": bad.file,
            "line": bad.line,
            "seq": bad.seq,
            "message": bad.to_string(),
        })),
    })
}

fn show(report: &Report) {
    println!(
        "{} records in {} segments are in order, {} signed checkpoints",
        report.records, report.segments, report.checkpoints
    );
    if report.unsigned > 0 {
        println!(
            "{} records after {} are chained but not signed yet",
            report.unsigned, report.signed_through
        );
    }
    if !report.closed {
        println!("the log was not closed: its server is running, or ended without a close");
    }
    if let Some(last) = last(report) {
        println!("last {last}");
    }
    if let Some(bad) = &report.first_bad {
        println!("BAD: {bad}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(moment("10m", now), Ok(now - Duration::from_secs(600)));
        assert_eq!(
            moment("1970-01-01T00:01:00Z", now),
            Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(60))
        );
        for bad in [
            "",
            "m",
            "10",
            "-1m",
            "1e3m",
            "yesterday",
            "99999999999999999999d",
            "9é",
        ] {
            assert!(moment(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn anchors_are_read_or_refused() {
        let hash = "ab".repeat(32);
        assert_eq!(
            anchor(&format!("7:{hash}")).map(|a| (a.seq, a.hash[0])),
            Some((7, 0xab))
        );
        for bad in [
            "7",
            "7:",
            ":ab",
            &format!("x:{hash}"),
            &format!("7:{}", &hash[1..]),
            &format!("7:{}zz", &hash[2..]),
        ] {
            assert!(anchor(bad).is_none(), "{bad}");
        }
    }
}
