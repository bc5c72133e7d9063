//! The REST doors under `/v1`: list tools, call one, call many, and what is used of rates and quotas.

use bytes::Bytes;
use ferromcp_core::Credential;
use http::request::Parts;
use hyper::body::Incoming;

use crate::body;
use crate::credential::credential;
use crate::media;
use crate::refusal::Refusal;
use crate::route::Site;

mod answer;
mod batch;
mod call;
mod list;
mod usage;

pub(crate) use batch::batch;
pub(crate) use call::call;
pub(crate) use list::list;
pub(crate) use usage::usage;

/// Most tools on one page of `GET /v1/tools`, and how many there are if nobody asks.
pub(crate) const MAX_PAGE: usize = 1000;

/// Whom the head of a request with a JSON body speaks for.
fn caller(head: &Parts) -> Result<Credential<'_>, Refusal> {
    media::require_json(&head.headers)?;
    credential(&head.headers, &head.extensions)
}

/// The body, within the bounds of the door.
async fn body(site: &Site, head: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
    let settings = site.settings();
    body::read(&head.headers, body, settings.max_body, settings.body_timeout)
        .await
        .map_err(|e| Refusal::body(e, settings.max_body))
}
