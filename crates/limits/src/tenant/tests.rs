use super::*;

fn at(seconds: u64) -> Nanos {
    Nanos::new(seconds * 1_000_000_000)
}

fn settings(calls: &str, bytes: &str, concurrent: u32) -> TenantSettings {
    TenantSettings {
        rate: Some(Rate::parse("100/s").unwrap()),
        quotas: Quotas {
            tool_calls: Some(Quota::parse_calls(calls).unwrap()),
            bytes: Some(Quota::parse_bytes(bytes).unwrap()),
            concurrent: Some(concurrent),
            batch_size: Some(50),
        },
    }
}

fn call(tenant: &TenantLimits, bytes: u64, now: Nanos) -> Result<Permit, Refused> {
    let permit = tenant.enter()?;
    tenant.reserve(bytes, now)?.count(bytes, now);
    Ok(permit)
}

#[test]
fn quotas_are_counted_together_or_not_at_all() {
    let tenant = TenantLimits::new(settings("10/min", "1000/min", 5), at(100));
    drop(call(&tenant, 900, at(100)).unwrap());
    let refused = call(&tenant, 101, at(100)).unwrap_err();
    assert_eq!((refused.rule, refused.limit.amount()), (Rule::QuotaBytes, 1_000));
    assert!(refused.retry_after.is_some());
    assert_eq!(
        call(&tenant, 1_001, at(100)).unwrap_err().retry_after,
        None,
        "waiting cannot help"
    );
    let usage = tenant.usage(at(100));
    assert_eq!(usage.tool_calls.unwrap().used, 1);
    assert_eq!(usage.bytes.unwrap().used, 900);
    assert_eq!(usage.concurrent, Some((0, 5)), "refused calls hold no place");
    for _ in 0..9 {
        drop(call(&tenant, 1, at(100)).unwrap());
    }
    assert_eq!(call(&tenant, 1, at(100)).unwrap_err().rule, Rule::QuotaToolCalls);
}

#[test]
fn permits_end_with_their_calls() {
    let tenant = TenantLimits::new(settings("100/min", "1GB/min", 2), at(1));
    let one = call(&tenant, 1, at(1)).unwrap();
    let two = call(&tenant, 1, at(1)).unwrap();
    let refused = call(&tenant, 1, at(1)).unwrap_err();
    assert_eq!(
        (refused.rule.id(), refused.retry_after),
        ("quota.concurrent", None)
    );
    drop(one);
    // The settings change while a call runs: it stays counted.
    let changed = tenant.with_settings(settings("100/min", "1GB/min", 1), at(1));
    assert_eq!(changed.usage(at(1)).concurrent, Some((1, 1)));
    assert!(call(&changed, 1, at(1)).is_err());
    drop(two);
    assert!(call(&changed, 1, at(1)).is_ok());
}

#[test]
fn answers_are_charged_afterwards() {
    let tenant = TenantLimits::new(settings("100/min", "1000/min", 2), at(1));
    drop(call(&tenant, 10, at(1)).unwrap());
    tenant.charge_bytes(5_000, at(1));
    assert_eq!(tenant.usage(at(1)).bytes.unwrap().used, 5_010);
    assert_eq!(call(&tenant, 0, at(1)).unwrap_err().rule, Rule::QuotaBytes);
    assert!(call(&tenant, 0, at(70)).is_ok());
}

#[test]
fn batches() {
    let tenant = TenantLimits::new(settings("1/min", "1/s", 1), at(1));
    assert!(tenant.check_batch(50).is_ok());
    assert_eq!(tenant.check_batch(51).unwrap_err().rule, Rule::QuotaBatchSize);
    assert!(
        TenantLimits::new(TenantSettings::default(), at(1))
            .check_batch(usize::MAX)
            .is_ok()
    );
}

#[test]
fn changed_quotas_keep_what_was_used() {
    let tenant = TenantLimits::new(settings("100/min", "1000/min", 9), at(1_000));
    for _ in 0..30 {
        drop(call(&tenant, 10, at(1_000)).unwrap());
    }
    let lower = tenant.with_settings(settings("20/min", "1000/h", 9), at(1_000));
    let usage = lower.usage(at(1_000));
    assert_eq!(
        (usage.tool_calls.unwrap().used, usage.tool_calls.unwrap().limit),
        (30, 20)
    );
    assert_eq!(usage.bytes.unwrap().used, 300);
    assert_eq!(call(&lower, 1, at(1_000)).unwrap_err().rule, Rule::QuotaToolCalls);
    assert!(
        call(&lower, 1, at(1_070)).is_ok(),
        "a minute later the calls are free again"
    );
    assert_eq!(
        lower.usage(at(1_070)).bytes.unwrap().used,
        301,
        "the bytes are not"
    );
    // A call that still runs on the old settings counts on the same state.
    drop(call(&tenant, 5, at(1_070)).unwrap());
    assert_eq!(lower.usage(at(1_070)).bytes.unwrap().used, 306);
}

#[test]
fn saved_and_restored() {
    let settings = settings("100/min", "1000/day", 9);
    let tenant = TenantLimits::new(settings, at(5_000));
    for _ in 0..30 {
        drop(call(&tenant, 10, at(5_000)).unwrap());
    }
    let (rate, cell) = tenant.rate().unwrap();
    for _ in 0..40 {
        cell.take(rate, at(5_000));
    }
    let saved = tenant.save(at(5_000));
    let restored = TenantLimits::restored(settings, &saved, at(5_000));
    let (before, after) = (tenant.usage(at(5_000)), restored.usage(at(5_000)));
    assert_eq!(after.tool_calls.unwrap().used, 30);
    assert_eq!(after.bytes.unwrap().used, before.bytes.unwrap().used);
    assert_eq!(after.rate, before.rate);
    assert_eq!(after.rate.unwrap().remaining, 60);
    let later = TenantLimits::restored(settings, &saved, at(6_000)).usage(at(6_000));
    assert_eq!(
        (
            later.tool_calls.unwrap().used,
            later.bytes.unwrap().used,
            later.rate.unwrap().remaining
        ),
        (0, 300, 100)
    );
}
