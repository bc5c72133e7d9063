//! The thread that sends: batches, pauses, and an end within a bound.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferromcp_audit::Tap;

use crate::otlp::client::{Client, Sent, SettingsError};
use crate::otlp::queue::{Batch, Queue, count};
use crate::otlp::record::{Service, request};

/// Pause after the first failure; it doubles with each one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause between attempts while the program waits to end.
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Where records go, and how.
#[derive(Clone)]
pub(crate) struct Settings {
    /// URL of the collector's logs endpoint, such as `http://localhost:4318/v1/logs`; used as it is.
    pub(crate) endpoint: String,
    /// The URL as it may be shown in logs.
    pub(crate) shown: String,
    /// Headers sent with every request.
    pub(crate) headers: Vec<(String, String)>,
    /// A request is sent at the latest this long after its first record, if the collector keeps up.
    pub(crate) interval: Duration,
    /// Longest wait for one answer.
    pub(crate) timeout: Duration,
    /// Bytes of records, as lines of the log, that may wait, those being sent included.
    pub(crate) queue: usize,
    /// Longest wait for the collector when the log is closed.
    pub(crate) flush: Duration,
    /// `service.name`.
    pub(crate) service: String,
    /// `service.version`.
    pub(crate) version: String,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL and the headers may hold secrets.
        f.debug_struct("Settings")
            .field("endpoint", &self.shown)
            .field("interval", &self.interval)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Sends what it takes to a collector. Dropping it waits for what is left, at most [`Settings::flush`].
#[derive(Debug)]
pub(crate) struct Exporter {
    queue: Arc<Queue>,
    flush: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts its thread. Nothing is sent yet, so a collector that is down does not matter here.
    ///
    /// # Errors
    /// The endpoint or a header cannot be used, or there can be no thread.
    pub(crate) fn start(settings: Settings) -> Result<Self, SettingsError> {
        let failed = |error: io::Error| SettingsError(format!("cannot start the exporter's thread: {error}"));
        let client = Client::new(&settings.endpoint, &settings.headers, settings.timeout)?;
        let queue = Arc::new(Queue::new(settings.queue));
        let flush = settings.flush;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let mut sender = Sender {
            queue: Arc::clone(&queue),
            client,
            service: Service {
                name: settings.service,
                version: settings.version,
            },
            shown: settings.shown,
            interval: settings.interval,
            failing: None,
        };
        let thread = std::thread::Builder::new()
            .name("otlp".into())
            .spawn(move || runtime.block_on(sender.run()))
            .map_err(failed)?;
        Ok(Self {
            queue,
            flush,
            thread: Some(thread),
        })
    }
}

impl Tap for Exporter {
    fn take(&mut self, lines: &[u8]) -> u64 {
        self.queue.push(lines)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue.close(self.flush);
        if let Some(thread) = self.thread.take() {
            // A panic was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Sender {
    queue: Arc<Queue>,
    client: Client,
    service: Service,
    shown: String,
    interval: Duration,
    failing: Option<Failing>,
}

struct Failing {
    since: Instant,
    attempts: u32,
}

impl Sender {
    async fn run(&mut self) {
        while let Some(batch) = self.queue.next(self.interval).await {
            if batch.lost > 0 {
                tracing::warn!(
                    records = batch.lost,
                    endpoint = self.shown,
                    "audit records did not reach the collector (audit.otlp); they are in the audit log, if there is one"
                );
            }
            if !self.deliver(&batch).await {
                break;
            }
        }
        let lost = self.queue.give_up();
        if lost > 0 {
            tracing::error!(
                records = lost,
                endpoint = self.shown,
                "the program ends, and audit records have not reached the collector (audit.otlp)"
            );
        }
    }

    /// Sends a batch until it arrives or is refused; false when time is up.
    async fn deliver(&mut self, batch: &Batch) -> bool {
        let body = Bytes::from(request(&self.service, &batch.lines, batch.lost));
        let records = count(&batch.lines);
        loop {
            let sent = tokio::select! {
                biased;
                // Also while an answer is waited for, which may take longer than is left.
                () = self.queue.time_is_up() => {
                    self.queue.done(records + batch.lost);
                    return false;
                }
                sent = self.client.send(body.clone()) => sent,
            };
            match sent {
                Sent::Accepted { rejected, reason } => {
                    self.recovered();
                    // A collector cannot reject more than there was.
                    let rejected = rejected.min(records);
                    if rejected > 0 {
                        tracing::warn!(
                            rejected,
                            reason,
                            endpoint = self.shown,
                            "the collector rejected audit records"
                        );
                    }
                    self.queue.done(rejected);
                    return true;
                }
                Sent::Refused { reason, .. } => {
                    tracing::warn!(
                        records,
                        reason,
                        endpoint = self.shown,
                        "the collector refused audit records (audit.otlp); look at its address and credentials"
                    );
                    self.queue.done(records + batch.lost);
                    return true;
                }
                Sent::Later { after, reason, .. } => self.pause(after, &reason).await,
            }
        }
    }

    async fn pause(&mut self, after: Option<Duration>, reason: &str) {
        let shown = &self.shown;
        let failing = self.failing.get_or_insert_with(|| {
            tracing::warn!(
                reason,
                endpoint = shown,
                "audit records cannot be sent to the collector (audit.otlp); trying again"
            );
            Failing {
                since: Instant::now(),
                attempts: 0,
            }
        });
        let doubled = FIRST_PAUSE
            .saturating_mul(1 << failing.attempts.min(16))
            .min(LONGEST_PAUSE);
        failing.attempts += 1;
        let pause = after.unwrap_or_else(|| jittered(doubled));
        match self.queue.closed() {
            None => self.queue.pause(pause).await,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                tokio::time::sleep(pause.min(LAST_PAUSE).min(left)).await;
            }
        }
    }

    fn recovered(&mut self) {
        if let Some(failing) = self.failing.take() {
            tracing::info!(
                after = ?failing.since.elapsed(),
                attempts = failing.attempts,
                endpoint = self.shown,
                "audit records reach the collector again"
            );
        }
    }
}

/// Half of it, and up to the other half more, so that many senders do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    pause / 2 + pause.mul_f64(f64::from(nanos % 1000) / 2000.0)
}
