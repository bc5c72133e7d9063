//! What the default rules make of attacks and of honest arguments, and the reference page that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ferromcp_guard::{
    Action, Class, FieldKind, Guard, PatternConfig, PatternPolicy, ScanLimits, Severity, rules,
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Call {
    class: Option<String>,
    tool: String,
    arguments: Box<RawValue>,
}

fn calls(name: &str) -> Vec<Call> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpora")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn guard(config: &PatternConfig) -> Guard {
    Guard::new(ScanLimits::default(), PatternPolicy::compile(config).unwrap())
}

/// The default rules with nothing refused, so that every match shows.
fn observer() -> Guard {
    guard(&PatternConfig {
        strongest: Action::Flag,
        max_findings: 100,
        ..PatternConfig::default()
    })
}

#[derive(Clone, Copy, Default)]
struct Count {
    calls: usize,
    refused: usize,
    flagged: usize,
}

impl Count {
    fn add(&mut self, guard: &Guard, call: &Call) -> bool {
        self.calls += 1;
        match guard.check(call.arguments.get(), &call.tool) {
            Err(_) => self.refused += 1,
            Ok(checked) if !checked.findings.is_empty() => self.flagged += 1,
            Ok(_) => return false,
        }
        true
    }

    fn share(self) -> f64 {
        100.0 * self.refused as f64 / self.calls.max(1) as f64
    }
}

fn count(guard: &Guard, name: &str) -> Count {
    let mut count = Count::default();
    for call in calls(name) {
        count.add(guard, &call);
    }
    count
}

#[test]
fn detection_and_false_positives() {
    let guard = guard(&PatternConfig::default());
    let mut failed = Vec::new();
    for half in ["tune", "held"] {
        let attacks = calls(&format!("attacks-{half}.jsonl"));
        let mut by_class: BTreeMap<String, Count> = BTreeMap::new();
        let mut refused = 0;
        for call in &attacks {
            let count = by_class.entry(call.class.clone().unwrap()).or_default();
            count.add(&guard, call);
            match guard.check(call.arguments.get(), &call.tool) {
                Err(_) => refused += 1,
                Ok(checked) if half == "tune" || std::env::var_os("SHOW_HELD_OUT").is_some() => {
                    let flags: Vec<_> = checked.findings.iter().map(|finding| finding.rule).collect();
                    println!("missed: {} {} {flags:?}", call.tool, call.arguments);
                }
                Ok(_) => {}
            }
        }
        for (class, count) in &by_class {
            println!(
                "{half} {class}: {} of {} refused, {} flagged",
                count.refused, count.calls, count.flagged
            );
        }
        let benign = calls(&format!("benign-{half}.jsonl"));
        let mut wrong = 0;
        let mut flagged = 0;
        for call in &benign {
            match guard.check(call.arguments.get(), &call.tool) {
                Ok(checked) => flagged += usize::from(!checked.findings.is_empty()),
                Err(refusal) => {
                    wrong += 1;
                    if half == "tune" || std::env::var_os("SHOW_HELD_OUT").is_some() {
                        println!(
                            "wrong: {} {} {}",
                            refusal.violation.rule, call.tool, call.arguments
                        );
                    }
                }
            }
        }
        let detection = 100.0 * f64::from(refused) / attacks.len() as f64;
        let false_positives = 100.0 * f64::from(wrong) / benign.len() as f64;
        println!("{half}: {detection:.2} % of {} attacks refused", attacks.len());
        println!(
            "{half}: {false_positives:.2} % of {} honest calls refused, {flagged} flagged",
            benign.len()
        );
        if detection < 97.0 || false_positives > 0.5 {
            failed.push(half);
        }
    }
    assert!(failed.is_empty(), "goal missed on {failed:?}");
}

#[test]
fn corpora_are_large_and_of_one_piece() {
    let mut attacks = BTreeSet::new();
    let mut benign = BTreeSet::new();
    for half in ["tune", "held"] {
        for call in calls(&format!("attacks-{half}.jsonl")) {
            let class = call.class.unwrap();
            assert!(Class::ALL.iter().any(|known| known.name() == class), "{class}");
            assert!(
                attacks.insert((call.tool, call.arguments.get().to_owned())),
                "twice: {}",
                call.arguments
            );
        }
        for call in calls(&format!("benign-{half}.jsonl")) {
            assert!(
                benign.insert((call.tool, call.arguments.get().to_owned())),
                "twice: {}",
                call.arguments
            );
        }
    }
    assert!(attacks.len() >= 300, "{}", attacks.len());
    assert!(benign.len() >= 1000, "{}", benign.len());
}

/// `docs/validation.md` between its marks. Written anew where `UPDATE_DOCS` is set in the environment.
#[test]
fn the_reference_is_up_to_date() {
    const BEGIN: &str = "<!-- generated: rules -->\n";
    const END: &str = "<!-- end generated -->\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/validation.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begin = page.find(BEGIN).unwrap() + BEGIN.len();
    let end = page.find(END).unwrap();
    let generated = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{}{generated}{}", &page[..begin], &page[end..])).unwrap();
        return;
    }
    assert!(
        page[begin..end] == generated,
        "docs/validation.md is not what the rules say: run \
         `UPDATE_DOCS=1 cargo test -p ferromcp-guard --test guard the_reference_is_up_to_date`"
    );
}

fn reference() -> String {
    let mut out = String::new();
    figures(&mut out);
    let observer = observer();
    let mut matched: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for half in ["tune", "held"] {
        for (attack, name) in [(true, "attacks"), (false, "benign")] {
            for call in calls(&format!("{name}-{half}.jsonl")) {
                let checked = observer.check(call.arguments.get(), &call.tool).unwrap();
                let found: BTreeSet<_> = checked.findings.iter().map(|finding| finding.rule).collect();
                for rule in found {
                    let counts = matched.entry(rule).or_default();
                    if attack {
                        counts.0 += 1;
                    } else {
                        counts.1 += 1;
                    }
                }
            }
        }
    }
    out.push_str("\n### Rules\n\n");
    out.push_str("`Attacks` and `honest` count the calls of both halves in which the rule matched with the defaults, blocking or flagging.\n\n");
    out.push_str("| rule | severity | catches | blocks in | flags in | attacks | honest |\n|---|---|---|---|---|---|---|\n");
    for rule in rules() {
        let (attacks, honest) = matched.get(rule.id).copied().unwrap_or_default();
        let catches = rule.catches.replace('|', "\\|");
        let kinds = |action| {
            let kinds: Vec<_> = FieldKind::ALL
                .into_iter()
                .filter(|kind| rule.action(*kind) == action)
                .map(FieldKind::name)
                .collect();
            if kinds.len() == FieldKind::ALL.len() {
                "everywhere".to_owned()
            } else {
                kinds.join(", ")
            }
        };
        writeln!(
            out,
            "| `{}` | {} | {catches} | {} | {} | {attacks} | {honest} |",
            rule.id,
            rule.severity,
            kinds(Action::Block),
            kinds(Action::Flag),
        )
        .unwrap();
    }
    out
}

fn figures(out: &mut String) {
    let guard = guard(&PatternConfig::default());
    out.push_str("| corpus | calls | refused | only flagged |\n|---|---|---|---|\n");
    for (name, title) in [
        ("attacks-tune", "attacks, tuning half"),
        ("attacks-held", "attacks, held-out half"),
        ("benign-tune", "honest calls, tuning half"),
        ("benign-held", "honest calls, held-out half"),
    ] {
        let count = count(&guard, &format!("{name}.jsonl"));
        writeln!(
            out,
            "| {title} | {} | {} ({:.2} %) | {} |",
            count.calls,
            count.refused,
            count.share(),
            count.flagged
        )
        .unwrap();
    }
    out.push_str("\n| class of attack | calls | refused | only flagged |\n|---|---|---|---|\n");
    for class in Class::ALL {
        let mut count = Count::default();
        for half in ["tune", "held"] {
            for call in calls(&format!("attacks-{half}.jsonl")) {
                if call.class.as_deref() == Some(class.name()) {
                    count.add(&guard, &call);
                }
            }
        }
        writeln!(
            out,
            "| {class} | {} | {} | {} |",
            count.calls, count.refused, count.flagged
        )
        .unwrap();
    }
}

#[test]
fn severities_are_ordered() {
    assert!(Severity::Low < Severity::Medium && Severity::High < Severity::Critical);
    assert!(Action::Off < Action::Flag && Action::Flag < Action::Block);
}
