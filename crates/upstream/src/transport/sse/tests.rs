use super::{MAX_ID, SseError, SseEvent, SseParser};
use bytes::Bytes;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

type Item = Result<SseEvent, SseError>;

fn parse(stream: &[u8], cuts: &[usize], max: usize) -> (Vec<Item>, SseParser) {
    let mut parser = SseParser::new(max);
    let mut out = Vec::new();
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let n = cuts.next().copied().unwrap_or(usize::MAX).clamp(1, rest.len());
        parser.feed(&rest[..n]);
        rest = &rest[n..];
        while let Some(item) = parser.next_event() {
            out.push(item);
        }
        assert!(
            parser.buf.len() + parser.data.len() <= 2 * max + super::FIELD_ROOM,
            "unbounded"
        );
    }
    (out, parser)
}

fn event(event: Option<&str>, data: &str, id: Option<&str>) -> Item {
    Ok(SseEvent {
        event: event.map(str::to_owned),
        data: Bytes::copy_from_slice(data.as_bytes()),
        id: id.map(str::to_owned),
    })
}

/// The specification's algorithm on a complete stream, step by step.
fn model(stream: &[u8]) -> (Vec<Item>, Option<String>, Option<u64>) {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(b) = bytes.next() {
        match b {
            b'\r' | b'\n' => {
                if *b == b'\r' && bytes.peek() == Some(&&b'\n') {
                    bytes.next();
                }
                lines.push(Vec::new());
            }
            b => lines.last_mut().unwrap().push(*b),
        }
    }
    // What follows the last line end is not a line.
    lines.pop();
    let (mut out, mut data, mut kind, mut id, mut last, mut retry) =
        (Vec::new(), Vec::new(), None, None, None, None);
    for line in lines {
        if line.is_empty() {
            if let Some(id) = id.take() {
                last = Some(id).filter(|id: &String| !id.is_empty());
            }
            let text = data.strip_suffix(b"\n").map(<[u8]>::to_vec);
            data.clear();
            let kind = kind.take();
            match text.map(String::from_utf8) {
                None => {}
                Some(Err(_)) => out.push(Err(SseError::NotUtf8)),
                Some(Ok(text)) => out.push(event(kind, &text, last.as_deref())),
            }
            continue;
        }
        let mut parts = line.splitn(2, |b| *b == b':');
        let name = parts.next().unwrap();
        let value = parts.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                data.extend_from_slice(value);
                data.push(b'\n');
            }
            b"event" => kind = Some(text).filter(|t| !t.is_empty()).map(|t| &*t.leak()),
            b"id" if !value.contains(&0) && std::str::from_utf8(value).is_ok() => id = Some(text),
            b"retry" if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                retry = text.parse().ok().or(retry);
            }
            _ => {}
        }
    }
    (out, last, retry)
}

#[test]
fn the_fields_of_an_event() {
    let stream = b"\xef\xbb\xbf: hello\nevent: message\nid: 7\ndata: {\"a\":\ndata:  1}\nretry: 250\nother: x\n\ndata\n\n";
    let (events, parser) = parse(stream, &[usize::MAX], 100);
    assert_eq!(
        events,
        [
            event(Some("message"), "{\"a\":\n 1}", Some("7")),
            event(None, "", Some("7"))
        ]
    );
    assert_eq!(
        (parser.last_event_id(), parser.retry_ms()),
        (Some("7"), Some(250))
    );
}

#[test]
fn an_id_without_data_counts_and_an_unfinished_event_does_not() {
    let (events, parser) = parse(b"id: 1\n\nid: 2\ndata: x\n", &[1], 100);
    assert_eq!(events, []);
    assert_eq!(parser.last_event_id(), Some("1"));
    let (_, parser) = parse(b"id: 1\n\nid\n\n", &[1], 100);
    assert_eq!(parser.last_event_id(), None, "an empty id takes it back");
}

#[test]
fn odd_ids_and_retries_are_ignored() {
    let long = "9".repeat(MAX_ID + 1);
    let stream =
        format!("id: a\nretry: 5\n\nid: b\0c\nid: {long}\nretry: -1\nretry: 1x\nretry: {long}\nretry:\n\n");
    let (_, parser) = parse(stream.as_bytes(), &[3], 10_000);
    assert_eq!((parser.last_event_id(), parser.retry_ms()), (Some("a"), Some(5)));
}

#[test]
fn too_large_is_told_once_and_at_once_and_the_next_event_is_fine() {
    let too_large = SseError::TooLarge { limit: 10 };
    for stream in [
        "id: 1\ndata: 0123456789a\n\ndata: ok\n\n",
        "id: 1\ndata: 01234\ndata: 56789\ndata: x\n\ndata: ok\n\n",
    ] {
        for cut in [1, 2, 100] {
            let (events, _) = parse(stream.as_bytes(), &[cut], 10);
            assert_eq!(
                events,
                [Err(too_large.clone()), event(None, "ok", Some("1"))],
                "{stream:?} {cut}"
            );
        }
    }
    let mut parser = SseParser::new(10);
    parser.feed(b"data: 0123456789012345678901234567890");
    assert_eq!(parser.next_event(), Some(Err(too_large)));
    for _ in 0..100 {
        parser.feed(&[b'x'; 1000]);
        assert_eq!(parser.next_event(), None);
        assert_eq!(parser.buf.len(), 0);
    }
    let (events, _) = parse(b"data: 0123456789\n\n", &[1], 10);
    assert_eq!(events, [event(None, "0123456789", None)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_chunking_gives_what_the_specification_says(
        parts in prop::collection::vec(prop::sample::select(vec![
            "data: a\u{e9}", "data:b", "data", "data: ", "id: 1", "id", "id: x\0", "event: e", "event", "retry: 10",
            "retry: x", ": note", "odd: v", "\n", "\r", "\r\n", "\n\n", "\n", "\r\n\r\n", "\u{feff}", ":", " ",
        ]), 0..40),
        raw in prop::collection::vec((0usize..200, any::<u8>()), 0..3),
        cuts in prop::collection::vec(1usize..12, 1..6),
    ) {
        let mut stream = parts.concat().into_bytes();
        for (at, byte) in raw {
            if at < stream.len() {
                stream[at] = byte;
            }
        }
        let (events, parser) = parse(&stream, &cuts, 1000);
        let (wanted, last, retry) = model(&stream);
        prop_assert_eq!(events, wanted);
        prop_assert_eq!(parser.retry_ms(), retry);
        prop_assert_eq!(parser.last_event_id(), last.as_deref());
    }

    #[test]
    fn random_bytes_with_a_small_limit_stay_bounded(
        stream in prop::collection::vec(prop::sample::select(&b"data: id\n\n\r\xc3\xff:"[..]), 0..600),
        cuts in prop::collection::vec(1usize..40, 1..6),
        max in 0usize..40,
    ) {
        // `parse` checks the bound; the result must not depend on the chunks except for when an excess is noticed.
        let (chunked, _) = parse(&stream, &cuts, max);
        for event in chunked.iter().flatten() {
            prop_assert!(event.data.len() <= max);
        }
    }
}
