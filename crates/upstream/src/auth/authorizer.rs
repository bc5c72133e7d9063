//! One token for one server: fetched when it is needed, renewed before it ends, by one task at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use rustls::ClientConfig;
use tokio::time::Instant;
use url::Url;

use super::challenge::Challenge;
use super::client::Client;
use super::discover::{self, Issuer, Resource, Server};
use super::fetch::Fetcher;
use super::grant::{self, Asking, DPOP, DPOP_NONCE};
use super::jwt::{ProofKey, SigningKey};
use super::spec::{Grant, OAuthSpec, Secret};
use super::token::{Token, words};
use super::{AuthError, code};
use crate::transport::http::shown;

/// After a failure, others get its error for this long instead of trying again.
const PAUSE: Duration = Duration::from_secs(5);
/// The same when the authorization server has refused: it will refuse again.
const PAUSE_REFUSED: Duration = Duration::from_secs(60);
/// How often more scopes are asked for within [`STEP_UP_TIME`].
const MAX_STEP_UPS: u32 = 3;
/// Most identities that are kept.
const MAX_ISSUERS: usize = 16;
const STEP_UP_TIME: Duration = Duration::from_secs(600);

/// Gets and keeps the token for one server. Share it between all connections to the server.
pub(crate) struct Authorizer {
    spec: OAuthSpec,
    url: Url,
    fetch: Fetcher,
    key: Option<SigningKey>,
    proof: ProofKey,
    current: ArcSwapOption<Token>,
    renewing: AtomicBool,
    /// The last nonces of the token endpoint and of the server.
    token_nonce: Mutex<Option<String>>,
    nonce: Mutex<Option<String>>,
    state: tokio::sync::Mutex<State>,
}

/// What only the task that fetches a token may see.
#[derive(Default)]
struct State {
    found: Option<(Resource, Server)>,
    /// Identities by issuer; none is ever shown to another.
    clients: BTreeMap<String, Client>,
    /// The issuer that a `client_id` from the settings went to.
    bound: Option<String>,
    /// The last challenge: what the server wants.
    challenge: Challenge,
    /// Scopes that were asked for.
    asked: BTreeSet<String>,
    /// The last refresh token, and whose it is.
    refresh: Option<(String, Secret)>,
    step_ups: u32,
    step_ups_since: Option<Instant>,
    failed: Option<(Instant, AuthError)>,
}

/// What there is to do about a token.
enum Work {
    /// Get one.
    First,
    /// This one ends soon, or has.
    Renew(Arc<Token>),
    /// The server does not accept it.
    Replace(Option<Arc<Token>>, Challenge),
    /// The server wants more scopes.
    StepUp(Option<Arc<Token>>, Challenge),
}

/// What was done about refusals of one request.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    fetched: bool,
    nonce: bool,
    stepped: u32,
}

impl Authorizer {
    /// Checks the settings; nothing is sent. `url`: the server.
    ///
    /// # Errors
    /// [`AuthError::Settings`] or [`AuthError::Address`].
    pub(crate) fn new(spec: OAuthSpec, url: &Url, trust: ClientConfig) -> Result<Arc<Self>, AuthError> {
        let fetch = Fetcher::new(url, trust);
        for (text, what) in [(&spec.token_url, "`token_url`"), (&spec.issuer, "`issuer`")] {
            if let Some(text) = text {
                fetch.parse(text, what)?;
            }
        }
        if spec.token_url.is_some() && spec.client_id.is_none() {
            return Err(AuthError::Settings("`token_url` needs `client_id`".to_owned()));
        }
        Ok(Arc::new(Self {
            key: spec.client_key.as_ref().map(SigningKey::parse).transpose()?,
            proof: ProofKey::generate()?,
            spec,
            url: url.clone(),
            fetch,
            current: ArcSwapOption::empty(),
            renewing: AtomicBool::new(false),
            token_nonce: Mutex::default(),
            nonce: Mutex::default(),
            state: tokio::sync::Mutex::default(),
        }))
    }

    /// Adds the token to a request to the server, fetching or renewing it first where that is known to be needed. The
    /// first request of all goes without: its refusal says what is wanted.
    pub(crate) async fn dress(
        self: &Arc<Self>,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
    ) -> Result<Option<Arc<Token>>, AuthError> {
        let now = Instant::now();
        let token = match self.current.load_full() {
            Some(token) if token.ends_at.is_some_and(|end| now >= end) => {
                self.alone(Work::Renew(token)).await?;
                self.current.load_full()
            }
            Some(token) => {
                if token.renew_at.is_some_and(|at| now >= at) {
                    self.renew_meanwhile(&token);
                }
                Some(token)
            }
            None if self.spec.token_url.is_some() => {
                self.alone(Work::First).await?;
                self.current.load_full()
            }
            None => None,
        };
        if let Some(token) = &token {
            headers.insert(AUTHORIZATION, token.header.clone());
            if token.bound {
                let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let access = token.access.expose();
                let url = Url::parse(&uri.to_string()).map_err(|e| AuthError::Exchange(e.to_string()))?;
                let proof = self
                    .proof
                    .proof(method.as_str(), &url, Some(access), nonce.as_deref())?;
                let proof = HeaderValue::from_str(&proof).map_err(|e| AuthError::Exchange(e.to_string()))?;
                headers.insert(DPOP, proof);
            }
        }
        Ok(token)
    }

    /// The server refused a request that went out with `used`. True if the request should be sent again, which is safe:
    /// a refused request did not run.
    pub(crate) async fn refused(
        self: &Arc<Self>,
        used: Option<&Arc<Token>>,
        status: StatusCode,
        headers: &HeaderMap,
        attempts: &mut Attempts,
    ) -> Result<bool, AuthError> {
        let challenge = Challenge::of(headers);
        if let Some(nonce) = grant::header(headers, &DPOP_NONCE) {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce);
            if challenge.error.as_deref() == Some("use_dpop_nonce") {
                return Ok(!std::mem::replace(&mut attempts.nonce, true));
            }
        }
        let used = used.cloned();
        match status {
            StatusCode::UNAUTHORIZED if !attempts.fetched => {
                attempts.fetched = true;
                self.alone(Work::Replace(used, challenge)).await
            }
            StatusCode::FORBIDDEN if challenge.error.as_deref() == Some("insufficient_scope") => {
                attempts.stepped += 1;
                if attempts.stepped > MAX_STEP_UPS {
                    return Ok(false);
                }
                self.alone(Work::StepUp(used, challenge)).await
            }
            _ => Ok(false),
        }
    }

    /// Renews a token that is good for a while, beside the requests that use it.
    fn renew_meanwhile(self: &Arc<Self>, token: &Arc<Token>) {
        if self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (this, token) = (Arc::clone(self), Arc::clone(token));
        tokio::spawn(async move {
            if let Err(error) = this.alone(Work::Renew(token)).await {
                tracing::warn!(target: "ferromcp::server", url = %shown(&this.url), %error, "token not renewed yet; the old one is used until it ends");
            }
            this.renewing.store(false, Ordering::Release);
        });
    }

    /// Does `work` when nobody else does any, to its end even if the caller goes away: a refresh token that was sent is
    /// used up, and its successor must not get lost. True if there is a token to try.
    async fn alone(self: &Arc<Self>, work: Work) -> Result<bool, AuthError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let mut state = this.state.lock().await;
            if this.is_done(&work) {
                return Ok(true);
            }
            if let Some((until, error)) = &state.failed
                && Instant::now() < *until
            {
                return Err(error.clone());
            }
            let done = this.work(&mut state, work).await;
            state.failed = done.as_ref().err().map(|error| {
                let pause = match error {
                    AuthError::Exchange(_) => PAUSE,
                    _ => PAUSE_REFUSED,
                };
                (Instant::now() + pause, error.clone())
            });
            done
        });
        task.await.unwrap_or_else(|_| {
            Err(AuthError::Exchange(
                "internal error while a token was fetched".to_owned(),
            ))
        })
    }

    /// Somebody else has put another token in place meanwhile.
    fn is_done(&self, work: &Work) -> bool {
        let current = self.current.load();
        match (work, &*current) {
            (Work::First, current) => current.is_some(),
            (Work::Renew(old), Some(current)) => !Arc::ptr_eq(old, current),
            (Work::Replace(used, _) | Work::StepUp(used, _), Some(current)) => {
                used.as_ref().is_none_or(|used| !Arc::ptr_eq(used, current))
            }
            (_, None) => false,
        }
    }

    async fn work(&self, state: &mut State, work: Work) -> Result<bool, AuthError> {
        let mut old = None;
        match work {
            Work::First => {}
            Work::Renew(token) => old = Some(token),
            Work::Replace(used, challenge) => {
                // Which authorization server is in charge may have changed.
                state.found = None;
                state.challenge = challenge;
                if used.is_some() {
                    self.current.store(None);
                }
            }
            Work::StepUp(used, challenge) => {
                if !state.may_step_up(&challenge) {
                    return Ok(false);
                }
                state
                    .asked
                    .extend(used.iter().flat_map(|token| token.scopes.iter().cloned()));
                state
                    .asked
                    .extend(challenge.scope.iter().flat_map(|scope| words(scope)));
                // A refresh token brings no more scopes than it had.
                state.refresh = None;
                if challenge.resource_metadata.is_some() {
                    state.challenge.resource_metadata = challenge.resource_metadata;
                }
            }
        }
        let token = self.obtain(state).await?;
        tracing::debug!(target: "ferromcp::server", url = %shown(&self.url), issuer = token.issuer, renewed = old.is_some(), "token fetched");
        self.current.store(Some(Arc::new(token)));
        Ok(true)
    }

    /// Gets a token: by the refresh token if there is one, else by the grant.
    async fn obtain(&self, state: &mut State) -> Result<Token, AuthError> {
        let (resource, server) = match state.found.take() {
            Some(found) => found,
            None => self.discover(&state.challenge).await?,
        };
        let client = self.client(state, &server).await?;
        if state.asked.is_empty() {
            state.asked = self.scopes(&state.challenge, &resource, &server);
        }
        let bound = self.spec.dpop || resource.dpop || state.challenge.dpop;
        let asking = Asking {
            fetch: &self.fetch,
            server: &server,
            client: &client,
            key: self.key.as_ref().map(|key| {
                let kid = self.spec.client_key.as_ref().and_then(|key| key.kid.as_deref());
                (key, kid)
            }),
            proof: bound.then_some(&self.proof),
            nonce: &self.token_nonce,
            resource: resource.id.as_deref(),
            scopes: &state.asked,
        };
        let refresh = state
            .refresh
            .take_if(|(issuer, _)| *issuer == server.issuer)
            .map(|(_, token)| token);
        let mut refreshed = None;
        if let Some(old) = &refresh {
            match asking.refresh(old.expose()).await {
                Ok(token) => refreshed = Some(token),
                // It has ended or was taken back.
                Err(AuthError::Refused { .. }) => {}
                Err(error) => {
                    state.refresh = Some((server.issuer.clone(), old.clone()));
                    return Err(error);
                }
            }
        }
        let token = match refreshed {
            Some(token) => token,
            None => self.grant(&asking).await?,
        };
        // A server that gives no new refresh token lets the old one stand.
        state.refresh = token
            .refresh
            .clone()
            .or(refresh)
            .map(|token| (server.issuer.clone(), token));
        state.found = Some((resource, server));
        Ok(token)
    }

    async fn grant(&self, asking: &Asking<'_>) -> Result<Token, AuthError> {
        match &self.spec.grant {
            Grant::ClientCredentials => asking.credentials().await,
            Grant::AuthorizationCode { redirect_uri, agent } => {
                code::authorize(asking, agent.as_ref(), redirect_uri).await
            }
            Grant::JwtBearer(assertion) => {
                let assertion = assertion.read().map_err(AuthError::Settings)?;
                asking.bearer(assertion.expose()).await
            }
            Grant::Enterprise {
                idp_token_url,
                idp_client_id,
                id_token,
            } => {
                let idp = self
                    .fetch
                    .parse(idp_token_url, "the identity provider's token endpoint")?;
                let (audience, resource) = (&asking.server.issuer, asking.resource);
                let statement = grant::exchange(
                    &self.fetch,
                    &idp,
                    idp_client_id,
                    id_token.as_ref(),
                    audience,
                    resource,
                    asking.scopes,
                )
                .await?;
                asking.bearer(&statement).await
            }
        }
    }

    async fn discover(&self, challenge: &Challenge) -> Result<(Resource, Server), AuthError> {
        if let Some(token) = &self.spec.token_url {
            let token = self.fetch.parse(token, "`token_url`")?;
            let issuer = match &self.spec.issuer {
                Some(issuer) => issuer.clone(),
                None => token.to_string(),
            };
            let resource = Resource {
                // Many servers outside of MCP refuse the parameter, so it is sent on demand.
                id: self.spec.resource.clone(),
                issuer: Issuer::Named(issuer.clone()),
                scopes: Vec::new(),
                dpop: false,
            };
            return Ok((resource, Server::at(issuer, token)));
        }
        let mut resource =
            discover::resource(&self.fetch, &self.url, challenge, self.spec.issuer.as_deref()).await?;
        if let Some(id) = &self.spec.resource {
            resource.id = Some(id.clone());
        }
        let server = discover::server(&self.fetch, &resource.issuer).await?;
        Ok((resource, server))
    }

    /// Our identity at this issuer.
    async fn client(&self, state: &mut State, server: &Server) -> Result<Client, AuthError> {
        if self.spec.client_id.is_some() {
            let issuer = self.spec.issuer.as_ref().or(state.bound.as_ref());
            if let Some(issuer) = issuer
                && *issuer != server.issuer
            {
                return Err(AuthError::Unsafe(format!(
                    "the server now wants tokens of {}, and our credentials are for {issuer}: they are shown to nobody \
                     else; if the change is right, set `issuer` and the credentials for it",
                    server.issuer
                )));
            }
        }
        let client = match Client::known(&self.spec, server)? {
            Some(client) => client,
            None => match state.clients.get(&server.issuer) {
                Some(client) => return Ok(client.clone()),
                None => Client::register(&self.spec, server, &self.fetch).await?,
            },
        };
        if self.spec.client_id.is_some() {
            state.bound = Some(server.issuer.clone());
        } else if state.clients.len() < MAX_ISSUERS {
            state.clients.insert(server.issuer.clone(), client.clone());
        }
        Ok(client)
    }

    /// What to ask for first (2026-07-28 basic/authorization, "Scope Selection Strategy").
    fn scopes(&self, challenge: &Challenge, resource: &Resource, server: &Server) -> BTreeSet<String> {
        let mut scopes: BTreeSet<String> = match &challenge.scope {
            _ if !self.spec.scopes.is_empty() => self.spec.scopes.iter().cloned().collect(),
            Some(scope) => words(scope).collect(),
            None => resource.scopes.iter().cloned().collect(),
        };
        let interactive = matches!(self.spec.grant, Grant::AuthorizationCode { .. });
        if interactive && server.scopes.iter().any(|scope| scope == "offline_access") {
            scopes.insert("offline_access".to_owned());
        }
        scopes
    }
}

impl State {
    /// Whether asking for the scopes of a challenge may help.
    fn may_step_up(&mut self, challenge: &Challenge) -> bool {
        let now = Instant::now();
        if self.step_ups_since.is_none_or(|since| now - since > STEP_UP_TIME) {
            (self.step_ups_since, self.step_ups) = (Some(now), 0);
        }
        let mut wanted = challenge.scope.iter().flat_map(|scope| words(scope));
        if self.step_ups >= MAX_STEP_UPS || wanted.all(|scope| self.asked.contains(&scope)) {
            return false;
        }
        self.step_ups += 1;
        true
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
