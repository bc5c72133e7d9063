//! From the blocks `tenants`, `auth` and `limits` to who may call, and what.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ferromcp_adapter_http::AuthorizationSettings;
use ferromcp_admin::{TenantParts, Tenants};
use ferromcp_config::{AccessList, ActsFor, Config, Jwt, JwtKeys};
use ferromcp_core::guard::PatternPolicy;
use ferromcp_core::{Access, AccessSettings, Anonymous, Tokens};
use ferromcp_limits::{LimitSettings, Quota, Quotas, Rate, TenantSettings as TenantLimits};
use ferromcp_tenancy::{
    Acl, AclDefault, AclSettings, Algorithm, Directory, JwkSet, JwtSettings, JwtVerifier, KeySettings, List,
    Secret, TenantSettings, TenantSource,
};

use super::patterns::patterns;
use crate::exit::Failure;

/// What the configuration checks and the compilers still refuse is a mistake of ours; it ends the start all the same.
/// `tenants` are those of the file and of the store of the admin API, where there is one.
pub(crate) fn access(
    config: &Config,
    tokens: Option<Arc<Tokens>>,
    tenants: Option<&Tenants>,
) -> Result<Access, Failure> {
    let settings = match tenants {
        Some(tenants) => tenants.access().map_err(Failure::Usage)?,
        None => settings(config, tokens, &[], &Directory::default())?,
    };
    Ok(Access::new(settings))
}

/// The settings for the tenants of the file alone. What is the same as `before` is not compiled again.
pub(crate) fn access_settings(
    config: &Config,
    tokens: Option<Arc<Tokens>>,
    before: &Directory,
) -> Result<AccessSettings, Failure> {
    settings(config, tokens, &[], before)
}

/// The tenants of the file.
pub(crate) fn directory(config: &Config) -> Result<Directory, Failure> {
    settings(config, None, &[], &Directory::default()).map(|settings| settings.directory)
}

/// The checker of tokens, where the configuration accepts any.
pub(crate) fn tokens_of(config: &Config) -> Result<Option<Arc<Tokens>>, Failure> {
    config.auth.jwt.as_ref().map(tokens).transpose()
}

/// The settings for the tenants of the file and others. What is the same as `before` is not compiled again.
pub(crate) fn settings(
    config: &Config,
    tokens: Option<Arc<Tokens>>,
    others: &[&TenantParts],
    before: &Directory,
) -> Result<AccessSettings, Failure> {
    let mut tenants: Vec<TenantSettings> = config.tenants.iter().map(tenant).collect();
    tenants.extend(others.iter().map(|parts| parts.settings.clone()));
    let directory = before.renewed(&tenants).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Usage(lines.join("\n"))
    })?;
    let mut tool_rates = Vec::new();
    for (pattern, set) in &config.limits.tools {
        let acl = AclSettings {
            tools: List {
                allow: vec![pattern.clone()],
                ..List::default()
            },
            ..AclSettings::default()
        };
        let acl =
            Acl::new(&acl).map_err(|_| Failure::Usage(format!("limits.tools: {pattern}: bad pattern")))?;
        tool_rates.push((acl, rate(set)?));
    }
    let mut limits = limits(config)?;
    let mut tenant_patterns = own_patterns(config)?;
    for parts in others {
        let id = &parts.settings.id;
        match parts.limits {
            Some(own) => limits.tenants.insert(id.clone(), own),
            None => limits.tenants.remove(id),
        };
        if let Some(own) = &parts.patterns {
            tenant_patterns.insert(id.clone(), own.clone());
        }
    }
    Ok(AccessSettings {
        directory,
        tokens,
        anonymous: match config.auth.anonymous {
            ferromcp_config::Anonymous::Local => Anonymous::Local,
            ferromcp_config::Anonymous::Refuse => Anonymous::Refuse,
        },
        scopes: config
            .auth
            .jwt
            .as_ref()
            .map(|jwt| jwt.scopes.clone())
            .unwrap_or_default(),
        patterns: Some(patterns(&config.validation.patterns, "validation.patterns")?),
        tenant_patterns,
        limits,
        tool_rates,
    })
}

/// One tenant, in the parts that the pipeline is made of.
pub(crate) fn parts(set: &ferromcp_config::Tenant, config: &Config) -> Result<TenantParts, String> {
    let limits = TenantLimits {
        rate: optional(&set.limits.or(config.limits.tenant)).map_err(|e| e.to_string())?,
        quotas: quotas(&set.quotas).map_err(|e| e.to_string())?,
    };
    let own = set.patterns.as_ref().map(|own| patterns(own, "patterns"));
    Ok(TenantParts {
        settings: tenant(set),
        limits: (limits != TenantLimits::default()).then_some(limits),
        patterns: own.transpose().map_err(|e| e.to_string())?,
    })
}

fn own_patterns(config: &Config) -> Result<HashMap<String, PatternPolicy>, Failure> {
    let mut own = HashMap::new();
    for tenant in &config.tenants {
        if let Some(set) = &tenant.patterns {
            let policy = patterns(set, &format!("tenants.{}.patterns", tenant.id))?;
            own.insert(tenant.id.clone(), policy);
        }
    }
    Ok(own)
}

fn tenant(set: &ferromcp_config::Tenant) -> TenantSettings {
    TenantSettings {
        id: set.id.clone(),
        name: set.name.clone().unwrap_or_else(|| set.id.clone()),
        suspended: set.suspended,
        keys: set
            .keys
            .iter()
            .map(|key| KeySettings {
                hash: format!("sha256:{}", hex(&key.sha256)),
                // Keys of one tenant are clients of their own; the hash names them in records without telling them.
                name: format!("key-{}", &hex(&key.sha256)[..8]),
                expires: key
                    .expires
                    .map(|end| end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
            })
            .collect(),
        certificates: set.certificates.clone(),
        may_act_for: match &set.acts_for {
            ActsFor::Tenants(ids) => ids.clone(),
            ActsFor::All => vec!["*".to_owned()],
        },
        acl: AclSettings {
            tools: list(&set.tools),
            resources: list(&set.resources),
            prompts: list(&set.prompts),
        },
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(set: &AccessList) -> List {
    List {
        allow: set.allow.clone().unwrap_or_default(),
        deny: set.deny.clone(),
        // An empty list of what is allowed allows nothing.
        default: match &set.allow {
            Some(allow) if allow.is_empty() => AclDefault::Deny,
            _ => AclDefault::Allow,
        },
    }
}

fn limits(config: &Config) -> Result<LimitSettings, Failure> {
    let set = &config.limits;
    let mut tenants = HashMap::new();
    // Local users are a tenant too, whether or not it is named.
    let local = ferromcp_config::Tenant {
        id: ferromcp_core::access::LOCAL.to_owned(),
        ..ferromcp_config::Tenant::default()
    };
    for tenant in std::iter::once(&local).chain(&config.tenants) {
        let limits = TenantLimits {
            rate: optional(&tenant.limits.or(set.tenant))?,
            quotas: quotas(&tenant.quotas)?,
        };
        if limits != TenantLimits::default() {
            tenants.insert(tenant.id.clone(), limits);
        }
    }
    Ok(LimitSettings {
        global: optional(&set.global)?,
        client: optional(&set.client)?,
        max_clients: set.max_clients,
        tenants,
        tools: HashMap::new(),
    })
}

/// How many wrong credentials of one address are looked at.
pub(crate) fn guesses(config: &Config) -> Result<Option<Rate>, Failure> {
    optional(&config.auth.guesses)
}

fn optional(set: &Option<ferromcp_config::Rate>) -> Result<Option<Rate>, Failure> {
    set.as_ref().map(rate).transpose()
}

fn rate(set: &ferromcp_config::Rate) -> Result<Rate, Failure> {
    Rate::new(set.count, set.per, set.burst_or_count())
        .map_err(|e| Failure::Usage(format!("limits: {} in {:?}: {e}", set.count, set.per)))
}

fn quotas(set: &ferromcp_config::Quotas) -> Result<Quotas, Failure> {
    let quota = |amount: u64, window| {
        Quota::new(amount, window).map_err(|e| Failure::Usage(format!("quotas: {amount} in {window:?}: {e}")))
    };
    Ok(Quotas {
        tool_calls: set
            .tool_calls
            .map(|calls| quota(u64::from(calls.count), calls.per))
            .transpose()?,
        bytes: set.bytes.map(|bytes| quota(bytes.bytes, bytes.per)).transpose()?,
        concurrent: set.concurrent,
        batch_size: set.batch_size,
    })
}

fn tokens(jwt: &Jwt) -> Result<Arc<Tokens>, Failure> {
    let mut settings = JwtSettings::new(&jwt.issuer, "");
    settings.audiences.clone_from(&jwt.audience);
    settings.algorithms = jwt
        .algorithms
        .iter()
        .filter_map(|algorithm| Algorithm::from_name(algorithm.as_str()))
        .collect();
    settings.leeway = jwt.leeway;
    settings.tenant = TenantSource::Claim(jwt.tenant_claim.join("."));
    settings.subject_claim = jwt.subject_claim.join(".");
    let keys = match &jwt.keys {
        JwtKeys::Secret(secret) => {
            settings.secret = Some(Secret::new(secret.expose()));
            JwkSet::empty()
        }
        JwtKeys::Url(_) => JwkSet::empty(),
        JwtKeys::File(path) => {
            let shown = path.display();
            let bytes =
                std::fs::read(path).map_err(|e| Failure::Usage(format!("auth.jwt.jwks: {shown}: {e}")))?;
            JwkSet::parse(&bytes).map_err(|e| Failure::Usage(format!("auth.jwt.jwks: {shown}: {e}")))?
        }
    };
    let verifier = JwtVerifier::new(settings, keys).map_err(|e| Failure::Usage(format!("auth.jwt: {e}")))?;
    Ok(Arc::new(Tokens::new(verifier)))
}

/// What clients are told about authorization; only where tokens are accepted.
pub(crate) fn authorization(config: &Config, bound: SocketAddr) -> Option<AuthorizationSettings> {
    let jwt = config.auth.jwt.as_ref()?;
    Some(AuthorizationSettings {
        resource: config
            .auth
            .resource
            .clone()
            .unwrap_or_else(|| format!("{}://{bound}/mcp", super::scheme(config))),
        authorization_servers: config.auth.authorization_servers.clone(),
        scopes: jwt.scopes.clone(),
    })
}
