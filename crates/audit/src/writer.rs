//! The thread that writes: it takes what the calls left, gives it numbers, chains it, and sees to
//! it that it becomes durable.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::Unavailable;
use crate::handover::{Away, Reopen};
use crate::journal::Journal;
use crate::log::{Log, LogLimits};
use crate::queue::Queue;
use crate::recent::{Batch, Recent};
use crate::record::{Copied, Kind, LineKind, Prepared, Record};
use crate::sink::{Sink, Tap};
use crate::text;

/// Lines that may wait to become durable, in bytes; more are only taken after a commit.
pub(crate) const MAX_WAITING: usize = 8 << 20;
/// After it found records, the writer lets this time pass before it looks for more, unless somebody waits or the queue
/// fills up: being woken for each record would cost more than writing it.
const GATHER: Duration = Duration::from_millis(2);
/// The writer looks at ages at least this often.
const LOOK: Duration = Duration::from_secs(60);

pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    recent: Arc<Recent>,
    pub(crate) log: Log,
    sink: Option<Sink>,
    taps: Vec<Box<dyn Tap>>,
    /// Calls that began and have not ended.
    pub(crate) open: Journal,
    clock: Arc<dyn Clock>,
    limits: LogLimits,
    batch: Batch,
    /// By shard: an empty buffer, to be put in place of the one that fills.
    spares: Vec<Vec<u8>>,
    /// By shard: how many records are in `log`.
    taken: Vec<u64>,
    /// Wall time at the start, and the monotonic time then: ages count from there.
    start: (u64, Duration),
    pub(crate) now: Now,
    pub(crate) failing: Option<Failing>,
    /// Set while another process has the files.
    pub(crate) away: Option<Away>,
    pub(crate) reopen: Option<Reopen>,
    /// Since when something waits to be committed, and to be signed.
    uncommitted: Option<Duration>,
    unsigned: Option<Duration>,
}

#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall_us: u64,
    monotonic: Duration,
    age_us: u64,
}

pub(crate) struct Failing {
    retry_at: Duration,
    pub(crate) reason: String,
}

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        recent: Arc<Recent>,
        log: Log,
        clock: Arc<dyn Clock>,
        limits: LogLimits,
    ) -> Self {
        let start = (text::micros(clock.wall()), clock.monotonic());
        Self {
            taken: vec![0; queue.shards()],
            spares: (0..queue.shards())
                .map(|_| Vec::with_capacity(queue.capacity()))
                .collect(),
            queue,
            recent,
            log,
            sink: None,
            taps: Vec::new(),
            open: Journal::default(),
            limits,
            batch: Batch::default(),
            start,
            now: Now {
                wall_us: start.0,
                monotonic: start.1,
                age_us: start.0,
            },
            clock,
            failing: None,
            away: None,
            reopen: None,
            uncommitted: None,
            unsigned: None,
        }
    }

    pub(crate) fn set_sink(&mut self, sink: Sink) {
        self.sink = Some(sink);
    }

    pub(crate) fn set_taps(&mut self, taps: Vec<Box<dyn Tap>>) {
        self.taps = taps;
    }

    /// The first records of this run, durable: what was cut, and which calls began before it and have no end.
    pub(crate) fn begin(&mut self, cut: Option<(u64, String)>, interrupted: &Journal) -> io::Result<()> {
        if let Some((bytes, note)) = cut {
            self.own(LineKind::Recovery, bytes, &note);
        }
        self.own(LineKind::Start, 0, "ferromcp-audit v1");
        self.tell_interrupted(interrupted);
        self.log.checkpoint(self.now.wall_us, "open");
        self.log.set_time(self.now.wall_us);
        self.log.sync()?;
        self.committed();
        self.show();
        Ok(())
    }

    /// Works until the queue is closed.
    pub(crate) fn run(mut self) -> Result<(), Unavailable> {
        // Also when this thread panics, nobody may wait for it any more.
        let _finished = Finished(Arc::clone(&self.queue));
        self.queue.set_writer(std::thread::current());
        loop {
            let closing = self.queue.is_closing();
            let urgent = self.queue.take_urgent();
            self.look_at_clock();
            self.obey();
            let found = match self.away {
                Some(_) => self.forward(),
                None => {
                    let found = self.drain();
                    self.tick(urgent || closing);
                    found
                }
            };
            self.show();
            if closing {
                return self.finish();
            }
            if found && self.failing.is_none() && !self.queue.is_urgent() && !self.queue.is_closing() {
                std::thread::park_timeout(GATHER.min(self.limits.commit_delay));
            } else {
                self.rest();
            }
        }
    }

    fn look_at_clock(&mut self) {
        let monotonic = self.clock.monotonic();
        let passed = monotonic.saturating_sub(self.start.1);
        self.now = Now {
            wall_us: text::micros(self.clock.wall()),
            monotonic,
            age_us: self
                .start
                .0
                .saturating_add(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX)),
        };
    }

    fn since(&self, moment: Duration) -> Duration {
        self.now.monotonic.saturating_sub(moment)
    }

    pub(crate) fn may_try(&self) -> bool {
        self.failing
            .as_ref()
            .is_none_or(|failing| self.now.monotonic >= failing.retry_at)
    }

    /// Takes what waits; whether there was anything. Records of different threads are put in the order in which their calls
    /// ended.
    pub(crate) fn drain(&mut self) -> bool {
        if self.log.waiting() >= MAX_WAITING {
            if self.may_try() {
                self.commit();
            }
            if self.log.waiting() >= MAX_WAITING {
                return false;
            }
        }
        let before = self.log.chain.seq;
        let dropped = self.collect(Self::append);
        if dropped > 0 {
            tracing::warn!(dropped, "audit records found no room and are lost");
            self.own(LineKind::Dropped, dropped, "the queue was full");
        }
        self.log.chain.seq > before
    }

    /// Takes what waits, in the order in which calls ended; returns how many records found no room.
    pub(crate) fn collect(&mut self, mut put: impl FnMut(&mut Self, &Copied<'_>)) -> u64 {
        let mut dropped = 0;
        let mut spares = std::mem::take(&mut self.spares);
        for (index, spare) in spares.iter_mut().enumerate() {
            let (taken, lost) = self.queue.take(index, spare);
            dropped += lost;
            self.taken[index] = taken;
        }
        let mut rests: Vec<&[u8]> = spares.iter().map(Vec::as_slice).collect();
        loop {
            rests.retain(|rest| !rest.is_empty());
            let firsts = rests.iter().map(|rest| Copied::split(rest)).enumerate();
            let next = firsts
                .filter_map(|(at, first)| first.map(|(record, behind)| (at, record, behind)))
                .min_by_key(|(_, record, _)| record.ended_us());
            let Some((at, record, behind)) = next else { break };
            put(self, &record);
            rests[at] = behind;
        }
        spares.iter_mut().for_each(Vec::clear);
        self.spares = spares;
        dropped
    }

    pub(crate) fn append(&mut self, record: &Copied<'_>) {
        let digest = self.log.append(record);
        let seq = self.log.chain.seq;
        match record.kind() {
            // The ring is of what has ended.
            LineKind::Begin => {
                let mut kept = Vec::new();
                record.keep(&mut kept, digest.as_ref());
                self.open.begin(record.id(), &kept);
            }
            kind => {
                if kind == LineKind::Call && !self.open.is_empty() {
                    self.open.end(&record.id());
                }
                self.recent.add(&mut self.batch, seq, record, digest.as_ref());
            }
        }
        self.uncommitted.get_or_insert(self.now.monotonic);
        if self.log.unsigned() >= u64::from(self.limits.checkpoint_records) {
            self.log.checkpoint(self.now.wall_us, "count");
        }
        if self.failing.is_none() && self.log.is_rotation_due(self.now.age_us) {
            self.rotate();
        }
    }

    /// One of the log's own records.
    pub(crate) fn own(&mut self, kind: LineKind, count: u64, note: &str) {
        let record = Record {
            note: Some(note),
            ..Record::new(Kind::Marker, text::from_micros(self.now.wall_us), "audit", "ok")
        };
        self.own_record(kind, count, &record);
    }

    fn own_record(&mut self, kind: LineKind, count: u64, record: &Record<'_>) {
        let mut bytes = Vec::new();
        Prepared::own(record, kind, count, self.queue.rule).copy(&mut bytes);
        if let Some((record, _)) = Copied::split(&bytes) {
            self.append(&record);
        }
    }

    /// One record for each call of which nobody can say whether it ran.
    fn tell_interrupted(&mut self, interrupted: &Journal) {
        let mut told = 0u64;
        for call in interrupted.entries() {
            let began = text::time_string(call.time);
            let note = format!("it began at {began} and the server ended before it did: it may have run");
            let id = |hex: &Option<String>| hex.as_ref().and_then(|hex| text::unhex::<16>(hex.as_bytes()));
            let record = Record {
                request_id: id(&call.request_id).unwrap_or_default(),
                trace_id: id(&call.trace_id),
                tenant: call.tenant.as_deref(),
                principal: call.principal.as_deref(),
                client: call.client.as_deref(),
                method: call.method.as_deref(),
                tool: call.tool.as_deref(),
                source: call.source.as_deref(),
                note: Some(&note),
                ..Record::new(
                    Kind::Marker,
                    text::from_micros(self.now.wall_us),
                    call.door.as_deref().unwrap_or("audit"),
                    "interrupted",
                )
            };
            self.own_record(LineKind::Interrupted, 0, &record);
            told += 1;
        }
        if interrupted.beyond > 0 {
            let note = "so many calls more began and have no end: they may have run";
            self.own(LineKind::Interrupted, interrupted.beyond, note);
        }
        if told > 0 {
            let calls = told + interrupted.beyond;
            tracing::warn!(
                calls,
                "calls were running when the server ended: they may have run; see kind `interrupted` in the audit log"
            );
        }
    }

    fn rotate(&mut self) {
        self.log.set_time(self.now.wall_us);
        if let Err(error) = self.log.rotate(self.now.wall_us, self.now.age_us) {
            self.fail(&error);
            return;
        }
        // Whoever opens the log after a crash looks for calls without an end in the last two segments only.
        for call in self.open.records() {
            if let Some((record, _)) = Copied::split(call) {
                self.log.carry(&record);
            }
        }
        if !self.open.is_empty() {
            self.uncommitted.get_or_insert(self.now.monotonic);
        }
    }

    /// What is to be done now and then; `force` when somebody waits.
    fn tick(&mut self, force: bool) {
        if self.failing.is_some() {
            if !force && !self.may_try() {
                return;
            }
            self.commit();
            if self.failing.is_some() {
                return;
            }
        }
        if self.log.unsigned() == 0 {
            self.unsigned = None;
        } else if self
            .now
            .monotonic
            .saturating_sub(*self.unsigned.get_or_insert(self.now.monotonic))
            >= self.limits.checkpoint_interval
        {
            self.log.checkpoint(self.now.wall_us, "interval");
            self.uncommitted.get_or_insert(self.now.monotonic);
            self.unsigned = None;
        }
        if self.log.is_rotation_due(self.now.age_us) {
            self.rotate();
        }
        let due = self
            .uncommitted
            .is_some_and(|since| self.since(since) >= self.limits.commit_delay);
        if self.failing.is_none() {
            if force || due {
                self.commit();
            } else if let Err(error) = self.log.write() {
                self.fail(&error);
            }
        } else if force {
            // The rotation failed: that was the attempt that somebody waits for.
            self.queue.attempted();
        }
        if self.failing.is_none() {
            self.retain();
        }
    }

    fn retain(&mut self) {
        // Saying so may itself close a segment: look again.
        while let Some((segments, through)) = self.log.let_go(self.now.age_us) {
            let note = format!("records through {through} are let go");
            self.own(LineKind::Retention, segments as u64, &note);
            self.log.checkpoint(self.now.wall_us, "retention");
            self.commit();
        }
        if self.failing.is_none()
            && let Err(error) = self.log.remove_doomed()
        {
            self.fail(&error);
        }
    }

    /// Makes everything durable, or begins to fail.
    pub(crate) fn commit(&mut self) {
        self.log.set_time(self.now.wall_us);
        let result = self.log.sync();
        self.committed();
        match result {
            Ok(()) => {
                if let Some(failing) = self.failing.take() {
                    self.queue.set_healthy();
                    tracing::info!(error = failing.reason, "the audit log can be written again");
                    self.own(LineKind::Resumed, 0, &failing.reason);
                }
            }
            Err(error) => self.fail(&error),
        }
        self.queue.attempted();
    }

    /// What was handed on is durable elsewhere.
    pub(crate) fn confirmed(&mut self) {
        for (index, taken) in self.taken.iter().enumerate() {
            self.queue.set_durable(index, *taken);
        }
        self.queue.attempted();
    }

    /// Says how far the log is durable.
    fn committed(&mut self) {
        if self.log.waiting() > 0 {
            return;
        }
        self.uncommitted = None;
        for (index, taken) in self.taken.iter().enumerate() {
            self.queue.set_durable(index, *taken);
        }
        let counts = &self.queue.counts;
        counts.durable.store(self.log.chain.seq, Ordering::Release);
    }

    pub(crate) fn fail(&mut self, error: &io::Error) {
        self.queue.counts.failures.fetch_add(1, Ordering::Relaxed);
        let reason = error.to_string();
        if self.failing.is_none() {
            tracing::error!(error = reason, "the audit log cannot be written");
        }
        self.queue.set_failing(reason.clone());
        self.failing = Some(Failing {
            retry_at: self.now.monotonic + self.limits.retry,
            reason,
        });
    }

    /// Shows what was taken: to the ring, the second output, the counters.
    pub(crate) fn show(&mut self) {
        self.recent.show(&mut self.batch);
        let (sink, taps, counts) = (self.sink.as_ref(), &mut self.taps, &self.queue.counts);
        self.log.tapped(|lines| {
            if let Some(sink) = sink {
                sink.push(lines);
            }
            for tap in taps.iter_mut().filter(|_| !lines.is_empty()) {
                counts.sink_dropped.fetch_add(tap.take(lines), Ordering::Relaxed);
            }
        });
        self.queue
            .counts
            .written
            .store(self.log.chain.seq, Ordering::Release);
    }

    /// Sleeps until there is something to do.
    fn rest(&self) {
        if self.queue.is_urgent() || self.queue.is_closing() {
            return;
        }
        let now = self.now.monotonic;
        let in_time = |since: Option<Duration>, delay: Duration| {
            since.map_or(LOOK, |since| (since + delay).saturating_sub(now))
        };
        let retry = self
            .failing
            .as_ref()
            .map(|failing| failing.retry_at.saturating_sub(now));
        let due = retry.unwrap_or_else(|| {
            in_time(self.uncommitted, self.limits.commit_delay)
                .min(in_time(self.unsigned, self.limits.checkpoint_interval))
        });
        let stuck = self.failing.is_some() && self.log.waiting() >= MAX_WAITING;
        if !stuck && !self.queue.is_empty() {
            std::thread::park_timeout(due.min(self.limits.commit_delay));
            return;
        }
        self.queue.set_sleeping(!stuck);
        // Whoever leaves a record from here on sees that the writer sleeps.
        if (stuck || self.queue.is_empty()) && !self.queue.is_urgent() {
            std::thread::park_timeout(due.min(LOOK));
        }
        self.queue.set_sleeping(false);
    }

    /// Ends the log in order.
    fn finish(mut self) -> Result<(), Unavailable> {
        if self.away.is_some() {
            self.forward();
        }
        match &self.away {
            // It goes on elsewhere.
            Some(away) if away.is_delivered() => return Ok(()),
            // The process that had it is gone, and the files cannot be opened yet.
            Some(_) => self.come_back()?,
            None => {}
        }
        if self.failing.is_some() {
            // What is in the queue still had no room; one attempt with all of it.
            self.drain();
        }
        self.log.checkpoint(self.now.wall_us, "close");
        self.commit();
        self.show();
        match self.failing.take() {
            None => Ok(()),
            Some(failing) => {
                let durable = self.queue.counts.durable.load(Ordering::Acquire);
                let lost = self.log.chain.seq.saturating_sub(durable);
                tracing::error!(
                    lost,
                    error = failing.reason,
                    "the audit log ends with records not written"
                );
                Err(Unavailable {
                    reason: format!("{} records were not written: {}", lost, failing.reason),
                })
            }
        }
    }
}

struct Finished(Arc<Queue>);

impl Drop for Finished {
    fn drop(&mut self) {
        self.0.finished();
    }
}
