//! The process whose place is taken.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ferromcp_admin::{NotReloaded, Tenants};
use ferromcp_audit::Handover;
use ferromcp_core::{Gateway, SourceState};
use ferromcp_endpoint::{Endpoint, Gate};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::link::{Link, Records};
use super::new::about_sessions;
use super::used::Used;
use super::wire::{FORMAT, Hello, Said, hand_over};
use super::{Socket, Sockets};
use crate::args::Mode;
use crate::reload::Reloader;

/// Tells a process that standard input is the way to the one whose place it takes.
pub(crate) const VARIABLE: &str = "FERROMCP_UPGRADE";

/// The new process reads its configuration within this time, and takes over sessions within it.
const STEP: Duration = Duration::from_secs(60);

/// Things that it says on its way.
const STEPS: usize = 16;

/// What goes over to another process.
pub(crate) struct Parts {
    pub(crate) mode: Mode,
    pub(crate) sockets: Sockets,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) tenants: Option<Arc<Tenants>>,
    pub(crate) audit: Option<Handover>,
    pub(crate) reloader: Arc<Reloader>,
}

/// A server that can go.
pub(crate) struct Going {
    mode: Mode,
    sockets: Arc<Vec<Socket>>,
    endpoint: Arc<Endpoint>,
    gateway: Arc<Gateway>,
    tenants: Option<Arc<Tenants>>,
    audit: Option<Handover>,
    reloader: Arc<Reloader>,
    /// An upgrade is under way, or was carried out.
    busy: AtomicBool,
    left: CancellationToken,
}

/// The new process, before it serves.
struct New {
    child: Child,
    link: Arc<Link>,
    said: Receiver<Said>,
}

fn refused(message: impl Into<String>) -> NotReloaded {
    NotReloaded {
        rule: "upgrade.failed",
        message: message.into(),
    }
}

impl Going {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            mode,
            sockets,
            endpoint,
            gateway,
            tenants,
            audit,
            reloader,
        } = parts;
        Arc::new(Self {
            mode,
            sockets: Arc::new(sockets.own),
            endpoint,
            gateway,
            tenants,
            audit,
            reloader,
            busy: AtomicBool::new(false),
            left: CancellationToken::new(),
        })
    }

    /// Cancelled when another process has taken this one's place.
    pub(crate) fn left(&self) -> &CancellationToken {
        &self.left
    }

    /// Starts another process and lets it take this one's place. What began is brought to its end, whoever waits for it.
    pub(crate) async fn upgrade(self: &Arc<Self>, who: &str) -> Result<Value, NotReloaded> {
        let (own, who) = (Arc::clone(self), who.to_owned());
        let done = tokio::spawn(async move {
            let (begun, since) = (SystemTime::now(), Instant::now());
            let done = own.replaced(since).await;
            let note = match &done {
                Ok(done) => {
                    info!(who, pid = %done["pid"], "another process has taken the place of this one");
                    Ok(done.to_string())
                }
                Err(refusal) => {
                    error!(
                        who,
                        reason = refusal.message,
                        "not upgraded; this process goes on"
                    );
                    Err(refusal)
                }
            };
            own.reloader
                .record_upgrade(&who, begun, note.as_deref().map_err(|refusal| *refusal));
            done
        });
        done.await
            .unwrap_or_else(|_| Err(refused("the upgrade failed inside; the log says where")))
    }

    async fn replaced(&self, since: Instant) -> Result<Value, NotReloaded> {
        if self.mode != Mode::Http {
            return Err(refused(
                "a server on standard input and output is its host's: have the host start it again",
            ));
        }
        if self.busy.swap(true, Ordering::SeqCst) {
            return Err(refused("an upgrade is under way, or was carried out"));
        }
        let going = self.reloader.pause().await;
        let done = match going {
            Ok(()) => self.handed_over(since).await,
            Err(refusal) => Err(refusal),
        };
        if done.is_err() {
            self.reloader.go_on();
            self.busy.store(false, Ordering::SeqCst);
        }
        done
    }

    async fn handed_over(&self, since: Instant) -> Result<Value, NotReloaded> {
        let mut new = self.start().await?;
        let served = self.served_by(&mut new).await;
        let (pid, version) = match served {
            Ok(served) => served,
            Err(refusal) => {
                self.take_back(new).await;
                return Err(refusal);
            }
        };
        self.endpoint.gates().set(Gate::Left);
        self.gateway.leave();
        self.left.cancel();
        let took = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(json!({ "pid": pid, "version": version, "took_ms": took, "old_pid": std::process::id() }))
    }

    /// Starts the program file as this process was started.
    async fn start(&self) -> Result<New, NotReloaded> {
        let catalog = &self.gateway.snapshot().catalog;
        let ready = catalog
            .sources()
            .iter()
            .filter(|source| source.state == SourceState::Ready);
        let hello = Hello {
            format: FORMAT,
            records: ferromcp_audit::FORMAT,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sockets: self
                .sockets
                .iter()
                .map(|socket| (socket.door.clone(), socket.address))
                .collect(),
            ready: ready.map(|source| source.name.to_string()).collect(),
            sealing_key: self.endpoint.sealing_key(),
        };
        let (sockets, endpoint) = (Arc::clone(&self.sockets), Arc::clone(&self.endpoint));
        let runtime = Handle::current();
        let started = tokio::task::spawn_blocking(move || start(&sockets, hello, endpoint, runtime));
        started
            .await
            .map_err(|e| refused(e.to_string()))?
            .map_err(|e| refused(format!("the new process cannot be started: {e}")))
    }

    /// Up to the moment when the new process serves.
    async fn served_by(&self, new: &mut New) -> Result<(u32, String), NotReloaded> {
        match new.hear(STEP).await? {
            Said::LetGo => {}
            _ => return Err(unexpected()),
        }
        self.let_go(&new.link).await?;
        new.link.say(&Said::Gone);
        match new.hear(self.reloader.start_limit().await + STEP).await? {
            Said::Ready => {}
            _ => return Err(unexpected()),
        }
        let gates = self.endpoint.gates();
        gates.set(Gate::Shut);
        gates.quiet().await;
        // First, so that no session is opened in between.
        self.endpoint.set_peer(Some(Arc::<Link>::clone(&new.link)));
        let yours = Said::Yours(self.endpoint.handed(), Used::of(&self.gateway));
        new.link.say(&yours);
        match new.hear(STEP).await? {
            Said::Serving { pid, version } => Ok((pid, version)),
            _ => Err(unexpected()),
        }
    }

    async fn let_go(&self, link: &Arc<Link>) -> Result<(), NotReloaded> {
        let (tenants, audit) = (self.tenants.clone(), self.audit.clone());
        let records = Records(Arc::clone(link));
        let done = tokio::task::spawn_blocking(move || {
            if let Some(tenants) = tenants {
                tenants.let_go();
            }
            audit.map_or(Ok(()), |audit| audit.let_go(Box::new(records)))
        });
        done.await
            .map_err(|e| refused(e.to_string()))?
            .map_err(|e| refused(format!("the audit log cannot be handed over: {e}")))
    }

    /// Everything is as it was before.
    async fn take_back(&self, new: New) {
        let (tenants, audit) = (self.tenants.clone(), self.audit.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut child = new.child;
            // With it go its locks.
            let _ = child.kill();
            let _ = child.wait();
            if let Some(Err(e)) = tenants.map(|tenants| tenants.take_back()) {
                error!(error = %e, "the store of the admin API cannot be opened again");
            }
            if let Some(Err(e)) = audit.map(|audit| audit.take_back()) {
                error!(error = %e, "the audit log cannot be opened again");
            }
        });
        if let Err(e) = done.await {
            error!(error = %e, "taking back failed inside");
        }
        self.endpoint.set_peer(None);
        self.endpoint.gates().set(Gate::Open);
    }
}

fn unexpected() -> NotReloaded {
    refused("the new process said something unexpected")
}

impl New {
    /// What it says next.
    async fn hear(&mut self, limit: Duration) -> Result<Said, NotReloaded> {
        match timeout(limit, self.said.recv()).await {
            Ok(Some(Said::Failed(reason))) => Err(refused(reason)),
            Ok(Some(said)) => Ok(said),
            Ok(None) => Err(refused("the new process ended; its log says why")),
            Err(_) => Err(refused(format!(
                "the new process was not ready after {} s",
                limit.as_secs()
            ))),
        }
    }
}

fn start(sockets: &[Socket], hello: Hello, endpoint: Arc<Endpoint>, runtime: Handle) -> std::io::Result<New> {
    let (mut own, theirs) = UnixStream::pair()?;
    let mut arguments = std::env::args_os();
    // As it was named: a link leads to the new program, which the path of the running one does not.
    let program = arguments.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env(VARIABLE, "1")
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    let handed = hand_over(&mut own, sockets, hello).and_then(|()| {
        let (sender, said) = channel(STEPS);
        let mut sender = Some(sender);
        let link = Link::start(own, move |link, said| {
            let _entered = runtime.enter();
            match said {
                None => {
                    endpoint.set_peer(None);
                    sender = None;
                }
                Some(said @ (Said::LetGo | Said::Ready | Said::Serving { .. } | Said::Failed(_))) => {
                    // Nobody listens any more once it serves.
                    drop(sender.as_ref().map(|sender| sender.try_send(said)));
                }
                Some(said) => about_sessions(link, &endpoint, said),
            }
        })?;
        Ok((link, said))
    });
    match handed {
        Ok((link, said)) => Ok(New { child, link, said }),
        Err(e) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(e)
        }
    }
}
