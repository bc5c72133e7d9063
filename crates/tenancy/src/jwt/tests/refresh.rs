//! When keys are fetched.

use super::*;

fn document() -> Vec<u8> {
    json!({"keys": [Signer::ed().jwk("k")]}).to_string().into_bytes()
}

fn fetched() -> JwksRefresh {
    let mut refresh = JwksRefresh::new(RefreshSettings::default());
    assert!(refresh.poll(NOW));
    assert!(!refresh.poll(NOW), "one fetch at a time");
    assert_eq!(refresh.on_document(&document(), NOW + 1).unwrap().len(), 1);
    refresh
}

#[test]
fn keys_are_fetched_at_first_and_when_old() {
    let mut refresh = fetched();
    assert_eq!(refresh.due(NOW + 1), NOW + 600);
    assert!(!refresh.poll(NOW + 599));
    assert!(refresh.poll(NOW + 600));
    assert_eq!(refresh.age(NOW + 601), Some(Duration::from_secs(600)));
}

#[test]
fn unknown_keys_bring_the_next_fetch_forward_but_not_more_than_that() {
    let mut refresh = fetched();
    for _ in 0..1_000 {
        refresh.on_unknown_key();
    }
    assert!(!refresh.poll(NOW + 29));
    assert!(refresh.poll(NOW + 30));
    refresh.on_unknown_key();
    refresh.on_document(&document(), NOW + 31).unwrap();
    assert!(!refresh.poll(NOW + 59));
    assert!(
        refresh.poll(NOW + 60),
        "asked for while fetching: the document may have been older than the key"
    );
    refresh.on_document(&document(), NOW + 61).unwrap();
    assert_eq!(refresh.due(NOW + 61), NOW + 660);
}

#[test]
fn failures_back_off_and_keep_the_keys() {
    let mut refresh = fetched();
    let mut now = NOW + 600;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        assert!(refresh.poll(now));
        refresh.on_failure("connection refused");
        refresh.on_unknown_key();
        assert_eq!(refresh.due(now), now + wait);
        now += wait;
    }
    assert_eq!(
        (refresh.failures(), refresh.last_error()),
        (11, Some("connection refused"))
    );
    assert!(refresh.poll(now));
    assert!(
        refresh.on_document(b"<html>", now).is_err(),
        "a document that is none is a failure"
    );
    assert_eq!(refresh.failures(), 12);
    now += 300;
    assert!(refresh.poll(now));
    refresh.on_document(&document(), now).unwrap();
    assert_eq!(
        (refresh.failures(), refresh.last_error(), refresh.age(now)),
        (0, None, Some(Duration::ZERO))
    );
}

#[test]
fn clock_jumps() {
    let mut refresh = fetched();
    assert!(refresh.poll(5), "set back: at once");
    refresh.on_document(&document(), 5).unwrap();
    assert!(!refresh.poll(6));
    assert!(refresh.poll(u64::MAX));
    refresh.on_failure(&"x".repeat(10_000));
    assert_eq!(refresh.last_error().unwrap().len(), 500);
    assert_eq!(refresh.due(u64::MAX), u64::MAX);
}
