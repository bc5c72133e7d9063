//! A call walked through the pipeline without being made.

use crate::call::{Call, Principal};
use crate::error::CallError;
use crate::gateway::Gateway;
use crate::snapshot::Snapshot;
use crate::source::SourceState;
use crate::stage::{self, Target};

/// What one stage says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the stage.
    pub stage: &'static str,
    /// Whether the call passes it.
    pub passes: bool,
    /// The rule that decided, where one did.
    pub rule: Option<String>,
    /// For the operator: why. May say more than a caller is told.
    pub message: String,
}

impl Verdict {
    /// All of them as JSON: `{"passes", "stages": [{"stage", "passes", "rule", "message"}]}`.
    pub fn report(verdicts: &[Self]) -> serde_json::Value {
        let stages: Vec<_> = verdicts
            .iter()
            .map(|v| serde_json::json!({"stage": v.stage, "passes": v.passes, "rule": v.rule, "message": v.message}))
            .collect();
        serde_json::json!({"passes": verdicts.iter().all(|v| v.passes), "stages": stages})
    }

    fn pass(stage: &'static str, message: impl Into<String>) -> Self {
        Self {
            stage,
            passes: true,
            rule: None,
            message: message.into(),
        }
    }

    fn fail(stage: &'static str, error: &CallError) -> Self {
        let (_, rule) = error.record();
        Self {
            stage,
            passes: false,
            rule: rule.map(Into::into),
            message: error.message().to_owned(),
        }
    }
}

impl Gateway {
    /// What every stage would say to this call now. Nothing is called, counted or recorded. Ends with the first stage
    /// after which nothing more can be said.
    pub fn explain(&self, call: &Call<'_>) -> Vec<Verdict> {
        let snapshot = self.snapshot();
        let mut verdicts = Vec::with_capacity(6);
        verdicts.push(match stage::admit(self, &snapshot) {
            Ok(_) => Verdict::pass("admit", "the server takes calls"),
            Err(error) => Verdict::fail("admit", &error),
        });
        let principal = match stage::authenticate(&snapshot, call) {
            Ok(principal) => principal,
            Err(error) => {
                verdicts.push(Verdict::fail("authenticate", &error));
                return verdicts;
            }
        };
        verdicts.push(Verdict::pass(
            "authenticate",
            format!("principal {} of tenant {}", principal.name, principal.tenant),
        ));
        let (verdict, target) = authorized(&snapshot, &principal, call);
        verdicts.push(verdict);
        verdicts.extend(limited(&snapshot, &principal, call, target.as_ref()));
        let Some(target) = target else {
            return verdicts;
        };
        let mut flagged = None;
        let validated = stage::validate(&snapshot, &principal, call, &target, &mut flagged);
        verdicts.push(match validated {
            Ok(_) => Verdict {
                rule: flagged.map(str::to_owned),
                ..Verdict::pass(
                    "validate",
                    match flagged {
                        Some(_) => "the arguments fit; a pattern rule flags them",
                        None => "the arguments are within bounds, match no pattern rule and fit the schema",
                    },
                )
            },
            Err(error) => Verdict::fail("validate", &error),
        });
        verdicts.push(dispatched(&target));
        verdicts
    }
}

fn authorized<'a>(
    snapshot: &'a Snapshot,
    principal: &Principal,
    call: &'a Call<'a>,
) -> (Verdict, Option<Target<'a>>) {
    let found = stage::resolve(snapshot, call);
    let decision = stage::decision(principal, call, found.as_ref());
    match stage::authorize(snapshot, principal, call) {
        Ok(target) => {
            let why = decision.map_or_else(
                || "the tenant has no access lists".to_owned(),
                |decision| decision.explain(),
            );
            let mut verdict = Verdict::pass(
                "authorize",
                format!("{} belongs to source {}; {why}", call.name, target.source.name),
            );
            verdict.rule = decision.map(|decision| decision.rule.to_owned());
            (verdict, Some(target))
        }
        Err(error) => {
            let mut verdict = Verdict::fail("authorize", &error);
            if let Some(decision) = decision.filter(|decision| !decision.allowed) {
                verdict.message = format!("{}; to the caller it looks unknown", decision.explain());
                verdict.rule = Some(decision.rule.to_owned());
                // The stages behind it can still be asked.
                return (verdict, stage::resolve(snapshot, call));
            }
            (verdict, None)
        }
    }
}

fn limited(
    snapshot: &Snapshot,
    principal: &Principal,
    call: &Call<'_>,
    target: Option<&Target<'_>>,
) -> Vec<Verdict> {
    let request = stage::counted(snapshot, principal, call, target);
    let standings = snapshot.limits.explain(&request, snapshot.access.now());
    if standings.is_empty() {
        return vec![Verdict::pass("limit", "no rate and no quota applies")];
    }
    let verdicts = standings.into_iter().map(|standing| Verdict {
        stage: "limit",
        passes: standing.allowed,
        rule: Some(standing.rule.id().to_owned()),
        message: format!(
            "{} of {} left, all again in {:.1?}",
            standing.remaining, standing.limit, standing.reset_after
        ),
    });
    verdicts.collect()
}

fn dispatched(target: &Target<'_>) -> Verdict {
    let name = &target.source.name;
    match &target.source.state {
        SourceState::Ready => Verdict::pass("dispatch", format!("source {name} is ready")),
        SourceState::Starting => Verdict {
            stage: "dispatch",
            passes: false,
            rule: None,
            message: format!("source {name} is starting"),
        },
        SourceState::Down { reason } => Verdict {
            stage: "dispatch",
            passes: false,
            rule: None,
            message: format!("source {name} is down: {reason}"),
        },
    }
}
