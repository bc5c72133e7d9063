//! Whom the client trusts, and the certificate that it shows.

use std::path::Path;

use ferromcp_client::{Part, TrustError, tls};
use rustls::ClientConfig;

use crate::args::Address;
use crate::exit::Failure;

/// What the arguments say.
pub(super) fn settings(address: &Address) -> Result<ClientConfig, Failure> {
    let identity = address.cert.as_deref().zip(address.key.as_deref());
    made(address.ca.as_deref(), identity)
}

/// Trusts what the system trusts, and shows nothing.
pub(crate) fn system() -> Result<ClientConfig, Failure> {
    made(None, None)
}

fn made(ca: Option<&Path>, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, Failure> {
    tls(ca, identity).map_err(|error: TrustError| match error.part {
        Part::Authorities => Failure::Usage(format!("--ca {error}")),
        Part::Certificate => Failure::Usage(format!("--cert {error}")),
        Part::Key => Failure::Usage(format!("--key {error}")),
        Part::System => Failure::Other(error.to_string()),
    })
}
