//! What the caller shows to prove who it is.

use std::sync::Arc;

use ferromcp_core::{CertificateNames, Credential};
use http::Extensions;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::refusal::Refusal;

/// Header that carries an API key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The names in the client certificate of a connection, as its requests carry them.
pub(crate) type Certificate = Arc<CertificateNames>;

/// The credential of a request.
pub(crate) fn credential<'a>(
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
) -> Result<Credential<'a>, Refusal> {
    let (authorization, api_key) = shown(headers);
    Credential::of_headers(
        authorization.map(HeaderValue::as_bytes),
        api_key.map(HeaderValue::as_bytes),
        extensions.get::<Certificate>(),
    )
    .map_err(|error| Refusal::of(&error))
}

/// What of a request can be a guess: the text of its key or token.
pub(crate) fn text(headers: &HeaderMap) -> Option<&[u8]> {
    let (authorization, api_key) = shown(headers);
    authorization.or(api_key).map(HeaderValue::as_bytes)
}

/// The first `Authorization` and the first `X-Api-Key`. A request has few headers: one walk over them costs less than two
/// look-ups, which hash the names anew each time.
fn shown(headers: &HeaderMap) -> (Option<&HeaderValue>, Option<&HeaderValue>) {
    let mut found = (None, None);
    for (name, value) in headers {
        if *name == AUTHORIZATION {
            found.0 = found.0.or(Some(value));
        } else if *name == API_KEY {
            found.1 = found.1.or(Some(value));
        }
    }
    found
}
