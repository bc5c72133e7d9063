//! `ferromcp health`.

use ferromcp_client::{Client, Error};

use super::run_async;
use crate::args::Health;
use crate::exit::Failure;

pub(crate) fn health(args: &Health) -> Result<(), Failure> {
    let address = &args.address;
    let mut builder = Client::builder(&address.url).connect_timeout(args.timeout);
    if let Some(ca) = &address.ca {
        builder = builder.ca(ca);
    }
    if let Some((certificate, key)) = address.cert.as_deref().zip(address.key.as_deref()) {
        builder = builder.identity(certificate, key);
    }
    let ready = run_async(async {
        // gRPC's connections want the runtime already when they are made.
        let client = builder.build().map_err(failed)?;
        match tokio::time::timeout(args.timeout, client.ready()).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(Failure::Other(format!(
                "{} did not answer within {}; allow it more with --timeout",
                address.url,
                humantime::format_duration(args.timeout)
            ))),
        }
    })?;
    match ready {
        true => Ok(()),
        false => Err(Failure::Other(format!(
            "{} takes no calls: it starts or drains; `GET /health` says what it waits for",
            address.url
        ))),
    }
}

fn failed(error: Error) -> Failure {
    match error {
        Error::Usage(message) => Failure::Usage(message),
        error => Failure::Other(error.to_string()),
    }
}
