//! `POST /v1/tools/batch`.

use std::sync::Arc;

use ferromcp_core::{Batch, BatchAnswer, BatchRequest, Call, Door};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::answer::refused;
use super::{body, caller};
use crate::body::Body;
use crate::refusal::{Refusal, json_response};
use crate::route::Site;

/// Calls many tools. The status is 200 once calls were made, whatever became of each.
pub(crate) async fn batch(site: Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    answered(&site, request)
        .await
        .unwrap_or_else(|refusal| refusal.rest())
}

async fn answered(site: &Site, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let (head, incoming) = request.into_parts();
    let credential = caller(&head)?;
    let bytes = body(site, &head, incoming).await?;
    let batch = match BatchRequest::parse(&bytes).and_then(Batch::plan) {
        Ok(batch) => batch,
        Err(error) => return Ok(refused(&error)),
    };
    let frame = Call::tool(Door::Rest, credential, "", None);
    let mut answer = BatchAnswer::new(&batch);
    Ok(match site.gateway().batch(&batch, &frame, &mut answer).await {
        Ok(summary) => json_response(StatusCode::OK, answer.finish(&summary)),
        Err(error) => refused(&error),
    })
}
