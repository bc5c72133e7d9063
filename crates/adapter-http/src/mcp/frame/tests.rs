use super::*;

#[test]
fn a_message_is_one_line() {
    let framed = message(None, b"{\"a\":\r\n 1,\n\"b\":2}");
    assert_eq!(&framed[..], b"event: message\ndata: {\"a\":   1, \"b\":2}\n\n");
    let framed = message(Some(EventId { stream: 3, event: 14 }), b"{}");
    assert_eq!(&framed[..], b"id: 3-14\nevent: message\ndata: {}\n\n");
}

#[test]
fn a_prime_has_an_id_a_time_and_no_data() {
    let framed = prime(EventId { stream: 1, event: 0 }, Duration::from_millis(1500));
    assert_eq!(&framed[..], b"id: 1-0\nretry: 1500\ndata:\n\n");
}

#[test]
fn event_ids_are_read_back() {
    assert_eq!(EventId::parse(" 3-14 "), Some(EventId { stream: 3, event: 14 }));
    for bad in ["", "3", "3-", "-3", "a-1", "1-2-3", "99999999999999999999-1"] {
        assert_eq!(EventId::parse(bad), None, "{bad}");
    }
}
