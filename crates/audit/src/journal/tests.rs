use super::{Journal, MAX_BYTES, event};

fn line(kind: &str, id: &str) -> Vec<u8> {
    format!(r#"{{"seq":12,"time":"2026-01-01T00:00:00.000000Z","kind":"{kind}","request_id":"{id}","door":"http"}}"#)
        .into_bytes()
}

#[test]
fn lines_of_calls_are_told_from_all_others() {
    let id = "0a".repeat(16);
    assert_eq!(event(&line("begin", &id)), Some((true, [10; 16])));
    assert_eq!(event(&line("call", &id)), Some((false, [10; 16])));
    assert_eq!(event(&line("interrupted", &id)), Some((false, [10; 16])));
    let whole = line("begin", &id);
    for other in [
        line("admin", &id),
        line("beginning", &id),
        line("begin", &"0g".repeat(16)),
        line("begin", "0a"),
        b"".to_vec(),
        b"{\"seq\":".to_vec(),
        b"{\"kind\":\"begin\",\"request_id\":\"0a\"}".to_vec(),
    ] {
        assert_eq!(event(&other), None, "{}", String::from_utf8_lossy(&other));
    }
    // Cut off anywhere before the end of the id, it is none.
    let end = whole
        .windows(id.len())
        .position(|part| part == id.as_bytes())
        .unwrap()
        + id.len();
    for cut in 0..end {
        assert_eq!(event(&whole[..cut]), None, "{cut}");
    }
}

#[test]
fn what_ended_is_forgotten_and_what_has_no_room_is_counted() {
    let mut journal = Journal::default();
    let large = vec![0; MAX_BYTES / 2];
    journal.begin([1; 16], &large);
    journal.begin([1; 16], &large);
    journal.begin([2; 16], &large);
    journal.begin([3; 16], &[0]);
    assert_eq!((journal.records().count(), journal.beyond), (2, 1));
    journal.end(&[9; 16]);
    journal.end(&[1; 16]);
    journal.begin([4; 16], &[4]);
    assert_eq!((journal.records().count(), journal.beyond), (2, 1));
    journal.end(&[2; 16]);
    journal.end(&[4; 16]);
    assert!(journal.is_empty() && journal.bytes == 0);
}
