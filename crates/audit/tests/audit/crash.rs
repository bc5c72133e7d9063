//! Random histories with crashes, against a model: what was acknowledged as durable is never lost.

use std::fs;
use std::sync::Arc;

use ferromcp_audit::{Fault, NotRecorded};
use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::sample::Index;

use crate::support::{
    Control, Faulty, HandClock, call, calls, check, config, crash, entries, filled, good, kinds, open,
    segments,
};

#[derive(Clone, Debug)]
enum Step {
    /// Records so many calls.
    Record(u64),
    /// Waits until all are durable.
    Flush,
    /// Time passes: commits, checkpoints, rotation.
    Pass(u64),
    /// Closes and opens again.
    Reopen,
    /// Only so much of what was not durable is there afterwards.
    Crash(Index),
    /// Syncs fail from now on, or work again.
    Broken(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..40u64).prop_map(Step::Record),
        2 => Just(Step::Flush),
        1 => (1..100_000u64).prop_map(Step::Pass),
        1 => Just(Step::Reopen),
        2 => any::<Index>().prop_map(Step::Crash),
        1 => any::<bool>().prop_map(Step::Broken),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost(steps in vec(steps(), 1..25)) {
        let root = tempfile::tempdir().unwrap();
        let mut lives = 0;
        let mut dir = root.path().join("0");
        let clock = Arc::new(HandClock::default());
        let start = |dir: &std::path::Path| {
            let control = Arc::new(Control::default());
            let mut config = config(dir);
            config.storage = Some(Faulty::new(dir, &control));
            config.clock = clock.clone();
            config.limits.segment_bytes = 4096;
            config.limits.checkpoint_records = 7;
            let (audit, writer) = open(config);
            (control, audit, writer)
        };
        let (mut control, mut audit, mut writer) = start(&dir);
        let (mut next, mut acknowledged) = (0u64, 0u64);
        for step in steps {
            match step {
                Step::Record(count) => {
                    for number in next..next + count {
                        prop_assert!(audit.record(&call(&number.to_string())).is_ok());
                    }
                    next += count;
                }
                Step::Flush => {
                    if audit.flush().wait().is_ok() {
                        acknowledged = next;
                    }
                }
                Step::Pass(seconds) => clock.advance(std::time::Duration::from_secs(seconds)),
                Step::Broken(broken) => {
                    control.fail_sync.store(broken, std::sync::atomic::Ordering::SeqCst);
                }
                Step::Reopen => {
                    control.fail_sync.store(false, std::sync::atomic::Ordering::SeqCst);
                    writer.close().unwrap();
                    prop_assert_eq!(audit.record(&call("0")), Err(NotRecorded::Closed));
                    acknowledged = next;
                    prop_assert!(good(&dir).closed);
                    (control, audit, writer) = start(&dir);
                }
                Step::Crash(keep) => {
                    // Bring the writer to rest first, so that the copy is one moment of the disk.
                    let quiet = audit.flush().wait().is_ok();
                    if quiet {
                        acknowledged = next;
                    }
                    lives += 1;
                    let new = root.path().join(lives.to_string());
                    crash(&dir, &control, &new, |durable, length| {
                        durable + keep.index((length - durable) as usize + 1) as u64
                    });
                    drop(writer);
                    dir = new;
                    (control, audit, writer) = start(&dir);
                    let found = calls(&dir);
                    prop_assert!(found.len() as u64 >= acknowledged, "{} of {}", found.len(), acknowledged);
                    prop_assert_eq!(&found, &(0..found.len() as u64).collect::<Vec<_>>());
                    next = found.len() as u64;
                    acknowledged = next;
                    prop_assert!(kinds(&dir).contains(&"recovery".to_owned()));
                    good(&dir);
                }
            }
        }
        control.fail_sync.store(false, std::sync::atomic::Ordering::SeqCst);
        writer.close().unwrap();
        prop_assert!(good(&dir).closed);
        prop_assert_eq!(calls(&dir), (0..next).collect::<Vec<_>>());
        let seqs: Vec<u64> = entries(&dir).iter().map(|entry| entry.seq).collect();
        prop_assert_eq!(&seqs, &(1..=seqs.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn a_torn_end_is_kept_aside_and_reported_at_whatever_length() {
    let dir = tempfile::tempdir().unwrap();
    let control = Arc::new(Control::default());
    let mut config = config(dir.path());
    config.storage = Some(Faulty::new(dir.path(), &control));
    let (audit, writer) = open(config);
    control.fail_sync.store(true, std::sync::atomic::Ordering::SeqCst);
    audit.record(&call("0")).unwrap();
    audit.record(&call("1")).unwrap();
    assert!(audit.flush().wait().is_err());
    let name = segments(dir.path()).remove(0);
    let (durable, length) = control.lengths()[&name];
    let whole = fs::read(dir.path().join(&name)).unwrap();
    let first_end = durable
        + 1
        + whole[durable as usize..]
            .iter()
            .position(|b| *b == b'\n')
            .unwrap() as u64;
    let ends = [
        durable + 1,
        first_end - 1,
        first_end,
        first_end + 1,
        length - 1,
        length,
    ];
    for keep in (durable..length).step_by(61).chain(ends) {
        let copy = tempfile::tempdir().unwrap();
        crash(dir.path(), &control, copy.path(), |_, _| keep);
        let torn = if keep < first_end {
            keep - durable
        } else if keep < length {
            keep - first_end
        } else {
            0
        };
        let fault = check(copy.path()).first_bad.map(|bad| bad.fault);
        assert_eq!(fault, (torn > 0).then_some(Fault::Torn), "{keep}");
        filled(copy.path(), 5..6, |_| {});
        assert!(good(copy.path()).closed);
        let entries = entries(copy.path());
        let marker = entries.iter().find(|entry| entry.kind == "recovery").unwrap();
        assert_eq!(marker.count, torn);
        let sides: Vec<_> = fs::read_dir(copy.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("torn-"))
            .collect();
        assert_eq!(sides.len(), usize::from(torn > 0));
        if let Some(side) = sides.first() {
            let end = keep as usize;
            assert_eq!(fs::read(side).unwrap(), whole[end - torn as usize..end]);
        }
    }
    drop(writer);
}

/// A crash may leave zeros or old blocks behind what was durable, and not only a short file.
#[test]
fn rubbish_behind_the_durable_part_is_cut_too() {
    let dir = tempfile::tempdir().unwrap();
    let control = Arc::new(Control::default());
    let mut config = config(dir.path());
    config.storage = Some(Faulty::new(dir.path(), &control));
    let (audit, writer) = open(config);
    audit.record(&call("0")).unwrap();
    audit.flush().wait().unwrap();
    let copy = tempfile::tempdir().unwrap();
    crash(dir.path(), &control, copy.path(), |durable, _| durable);
    drop(writer);
    let path = copy.path().join(&segments(copy.path())[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 5000]);
    bytes.extend_from_slice(b"\nold block\n\n");
    fs::write(&path, bytes).unwrap();
    filled(copy.path(), 1..3, |_| {});
    good(copy.path());
    assert_eq!(calls(copy.path()), [0, 1, 2]);
}
