//! Rotation, retention, keys, locks.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_audit::{Anchor, Audit, OpenError, PublicKey, SigningKey, VerifyOptions, verify};

use crate::support::{
    HandClock, call, calls, check, config, entries, filled, good, kinds, open, options, public, segments,
};

#[test]
fn segments_rotate_by_size_and_end_with_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..500, |config| config.limits.segment_bytes = 10_000);
    let names = segments(dir.path());
    assert!(names.len() > 10);
    for name in &names {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text.len() < 13_000, "{}", text.len());
        assert!(text.lines().last().unwrap().contains("\"kind\":\"checkpoint\""));
        let first: u64 = name[6..26].parse().unwrap();
        assert!(text.starts_with(&format!("{{\"seq\":{first},")));
    }
    assert_eq!(good(dir.path()).segments, names.len());
    assert_eq!(calls(dir.path()), (0..500).collect::<Vec<_>>());
}

#[test]
fn segments_rotate_by_age_and_no_jump_of_the_wall_clock_counts() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let mut config = config(dir.path());
    config.clock = clock.clone();
    config.limits.keep_age = Some(Duration::from_secs(86_400 * 30));
    let (audit, writer) = open(config);
    audit.record(&call("1")).unwrap();
    clock.jump_wall(Duration::from_secs(86_400 * 365));
    audit.flush().wait().unwrap();
    assert_eq!(segments(dir.path()).len(), 1);
    clock.advance(Duration::from_secs(86_401));
    audit.flush().wait().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    // Without records, the new one is not closed in turn.
    clock.advance(Duration::from_secs(86_401));
    audit.flush().wait().unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    writer.close().unwrap();
    good(dir.path());
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    clock.jump_wall(Duration::from_secs(86_400 * 365));
    filled(dir.path(), 0..10, |config| config.clock = clock);
    filled(dir.path(), 10..20, |_| {});
    good(dir.path());
    let entries = entries(dir.path());
    assert!(
        entries
            .iter()
            .zip(&entries[1..])
            .any(|(one, next)| next.time < one.time)
    );
    assert_eq!(calls(dir.path()), (0..20).collect::<Vec<_>>());
}

#[test]
fn checkpoints_come_by_count_and_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let mut config = config(dir.path());
    config.clock = clock.clone();
    config.limits.checkpoint_records = 10;
    let (audit, writer) = open(config);
    for _ in 0..25 {
        audit.record(&call("1")).unwrap();
    }
    audit.flush().wait().unwrap();
    let report = good(dir.path());
    assert_eq!(
        (report.checkpoints, report.unsigned, report.closed),
        (3, 5, false)
    );
    clock.advance(Duration::from_secs(11));
    audit.flush().wait().unwrap();
    assert_eq!(good(dir.path()).unsigned, 0);
    writer.close().unwrap();
}

#[test]
fn retention_keeps_the_chain_verifiable() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..500, |config| {
        config.limits.segment_bytes = 10_000;
        config.limits.keep_segments = Some(3);
    });
    let names = segments(dir.path());
    assert_eq!(names.len(), 3);
    let report = good(dir.path());
    assert!(report.first_seq > 300 && report.closed);
    assert!(kinds(dir.path()).iter().any(|kind| kind == "retention"));
    // Going on later, and again less.
    filled(dir.path(), 500..510, |config| {
        config.limits.segment_bytes = 10_000;
        config.limits.keep_bytes = Some(4000);
    });
    assert_eq!(segments(dir.path()).len(), 1);
    good(dir.path());
    // What retention did not do is found.
    filled(dir.path(), 510..700, |config| {
        config.limits.segment_bytes = 10_000;
    });
    let names = segments(dir.path());
    let missing: u64 = names[0][6..26].parse().unwrap();
    fs::remove_file(dir.path().join(&names[0])).unwrap();
    let bad = check(dir.path()).first_bad.unwrap();
    assert_eq!(
        (bad.file.as_str(), bad.line, bad.seq),
        (names[1].as_str(), 1, missing)
    );
}

#[test]
fn segments_go_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(HandClock::default());
    let mut config = config(dir.path());
    config.clock = clock.clone();
    config.limits.segment_age = Duration::from_secs(60);
    config.limits.keep_age = Some(Duration::from_secs(600));
    let (audit, writer) = open(config);
    for number in 0..30u64 {
        audit.record(&call(&number.to_string())).unwrap();
        clock.advance(Duration::from_secs(61));
        audit.flush().wait().unwrap();
    }
    writer.close().unwrap();
    good(dir.path());
    let calls = calls(dir.path());
    assert!((8..=12).contains(&calls.len()), "{calls:?}");
    assert_eq!(calls.last(), Some(&29));
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (_audit, writer) = open(config(dir.path()));
    let error = Audit::open(config(dir.path())).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    writer.close().unwrap();
    open(config(dir.path())).1.close().unwrap();
    good(dir.path());
}

#[test]
fn a_key_is_made_and_kept_where_none_is_given() {
    let dir = tempfile::tempdir().unwrap();
    for numbers in [0..5, 5..9] {
        filled(dir.path(), numbers, |config| config.sign_key = None);
    }
    let public = PublicKey::parse(&fs::read(dir.path().join("audit.pub")).unwrap()).unwrap();
    let secret = dir.path().join("sign.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let options = VerifyOptions {
        keys: vec![public],
        ..VerifyOptions::default()
    };
    assert_eq!(verify(dir.path(), &options).unwrap().first_bad, None);
    fs::write(&secret, "no key").unwrap();
    let mut config = config(dir.path());
    config.sign_key = None;
    assert!(matches!(Audit::open(config), Err(OpenError::Key { .. })));
}

#[test]
fn a_changed_key_needs_both_to_verify() {
    let dir = tempfile::tempdir().unwrap();
    let other = || SigningKey::parse(&[9; 32]).unwrap();
    filled(dir.path(), 0..5, |_| {});
    filled(dir.path(), 5..9, |config| config.sign_key = Some(other()));
    let mut options = options();
    let bad = verify(dir.path(), &options).unwrap().first_bad.unwrap();
    assert!(bad.to_string().contains("by a key that was not given"), "{bad}");
    options.keys.push(other().public_key());
    assert_eq!(verify(dir.path(), &options).unwrap().first_bad, None);
    options.keys.clear();
    assert!(verify(dir.path(), &options).unwrap().first_bad.is_some());
}

#[test]
fn a_noted_record_shows_that_an_older_state_was_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let old = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..5, |_| {});
    for name in fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
    {
        fs::copy(dir.path().join(&name), old.path().join(&name)).unwrap();
    }
    filled(dir.path(), 5..9, |_| {});
    let anchor = good(dir.path()).last.unwrap();
    assert_eq!(Anchor::parse(&anchor.to_string()), Some(anchor));
    let options = VerifyOptions {
        anchor: Some(anchor),
        keys: vec![public()],
        ..VerifyOptions::default()
    };
    assert_eq!(verify(dir.path(), &options).unwrap().first_bad, None);
    good(old.path());
    let bad = verify(old.path(), &options).unwrap().first_bad.unwrap();
    assert!(bad.to_string().contains("the log ends before it"), "{bad}");
}
