//! Which request is which operation, and what happens to every request alike.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use ferromcp_audit::{Audit, Decision, Kind, Record};
use ferromcp_core::{Gateway, RequestId};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;

use crate::credential::{self, AdminKey};
use crate::refusal::{Code, Refusal};
use crate::reload::{self, Reload};
use crate::serve::read_body;
use crate::tenant_api::{self, Precondition};
use crate::tenants::Tenants;
use crate::{look, openapi};

/// What the API is made of.
#[derive(Debug)]
pub struct AdminSettings {
    /// Who may use it; with none, nobody.
    pub keys: Vec<AdminKey>,
    /// The tenants.
    pub tenants: Arc<Tenants>,
    /// What changes are in force in.
    pub gateway: Arc<Gateway>,
    /// Where changes are recorded, and what is queried.
    pub audit: Option<Audit>,
    /// Takes over the configuration file, if there is one.
    pub reload: Option<Arc<dyn Reload>>,
}

/// The API. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Admin {
    pub(crate) keys: Vec<AdminKey>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) audit: Option<Audit>,
    pub(crate) reload: Option<Arc<dyn Reload>>,
    pub(crate) started: Instant,
}

/// An answer that is no refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The tenant's version.
    pub(crate) etag: Option<u64>,
}

impl Answer {
    pub(crate) const fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            etag: None,
        }
    }
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Tenants,
    Tenant(String),
    Keys(String),
    Key(String, String),
    Suspend(String),
    Resume(String),
    Usage(String),
    Audit,
    Why,
    Status,
    Reload,
    Plan,
    Rollback,
    Upgrade,
    Generations,
    OpenApi,
}

impl Route {
    /// Ids are plain ASCII without escapes, so a path is compared as it stands: what is escaped is no path of ours.
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix("/admin/v1/")?.split('/').collect();
        let own = |id: &str| id.to_owned();
        Some(match parts.as_slice() {
            ["tenants"] => Self::Tenants,
            ["tenants", id] if !id.is_empty() => Self::Tenant(own(id)),
            ["tenants", id, "keys"] => Self::Keys(own(id)),
            ["tenants", id, "keys", key] if !key.is_empty() => Self::Key(own(id), own(key)),
            ["tenants", id, "suspend"] => Self::Suspend(own(id)),
            ["tenants", id, "resume"] => Self::Resume(own(id)),
            ["tenants", id, "usage"] => Self::Usage(own(id)),
            ["audit"] => Self::Audit,
            ["why"] => Self::Why,
            ["status"] => Self::Status,
            ["reload"] => Self::Reload,
            ["plan"] => Self::Plan,
            ["rollback"] => Self::Rollback,
            ["upgrade"] => Self::Upgrade,
            ["generations"] => Self::Generations,
            ["openapi.json"] => Self::OpenApi,
            _ => return None,
        })
    }

    const fn methods(&self) -> &'static str {
        match self {
            Self::Tenants => "GET, POST",
            Self::Tenant(_) => "GET, PUT, PATCH, DELETE",
            Self::Key(..) => "DELETE",
            Self::Keys(_)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::Why
            | Self::Reload
            | Self::Plan
            | Self::Rollback
            | Self::Upgrade => "POST",
            Self::Usage(_) | Self::Audit | Self::Status | Self::Generations | Self::OpenApi => "GET",
        }
    }

    /// The operation's name in records, if it changes something.
    fn change(&self, method: &Method) -> Option<&'static str> {
        Some(match self {
            Self::Tenants if method == Method::POST => "tenant.create",
            Self::Tenant(_) if method == Method::PUT => "tenant.put",
            Self::Tenant(_) if method == Method::PATCH => "tenant.patch",
            Self::Tenant(_) if method == Method::DELETE => "tenant.delete",
            Self::Keys(_) => "tenant.key.create",
            Self::Key(..) => "tenant.key.delete",
            Self::Suspend(_) => "tenant.suspend",
            Self::Resume(_) => "tenant.resume",
            _ => return None,
        })
    }

    fn tenant(&self) -> Option<&str> {
        match self {
            Self::Tenant(id)
            | Self::Keys(id)
            | Self::Key(id, _)
            | Self::Suspend(id)
            | Self::Resume(id)
            | Self::Usage(id) => Some(id),
            _ => None,
        }
    }
}

/// What a change leaves in the audit log.
struct Entry<'e> {
    operation: &'e str,
    principal: Option<&'e str>,
    tenant: Option<&'e str>,
    note: &'e str,
    refusal: Option<&'e Refusal>,
    since: Instant,
    bytes_in: usize,
}

impl Admin {
    /// The API over a running gateway.
    pub fn new(settings: AdminSettings) -> Arc<Self> {
        let AdminSettings {
            keys,
            tenants,
            gateway,
            audit,
            reload,
        } = settings;
        let started = Instant::now();
        Arc::new(Self {
            keys,
            tenants,
            gateway,
            audit,
            reload,
            started,
        })
    }

    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let route = Route::of(request.uri().path());
        let method = request.method().clone();
        match self.answered(route.clone(), &method, request).await {
            Ok(answer) => response(answer.status, &answer.body, answer.etag),
            Err(refusal) => {
                let mut response = response(refusal.code.status().as_u16(), &refusal.body(), None);
                let headers = response.headers_mut();
                match refusal.code {
                    Code::Unauthenticated => {
                        headers.insert(
                            WWW_AUTHENTICATE,
                            HeaderValue::from_static("Bearer realm=\"ferromcp admin\""),
                        );
                    }
                    Code::MethodNotAllowed => {
                        let methods = route.as_ref().map_or("", Route::methods);
                        headers.insert(ALLOW, HeaderValue::from_static(methods));
                    }
                    Code::Unavailable => {
                        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
                    }
                    _ => {}
                }
                response
            }
        }
    }

    async fn answered(
        self: &Arc<Self>,
        route: Option<Route>,
        method: &Method,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let since = Instant::now();
        credential::check_host(&request)?;
        let checked = credential::check(&self.keys, request.headers(), SystemTime::now());
        let principal = match checked {
            Ok(key) => key.principal(),
            Err(refusal) => {
                self.record(&Entry {
                    operation: "authenticate",
                    principal: None,
                    tenant: None,
                    note: "refused",
                    refusal: Some(&refusal),
                    since,
                    bytes_in: 0,
                });
                return Err(refusal);
            }
        };
        let Some(route) = route else {
            return Err(Refusal::new(
                Code::NotFound,
                "admin.path",
                "there is nothing here; /admin/v1/openapi.json lists what there is",
            ));
        };
        if !route
            .methods()
            .split(", ")
            .any(|allowed| allowed == method.as_str())
        {
            return Err(Refusal::new(
                Code::MethodNotAllowed,
                "admin.method",
                format!("this takes {}", route.methods()),
            ));
        }
        let Some(operation) = route.change(method) else {
            return self.look(&route, request, &principal).await;
        };
        let (headers, body) = (request.headers().clone(), request.into_body());
        let body = body_of(&headers, body).await;
        let (admin, method) = (Arc::clone(self), method.clone());
        let changed = tokio::task::spawn_blocking(move || {
            admin.changed(&route, &method, operation, &headers, body, &principal, since)
        });
        // A change that began is carried out even if the client goes away.
        changed.await.unwrap_or_else(|_| {
            Err(Refusal::new(
                Code::Internal,
                "admin.internal",
                "the change failed inside; read the tenant again to see what is in force",
            ))
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request, used once")]
    fn changed(
        &self,
        route: &Route,
        method: &Method,
        operation: &str,
        headers: &HeaderMap,
        body: Result<Bytes, Refusal>,
        principal: &str,
        since: Instant,
    ) -> Result<Answer, Refusal> {
        let bytes_in = body.as_ref().map_or(0, Bytes::len);
        let mut named = route.tenant().map(str::to_owned);
        let done = self.writable().and_then(|()| {
            let precondition = Precondition::of(headers)?;
            tenant_api::change(self, route, method, precondition, &body?, &mut named)
        });
        let (note, refusal) = match &done {
            Ok((_, note)) => (note.clone(), None),
            Err(refusal) => (refusal.note(), Some(refusal)),
        };
        self.record(&Entry {
            operation,
            principal: Some(principal),
            tenant: named.as_deref(),
            note: &note,
            refusal,
            since,
            bytes_in,
        });
        done.map(|(answer, _)| answer)
    }

    /// No change that could not be recorded, where the policy is so.
    fn writable(&self) -> Result<(), Refusal> {
        self.audit.as_ref().map_or(Ok(()), Audit::admit).map_err(|_| {
            Refusal::new(
                Code::Unavailable,
                "audit.unavailable",
                "the audit log cannot be written, so nothing is changed",
            )
        })
    }

    async fn look(
        &self,
        route: &Route,
        request: Request<Incoming>,
        principal: &str,
    ) -> Result<Answer, Refusal> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        match route {
            Route::Tenants => tenant_api::list(self, &query),
            Route::Tenant(id) => tenant_api::get(self, id),
            Route::Usage(id) => look::usage(self, id),
            Route::Audit => look::audit(self, &query, SystemTime::now()).await,
            Route::Status => Ok(look::status(self)),
            Route::OpenApi => Ok(Answer::ok(openapi::document())),
            // Records itself, as the other ways to reload do.
            Route::Reload => {
                let (headers, body) = (request.headers().clone(), request.into_body());
                reload::reload(self, principal, &body_of(&headers, body).await?).await
            }
            Route::Plan => {
                let (headers, body) = (request.headers().clone(), request.into_body());
                reload::plan(self, &body_of(&headers, body).await?).await
            }
            Route::Rollback => {
                let (headers, body) = (request.headers().clone(), request.into_body());
                reload::roll_back(self, principal, &body_of(&headers, body).await?).await
            }
            Route::Upgrade => {
                let (headers, body) = (request.headers().clone(), request.into_body());
                reload::upgrade(self, principal, &body_of(&headers, body).await?).await
            }
            Route::Generations => reload::generations(self).await,
            Route::Why => {
                let (headers, body) = (request.headers().clone(), request.into_body());
                look::why(self, &body_of(&headers, body).await?)
            }
            _ => Err(Refusal::new(
                Code::Internal,
                "admin.internal",
                "this operation is not wired",
            )),
        }
    }

    fn record(&self, entry: &Entry<'_>) {
        let Some(audit) = &self.audit else { return };
        let record = Record {
            request_id: RequestId::next().to_bytes(),
            tenant: entry.tenant,
            principal: entry.principal,
            method: Some(entry.operation),
            decision: Some(match entry.refusal {
                None => Decision::Allow,
                Some(_) => Decision::Deny,
            }),
            rule: entry.refusal.map(|refusal| refusal.rule),
            note: Some(entry.note),
            latency: entry.since.elapsed(),
            bytes_in: entry.bytes_in as u64,
            ..Record::new(
                Kind::Admin,
                SystemTime::now(),
                "admin",
                entry.refusal.map_or("ok", |refusal| refusal.code.as_str()),
            )
        };
        if entry.principal.is_none() {
            // Anybody can fail to show a key; nobody waits for that to be written.
            let _ = audit.record_now(&record);
        } else if audit.record(&record).is_err() {
            tracing::warn!(
                operation = entry.operation,
                "an admin change could not be recorded"
            );
        }
    }
}

async fn body_of(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind
            .to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        let json = ["application/json", "application/merge-patch+json"];
        if !json.iter().any(|known| known.eq_ignore_ascii_case(kind.trim())) {
            return Err(Refusal::new(
                Code::UnsupportedMediaType,
                "admin.content_type",
                "the body must be JSON: send `Content-Type: application/json`",
            ));
        }
    }
    read_body(body).await
}

fn response(status: u16, body: &Value, etag: Option<u64>) -> Response<Full<Bytes>> {
    let mut text = body.to_string();
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(etag) = etag.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok()) {
        headers.insert(ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_stand() {
        let tenant = |id: &str| Some(Route::Tenant(id.into()));
        assert_eq!(Route::of("/admin/v1/tenants"), Some(Route::Tenants));
        assert_eq!(Route::of("/admin/v1/tenants/a"), tenant("a"));
        // No escape is undone and no dot is resolved: these are ids that no tenant can have.
        assert_eq!(Route::of("/admin/v1/tenants/.."), tenant(".."));
        assert_eq!(Route::of("/admin/v1/tenants/%61"), tenant("%61"));
        for none in [
            "",
            "/",
            "/admin/v1",
            "/admin/v1/",
            "/admin/v1/tenants/",
            "/admin/v1/tenants/a/",
            "/admin//v1/tenants",
            "/admin/v1/tenants/a/keys/",
            "/admin/v1/tenants/../status",
            "/ADMIN/v1/tenants",
            "/v1/tools",
        ] {
            assert_eq!(Route::of(none), None, "{none}");
        }
    }
}
