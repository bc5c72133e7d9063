use super::*;
use proptest::prelude::{ProptestConfig, any, proptest};

#[test]
fn rates_as_people_write_them() {
    for (text, count, seconds) in [
        ("100/s", 100, 1),
        ("1000/min", 1_000, 60),
        ("5/h", 5, 3_600),
        ("10/day", 10, 86_400),
        (" 7 / minute ", 7, 60),
        ("1/second", 1, 1),
        ("1/d", 1, 86_400),
        ("18446744073709551615/hour", u64::MAX, 3_600),
    ] {
        assert_eq!(
            parse_calls_per(text),
            Ok((count, Duration::from_secs(seconds))),
            "{text}"
        );
    }
    assert_eq!(
        parse_bytes_per("64MiB/h"),
        Ok((64 << 20, Duration::from_secs(3_600)))
    );
    assert_eq!(
        parse_bytes_per("10 GB / day"),
        Ok((10_000_000_000, Duration::from_secs(86_400)))
    );
    assert_eq!(parse_bytes_per("512/s"), Ok((512, Duration::from_secs(1))));
}

#[test]
fn errors_name_the_place() {
    for (text, position, says) in [
        ("", 0, "expected a number"),
        ("/s", 0, "expected a number"),
        ("-5/s", 0, "expected a number"),
        ("0/s", 0, "lets nothing through"),
        ("99999999999999999999/s", 0, "too large"),
        ("100", 3, "expected `/`"),
        ("100 s", 4, "behind the number"),
        ("1.5/s", 1, "behind the number"),
        ("100/", 4, "missing"),
        ("100/m", 4, "minute or a month"),
        ("100/fortnight", 4, "\"fortnight\" is no period"),
        ("100/s extra", 4, "is no period"),
        ("100/ß", 4, "is no period"),
    ] {
        let error = parse_calls_per(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.message.contains(says), "{text}: {error}");
    }
    let error = parse_bytes_per("10 XB/s").unwrap_err();
    assert_eq!(
        (error.position, error.message.contains("KiB")),
        (3, true),
        "{error}"
    );
    assert_eq!(
        parse_bytes_per("99999999999TiB/s").unwrap_err().message,
        "the size is too large"
    );
    assert!(parse_calls_per(&"x".repeat(100_000)).unwrap_err().message.len() < 200);
    assert!(
        parse_calls_per(&format!("1/{}", "y".repeat(100_000)))
            .unwrap_err()
            .message
            .len()
            < 200
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gets_an_answer_within_it(text in any::<String>()) {
        for parse in [parse_calls_per, parse_bytes_per] {
            if let Err(error) = parse(&text) {
                assert!(text.is_char_boundary(error.position));
            }
        }
    }
}
