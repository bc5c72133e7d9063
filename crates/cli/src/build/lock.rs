//! Definitions vetted against the lock file.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::pins::{Kind, MAX_FILE, Pin, Pins};
use ferromcp_config::{Config, Lock, OnUnlocked};
use ferromcp_core::catalog::{ItemKind, Objection, Verdict, Vetting};
use ferromcp_core::{Gateway, Spec};
use tracing::{info, warn};

use crate::exit::Failure;

/// A file that was accepted anew is in force after this time at the latest.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What vets upstream definitions, if the configuration has a lock.
pub(crate) fn vetting(config: &Config) -> Result<Option<Arc<dyn Vetting>>, Failure> {
    let Some(lock) = &config.lock else {
        return Ok(None);
    };
    let pins = read(&lock.file).map_err(Failure::Usage)?.ok_or_else(|| {
        let file = lock.file.display();
        Failure::Usage(format!(
            "lock.file: there is no {file}. Make it with `ferromcp lock --config FILE`, and look at it"
        ))
    })?;
    Ok(Some(Arc::new(Locked::new(pins, lock))))
}

/// Takes over the lock file whenever it changes. Ends never.
pub(crate) async fn follow_lock(lock: Lock, gateway: Arc<Gateway>) {
    let mut seen = stamp(&lock.file);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = stamp(&lock.file);
        if now == seen {
            continue;
        }
        seen = now;
        let file = lock.file.clone();
        let read = tokio::task::spawn_blocking(move || read(&file)).await;
        match read {
            Ok(Ok(Some(pins))) => {
                info!(file = %lock.file.display(), "the lock file changed and is in force");
                gateway.set_vetting(Some(Arc::new(Locked::new(pins, &lock))));
            }
            Ok(Ok(None)) => {
                warn!(file = %lock.file.display(), "the lock file is gone; what it said stays in force");
            }
            Ok(Err(error)) => {
                warn!(%error, "the lock file changed and cannot be used; what it said before stays in force");
            }
            // The runtime is going down.
            Err(_) => return,
        }
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// The pins of a lock file; `None` if there is no such file. An error names the file and the place.
pub(crate) fn read(path: &Path) -> Result<Option<Pins>, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&e)),
    };
    let mut text = String::new();
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|e| failed(&e))?;
    Pins::parse(&text).map(Some).map_err(|e| failed(&e))
}

struct Locked {
    pins: Pins,
    on_drift: OnUnlocked,
    on_new: OnUnlocked,
}

impl Locked {
    fn new(pins: Pins, lock: &Lock) -> Self {
        Self {
            pins,
            on_drift: lock.on_drift,
            on_new: lock.on_new,
        }
    }
}

impl Vetting for Locked {
    fn vet(&self, source: &str, kind: ItemKind, spec: &Spec) -> Verdict {
        let kind = match kind {
            ItemKind::Tool => Kind::Tool,
            ItemKind::Prompt => Kind::Prompt,
        };
        let found = match Pin::of(kind, &spec.definition) {
            Ok(found) => found,
            Err(detail) => {
                return Verdict::Withhold(Objection {
                    rule: "lock.unreadable",
                    message: "its definition cannot be compared with the lock",
                    detail,
                });
            }
        };
        let (on, objection) = match self.pins.get(source, kind, &spec.key) {
            Some(pin) if pin.hash() == found.hash() => return Verdict::Offer,
            Some(pin) => (
                self.on_drift,
                Objection {
                    rule: "lock.drift",
                    message: "its definition is not the one that was locked",
                    detail: pin.difference(&found),
                },
            ),
            None => (
                self.on_new,
                Objection {
                    rule: "lock.new",
                    message: "it is not in the lock",
                    detail: format!("accept it with `ferromcp lock --accept {source}/{}`", spec.key),
                },
            ),
        };
        match on {
            OnUnlocked::Quarantine => Verdict::Withhold(objection),
            OnUnlocked::Warn => Verdict::Warn(objection),
            OnUnlocked::Allow => Verdict::Offer,
        }
    }
}
