//! One call of the built-in echo with every guard on, next to the same call with none, in the same run:
//! `cargo bench -p ferromcp-telemetry`.
//!
//! On: an API key, an access list, rates of client, tenant, tool and all, quotas, pattern rules, the tool's schema, redaction
//! of secrets and personal data, an audit record. The writer of the log empties its queue between bursts of calls, so its work,
//! which another core does, is not in the time; `cargo bench -p ferromcp-audit` has it apart.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ferromcp_audit::{Audit, Config};
use ferromcp_core::guard::{PatternConfig, PatternPolicy, Redactor, Sensitive};
use ferromcp_core::tenancy::{
    Acl, AclSettings, Directory, KEY_RANDOM_BYTES, KeySettings, List, TenantId, TenantSettings, new_key,
};
use ferromcp_core::{
    Access, AccessSettings, Anonymous, Call, Credential, Door, Gateway, Identity, NoClient, Operation,
    Policy, SchemaMode,
};
use ferromcp_limits::{LimitSettings, Quota, Quotas, Rate, TenantSettings as Limited};
use ferromcp_protocol::{ProtocolVersion, RequestMeta};
use ferromcp_telemetry::Records;

/// Calls between two times at which the queue of the log is emptied: far fewer than it holds.
const BURST: u64 = 2_000;

/// A rate that nothing here uses up.
fn plenty() -> Rate {
    Rate::parse("1000000/s")
        .unwrap()
        .with_burst(1_000_000_000)
        .unwrap()
}

fn list(allow: &[&str], deny: &[&str]) -> AclSettings {
    let owned = |patterns: &[&str]| patterns.iter().map(|&text| text.to_owned()).collect();
    AclSettings {
        tools: List {
            allow: owned(allow),
            deny: owned(deny),
            ..List::default()
        },
        ..AclSettings::default()
    }
}

/// Everything that a configuration can turn on for a call, and the key of its tenant.
fn guarded() -> (AccessSettings, String) {
    let key = new_key(&TenantId::new("acme").unwrap(), &[7; KEY_RANDOM_BYTES]);
    let tenant = TenantSettings {
        id: "acme".to_owned(),
        keys: vec![KeySettings {
            hash: key.hash.to_string(),
            name: "laptop".to_owned(),
            expires: None,
        }],
        acl: list(&["echo", "files_*"], &["*_delete"]),
        ..TenantSettings::default()
    };
    let limits = Limited {
        rate: Some(plenty()),
        quotas: Quotas {
            tool_calls: Some(Quota::new(1 << 60, Duration::from_secs(86_400)).unwrap()),
            bytes: Some(Quota::new(1 << 60, Duration::from_secs(86_400)).unwrap()),
            concurrent: Some(1_000),
            ..Quotas::default()
        },
    };
    let settings = AccessSettings {
        directory: Directory::new(&[tenant]).unwrap(),
        anonymous: Anonymous::Refuse,
        patterns: Some(PatternPolicy::compile(&PatternConfig::default()).unwrap()),
        limits: LimitSettings {
            global: Some(plenty()),
            client: Some(plenty()),
            max_clients: 65_536,
            tenants: [("acme".to_owned(), limits)].into(),
            ..LimitSettings::default()
        },
        tool_rates: vec![(Acl::new(&list(&["echo"], &[])).unwrap(), plenty())],
        ..AccessSettings::default()
    };
    (settings, key.key)
}

/// The call never waits, so it needs no runtime to be polled to its end.
fn call(gateway: &Gateway, credential: Credential<'_>) {
    let meta = RequestMeta::default();
    let call = Call {
        operation: Operation::CallTool,
        name: "echo",
        arguments: Some(r#"{"msg":"hello, world"}"#),
        params: None,
        meta: &meta,
        version: ProtocolVersion::LATEST,
        door: Door::Library,
        credential,
        tenant: None,
        client: &NoClient,
        input: None,
        timeout: None,
    };
    let mut future = pin!(gateway.call(&call));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => assert!(outcome.result.is_ok(), "{outcome:?}"),
        Poll::Pending => panic!("an echo does not wait"),
    }
}

fn benchmark(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gateway_call");
    group.throughput(Throughput::Elements(1));

    let off = Policy {
        schema: SchemaMode::Off,
        ..Policy::default()
    };
    let bare = Gateway::new(Identity::default(), off, Records::default());
    bare.publish(ferromcp_tools::echo());
    group.bench_function("baseline: no guard", |bencher| {
        bencher.iter(|| call(black_box(&bare), Credential::Local));
    });

    let (access, key) = guarded();
    let kinds: Vec<Sensitive> = Sensitive::ALL.to_vec();
    let on = Policy {
        redact: Redactor::new(&kinds),
        ..Policy::default()
    };
    let mut config = Config::new(None);
    config.queue_bytes = 64 << 20;
    config.sink = Some(Box::new(std::io::sink()));
    // So that the writer sleeps while the time is taken; then it is made to empty the queue.
    config.limits.commit_delay = Duration::from_secs(10);
    let (audit, writer) = Audit::open(config).unwrap();
    let records = Records {
        audit: Some(audit.clone()),
        ..Records::default()
    };
    let gateway = Gateway::new(Identity::default(), on, records).with_access(Access::new(access));
    gateway.publish(ferromcp_tools::echo());
    group.bench_function("everything on", |bencher| {
        bencher.iter_custom(|count| {
            let mut total = Duration::ZERO;
            let mut left = count;
            while left > 0 {
                let burst = left.min(BURST);
                left -= burst;
                let start = Instant::now();
                for _ in 0..burst {
                    call(black_box(&gateway), Credential::Token(&key));
                }
                total += start.elapsed();
                audit.flush().wait().unwrap();
            }
            total
        });
    });
    group.finish();
    writer.close().unwrap();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
