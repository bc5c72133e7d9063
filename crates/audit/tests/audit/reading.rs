//! `tail` and `query`.

use std::fs;

use ferromcp_audit::{Filter, ReadError, query, tail};

use crate::support::{calls, entries, filled, segments};

#[test]
fn tail_gives_the_last_ones_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..1000, |config| config.limits.segment_bytes = 20_000);
    assert!(segments(dir.path()).len() > 5);
    let all: Vec<u64> = entries(dir.path()).iter().map(|entry| entry.seq).collect();
    for count in [0, 1, 2, 50, 333, all.len() - 1, all.len(), all.len() + 5] {
        let found: Vec<u64> = tail(dir.path(), count)
            .unwrap()
            .map(|entry| entry.unwrap().seq)
            .collect();
        assert_eq!(found, all[all.len().saturating_sub(count)..], "{count}");
    }
}

#[test]
fn queries_filter_and_stop_at_their_limit() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..100, |_| {});
    let find = |filter: Filter| query(dir.path(), filter).unwrap().map(Result::unwrap).count();
    let tool = |tool: &str| Filter {
        tool: Some(tool.into()),
        ..Filter::default()
    };
    assert_eq!(find(tool("42")), 1);
    assert_eq!(find(tool("420")), 0);
    let limited = Filter {
        tenant: Some("acme".into()),
        limit: Some(7),
        ..Filter::default()
    };
    assert_eq!(find(limited), 7);
}

#[test]
fn half_a_line_at_the_end_is_passed_over_and_a_bad_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 0..10, |_| {});
    let path = dir.path().join(&segments(dir.path())[0]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"seq\":99,\"ti");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(calls(dir.path()).len(), 10);
    let third = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(2)
        .unwrap()
        .0;
    bytes[third - 1] = b'x';
    fs::write(&path, &bytes).unwrap();
    let results: Vec<_> = query(dir.path(), Filter::default()).unwrap().collect();
    assert_eq!(results.len(), 13);
    let Err(ReadError::Line { line: 3, .. }) = &results[2] else {
        panic!("{:?}", results[2]);
    };
    assert!(
        results[2]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains(".jsonl:3: ")
    );
    assert!(results[3].is_ok());
    assert!(query(&dir.path().join("nowhere"), Filter::default()).is_err());
}
