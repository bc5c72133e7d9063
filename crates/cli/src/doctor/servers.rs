//! Each server, started and listed; and what it lists against the lock file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferromcp_config::{Config, Lock, OnUnlocked, PoolSettings, Transport, Upstream};
use ferromcp_core::{Gateway, SourceState};
use ferromcp_supervisor::watchdog::Watchdog;
use ferromcp_upstream::Upstreams;
use futures_util::future::join_all;

use super::finding::Finding;
use super::only;
use crate::build;
use crate::lock::look;
use crate::pins::{Pins, What};

/// How long servers may take to end.
const STOP: Duration = Duration::from_secs(10);

/// The servers that were started.
#[derive(Default)]
pub(super) struct Started(Mutex<Vec<Running>>);

struct Running {
    gateway: Arc<Gateway>,
    upstreams: Upstreams,
}

impl Started {
    fn add(&self, running: Running) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(running);
    }

    pub(super) async fn stop(self) {
        let running = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all = join_all(running.into_iter().map(|one| one.upstreams.stop()));
        // What is left then is ended with this process.
        let _ = tokio::time::timeout(STOP, all).await;
    }
}

/// Starts one server as serve would, with one worker.
pub(super) async fn server(
    config: &Config,
    server: &Upstream,
    watchdog: Option<&Watchdog>,
    started: &Started,
) -> Finding {
    let check = format!("servers.{}", server.id);
    let mut alone = server.clone();
    alone.pool = PoolSettings {
        min: 1,
        max: 1,
        ..PoolSettings::default()
    };
    let limit = server.start_timeout.unwrap_or(config.supervisor.start_timeout);
    let config = only(config, vec![alone]);
    let gateway = Arc::new(Gateway::new(build::identity(&config), build::policy(&config), ()));
    let since = Instant::now();
    let upstreams = build::upstreams_under(&config, &gateway, watchdog);
    upstreams.settled(limit + Duration::from_secs(1)).await;
    let took = since.elapsed();
    let snapshot = gateway.snapshot();
    let listing = snapshot.catalog.sources().iter().find(|listing| listing.foreign);
    let finding = match listing.map(|listing| (listing, &listing.state)) {
        Some((listing, SourceState::Ready)) => {
            Finding::ok(check, format!("{}: {} tools", how(server), listing.tools.len()))
        }
        Some((_, SourceState::Down { reason })) => Finding::fail(check, reason.clone(), fix(server, reason)),
        _ => Finding::fail(
            check,
            format!("not ready after {} s", limit.as_secs()),
            format!(
                "see what it does, or allow it more: servers.{}.start_timeout",
                server.id
            ),
        ),
    };
    started.add(Running { gateway, upstreams });
    finding.taking(took)
}

fn how(server: &Upstream) -> String {
    match &server.transport {
        Transport::Stdio(command) => format!("`{}` starts", command.command),
        Transport::Http(endpoint) => format!("{} answers", endpoint.url.origin().ascii_serialization()),
        Transport::OpenApi(_) => "its document is read".to_owned(),
        Transport::Grpc(grpc) => format!("{} answers", grpc.url.origin().ascii_serialization()),
    }
}

/// What to do, by what was said.
fn fix(server: &Upstream, reason: &str) -> String {
    let id = &server.id;
    let (headers, oauth) = match &server.transport {
        Transport::Stdio(command) => {
            return match reason.contains("not found in PATH") {
                true => format!(
                    "install `{}`, or give its full path in servers.{id}.command",
                    command.command
                ),
                false => format!(
                    "start it by hand and see: {}; it gets PATH, HOME, LANG, TZ, TMPDIR and servers.{id}.env, nothing else",
                    command.command
                ),
            };
        }
        Transport::Http(endpoint) => (&endpoint.headers, endpoint.oauth.is_some()),
        Transport::OpenApi(api) => (&api.headers, api.oauth.is_some()),
        Transport::Grpc(grpc) => (&grpc.headers, false),
    };
    if !reason.contains("HTTP 401") && !reason.contains("HTTP 403") {
        return format!("check the address of servers.{id}, and that it is reached from here: curl -v");
    }
    let named = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .or(headers.first());
    match (oauth, named) {
        (true, _) => format!("the credential of servers.{id}.auth.oauth is not accepted: renew it"),
        (false, Some((name, _))) => {
            format!("the credential in servers.{id}.headers.{name} is not accepted: renew it")
        }
        (false, None) => {
            format!("it wants a credential: set servers.{id}.headers.Authorization, or auth.oauth")
        }
    }
}

/// What the servers that answered list, against the lock file.
pub(super) fn lock(config: &Config, path: &Path, started: &Started) -> Option<Finding> {
    const CHECK: &str = "lock.file";
    let lock = config.lock.as_ref()?;
    let shown = lock.file.display();
    let command = format!("ferromcp lock --config {}", path.display());
    let pins = match build::read_lock(&lock.file) {
        Ok(Some(pins)) => pins,
        Ok(None) => {
            return Some(Finding::fail(
                CHECK,
                format!("there is no {shown}, so serve refuses to start"),
                format!("make it with `{command}`, and look at it"),
            ));
        }
        Err(error) => {
            return Some(Finding::fail(
                CHECK,
                error,
                format!("correct it, or make it anew: {command}"),
            ));
        }
    };
    let live = live(started);
    // What cannot be asked now has not changed.
    let mut asked = Pins::default();
    for (server, locked) in &pins.servers {
        if live.servers.contains_key(server) {
            asked.servers.insert(server.clone(), locked.clone());
        }
    }
    let changes = asked.changes(&live);
    if changes.is_empty() {
        return Some(Finding::ok(
            CHECK,
            format!("{shown}: everything that answers is as locked"),
        ));
    }
    let places: Vec<String> = changes
        .iter()
        .map(|change| format!("{} {}/{}", change.what.as_str(), change.server, change.name))
        .collect();
    let message = format!("{shown}: {} differ: {}", changes.len(), shortened(&places));
    let fix = format!("look with `{command}`, then accept with --accept");
    let withheld = changes.iter().any(|change| is_withheld(lock, &change.what));
    Some(match withheld {
        true => Finding::fail(
            CHECK,
            format!("{message}; what is withheld cannot be called"),
            fix,
        ),
        false => Finding::warn(CHECK, message, fix),
    })
}

fn is_withheld(lock: &Lock, what: &What) -> bool {
    let on = match what {
        What::Added => lock.on_new,
        What::Changed(_) => lock.on_drift,
        What::Removed => return false,
    };
    on == OnUnlocked::Quarantine
}

/// The first few of a list.
fn shortened(places: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = places[..places.len().min(SHOWN)].join(", ");
    if places.len() > SHOWN {
        text.push_str(&format!(" and {} more", places.len() - SHOWN));
    }
    text
}

fn live(started: &Started) -> Pins {
    let mut live = Pins::default();
    for running in started.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        live.servers.extend(look(&running.gateway).pins.servers);
    }
    live
}
