//! A server with an admin API.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Answer, Door, Process, Served, ferromcp, finish};

/// A server with an admin API, a tenant in its file, and the keys of both.
pub(crate) struct Setup {
    pub(crate) directory: TempDir,
    pub(crate) admin_key: String,
    pub(crate) file_key: String,
}

/// Key and hash that `ferromcp keys new` made.
pub(crate) fn made(arguments: &[&str]) -> (String, String) {
    let made = finish(ferromcp(arguments), "");
    let made: Value = serde_json::from_str(&made.stdout).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("key"), text("hash"))
}

impl Setup {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (admin_key, admin_hash) = made(&["keys", "new", "--admin", "--json"]);
        let (file_key, file_hash) = made(&["keys", "new", "filed", "--json"]);
        let config = json!({
            "tenants": { "filed": { "name": "Of the file", "keys": [file_hash], "quotas": { "tool_calls": "1000/min" } } },
            "audit": { "file": "audit" },
            "admin": { "listen": "127.0.0.1:0", "keys": [admin_hash], "store": "state" },
        });
        std::fs::write(directory.path().join("ferromcp.yaml"), config.to_string()).unwrap();
        Self {
            directory,
            admin_key,
            file_key,
        }
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.directory.path().join("ferromcp.yaml")
    }

    pub(crate) fn start(&self) -> (Served, Api) {
        let served = Served::with_config(&self.config());
        let api = self.api(&served.process);
        (served, api)
    }

    pub(crate) fn api(&self, process: &Process) -> Api {
        Api::of(process, &self.admin_key)
    }
}

/// The admin API of a running server.
pub(crate) struct Api {
    pub(crate) door: Door,
    pub(crate) key: String,
}

/// `127.0.0.1:PORT` of the admin API of a process.
pub(crate) fn admin_address(process: &Process) -> String {
    process.stderr.wait(|line| {
        let address = line.strip_prefix("admin API http://")?;
        Some(address.strip_suffix("/admin/v1").unwrap().to_owned())
    })
}

/// Records of this kind in an audit log.
pub(crate) fn audited(log: &Path, kind: &str) -> Vec<Value> {
    let mut query = ferromcp(["audit", "query"]);
    query.arg(log).args(["--kind", kind]);
    let read = finish(query, "");
    read.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Api {
    pub(crate) fn of(process: &Process, key: &str) -> Self {
        Self {
            door: Door::new(&admin_address(process)),
            key: key.to_owned(),
        }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
        let credential = format!("Bearer {}", self.key);
        let mut headers = vec![("Authorization", credential.as_str())];
        headers.extend(more);
        self.door
            .request(method, &format!("/admin/v1/{path}"), &headers, body)
    }

    pub(crate) fn ok(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, path, &[], body);
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        answer.json()
    }

    /// Status and rule of a refusal.
    pub(crate) fn refused(
        &self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let answer = self.ask(method, path, more, body);
        let error = answer.json();
        assert_eq!(error["success"], false, "{method} {path}: {answer:?}");
        assert!(
            error["error"]["code"].is_string() && error["error"]["message"].is_string(),
            "{error}"
        );
        (answer.status, error["error"]["rule"].as_str().unwrap().to_owned())
    }

    pub(crate) fn key(&self, tenant: &str) -> String {
        self.ok("POST", &format!("tenants/{tenant}/keys"), "")["key"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}
