use super::*;

const RULE: CopyRule = CopyRule {
    whole: 1024,
    prefix: 100,
};

fn text<'a>(texts: &[Option<&'a [u8]>; FIELDS], field: Field) -> Option<&'a str> {
    texts[field as usize].map(|bytes| std::str::from_utf8(bytes).unwrap())
}

#[test]
fn a_copy_says_what_the_record_said() {
    let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_234_567);
    let record = Record {
        request_id: [7; 16],
        trace_id: Some([9; 16]),
        tenant: Some("a"),
        principal: Some(""),
        tool: Some("echo"),
        args: Some("{}"),
        decision: Some(Decision::Flag),
        latency: Duration::from_micros(42),
        bytes_in: 3,
        bytes_out: 4,
        ..Record::new(Kind::Reload, time, "http", "ok")
    };
    let prepared = Prepared::new(&record, RULE);
    let mut bytes = Vec::new();
    prepared.copy(&mut bytes);
    prepared.copy(&mut bytes);
    assert_eq!(bytes.len(), 2 * prepared.size());
    let (copied, rest) = Copied::split(&bytes).unwrap();
    let (_, rest) = Copied::split(rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!(copied.kind(), LineKind::Reload);
    assert_eq!(copied.decision(), Some(Decision::Flag));
    assert_eq!(copied.time_us(), 1_234_567);
    assert_eq!(
        (copied.latency_us(), copied.bytes_in(), copied.bytes_out()),
        (42, 3, 4)
    );
    assert_eq!(copied.request_id(), Some(&[7; 16][..]));
    assert_eq!(copied.trace_id(), Some(&[9; 16][..]));
    let texts = copied.texts();
    assert_eq!(text(&texts, Field::Door), Some("http"));
    assert_eq!(text(&texts, Field::Principal), Some(""));
    assert_eq!(text(&texts, Field::Client), None);
    assert_eq!(text(&texts, Field::Tool), Some("echo"));
    assert_eq!(text(&texts, Field::Outcome), Some("ok"));
    assert_eq!(copied.args(), Some((&b"{}"[..], 2)));
    assert_eq!(copied.args_digest(), Some(sha256(b"{}")));

    let mut kept = Vec::new();
    copied.keep(&mut kept, copied.args_digest().as_ref());
    let (kept, _) = Copied::split(&kept).unwrap();
    assert_eq!(kept.args(), Some((&b""[..], 2)));
    assert_eq!(kept.args_digest(), Some(sha256(b"{}")));
    assert_eq!(text(&kept.texts(), Field::Tool), Some("echo"));
}

#[test]
fn long_names_are_cut_with_a_mark_and_never_inside_a_character() {
    let name = "é".repeat(500_000);
    let record = Record {
        tool: Some(&name),
        ..Record::new(Kind::Call, SystemTime::UNIX_EPOCH, "http", "ok")
    };
    let prepared = Prepared::new(&record, RULE);
    let mut bytes = Vec::new();
    prepared.copy(&mut bytes);
    assert!(bytes.len() <= prepared.size());
    let (copied, _) = Copied::split(&bytes).unwrap();
    let texts = copied.texts();
    let tool = text(&texts, Field::Tool).unwrap();
    assert!(tool.starts_with("éé") && tool.ends_with("é…[cut: 1000000 bytes]"));
    assert_eq!(text(&texts, Field::Outcome), Some("ok"));
}

#[test]
fn huge_arguments_are_hashed_by_the_caller_and_copied_in_part() {
    let args = "é".repeat(5000);
    let record = Record {
        args: Some(&args),
        ..Record::new(Kind::Call, SystemTime::UNIX_EPOCH, "http", "ok")
    };
    let mut bytes = Vec::new();
    Prepared::new(
        &record,
        CopyRule {
            whole: 1024,
            prefix: 101,
        },
    )
    .copy(&mut bytes);
    let (copied, _) = Copied::split(&bytes).unwrap();
    assert_eq!(copied.args(), Some(("é".repeat(50).as_bytes(), 10_000)));
    assert_eq!(copied.args_digest(), Some(sha256(args.as_bytes())));
}

#[test]
fn a_broken_copy_is_no_copy() {
    assert!(Copied::split(&[]).is_none());
    assert!(Copied::split(&[0; 200]).is_none());
    assert!(Copied::split(&[200, 0, 0, 0, 1]).is_none());
}
