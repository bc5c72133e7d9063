//! `ferromcp doctor`: is everything there that a configuration needs?
//!
//! Every check is a function that gives findings; all run at once, and are printed in their order as they come.

mod collector;
mod files;
mod finding;
mod machine;
mod remote;
mod servers;
mod settings;

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use ferromcp_config::{Config, Loaded};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use serde_json::json;

use self::finding::{Finding, Secrets, State};
use crate::args::Doctor;
use crate::build;
use crate::exit::Failure;
use crate::files::print;

type Check<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

pub(crate) fn run(args: &Doctor) -> Result<(), Failure> {
    let loaded = match Loaded::from_file(&args.config.path) {
        Ok(loaded) => loaded,
        Err(error) => {
            if args.json {
                let problems = error.problems().iter().map(|problem| {
                    json!({ "line": problem.line(), "column": problem.column(), "path": problem.path(),
                            "message": problem.message(), "expected": problem.expected_text(), "hint": problem.hint_text() })
                });
                let report = json!({ "config": args.config.path.display().to_string(), "ok": false,
                                     "problems": problems.collect::<Vec<_>>() });
                print(&format!("{report}\n"))?;
            }
            if !args.config.path.exists() {
                eprintln!("ferromcp: there is no configuration yet: `ferromcp init` writes one");
            }
            return Err(error.into());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))?;
    let findings = runtime.block_on(examine(args, &loaded))?;
    runtime.shutdown_background();
    let count = |state: State| findings.iter().filter(|one| one.state == state).count();
    let (failed, warned) = (count(State::Fail), count(State::Warn));
    if args.json {
        let report = json!({ "config": args.config.path.display().to_string(), "ok": failed == 0, "failed": failed,
                             "warned": warned, "checks": findings.iter().map(Finding::json).collect::<Vec<_>>() });
        print(&format!("{report}\n"))?;
    } else {
        print(&format!(
            "{} ok, {warned} warn, {failed} failed\n",
            count(State::Ok)
        ))?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Silent) }
}

async fn examine(args: &Doctor, loaded: &Loaded) -> Result<Vec<Finding>, Failure> {
    let config = &loaded.config;
    let watchdog = build::watchdog(config);
    let started = servers::Started::default();
    let mut checks: FuturesOrdered<Check<'_>> = FuturesOrdered::new();
    checks.push_back(Box::pin(ready(vec![summary(args, config)])));
    checks.push_back(Box::pin(ready(settings::risky(config))));
    for port in machine::ports(config) {
        checks.push_back(Box::pin(async move { vec![machine::port(config, port).await] }));
    }
    checks.push_back(Box::pin(ready(machine::open_files(config))));
    checks.push_back(Box::pin(ready(files::credentials(loaded, &args.config.path))));
    checks.push_back(Box::pin(ready(files::certificates(config))));
    checks.push_back(Box::pin(ready(files::directories(config))));
    for server in &config.servers {
        let (started, watchdog) = (&started, watchdog.as_ref());
        checks.push_back(Box::pin(async move {
            vec![servers::server(config, server, watchdog, started).await]
        }));
    }
    checks.push_back(Box::pin(collector::collector(config)));
    checks.push_back(Box::pin(remote::keys(config)));
    checks.push_back(Box::pin(remote::clock(config)));
    let secrets = Secrets::of(config);
    let mut findings = Vec::new();
    let mut show = |finding: Finding| -> Result<(), Failure> {
        let finding = finding.without(&secrets);
        if !args.json {
            print(&finding.line())?;
        }
        findings.push(finding);
        Ok(())
    };
    while let Some(found) = checks.next().await {
        found.into_iter().try_for_each(&mut show)?;
    }
    drop(checks);
    servers::lock(config, &args.config.path, &started)
        .into_iter()
        .try_for_each(&mut show)?;
    started.stop().await;
    Ok(findings)
}

fn summary(args: &Doctor, config: &Config) -> Finding {
    let mut said = format!(
        "{}: {} servers, {} tenants",
        args.config.path.display(),
        config.servers.len(),
        config.tenants.len()
    );
    if config.disabled_servers.is_empty() {
        return Finding::ok("config", said);
    }
    said.push_str(&format!("; disabled: {}", config.disabled_servers.join(", ")));
    Finding::ok("config", said)
}

/// Arc of a configuration with one server, or none.
fn only(config: &Config, servers: Vec<ferromcp_config::Upstream>) -> Arc<Config> {
    Arc::new(Config {
        servers,
        lock: None,
        ..config.clone()
    })
}
