//! The suite of faults, as a user runs it: every fault once.

use crate::support::{ferromcp, finish};

#[test]
fn every_invariant_holds_under_every_fault() {
    let finished = finish(
        ferromcp(["faults", "--cycles", "14", "--seed", "3", "--json"]),
        "",
    );
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
    assert_eq!(
        (finished.code, &report["passed"]),
        (0, &true.into()),
        "{finished:#?}"
    );
    let invariants = report["invariants"].as_array().unwrap();
    assert_eq!(invariants.len(), 12);
    assert!(report["calls"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn it_says_what_is_wrong_with_its_arguments() {
    let finished = finish(ferromcp(["faults", "--cycles", "0"]), "");
    assert_eq!(finished.code, 2, "{finished:?}");
}
