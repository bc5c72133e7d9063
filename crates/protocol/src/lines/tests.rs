use super::{LineError, LineSplitter, TOO_LONG_HEAD};
use bytes::{Bytes, BytesMut};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

/// What a stream should give, written the slow and obvious way.
fn model(stream: &[u8], max: usize) -> Vec<Result<Vec<u8>, &'static str>> {
    let mut parts: Vec<&[u8]> = stream.split(|b| *b == b'\n').collect();
    let tail = parts.pop().unwrap_or_default();
    let mut out = Vec::new();
    let strip = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    for line in parts {
        let line = strip(line);
        if line.is_empty() {
        } else if line.len() > max {
            out.push(Err("long"));
        } else if std::str::from_utf8(&line).is_err() {
            out.push(Err("utf8"));
        } else {
            out.push(Ok(line));
        }
    }
    let tail = strip(tail);
    if tail.is_empty() {
    } else if tail.len() > max {
        out.push(Err("long"));
    } else if std::str::from_utf8(&tail).is_err() {
        out.push(Err("utf8"));
    } else {
        out.push(Err("partial"));
    }
    out
}

fn name(error: &LineError) -> &'static str {
    match error {
        LineError::TooLong { .. } => "long",
        LineError::NotUtf8 { .. } => "utf8",
        LineError::Unterminated { .. } => "partial",
    }
}

fn run(stream: &[u8], max: usize, cuts: &[usize]) -> (Vec<Result<Vec<u8>, &'static str>>, usize) {
    let mut splitter = LineSplitter::new(max);
    let mut out = Vec::new();
    let mut most = 0;
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let n = cuts.next().copied().unwrap_or(1).clamp(1, rest.len());
        splitter.feed(&rest[..n]);
        rest = &rest[n..];
        while let Some(line) = splitter.next_line() {
            out.push(line.map(|l| l.to_vec()).map_err(|e| name(&e)));
        }
        most = most.max(splitter.buffered());
    }
    out.extend(splitter.finish().map(|e| Err(name(&e))));
    (out, most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_chunking_gives_the_lines_of_the_model(
        stream in prop::collection::vec(prop::sample::select(&b"\n\n\r\raab\xc3\xa9\xff"[..]), 0..200),
        max in 1usize..12,
        cuts in prop::collection::vec(1usize..20, 1..8),
    ) {
        let (lines, most) = run(&stream, max, &cuts);
        prop_assert_eq!(lines, model(&stream, max));
        prop_assert!(most <= max + 1, "kept {} bytes at a limit of {}", most, max);
    }

    #[test]
    fn random_bytes_neither_panic_nor_grow(stream in prop::collection::vec(any::<u8>(), 0..4096), max in 1usize..64) {
        let (lines, most) = run(&stream, max, &[7, 64, 1]);
        prop_assert_eq!(lines, model(&stream, max));
        prop_assert!(most <= max + 1);
    }
}

#[test]
fn an_over_long_line_is_reported_at_once_and_skipped_to_its_end() {
    let mut splitter = LineSplitter::new(4000);
    splitter.feed(&[b'x'; 5000]);
    let error = splitter.next_line().unwrap().unwrap_err();
    let LineError::TooLong { limit: 4000, head } = error else {
        panic!("{error:?}")
    };
    assert_eq!(head.len(), TOO_LONG_HEAD);
    assert_eq!(splitter.buffered(), 0);
    for _ in 0..100 {
        splitter.feed(&[b'x'; 5000]);
        assert_eq!(splitter.next_line(), None);
        assert_eq!(splitter.buffered(), 0);
    }
    splitter.feed(b"tail\nnext\n");
    assert_eq!(splitter.next_line(), Some(Ok(Bytes::from_static(b"next"))));
    assert_eq!(splitter.next_line(), None);
    assert_eq!(splitter.finish(), None);
}

#[test]
fn the_line_end_does_not_count_towards_the_limit() {
    for stream in [&b"abcd\r\n"[..], b"abcd\n"] {
        assert_eq!(run(stream, 4, &[1]).0, [Ok(b"abcd".to_vec())]);
    }
    assert_eq!(run(b"abcde\r\n", 4, &[1]).0, [Err("long")]);
    assert_eq!(run(b"abcd\rx\n", 4, &[1]).0, [Err("long")]);
}

#[test]
fn the_end_inside_a_line_hands_over_what_there_is() {
    let mut splitter = LineSplitter::new(100);
    splitter.feed(b"one\ntwo\r");
    assert_eq!(splitter.next_line(), Some(Ok(Bytes::from_static(b"one"))));
    assert_eq!(splitter.next_line(), None);
    assert_eq!(
        splitter.finish(),
        Some(LineError::Unterminated {
            line: Bytes::from_static(b"two")
        })
    );
    assert_eq!(splitter.finish(), None);
}

#[test]
fn invalid_utf8_says_where_and_the_next_line_is_fine() {
    let mut splitter = LineSplitter::new(100);
    splitter.feed(b"ab\xffcd\nok\n");
    let error = splitter.next_line().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "line of 5 bytes is not valid UTF-8 after byte 2"
    );
    assert_eq!(splitter.next_line(), Some(Ok(Bytes::from_static(b"ok"))));
}

#[test]
fn a_giant_line_does_not_pin_its_memory() {
    let mut splitter = LineSplitter::new(64 << 20);
    let mut giant = BytesMut::zeroed(8 << 20);
    giant.fill(b'x');
    splitter.feed(&giant);
    assert_eq!(splitter.next_line(), None);
    splitter.feed(b"\n");
    assert_eq!(splitter.next_line().unwrap().unwrap().len(), 8 << 20);
    assert!(splitter.buffer(0).capacity() < 1 << 20);
}
