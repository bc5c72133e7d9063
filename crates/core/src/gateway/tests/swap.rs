//! Another [`Access`] while the gateway runs.

use ferromcp_limits::{LimitSettings, Quota, Quotas, Rate, TenantSettings as Limited};
use ferromcp_tenancy::{AclSettings, Directory, List, TenantSettings};

use super::*;

fn tenant(id: &str, deny: &[&str], suspended: bool) -> TenantSettings {
    TenantSettings {
        id: id.into(),
        suspended,
        acl: AclSettings {
            tools: List {
                deny: deny.iter().map(|&tool| tool.into()).collect(),
                ..List::default()
            },
            ..AclSettings::default()
        },
        ..TenantSettings::default()
    }
}

/// Tenants `a` and `b`; `a` has these quotas, and everybody a rate for `echo`.
fn settings(tenants: &[TenantSettings], quotas: Quotas) -> AccessSettings {
    let any = ferromcp_tenancy::Acl::new(&AclSettings::default()).unwrap();
    AccessSettings {
        directory: Directory::new(tenants).unwrap(),
        limits: LimitSettings {
            tenants: [("a".to_owned(), Limited { rate: None, quotas })].into(),
            ..LimitSettings::default()
        },
        tool_rates: vec![(any, Rate::parse("1000/s").unwrap())],
        ..AccessSettings::default()
    }
}

fn calls(quota: &str) -> Quotas {
    Quotas {
        tool_calls: Some(Quota::parse_calls(quota).unwrap()),
        concurrent: Some(2),
        ..Quotas::default()
    }
}

/// How it ended.
async fn by(gateway: &Gateway, tenant: &str, tool: &str) -> Result<(), (ErrorCode, Option<&'static str>)> {
    let outcome = super::by(gateway, tenant, tool).await;
    outcome
        .result
        .map(|_| ())
        .map_err(|error| (error.code(), error.rule()))
}

const SPENT: Result<(), (ErrorCode, Option<&str>)> =
    Err((ErrorCode::QuotaExceeded, Some("quota.tool_calls")));

#[tokio::test]
async fn what_was_used_stays_used_whatever_else_changes() {
    let (gateway, _, source) = gateway(Policy::default());
    let both = [tenant("a", &[], false), tenant("b", &[], false)];
    gateway.set_access(settings(&both, calls("3/h")));
    assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
    // Something else changes; the catalog is published anew in between.
    gateway.set_access(settings(
        &[both[0].clone(), tenant("b", &["echo"], false)],
        calls("3/h"),
    ));
    gateway.publish(listing(&source));
    assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
    assert_eq!(
        by(&gateway, "b", "echo").await,
        Err((ErrorCode::ToolNotFound, None))
    );
    // The quota itself changes: two of four are used.
    gateway.set_access(settings(&both, calls("4/h")));
    assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
    assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
    assert_eq!(by(&gateway, "a", "echo").await, SPENT);
    let snapshot = gateway.snapshot();
    let usage = snapshot.limits.tenant("a").unwrap().usage(snapshot.access.now());
    assert_eq!(
        usage.tool_calls.map(|calls| (calls.used, calls.limit)),
        Some((4, 4))
    );
}

#[tokio::test]
async fn a_rate_that_changes_is_converted_once() {
    let (gateway, _, _) = gateway(Policy::default());
    let rated = |rate: &str| {
        let mut made = settings(&[tenant("a", &[], false)], Quotas::default());
        let rate = Some(Rate::parse(rate).unwrap());
        made.limits.tenants.insert(
            "a".to_owned(),
            Limited {
                rate,
                quotas: Quotas::default(),
            },
        );
        made
    };
    gateway.set_access(rated("100/day"));
    for _ in 0..10 {
        assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
    }
    let left = |gateway: &Gateway| {
        let snapshot = gateway.snapshot();
        let usage = snapshot.limits.tenant("a").unwrap().usage(snapshot.access.now());
        usage.rate.unwrap().remaining
    };
    assert_eq!(left(&gateway), 90);
    gateway.set_access(rated("50/day"));
    // Ten calls used are ten of the new burst.
    assert_eq!(left(&gateway), 40);
}

#[tokio::test(start_paused = true)]
async fn running_calls_end_under_the_old_rules_and_stay_counted() {
    let (gateway, _, _) = gateway(Policy::default());
    let set = |suspended| settings(&[tenant("a", &[], suspended)], calls("1000/h"));
    gateway.set_access(set(false));
    let running: Vec<_> = (0..2)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { by(&gateway, "a", "patient").await })
        })
        .collect();
    while gateway.in_flight() < 2 {
        tokio::task::yield_now().await;
    }
    gateway.set_access(set(true));
    let suspended = Err((ErrorCode::PermissionDenied, Some("auth.tenant.suspended")));
    assert_eq!(by(&gateway, "a", "echo").await, suspended);
    gateway.set_access(set(false));
    let full = Err((ErrorCode::QuotaExceeded, Some("quota.concurrent")));
    assert_eq!(by(&gateway, "a", "echo").await, full);
    for call in running {
        assert_eq!(call.await.unwrap(), Ok(()));
    }
    assert_eq!(by(&gateway, "a", "echo").await, Ok(()));
}

#[tokio::test]
async fn only_tenants_that_see_something_else_are_told() {
    let (gateway, _, _) = gateway(Policy::default());
    let mut events = gateway.events();
    let tenants = |deny: &[&str]| [tenant("a", deny, false), tenant("b", &[], false)];
    gateway.set_access(settings(&tenants(&[]), Quotas::default()));
    let old = gateway.authenticate(Credential::Tenant("a")).unwrap();
    gateway.set_access(settings(&tenants(&["no_such_tool"]), Quotas::default()));
    gateway.set_access(settings(&tenants(&["echo"]), Quotas::default()));
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::AccessChanged(change) = event {
            told.push((change.of("a").tools, change.of("a").prompts, change.of("b").tools));
        }
    }
    assert_eq!(
        told,
        [(false, false, false), (false, false, false), (true, false, false)]
    );
    assert!(gateway.still_admits(&old));
    gateway.set_access(settings(&[tenant("b", &[], false)], Quotas::default()));
    assert!(!gateway.still_admits(&old));
    assert!(!gateway.may_read(&old, "file:///x"));
}
