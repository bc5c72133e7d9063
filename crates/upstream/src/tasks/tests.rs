use super::shown::{Shown, hash};

fn shown(raw: &str) -> Option<Shown> {
    Shown::of(&ferromcp_protocol::json::Object::parse(raw).unwrap(), raw)
}

#[test]
fn a_task_has_an_id_and_a_status_that_is_known() {
    for raw in [
        r#"{"status":"working"}"#,
        r#"{"taskId":"","status":"working"}"#,
        r#"{"taskId":7,"status":"working"}"#,
        r#"{"taskId":"a"}"#,
        r#"{"taskId":"a","status":"asleep"}"#,
    ] {
        assert!(shown(raw).is_none(), "{raw}");
    }
    let long = format!(r#"{{"taskId":"{}","status":"working"}}"#, "a".repeat(1025));
    assert!(shown(&long).is_none());
    for (status, over) in [
        ("working", false),
        ("input_required", false),
        ("completed", true),
        ("failed", true),
        ("cancelled", true),
    ] {
        let task = shown(&format!(r#"{{"taskId":"a","status":"{status}"}}"#)).unwrap();
        assert_eq!(task.is_over(), over, "{status}");
    }
}

#[test]
fn times_of_both_revisions_are_read_and_nonsense_is_none() {
    let times = |members: &str| {
        let task = shown(&format!(r#"{{"taskId":"a","status":"working",{members}}}"#)).unwrap();
        (
            task.ttl().map(|t| t.as_millis()),
            task.poll().map(|t| t.as_millis()),
        )
    };
    assert_eq!(
        times(r#""ttlMs":1500,"pollIntervalMs":20"#),
        (Some(1500), Some(20))
    );
    assert_eq!(times(r#""ttlMs":null,"pollInterval":30"#), (None, Some(30)));
    assert_eq!(times(r#""ttlMs":-1,"pollIntervalMs":1e300"#), (None, None));
    assert_eq!(times(r#""ttlMs":"9","pollIntervalMs":{}"#), (None, None));
}

#[test]
fn what_is_kept_of_a_task_is_small_and_enough_to_say_that_it_failed() {
    let big = "x".repeat(10_000);
    let raw = format!(
        r#"{{"taskId":"theirs","status":"working","createdAt":"2026-07-28T12:00:00Z","ttlMs":null,"pollIntervalMs":50,"statusMessage":"{big}","result":{{"a":"{big}"}}}}"#
    );
    let head = shown(&raw).unwrap().head();
    let failed: serde_json::Value = serde_json::from_str(&head.failed("s.1", "it \"died\"")).unwrap();
    assert!(failed.to_string().len() < 600, "{failed}");
    assert_eq!(failed["taskId"], "s.1");
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["statusMessage"], "it \"died\"");
    assert_eq!(failed["createdAt"], "2026-07-28T12:00:00Z");
    assert!(failed["ttlMs"].is_null());
    assert_eq!(failed["error"]["message"], "it \"died\"");
    assert_ne!(hash("a"), hash("b"));
}
