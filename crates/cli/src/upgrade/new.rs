//! The process that takes the place of another one.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ferromcp_audit::Audit;
use ferromcp_core::{Gateway, SourceState};
use ferromcp_endpoint::{Endpoint, Handed};
use tokio::runtime::Handle;
use tracing::{error, info};

use super::link::Link;
use super::used::Used;
use super::wire::{FORMAT, Hello, Said, take_over};
use super::{Sockets, old};
use crate::exit::Failure;

/// The other process answers within this time.
const ANSWER: Duration = Duration::from_secs(60);

/// Sessions, and what is used of limits.
type Yours = (Vec<Handed>, Used);

/// What this process knows of the one whose place it takes.
pub(crate) struct Coming {
    hello: Hello,
    stream: Mutex<UnixStream>,
    /// Records that came before there was a log for them.
    early: Mutex<Vec<(u64, Vec<u8>)>>,
    link: OnceLock<Arc<Link>>,
    endpoint: Arc<OnceLock<Arc<Endpoint>>>,
    yours: Mutex<Option<Receiver<Yours>>>,
}

fn failed(doing: &str) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |e| Failure::Other(format!("upgrade: {doing}: {e}"))
}

impl Coming {
    /// Reads what another process hands over, if one started this one.
    pub(crate) fn of_environment() -> Result<Option<(Self, Sockets)>, Failure> {
        if std::env::var_os(old::VARIABLE).is_none() {
            return Ok(None);
        }
        let stream = std::io::stdin().as_fd().try_clone_to_owned();
        let mut stream = stream
            .map(UnixStream::from)
            .and_then(|stream| stream.local_addr().map(|_| stream))
            .map_err(|_| {
                Failure::Usage(format!(
                    "{} is set by a process that is being upgraded, and by nobody else: unset it",
                    old::VARIABLE
                ))
            })?;
        stream
            .set_read_timeout(Some(ANSWER))
            .map_err(failed("cannot use the socket"))?;
        let (sockets, hello) = take_over(&mut stream).map_err(failed("nothing was handed over"))?;
        if (hello.format, hello.records) != (FORMAT, ferromcp_audit::FORMAT) {
            return Err(Failure::Other(format!(
                "version {} hands over in another form than version {} takes: restart the server",
                hello.version,
                env!("CARGO_PKG_VERSION")
            )));
        }
        let coming = Self {
            hello,
            stream: Mutex::new(stream),
            early: Mutex::default(),
            link: OnceLock::new(),
            endpoint: Arc::default(),
            yours: Mutex::new(None),
        };
        Ok(Some((coming, sockets)))
    }

    /// Asks for the audit log and the store, which one process can have.
    pub(crate) fn take(&self) -> Result<(), Failure> {
        let broken = failed("the process that is to be replaced does not let go");
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        std::io::Write::write_all(&mut *stream, &Said::LetGo.frame().map_err(&broken)?).map_err(&broken)?;
        loop {
            match Said::read(&mut *stream).map_err(&broken)? {
                Said::Gone => return Ok(()),
                Said::Records(number, records) => self.early().push((number, records)),
                _ => return Err(broken(std::io::Error::other("it says something else"))),
            }
        }
    }

    /// From now on records of the other process go into the log, and its sessions to the endpoint. On the runtime.
    pub(crate) fn listen(&self, audit: Option<Audit>) -> Result<(), Failure> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream
            .set_read_timeout(None)
            .map_err(failed("cannot use the socket"))?;
        let stream = stream.try_clone().map_err(failed("cannot use the socket"))?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let (endpoint, runtime) = (Arc::clone(&self.endpoint), Handle::current());
        let mut sender = Some(sender);
        let (early, first) = (std::mem::take(&mut *self.early()), audit.clone());
        let link = Link::start(stream, move |link, said| {
            let _entered = runtime.enter();
            match said {
                Some(Said::Records(number, records)) => written(link, audit.as_ref(), number, &records),
                // It can be awaited once only.
                Some(Said::Yours(sessions, used)) => {
                    drop(sender.take().map(|sender| sender.send((sessions, used))));
                }
                Some(said) => {
                    if let Some(endpoint) = endpoint.get() {
                        about_sessions(link, endpoint, said);
                    }
                }
                None => {
                    sender = None;
                    if let Some(endpoint) = endpoint.get() {
                        endpoint.set_peer(None);
                    }
                    info!("the process before this one has ended");
                }
            }
        })
        .map_err(failed("cannot start a thread"))?;
        for (number, records) in early {
            written(&link, first.as_ref(), number, &records);
        }
        *self.yours.lock().unwrap_or_else(PoisonError::into_inner) = Some(receiver);
        let _ = self.link.set(link);
        Ok(())
    }

    /// Whether every server is ready that is in the other process.
    pub(crate) fn check_servers(&self, gateway: &Gateway) -> Result<(), Failure> {
        let snapshot = gateway.snapshot();
        let down = snapshot.catalog.sources().iter().filter_map(|source| {
            let reason = match &source.state {
                SourceState::Ready => return None,
                SourceState::Starting => "it is not ready in time",
                SourceState::Down { reason } => reason,
            };
            let was = self.hello.ready.iter().any(|ready| **ready == *source.name);
            was.then(|| format!("server {}: {reason}", source.name))
        });
        let down: Vec<String> = down.collect();
        if down.is_empty() {
            return Ok(());
        }
        Err(Failure::Other(format!(
            "what runs in the old process does not start in the new one. {}",
            down.join("; ")
        )))
    }

    /// The key that sealed what clients bring back.
    pub(crate) fn sealing_key(&self) -> Option<[u8; 32]> {
        self.hello.sealing_key
    }

    /// Has the other process stop accepting, and takes its sessions.
    pub(crate) fn take_sessions(&self, endpoint: &Arc<Endpoint>) -> Result<(), Failure> {
        let gone = || Failure::Other("upgrade: the process that is to be replaced is gone".into());
        let link = self.link.get().ok_or_else(gone)?;
        let _ = self.endpoint.set(Arc::clone(endpoint));
        endpoint.set_peer(Some(Arc::<Link>::clone(link)));
        link.say(&Said::Ready);
        let yours = self.yours.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (sessions, used) = yours
            .and_then(|yours| yours.recv_timeout(ANSWER).ok())
            .ok_or_else(gone)?;
        used.give(endpoint.gateway());
        for handed in &sessions {
            endpoint.take(handed);
        }
        info!(
            sessions = sessions.len(),
            from = self.hello.pid,
            "taking the place of another process"
        );
        Ok(())
    }

    /// This process accepts connections.
    pub(crate) fn serving(&self) {
        self.say(&Said::Serving {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
    }

    /// It does not come to that.
    pub(crate) fn failed(&self, failure: &Failure) {
        self.say(&Said::Failed(failure.to_string()));
        if let Some(link) = self.link.get() {
            link.flush();
        }
    }

    fn early(&self) -> MutexGuard<'_, Vec<(u64, Vec<u8>)>> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, said: &Said) {
        if let Some(link) = self.link.get() {
            return link.say(said);
        }
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(frame) = said.frame() {
            // The other process notices the end of this one.
            let _ = std::io::Write::write_all(&mut *stream, &frame);
        }
    }
}

/// Writes records of the other process, and says so.
fn written(link: &Link, audit: Option<&Audit>, number: u64, records: &[u8]) {
    let durable = audit.map(|audit| audit.hand_in(records));
    match durable
        .transpose()
        .map(|durable| durable.map(|durable| durable.wait()))
    {
        Ok(None | Some(Ok(()))) => link.say(&Said::Confirmed(number)),
        Ok(Some(Err(e))) | Err(e) => error!(error = %e, "records of the process before cannot be written"),
    }
}

/// What the other process says of sessions; both ways.
pub(super) fn about_sessions(link: &Link, endpoint: &Endpoint, said: Said) {
    match said {
        Said::Session(number, handed) => {
            endpoint.take(&handed);
            link.say(&Said::Confirmed(number));
        }
        Said::Ended(id) => endpoint.taken_out(&id),
        Said::Message(session, message) => endpoint.heard(&session, &message),
        _ => {}
    }
}
