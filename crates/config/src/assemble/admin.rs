//! `admin`, with what it must not share with tenants.

use std::net::{Ipv4Addr, SocketAddr};

use crate::fields::{Fields, Text};
use crate::model::{Admin, KeyHash, Tenant};
use crate::problem::{Problem, Problems, push_index};
use crate::text::Parsed;

const DEFAULT_PORT: u16 = 9090;

pub(super) fn admin(mut fields: Fields, tenants: &[Tenant], problems: &mut Problems) -> Option<Admin> {
    for (key, what) in [
        ("keys", "a hash that `ferromcp keys new --admin` prints"),
        ("store", "a directory, as in `store: ./state`"),
    ] {
        if fields.span(key).is_none() {
            problems.push(
                Problem::new(fields.span.clone(), key, format!("`{key}` is missing"))
                    .inside(&fields.path)
                    .expected(what),
            );
        }
    }
    let accept_config = fields.flag("accept_config", false);
    let listen = listen(&mut fields, problems);
    let keys = keys(&mut fields, tenants, problems);
    let store = fields.text("store").and_then(Text::into_path)?;
    Some(Admin {
        accept_config,
        listen,
        keys,
        store,
    })
}

fn listen(fields: &mut Fields, problems: &mut Problems) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
    let Some(text) = fields.text("listen") else {
        return default;
    };
    let Parsed::Addr(address) = text.parsed else {
        return default;
    };
    if !address.ip().is_loopback() {
        problems.push(
            Problem::new(
                text.span,
                "listen",
                "the admin API would be reachable from other machines",
            )
            .inside(&fields.path)
            .expected("a loopback address, as in 127.0.0.1:9090")
            .hint("to use it from elsewhere, make a tunnel (`ssh -L 9090:127.0.0.1:9090 HOST`)"),
        );
    }
    address
}

fn keys(fields: &mut Fields, tenants: &[Tenant], problems: &mut Problems) -> Vec<KeyHash> {
    let mut keys: Vec<KeyHash> = Vec::new();
    for (index, text) in fields.texts("keys").unwrap_or_default().into_iter().enumerate() {
        let Parsed::KeyHash(key) = text.parsed else {
            continue;
        };
        let mut path = format!("{}.keys", fields.path);
        push_index(&mut path, index);
        let mut refuse = |message: String| {
            problems.push(
                Problem::new(text.span.clone(), &path, message)
                    .expected("a key that is used for nothing else")
                    .hint("make one with `ferromcp keys new --admin`"),
            );
        };
        let owner = tenants
            .iter()
            .find(|tenant| tenant.keys.iter().any(|own| own.sha256 == key.sha256));
        if let Some(owner) = owner {
            refuse(format!(
                "the key {} is also one of the tenant `{}`",
                key.shown(),
                owner.id
            ));
        } else if keys.iter().any(|other| other.sha256 == key.sha256) {
            refuse(format!("the key {} appears twice", key.shown()));
        } else {
            keys.push(key);
        }
    }
    keys
}
