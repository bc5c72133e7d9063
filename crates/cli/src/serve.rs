//! `ferromcp serve`.

use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ferromcp_adapter_http::{Doors, HttpSettings, Listener, ServerTls, Threads};
use ferromcp_adapter_stdio::Ended;
use ferromcp_admin::{Admin, AdminSettings, Reload, Tenants};
use ferromcp_audit::{Audit, AuditWriter, Handover};
use ferromcp_config::{Config, JwtKeys, LogFormat};
use ferromcp_core::{Access, Credential, Gateway, Tokens};
use ferromcp_endpoint::{Endpoint, EndpointSettings};
use ferromcp_telemetry::{CallLog, CallLogWriter, LogSetup, Records, Tally};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::args::{Mode, Serve};
use crate::build;
use crate::exit::Failure;
use crate::jwks::Keys;
use crate::reload::{self, ByAdmin, Parts, Reloader};
use crate::upgrade::{Coming, Going, Sockets};

mod grpc;
mod notify;
mod over;

/// What is left of the drain limit for ending children after their calls have ended.
const STOP_CHILDREN: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Serve) -> Result<(), Failure> {
    let (coming, sockets) = Coming::of_environment()?.unzip();
    let served = serve(args, coming.as_ref(), sockets.unwrap_or_default());
    if let (Err(failure), Some(coming)) = (&served, &coming) {
        coming.failed(failure);
    }
    served
}

/// `coming`: there is a process whose place this one takes.
fn serve(args: &Serve, coming: Option<&Coming>, mut sockets: Sockets) -> Result<(), Failure> {
    let loaded = build::loaded(args)?;
    let config = Arc::new(loaded.config.clone());
    let http = args.mode != Mode::Stdio;
    if http {
        refuse_open_door(&config, args.insecure_no_auth)?;
    }
    refuse_mixed_output(&config, args)?;
    init_log(&config, args)?;
    let threads = args.threads.map_or_else(cores, usize::from);
    // Bind before anything is started: a taken port must not leave children behind.
    let bound = over::bind(&config, &mut sockets, http.then_some(threads))?;
    let tls = if http { build::tls(&config)? } else { None };
    // What is wrong with the file was found by now.
    coming.map_or(Ok(()), Coming::take)?;
    let mut records = Records::default();
    let _call_log = call_log(&config, &mut records)?;
    let tokens = build::tokens_of(&config)?;
    let tenants = build::tenants(&config, tokens.clone())?;
    let access = build::access(&config, tokens.clone(), tenants.as_deref())?;
    check_tenant(args, &access)?;
    let (recorded, audit) = build::audit(&config, coming.is_some())?.unzip();
    records.audit.clone_from(&recorded);
    let tally = Arc::new(Tally::default());
    records.tally = Some(Arc::clone(&tally));
    records.journal = config.audit.log.as_ref().is_some_and(|log| log.journal);
    let gateway = build::gateway(&config, access, records)?;
    let runtime = runtime(threads)?;
    if let Some(coming) = coming {
        let _entered = runtime.enter();
        coming.listen(recorded.clone())?;
    }
    let reloader = Reloader::start(
        &runtime,
        Parts {
            args: args.clone(),
            loaded,
            gateway: Arc::clone(&gateway),
            tenants: tenants.clone(),
            tokens: tokens.clone(),
            audit: recorded.clone(),
            tally,
        },
    );
    let admin =
        bound
            .admin
            .zip(config.admin.as_ref().zip(tenants.clone()))
            .map(|(socket, (settings, tenants))| {
                let reload = args.config.is_some().then(|| Arc::clone(&reloader));
                (socket, admin(settings, tenants, &gateway, recorded, reload))
            });
    let server = Server {
        config,
        gateway,
        runtime,
        tokens,
        admin,
        reloader,
        tls,
        stop: CancellationToken::new(),
        sockets,
        handed: (tenants, audit.as_ref().map(AuditWriter::handover)),
    };
    let served = server.run((bound.http, bound.grpc), args, coming);
    match audit.map(AuditWriter::close) {
        Some(Err(e)) => {
            eprintln!("ferromcp: the audit log could not be closed: {e}");
            served.and(Err(Failure::Silent))
        }
        _ => served,
    }
}

/// Standard output carries one thing.
fn refuse_mixed_output(config: &Config, args: &Serve) -> Result<(), Failure> {
    if config.audit.stdout && args.mode != Mode::Http {
        return Err(Failure::Usage(
            "audit.stdout: standard output carries MCP in this mode; use --mode http, or write the records to audit.file"
                .into(),
        ));
    }
    Ok(())
}

/// A line in the log for every call, unless that is off.
fn call_log(config: &Config, records: &mut Records) -> Result<Option<CallLogWriter>, Failure> {
    if !config.log.calls {
        return Ok(None);
    }
    let (log, writer) =
        CallLog::start(std::io::stderr()).map_err(|e| Failure::other("cannot start the call log", e))?;
    records.log = Some(log);
    Ok(Some(writer))
}

fn admin(
    settings: &ferromcp_config::Admin,
    tenants: Arc<Tenants>,
    gateway: &Arc<Gateway>,
    audit: Option<Audit>,
    reload: Option<Arc<Reloader>>,
) -> Arc<Admin> {
    Admin::new(AdminSettings {
        keys: build::admin_keys(settings),
        tenants,
        gateway: Arc::clone(gateway),
        audit,
        reload: reload.map(|reload| Arc::new(ByAdmin(reload)) as Arc<dyn Reload>),
    })
}

/// The tenant of stdio is one that there is, and that is not suspended.
fn check_tenant(args: &Serve, access: &Access) -> Result<(), Failure> {
    let Some(tenant) = &args.tenant else {
        return Ok(());
    };
    access
        .principal(Credential::Tenant(tenant))
        .map(|_| ())
        .map_err(|e| Failure::Usage(format!("--tenant {tenant}: {}", e.message())))
}

struct Server {
    config: Arc<Config>,
    gateway: Arc<Gateway>,
    runtime: Runtime,
    tokens: Option<Arc<Tokens>>,
    admin: Option<(TcpListener, Arc<Admin>)>,
    reloader: Arc<Reloader>,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
    sockets: Sockets,
    /// What one process can have at a time.
    handed: (Option<Arc<Tenants>>, Option<Handover>),
}

impl Server {
    fn run(
        mut self,
        (listeners, grpc): (Vec<Listener>, Vec<Listener>),
        args: &Serve,
        coming: Option<&Coming>,
    ) -> Result<(), Failure> {
        let signals = self.runtime.block_on(async { Signals::listen() })?;
        let endpoint = Arc::new(Endpoint::new(
            Arc::clone(&self.gateway),
            EndpointSettings {
                sealing_key: coming.and_then(Coming::sealing_key),
                ..endpoint_settings(&self.config)
            },
        ));
        self.runtime.block_on(self.fetch_keys())?;
        let drain = self.config.supervisor.drain;
        if let Some(coming) = coming {
            self.runtime.block_on(self.reloader.settled());
            coming.check_servers(&self.gateway)?;
            let _entered = self.runtime.enter();
            coming.take_sessions(&endpoint)?;
        } else {
            self.get_ready();
        }
        let going = self.going(args, &endpoint);
        // Before anybody is told that the server is there: a signal that nobody listens for ends the process.
        self.runtime.block_on(async { self.follow(args, &going) })?;
        let admin = self.open_admin(&going);
        let (grpc, grpc_doors) = self.open_grpc(grpc, &endpoint)?;
        let (doors, http_doors) = self.open_http(listeners, &endpoint, drain)?.unzip();
        if let Some(coming) = coming {
            coming.serving();
        }
        notify::serving();
        let open = || {
            grpc_doors
                .as_ref()
                .map_or(0, ferromcp_adapter_grpc::Doors::connections)
                + http_doors.as_ref().map_or(0, Doors::connections)
        };
        let replaced = async {
            going.left().cancelled().await;
            over::served_to_the_end(&self.gateway, open, drain).await;
        };
        let drained = self
            .runtime
            .block_on(self.wait((args, signals), &endpoint, replaced, drain));
        if !going.left().is_cancelled() {
            notify::stopping();
        }
        self.stop.cancel();
        if let Some(admin) = admin {
            // It ends within its own bound; an error was told when it happened.
            let _ = self.runtime.block_on(admin);
        }
        for thread in grpc {
            // Each ends within its own bound.
            let _ = thread.join();
        }
        // The doors wait for calls as long again: only for answers on their way, not for calls that had their time.
        let closed = drained && doors.is_none_or(Threads::join);
        self.runtime.block_on(stop_upstreams(&self.reloader));
        // Whatever still runs now (a blocking tool, say) has had its time.
        self.runtime.shutdown_background();
        if drained && closed {
            return Ok(());
        }
        Err(Failure::Drain(format!(
            "calls were still running after the drain limit of {drain:?}; they were cancelled"
        )))
    }

    /// Health checks say that it is ready when the servers behind it are, or had the time to be.
    fn get_ready(&self) {
        if self.config.servers.is_empty() {
            return;
        }
        self.gateway.starting();
        let (gateway, reloader) = (Arc::clone(&self.gateway), Arc::clone(&self.reloader));
        self.runtime.spawn(async move {
            reloader.settled().await;
            gateway.started();
        });
    }

    /// Reloads at SIGHUP and, where that is asked for, when the file changes. On the runtime.
    fn follow(&self, args: &Serve, going: &Arc<Going>) -> Result<(), Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut hang_up =
                signal(SignalKind::hangup()).map_err(|e| Failure::other("cannot listen for signals", e))?;
            let mut upgrades = signal(SignalKind::user_defined2())
                .map_err(|e| Failure::other("cannot listen for signals", e))?;
            let going = Arc::clone(going);
            tokio::spawn(async move {
                while upgrades.recv().await.is_some() {
                    // What came of it was told.
                    drop(going.upgrade("SIGUSR2").await);
                }
            });
            let reloader = args.config.is_some().then(|| Arc::clone(&self.reloader));
            tokio::spawn(async move {
                while hang_up.recv().await.is_some() {
                    match &reloader {
                        // What came of it was told.
                        Some(reloader) => drop(reloader.reload("SIGHUP").await),
                        None => warn!("SIGHUP: this server was started without a configuration file"),
                    }
                }
            });
        }
        if let Some(file) = args.config.clone().filter(|_| args.watch) {
            tokio::spawn(reload::watch_files(Arc::clone(&self.reloader), file));
        }
        Ok(())
    }

    /// Fetches the keys of tokens before the first one comes, and again from time to time.
    async fn fetch_keys(&self) -> Result<(), Failure> {
        let (Some(tokens), Some(jwt)) = (&self.tokens, &self.config.auth.jwt) else {
            return Ok(());
        };
        let JwtKeys::Url(url) = &jwt.keys else {
            return Ok(());
        };
        let mut keys = Keys::new(Arc::clone(tokens), url.clone(), jwt.jwks_max_age)
            .map_err(|e| Failure::other("cannot read the system's certificates", e))?;
        keys.fetch().await;
        tokio::spawn(keys.keep());
        Ok(())
    }

    /// Opens the admin API beside the doors.
    fn open_admin(&mut self, going: &Arc<Going>) -> Option<tokio::task::JoinHandle<()>> {
        let (socket, admin) = self.admin.take()?;
        let (stop, left) = (self.stop.child_token(), going.left().clone());
        let stop_too = stop.clone();
        self.runtime.spawn(async move {
            left.cancelled().await;
            stop_too.cancel();
        });
        if let Ok(address) = socket.local_addr() {
            if self.config.log.format == LogFormat::Json {
                info!(url = %format_args!("http://{address}/admin/v1"), "admin API listening");
            } else {
                eprintln!("admin API http://{address}/admin/v1");
            }
        }
        Some(self.runtime.spawn(async move {
            if let Err(e) = ferromcp_admin::serve(socket, admin, stop).await {
                warn!(error = %e, "the admin API ended");
            }
        }))
    }

    fn open_http(
        &self,
        listeners: Vec<Listener>,
        endpoint: &Arc<Endpoint>,
        drain: Duration,
    ) -> Result<Option<(Threads, Doors)>, Failure> {
        let Some(address) = listeners.first().map(Listener::local_addr) else {
            return Ok(None);
        };
        let settings = HttpSettings {
            max_body: self.config.validation.max_body,
            allowed_hosts: self.config.listen.allowed_hosts.clone(),
            allowed_origins: self.config.listen.allowed_origins.clone(),
            authorization: build::authorization(&self.config, address),
            guesses: build::guesses(&self.config)?,
            ..HttpSettings::default()
        };
        let doors = match &self.tls {
            None => Doors::new(Arc::clone(endpoint), settings),
            Some(tls) => {
                self.runtime.spawn(build::keep_fresh(Arc::clone(tls)));
                Doors::over_tls(Arc::clone(endpoint), settings, Arc::clone(tls))
            }
        };
        let threads = Threads::start(listeners, &doors, &self.stop, drain)
            .map_err(|e| Failure::other("cannot start the HTTP threads", e))?;
        announce(&self.config, &self.gateway, address);
        Ok(Some((threads, doors)))
    }

    /// Waits for the end of the input (stdio) or a signal, then drains. True if all calls ended.
    async fn wait(
        &self,
        (args, mut signals): (&Serve, Signals),
        endpoint: &Arc<Endpoint>,
        replaced: impl Future<Output = ()>,
        drain: Duration,
    ) -> bool {
        let stop = CancellationToken::new();
        let mut stdio = pin!(self.stdio(args, endpoint, &stop));
        let early = tokio::select! {
            clean = &mut stdio => Some(clean),
            () = signals.stop() => None,
            () = replaced => None,
        };
        self.gateway.refuse_new();
        stop.cancel();
        info!(in_flight = self.gateway.in_flight(), "stopping");
        let rest = async {
            match early {
                Some(clean) => clean,
                None => stdio.await,
            }
        };
        tokio::select! {
            // Both at once, so that no door takes calls while another one drains.
            (drained, clean) = async { tokio::join!(self.gateway.drain(drain), rest) } => drained && clean,
            () = signals.stop() => {
                warn!("second signal: not waiting for calls in flight");
                false
            }
        }
    }

    /// Serves standard input and output, where the mode says so, until the input ends or the stop. False
    /// if calls were cut off.
    async fn stdio(&self, args: &Serve, endpoint: &Arc<Endpoint>, stop: &CancellationToken) -> bool {
        if args.mode == Mode::Http {
            stop.cancelled().await;
            return true;
        }
        let ended = ferromcp_adapter_stdio::serve(
            Arc::clone(endpoint),
            tokio::io::stdin(),
            tokio::io::stdout(),
            stdio_settings(&self.config, args),
            stop.clone().cancelled_owned(),
        );
        match ended.await {
            Ok(Ended::Clean) => info!("standard input ended"),
            Ok(Ended::BrokenPipe) => info!("the client closed standard output"),
            Ok(Ended::DrainTimedOut) => return false,
            Err(e) => warn!(error = %e, "standard input or output failed"),
        }
        true
    }
}

fn endpoint_settings(config: &Config) -> EndpointSettings {
    EndpointSettings {
        max_sessions: config.sessions.max,
        session_idle: config.sessions.idle_ttl,
        init_timeout: config.sessions.init_timeout,
        ..EndpointSettings::default()
    }
}

fn stdio_settings(config: &Config, args: &Serve) -> ferromcp_adapter_stdio::StdioSettings {
    ferromcp_adapter_stdio::StdioSettings {
        max_line: config.validation.max_body,
        drain: config.supervisor.drain,
        tenant: args.tenant.clone(),
        ..Default::default()
    }
}

async fn stop_upstreams(reloader: &Reloader) {
    let stop = async {
        if let Some(upstreams) = reloader.end().await {
            upstreams.stop().await;
        }
    };
    if tokio::time::timeout(STOP_CHILDREN, stop).await.is_err() {
        warn!("some child processes did not end in time and were killed");
    }
}

/// Secure by default: no door that others can reach without authentication.
pub(crate) fn refuse_open_door(config: &Config, insecure: bool) -> Result<(), Failure> {
    let doors = [
        ("--addr", Some(config.listen.http)),
        ("--grpc-addr", config.listen.grpc),
    ];
    for (option, address) in doors {
        let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
            continue;
        };
        if config.authenticates() {
            continue;
        }
        if insecure {
            eprintln!(
                "WARNING: {address} can be reached by others and there is NO AUTHENTICATION (--insecure-no-auth)"
            );
            continue;
        }
        return Err(Failure::Usage(format!(
            "{address} can be reached by others, and no authentication is configured. Give tenants keys (`ferromcp keys \
             new TENANT`) or client certificates, or configure auth.jwt, listen on loopback ({option} 127.0.0.1:{}), or, if something in front of \
             this server authenticates, add --insecure-no-auth",
            address.port()
        )));
    }
    Ok(())
}

fn init_log(config: &Config, args: &Serve) -> Result<(), Failure> {
    let filter = args
        .log
        .clone()
        .unwrap_or_else(|| config.log.level.as_str().to_owned());
    let format = match config.log.format {
        LogFormat::Text => ferromcp_telemetry::LogFormat::Text,
        LogFormat::Json => ferromcp_telemetry::LogFormat::Json,
    };
    ferromcp_telemetry::init(&LogSetup { filter, format }).map_err(|e| Failure::Usage(e.to_string()))
}

/// Says where the doors are, and one line to try.
fn announce(config: &Config, gateway: &Gateway, address: SocketAddr) {
    let base = format!("{}://{address}", build::scheme(config));
    if config.log.format == LogFormat::Json {
        info!(url = base, "listening");
        return;
    }
    let snapshot = gateway.snapshot();
    // A process that takes another's place has the tools of its servers by now.
    let tools = snapshot.catalog.tools().iter();
    let tools = tools
        .filter(|tool| ["builtin", "batch"].contains(&&*tool.source.name))
        .count();
    eprintln!(
        "FerroMCP {}, {tools} built-in tools, {} upstream servers",
        env!("CARGO_PKG_VERSION"),
        config.servers.len()
    );
    eprintln!("  MCP      {base}/mcp            Streamable HTTP, revisions 2024-11-05 to 2026-07-28");
    eprintln!("  REST     {base}/v1/tools       OpenAPI: {base}/v1/openapi.json");
    eprintln!("  health   {base}/health");
    if config.builtin.echo {
        eprintln!("Try:");
        let key = if config.listen.tls.as_ref().is_some_and(|tls| tls.client_required) {
            " --cert client.pem --key client.key"
        } else if config.auth.anonymous == ferromcp_config::Anonymous::Refuse {
            " -H \"x-api-key: $KEY\""
        } else {
            ""
        };
        eprintln!(
            "  curl -s {base}/v1/tools/call{key} -H 'content-type: application/json' \
             -d '{{\"tool\":\"echo\",\"arguments\":{{\"msg\":\"hello\"}}}}'"
        );
    }
    eprintln!("listening {base}");
}

fn runtime(threads: usize) -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("ferromcp")
        .enable_all()
        .build()
        .map_err(|e| Failure::other("cannot start the runtime", e))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The signals that end the server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    /// Kept, as the others are: a signal that comes while nobody waits must not be lost.
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hook = |kind| signal(kind).map_err(|e| Failure::other("cannot listen for signals", e));
            Ok(Self {
                terminate: hook(SignalKind::terminate())?,
                interrupt: hook(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for SIGTERM or SIGINT.
    async fn stop(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
