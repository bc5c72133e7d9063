//! The way between the two processes, once both run.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use ferromcp_audit::Heir;
use ferromcp_endpoint::{Handed, Peer};
use tokio::sync::oneshot;
use tracing::warn;

use super::wire::Said;

/// The other process confirms a session within this time, or the client is answered without.
const SESSION: Duration = Duration::from_secs(5);
/// The other process writes records within this time.
const RECORDS: Duration = Duration::from_secs(30);

/// Messages that wait to be written; the other process reads all the time.
const QUEUE: usize = 4096;

/// Says things to the other process, from any thread.
#[derive(Debug)]
pub(super) struct Link {
    /// To the thread that writes.
    out: mpsc::SyncSender<Out>,
    /// What was not confirmed yet; `None` when the other process is gone.
    waiting: Mutex<Option<HashMap<u64, Waiter>>>,
    next: AtomicU64,
}

#[derive(Debug)]
enum Waiter {
    Task(oneshot::Sender<()>),
    Thread(mpsc::SyncSender<()>),
}

/// For the thread that writes.
#[derive(Debug)]
enum Out {
    Frame(Vec<u8>),
    Flush(mpsc::SyncSender<()>),
}

impl Link {
    /// Starts a thread that writes, and one that reads: what is no confirmation goes to `heard`, and `None` at the end.
    pub(super) fn start(
        stream: UnixStream,
        mut heard: impl FnMut(&Arc<Self>, Option<Said>) + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let (out, frames) = mpsc::sync_channel::<Out>(QUEUE);
        let link = Arc::new(Self {
            out,
            waiting: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::new(0),
        });
        let (mut reads, mut writes) = (stream.try_clone()?, stream);
        let weak = Arc::downgrade(&link);
        std::thread::Builder::new()
            .name("upgrade-out".into())
            .spawn(move || {
                for frame in frames {
                    match frame {
                        Out::Frame(frame) if writes.write_all(&frame).is_err() => break,
                        Out::Frame(_) => {}
                        // Whoever waited may have given up.
                        Out::Flush(done) => drop(done.send(())),
                    }
                }
                // The reader of this process ends too.
                let _ = writes.shutdown(std::net::Shutdown::Both);
            })?;
        std::thread::Builder::new()
            .name("upgrade-in".into())
            .spawn(move || {
                loop {
                    let said = Said::read(&mut reads);
                    let Some(link) = weak.upgrade() else { return };
                    match said {
                        Ok(Said::Confirmed(number)) => link.confirmed(number),
                        Ok(said) => heard(&link, Some(said)),
                        Err(e) => {
                            if e.kind() != io::ErrorKind::UnexpectedEof {
                                warn!(error = %e, "the way to the other process is broken");
                            }
                            *link.waiting() = None;
                            return heard(&link, None);
                        }
                    }
                }
            })?;
        Ok(link)
    }

    /// Says something. It is lost if the other process is gone, which the reader notices.
    pub(super) fn say(&self, said: &Said) {
        match said.frame() {
            Ok(frame) => drop(self.out.send(Out::Frame(frame))),
            Err(e) => warn!(error = %e, "a message to the other process could not be written"),
        }
    }

    /// Waits until all that was said is on its way.
    pub(super) fn flush(&self) {
        let (done, flushed) = mpsc::sync_channel(1);
        drop(self.out.send(Out::Flush(done)));
        // An error: the other process is gone.
        let _ = flushed.recv();
    }

    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u64, Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number to be confirmed; `None` if the other process is gone.
    fn wait(&self, waiter: Waiter) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting().as_mut()?.insert(number, waiter);
        Some(number)
    }

    fn forget(&self, number: u64) {
        if let Some(waiting) = &mut *self.waiting() {
            waiting.remove(&number);
        }
    }

    fn confirmed(&self, number: u64) {
        let found = self
            .waiting()
            .as_mut()
            .and_then(|waiting| waiting.remove(&number));
        // Whoever waited may have given up.
        match found {
            Some(Waiter::Task(waiter)) => drop(waiter.send(())),
            Some(Waiter::Thread(waiter)) => drop(waiter.send(())),
            None => {}
        }
    }
}

impl Peer for Link {
    fn session(&self, handed: Handed) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (sender, confirmed) = oneshot::channel();
            let Some(number) = self.wait(Waiter::Task(sender)) else {
                return;
            };
            self.say(&Said::Session(number, Box::new(handed)));
            if tokio::time::timeout(SESSION, confirmed).await.is_err() {
                warn!("the other process does not confirm a session");
                self.forget(number);
            }
        })
    }

    fn ended(&self, id: &str) {
        self.say(&Said::Ended(id.to_owned()));
    }

    fn message(&self, session: &str, message: &str) {
        self.say(&Said::Message(session.to_owned(), message.to_owned()));
    }
}

/// Takes records for the log of the new process.
pub(super) struct Records(pub(super) Arc<Link>);

impl Heir for Records {
    fn take(&mut self, records: &[u8]) -> io::Result<()> {
        let (sender, confirmed) = mpsc::sync_channel(1);
        let number = self
            .0
            .wait(Waiter::Thread(sender))
            .ok_or(io::ErrorKind::BrokenPipe)?;
        self.0.say(&Said::Records(number, records.to_vec()));
        confirmed.recv_timeout(RECORDS).map_err(|_| {
            self.0.forget(number);
            io::Error::other("it did not confirm records")
        })
    }
}
