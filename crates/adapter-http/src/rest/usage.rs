//! `GET /v1/usage`.

use http::{Request, Response, StatusCode};

use crate::body::Body;
use crate::credential::credential;
use crate::health::uncached;
use crate::refusal::{Refusal, json_response};
use crate::route::Site;

/// What the caller and its tenant may use, and have used at this moment. Counts against nothing.
pub(crate) fn usage<B>(site: &Site, request: &Request<B>) -> Response<Body> {
    uncached(used(site, request).unwrap_or_else(|refusal| refusal.rest()))
}

fn used<B>(site: &Site, request: &Request<B>) -> Result<Response<Body>, Refusal> {
    let credential = credential(request.headers(), request.extensions())?;
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::bad(
            "this path takes no query: the tenant is the credential's",
        ));
    }
    let view = site.gateway().view(credential).map_err(|e| Refusal::of(&e))?;
    Ok(json_response(StatusCode::OK, view.usage().json().to_string()))
}
