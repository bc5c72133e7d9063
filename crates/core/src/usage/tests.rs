use ferromcp_limits::{LimitSettings, Quota, Quotas, Rate, TenantSettings as Limited};
use ferromcp_tenancy::{Directory, TenantSettings};

use super::*;
use crate::access::{Access, AccessSettings};
use crate::call::Credential;
use crate::gateway::Gateway;
use crate::snapshot::{Identity, Policy};

/// Tenants `a`, which has every limit, and `b`, which has none; clients have a rate if `client` says so.
fn gateway(client: Option<&str>) -> Gateway {
    let tenants = ["a", "b"].map(|id| TenantSettings {
        id: id.into(),
        ..TenantSettings::default()
    });
    let limited = Limited {
        rate: Some(Rate::parse("2/s").unwrap().with_burst(4).unwrap()),
        quotas: Quotas {
            tool_calls: Some(Quota::parse_calls("5/min").unwrap()),
            bytes: Some(Quota::parse_bytes("1KiB/h").unwrap()),
            concurrent: Some(3),
            batch_size: Some(7),
        },
    };
    let access = Access::new(AccessSettings {
        directory: Directory::new(&tenants).unwrap(),
        limits: LimitSettings {
            client: client.map(|rate| Rate::parse(rate).unwrap()),
            max_clients: 1024,
            tenants: [("a".to_owned(), limited)].into(),
            ..LimitSettings::default()
        },
        ..AccessSettings::default()
    });
    Gateway::new(Identity::default(), Policy::default(), ()).with_access(access)
}

#[test]
fn every_limit_is_told_with_what_is_used_of_it() {
    let gateway = gateway(None);
    let view = gateway.view(Credential::Tenant("a")).unwrap();
    let limits = view.principal().grants().limits().unwrap();
    limits.charge_bytes(1000, view.snapshot().access.now());
    let mut told = view.usage().json();
    let left = told["quotas"]["bytes"]["resets_in_ms"].take().as_u64().unwrap();
    // A window moves on in sixteenths.
    assert!((3_590_000..=3_825_000).contains(&left), "{left}");
    assert_eq!(
        told,
        json!({
            "tenant": "a",
            "rate": { "limit": 4, "used": 0, "remaining": 4, "resets_in_ms": 0, "calls": 2, "window_ms": 1000 },
            "client_rate": null,
            "concurrent": { "limit": 3, "now": 0, "remaining": 3 },
            "quotas": {
                "tool_calls": { "limit": 5, "used": 0, "remaining": 5, "window_ms": 60_000, "resets_in_ms": 0 },
                "bytes": { "limit": 1024, "used": 1000, "remaining": 24, "window_ms": 3_600_000, "resets_in_ms": null },
                "batch_size": { "limit": 7 },
            },
        })
    );
    // The admin's form is the same but for the client, who is not the one that asks.
    let of_tenant = TenantUsage::of_tenant(view.snapshot(), "a").tenant_json();
    let told = told.as_object().unwrap();
    let of_tenant = of_tenant.as_object().unwrap();
    assert!(
        of_tenant
            .keys()
            .eq(told.keys().filter(|key| *key != "client_rate"))
    );
    assert_eq!(of_tenant["quotas"]["bytes"]["used"], 1000);
}

#[test]
fn more_than_the_limit_leaves_nothing() {
    let gateway = gateway(None);
    let view = gateway.view(Credential::Tenant("a")).unwrap();
    let limits = view.principal().grants().limits().unwrap();
    limits.charge_bytes(5000, view.snapshot().access.now());
    let told = view.usage().json();
    assert_eq!(told["quotas"]["bytes"]["used"], 5000);
    assert_eq!(told["quotas"]["bytes"]["remaining"], 0);
}

#[test]
fn what_is_not_limited_is_null_or_absent() {
    let gateway = gateway(None);
    for (credential, tenant) in [(Credential::Tenant("b"), "b"), (Credential::Anonymous, "local")] {
        let told = gateway.view(credential).unwrap().usage().json();
        let none =
            json!({ "tenant": tenant, "rate": null, "client_rate": null, "concurrent": null, "quotas": {} });
        assert_eq!(told, none);
    }
}

#[test]
fn the_rate_of_a_client_is_its_own() {
    let gateway = gateway(Some("10/h"));
    let left = |tenant: &str| {
        let view = gateway.view(Credential::Tenant(tenant)).unwrap();
        view.usage().client_rate.unwrap().remaining
    };
    let snapshot = gateway.snapshot();
    let view = gateway.view(Credential::Tenant("a")).unwrap();
    let request = ferromcp_limits::Request {
        client: Some(stage::client_key(&snapshot.limits, view.principal())),
        ..ferromcp_limits::Request::default()
    };
    for _ in 0..3 {
        drop(snapshot.limits.admit(&request, snapshot.access.now()).unwrap());
    }
    assert_eq!((left("a"), left("b")), (7, 10));
    // To look takes nothing.
    assert_eq!((left("a"), left("b")), (7, 10));
}

#[test]
fn times_are_rounded_up() {
    for (time, shown) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(2), 2),
        (Duration::from_micros(2001), 3),
        (Duration::MAX, u64::MAX),
    ] {
        assert_eq!(millis(time), shown, "{time:?}");
    }
}
