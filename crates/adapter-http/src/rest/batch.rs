//! `POST /v1/tools/batch`.

use std::sync::Arc;

use ferromcp_core::{Batch, BatchAnswer, BatchRequest, Call, Door, NoClient, Operation};
use ferromcp_protocol::{ProtocolVersion, RequestMeta};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::answer::refused;
use crate::body::{self, Body};
use crate::credential::credential;
use crate::media;
use crate::refusal::{Refusal, json_response};
use crate::route::Site;

/// Calls many tools. The status is 200 once calls were made, whatever became of each.
pub(crate) async fn batch(site: Arc<Site>, request: Request<Incoming>) -> Response<Body> {
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
    let batch = match BatchRequest::parse(&bytes).and_then(Batch::plan) {
        Ok(batch) => batch,
        Err(error) => return Ok(refused(&error)),
    };
    let frame = Call {
        operation: Operation::CallTool,
        name: "",
        arguments: None,
        params: None,
        meta: &RequestMeta::default(),
        version: ProtocolVersion::LATEST,
        door: Door::Rest,
        credential,
        tenant: batch.tenant(),
        client: &NoClient,
        input: None,
        timeout: None,
    };
    let mut answer = BatchAnswer::new(&batch);
    Ok(match site.gateway().batch(&batch, &frame, &mut answer).await {
        Ok(summary) => json_response(StatusCode::OK, answer.finish(&summary)),
        Err(error) => refused(&error),
    })
}
