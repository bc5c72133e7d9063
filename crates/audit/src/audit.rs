//! The handle that calls use, and what is needed to start.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::entry::{Entry, Filter};
use crate::error::{ConfigError, NotRecorded, OpenError, Unavailable};
use crate::handover::Reopen;
use crate::journal::Journal;
use crate::key::{PublicKey, SigningKey};
use crate::line::{Chain, StoredArgs};
use crate::log::{Log, LogLimits};
use crate::queue::{Queue, Ticket};
use crate::recent::Recent;
use crate::record::{CopyRule, HEADER, Prepared, Record};
use crate::recover::{self, Found};
use crate::redact::SecretKeys;
use crate::sink::{Sink, Tap};
use crate::storage::{Directory, Storage};
use crate::wait::{self, Durable};
use crate::writer::Writer;

/// Arguments up to this size are copied and hashed by the writer; larger ones by the caller.
const WHOLE_ARGS: usize = 16 << 10;
/// Room for all texts of a record.
const MAX_TEXTS: usize = 10 * 600;
/// Files that hold a generated key and its public half.
const KEY_FILE: &str = "sign.key";
const PUBLIC_FILE: &str = "audit.pub";

/// What happens to a record when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// The caller waits for room, unless writing fails: then it drops.
    #[default]
    Block,
    /// The record is dropped and counted, and the log says how many were.
    Drop,
}

/// What happens to calls while the log cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// [`Audit::admit`] refuses them.
    #[default]
    Refuse,
    /// They go on; records wait as long as there is room.
    Continue,
}

/// How arguments are stored.
#[derive(Clone, Debug)]
pub struct StoreArgs {
    /// Bytes of them, after redaction, before a marked cut: 16 bytes to 256 KiB.
    pub max_bytes: usize,
    /// Keys whose values are replaced.
    pub redact: SecretKeys,
}

/// Everything to start with. [`Config::new`] gives defaults.
pub struct Config {
    /// Directory of the durable log; without one, there are only the ring and the second output.
    pub dir: Option<PathBuf>,
    /// Signs checkpoints. Without one, a key is made and kept in the directory as `sign.key` with mode
    /// 0600: that shows accidents, and changes by whoever cannot read the directory; an
    /// intruder with the rights of the process can forge. Give a key from elsewhere, and keep the public half away.
    pub sign_key: Option<SigningKey>,
    /// Second output: gets the same lines, and never slows the log down. A sink that
    /// does not keep up loses lines, counted and marked.
    pub sink: Option<Box<dyn Write + Send>>,
    /// Further outputs, which take the same lines and send them elsewhere.
    pub taps: Vec<Box<dyn Tap>>,
    /// Records in the ring of the recent past: up to 10,000,000; 0 for no ring.
    pub ring_records: usize,
    /// Bytes in it: 4 KiB to 4 GiB.
    pub ring_bytes: usize,
    /// Bytes of records that may wait for the writer, over all shards: 64 KiB to 1 GiB.
    pub queue_bytes: usize,
    /// Shards of the queue: 1 to 256; by default one for each processor.
    pub shards: usize,
    /// When the queue is full.
    pub on_full: OnFull,
    /// When the log cannot be written.
    pub on_error: OnError,
    /// Stores arguments; by default only their hash is.
    pub store_args: Option<StoreArgs>,
    /// Bounds of the durable log.
    pub limits: LogLimits,
    /// Clock of the writer.
    pub clock: Arc<dyn Clock>,
    /// Another process lets go of the log for this one, and still runs: calls without an end are still running there, and
    /// are handed in with [`Audit::hand_in`].
    pub handed: bool,
    /// Files to use in place of those in `dir`, which then only gives the name in errors.
    pub storage: Option<Box<dyn Storage>>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("dir", &self.dir)
            .field("on_full", &self.on_full)
            .field("on_error", &self.on_error)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A ring of 10,000 records or 16 MiB, a queue of 16 MiB, block when full, refuse on errors, no
    /// arguments stored.
    #[must_use]
    pub fn new(dir: Option<&Path>) -> Self {
        let shards = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            dir: dir.map(Path::to_owned),
            sign_key: None,
            sink: None,
            taps: Vec::new(),
            ring_records: 10_000,
            ring_bytes: 16 << 20,
            queue_bytes: 16 << 20,
            shards: shards.min(256),
            on_full: OnFull::default(),
            on_error: OnError::default(),
            store_args: None,
            limits: LogLimits::default(),
            clock: Arc::new(SystemClock::new()),
            handed: false,
            storage: None,
        }
    }

    /// Refuses what is out of bounds.
    ///
    /// # Errors
    /// Names the first setting that is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let within = |setting, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                let reason = format!("{value} is out of bounds: {least} to {most}");
                Err(ConfigError::new(setting, reason))
            }
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let limits = &self.limits;
        within("ring_records", self.ring_records as u64, 0, 10_000_000)?;
        within("ring_bytes", self.ring_bytes as u64, 4 << 10, 4 << 30)?;
        within("queue_bytes", self.queue_bytes as u64, 64 << 10, 1 << 30)?;
        within("shards", self.shards as u64, 1, 256)?;
        if let Some(store) = &self.store_args {
            within("store_args.max_bytes", store.max_bytes as u64, 16, 256 << 10)?;
        }
        within("segment_bytes", limits.segment_bytes, 4 << 10, 1 << 40)?;
        within("segment_age (ms)", millis(limits.segment_age), 1000, u64::MAX)?;
        within(
            "keep_segments",
            limits.keep_segments.unwrap_or(2) as u64,
            2,
            u64::MAX,
        )?;
        let records = u64::from(limits.checkpoint_records);
        within("checkpoint_records", records, 1, 1_000_000)?;
        let interval = millis(limits.checkpoint_interval);
        within("checkpoint_interval (ms)", interval, 10, u64::MAX)?;
        within("commit_delay (ms)", millis(limits.commit_delay), 0, 10_000)?;
        within("retry (ms)", millis(limits.retry), 10, 3_600_000)
    }
}

/// How the log is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it can be written, as far as is known.
    pub state: State,
    /// Number of the last record written to the outputs.
    pub written: u64,
    /// Number of the last record known to be durable.
    pub durable: u64,
    /// Records lost because the queue was full, since the start.
    pub dropped: u64,
    /// Failed attempts to write, since the start.
    pub failures: u64,
    /// Lines that other outputs lost, since the start.
    pub sink_dropped: u64,
}

/// Part of [`Health`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Ok,
    /// Writing fails; the log tries again by itself.
    Failing {
        /// What the system said.
        reason: String,
    },
    /// No more records are taken.
    Closed,
}

/// Handle of a running log: cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: Arc<Queue>,
    recent: Arc<Recent>,
    on_full: OnFull,
    on_error: OnError,
}

/// Keeps the writing thread. Dropping it closes the log like [`close`](Self::close), errors going
/// to the program's log only.
#[derive(Debug)]
pub struct AuditWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<Result<(), Unavailable>>>,
    public_key: Option<PublicKey>,
}

impl Audit {
    /// Opens the directory, puts in order what a crash left, writes the first record durably and
    /// starts the writing thread.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing runs then.
    pub fn open(mut config: Config) -> Result<(Self, AuditWriter), OpenError> {
        config.check()?;
        let stored = config.store_args.take().map(|store| StoredArgs {
            secret: store.redact,
            max_bytes: store.max_bytes,
        });
        let prefix = stored.as_ref().map_or(0, |stored| stored.max_bytes + 1024);
        let rule = CopyRule {
            whole: WHOLE_ARGS.max(prefix),
            prefix,
        };
        let largest = HEADER + MAX_TEXTS + rule.whole;
        let capacity = (config.queue_bytes / config.shards).max(2 * largest);
        let queue = Arc::new(Queue::new(config.shards, capacity, rule));
        let recent = Arc::new(Recent::new(config.ring_records, config.ring_bytes));
        let dir = config.dir.clone().unwrap_or_default();
        let start_failed = |what: &str| {
            let (dir, what) = (dir.clone(), what.to_owned());
            move |error: io::Error| OpenError::Io { dir, what, error }
        };
        let reopen = reopening(&config);
        let opened = open_store(&mut config)?;
        let (chain, store, found, interrupted) = match opened {
            Some(opened) => {
                let interrupted = match config.handed {
                    true => Journal::default(),
                    false => opened.interrupted,
                };
                (opened.chain, Some(opened.store), opened.found, interrupted)
            }
            None => (Chain::START, None, Found::Nothing, Journal::default()),
        };
        let public_key = store.as_ref().map(|store| store.key.public_key());
        let tapped = config.sink.is_some() || !config.taps.is_empty();
        let log = Log::new(chain, store, stored, tapped);
        let mut writer = Writer::new(
            Arc::clone(&queue),
            Arc::clone(&recent),
            log,
            config.clock,
            config.limits,
        );
        if let Some(output) = config.sink {
            let sink = Sink::start(output, Arc::clone(&queue)).map_err(start_failed("starting a thread"))?;
            writer.set_sink(sink);
        }
        writer.set_taps(config.taps);
        writer.reopen = reopen;
        let cut = match found {
            Found::Nothing | Found::Closed => None,
            Found::Unclosed { bytes, side } => {
                tracing::warn!(
                    bytes,
                    side,
                    "the audit log was not closed; bytes were cut off its end"
                );
                let side = side.unwrap_or_else(|| "nothing was cut".to_owned());
                Some((bytes, format!("not closed; cut: {side}")))
            }
        };
        writer
            .begin(cut, &interrupted)
            .map_err(start_failed("writing the first record"))?;
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run())
            .map_err(start_failed("starting a thread"))?;
        let audit = Self {
            queue: Arc::clone(&queue),
            recent,
            on_full: config.on_full,
            on_error: config.on_error,
        };
        let keeper = AuditWriter {
            queue,
            thread: Some(thread),
            public_key,
        };
        Ok((audit, keeper))
    }

    /// Hands a record in. When the queue is full, does what [`OnFull`] says: with `Block` it blocks
    /// the thread. Costs one copy.
    ///
    /// # Errors
    /// The record was not taken; if the queue was full, it is counted and the log will say so.
    pub fn record(&self, record: &Record<'_>) -> Result<Ticket, NotRecorded> {
        let record = Prepared::new(record, self.queue.rule);
        self.queue.push(&record, self.on_full == OnFull::Block, true)
    }

    /// Like [`record`](Self::record), but awaits room and never blocks the thread. A future dropped
    /// before it is ready has recorded nothing: record it with [`record_now`](Self::record_now) then.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn record_async(&self, record: &Record<'_>) -> Result<Ticket, NotRecorded> {
        match self.on_full {
            OnFull::Drop => self.record_now(record),
            OnFull::Block => wait::push(&self.queue, record).await,
        }
    }

    /// Like [`record`](Self::record) with `Drop`, whatever the policy: never waits. For places that
    /// cannot, such as a `Drop`.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub fn record_now(&self, record: &Record<'_>) -> Result<Ticket, NotRecorded> {
        let record = Prepared::new(record, self.queue.rule);
        self.queue.push(&record, false, true)
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Hands a record in if there is room. A record that was not taken is not counted: the caller
    /// still has it.
    ///
    /// # Errors
    /// There is no room, or the log is closed.
    pub fn try_record(&self, record: &Record<'_>) -> Result<Ticket, NotRecorded> {
        let record = Prepared::new(record, self.queue.rule);
        self.queue.push(&record, false, false)
    }

    /// Whether a call may begin: ask before it does anything. One atomic load.
    ///
    /// # Errors
    /// The policy is to refuse, and the log cannot be written.
    pub fn admit(&self) -> Result<(), Unavailable> {
        if self.on_error == OnError::Refuse && (self.queue.is_failing() || self.queue.is_closed()) {
            return Err(self.queue.unavailable());
        }
        Ok(())
    }

    /// Waits until a record is durable. Without a directory, until it was written to the outputs.
    pub fn durable(&self, ticket: Ticket) -> Durable {
        Durable::one(Arc::clone(&self.queue), ticket)
    }

    /// Waits until everything recorded before is durable; while writing fails, asks for an attempt
    /// and gives its result.
    pub fn flush(&self) -> Durable {
        Durable::all(Arc::clone(&self.queue))
    }

    /// Entries of the recent past that match, from the newest to the oldest. A record is there a
    /// moment after it was handed in: see [`flush`](Self::flush). Never delays calls.
    #[must_use]
    pub fn recent(&self, filter: &Filter) -> Vec<Entry> {
        self.recent.query(filter)
    }

    /// How the log is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let counts = &self.queue.counts;
        let state = if self.queue.is_closed() {
            State::Closed
        } else if self.queue.is_failing() {
            State::Failing {
                reason: self.queue.unavailable().reason,
            }
        } else {
            State::Ok
        };
        Health {
            state,
            written: counts.written.load(Ordering::Acquire),
            durable: counts.durable.load(Ordering::Acquire),
            dropped: counts.dropped.load(Ordering::Relaxed),
            failures: counts.failures.load(Ordering::Relaxed),
            sink_dropped: counts.sink_dropped.load(Ordering::Relaxed),
        }
    }
}

impl AuditWriter {
    pub(crate) fn shared_queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// The key that verifies this log; `None` without a directory.
    #[must_use]
    pub const fn public_key(&self) -> Option<PublicKey> {
        self.public_key
    }

    /// Takes no more records, writes what waits and a last checkpoint, durably.
    ///
    /// # Errors
    /// Not everything could be written; says how many records.
    pub fn close(mut self) -> Result<(), Unavailable> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Unavailable> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        self.queue.close();
        thread.join().unwrap_or_else(|_| {
            Err(Unavailable {
                reason: "its writer died".to_owned(),
            })
        })
    }
}

impl Drop for AuditWriter {
    fn drop(&mut self) {
        // The writer has said what went wrong.
        let _ = self.end();
    }
}

/// How the files of a directory are opened again, after they were let go of.
fn reopening(config: &Config) -> Option<Reopen> {
    let dir = config.dir.clone().filter(|_| config.storage.is_none())?;
    let (key, limits, clock) = (
        config.sign_key.clone(),
        config.limits.clone(),
        Arc::clone(&config.clock),
    );
    Some(Box::new(move || {
        let mut again = Config {
            sign_key: key.clone(),
            limits: limits.clone(),
            clock: Arc::clone(&clock),
            ..Config::new(Some(&dir))
        };
        let opened = open_store(&mut again).map_err(io::Error::other)?;
        opened.ok_or_else(|| io::ErrorKind::NotFound.into())
    }))
}

fn open_store(config: &mut Config) -> Result<Option<recover::Opened>, OpenError> {
    let Some(dir) = config.dir.clone() else {
        return Ok(None);
    };
    let failed = |what: &str, error: io::Error| OpenError::Io {
        dir: dir.clone(),
        what: what.to_owned(),
        error,
    };
    let mut storage: Box<dyn Storage> = match config.storage.take() {
        Some(storage) => storage,
        None => match Directory::open(&dir) {
            Ok(directory) => Box::new(directory),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(OpenError::InUse { dir }),
            Err(error) => return Err(failed("opening it", error)),
        },
    };
    let key = match config.sign_key.take() {
        Some(key) => key,
        None => own_key(storage.as_mut(), &dir)?,
    };
    let public = key.public_key().to_pem();
    storage
        .replace(PUBLIC_FILE, public.as_bytes())
        .map_err(|error| failed("writing audit.pub", error))?;
    let now = crate::text::micros(config.clock.wall());
    recover::open(&dir, storage, key, config.limits.clone(), now).map(Some)
}

/// The key in the directory; makes one where there is none.
fn own_key(storage: &mut dyn Storage, dir: &Path) -> Result<SigningKey, OpenError> {
    let failed = |error: io::Error| OpenError::Io {
        dir: dir.to_owned(),
        what: KEY_FILE.to_owned(),
        error,
    };
    let wrong = |error| OpenError::Key {
        dir: dir.to_owned(),
        error,
    };
    if storage
        .list()
        .map_err(failed)?
        .iter()
        .any(|name| name == KEY_FILE)
    {
        let mut bytes = Vec::new();
        let input = storage.read(KEY_FILE, 0).map_err(failed)?;
        io::Read::read_to_end(&mut io::Read::take(input, 16 << 10), &mut bytes).map_err(failed)?;
        return SigningKey::parse(&bytes).map_err(wrong);
    }
    let (key, pem) = SigningKey::generate().map_err(wrong)?;
    storage.replace(KEY_FILE, pem.as_bytes()).map_err(failed)?;
    Ok(key)
}
