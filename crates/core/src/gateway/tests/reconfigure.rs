//! Another configuration while the gateway runs.

use ferromcp_limits::{LimitSettings, Quota, Quotas, TenantSettings as Limited};
use ferromcp_tenancy::{AclSettings, Directory, List, TenantSettings};

use super::*;
use crate::event::Lists;

fn tenant(id: &str, allow: &[&str]) -> TenantSettings {
    TenantSettings {
        id: id.into(),
        acl: AclSettings {
            tools: List {
                allow: allow.iter().map(|&tool| tool.into()).collect(),
                ..List::default()
            },
            ..AclSettings::default()
        },
        ..TenantSettings::default()
    }
}

fn access(tenants: &[TenantSettings], before: &Directory) -> AccessSettings {
    let quotas = Quotas {
        tool_calls: Some(Quota::parse_calls("3/h").unwrap()),
        ..Quotas::default()
    };
    AccessSettings {
        directory: before.renewed(tenants).unwrap(),
        limits: LimitSettings {
            tenants: [("a".to_owned(), Limited { rate: None, quotas })].into(),
            ..LimitSettings::default()
        },
        ..AccessSettings::default()
    }
}

fn named(source: &Arc<Tools>, name: &str, tools: &[&str]) -> Box<Listing> {
    let mut listing = Listing::new(name, Arc::clone(source) as Arc<dyn Source>);
    listing.tools = tools.iter().map(|tool| spec(tool)).collect();
    Box::new(listing)
}

fn next(sources: Vec<Slot>, policy: Policy, access: AccessSettings) -> Reconfiguration {
    Reconfiguration {
        identity: Identity::default(),
        policy,
        access,
        vetting: None,
        sources,
    }
}

fn names(gateway: &Gateway) -> Vec<String> {
    gateway
        .snapshot()
        .catalog
        .tools()
        .iter()
        .map(|t| t.name.to_string())
        .collect()
}

#[tokio::test]
async fn sources_come_go_and_stay_in_one_step_and_only_who_sees_it_is_told_once() {
    let (gateway, _, source) = gateway(Policy::default());
    gateway.withdraw("test");
    gateway.publish(*named(&source, "one", &["echo"]));
    gateway.publish(*named(&source, "two", &["sorry", "large"]));
    let tenants = [
        tenant("a", &["*"]),
        tenant("b", &["echo"]),
        tenant("c", &["panic"]),
    ];
    gateway.set_access(access(&tenants, &Directory::default()));
    assert!(by(&gateway, "a", "echo").await.result.is_ok());
    let generation = gateway.snapshot().generation;

    let mut events = gateway.events();
    let slots = vec![
        Slot::Put(named(&source, "three", &["panic"])),
        Slot::Keep("one".into()),
        Slot::Put(named(&source, "two", &["sorry"])),
        Slot::Keep("nobody".into()),
    ];
    let before = gateway.snapshot();
    gateway.reconfigure(next(
        slots,
        Policy::default(),
        access(&tenants, before.access.directory()),
    ));
    assert_eq!(names(&gateway), ["panic", "echo", "sorry"]);
    assert_eq!(gateway.snapshot().generation, generation + 1);
    let Ok(Event::AccessChanged(change)) = events.try_recv() else {
        panic!("one change of views")
    };
    assert!(events.try_recv().is_err(), "and nothing else");
    let tools = Lists {
        tools: true,
        ..Lists::default()
    };
    assert_eq!(
        [change.of("a"), change.of("b"), change.of("c")],
        [tools, Lists::default(), tools]
    );

    // What was used stays used: one of three calls.
    assert!(by(&gateway, "a", "echo").await.result.is_ok());
    assert!(by(&gateway, "a", "sorry").await.result.is_ok());
    let error = by(&gateway, "a", "echo").await.result.unwrap_err();
    assert_eq!(error.rule(), Some("quota.tool_calls"));

    // Nothing is different: nobody is told anything.
    let slots = ["three", "one", "two"].map(|name| Slot::Keep(name.into())).into();
    let before = gateway.snapshot();
    gateway.reconfigure(next(
        slots,
        Policy::default(),
        access(&tenants, before.access.directory()),
    ));
    let Ok(Event::AccessChanged(change)) = events.try_recv() else {
        panic!("streams ask whether they may go on")
    };
    assert_eq!(
        [change.of("a"), change.of("c"), change.of("local")],
        [Lists::default(); 3]
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_under_the_configuration_that_it_began_with() {
    let (gateway, notes, _) = gateway(Policy::default());
    let running = tokio::spawn({
        let gateway = Arc::clone(&gateway);
        async move { call(&gateway, "patient", None).await }
    });
    // It reports every 20 s, and 30 s without a word are the end.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let short = Policy {
        idle_timeout: Duration::from_secs(1),
        max_output: 64,
        ..Policy::default()
    };
    gateway.reconfigure(next(Vec::new(), short, AccessSettings::default()));
    assert!(names(&gateway).is_empty());
    assert_eq!(
        call(&gateway, "echo", Some("{}"))
            .await
            .result
            .unwrap_err()
            .code(),
        ErrorCode::ToolNotFound
    );
    let outcome = running.await.unwrap();
    let Ok(Reply::Complete(payload)) = outcome.result else {
        panic!("{:?}", outcome.result)
    };
    assert!(payload.as_str().contains("done"));
    assert_eq!(notes.take(), ["echo - tool_not_found", "patient test ok"]);
}
