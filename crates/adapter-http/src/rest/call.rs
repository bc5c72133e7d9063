//! `POST /v1/tools/call`.

use std::sync::Arc;

use ferromcp_core::{Call, CallRequest, Door};
use http::{Request, Response};
use hyper::body::Incoming;

use super::{answer, body, caller};
use crate::body::Body;
use crate::refusal::Refusal;
use crate::route::Site;

/// Calls a tool.
pub(crate) async fn call(site: Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    answered(&site, request)
        .await
        .unwrap_or_else(|refusal| refusal.rest())
}

async fn answered(site: &Site, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (head, incoming) = request.into_parts();
    let credential = caller(&head)?;
    let bytes = body(site, &head, incoming).await?;
    let wanted = CallRequest::parse(&bytes).map_err(|e| Refusal::of(&e))?;
    let call = Call {
        tenant: wanted.tenant.as_deref(),
        timeout: wanted.timeout,
        ..Call::tool(Door::Rest, credential, &wanted.tool, wanted.arguments)
    };
    let outcome = site.gateway().call(&call).await;
    Ok(answer::of(&outcome))
}
