//! From the block `admin` to the tenants of file and store, and what a tenant made at run time may be.

use std::collections::HashMap;
use std::sync::Arc;

use ferromcp_admin::{AdminKey, FileTenant, Issue, Others, Rules, TenantParts, Tenants};
use ferromcp_config::{AccessList, ActsFor, Config, KeyHash, Patterns, Rate, Tenant};
use ferromcp_core::tenancy::Directory;
use ferromcp_core::{AccessSettings, Tokens};
use serde_json::{Map, Value, json};

use super::access;
use crate::exit::Failure;

/// Opens the store of the admin API, where there is one.
pub(crate) fn tenants(
    config: &Arc<Config>,
    tokens: Option<Arc<Tokens>>,
) -> Result<Option<Arc<Tenants>>, Failure> {
    let Some(admin) = &config.admin else {
        return Ok(None);
    };
    Tenants::open(&admin.store, rules(config, tokens))
        .map(|tenants| Some(Arc::new(tenants)))
        .map_err(|e| Failure::Usage(e.to_string()))
}

/// What a configuration says of tenants, in the file and beside it.
pub(crate) fn rules(config: &Arc<Config>, tokens: Option<Arc<Tokens>>) -> Box<dyn Rules> {
    Box::new(OfConfig {
        file: config.tenants.iter().map(file_tenant).collect(),
        config: Arc::clone(config),
        tokens,
    })
}

/// The keys that open the API.
pub(crate) fn keys(config: &ferromcp_config::Admin) -> Vec<AdminKey> {
    config
        .keys
        .iter()
        .map(|key| AdminKey::new(key.sha256, key.expires))
        .collect()
}

/// Holds tenants of the API to the rules of the configuration file.
struct OfConfig {
    config: Arc<Config>,
    tokens: Option<Arc<Tokens>>,
    file: Vec<FileTenant>,
}

impl Rules for OfConfig {
    fn file(&self) -> &[FileTenant] {
        &self.file
    }

    fn check(&self, id: &str, document: &str, others: &Others) -> Result<TenantParts, Vec<Issue>> {
        let config = &self.config;
        let mut ids = others.ids.clone();
        ids.insert(id.to_owned());
        ids.extend(config.tenants.iter().map(|tenant| tenant.id.clone()));
        let mut keys: HashMap<[u8; 32], String> = HashMap::new();
        for tenant in &config.tenants {
            let owner = format!("tenants.{}.keys", tenant.id);
            keys.extend(tenant.keys.iter().map(|key| (key.sha256, owner.clone())));
        }
        if let Some(admin) = &config.admin {
            keys.extend(admin.keys.iter().map(|key| (key.sha256, "admin.keys".to_owned())));
        }
        for (hash, owner) in &others.keys {
            if let Some(digest) = digest(hash) {
                keys.insert(digest, format!("a key of tenant {owner}"));
            }
        }
        let certificates = certificates(config, others);
        let tenant =
            Tenant::from_json(id, document, &ids, &keys, certificates.as_ref()).map_err(|problems| {
                let issue = |problem: ferromcp_config::DocumentProblem| Issue {
                    pointer: problem.pointer,
                    message: problem.message,
                };
                problems.into_iter().map(issue).collect::<Vec<_>>()
            })?;
        let parts = access::parts(&tenant, config).map_err(|message| {
            vec![Issue {
                pointer: "/patterns".to_owned(),
                message,
            }]
        })?;
        // Access lists compile, or their places are named. Reach was checked above, among all tenants.
        let mut alone = parts.settings.clone();
        alone.may_act_for.clear();
        Directory::new(&[alone]).map_err(|errors| {
            let issue = |error: ferromcp_core::tenancy::DirectoryError| Issue {
                pointer: format!("/{}", error.field.replace(['.', '['], "/").replace(']', "")),
                message: error.problem,
            };
            errors.into_iter().map(issue).collect::<Vec<_>>()
        })?;
        Ok(parts)
    }

    fn access(&self, stored: &[&TenantParts], before: &Directory) -> Result<AccessSettings, String> {
        access::settings(&self.config, self.tokens.clone(), stored, before).map_err(|e| e.to_string())
    }
}

/// Whose each rule for client certificates is; `None` if clients are not asked for one.
fn certificates(config: &Config, others: &Others) -> Option<HashMap<String, String>> {
    config.listen.tls.as_ref()?.client_ca.as_ref()?;
    let owners = others
        .certificates
        .iter()
        .map(|(rule, owner)| (rule.clone(), format!("a rule of tenant {owner}")));
    let mut found: HashMap<String, String> = owners.collect();
    for tenant in &config.tenants {
        let owner = format!("tenants.{}.certificates", tenant.id);
        found.extend(
            tenant
                .certificates
                .iter()
                .map(|rule| (rule.clone(), owner.clone())),
        );
    }
    Some(found)
}

fn digest(hash: &str) -> Option<[u8; 32]> {
    let hex = hash
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.is_ascii())?;
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

/// A tenant of the file, as its lines could be.
fn file_tenant(tenant: &Tenant) -> FileTenant {
    let mut document = Map::new();
    let mut add = |name: &str, value: Value| {
        document.insert(name.to_owned(), value);
    };
    if let Some(name) = &tenant.name {
        add("name", name.as_str().into());
    }
    if tenant.suspended {
        add("suspended", true.into());
    }
    if !tenant.keys.is_empty() {
        add("keys", tenant.keys.iter().map(key).collect());
    }
    if !tenant.certificates.is_empty() {
        add("certificates", json!(tenant.certificates));
    }
    for (name, list) in [
        ("tools", &tenant.tools),
        ("resources", &tenant.resources),
        ("prompts", &tenant.prompts),
    ] {
        if *list != AccessList::default() {
            add(name, access_list(list));
        }
    }
    let quotas = &tenant.quotas;
    let mut set = Map::new();
    if let Some(calls) = &quotas.tool_calls {
        set.insert("tool_calls".into(), rate(calls).into());
    }
    if let Some(bytes) = &quotas.bytes {
        set.insert(
            "bytes".into(),
            format!("{}B/{}", bytes.bytes, period(bytes.per)).into(),
        );
    }
    for (name, number) in [
        ("batch_size", quotas.batch_size),
        ("concurrent", quotas.concurrent),
    ] {
        if let Some(number) = number {
            set.insert(name.into(), number.into());
        }
    }
    if !set.is_empty() {
        add("quotas", set.into());
    }
    if let Some(limit) = &tenant.limits {
        let mut set = json!({ "rate": rate(limit) });
        if let Some(burst) = limit.burst {
            set["burst"] = burst.into();
        }
        add("limits", set);
    }
    match &tenant.acts_for {
        ActsFor::All => add("acts_for", json!(["*"])),
        ActsFor::Tenants(ids) if !ids.is_empty() => add("acts_for", json!(ids)),
        ActsFor::Tenants(_) => {}
    }
    if let Some(patterns) = &tenant.patterns {
        add("patterns", pattern_rules(patterns));
    }
    FileTenant {
        id: tenant.id.clone(),
        document,
    }
}

fn key(key: &KeyHash) -> Value {
    let hash = format!("sha256:{}", access::hex(&key.sha256));
    match key.expires {
        None => hash.into(),
        Some(end) => format!("{hash} until {}", humantime::format_rfc3339_seconds(end)).into(),
    }
}

fn access_list(list: &AccessList) -> Value {
    let mut set = Map::new();
    if let Some(allow) = &list.allow {
        set.insert("allow".into(), json!(allow));
    }
    if !list.deny.is_empty() {
        set.insert("deny".into(), json!(list.deny));
    }
    set.into()
}

fn pattern_rules(set: &Patterns) -> Value {
    let word = |action| match action {
        ferromcp_config::PatternAction::Off => "off",
        ferromcp_config::PatternAction::Flag => "flag",
        ferromcp_config::PatternAction::Block => "block",
    };
    let mut out = json!({ "action": word(set.action) });
    if !set.rules.is_empty() {
        out["rules"] = set
            .rules
            .iter()
            .map(|(id, action)| (id.clone(), Value::from(word(*action))))
            .collect::<Map<_, _>>()
            .into();
    }
    if !set.exempt.is_empty() {
        let exempt = set.exempt.iter().map(|exempt| match &exempt.rules {
            None => json!({ "tool": exempt.tool, "field": exempt.field }),
            Some(rules) => json!({ "tool": exempt.tool, "field": exempt.field, "rules": rules }),
        });
        out["exempt"] = exempt.collect();
    }
    out
}

fn rate(rate: &Rate) -> String {
    format!("{}/{}", rate.count, period(rate.per))
}

/// A period as the file writes it.
fn period(per: std::time::Duration) -> String {
    let seconds = per.as_secs();
    let (count, unit) = match seconds {
        s if s.is_multiple_of(86_400) => (s / 86_400, "day"),
        s if s.is_multiple_of(3600) => (s / 3600, "h"),
        s if s.is_multiple_of(60) => (s / 60, "min"),
        s => (s, "s"),
    };
    match (count, unit) {
        (1, unit) => unit.to_owned(),
        (count, "day") => format!("{count}d"),
        (count, unit) => format!("{count}{unit}"),
    }
}
