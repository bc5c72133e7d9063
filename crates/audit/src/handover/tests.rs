use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::Heir;
use crate::{Audit, AuditWriter, Config, Filter, Kind, PublicKey, Record, VerifyOptions, query, verify};

fn open(dir: &Path, handed: bool) -> (Audit, AuditWriter) {
    Audit::open(Config {
        handed,
        ..Config::new(Some(dir))
    })
    .unwrap()
}

fn call(id: u8, kind: Kind) -> Record<'static> {
    Record {
        request_id: [id; 16],
        tool: Some("echo"),
        ..Record::new(kind, SystemTime::now(), "rest", "ok")
    }
}

/// The other process, once it has its log.
#[derive(Clone, Default)]
struct Other(Arc<Mutex<Option<Audit>>>);

impl Heir for Other {
    fn take(&mut self, records: &[u8]) -> io::Result<()> {
        let other = self.0.lock().unwrap().clone();
        let other = other.ok_or(io::ErrorKind::BrokenPipe)?;
        let taken = other.hand_in(records).map_err(io::Error::other)?;
        taken.wait().map_err(io::Error::other)
    }
}

/// Kinds of the records, oldest first; every record is in one chain.
fn kinds(dir: &Path, key: PublicKey) -> Vec<String> {
    let options = VerifyOptions {
        keys: vec![key],
        ..VerifyOptions::default()
    };
    let report = verify(dir, &options).unwrap();
    assert!(report.first_bad.is_none(), "{:?}", report.first_bad);
    query(dir, Filter::default())
        .unwrap()
        .map(|entry| entry.unwrap().kind)
        .filter(|kind| kind != "checkpoint")
        .collect()
}

#[test]
fn a_log_changes_hands_while_a_call_runs_and_stays_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (old, keeper) = open(dir.path(), false);
    let key = keeper.public_key().unwrap();
    old.record(&call(1, Kind::Begin)).unwrap();
    let heir = Other::default();
    let held = heir.0.lock().unwrap();
    keeper.handover().let_go(Box::new(heir.clone())).unwrap();
    let (new, new_keeper) = open(dir.path(), true);
    new.record(&call(2, Kind::Call)).unwrap();
    new.flush().wait().unwrap();
    let mut held = held;
    *held = Some(new);
    drop(held);
    let ended = old.record(&call(1, Kind::Call)).unwrap();
    old.durable(ended).wait().unwrap();
    keeper.close().unwrap();
    new_keeper.close().unwrap();
    let kinds = kinds(dir.path(), key);
    assert_eq!(kinds, ["start", "begin", "start", "call", "begin", "call"]);
    // The next start finds nothing that has no end.
    let (_, keeper) = open(dir.path(), false);
    keeper.close().unwrap();
    assert!(!self::kinds(dir.path(), key).contains(&"interrupted".to_owned()));
}

#[test]
fn what_an_heir_does_not_take_is_written_after_all() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, keeper) = open(dir.path(), false);
    let key = keeper.public_key().unwrap();
    // It never opens the log.
    keeper.handover().let_go(Box::new(Other::default())).unwrap();
    let recorded = audit.record(&call(1, Kind::Call)).unwrap();
    audit.durable(recorded).wait().unwrap();
    keeper.close().unwrap();
    assert_eq!(kinds(dir.path(), key), ["start", "start", "call"]);
}

#[test]
fn a_log_that_is_taken_back_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, keeper) = open(dir.path(), false);
    let key = keeper.public_key().unwrap();
    keeper.handover().let_go(Box::new(Other::default())).unwrap();
    assert!(keeper.handover().let_go(Box::new(Other::default())).is_err());
    keeper.handover().take_back().unwrap();
    assert!(Audit::open(Config::new(Some(dir.path()))).is_err());
    audit.record(&call(1, Kind::Call)).unwrap();
    keeper.close().unwrap();
    assert_eq!(kinds(dir.path(), key), ["start", "start", "call"]);
}

#[test]
fn what_is_no_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (audit, _keeper) = open(dir.path(), false);
    for bytes in [&b""[..], b"\x04\0\0\0", &[0xff; 200]] {
        assert!(audit.hand_in(bytes).is_err());
    }
}
