//! `ferromcp health`.

use ferromcp_client::{Client, Error};

use super::run_async;
use crate::args::Health;
use crate::exit::Failure;

pub(crate) fn health(args: &Health) -> Result<(), Failure> {
    let mut builder = Client::builder(&args.url).connect_timeout(args.timeout);
    if let Some(ca) = &args.ca {
        builder = builder.ca(ca);
    }
    if let Some((certificate, key)) = args.cert.as_deref().zip(args.key.as_deref()) {
        builder = builder.identity(certificate, key);
    }
    let ready = run_async(async {
        // gRPC's connections want the runtime already when they are made.
        let client = builder.build().map_err(failed)?;
        match tokio::time::timeout(args.timeout, client.ready()).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(Failure::Other(format!(
                "{} did not answer within {}; allow it more with --timeout",
                args.url,
                humantime::format_duration(args.timeout)
            ))),
        }
    })?;
    match ready {
        true => Ok(()),
        false => Err(Failure::Other(format!(
            "{} takes no calls: it starts or drains; `GET /health` says what it waits for",
            args.url
        ))),
    }
}

fn failed(error: Error) -> Failure {
    match error {
        Error::Usage(message) => Failure::Usage(message),
        error => Failure::Other(error.to_string()),
    }
}
