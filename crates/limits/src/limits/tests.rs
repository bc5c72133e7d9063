use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::{ProptestConfig, prop, prop_assert_eq, proptest};

use super::*;
use crate::tenant::Quotas;
use crate::window::Quota;

fn at(seconds: u64) -> Nanos {
    Nanos::new(seconds * 1_000_000_000)
}

fn rate(text: &str) -> Option<Rate> {
    Some(Rate::parse(text).unwrap())
}

fn tenant(rate_text: &str, calls: &str) -> TenantSettings {
    TenantSettings {
        rate: rate(rate_text),
        quotas: Quotas {
            tool_calls: Some(Quota::parse_calls(calls).unwrap()),
            concurrent: Some(1_000_000),
            ..Quotas::default()
        },
    }
}

fn settings(global: &str, client: &str, tenant_rate: &str, tool: &str, calls: &str) -> LimitSettings {
    LimitSettings {
        global: rate(global),
        client: rate(client),
        max_clients: 1_000,
        tenants: ["a", "b"]
            .map(|id| (id.to_owned(), tenant(tenant_rate, calls)))
            .into(),
        tools: [("tool".to_owned(), Rate::parse(tool).unwrap())].into(),
    }
}

fn request<'a>(limits: &'a Limits, tenant: &str, client: &str) -> Request<'a> {
    Request {
        tenant: limits.tenant(tenant).map(|tenant| &**tenant),
        client: Some(limits.client_key(tenant, client.as_bytes())),
        tool: limits.tool("tool").map(|tool| &**tool),
        bytes: 10,
    }
}

#[test]
fn each_limit_refuses_with_its_rule_and_leaves_the_others_alone() {
    let many = "1000/s";
    for (few, rule) in [
        (settings("3/s", many, many, many, "1000/min"), "limit.rate.global"),
        (settings(many, "3/s", many, many, "1000/min"), "limit.rate.client"),
        (settings(many, many, "3/s", many, "1000/min"), "limit.rate.tenant"),
        (settings(many, many, many, "3/s", "1000/min"), "limit.rate.tool"),
        (settings(many, many, many, many, "3/min"), "quota.tool_calls"),
    ] {
        let limits = Limits::new(&few, at(100));
        let request = request(&limits, "a", "one");
        let admitted: Vec<_> = (0..10).map(|_| limits.admit(&request, at(100))).collect();
        assert_eq!(admitted.iter().filter(|call| call.is_ok()).count(), 3, "{rule}");
        let refused = admitted[9].as_ref().unwrap_err();
        assert_eq!(refused.rule.id(), rule);
        let wait = refused.retry_after.unwrap();
        for standing in limits.explain(&request, at(100)) {
            let fewest = standing.rule.id() == rule;
            assert_eq!(standing.allowed, !fewest, "{standing:?}");
            let used = standing.limit - standing.remaining;
            assert_eq!(used, 3, "{rule}: {standing:?}");
        }
        let client = request.client.unwrap();
        let own = limits.client_usage(client, at(100));
        let expected = few.client.map(|rate| rate.burst() - 3);
        assert_eq!(own.map(|usage| usage.remaining), expected, "{rule}");
        let before = at(100).after(wait - Duration::from_nanos(1));
        assert!(limits.admit(&request, before).is_err(), "{rule}");
        assert!(limits.admit(&request, at(100).after(wait)).is_ok(), "{rule}");
    }
}

#[test]
fn what_is_not_set_is_not_limited() {
    let limits = Limits::new(&LimitSettings::default(), at(1));
    assert!(limits.tenant("a").is_none() && limits.tool("tool").is_none());
    let request = request(&limits, "a", "one");
    for _ in 0..1_000 {
        let admitted = limits.admit(&request, at(1)).unwrap();
        assert_eq!(admitted.tightest(), None);
    }
    assert!(limits.explain(&request, at(1)).is_empty());
    assert_eq!(limits.client_usage(request.client.unwrap(), at(1)), None);
    assert!(limits.clients().is_empty());
}

#[test]
fn a_million_clients_are_limited_in_the_memory_of_the_configured_ones() {
    let mut set = settings("1000000/s", "2/h", "1000000/s", "1000000/s", "1000000000/min");
    set.max_clients = 100_000;
    let limits = Limits::new(&set, at(100));
    let (bytes, slots) = (limits.clients().bytes(), limits.clients().slots());
    // The figure of bench/README.md.
    assert_eq!((slots, bytes >> 20), (262_144, 4));
    let mut passed = 0u64;
    for client in 0u32..1_000_000 {
        let now = Nanos::new(at(100).get() + u64::from(client) * 100_000);
        let request = Request {
            client: Some(limits.client_key(["a", "b"][client as usize % 2], &client.to_le_bytes())),
            ..request(&limits, "a", "")
        };
        passed += u64::from(limits.admit(&request, now).is_ok());
        if client % 100_000 == 0 {
            assert!(limits.clients().len() <= slots);
        }
    }
    assert_eq!(limits.clients().bytes(), bytes);
    assert!(limits.clients().len() <= slots);
    // Whoever invents clients gets no more than every slot's burst and what 100 s give back.
    assert!(passed <= slots as u64 * 3, "{passed}");
}

#[test]
fn the_tightest_rate_is_what_headers_tell() {
    let limits = Limits::new(&settings("1000/s", "50/s", "20/s", "30/s", "1000/min"), at(1));
    let admitted = limits.admit(&request(&limits, "a", "one"), at(1)).unwrap();
    let tightest = admitted.tightest().unwrap();
    assert_eq!(
        (tightest.rule, tightest.limit, tightest.remaining),
        (Rule::RateTenant, 20, 19)
    );
    assert_eq!(tightest.reset_after, Duration::from_millis(50));
    assert_eq!(admitted.standings().count(), 4);
}

#[test]
fn threads_never_exceed_a_limit_and_refused_calls_leave_nothing() {
    // Each of the limits in turn is the one that refuses; the others must have counted exactly what passed.
    // Below the burst from which on the server's rate lies in shards, so that its remainder is exact.
    let most = "8000/s";
    for (set, passes) in [
        (settings("2000/s", most, most, most, "10000/min"), 2_000),
        (settings(most, most, "1000/s", most, "10000/min"), 2_000),
        (settings(most, most, most, "1500/s", "10000/min"), 1_500),
        (settings(most, most, most, most, "700/min"), 1_400),
        (settings(most, "300/s", most, most, "10000/min"), 1_200),
    ] {
        let limits = Limits::new(&set, at(100));
        let (passed, barrier) = (AtomicU64::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for thread in 0..8 {
                let (limits, passed, barrier) = (&limits, &passed, &barrier);
                scope.spawn(move || {
                    let request = request(limits, ["a", "b"][thread % 2], ["x", "y"][thread / 2 % 2]);
                    barrier.wait();
                    for _ in 0..2_000 {
                        let admitted = limits.admit(&request, at(100)).is_ok();
                        passed.fetch_add(u64::from(admitted), Ordering::Relaxed);
                    }
                });
            }
        });
        let mut passed = passed.into_inner();
        assert!(passed <= passes, "{passed} of {passes}");
        // What another thread held for a moment may have been refused: it must be there now.
        for (tenant, client) in [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")] {
            while limits.admit(&request(&limits, tenant, client), at(100)).is_ok() {
                passed += 1;
            }
        }
        assert_eq!(passed, passes);
        let counted = |rule| {
            let standings = limits.explain(&request(&limits, "a", "x"), at(100));
            let standing = standings
                .into_iter()
                .find(|standing| standing.rule == rule)
                .unwrap();
            standing.limit - standing.remaining
        };
        assert_eq!(counted(Rule::RateGlobal), passed);
        assert_eq!(counted(Rule::RateTool), passed);
        let calls: u64 = ["a", "b"]
            .map(|id| limits.tenant(id).unwrap().usage(at(100)))
            .map(|usage| {
                (
                    usage.tool_calls.unwrap().used,
                    usage.concurrent.unwrap().0,
                    usage.rate.unwrap(),
                )
            })
            .map(|(calls, running, rate)| {
                let used = rate.rate.burst() - rate.remaining;
                assert_eq!((running, calls), (0, u64::from(used)));
                calls
            })
            .iter()
            .sum();
        assert_eq!(calls, passed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_flooding_tenant_changes_nothing_for_others(
        calls in prop::collection::vec((0u64..80_000_000, 0usize..60), 1..120),
    ) {
        let set = settings("5000/s", "50/s", "40/s", "4000/s", "500/min");
        let (alone, flooded) = (Limits::new(&set, at(100)), Limits::new(&set, at(100)));
        let mut now = at(100);
        for (pause, flood) in calls {
            now = Nanos::new(now.get() + pause);
            for call in 0..flood {
                let client = ["x", "y", "z"][call % 3];
                let _ = flooded.admit(&request(&flooded, "a", client), now);
            }
            let one = alone.admit(&request(&alone, "b", "x"), now).map(|_| ());
            let other = flooded.admit(&request(&flooded, "b", "x"), now).map(|_| ());
            prop_assert_eq!(one, other);
        }
    }
}

#[test]
fn new_settings_keep_what_was_used() {
    let old = Limits::new(
        &settings("1000/s", "100/min", "200/s", "300/s", "1000/min"),
        at(100),
    );
    let call = request(&old, "a", "one");
    for _ in 0..60 {
        drop(old.admit(&call, at(100)).unwrap());
    }
    let mut set = settings("2000/s", "80/min", "200/s", "100/s", "50/h");
    set.max_clients = 50_000;
    set.tenants.remove("b");
    set.tenants.insert("c".into(), TenantSettings::default());
    let new = old.with_settings(&set, at(100));
    let standings = new.explain(
        &Request {
            client: call.client,
            ..request(&new, "a", "one")
        },
        at(100),
    );
    let left = |rule| {
        standings
            .iter()
            .find(|standing| standing.rule == rule)
            .unwrap()
            .remaining
    };
    assert_eq!(left(Rule::RateClient), 20, "keys stay good in a larger table");
    assert_eq!(left(Rule::RateTenant), 140);
    assert_eq!(left(Rule::RateTool), 40);
    assert_eq!(left(Rule::RateGlobal), 1_940);
    assert_eq!(left(Rule::QuotaToolCalls), 0);
    assert_eq!(new.client_key("a", b"one"), call.client.unwrap());
    assert!(new.tenant("b").is_none() && new.tenant("c").is_some());
    let same = new.with_settings(&set, at(100));
    assert!(
        Arc::ptr_eq(same.tenant("a").unwrap(), new.tenant("a").unwrap()),
        "unchanged is the same"
    );
}

#[test]
fn a_restart_keeps_what_was_used() {
    let set = settings("1000/s", "100/min", "200/min", "300/min", "1000/min");
    let old = Limits::new(&set, at(100));
    for _ in 0..60 {
        drop(old.admit(&request(&old, "a", "one"), at(100)).unwrap());
    }
    let saved = old.save(at(100));
    assert_eq!(saved.tenants.len(), 2);
    let new = Limits::restored(&set, &saved, at(100));
    assert_eq!(new.save(at(100)), saved);
    let standings = new.explain(&request(&new, "a", "one"), at(100));
    let used: Vec<_> = standings
        .iter()
        .map(|one| (one.rule.id(), one.limit - one.remaining))
        .collect();
    assert_eq!(
        used,
        [
            ("limit.rate.client", 0),
            ("limit.rate.tenant", 60),
            ("limit.rate.tool", 60),
            ("limit.rate.global", 60),
            ("quota.concurrent", 0),
            ("quota.tool_calls", 60),
        ]
    );
    assert_eq!(
        Limits::restored(&set, &saved, at(10_000)).save(at(10_000)).tools,
        []
    );
}

#[test]
fn what_was_taken_is_given_back_when_another_thread_was_faster() {
    let many = "1000/s";
    for (few, rule) in [
        (settings("1/s", many, many, many, "1000/min"), "limit.rate.global"),
        (settings(many, many, many, "1/s", "1000/min"), "limit.rate.tool"),
        (settings(many, many, "1/s", many, "1000/min"), "limit.rate.tenant"),
    ] {
        let limits = Limits::new(&few, at(100));
        let request = request(&limits, "a", "one");
        drop(limits.admit(&request, at(100)).unwrap());
        let before = limits.explain(&request, at(100));
        // Past the first look, as after losing a race.
        for _ in 0..5 {
            assert_eq!(limits.take_rates(&request, at(100)).unwrap_err().rule.id(), rule);
        }
        assert_eq!(limits.explain(&request, at(100)), before, "{rule}");
    }
}

#[test]
fn a_call_that_is_refused_at_the_first_look_writes_nothing() {
    let limits = Limits::new(&settings("1000/s", "10/s", "10/s", "1/s", "10/min"), at(100));
    drop(limits.admit(&request(&limits, "a", "one"), at(100)).unwrap());
    for number in 0..100 {
        let client = format!("client {number}");
        assert!(limits.admit(&request(&limits, "a", &client), at(100)).is_err());
    }
    assert_eq!(
        limits.clients().len(),
        1,
        "refused newcomers take no slot of the table"
    );
}
