use ferromcp_limits::{Quota, Quotas, TenantSettings as TenantLimitSettings};
use ferromcp_tenancy::{AclSettings, KeySettings, List, NewKey, TenantId, TenantSettings, new_key};

use super::*;

fn key(tenant: &str) -> NewKey {
    new_key(&TenantId::new(tenant).unwrap(), &[7; 32])
}

fn tenant(id: &str, key: &NewKey) -> TenantSettings {
    TenantSettings {
        id: id.into(),
        keys: vec![KeySettings {
            hash: key.hash.to_string(),
            ..KeySettings::default()
        }],
        ..TenantSettings::default()
    }
}

fn access(tenants: &[TenantSettings], anonymous: Anonymous) -> Access {
    Access::new(AccessSettings {
        directory: Directory::new(tenants).unwrap(),
        anonymous,
        ..AccessSettings::default()
    })
}

fn rule(access: &Access, credential: Credential<'_>) -> (ErrorCode, Option<&'static str>) {
    let error = access.principal(credential).unwrap_err();
    (error.code(), error.rule())
}

#[test]
fn without_tenants_everybody_is_the_local_one_whatever_they_show() {
    let access = Access::default();
    for credential in [
        Credential::Local,
        Credential::Anonymous,
        Credential::Token("fmcp_nonsense"),
        Credential::Tenant("local"),
    ] {
        assert_eq!(access.principal(credential).unwrap(), Principal::local());
    }
    assert_eq!(
        rule(&access, Credential::Tenant("a")),
        (ErrorCode::PermissionDenied, Some("auth.tenant.unknown"))
    );
}

#[test]
fn keys_belong_to_tenants_and_anonymous_callers_to_policy() {
    let (a, other) = (key("a"), key("b"));
    let access = access(&[tenant("a", &a)], Anonymous::Refuse);
    let found = access.principal(Credential::Token(&a.key)).unwrap();
    assert_eq!(&*found.tenant, "a");
    let unauthenticated = ErrorCode::Unauthenticated;
    assert_eq!(
        rule(&access, Credential::Anonymous),
        (unauthenticated, Some("auth.missing"))
    );
    for wrong in [other.key.as_str(), "x", "", "a.b.c"] {
        assert_eq!(
            rule(&access, Credential::Token(wrong)),
            (unauthenticated, Some("auth.key.unknown")),
            "{wrong}"
        );
    }
    // Whoever starts the process is not asked.
    assert_eq!(&*access.principal(Credential::Local).unwrap().tenant, "local");
    assert_eq!(&*access.principal(Credential::Tenant("a")).unwrap().tenant, "a");
}

#[test]
fn local_users_may_go_without_while_wrong_credentials_still_fail() {
    let access = access(&[tenant("a", &key("a"))], Anonymous::Local);
    assert_eq!(&*access.principal(Credential::Anonymous).unwrap().tenant, "local");
    assert_eq!(
        rule(&access, Credential::Token("wrong")),
        (ErrorCode::Unauthenticated, Some("auth.key.unknown"))
    );
}

#[test]
fn the_local_tenant_can_be_restricted_like_any_other() {
    let local = TenantSettings {
        id: LOCAL.into(),
        acl: AclSettings {
            tools: List {
                allow: vec!["echo".into()],
                ..List::default()
            },
            ..AclSettings::default()
        },
        ..TenantSettings::default()
    };
    let access = access(&[local], Anonymous::Local);
    let found = access.principal(Credential::Local).unwrap();
    assert!(found.grants().allows(Kind::Tool, "echo"));
    assert!(!found.grants().allows(Kind::Tool, "write_file"));
    assert!(found.grants().allows(Kind::Prompt, "any"));
}

#[test]
fn a_principal_of_an_earlier_configuration_gets_the_grants_of_this_one() {
    let a = key("a");
    let first = access(&[tenant("a", &a)], Anonymous::Refuse);
    let old = first.principal(Credential::Token(&a.key)).unwrap();
    let mut suspended = tenant("a", &a);
    suspended.suspended = true;
    let second = access(&[suspended], Anonymous::Refuse);
    assert_eq!(
        rule(&second, Credential::Proven(&old)),
        (ErrorCode::PermissionDenied, Some("auth.tenant.suspended"))
    );
    let third = access(&[tenant("b", &key("b"))], Anonymous::Refuse);
    assert_eq!(
        rule(&third, Credential::Proven(&old)),
        (ErrorCode::Unauthenticated, Some("auth.key.unknown"))
    );
    // The tenant is there, its key is another one.
    let mut other = tenant("a", &key("a"));
    other.keys[0].hash = key("b").hash.to_string();
    let fourth = access(&[other], Anonymous::Refuse);
    assert_eq!(
        rule(&fourth, Credential::Proven(&old)),
        (ErrorCode::Unauthenticated, Some("auth.key.unknown"))
    );
    assert_eq!(first.principal(Credential::Proven(&old)).unwrap(), old);
}

#[test]
fn acting_for_another_tenant_needs_a_grant() {
    let (a, b) = (key("a"), key("b"));
    let mut may = tenant("a", &a);
    may.may_act_for = vec!["b".into()];
    let access = access(&[may, tenant("b", &b)], Anonymous::Refuse);
    let principal = |key: &NewKey| access.principal(Credential::Token(&key.key)).unwrap();
    assert_eq!(&*access.act_for(&principal(&a), "b").unwrap().tenant, "b");
    assert_eq!(&*access.act_for(&principal(&a), "a").unwrap().tenant, "a");
    for wrong in ["a", "nobody", ""] {
        let error = access.act_for(&principal(&b), wrong).unwrap_err();
        assert_eq!(error.rule(), Some("auth.tenant.act_for"), "{wrong}");
        assert_eq!(error.code(), ErrorCode::PermissionDenied);
    }
    let local = access.principal(Credential::Local).unwrap();
    assert!(access.act_for(&local, "a").is_err());
}

#[test]
fn what_was_used_survives_a_change_of_the_catalog() {
    let quotas = Quotas {
        tool_calls: Some(Quota::parse_calls("2/h").unwrap()),
        ..Quotas::default()
    };
    let limits = LimitSettings {
        tenants: HashMap::from([(LOCAL.to_owned(), TenantLimitSettings { rate: None, quotas })]),
        ..LimitSettings::default()
    };
    let any = Acl::new(&AclSettings::default()).unwrap();
    let access = Access::new(AccessSettings {
        limits,
        tool_rates: vec![(any, Rate::parse("100/s").unwrap())],
        ..AccessSettings::default()
    });
    let principal = access.principal(Credential::Local).unwrap();
    let tenant = principal.grants().limits().unwrap();
    let request = ferromcp_limits::Request {
        tenant: Some(tenant),
        ..ferromcp_limits::Request::default()
    };
    let first = access.limits_with(&Catalog::default(), access.limits());
    assert!(first.admit(&request, access.now()).is_ok());
    let second = access.limits_with(&Catalog::default(), &first);
    assert!(second.admit(&request, access.now()).is_ok());
    let refused = second.admit(&request, access.now()).unwrap_err();
    assert_eq!(refused.rule.id(), "quota.tool_calls");
}
