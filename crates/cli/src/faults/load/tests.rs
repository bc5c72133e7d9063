use std::sync::Arc;

use super::{Load, Shared};
use crate::faults::client::Answer;
use crate::faults::report::Report;

/// What the report says of these answers, when `journal` is what ran.
fn judged(answers: Vec<(&str, u64, Answer, bool)>, journal: &str) -> String {
    let shared = Arc::new(Shared::default());
    for (tool, n, answer, same) in answers {
        shared.judge(tool, n, answer, same);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("journal");
    std::fs::write(&file, journal).unwrap();
    let mut report = Report::new(1, 1);
    let mut load = Load {
        shared,
        clients: Vec::new(),
    };
    load.finish(&file, &mut report);
    let text = report.text();
    let failed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL  ")?.split(' ').next())
        .collect();
    failed.join(" ")
}

fn refused(may_have_run: bool) -> Answer {
    Answer::Refused {
        rule: "upstream.died".into(),
        message: String::new(),
        may_have_run,
    }
}

fn text(text: &str) -> Answer {
    Answer::Text(text.into())
}

#[test]
fn what_is_right_is_no_violation() {
    let answers = vec![
        ("calm__echo", 1, text("1"), true),
        ("direct__record", 2, text("2"), true),
        ("direct__record", 3, refused(true), true),
        ("direct__record", 4, refused(false), true),
        ("calm__echo", 5, Answer::Broken, false),
        ("calm__echo", 6, refused(false), false),
    ];
    assert_eq!(judged(answers, "2\n3\n"), "");
}

#[test]
fn every_kind_of_wrong_is_found() {
    for (answer, journal, found) in [
        (("direct__echo", 1, text("2"), true), "", "no_wrong_answer"),
        (("direct__echo", 1, Answer::Stuck, true), "", "no_stuck_call"),
        (("direct__echo", 1, Answer::Broken, true), "", "no_stuck_call"),
        (("calm__echo", 1, refused(true), true), "", "others_unharmed"),
        (("direct__record", 1, text("1"), true), "", "honest"),
        (("direct__record", 1, refused(false), true), "1\n", "honest"),
        (("direct__record", 1, refused(true), true), "1\n1\n", "not_twice"),
    ] {
        assert_eq!(judged(vec![answer], journal), found);
    }
}
