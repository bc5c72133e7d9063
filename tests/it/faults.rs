//! The suite of faults, as a user runs it: every fault once.

use rustix::process::Signal;

use crate::support::{PATIENCE, Process, alive_with, directory_with, eventually, ferromcp, finish};

#[test]
fn every_invariant_holds_under_every_fault() {
    let finished = finish(
        ferromcp(["faults", "--cycles", "16", "--seed", "3", "--json"]),
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

#[test]
fn a_signal_ends_it_with_all_that_it_started() {
    let directory = directory_with("unused", "");
    let place = directory.path().display().to_string();
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = ferromcp(["faults", "--cycles", "100000", "--seed", "5"]);
        // The gateway has it from the command; the servers have a mark of their own.
        command.env("TEST_MARK", &place).env("TMPDIR", &place);
        let mut faults = Process::start(command);
        faults.stderr.wait(|line| line.contains("1/100000").then_some(()));
        let own = format!("{place}/ferromcp-faults-{}-5", faults.id());
        let servers = format!("FERROMCP_FAULTS_MARK={own}");
        assert!(std::path::Path::new(&own).is_dir());
        eventually("servers run", || (!alive_with(&servers).is_empty()).then_some(()));
        faults.signal(signal);
        assert_eq!(faults.exit_code(PATIENCE), 1, "{signal:?}");
        assert!(
            faults
                .stderr
                .all()
                .iter()
                .any(|line| line.contains("stopped by a signal"))
        );
        assert_eq!(
            alive_with(&format!("TEST_MARK={place}")),
            Vec::<i32>::new(),
            "{signal:?}"
        );
        assert_eq!(alive_with(&servers), Vec::<i32>::new(), "{signal:?}");
        assert!(!std::path::Path::new(&own).exists(), "{signal:?}");
    }
}
