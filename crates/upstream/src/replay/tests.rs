use super::{Budget, hinted};
use crate::spec::Effect;

#[test]
fn only_a_plain_true_is_a_hint() {
    for (annotations, effect) in [
        (r#"{"readOnlyHint":true}"#, Effect::ReadOnly),
        (r#"{"readOnlyHint":true,"idempotentHint":true}"#, Effect::ReadOnly),
        (
            r#"{"readOnlyHint":false,"idempotentHint":true}"#,
            Effect::Idempotent,
        ),
        (r#"{"readOnlyHint":"true"}"#, Effect::Effects),
        (r#"{"readOnlyHint":1}"#, Effect::Effects),
        (r#"{"destructiveHint":false}"#, Effect::Effects),
        ("{}", Effect::Effects),
        ("[]", Effect::Effects),
        ("null", Effect::Effects),
    ] {
        let definition = format!(r#"{{"name":"x","annotations":{annotations}}}"#);
        assert_eq!(hinted(&definition), effect, "{annotations}");
    }
    assert_eq!(hinted(r#"{"name":"x"}"#), Effect::Effects);
    assert_eq!(hinted("nonsense"), Effect::Effects);
}

#[test]
fn the_budget_is_a_reserve_and_then_a_tenth_of_the_calls() {
    let budget = Budget::new();
    assert_eq!((0..100).filter(|_| budget.spend()).count(), 20);
    let mut spent = 0;
    for _ in 0..1000 {
        budget.earn();
        spent += usize::from(budget.spend());
    }
    assert_eq!(spent, 100);
    for _ in 0..10_000 {
        budget.earn();
    }
    assert_eq!(
        (0..100).filter(|_| budget.spend()).count(),
        20,
        "it does not grow without bound"
    );
}
