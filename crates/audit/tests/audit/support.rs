//! A clock that is set by hand, and storage that fails on demand and knows what a crash may take.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ferromcp_audit::{
    Audit, AuditWriter, Bad, Clock, Config, Directory, Entry, Filter, Kind, LogFile, PublicKey, Record,
    Report, SigningKey, Storage, VerifyOptions, query, verify,
};

/// 2026-01-01.
pub(crate) const START: Duration = Duration::from_secs(1_767_225_600);

#[derive(Debug, Default)]
pub(crate) struct HandClock {
    micros: AtomicU64,
    /// Of the wall clock only.
    jump: AtomicU64,
}

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.micros.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    pub(crate) fn jump_wall(&self, by: Duration) {
        self.jump.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn wall(&self) -> SystemTime {
        let jump = Duration::from_micros(self.jump.load(Ordering::SeqCst));
        SystemTime::UNIX_EPOCH + START + self.monotonic() + jump
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }
}

pub(crate) fn key() -> SigningKey {
    SigningKey::parse(&[7; 32]).unwrap()
}

pub(crate) fn public() -> PublicKey {
    key().public_key()
}

pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::new(Some(dir));
    config.sign_key = Some(key());
    config.clock = Arc::new(HandClock::default());
    config.queue_bytes = 1 << 20;
    config
}

pub(crate) fn open(config: Config) -> (Audit, AuditWriter) {
    Audit::open(config).unwrap()
}

pub(crate) fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + START + Duration::from_secs(second)
}

pub(crate) fn call(tool: &str) -> Record<'_> {
    Record {
        tenant: Some("acme"),
        tool: Some(tool),
        args: Some(r#"{"a":1}"#),
        ..Record::new(Kind::Call, at(0), "http", "ok")
    }
}

/// Writes calls named by these numbers and closes.
pub(crate) fn filled(dir: &Path, numbers: std::ops::Range<u64>, change: impl FnOnce(&mut Config)) {
    let mut config = config(dir);
    change(&mut config);
    let (audit, writer) = open(config);
    for number in numbers {
        audit.record(&call(&number.to_string())).unwrap();
    }
    writer.close().unwrap();
}

pub(crate) fn options() -> VerifyOptions {
    VerifyOptions {
        keys: vec![public()],
        ..VerifyOptions::default()
    }
}

pub(crate) fn check(dir: &Path) -> Report {
    verify(dir, &options()).unwrap()
}

pub(crate) fn good(dir: &Path) -> Report {
    let report = check(dir);
    assert_eq!(report.first_bad.as_ref().map(Bad::to_string), None);
    report
}

pub(crate) fn entries(dir: &Path) -> Vec<Entry> {
    query(dir, Filter::default())
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// The numbers of the calls in the log.
pub(crate) fn calls(dir: &Path) -> Vec<u64> {
    let filter = Filter {
        kind: Some("call".into()),
        ..Filter::default()
    };
    query(dir, filter)
        .unwrap()
        .map(|entry| entry.unwrap().tool.unwrap().parse().unwrap())
        .collect()
}

pub(crate) fn kinds(dir: &Path) -> Vec<String> {
    entries(dir).into_iter().map(|entry| entry.kind).collect()
}

pub(crate) fn segments(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("audit-"))
        .collect();
    names.sort();
    names
}

/// What to fail, and what a crash may take.
#[derive(Default)]
pub(crate) struct Control {
    /// Bytes that may still be appended.
    pub(crate) space: Mutex<Option<u64>>,
    pub(crate) fail_sync: AtomicBool,
    pub(crate) read_only: AtomicBool,
    /// By file: durable length and length.
    files: Mutex<HashMap<String, (u64, u64)>>,
    /// Files in the order they were synced.
    pub(crate) syncs: AtomicU64,
    /// Held by the writer while it appends.
    pub(crate) gate: Mutex<()>,
}

impl Control {
    /// Lengths of the segments: durable, and written.
    pub(crate) fn lengths(&self) -> HashMap<String, (u64, u64)> {
        self.files.lock().unwrap().clone()
    }

    fn refuse(&self) -> io::Result<()> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }
}

pub(crate) struct Faulty {
    inner: Directory,
    control: Arc<Control>,
}

impl Faulty {
    pub(crate) fn new(dir: &Path, control: &Arc<Control>) -> Box<Self> {
        Box::new(Self {
            inner: Directory::open(dir).unwrap(),
            control: Arc::clone(control),
        })
    }
}

impl Storage for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.control.refuse()?;
        let file = self.inner.open(name)?;
        let length = self.inner.size(name)?;
        self.control
            .files
            .lock()
            .unwrap()
            .insert(name.to_owned(), (length, length));
        Ok(Box::new(FaultyFile {
            name: name.to_owned(),
            inner: file,
            control: Arc::clone(&self.control),
        }))
    }

    fn size(&self, name: &str) -> io::Result<u64> {
        self.inner.size(name)
    }

    fn read(&self, name: &str, from: u64) -> io::Result<Box<dyn Read>> {
        self.inner.read(name, from)
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.control.refuse()?;
        if self
            .control
            .space
            .lock()
            .unwrap()
            .is_some_and(|space| space < bytes.len() as u64)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.replace(name, bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.control.refuse()?;
        self.control.files.lock().unwrap().remove(name);
        self.inner.remove(name)
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.inner.sync_names()
    }
}

struct FaultyFile {
    name: String,
    inner: Box<dyn LogFile>,
    control: Arc<Control>,
}

impl FaultyFile {
    fn set(&self, change: impl FnOnce(&mut (u64, u64))) {
        let mut files = self.control.files.lock().unwrap();
        change(files.entry(self.name.clone()).or_default());
    }
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        drop(self.control.gate.lock().unwrap());
        self.control.refuse()?;
        let mut space = self.control.space.lock().unwrap();
        let fits = space.map_or(bytes.len(), |space| bytes.len().min(space as usize));
        if let Some(space) = space.as_mut() {
            *space -= fits as u64;
        }
        // A full disk takes what fits.
        self.inner.append(&bytes[..fits])?;
        self.set(|(_, length)| *length += fits as u64);
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.control.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("sync failed"));
        }
        self.inner.sync()?;
        self.control.syncs.fetch_add(1, Ordering::SeqCst);
        self.set(|(durable, length)| *durable = *length);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.control.refuse()?;
        self.inner.truncate(length)?;
        self.set(|(durable, old)| {
            *old = length;
            *durable = length.min(*durable);
        });
        Ok(())
    }
}

/// Copies a log as it would be found after a crash that keeps `keep(durable, length)` bytes of each segment.
pub(crate) fn crash(dir: &Path, control: &Control, to: &Path, mut keep: impl FnMut(u64, u64) -> u64) {
    fs::create_dir_all(to).unwrap();
    let lengths = control.lengths();
    for entry in fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        if let Some((durable, length)) = lengths.get(&name)
            && name.starts_with("audit-")
        {
            bytes.truncate(keep(*durable, *length) as usize);
        }
        fs::write(to.join(name), bytes).unwrap();
    }
}
