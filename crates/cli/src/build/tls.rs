//! From `listen.tls` to the TLS settings of the HTTP doors.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ferromcp_adapter_http::{Refresh, ServerTls};
use ferromcp_config::Config;
use tracing::{info, warn};

use crate::exit::Failure;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The scheme of the HTTP doors' URLs.
pub(crate) fn scheme(config: &Config) -> &'static str {
    if config.listen.tls.is_some() {
        "https"
    } else {
        "http"
    }
}

/// Reads the certificate, if there is one.
pub(crate) fn tls(config: &Config) -> Result<Option<Arc<ServerTls>>, Failure> {
    let Some(set) = &config.listen.tls else {
        return Ok(None);
    };
    let tls = ServerTls::load(set.files()).map_err(|errors| {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("listen.tls: {error}"))
            .collect();
        Failure::Usage(lines.join("\n"))
    })?;
    Ok(Some(Arc::new(tls)))
}

/// Follows the files until the runtime ends.
pub(crate) async fn keep_fresh(tls: Arc<ServerTls>) {
    warn_if_ended(tls.ends());
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let files = Arc::clone(&tls);
        let Ok(found) = tokio::task::spawn_blocking(move || files.refresh()).await else {
            return;
        };
        match found {
            Refresh::Unchanged => {}
            Refresh::Replaced { ends } => {
                info!("listen.tls: new connections use the certificate that was put in place");
                warn_if_ended(ends);
            }
            Refresh::Refused(errors) => {
                for error in errors {
                    warn!(%error, "listen.tls: the files that were put in place are no good; the old ones stay in use");
                }
            }
        }
    }
}

fn warn_if_ended(ends: SystemTime) {
    if ends <= SystemTime::now() {
        let ended = humantime::format_rfc3339_seconds(ends);
        warn!(%ended, "listen.tls.cert: the certificate has expired, and clients will refuse it; put a new one in place");
    }
}
