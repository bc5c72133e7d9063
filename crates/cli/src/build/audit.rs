//! From the block `audit` to a running log.

use std::time::Duration;

use ferromcp_audit::{
    Audit, AuditWriter, Config as Settings, LogLimits, OnError, OnFull, SecretKeys, SigningKey, StoreArgs,
};
use ferromcp_config::{AuditLog, AuditOtlp, Config, SignKey};

use crate::exit::Failure;
use crate::otlp::{Exporter, Settings as OtlpSettings};

/// What is left for the collector has this long when the log is closed.
const OTLP_FLUSH: Duration = Duration::from_secs(5);

/// Opens the log, if there is one; what keeps it is to be closed after the last call.
///
/// `handed`: another process has just let go of it.
pub(crate) fn audit(config: &Config, handed: bool) -> Result<Option<(Audit, AuditWriter)>, Failure> {
    let set = &config.audit;
    if set.log.is_none() && set.otlp.is_none() && !set.stdout && set.ring == 0 {
        return Ok(None);
    }
    let mut settings = Settings::new(set.log.as_ref().map(|log| log.directory.as_path()));
    settings.handed = handed;
    settings.ring_records = set.ring;
    settings.ring_bytes = (set.ring << 9).max(settings.ring_bytes);
    if set.log.is_none() && !set.stdout {
        // Records that are only remembered hold up no call.
        settings.on_full = OnFull::Drop;
    }
    if set.stdout {
        settings.sink = Some(Box::new(std::io::stdout()));
    }
    if let Some(otlp) = &set.otlp {
        settings.taps.push(Box::new(exporter(otlp, config)?));
    }
    if set.store_arguments {
        let redact =
            SecretKeys::new(&set.redact).map_err(|e| Failure::Usage(format!("audit.redact: {e}")))?;
        settings.store_args = Some(StoreArgs {
            max_bytes: set.max_arguments,
            redact,
        });
    }
    if let Some(log) = &set.log {
        durable(&mut settings, log)?;
    }
    Audit::open(settings)
        .map(Some)
        .map_err(|e| Failure::Other(format!("cannot open the audit log: {e}")))
}

fn exporter(set: &AuditOtlp, config: &Config) -> Result<Exporter, Failure> {
    let headers = set.endpoint.headers.iter();
    Exporter::start(OtlpSettings {
        endpoint: set.endpoint.url.as_str().to_owned(),
        shown: set.endpoint.shown.clone(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        interval: set.interval,
        timeout: set.timeout,
        queue: set.queue,
        flush: OTLP_FLUSH,
        service: config
            .server
            .name
            .clone()
            .unwrap_or_else(|| "ferromcp".to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
    .map_err(|e| Failure::Usage(format!("audit.otlp: {e}")))
}

fn durable(settings: &mut Settings, log: &AuditLog) -> Result<(), Failure> {
    settings.on_full = match log.on_full {
        ferromcp_config::OnFull::Block => OnFull::Block,
        ferromcp_config::OnFull::Drop => OnFull::Drop,
    };
    settings.on_error = match log.on_error {
        ferromcp_config::OnError::Refuse => OnError::Refuse,
        ferromcp_config::OnError::Continue => OnError::Continue,
    };
    settings.limits = LogLimits {
        segment_bytes: log.rotate_size,
        segment_age: log.rotate_age,
        keep_segments: log.keep.files.map(|files| files as usize),
        keep_age: log.keep.age,
        keep_bytes: log.keep.size,
        commit_delay: log.commit_delay,
        ..LogLimits::default()
    };
    let bytes = match &log.sign_key {
        None => return Ok(()),
        Some(SignKey::Text(text)) => text.expose().as_bytes().to_vec(),
        Some(SignKey::File(path)) => std::fs::read(path)
            .map_err(|e| Failure::Usage(format!("audit.sign_key: {}: {e}", path.display())))?,
    };
    let key = SigningKey::parse(&bytes).map_err(|e| Failure::Usage(format!("audit.sign_key: {e}")))?;
    settings.sign_key = Some(key);
    Ok(())
}
