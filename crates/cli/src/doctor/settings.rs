//! Settings that are risky together.

use std::path::Path;
use std::time::SystemTime;

use ferromcp_config::{Config, PatternAction, Transport};
use url::Host;

use super::finding::Finding;
use crate::serve::refuse_open_door;

const CHECK: &str = "settings";

pub(super) fn risky(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(refused) = refuse_open_door(config, false) {
        found.push(Finding::fail(
            CHECK,
            format!("serve refuses to start: {refused}"),
            "ferromcp keys new TENANT, or listen.http: 127.0.0.1:8080",
        ));
    }
    open_to_others(config, &mut found);
    files(config, &mut found);
    if !config.validation.enforce_schema {
        found.push(Finding::warn(
            CHECK,
            "validation.schema: arguments are not checked against the tools' schemas",
            "remove it, so that they are",
        ));
    }
    if config.validation.patterns.action == PatternAction::Off {
        found.push(Finding::warn(
            CHECK,
            "validation.patterns: attacks in arguments are not looked for",
            "set action: flag, to see what would be refused",
        ));
    }
    expired(config, &mut found);
    clear_text(config, &mut found);
    if found.is_empty() {
        found.push(Finding::ok(CHECK, "nothing risky"));
    }
    found
}

/// What others can reach.
fn open_to_others(config: &Config, found: &mut Vec<Finding>) {
    let doors = [Some(config.listen.http), config.listen.grpc];
    let Some(door) = doors
        .into_iter()
        .flatten()
        .find(|address| !address.ip().is_loopback())
    else {
        return;
    };
    if config.listen.tls.is_none() {
        found.push(Finding::warn(
            CHECK,
            format!("{door} can be reached by others without TLS: keys travel readable"),
            "set listen.tls, or put something with TLS in front",
        ));
    }
    if config.limits.client.is_none() && config.limits.global.is_none() {
        found.push(Finding::warn(
            CHECK,
            format!("{door} can be reached by others, and no rate is limited"),
            "set limits: { rate: 100/s }",
        ));
    }
    if config.audit.log.is_none() {
        found.push(Finding::warn(
            CHECK,
            format!("{door} can be reached by others, and no record of calls is kept"),
            "set audit: { file: ./audit }",
        ));
    }
}

fn files(config: &Config, found: &mut Vec<Finding>) {
    let Some(files) = &config.builtin.files else {
        return;
    };
    let home = std::env::var_os("HOME").and_then(|home| Path::new(&home).canonicalize().ok());
    for root in &files.roots {
        let real = root.canonicalize().unwrap_or_else(|_| root.clone());
        if real.parent().is_none() || home.as_ref() == Some(&real) {
            found.push(Finding::warn(
                CHECK,
                format!(
                    "builtin.files.roots: {} has everything in it, keys too",
                    root.display()
                ),
                "name the directories that are meant",
            ));
        }
    }
}

fn expired(config: &Config, found: &mut Vec<Finding>) {
    let now = SystemTime::now();
    for tenant in &config.tenants {
        for key in &tenant.keys {
            if key.expires.is_some_and(|end| end <= now) {
                found.push(Finding::warn(
                    CHECK,
                    format!("tenants.{}.keys: {} has expired", tenant.id, key.shown()),
                    format!(
                        "make another with `ferromcp keys new {}`, or remove it",
                        tenant.id
                    ),
                ));
            }
        }
    }
}

/// Credentials that go over the network as they are.
fn clear_text(config: &Config, found: &mut Vec<Finding>) {
    for server in &config.servers {
        let (url, headers) = match &server.transport {
            Transport::Http(endpoint) => (&endpoint.url, &endpoint.headers),
            Transport::Grpc(grpc) => (&grpc.url, &grpc.headers),
            Transport::Stdio(_) | Transport::OpenApi(_) => continue,
        };
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => true,
        };
        if url.scheme() == "http" && !loopback && !headers.is_empty() {
            found.push(Finding::warn(
                CHECK,
                format!("servers.{}: its headers go over the network readable", server.id),
                "use https",
            ));
        }
    }
}
