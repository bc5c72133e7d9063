use super::*;

#[test]
fn ids_are_stable_and_distinct() {
    let ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    assert_eq!(
        ids,
        [
            "limit.rate.global",
            "limit.rate.tenant",
            "limit.rate.client",
            "limit.rate.tool",
            "quota.tool_calls",
            "quota.bytes",
            "quota.concurrent",
            "quota.batch_size",
        ]
    );
    assert!(
        Rule::ALL
            .iter()
            .all(|rule| rule.is_quota() == rule.id().starts_with("quota."))
    );
}

#[test]
fn sentences_say_what_and_what_to_do() {
    let refused = |rule, limit, retry_after| Refused {
        rule,
        limit,
        retry_after,
        reset_after: None,
    };
    let rate = Rate::parse("100/s").unwrap().with_burst(200).unwrap();
    let quota = Quota::parse_calls("1000/min").unwrap();
    for (refused, sentence) in [
        (
            refused(
                Rule::RateClient,
                Limit::Rate(rate),
                Some(Duration::from_nanos(250_000_001)),
            ),
            "the client's rate of 100/s (burst 200) is used up; try again in 0.251 s (rule limit.rate.client)",
        ),
        (
            refused(
                Rule::QuotaToolCalls,
                Limit::Quota(quota),
                Some(Duration::from_millis(12_001)),
            ),
            "the tenant's quota of calls of 1000/min is used up; try again in 13 s (rule quota.tool_calls)",
        ),
        (
            refused(Rule::QuotaConcurrent, Limit::Calls(10), None),
            "the tenant's quota of concurrent calls of 10 is used up; wait for a running call to end (rule quota.concurrent)",
        ),
        (
            refused(Rule::QuotaBatchSize, Limit::Calls(50), None),
            "the tenant's quota of calls per batch of 50 is exceeded; send smaller batches (rule quota.batch_size)",
        ),
    ] {
        assert_eq!(refused.to_string(), sentence);
    }
}
