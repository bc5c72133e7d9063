//! A configuration that is taken back by itself when calls fail under it.

use std::sync::Arc;
use std::time::Duration;

use ferromcp_admin::{NotReloaded, Watch};
use ferromcp_telemetry::Counted;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Reloader, Wanted, refused, told};

/// Calls are counted so often.
const LOOK: Duration = Duration::from_millis(250);
/// With fewer calls, nothing is said of them.
const ENOUGH: u64 = 20;

/// Takes over `wanted`, looks at calls for a while, and takes it back if too many fail. What began is brought to its end,
/// whoever waits for it.
pub(super) async fn watched(
    reloader: &Arc<Reloader>,
    who: &str,
    wanted: Wanted,
    watch: Watch,
) -> Result<Value, NotReloaded> {
    let (own, who) = (Arc::clone(reloader), who.to_owned());
    let work = tokio::spawn(async move { carried_out(&own, &who, wanted, watch).await });
    work.await.unwrap_or_else(|_| {
        Err(refused(
            "reload.internal",
            "the reload failed inside; the log says where".into(),
        ))
    })
}

async fn carried_out(
    reloader: &Arc<Reloader>,
    who: &str,
    wanted: Wanted,
    watch: Watch,
) -> Result<Value, NotReloaded> {
    let before = reloader.tally.now();
    let plan = reloader.carried_out(who, wanted).await?;
    let mut answer = told(&plan);
    let (begun, end) = (reloader.tally.now(), Instant::now() + watch.time);
    let mut after = Counted::default();
    let (mut bad, mut replaced) = (false, false);
    let ours = reloader.text().await;
    // What changes nothing breaks nothing.
    while !plan.is_empty() && !bad && !replaced && Instant::now() < end {
        sleep(LOOK.min(end - Instant::now())).await;
        after = reloader.tally.now().since(begun);
        // Calls under a configuration that somebody else put in its place say nothing of this one.
        replaced = reloader.text().await != ours;
        bad = !replaced && is_bad(before, after, watch.rollback_on);
    }
    answer["watch"] = json!({
        "calls": after.calls(), "failed": after.failed,
        "rate": after.rate(), "rate_before": before.rate(),
        "enough": after.calls() >= ENOUGH, "rolled_back": bad, "replaced": replaced,
    });
    if bad {
        warn!(
            calls = after.calls(),
            failed = after.failed,
            rate = after.rate(),
            rate_before = before.rate(),
            "calls fail under the new configuration; it is taken back"
        );
        if let Err(refusal) = reloader.roll_back(&format!("{who} (watch)"), None).await {
            let message = format!(
                "calls fail, and the configuration could not be taken back: {}",
                refusal.message
            );
            return Err(refused(refusal.rule, message));
        }
    }
    Ok(answer)
}

/// More of them fail than may, and than did before.
fn is_bad(before: Counted, after: Counted, bound: f64) -> bool {
    after.calls() >= ENOUGH && after.rate() > bound && after.rate() > before.rate()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bad() {
        let counted = |good, failed| Counted { good, failed };
        let before = counted(990, 10);
        for (after, bound, bad) in [
            (counted(0, 19), 0.05, false),
            (counted(0, 20), 0.05, true),
            (counted(95, 5), 0.05, false),
            (counted(94, 6), 0.05, true),
            (counted(99, 1), 0.0, false),
            (counted(97, 3), 0.0, true),
        ] {
            assert_eq!(is_bad(before, after, bound), bad, "{after:?} {bound}");
        }
        // It failed as often before: that is not the new configuration.
        assert!(!is_bad(counted(5, 5), counted(50, 50), 0.05));
    }
}
