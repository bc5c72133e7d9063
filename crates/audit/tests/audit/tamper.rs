//! Every kind of change, at random places, with the first bad record named.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use ferromcp_audit::{Fault, VerifyOptions, verify};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use ring::digest::{SHA256, digest};

use crate::support::{check, filled, good, options, segments};

/// All lines of a log, each with its file.
fn lines(dir: &Path) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for name in segments(dir) {
        let text = fs::read_to_string(dir.join(&name)).unwrap();
        lines.extend(text.lines().map(|line| (name.clone(), line.to_owned())));
    }
    lines
}

fn store(dir: &Path, lines: &[(String, String)]) {
    for name in segments(dir) {
        let text: String = lines
            .iter()
            .filter(|(file, _)| *file == name)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        fs::write(dir.join(name), text).unwrap();
    }
}

/// Name and line number of the record at this place of the changed log; behind the last one too.
fn place(lines: &[(String, String)], index: usize) -> (String, u64) {
    let file = &lines[index.min(lines.len() - 1)].0;
    let before = lines[..index].iter().filter(|(name, _)| name == file).count();
    (file.clone(), before as u64 + 1)
}

/// A fresh copy of one log, made once for all cases: making it waits for the disk.
fn log() -> (tempfile::TempDir, Vec<(String, String)>) {
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path(), 0..120, |config| {
            config.limits.segment_bytes = 10_000;
            config.limits.checkpoint_records = 16;
        });
        good(dir.path());
        let names = segments(dir.path()).into_iter().chain(["head.json".to_owned()]);
        names
            .map(|name| (name.clone(), fs::read(dir.path().join(name)).unwrap()))
            .collect()
    });
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let lines = lines(dir.path());
    assert!(segments(dir.path()).len() > 3);
    (dir, lines)
}

fn hashed(body: &str) -> String {
    let hash = digest(&SHA256, body.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{body},\"hash\":\"{hex}\"}}")
}

fn body(line: &str) -> &str {
    &line[..line.len() - 75]
}

fn member<'a>(line: &'a str, key: &str) -> &'a str {
    let (_, rest) = line.rsplit_once(&format!("\"{key}\":\"")).unwrap();
    &rest[..64]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_found(byte in any::<Index>(), bit in 0..7u8) {
        let (dir, lines) = log();
        for name in segments(dir.path()) {
            let path = dir.path().join(&name);
            let original = fs::read(&path).unwrap();
            let mut text = original.clone();
            let index = byte.index(text.len());
            text[index] ^= 1 << bit;
            fs::write(&path, &text).unwrap();
            let line = original[..index].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let bad = check(dir.path()).first_bad.unwrap();
            prop_assert_eq!((bad.file.as_str(), bad.line), (name.as_str(), line));
            let seq = lines.iter().position(|(file, _)| *file == name).unwrap() as u64 + line;
            prop_assert_eq!(bad.seq, seq);
            fs::write(&path, &original).unwrap();
        }
    }

    #[test]
    fn a_removed_record_is_found(at in any::<Index>()) {
        let (dir, mut lines) = log();
        let index = at.index(lines.len());
        lines.remove(index);
        store(dir.path(), &lines);
        let bad = check(dir.path()).first_bad.unwrap();
        prop_assert_eq!(bad.seq, index as u64 + 1);
        prop_assert!(matches!(bad.fault, Fault::Missing { .. }), "{:?}", bad);
        prop_assert_eq!((bad.file, bad.line), place(&lines, index));
    }

    #[test]
    fn swapped_records_are_found(one in any::<Index>(), other in any::<Index>()) {
        let (dir, mut lines) = log();
        let (one, other) = (one.index(lines.len()), other.index(lines.len()));
        let (one, other) = (one.min(other), one.max(other));
        if one != other {
            let kept = lines[one].1.clone();
            lines[one].1 = lines[other].1.clone();
            lines[other].1 = kept;
            store(dir.path(), &lines);
            let bad = check(dir.path()).first_bad.unwrap();
            prop_assert_eq!(bad.seq, one as u64 + 1);
            prop_assert_eq!((bad.file, bad.line), place(&lines, one));
        }
    }

    #[test]
    fn a_repeated_record_is_found(from in any::<Index>(), to in any::<Index>()) {
        let (dir, mut lines) = log();
        let (from, to) = (from.index(lines.len()), to.index(lines.len()));
        let copy = lines[from].1.clone();
        let file = lines[to].0.clone();
        lines.insert(to, (file, copy));
        store(dir.path(), &lines);
        let bad = check(dir.path()).first_bad.unwrap();
        // Put right before or behind itself, nobody can tell the copy from the original.
        let index = if from == to { to + 1 } else { to };
        prop_assert_eq!((bad.file, bad.line), place(&lines, index), "{:?}", bad.fault);
    }

    #[test]
    fn an_inserted_record_with_hashes_that_fit_is_found(at in any::<Index>()) {
        let (dir, mut lines) = log();
        let index = 1 + at.index(lines.len() - 1);
        let (file, line) = lines[index].clone();
        if !line.contains("\"checkpoint\"") {
            // A record for the same place, chained to the one before.
            let forged = hashed(&body(&line).replace("\"acme\"", "\"evil\"").replace("\"audit\"", "\"evil\""));
            lines.insert(index, (file, forged));
            store(dir.path(), &lines);
            let bad = check(dir.path()).first_bad.unwrap();
            prop_assert_eq!((bad.file, bad.line), place(&lines, index));
            prop_assert_eq!((bad.seq, bad.fault), (index as u64 + 1, Fault::Inserted));
        }
    }

    #[test]
    fn a_replaced_record_with_a_hash_that_fits_is_found(at in any::<Index>()) {
        let (dir, mut lines) = log();
        let index = at.index(lines.len());
        let line = lines[index].1.clone();
        if line.contains("\"call\"") {
            lines[index].1 = hashed(&body(&line).replace("\"acme\"", "\"evil\""));
            store(dir.path(), &lines);
            let bad = check(dir.path()).first_bad.unwrap();
            prop_assert_eq!((bad.file, bad.line), place(&lines, index));
            prop_assert_eq!((bad.seq, bad.fault), (index as u64 + 1, Fault::Unlinked));
        }
    }

    #[test]
    fn a_chain_rewritten_to_its_end_breaks_at_the_next_checkpoint(at in any::<Index>()) {
        let (dir, mut lines) = log();
        let index = at.index(lines.len() - 1);
        let good = lines[..index].iter().rposition(|(_, line)| line.contains("\"checkpoint\"")).map_or(0, |at| at + 1);
        let next = index + lines[index..].iter().position(|(_, line)| line.contains("\"checkpoint\"")).unwrap();
        let mut prev = member(&lines[index].1, "prev").to_owned();
        for (_, line) in &mut lines[index..] {
            let old = member(line, "prev").to_owned();
            *line = hashed(&body(line).replace("\"acme\"", "\"evil\"").replace("\"audit\"", "\"evil\"").replace(&old, &prev));
            prev = member(line, "hash").to_owned();
        }
        if next > index {
            store(dir.path(), &lines);
            let bad = check(dir.path()).first_bad.unwrap();
            prop_assert_eq!((bad.file, bad.line), place(&lines, next));
            prop_assert_eq!(bad.fault, Fault::Signature { good: good as u64 });
        }
    }

    #[test]
    fn a_cut_at_any_byte_is_found(byte in any::<Index>()) {
        let (dir, lines) = log();
        let name = segments(dir.path()).pop().unwrap();
        let path = dir.path().join(&name);
        let text = fs::read(&path).unwrap();
        let length = byte.index(text.len());
        fs::write(&path, &text[..length]).unwrap();
        let bad = check(dir.path()).first_bad.unwrap();
        let whole = text[..length].iter().filter(|byte| **byte == b'\n').count();
        let torn = length > 0 && text[length - 1] != b'\n';
        let first = lines.iter().position(|(file, _)| *file == name).unwrap();
        prop_assert_eq!(bad.seq, (first + whole) as u64 + 1);
        let fault = if torn { Fault::Torn } else { Fault::Missing { found: None } };
        prop_assert_eq!(bad.fault, fault);
        if length > 0 {
            prop_assert_eq!((bad.file, bad.line), (name, whole as u64 + 1));
        }
    }
}

#[test]
fn segments_that_are_removed_renamed_or_added_are_found() {
    let (dir, lines) = log();
    let names = segments(dir.path());
    let first_of = |name: &str| lines.iter().position(|(file, _)| file == name).unwrap() as u64 + 1;
    for (index, name) in names.iter().enumerate() {
        let (path, away) = (dir.path().join(name), dir.path().join("away"));
        fs::rename(&path, &away).unwrap();
        let bad = check(dir.path()).first_bad.unwrap();
        assert_eq!(bad.seq, first_of(name), "{bad}");
        if let Some(next) = names.get(index + 1) {
            assert_eq!((&bad.file, bad.line), (next, 1));
        }
        fs::rename(&away, &path).unwrap();
    }
    let copy = dir.path().join("audit-00000000000000009999.jsonl");
    fs::copy(dir.path().join(&names[1]), &copy).unwrap();
    let bad = check(dir.path()).first_bad.unwrap();
    assert_eq!(
        (bad.file.as_str(), bad.line),
        ("audit-00000000000000009999.jsonl", 1)
    );
    fs::remove_file(copy).unwrap();
    good(dir.path());
}

#[test]
fn a_head_that_is_changed_removed_or_of_another_log_is_found() {
    let (dir, _) = log();
    let head = dir.path().join("head.json");
    let kept = fs::read(&head).unwrap();
    let fault = |dir: &Path| check(dir).first_bad.map(|bad| bad.fault);
    fs::remove_file(&head).unwrap();
    assert_eq!(fault(dir.path()), Some(Fault::HeadMissing));
    fs::write(&head, b"{}\n").unwrap();
    assert_eq!(fault(dir.path()), Some(Fault::HeadForm));
    let text = String::from_utf8(kept.clone()).unwrap();
    fs::write(&head, text.replace("\"time\":\"2026", "\"time\":\"2027")).unwrap();
    assert_eq!(fault(dir.path()), Some(Fault::HeadSignature));
    let other = tempfile::tempdir().unwrap();
    filled(other.path(), 0..3, |_| {});
    fs::copy(other.path().join("head.json"), &head).unwrap();
    assert_eq!(fault(dir.path()), Some(Fault::NotAsSigned));
    fs::write(&head, kept).unwrap();
    good(dir.path());
}

#[test]
fn half_a_line_is_a_fault_unless_the_log_is_being_written() {
    let (dir, _) = log();
    let path = dir.path().join(segments(dir.path()).pop().unwrap());
    let mut text = fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"seq\"");
    fs::write(&path, text).unwrap();
    assert_eq!(check(dir.path()).first_bad.unwrap().fault, Fault::Torn);
    let live = VerifyOptions {
        live: true,
        ..options()
    };
    assert_eq!(verify(dir.path(), &live).unwrap().first_bad, None);
    assert!(verify(&dir.path().join("nowhere"), &live).is_err());
}
