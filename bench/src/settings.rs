//! Configurations of ours for a turn, in a directory that ends with it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Result;
use crate::server::beside_us;
use crate::target::Guards;

/// Calls per second of the tenant that floods.
pub(crate) const FLOODER_RATE: u32 = 100;

#[derive(Debug)]
pub(crate) struct Settings {
    directory: TempDir,
    /// Of the first tenant, with room for everything that is sent, and of the one that floods.
    pub(crate) keys: Vec<String>,
}

impl Settings {
    /// `None` where nothing is to be configured.
    pub(crate) fn write(guards: Guards, servers: Option<&Value>) -> Result<Option<Self>> {
        let mut keys = Vec::new();
        let mut config = match guards {
            Guards::Default if servers.is_none() => return Ok(None),
            Guards::Default => json!({}),
            Guards::Off => json!({
                "validation": { "patterns": { "action": "off" }, "schema": "off" },
            }),
            Guards::On => {
                let (roomy, flooder) = (new_key(&["roomy"])?, new_key(&["flooder"])?);
                keys.extend([roomy.0, flooder.0]);
                guarded(&roomy.1, &flooder.1)
            }
        };
        if let Some(servers) = servers {
            config["servers"] = servers.clone();
        }
        Self::put(&config, keys).map(Some)
    }

    /// So many tenants; the key is of one in their middle.
    pub(crate) fn many(count: usize) -> Result<Self> {
        let (key, hash) = new_key(&["measured"])?;
        let mut tenants = serde_json::Map::new();
        for number in 0..count {
            let hash = if number == count / 2 {
                hash.clone()
            } else {
                // Nobody's key: only its hash is known.
                format!(
                    "sha256:{:064x}",
                    (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
                )
            };
            let tenant = json!({
                "keys": [hash],
                "tools": { "allow": ["echo", "files_*"], "deny": [format!("tool_{number}")] },
                "limits": { "rate": "1000000/s" },
                "quotas": { "tool_calls": "1000000000/d", "concurrent": 1000 },
            });
            tenants.insert(format!("tenant-{number}"), tenant);
        }
        let config =
            json!({ "auth": { "anonymous": "refuse" }, "tenants": tenants, "log": { "calls": false } });
        Self::put(&config, vec![key])
    }

    pub(crate) fn put(config: &Value, keys: Vec<String>) -> Result<Self> {
        let directory = tempfile::tempdir().map_err(|error| format!("no temporary directory: {error}"))?;
        let settings = Self { directory, keys };
        settings.rewrite(config)?;
        Ok(settings)
    }

    pub(crate) fn rewrite(&self, config: &Value) -> Result<()> {
        std::fs::write(self.file(), config.to_string())
            .map_err(|error| format!("{}: {error}", self.file().display()))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }
}

/// Everything on, with room for what a turn sends: what is measured is the looking, not the refusing.
fn guarded(roomy: &str, flooder: &str) -> Value {
    json!({
        "auth": { "anonymous": "refuse" },
        "tenants": {
            "roomy": {
                "keys": [roomy],
                "tools": { "allow": ["echo", "files_*"], "deny": ["*_delete"] },
                "limits": { "rate": "1000000/s" },
                "quotas": { "tool_calls": "1000000000/d", "bytes": "1000GiB/d", "concurrent": 1000, "batch_size": 100 },
            },
            "flooder": { "keys": [flooder], "limits": { "rate": format!("{FLOODER_RATE}/s") } },
        },
        "limits": {
            "rate": "1000000/s",
            "per": "client",
            "global": { "rate": "1000000/s" },
            "tools": { "echo": { "rate": "1000000/s" } },
        },
        "validation": { "redact": ["secrets", "pii"] },
        "audit": { "file": "audit", "keep": { "files": 2 } },
    })
}

/// A key and its hash, from the program itself.
pub(crate) fn new_key(words: &[&str]) -> Result<(String, String)> {
    let output = Command::new(beside_us("ferromcp")?)
        .args(["keys", "new"])
        .args(words)
        .arg("--json")
        .output()
        .map_err(|error| format!("ferromcp keys new: {error}"))?;
    let made: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("ferromcp keys new: {error}"))?;
    match (made["key"].as_str(), made["hash"].as_str()) {
        (Some(key), Some(hash)) => Ok((key.to_owned(), hash.to_owned())),
        _ => Err(format!("ferromcp keys new printed no key: {made}")),
    }
}
