use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{Client, Sent, meaning, partial_success};

fn pause(text: &'static str) -> Option<Duration> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
    match meaning(StatusCode::TOO_MANY_REQUESTS, &headers, now) {
        Sent::Later { after, .. } => after,
        other => panic!("{other:?}"),
    }
}

#[test]
fn statuses_say_now_later_or_never() {
    let means = |status: u16| {
        meaning(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            SystemTime::now(),
        )
    };
    for status in [200, 202, 204] {
        assert!(matches!(means(status), Sent::Accepted { .. }), "{status}");
    }
    for status in [429, 502, 503, 504] {
        assert!(
            matches!(
                means(status),
                Sent::Later {
                    status: Some(_),
                    after: None,
                    ..
                }
            ),
            "{status}"
        );
    }
    for status in [301, 307, 400, 401, 403, 404, 413, 500, 501] {
        assert!(matches!(means(status), Sent::Refused { .. }), "{status}");
    }
}

#[test]
fn pauses_are_seconds_or_dates_and_bounded() {
    assert_eq!(pause("7"), Some(Duration::from_secs(7)));
    assert_eq!(
        pause("Sun, 06 Nov 1994 08:49:47 GMT"),
        Some(Duration::from_secs(10))
    );
    assert_eq!(pause("Sat, 06 Nov 1993 08:49:47 GMT"), Some(Duration::ZERO));
    assert_eq!(pause("99999999"), Some(Duration::from_secs(600)));
    for bad in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
        assert_eq!(pause(bad), None, "{bad}");
    }
}

#[test]
fn what_was_rejected_is_read() {
    assert_eq!(partial_success(b""), (0, String::new()));
    assert_eq!(partial_success(b"\x0a\x00"), (0, String::new()));
    assert_eq!(
        partial_success(b"\x0a\x09\x08\x96\x01\x12\x04full"),
        (150, "full".to_owned())
    );
    // Malformed, it says nothing.
    assert_eq!(partial_success(b"\x0a\xff\xff"), (0, String::new()));
    assert_eq!(partial_success(b"{\"partialSuccess\":{}}"), (0, String::new()));
}

#[test]
fn settings_that_cannot_be_are_refused_without_their_values() {
    let new = |endpoint: &str, name: &str, value: &str| {
        Client::new(endpoint, &[(name.into(), value.into())], Duration::from_secs(1))
            .err()
            .map(|error| error.to_string())
    };
    assert_eq!(new("http://localhost:4318/v1/logs", "x-key", "secret"), None);
    assert!(
        new("http://local host/", "x-key", "secret")
            .unwrap()
            .contains("no URL")
    );
    assert!(new("http://h/", "x key", "secret").unwrap().contains("x key"));
    let error = new("http://h/", "x-key", "sec\nret").unwrap();
    assert!(error.contains("x-key") && !error.contains("sec"), "{error}");
}
