//! Work on the blocking pool that ends with its call.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferromcp_core::{CallContext, CallError, ErrorCode, Progress};
use tokio::sync::{Semaphore, watch};

use super::refusal::Refusal;

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// How far a job is.
#[derive(Clone, Debug, Default)]
struct Report {
    steps: u64,
    message: String,
}

/// The worker's side of a running job.
#[derive(Debug)]
pub(super) struct Job {
    cancelled: Arc<AtomicBool>,
    /// When the call ends at the latest.
    end: Instant,
    report: watch::Sender<Report>,
    reported: Mutex<Instant>,
}

impl Job {
    /// To be asked in every loop.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Refusal::new("the call was cancelled"));
        }
        Ok(())
    }

    /// When to stop in order to answer in time, `most` from now at the latest. A twentieth of what
    /// is left is kept for the answer.
    pub(super) fn stop_at(&self, most: Duration) -> Instant {
        let now = Instant::now();
        let left = self.end.saturating_duration_since(now);
        now + (left - left / 20).min(most)
    }

    /// Tells the caller how far the job is, now and then. `steps` must grow from report to report.
    pub(super) fn report(&self, steps: u64, message: impl FnOnce() -> String) {
        let mut reported = self
            .reported
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if reported.elapsed() < REPORT_EVERY {
            return;
        }
        *reported = Instant::now();
        self.report.send_replace(Report {
            steps,
            message: message(),
        });
    }
}

/// Sets the flag when the call's future goes away, however it does.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on the blocking pool once there is room, and passes its reports on.
pub(super) async fn run<T: Send + 'static>(
    cx: CallContext<'_>,
    room: &Arc<Semaphore>,
    work: impl FnOnce(&Job) -> Result<T, Refusal> + Send + 'static,
) -> Result<Result<T, Refusal>, CallError> {
    let permit = Arc::clone(room)
        .acquire_owned()
        .await
        .map_err(|_| CallError::new(ErrorCode::Unavailable, "the file tools are shutting down"))?;
    let (report, mut reports) = watch::channel(Report::default());
    let cancelled = Arc::new(AtomicBool::new(false));
    let _cancel = CancelOnDrop(Arc::clone(&cancelled));
    let job = Job {
        cancelled,
        end: cx.deadline.end().into_std(),
        report,
        reported: Mutex::new(Instant::now()),
    };
    let mut worker = tokio::task::spawn_blocking(move || {
        // The permit goes back when the work ends, which is later than the call where a system
        // call hangs.
        let _permit = permit;
        job.check()?;
        work(&job)
    });
    loop {
        tokio::select! {
            biased;
            done = &mut worker => return match done {
                Ok(done) => Ok(done),
                Err(e) => match e.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(CallError::new(ErrorCode::Cancelled, "the server is shutting down")),
                },
            },
            Ok(()) = reports.changed() => {
                let report = reports.borrow_and_update().clone();
                cx.progress(&Progress {
                    progress: report.steps as f64,
                    total: None,
                    message: Some(&report.message),
                });
            }
        }
    }
}
