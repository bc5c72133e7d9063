//! Taking over the configuration file while the server runs: one way, whoever asks.
//!
//! Read, check, compare, start what is new, swap one pointer, let go of what is old. Whatever fails before the swap leaves
//! everything as it was.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use ferromcp_admin::{NotReloaded, Reload, Reloading, Tenants};
use ferromcp_audit::{Audit, Decision, Kind, Record};
use ferromcp_config::{Config, Loaded};
use ferromcp_core::{AccessSettings, Gateway, Reconfiguration, RequestId, Tokens};
use ferromcp_supervisor::watchdog::Watchdog;
use ferromcp_telemetry::Tally;
use ferromcp_upstream::{Next, Prepared, Upstreams};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::args::{Mode, Serve};
use crate::build;
use crate::plan::{Known, Plan, Side, What, same_workers, shown};
use crate::serve::refuse_open_door;
use crate::upgrade::Going;
pub(crate) use files::watch as watch_files;
use history::{History, put_back};

mod files;
mod history;
mod watch;

/// What the audit log keeps of a plan, in bytes.
const NOTE: usize = 4096;

/// What is to be in force.
#[derive(Clone, Debug)]
enum Wanted {
    File,
    /// This text, which is then written to the file.
    Text(String),
    /// The configuration of this number, or the one before the last.
    Earlier(Option<u64>),
}

/// What a running server was made from, and what takes part when that changes.
pub(crate) struct Reloader {
    args: Serve,
    gateway: Arc<Gateway>,
    tenants: Option<Arc<Tenants>>,
    tokens: Option<Arc<Tokens>>,
    audit: Option<Audit>,
    tally: Arc<Tally>,
    /// Reloads that were carried out, and that were refused.
    done: AtomicU64,
    refused: AtomicU64,
    /// One reload at a time.
    state: Arc<Mutex<Option<State>>>,
    /// Another process takes this one's place, or has taken it.
    paused: AtomicBool,
    going: OnceLock<Arc<Going>>,
}

struct State {
    loaded: Loaded,
    upstreams: Upstreams,
    watchdog: Option<Watchdog>,
    lock: Option<JoinHandle<()>>,
    history: History,
}

/// What the server was started with.
pub(crate) struct Parts {
    pub(crate) args: Serve,
    pub(crate) loaded: Loaded,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) tenants: Option<Arc<Tenants>>,
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) audit: Option<Audit>,
    pub(crate) tally: Arc<Tally>,
}

impl Reloader {
    /// Starts the upstream servers.
    pub(crate) fn start(runtime: &Runtime, parts: Parts) -> Arc<Self> {
        let _entered = runtime.enter();
        let Parts {
            args,
            loaded,
            gateway,
            tenants,
            tokens,
            audit,
            tally,
        } = parts;
        let watchdog = build::watchdog(&loaded.config);
        let upstreams = build::upstreams_under(&loaded.config, &gateway, watchdog.as_ref());
        let state = State {
            lock: follow(&loaded.config, &gateway),
            history: History::beginning(&loaded.text),
            loaded,
            upstreams,
            watchdog,
        };
        Arc::new(Self {
            args,
            gateway,
            tenants,
            tokens,
            audit,
            tally,
            done: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            state: Arc::new(Mutex::new(Some(state))),
            paused: AtomicBool::new(false),
            going: OnceLock::new(),
        })
    }

    /// Waits for a reload that is under way, and refuses further ones.
    ///
    /// # Errors
    /// The server is shutting down.
    pub(crate) async fn pause(&self) -> Result<(), NotReloaded> {
        let state = self.state.lock().await;
        self.paused.store(true, Ordering::SeqCst);
        match *state {
            Some(_) => Ok(()),
            None => Err(refused("reload.draining", "the server is shutting down".into())),
        }
    }

    /// Reloads are carried out again.
    pub(crate) fn go_on(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// What carries out upgrades.
    pub(crate) fn set_going(&self, going: Arc<Going>) {
        let _ = self.going.set(going);
    }

    /// How long servers may take to start.
    pub(crate) async fn start_limit(&self) -> Duration {
        let state = self.state.lock().await;
        let Some(state) = &*state else {
            return Duration::ZERO;
        };
        let config = &state.loaded.config;
        let limits = config.servers.iter().filter_map(|server| server.start_timeout);
        limits
            .max()
            .unwrap_or_default()
            .max(config.supervisor.start_timeout)
    }

    /// Waits until every server is ready or down, or had its time. Reloads do not wait for that.
    pub(crate) async fn settled(&self) {
        let limit = self.start_limit().await;
        let settled = match &*self.state.lock().await {
            Some(state) => state.upstreams.settled(limit),
            None => return,
        };
        settled.await;
    }

    /// The text that is in force.
    async fn text(&self) -> Option<Vec<u8>> {
        let state = self.state.lock().await;
        state.as_ref().map(|state| state.loaded.text.clone().into_bytes())
    }

    /// The upstream servers, to be stopped. There are no reloads after that.
    pub(crate) async fn end(&self) -> Option<Upstreams> {
        let state = self.state.lock().await.take()?;
        if let Some(lock) = state.lock {
            lock.abort();
        }
        Some(state.upstreams)
    }

    /// Takes over the file. `who`: for the records.
    pub(crate) async fn reload(self: &Arc<Self>, who: &str) -> Result<Plan, NotReloaded> {
        self.carried_out(who, Wanted::File).await
    }

    /// Takes back an earlier configuration, by default the one before, and writes the file as it was then.
    pub(crate) async fn roll_back(self: &Arc<Self>, who: &str, to: Option<u64>) -> Result<Plan, NotReloaded> {
        self.carried_out(who, Wanted::Earlier(to)).await
    }

    /// The configurations that can be taken back, the last one first.
    pub(crate) async fn generations(&self) -> Value {
        let state = self.state.lock().await;
        state
            .as_ref()
            .map_or_else(|| json!([]), |state| state.history.to_json())
    }

    async fn carried_out(self: &Arc<Self>, who: &str, wanted: Wanted) -> Result<Plan, NotReloaded> {
        let (own, who) = (Arc::clone(self), who.to_owned());
        // What began is brought to its end, whoever waits for it.
        let done = tokio::spawn(async move {
            let begun = SystemTime::now();
            let method = wanted.method();
            let done = own.reloaded(&who, wanted).await;
            own.tell(&who, method, begun, &done);
            done
        });
        done.await.unwrap_or_else(|_| {
            Err(NotReloaded {
                rule: "reload.internal",
                message: "the reload failed inside; the log says where".into(),
            })
        })
    }

    async fn reloaded(self: &Arc<Self>, who: &str, wanted: Wanted) -> Result<Plan, NotReloaded> {
        let mut held = Arc::clone(&self.state).lock_owned().await;
        if self.paused.load(Ordering::SeqCst) {
            return Err(refused(
                "reload.upgrade",
                "another process is taking the place of this one: reload when it has".into(),
            ));
        }
        let Some(state) = held.as_mut() else {
            return Err(refused("reload.draining", "the server is shutting down".into()));
        };
        let given = match wanted {
            Wanted::File => None,
            Wanted::Text(text) => {
                accepts(&state.loaded.config)?;
                Some(text)
            }
            Wanted::Earlier(to) => Some(
                state
                    .history
                    .find(to)
                    .map_err(|e| refused("reload.generation", e))?,
            ),
        };
        let loaded = self.load(given.clone()).await?;
        let plan = self.plan(&state.loaded, &loaded)?;
        if plan.is_empty() {
            state.loaded = loaded;
            return Ok(plan);
        }
        if self.args.mode != Mode::Stdio {
            refuse_open_door(&loaded.config, self.args.insecure_no_auth)
                .map_err(|e| refused("reload.invalid", e.to_string()))?;
        }
        let (sources, prepared) = self.prepare(state, &loaded).await?;
        let (own, who) = (Arc::clone(self), who.to_owned());
        // It may wait for a change through the admin API, which writes to disk.
        let swapped = tokio::task::spawn_blocking(move || {
            let Some(state) = held.as_mut() else { return Ok(()) };
            own.swap(state, loaded, sources, prepared)?;
            state.history.add(&state.loaded.text, &who);
            if let Some((text, file)) = given.zip(own.args.config.as_deref()) {
                put_back(file, &text);
            }
            Ok(())
        });
        swapped
            .await
            .map_err(|e| refused("reload.internal", e.to_string()))??;
        Ok(plan)
    }

    /// Reads and checks the file, or a text in its place.
    async fn load(&self, given: Option<String>) -> Result<Loaded, NotReloaded> {
        let args = self.args.clone();
        let loaded = tokio::task::spawn_blocking(move || match given {
            None => build::loaded(&args),
            Some(text) => build::loaded_again(&args, &text),
        });
        loaded
            .await
            .map_err(|e| refused("reload.internal", e.to_string()))?
            .map_err(|e| refused("reload.invalid", e.to_string()))
    }

    /// What would change.
    async fn planned(&self, given: Option<String>) -> Result<Plan, NotReloaded> {
        let held = self.state.lock().await;
        let Some(state) = held.as_ref() else {
            return Err(refused("reload.draining", "the server is shutting down".into()));
        };
        if given.is_some() {
            accepts(&state.loaded.config)?;
        }
        let loaded = self.load(given).await?;
        self.compared(&state.loaded, &loaded)
    }

    fn plan(&self, old: &Loaded, new: &Loaded) -> Result<Plan, NotReloaded> {
        let plan = self.compared(old, new)?;
        let fixed: Vec<String> = plan
            .refused()
            .map(|change| format!("{}: {} -> {}", change.path, change.from, change.to))
            .collect();
        if fixed.is_empty() {
            return Ok(plan);
        }
        let message = format!("these settings need a restart: {}", fixed.join("; "));
        Err(refused("reload.restart", message))
    }

    fn compared(&self, old: &Loaded, new: &Loaded) -> Result<Plan, NotReloaded> {
        let known = Known::of_catalog(&self.gateway.snapshot().catalog);
        let side = |loaded| Side {
            loaded,
            known: known.clone(),
        };
        Plan::of(&side(old), &side(new)).map_err(|e| refused("reload.invalid", e.to_string()))
    }

    /// Starts the servers that are new or different, and waits until they are ready.
    async fn prepare(&self, state: &mut State, new: &Loaded) -> Result<(Vec<Next>, Prepared), NotReloaded> {
        let (old, new) = (&state.loaded.config, &new.config);
        if state.watchdog.is_none() {
            state.watchdog = build::watchdog(new);
        }
        let mut sources = vec![match old.builtin == new.builtin {
            true => Next::Keep("builtin".into()),
            false => {
                let pack = build::pack(new).map_err(|e| refused("reload.invalid", e.to_string()))?;
                Next::Own(Box::new(pack))
            }
        }];
        if new.builtin.batch {
            sources.push(match old.builtin.batch {
                true => Next::Keep("batch".into()),
                false => Next::Own(Box::new(ferromcp_tools::batch(&self.gateway))),
            });
        }
        let mut specs = Vec::new();
        let mut limit = Duration::ZERO;
        for server in &new.servers {
            let before = old.servers.iter().find(|before| before.id == server.id);
            if before.is_some_and(|before| same_workers((old, before), (new, server))) {
                sources.push(Next::Keep(server.id.clone()));
                continue;
            }
            sources.push(Next::Prepared(server.id.clone()));
            limit = limit.max(server.start_timeout.unwrap_or(new.supervisor.start_timeout));
            specs.push(build::upstream(new, server, state.watchdog.as_ref()));
        }
        let prepared = state.upstreams.prepare(&self.gateway, specs);
        let ready = tokio::select! {
            ready = prepared.ready(limit + Duration::from_secs(1)) => ready,
            // The shutdown waits for the reload, and nobody for what it prepares.
            () = self.draining() => return Err(refused("reload.draining", "the server is shutting down".into())),
        };
        ready.map_err(|failed| {
            let lines: Vec<String> = failed
                .into_iter()
                .map(|(server, reason)| format!("server {server}: {reason}"))
                .collect();
            let message = format!(
                "what is new does not start, so nothing was changed. {}",
                lines.join("; ")
            );
            refused("reload.server", message)
        })?;
        Ok((sources, prepared))
    }

    async fn draining(&self) {
        let mut events = self.gateway.events();
        // Of other events one may be lost, this one not: it is looked for after each.
        while !self.gateway.is_draining() && !matches!(events.recv().await, Err(RecvError::Closed)) {}
    }

    fn swap(
        &self,
        state: &mut State,
        loaded: Loaded,
        sources: Vec<Next>,
        prepared: Prepared,
    ) -> Result<(), NotReloaded> {
        let config = Arc::new(loaded.config.clone());
        let vetting = build::vetting(&config).map_err(|e| refused("reload.invalid", e.to_string()))?;
        let drain = config.supervisor.drain;
        let upstreams = &mut state.upstreams;
        let put = |access: AccessSettings| {
            let next = Reconfiguration {
                identity: build::identity(&config),
                policy: build::policy(&config),
                access,
                vetting,
                sources: Vec::new(),
            };
            upstreams.reconfigure(&self.gateway, next, sources, prepared, drain);
        };
        let done = match &self.tenants {
            Some(tenants) => {
                let rules = build::rules(&config, self.tokens.clone());
                tenants
                    .reconfigure(&self.gateway, rules, put)
                    .map_err(|e| e.to_string())
            }
            None => {
                let before = self.gateway.snapshot();
                let access = build::access_settings(&config, self.tokens.clone(), before.access.directory());
                access.map(put).map_err(|e| e.to_string())
            }
        };
        done.map_err(|message| refused("reload.invalid", message))?;
        if let Some(lock) = state.lock.take() {
            lock.abort();
        }
        state.lock = follow(&config, &self.gateway);
        state.loaded = loaded;
        Ok(())
    }

    /// What came of it, in the log and in the audit log.
    fn tell(&self, who: &str, method: &'static str, begun: SystemTime, done: &Result<Plan, NotReloaded>) {
        let counter = if done.is_ok() { &self.done } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        let (note, rule, outcome) = match done {
            Ok(plan) => {
                let count = |what| plan.servers.iter().filter(|server| server.what == what).count();
                info!(
                    who,
                    servers_added = count(What::Added),
                    servers_changed = count(What::Changed),
                    servers_removed = count(What::Removed),
                    tenants = plan.tenants.len(),
                    settings = plan.settings.len(),
                    "configuration reloaded"
                );
                (shown(plan), None, "ok")
            }
            Err(refusal) => {
                warn!(
                    who,
                    rule = refusal.rule,
                    reason = refusal.message,
                    "configuration not reloaded; the old one stays in force"
                );
                (refusal.message.clone(), Some(refusal.rule), "refused")
            }
        };
        self.record(who, method, begun, (&note, rule, outcome));
    }

    /// Records what came of an upgrade.
    pub(crate) fn record_upgrade(&self, who: &str, begun: SystemTime, done: Result<&str, &NotReloaded>) {
        let told = match done {
            Ok(note) => (note, None, "ok"),
            Err(refusal) => (refusal.message.as_str(), Some(refusal.rule), "refused"),
        };
        self.record(who, "upgrade", begun, told);
    }

    fn record(
        &self,
        who: &str,
        method: &'static str,
        begun: SystemTime,
        (note, rule, outcome): (&str, Option<&'static str>, &'static str),
    ) {
        let Some(audit) = &self.audit else { return };
        let note = &note[..note.floor_char_boundary(NOTE)];
        let record = Record {
            request_id: RequestId::next().to_bytes(),
            principal: Some(who),
            method: Some(method),
            decision: Some(if rule.is_none() {
                Decision::Allow
            } else {
                Decision::Deny
            }),
            rule,
            note: Some(note),
            latency: begun.elapsed().unwrap_or_default(),
            ..Record::new(Kind::Reload, SystemTime::now(), "config", outcome)
        };
        if audit.record(&record).is_err() {
            warn!("a reload could not be recorded");
        }
    }
}

impl Wanted {
    /// What records call it.
    fn method(&self) -> &'static str {
        match self {
            Self::File => "config.reload",
            Self::Text(_) => "config.apply",
            Self::Earlier(_) => "config.rollback",
        }
    }
}

/// Whether a configuration may be sent.
fn accepts(config: &Config) -> Result<(), NotReloaded> {
    if config.admin.as_ref().is_some_and(|admin| admin.accept_config) {
        return Ok(());
    }
    let message = "this server takes no configuration that is sent to it: set admin.accept_config, or put the file in its place and reload";
    Err(refused("reload.config", message.into()))
}

/// The admin API's way to it.
pub(crate) struct ByAdmin(pub(crate) Arc<Reloader>);

impl Reload for ByAdmin {
    fn reload<'a>(&'a self, principal: &'a str, wanted: ferromcp_admin::Wanted) -> Reloading<'a> {
        Box::pin(async move {
            let what = wanted.config.map_or(Wanted::File, Wanted::Text);
            match wanted.watch {
                None => self.0.carried_out(principal, what).await.map(|plan| told(&plan)),
                Some(watch) => watch::watched(&self.0, principal, what, watch).await,
            }
        })
    }

    fn plan(&self, config: Option<String>) -> Reloading<'_> {
        Box::pin(async move { self.0.planned(config).await.map(|plan| told(&plan)) })
    }

    fn counts(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({ "done": read(&self.0.done), "refused": read(&self.0.refused) })
    }

    fn roll_back<'a>(&'a self, principal: &'a str, to: Option<u64>) -> Reloading<'a> {
        Box::pin(async move { self.0.roll_back(principal, to).await.map(|plan| told(&plan)) })
    }

    fn upgrade<'a>(&'a self, principal: &'a str) -> Reloading<'a> {
        Box::pin(async move {
            match self.0.going.get() {
                Some(going) => going.upgrade(principal).await,
                None => Err(refused("upgrade.failed", "the server is still starting".into())),
            }
        })
    }

    fn generations(&self) -> Reloading<'_> {
        Box::pin(async move { Ok(self.0.generations().await) })
    }
}

/// A plan for programs, with its text for people.
fn told(plan: &Plan) -> Value {
    let mut told = plan.to_json();
    told["text"] = shown(plan).into();
    told
}

fn refused(rule: &'static str, message: String) -> NotReloaded {
    NotReloaded { rule, message }
}

/// Follows the lock file, where there is one.
fn follow(config: &Config, gateway: &Arc<Gateway>) -> Option<JoinHandle<()>> {
    let lock = config.lock.clone()?;
    Some(tokio::spawn(build::follow_lock(lock, Arc::clone(gateway))))
}
