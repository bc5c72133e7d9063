//! `POST /v1/tools/call`.

use std::sync::Arc;

use ferromcp_core::{Call, Door, NoClient, Operation};
use ferromcp_protocol::{ProtocolVersion, RequestMeta};
use http::{Request, Response};
use hyper::body::Incoming;

use super::answer;
use super::request::CallRequest;
use crate::body::{self, Body};
use crate::credential::credential;
use crate::media;
use crate::refusal::Refusal;
use crate::route::Site;

/// Calls a tool.
pub(crate) async fn call(site: Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    answered(&site, request)
        .await
        .unwrap_or_else(|refusal| refusal.rest())
}

async fn answered(site: &Site, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (head, body) = request.into_parts();
    media::require_json(&head.headers)?;
    let credential = credential(&head.headers, &head.extensions)?;
    let settings = site.settings();
    let bytes = body::read(&head.headers, body, settings.max_body, settings.body_timeout)
        .await
        .map_err(|e| Refusal::body(e, settings.max_body))?;
    let wanted = CallRequest::parse(&bytes)?;
    let call = Call {
        operation: Operation::CallTool,
        name: &wanted.tool,
        arguments: wanted.arguments,
        params: None,
        meta: &RequestMeta::default(),
        version: ProtocolVersion::LATEST,
        door: Door::Rest,
        credential,
        tenant: wanted.tenant.as_deref(),
        client: &NoClient,
        input: None,
        timeout: wanted.timeout,
    };
    let outcome = site.gateway().call(&call).await;
    Ok(answer::of(&outcome))
}
