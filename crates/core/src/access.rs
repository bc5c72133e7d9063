//! Who may call, and what each tenant may do.
//!
//! Built once from a configuration, then part of every snapshot until the configuration changes. A
//! credential becomes a [`Principal`], which carries the [`Grants`] of its tenant: after that nothing
//! is looked up by tenant again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use ferromcp_guard::{Guard, PatternPolicy, ScanLimits, ToolGuard};
use ferromcp_limits::{LimitSettings, Limits, MAX_WINDOW, Nanos, Rate, TenantLimits};
use ferromcp_tenancy::{Acl, Denied, Directory, Identity, JwtVerifier, Kind, Proof, Rule, Tenant};
use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::call::{Credential, Principal};
use crate::catalog::Catalog;
use crate::error::{CallError, ErrorCode};

/// What happens to callers without a credential where one could be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// They are the local tenant.
    #[default]
    Local,
    /// They are refused.
    Refuse,
}

/// Checks tokens with keys that may be replaced while the server runs.
pub struct Tokens {
    verifier: ArcSwap<JwtVerifier>,
    unknown_key: Notify,
}

impl Tokens {
    /// With the keys that are known now.
    pub fn new(verifier: JwtVerifier) -> Self {
        Self {
            verifier: ArcSwap::from_pointee(verifier),
            unknown_key: Notify::new(),
        }
    }

    /// The verifier of this moment.
    pub fn verifier(&self) -> Arc<JwtVerifier> {
        self.verifier.load_full()
    }

    /// Puts other keys in place.
    pub fn replace(&self, verifier: JwtVerifier) {
        self.verifier.store(Arc::new(verifier));
    }

    /// Waits until a token names a key that is not known: time to look for new ones.
    pub async fn unknown_key(&self) {
        self.unknown_key.notified().await;
    }

    fn verify(&self, token: &str, now: u64) -> Result<Arc<ferromcp_tenancy::Verified>, Denied> {
        let verified = self.verifier.load().verify(token, now);
        if let Err(denied) = &verified
            && denied.rule == Rule::JwtUnknownKey
        {
            self.unknown_key.notify_one();
        }
        verified
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// What an [`Access`] is made of.
#[derive(Debug, Default)]
pub struct AccessSettings {
    /// The tenants.
    pub directory: Directory,
    /// The checker of tokens, if there is one.
    pub tokens: Option<Arc<Tokens>>,
    /// Callers without a credential.
    pub anonymous: Anonymous,
    /// Scopes that every token must have.
    pub scopes: Vec<String>,
    /// Pattern rules on arguments; `None` looks for none.
    pub patterns: Option<PatternPolicy>,
    /// Pattern rules of tenants that have their own, by tenant id.
    pub tenant_patterns: HashMap<String, PatternPolicy>,
    /// Rates and quotas. Rates of tools are added from `tool_rates`.
    pub limits: LimitSettings,
    /// Rates of tools by the name as listed: the first list that allows a tool counts, and each tool has
    /// a rate of its own.
    pub tool_rates: Vec<(Acl, Rate)>,
}

/// Who may call, and what each tenant may do.
#[derive(Debug)]
pub struct Access {
    /// Tells one configuration from another without comparing them.
    id: u64,
    directory: Directory,
    tokens: Option<Arc<Tokens>>,
    anonymous: Anonymous,
    scopes: Vec<String>,
    /// The first is of all tenants that have none of their own.
    policies: Vec<Option<PatternPolicy>>,
    limit_settings: LimitSettings,
    tool_rates: Vec<(Acl, Rate)>,
    limits: Arc<Limits>,
    clock: Clock,
    grants: HashMap<Arc<str>, Arc<Grants>, RandomState>,
    local: Principal,
}

/// Rule id of a token without a scope that is needed.
pub const RULE_SCOPE: &str = "auth.scope";
/// Id of the tenant of local users.
pub const LOCAL: &str = "local";

impl Access {
    /// Compiles the settings.
    pub fn new(settings: AccessSettings) -> Self {
        let clock = Clock(Instant::now());
        let limits = Limits::new(&settings.limits, clock.now());
        Self::compiled(settings, clock, limits)
    }

    /// Compiles settings that take the place of these. The clock goes on, and what was used of `used`, the limits of
    /// the last snapshot, stays used.
    pub(crate) fn succeeded_by(&self, settings: AccessSettings, catalog: &Catalog, used: &Limits) -> Self {
        let wanted = with_tool_rates(&settings.limits, &settings.tool_rates, catalog);
        // Once, and from the limits in use: doing it twice would convert what was used of a changed rate twice.
        let limits = used.with_settings(&wanted, self.now());
        Self::compiled(settings, self.clock, limits)
    }

    fn compiled(settings: AccessSettings, clock: Clock, limits: Limits) -> Self {
        let AccessSettings {
            directory,
            tokens,
            anonymous,
            scopes,
            patterns,
            tenant_patterns,
            limits: limit_settings,
            tool_rates,
        } = settings;
        let limits = Arc::new(limits);
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut policies = vec![patterns];
        let mut grants: HashMap<Arc<str>, Arc<Grants>, RandomState> = HashMap::default();
        for tenant in directory.tenants() {
            let mut made = Grants::of(tenant, &limits);
            made.made_by = id;
            if let Some(own) = tenant_patterns.get(tenant.id().as_str()) {
                made.policy = policies.len();
                policies.push(Some(own.clone()));
            }
            grants.insert(tenant.id().shared(), Arc::new(made));
        }
        let own = grants.get(LOCAL).cloned();
        let local = Principal {
            tenant: LOCAL.into(),
            name: LOCAL.into(),
            grants: own.unwrap_or_else(|| {
                let mut made = Grants::unrestricted(&limits);
                made.made_by = id;
                Arc::new(made)
            }),
            proof: Proof::Given,
        };
        Self {
            id,
            directory,
            tokens,
            anonymous,
            scopes,
            policies,
            limit_settings,
            tool_rates,
            limits,
            clock,
            grants,
            local,
        }
    }

    /// Tenants that were here before and are in `next`, with what they might do and may do.
    pub(crate) fn tenants_of_both<'a>(
        &'a self,
        next: &'a Self,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Grants, &'a Grants)> {
        next.grants
            .iter()
            .filter_map(|(id, new)| Some((id, &**self.grants.get(id)?, &**new)))
    }

    /// What local users may do.
    pub(crate) fn local_grants(&self) -> &Grants {
        &self.local.grants
    }

    /// The limits with a rate for every tool of the catalog that a pattern matches. What was used of
    /// `before` stays used.
    pub(crate) fn limits_with(&self, catalog: &Catalog, before: &Limits) -> Arc<Limits> {
        if self.tool_rates.is_empty() {
            return Arc::clone(&self.limits);
        }
        let settings = with_tool_rates(&self.limit_settings, &self.tool_rates, catalog);
        Arc::new(before.with_settings(&settings, self.now()))
    }

    /// The pattern rules of every policy, made ready for every tool of the catalog, in its order.
    pub(crate) fn guards_with(&self, catalog: &Catalog, limits: ScanLimits) -> Vec<Option<ToolGuards>> {
        let ready = |policy: &Option<PatternPolicy>| {
            let guard = Guard::new(limits, policy.clone()?);
            let tools = catalog
                .tools()
                .iter()
                .map(|tool| guard.tool(&tool.name))
                .collect();
            Some(ToolGuards { guard, tools })
        };
        self.policies.iter().map(ready).collect()
    }

    /// Rates and quotas without those of tools by pattern.
    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// True if anything is limited at all.
    pub(crate) fn is_limited(&self) -> bool {
        let set = &self.limit_settings;
        set.global.is_some()
            || set.client.is_some()
            || !set.tenants.is_empty()
            || !set.tools.is_empty()
            || !self.tool_rates.is_empty()
    }

    /// The time that limits count in.
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// True if credentials are looked at: otherwise everybody is the local tenant, and what somebody
    /// shows all the same changes nothing.
    pub fn authenticates(&self) -> bool {
        self.tokens.is_some()
            || self.directory.has_keys()
            || self.directory.has_certificates()
            || self.anonymous == Anonymous::Refuse
    }

    /// The tenants.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The principal behind a credential.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] with the rule that refused; [`ErrorCode::PermissionDenied`] if it
    /// is known who calls, but the tenant is suspended or does not exist any more.
    pub fn principal(&self, credential: Credential<'_>) -> Result<Principal, CallError> {
        match credential {
            Credential::Local => Ok(self.local.clone()),
            Credential::Anonymous | Credential::Token(_) | Credential::Certificate(_)
                if !self.authenticates() =>
            {
                Ok(self.local.clone())
            }
            Credential::Certificate(names) if self.directory.has_certificates() => {
                let identity = self.directory.by_certificate(names, unix_seconds());
                Ok(self.of(&identity.map_err(|d| denied(&d))?))
            }
            // A certificate that only opens the connection says nothing about the tenant.
            Credential::Anonymous | Credential::Certificate(_) => match self.anonymous {
                Anonymous::Local => Ok(self.local.clone()),
                Anonymous::Refuse => Err(denied(&Denied::missing())),
            },
            Credential::Token(shown) => self.shown(shown),
            Credential::Tenant(id) => self.given(id).map_err(|d| denied(&d)),
            Credential::Proven(principal) => self.again(principal),
        }
    }

    fn shown(&self, shown: &str) -> Result<Principal, CallError> {
        let now = unix_seconds();
        match &self.tokens {
            Some(tokens) if JwtVerifier::looks_like_token(shown) => {
                let verified = tokens.verify(shown, now).map_err(|d| denied(&d))?;
                let lacks = self.scopes.iter().find(|scope| !verified.scopes.contains(scope));
                if let Some(scope) = lacks {
                    return Err(CallError::new(
                        ErrorCode::PermissionDenied,
                        format!("the token lacks the scope `{scope}`"),
                    )
                    .with_rule(RULE_SCOPE));
                }
                let identity = self.directory.by_token(&verified).map_err(|d| denied(&d))?;
                Ok(self.of(&identity))
            }
            _ => {
                let identity = self.directory.by_key(shown, now).map_err(|d| denied(&d))?;
                Ok(self.of(identity))
            }
        }
    }

    /// The tenant that whoever started the server named.
    fn given(&self, id: &str) -> Result<Principal, Denied> {
        if id == LOCAL && self.directory.tenant(id).is_none() {
            return Ok(self.local.clone());
        }
        Ok(self.of(&self.directory.by_id(id)?))
    }

    /// A principal that was found by an earlier snapshot: what its tenant may do is looked up anew.
    fn again(&self, principal: &Principal) -> Result<Principal, CallError> {
        if self.is_current(principal) {
            return Ok(principal.clone());
        }
        self.still(principal)?;
        let found = self.given(&principal.tenant).map_err(|d| denied(&d))?;
        Ok(Principal {
            name: Arc::clone(&principal.name),
            proof: principal.proof.clone(),
            ..found
        })
    }

    /// A principal that another process knows.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub(crate) fn handed(&self, tenant: &str, name: &str) -> Result<Principal, CallError> {
        let found = self.given(tenant).map_err(|d| denied(&d))?;
        Ok(Principal {
            name: name.into(),
            ..found
        })
    }

    /// Whether what a principal proved is still good at this moment.
    ///
    /// # Errors
    /// As [`Self::principal`].
    pub(crate) fn still(&self, principal: &Principal) -> Result<(), CallError> {
        if principal.proof == Proof::Given {
            // Local users need no tenant of their own.
            return self.given(&principal.tenant).map(|_| ()).map_err(|d| denied(&d));
        }
        let still = self
            .directory
            .still(&principal.proof, &principal.tenant, unix_seconds());
        still.map_err(|d| denied(&d))
    }

    fn is_current(&self, principal: &Principal) -> bool {
        principal.grants.made_by == self.id
    }

    fn of(&self, identity: &Identity) -> Principal {
        let tenant = identity.tenant.id().shared();
        let grants = self.grants.get(&tenant).unwrap_or(&self.local.grants);
        Principal {
            name: Arc::clone(&identity.principal),
            grants: Arc::clone(grants),
            proof: identity.proof.clone(),
            tenant,
        }
    }

    /// The principal in the name of the tenant that a request names: its own, or one that it may act
    /// for.
    ///
    /// # Errors
    /// [`ErrorCode::PermissionDenied`].
    pub fn act_for(&self, principal: &Principal, tenant: &str) -> Result<Principal, CallError> {
        if &*principal.tenant == tenant {
            return Ok(principal.clone());
        }
        let own = self.directory.by_id(&principal.tenant).map_err(|_| {
            let shown: String = tenant.chars().take(64).collect();
            CallError::new(
                ErrorCode::PermissionDenied,
                format!(
                    "tenant {} may not act for tenant `{shown}`: leave tenant_id out",
                    principal.tenant
                ),
            )
            .with_rule(Rule::TenantActFor.id())
        })?;
        let other = self.directory.act_for(&own, tenant).map_err(|d| denied(&d))?;
        let id = other.id().shared();
        Ok(Principal {
            name: Arc::clone(&principal.name),
            grants: Arc::clone(self.grants.get(&id).unwrap_or(&principal.grants)),
            proof: principal.proof.clone(),
            tenant: id,
        })
    }
}

impl Default for Access {
    /// One local tenant that may do everything, without limits.
    fn default() -> Self {
        Self::new(AccessSettings::default())
    }
}

/// Limits with a rate for every tool that a pattern matches.
fn with_tool_rates(limits: &LimitSettings, rates: &[(Acl, Rate)], catalog: &Catalog) -> LimitSettings {
    let mut settings = limits.clone();
    if rates.is_empty() {
        return settings;
    }
    for tool in catalog.tools() {
        let rate = rates.iter().find(|(acl, _)| acl.tool(&tool.name).allowed);
        if let Some((_, rate)) = rate {
            settings.tools.insert(tool.name.to_string(), *rate);
        }
    }
    settings
}

fn denied(denied: &Denied) -> CallError {
    let code = if denied.rule.is_forbidden() {
        ErrorCode::PermissionDenied
    } else {
        ErrorCode::Unauthenticated
    };
    CallError::new(code, denied.message.clone()).with_rule(denied.rule.id())
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Monotonic time since the limits were made, and as much as the longest window before: what another process counted in it has a
/// time on this clock.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Nanos {
        const START: u64 = 2 * MAX_WINDOW.as_secs() * 1_000_000_000;
        let passed = u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Nanos::new(START.saturating_add(passed))
    }
}

/// One policy of pattern rules.
#[derive(Debug)]
pub struct ToolGuards {
    /// For what is no tool.
    pub(crate) guard: Guard,
    /// By place in the catalog.
    pub(crate) tools: Vec<ToolGuard>,
}

/// What a tenant may do, compiled.
#[derive(Debug, Default)]
pub struct Grants {
    /// `None`: everything.
    tenant: Option<Arc<Tenant>>,
    limits: Option<Arc<TenantLimits>>,
    /// Which policy of pattern rules it is held to.
    pub(crate) policy: usize,
    /// The [`Access`] that it belongs to; 0 for none.
    made_by: u64,
}

impl Grants {
    fn of(tenant: &Arc<Tenant>, limits: &Limits) -> Self {
        Self {
            tenant: Some(Arc::clone(tenant)),
            limits: limits.tenant(tenant.id().as_str()).cloned(),
            policy: 0,
            made_by: 0,
        }
    }

    fn unrestricted(limits: &Limits) -> Self {
        Self {
            tenant: None,
            limits: limits.tenant(LOCAL).cloned(),
            policy: 0,
            made_by: 0,
        }
    }

    /// The access lists; `None` if everything may be seen and called.
    pub fn acl(&self) -> Option<&Acl> {
        self.tenant.as_deref().map(Tenant::acl)
    }

    /// True if this may be seen and called.
    pub fn allows(&self, kind: Kind, name: &str) -> bool {
        self.acl().is_none_or(|acl| acl.decide(kind, name).allowed)
    }

    /// Compiled from the same settings.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (&self.tenant, &other.tenant) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Rates and quotas of the tenant.
    pub fn limits(&self) -> Option<&Arc<TenantLimits>> {
        self.limits.as_ref()
    }
}

#[cfg(test)]
mod tests;
