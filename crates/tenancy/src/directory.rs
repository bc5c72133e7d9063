//! All tenants of one configuration, found by what a caller shows.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use crate::acl::{Acl, AclSettings};
use crate::certificate::{CertificateNames, CertificateRule, CertificateRules};
use crate::id::TenantId;
use crate::jwt::Verified;
use crate::key::{DigestHasher, KeyHash, is_plausible, is_wellformed};
use crate::reason::{Denied, Rule, shown};

/// Most keys of one tenant. Two live ones are enough to rotate without a gap; clients may have keys of their own.
pub const MAX_KEYS: usize = 64;

/// What is set for a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantSettings {
    /// See [`TenantId`].
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether all its calls are refused.
    pub suspended: bool,
    /// Its API keys.
    pub keys: Vec<KeySettings>,
    /// Its client certificates: `subject:GLOB`, `dns:GLOB`, `uri:GLOB`, `email:GLOB`.
    pub certificates: Vec<String>,
    /// Ids of tenants that its principals may act for; `*` for all.
    pub may_act_for: Vec<String>,
    /// What it may see and call.
    pub acl: AclSettings,
}

/// An API key of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySettings {
    /// `sha256:` and 64 hex digits.
    pub hash: String,
    /// What audit calls who uses it; the tenant's id if empty.
    pub name: String,
    /// When it ends, in Unix seconds: from then on it is refused.
    pub expires: Option<u64>,
}

/// Why the tenants cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenants[{index}] ({id}): {field}: {problem}")]
pub struct DirectoryError {
    /// Which tenant, from 0.
    pub index: usize,
    /// Its id, shortened and quoted.
    pub id: String,
    /// Which field, as `keys[1]` or `tools.allow[0]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// A tenant, compiled.
#[derive(Debug)]
pub struct Tenant {
    id: TenantId,
    name: String,
    suspended: bool,
    acl: Acl,
    /// What `acl` was made of, so that it is not made again for the same.
    acl_settings: AclSettings,
    may_act_for: Vec<TenantId>,
    may_act_for_all: bool,
}

impl Tenant {
    /// Whether these settings would make the same tenant. Credentials are not part of it.
    fn is_made_of(&self, settings: &TenantSettings) -> bool {
        self.name == settings.name
            && self.suspended == settings.suspended
            && self.acl_settings == settings.acl
            && self.may_act_for_all == settings.may_act_for.iter().any(|id| id == "*")
            && self.may_act_for.iter().map(TenantId::as_str).eq(settings
                .may_act_for
                .iter()
                .map(String::as_str)
                .filter(|id| *id != "*"))
    }

    /// Its id.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its calls are refused.
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// What it may see and call.
    pub fn acl(&self) -> &Acl {
        &self.acl
    }
}

/// What it is known by who somebody is: enough to ask later whether that still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An API key, by its hash.
    Key(KeyHash),
    /// A JSON Web Token.
    Token {
        /// First Unix second in which it is not good any more, leeway included.
        until: u64,
    },
    /// A client certificate.
    Certificate(Arc<CertificateNames>),
    /// Named by whoever started the server (stdio, local use).
    Given,
}

/// Who calls, and for which tenant.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// Name of the principal within the tenant.
    pub principal: Arc<str>,
    /// How this is known.
    pub proof: Proof,
    /// Scopes of a token; empty otherwise.
    pub scopes: Arc<[String]>,
}

#[derive(Debug)]
struct KeyEntry {
    hash: KeyHash,
    expires: Option<u64>,
    identity: Identity,
}

/// All tenants. Built once per configuration and never changed.
#[derive(Debug, Default)]
pub struct Directory {
    tenants: HashMap<TenantId, Arc<Tenant>>,
    keys: HashMap<KeyHash, KeyEntry, BuildHasherDefault<DigestHasher>>,
    certificates: CertificateRules<Arc<Tenant>>,
}

impl Directory {
    /// Compiles the tenants.
    ///
    /// # Errors
    /// Everything that is wrong with any of them: ids, keys, patterns, tenants that are named and do not exist, and ids
    /// or keys that occur twice.
    pub fn new(settings: &[TenantSettings]) -> Result<Self, Vec<DirectoryError>> {
        Self::default().renewed(settings)
    }

    /// Compiles the tenants that take the place of these. Those that are the same as before are kept as they are: one
    /// change among thousands costs about as much as that one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn renewed(&self, settings: &[TenantSettings]) -> Result<Self, Vec<DirectoryError>> {
        let mut directory = Self::default();
        let mut errors = Vec::new();
        let mut certificates = Vec::new();
        let ids: HashSet<&str> = settings.iter().map(|tenant| tenant.id.as_str()).collect();
        for (index, tenant) in settings.iter().enumerate() {
            let mut say = |field: String, problem: String| {
                errors.push(DirectoryError {
                    index,
                    id: shown(&tenant.id),
                    field,
                    problem,
                });
            };
            directory.add(tenant, &ids, self, &mut certificates, &mut say);
        }
        directory.certificates = CertificateRules::new(certificates);
        if errors.is_empty() {
            Ok(directory)
        } else {
            Err(errors)
        }
    }

    fn add(
        &mut self,
        settings: &TenantSettings,
        all: &HashSet<&str>,
        before: &Self,
        certificates: &mut Vec<(CertificateRule, Arc<Tenant>)>,
        say: &mut impl FnMut(String, String),
    ) {
        let tenant = match before.tenants.get(settings.id.as_str()) {
            Some(same) if same.is_made_of(settings) && reaches_only(same, all) => Arc::clone(same),
            _ => match Self::compiled(settings, all, say) {
                Some(tenant) => Arc::new(tenant),
                None => return,
            },
        };
        if settings.keys.len() > MAX_KEYS {
            say("keys".to_owned(), format!("more than {MAX_KEYS} keys"));
        }
        for (index, key) in settings.keys.iter().take(MAX_KEYS).enumerate() {
            if let Err(problem) = self.add_key(key, &tenant) {
                say(format!("keys[{index}]"), problem);
            }
        }
        for (index, rule) in settings.certificates.iter().enumerate() {
            match CertificateRule::parse(rule) {
                Ok(rule) => certificates.push((rule, Arc::clone(&tenant))),
                Err(problem) => say(format!("certificates[{index}]"), problem),
            }
        }
        if self.tenants.insert(tenant.id.clone(), tenant).is_some() {
            say("id".to_owned(), "another tenant has the same id".to_owned());
        }
    }

    fn compiled(
        settings: &TenantSettings,
        all: &HashSet<&str>,
        say: &mut impl FnMut(String, String),
    ) -> Option<Tenant> {
        let id = TenantId::new(&settings.id).map_err(|error| say("id".to_owned(), error.to_string()));
        let acl = Acl::new(&settings.acl).map_err(|errors| {
            for error in errors {
                say(format!("{}[{}]", error.field, error.index), error.problem);
            }
        });
        let mut may_act_for = Vec::new();
        for (index, other) in settings
            .may_act_for
            .iter()
            .enumerate()
            .filter(|(_, id)| *id != "*")
        {
            match TenantId::new(other) {
                Ok(id) if all.contains(other.as_str()) => may_act_for.push(id),
                Ok(_) => say(
                    format!("may_act_for[{index}]"),
                    format!("there is no tenant {}", shown(other)),
                ),
                Err(error) => say(format!("may_act_for[{index}]"), error.to_string()),
            }
        }
        let (Ok(id), Ok(acl)) = (id, acl) else { return None };
        Some(Tenant {
            id,
            name: settings.name.clone(),
            suspended: settings.suspended,
            acl,
            acl_settings: settings.acl.clone(),
            may_act_for,
            may_act_for_all: settings.may_act_for.iter().any(|id| id == "*"),
        })
    }

    fn add_key(&mut self, key: &KeySettings, tenant: &Arc<Tenant>) -> Result<(), String> {
        let hash = KeyHash::parse(&key.hash).map_err(|error| error.to_string())?;
        let principal = if key.name.is_empty() {
            tenant.id.shared()
        } else {
            key.name.as_str().into()
        };
        let identity = Identity {
            tenant: Arc::clone(tenant),
            principal,
            proof: Proof::Key(hash),
            scopes: Arc::default(),
        };
        let entry = KeyEntry {
            hash,
            expires: key.expires,
            identity,
        };
        match self.keys.insert(hash, entry) {
            Some(other) => Err(format!("tenant {} has the same key", other.identity.tenant.id)),
            None => Ok(()),
        }
    }

    /// Who has this API key. `now` in Unix seconds.
    ///
    /// # Errors
    /// [`Rule::KeyUnknown`], [`Rule::KeyExpired`], [`Rule::TenantSuspended`].
    pub fn by_key(&self, key: &str, now: u64) -> Result<&Identity, Denied> {
        if !is_wellformed(key) {
            return Err(no_key());
        }
        self.by_hash(KeyHash::of(key), now).map_err(|denied| {
            // Looked at only for the sake of what to tell the caller.
            if denied.rule == Rule::KeyUnknown && !is_plausible(key) {
                no_key()
            } else {
                denied
            }
        })
    }

    fn by_hash(&self, hash: KeyHash, now: u64) -> Result<&Identity, Denied> {
        let entry = self.keys.get(&hash).filter(|entry| entry.hash.equals(&hash));
        let Some(entry) = entry else {
            return Err(Denied::new(
                Rule::KeyUnknown,
                "nobody has this API key; it may have been revoked",
            ));
        };
        if entry.expires.is_some_and(|expires| now >= expires) {
            return Err(Denied::new(
                Rule::KeyExpired,
                "this API key has expired; ask for a new one",
            ));
        }
        active(&entry.identity.tenant)?;
        Ok(&entry.identity)
    }

    /// Who a verified token is.
    ///
    /// # Errors
    /// [`Rule::TenantUnknown`], [`Rule::TenantSuspended`].
    pub fn by_token(&self, token: &Verified) -> Result<Identity, Denied> {
        Ok(Identity {
            tenant: Arc::clone(self.active_tenant(token.tenant.as_str())?),
            principal: Arc::clone(&token.subject),
            proof: Proof::Token {
                until: token.good_until,
            },
            scopes: Arc::clone(&token.scopes),
        })
    }

    /// Whose client certificate this is. The TLS layer must have verified it.
    ///
    /// `now` in Unix seconds.
    ///
    /// # Errors
    /// [`Rule::CertificateExpired`], [`Rule::CertificateUnknown`], [`Rule::CertificateAmbiguous`],
    /// [`Rule::TenantSuspended`].
    pub fn by_certificate(&self, names: &Arc<CertificateNames>, now: u64) -> Result<Identity, Denied> {
        if now > names.expires {
            return Err(Denied::new(
                Rule::CertificateExpired,
                "the client certificate has expired while the connection was open; connect with a new one",
            ));
        }
        let mut found: Option<&Arc<Tenant>> = None;
        for tenant in self.certificates.matching(names) {
            if found.is_some_and(|other| other.id != tenant.id) {
                return Err(Denied::new(
                    Rule::CertificateAmbiguous,
                    "more than one tenant claims this client certificate; make their patterns narrower",
                ));
            }
            found = Some(tenant);
        }
        let Some(tenant) = found else {
            return Err(Denied::new(
                Rule::CertificateUnknown,
                "no tenant has this client certificate",
            ));
        };
        active(tenant)?;
        Ok(Identity {
            tenant: Arc::clone(tenant),
            principal: names.principal().into(),
            proof: Proof::Certificate(Arc::clone(names)),
            scopes: Arc::default(),
        })
    }

    /// Whether what somebody proved before still gives access to a tenant: for what outlives the message that it came with,
    /// as an open stream does. A key may have been revoked, a token or certificate have ended, a tenant been suspended.
    ///
    /// `now` in Unix seconds.
    ///
    /// # Errors
    /// As of the function that took the proof, and of [`Self::act_for`].
    pub fn still(&self, proof: &Proof, tenant: &str, now: u64) -> Result<(), Denied> {
        let owner;
        let identity = match proof {
            Proof::Key(hash) => self.by_hash(*hash, now)?,
            Proof::Certificate(names) => {
                owner = self.by_certificate(names, now)?;
                &owner
            }
            Proof::Token { until } if now >= *until => {
                return Err(Denied::new(
                    Rule::JwtExpired,
                    "the token has expired; get a new one",
                ));
            }
            Proof::Token { .. } | Proof::Given => return self.active_tenant(tenant).map(|_| ()),
        };
        self.act_for(identity, tenant).map(|_| ())
    }

    /// The identity of a door whose tenant was given when it was started.
    ///
    /// # Errors
    /// [`Rule::TenantUnknown`], [`Rule::TenantSuspended`].
    pub fn by_id(&self, id: &str) -> Result<Identity, Denied> {
        let tenant = Arc::clone(self.active_tenant(id)?);
        Ok(Identity {
            principal: tenant.id.shared(),
            tenant,
            proof: Proof::Given,
            scopes: Arc::default(),
        })
    }

    /// The tenant that a request names in its body: the caller's own, or one it may act for. The answer for a tenant that
    /// does not exist is the same as for one that is out of reach.
    ///
    /// # Errors
    /// [`Rule::TenantActFor`], and [`Rule::TenantSuspended`] for a tenant within reach.
    pub fn act_for(&self, identity: &Identity, id: &str) -> Result<&Arc<Tenant>, Denied> {
        let own = &identity.tenant;
        let within = own.id.as_str() == id
            || own.may_act_for_all
            || own.may_act_for.iter().any(|other| other.as_str() == id);
        let tenant = self.tenants.get(id).filter(|_| within).ok_or_else(|| {
            Denied::new(
                Rule::TenantActFor,
                format!("tenant {} may not act for tenant {}", own.id, shown(id)),
            )
        })?;
        active(tenant)?;
        Ok(tenant)
    }

    /// A tenant, suspended or not.
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// All tenants, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.values()
    }

    /// Whether any tenant has an API key.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether any tenant has client certificates.
    pub fn has_certificates(&self) -> bool {
        !self.certificates.is_empty()
    }

    fn active_tenant(&self, id: &str) -> Result<&Arc<Tenant>, Denied> {
        let tenant = self
            .tenants
            .get(id)
            .ok_or_else(|| Denied::new(Rule::TenantUnknown, format!("there is no tenant {}", shown(id))))?;
        active(tenant)?;
        Ok(tenant)
    }
}

#[cold]
fn no_key() -> Denied {
    Denied::new(
        Rule::KeyUnknown,
        "this is no API key: it is incomplete or mistyped",
    )
}

/// Whether all tenants that this one may act for are there.
fn reaches_only(tenant: &Tenant, all: &HashSet<&str>) -> bool {
    tenant.may_act_for.iter().all(|id| all.contains(id.as_str()))
}

fn active(tenant: &Tenant) -> Result<(), Denied> {
    if tenant.suspended {
        let message = format!("tenant {} is suspended; its operator can resume it", tenant.id);
        return Err(Denied::new(Rule::TenantSuspended, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
