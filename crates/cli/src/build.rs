//! From a configuration to a running gateway.

mod access;
mod admin;
mod audit;
mod http;
mod lock;
mod patterns;
mod tls;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferromcp_config::{Config, Files, Loaded, Override};
use ferromcp_core::catalog::{Edit, Edits};
use ferromcp_core::{Access, Gateway, Identity, Listing, Observer, Policy, ScanLimits, SchemaMode};
use ferromcp_supervisor::watchdog::{Watchdog, WatchdogSpec};
use ferromcp_supervisor::{ChildSpec, Resources};
use ferromcp_tools::FilesSettings;
use ferromcp_upstream::{Effect, EraChoice, PoolSize, Sharing, TransportSpec, UpstreamSpec, Upstreams};

use tracing::warn;

use crate::args::Serve;
use crate::exit::Failure;

pub(crate) use access::{access, access_settings, authorization, directory, guesses, tokens_of};
pub(crate) use admin::{keys as admin_keys, rules, tenants};
pub(crate) use audit::audit;
pub(crate) use lock::{follow_lock, read as read_lock, vetting};
pub(crate) use tls::{keep_fresh, scheme, tls};

/// Reads the configuration that the arguments name, and lays the arguments over it.
pub(crate) fn loaded(args: &Serve) -> Result<Loaded, Failure> {
    let loaded = match &args.config {
        Some(path) => Loaded::from_file(path)?,
        None => Loaded::default(),
    };
    overlaid(loaded, args)
}

/// The same from a text that the file had once.
pub(crate) fn loaded_again(args: &Serve, text: &str) -> Result<Loaded, Failure> {
    let origin = args.config.as_deref().unwrap_or(Path::new(""));
    let loaded = Loaded::from_yaml(text, origin, &|name| std::env::var(name).ok())?;
    overlaid(loaded, args)
}

fn overlaid(mut loaded: Loaded, args: &Serve) -> Result<Loaded, Failure> {
    let config = &mut loaded.config;
    if let Some(addr) = args.addr {
        config.listen.http = addr;
        loaded.given.decided_elsewhere("listen.http");
    }
    if let Some(addr) = args.grpc_addr {
        config.listen.grpc = Some(addr);
    }
    if !args.root.is_empty() {
        let mut roots = Vec::new();
        for root in &args.root {
            if !root.is_dir() {
                return Err(Failure::Usage(format!(
                    "--root {}: not a directory",
                    root.display()
                )));
            }
            roots.push(root.clone());
        }
        config.builtin.files = Some(Files {
            roots,
            write: args.write,
            delete: args.delete,
            max_read: Files::DEFAULT_MAX_READ,
        });
        loaded.given.decided_elsewhere("builtin.files");
    }
    if args.log.is_some() {
        loaded.given.decided_elsewhere("log.level");
    }
    Ok(loaded)
}

/// The gateway with everything that does not have to be started.
pub(crate) fn gateway(
    config: &Config,
    access: Access,
    observer: impl Observer,
) -> Result<Arc<Gateway>, Failure> {
    let gateway = Gateway::new(identity(config), policy(config), observer).with_access(access);
    let gateway = Arc::new(gateway);
    gateway.publish(pack(config)?);
    if config.builtin.batch {
        gateway.publish(ferromcp_tools::batch(&gateway));
    }
    if let Some(vetting) = vetting(config)? {
        gateway.set_vetting(Some(vetting));
    }
    Ok(gateway)
}

/// The built-in tools.
pub(crate) fn pack(config: &Config) -> Result<Listing, Failure> {
    let files = config.builtin.files.as_ref().map(|files| FilesSettings {
        roots: files.roots.clone(),
        write: files.write,
        delete: files.delete,
        max_read: files.max_read,
        ..FilesSettings::default()
    });
    let settings = ferromcp_tools::Settings {
        echo: config.builtin.echo,
        files: files.unwrap_or_default(),
    };
    ferromcp_tools::listing(&settings).map_err(|e| Failure::Usage(format!("built-in tools: {e}")))
}

pub(crate) fn identity(config: &Config) -> Identity {
    let (given, own) = (&config.server, Identity::default());
    Identity {
        name: given.name.clone().unwrap_or(own.name),
        title: given.title.clone().or(own.title),
        version: given.version.clone().unwrap_or(own.version),
        instructions: given.instructions.clone(),
    }
}

pub(crate) fn policy(config: &Config) -> Policy {
    let (validation, supervisor) = (&config.validation, &config.supervisor);
    Policy {
        scan: ScanLimits {
            max_bytes: validation.max_body,
            max_depth: validation.max_depth,
            max_string: validation.max_string,
            max_items: validation.max_items,
            ..ScanLimits::default()
        },
        schema: if validation.enforce_schema {
            SchemaMode::Enforce
        } else {
            SchemaMode::Off
        },
        redact: patterns::redactor(validation.redact),
        idle_timeout: supervisor.default_timeout,
        max_timeout: supervisor.max_timeout,
        max_output: validation.max_output,
        max_in_flight: config.limits.max_in_flight,
    }
}

/// Starts the upstream servers of the configuration. They connect in the background.
pub(crate) fn upstreams(config: &Config, gateway: &Arc<Gateway>) -> Upstreams {
    upstreams_under(config, gateway, watchdog(config).as_ref())
}

/// The same, under a watchdog that there is already.
pub(crate) fn upstreams_under(
    config: &Config,
    gateway: &Arc<Gateway>,
    watchdog: Option<&Watchdog>,
) -> Upstreams {
    let specs = config
        .servers
        .iter()
        .map(|server| upstream(config, server, watchdog))
        .collect();
    Upstreams::start(gateway, specs, config.supervisor.max_workers)
}

/// The process that ends our children if we are killed; only where there will be children.
pub(crate) fn watchdog(config: &Config) -> Option<Watchdog> {
    let is_child =
        |server: &ferromcp_config::Upstream| matches!(server.transport, ferromcp_config::Transport::Stdio(_));
    if !config.servers.iter().any(is_child) {
        return None;
    }
    // The running program itself, also when another one has taken its place on disk.
    let own = std::path::PathBuf::from("/proc/self/exe");
    let program = if own.exists() {
        Ok(own)
    } else {
        std::env::current_exe()
    };
    let started = program.and_then(|program| {
        Watchdog::start(WatchdogSpec {
            program,
            args: vec!["__watchdog".into()],
        })
    });
    started
        .inspect_err(|error| {
            warn!(%error, "no watchdog: if this process is killed, what its servers started may stay behind");
        })
        .ok()
}

pub(crate) fn upstream(
    config: &Config,
    server: &ferromcp_config::Upstream,
    watchdog: Option<&Watchdog>,
) -> UpstreamSpec {
    let transport = match &server.transport {
        ferromcp_config::Transport::Stdio(command) => {
            let mut spec = ChildSpec::new(&server.id, &command.command);
            spec.args = command.args.iter().map(|a| a.expose().into()).collect();
            spec.env = command
                .env
                .iter()
                .map(|(k, v)| (k.into(), v.expose().into()))
                .collect();
            spec.cwd = command.cwd.clone();
            spec.watchdog = watchdog.cloned();
            spec.resources = Resources {
                memory: command.limits.memory,
                cpu_time: command.limits.cpu_time,
                open_files: command.limits.open_files,
                processes: command.limits.processes,
            };
            TransportSpec::Stdio(spec)
        }
        ferromcp_config::Transport::Http(endpoint) => {
            TransportSpec::Http(http::endpoint(&server.id, endpoint))
        }
        ferromcp_config::Transport::OpenApi(api) => {
            TransportSpec::Service(Arc::new(http::openapi(&server.id, api)))
        }
        ferromcp_config::Transport::Grpc(grpc) => {
            TransportSpec::Service(Arc::new(http::grpc(&server.id, grpc)))
        }
    };
    let filter = server.tools.clone();
    UpstreamSpec {
        name: server.id.as_str().into(),
        prefix: server.prefix.as_str().into(),
        transport,
        era: match server.era {
            ferromcp_config::Era::Auto => EraChoice::Auto,
            ferromcp_config::Era::Legacy => EraChoice::Legacy,
            ferromcp_config::Era::Modern => EraChoice::Modern,
        },
        call_timeout: server.timeout,
        start_timeout: server.start_timeout.unwrap_or(config.supervisor.start_timeout),
        tools: Arc::new(move |name: &str| filter.admits(name)),
        pool: PoolSize {
            min: server.pool.min,
            max: server.pool.max,
            idle: server.pool.idle,
            per: match server.pool.per {
                ferromcp_config::Sharing::All => Sharing::All,
                ferromcp_config::Sharing::Tenant => Sharing::Tenant,
                ferromcp_config::Sharing::Principal => Sharing::Principal,
            },
        },
        heartbeat: config.supervisor.heartbeat,
        effects: server
            .effects
            .iter()
            .map(|(tool, given)| (tool.clone(), effect(*given)))
            .collect(),
        edits: Arc::new(Edits {
            tools: edits(&server.tool_overrides),
            prompts: edits(&server.prompt_overrides),
        }),
    }
}

fn effect(given: ferromcp_config::Effect) -> Effect {
    match given {
        ferromcp_config::Effect::ReadOnly => Effect::ReadOnly,
        ferromcp_config::Effect::Idempotent => Effect::Idempotent,
        ferromcp_config::Effect::Effects => Effect::Effects,
    }
}

fn edits(overrides: &[(String, Override)]) -> BTreeMap<String, Edit> {
    let edit = |given: &Override| Edit {
        name: given.name.clone(),
        title: given.title.clone(),
        description: given.description.clone(),
        hidden: given.hidden,
    };
    overrides
        .iter()
        .map(|(name, given)| (name.clone(), edit(given)))
        .collect()
}
