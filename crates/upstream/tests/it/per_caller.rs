//! Servers whose workers callers do not share: each caller has a child process of its own.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_core::tenancy::{Directory, TenantSettings};
use ferromcp_core::{Access, AccessSettings, CallError, Gateway, Identity, Policy, Principal};
use ferromcp_upstream::{PoolSize, Sharing, UpstreamSpec, Upstreams};
use serde_json::json;

use crate::pools::{release, serial, signal};
use crate::rig::{Ask, Rig, ask};
use crate::{SOON, soon};

fn per(sharing: Sharing, max: usize, idle: Duration) -> UpstreamSpec {
    UpstreamSpec {
        pool: PoolSize {
            min: 1,
            max,
            idle,
            per: sharing,
        },
        ..serial("s", 1, 1)
    }
}

const LONG: Duration = Duration::from_secs(600);

/// With tenants `a` and `b`.
async fn rig(spec: UpstreamSpec) -> Rig {
    let tenant = |id: &str| TenantSettings {
        id: id.into(),
        ..TenantSettings::default()
    };
    let access = Access::new(AccessSettings {
        directory: Directory::new(&[tenant("a"), tenant("b")]).unwrap(),
        ..AccessSettings::default()
    });
    let gateway = Gateway::new(Identity::default(), Policy::default(), ()).with_access(access);
    let gateway = Arc::new(gateway);
    let upstreams = Upstreams::start(&gateway, vec![spec], 100);
    let rig = Rig { gateway, upstreams };
    rig.upstreams.settled(SOON).await;
    rig
}

fn who(tenant: &str, name: &str) -> Principal {
    Principal::unrestricted(tenant, name)
}

async fn call(gateway: &Gateway, who: &Principal, tool: &str, arguments: &str) -> Result<u32, CallError> {
    let wanted = Ask {
        name: tool,
        arguments: Some(arguments),
        principal: Some(who),
        ..Ask::default()
    };
    let raw = soon(ask(gateway, &wanted)).await?;
    let value: serde_json::Value = serde_json::from_str(&raw).unwrap();
    Ok(value["content"][0]["text"].as_str().unwrap().parse().unwrap())
}

impl Rig {
    /// The process that a caller's call runs in.
    async fn pid(&self, who: &Principal) -> u32 {
        call(&self.gateway, who, "s__pid", "{}").await.unwrap()
    }

    /// A call in the background that lasts until it is released; it has begun.
    async fn busy(
        &self,
        who: &Principal,
        directory: &Path,
        mark: &str,
    ) -> tokio::task::JoinHandle<Result<u32, CallError>> {
        let (started, until) = (
            directory.join(format!("{mark}-started")),
            directory.join(format!("{mark}-until")),
        );
        let arguments = json!({ "started": started, "until": until }).to_string();
        let (gateway, who) = (Arc::clone(&self.gateway), who.clone());
        let running = tokio::spawn(async move { call(&gateway, &who, "s__wait", &arguments).await });
        self.until(|_| started.exists()).await;
        running
    }
}

#[tokio::test]
async fn each_principal_has_a_child_of_its_own_and_none_shares_that_which_lists() {
    let rig = rig(per(Sharing::Principal, 16, LONG)).await;
    let lister = rig.pids("s");
    assert_eq!(lister.len(), 1);
    let callers = [who("a", "x"), who("a", "y"), who("b", "x")];
    let mut pids = Vec::new();
    for caller in &callers {
        pids.push(rig.pid(caller).await);
    }
    let different: BTreeSet<u32> = pids.iter().chain(&lister).copied().collect();
    assert_eq!(different.len(), 4, "{pids:?} {lister:?}");
    for (caller, pid) in callers.iter().zip(&pids) {
        assert_eq!(rig.pid(caller).await, *pid);
    }
    let all: BTreeSet<u32> = rig.pids("s").into_iter().collect();
    assert_eq!(all, different);
    rig.stop().await;
}

#[tokio::test]
async fn principals_of_a_tenant_share_a_child_and_tenants_do_not() {
    let rig = rig(per(Sharing::Tenant, 16, LONG)).await;
    let (ax, ay, bx) = (who("a", "x"), who("a", "y"), who("b", "x"));
    let a = rig.pid(&ax).await;
    assert_eq!(rig.pid(&ay).await, a);
    assert_ne!(rig.pid(&bx).await, a);
    rig.stop().await;
}

#[tokio::test]
async fn calls_of_one_caller_at_the_same_time_go_to_its_one_child() {
    let rig = rig(per(Sharing::Principal, 16, LONG)).await;
    let caller = who("a", "x");
    let calls = (0..20).map(|_| rig.pid(&caller));
    let pids: BTreeSet<u32> = futures_util::future::join_all(calls).await.into_iter().collect();
    assert_eq!(pids.len(), 1);
    assert_eq!(rig.pids("s").len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn beyond_the_cap_the_caller_that_was_idle_for_longest_gives_its_child_up() {
    let rig = rig(per(Sharing::Principal, 3, LONG)).await;
    let [first, second, third] = ["first", "second", "third"].map(|name| who("a", name));
    let (one, two) = (rig.pid(&first).await, rig.pid(&second).await);
    // Now the second is idle for longer.
    assert_eq!(rig.pid(&first).await, one);
    let three = rig.pid(&third).await;
    assert!(![one, two].contains(&three), "never the child of somebody else");
    let left: BTreeSet<u32> = rig.pids("s").into_iter().collect();
    assert!(
        left.contains(&one) && left.contains(&three) && !left.contains(&two),
        "{left:?}"
    );
    assert_eq!(left.len(), 3);
    assert_eq!(rig.pid(&first).await, one, "it was not touched");
    assert_ne!(rig.pid(&second).await, two, "a new one");
    assert_eq!(rig.pids("s").len(), 3);
    rig.stop().await;
}

#[tokio::test]
async fn a_caller_waits_while_all_places_have_calls_and_takes_nobodys_child() {
    let directory = tempfile::tempdir().unwrap();
    let rig = rig(per(Sharing::Principal, 2, LONG)).await;
    let (first, second) = (who("a", "first"), who("a", "second"));
    let running = rig.busy(&first, directory.path(), "first").await;
    let waiting = {
        let (gateway, second) = (Arc::clone(&rig.gateway), second.clone());
        tokio::spawn(async move { call(&gateway, &second, "s__pid", "{}").await })
    };
    // It is in, and has no worker.
    rig.until(|rig| rig.gateway.in_flight() == 2).await;
    assert_eq!(rig.pids("s").len(), 2);
    release(directory.path(), "first");
    let one = running.await.unwrap().unwrap();
    let two = soon(waiting).await.unwrap().unwrap();
    assert_ne!(one, two);
    rig.stop().await;
}

#[tokio::test]
async fn children_of_callers_who_stay_away_end_and_the_one_that_lists_stays() {
    let rig = rig(per(Sharing::Principal, 16, Duration::from_millis(50))).await;
    let lister = rig.pids("s");
    for name in ["x", "y", "z"] {
        rig.pid(&who("a", name)).await;
    }
    rig.until_workers("s", 1).await;
    assert_eq!(rig.pids("s"), lister);
    rig.assert_ready("s");
    assert!(rig.tools().contains(&"s__pid".to_owned()));
    rig.stop().await;
}

#[tokio::test]
async fn a_child_that_dies_is_nobody_elses_trouble() {
    let rig = rig(per(Sharing::Principal, 16, LONG)).await;
    let (first, second) = (who("a", "first"), who("a", "second"));
    let (one, two) = (rig.pid(&first).await, rig.pid(&second).await);
    signal(one, "KILL");
    rig.until(|rig| !rig.pids("s").contains(&one)).await;
    rig.assert_ready("s");
    assert_eq!(rig.pid(&second).await, two);
    rig.until_workers("s", 3).await;
    let again = rig.pid(&first).await;
    assert!(again != one && again != two);
    rig.stop().await;
}

#[tokio::test]
async fn without_the_one_that_lists_callers_keep_theirs() {
    let rig = rig(per(Sharing::Principal, 16, LONG)).await;
    let lister = rig.pids("s")[0];
    let caller = who("a", "x");
    let pid = rig.pid(&caller).await;
    signal(lister, "KILL");
    rig.until(|rig| !rig.pids("s").contains(&lister)).await;
    assert_eq!(rig.pid(&caller).await, pid);
    assert!(rig.tools().contains(&"s__pid".to_owned()), "its tools stay");
    rig.until_workers("s", 2).await;
    assert_eq!(
        rig.pid(&caller).await,
        pid,
        "and the new one takes no calls either"
    );
    rig.stop().await;
}
