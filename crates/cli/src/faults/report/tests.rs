use std::time::Duration;

use super::{Invariant, Report, SHOWN};

#[test]
fn one_violation_fails_the_whole() {
    let mut report = Report::new(7, 3);
    assert!(
        report.passed()
            && report
                .text()
                .ends_with("PASSED: 3 cycles, seed 7, 0 calls, of which 0 failed with their server")
    );
    for n in 0..=SHOWN {
        report.violated(Invariant::NotTwice, format!("call {n}"));
    }
    assert!(!report.passed());
    let text = report.text();
    assert!(
        text.contains("FAIL  not_twice") && text.contains("pass  no_orphan") && text.contains("and 1 more"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["passed"], false);
    let all = json["invariants"].as_array().unwrap();
    let failed: Vec<_> = all.iter().filter(|one| one["pass"] == false).collect();
    assert_eq!(
        (
            all.len(),
            failed.len(),
            &failed[0]["id"],
            &failed[0]["violations"]
        ),
        (12, 1, &"not_twice".into(), &6.into())
    );
}

#[test]
fn times_are_a_median_and_the_longest() {
    let mut report = Report::new(7, 3);
    for ms in [30, 10, 20] {
        report.took("it", Duration::from_millis(ms));
    }
    assert_eq!(report.times().collect::<Vec<_>>(), [("it", 20, 30)]);
}
