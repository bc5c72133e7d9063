//! The workers behind one upstream server, as calls see them: which one to take, and whether more are worth having.
//!
//! Each worker is a *seat*: a place for one child process or session after another. Calls take a [`Lease`] on the ready
//! seat with the fewest calls. Nothing here starts or stops anything; that is the driver's business, which is told what is
//! wanted.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::session::Session;
use crate::sharing::{Key, Sharing};

#[cfg(test)]
mod tests;

/// Whether a worker can be called now.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// An attempt is under way. Calls wait for its end if `hopeful`: it is the first, or the first after a failure.
    Starting { hopeful: bool, last: Arc<str> },
    /// It answers.
    Ready(Arc<Session>),
    /// It does not answer.
    Down {
        reason: Arc<str>,
        /// When the next attempt is made; `None` if none will be.
        retry_at: Option<Instant>,
        /// It keeps failing.
        looping: bool,
    },
}

/// `in_flight` of a seat that takes no more calls.
const CLOSED: usize = usize::MAX / 2;

/// A place for one worker.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Counted from 1 within its pool.
    pub(crate) id: u32,
    /// Whose calls it takes, where not everybody shares it. Without a key it then only lists, and takes no calls.
    pub(crate) key: Option<Key>,
    phase: ArcSwap<Phase>,
    in_flight: AtomicUsize,
    /// Something came from it since the driver looked last.
    heard: AtomicBool,
    /// Its worker takes no more input; the driver is to end it.
    broken: AtomicBool,
    /// How often it was started.
    pub(crate) starts: AtomicU64,
    /// When its last call ended.
    idle_since: Mutex<Instant>,
    /// Rings when this seat becomes the one that lists.
    pub(crate) leads: Notify,
}

impl Seat {
    pub(crate) fn new(id: u32, key: Option<Key>) -> Self {
        Self {
            id,
            key,
            phase: ArcSwap::from_pointee(Phase::Starting {
                hopeful: true,
                last: "".into(),
            }),
            in_flight: AtomicUsize::new(0),
            heard: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            starts: AtomicU64::new(0),
            idle_since: Mutex::new(Instant::now()),
            leads: Notify::new(),
        }
    }

    pub(crate) fn phase(&self) -> Arc<Phase> {
        self.phase.load_full()
    }

    pub(crate) fn in_flight(&self) -> usize {
        let calls = self.in_flight.load(Ordering::Acquire);
        if calls >= CLOSED { 0 } else { calls }
    }

    pub(crate) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn take_broken(&self) -> bool {
        self.broken.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(&**self.phase.load(), Phase::Ready(_))
    }

    /// When it will have been without a call for `idle`; `None` while it has one.
    pub(crate) fn idle_at(&self, idle: Duration) -> Option<Instant> {
        if self.in_flight.load(Ordering::Acquire) > 0 {
            return None;
        }
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.checked_add(idle)
    }

    /// Idle from now on, if it has no call.
    pub(crate) fn touch(&self) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Takes no more calls from now on. False if it has one.
    pub(crate) fn close(&self) -> bool {
        self.in_flight
            .compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// One more call; only a first one if `idle`.
    fn enter(&self, idle: bool) -> bool {
        let more = |calls: usize| (calls < CLOSED && (calls == 0 || !idle)).then_some(calls + 1);
        self.in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }
}

/// A call's hold on a worker. While it lives the worker is not taken out of the pool.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) session: Arc<Session>,
    seat: Arc<Seat>,
    pool: Arc<Pool>,
}

impl Lease {
    /// The same worker once more.
    pub(crate) fn again(&self) -> Self {
        self.seat.in_flight.fetch_add(1, Ordering::AcqRel);
        self.pool.lend(Arc::clone(&self.seat), Arc::clone(&self.session))
    }

    /// Nothing could be sent to the worker. Its end may not have been noticed, or may not come by itself.
    pub(crate) fn broken(&self) {
        let still =
            matches!(&**self.seat.phase.load(), Phase::Ready(session) if Arc::ptr_eq(session, &self.session));
        if still {
            self.seat.broken.store(true, Ordering::Release);
            self.pool.wanted.notify_one();
        }
    }

    /// The worker answered, whatever it said.
    pub(crate) fn heard(&self) {
        self.seat.heard.store(true, Ordering::Relaxed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.pool.is_one() {
            self.seat.in_flight.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        // Before the count: whoever sees zero must see since when.
        self.seat.touch();
        self.seat.in_flight.fetch_sub(1, Ordering::AcqRel);
        if self.pool.waiting.load(Ordering::Acquire) > 0 {
            self.pool.changed.send_replace(());
        }
    }
}

/// How many workers there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// Kept running, also without calls. Default 1, at least 1.
    pub min: usize,
    /// Most workers. Default 1; never below `min`.
    pub max: usize,
    /// A worker beyond `min` that had no call for this long is ended. Default 5 min.
    pub idle: Duration,
    /// Whose calls may share a worker. Unless all may, one worker lists and takes no calls, each caller has one of its own as
    /// long as it calls, and `max` (then at least 2) counts all of them.
    pub per: Sharing,
}

impl Default for PoolSize {
    fn default() -> Self {
        Self {
            min: 1,
            max: 1,
            idle: Duration::from_secs(300),
            per: Sharing::All,
        }
    }
}

/// All seats of one server, or of one tenant's share of it.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) size: PoolSize,
    seats: ArcSwap<Vec<Arc<Seat>>>,
    changed: watch::Sender<()>,
    /// Calls that wait for a free worker.
    waiting: AtomicUsize,
    /// The seat that lists and subscribes; 0 for none.
    lead: AtomicU32,
    /// What all child processes together may take; `None` if these are none.
    room: Option<Arc<Semaphore>>,
    /// A call wants a worker that is down, or one more.
    pub(crate) wanted: Notify,
    /// Whose calls found no worker of their own since the driver looked last. Each is of a call that waits.
    hungry: Mutex<Vec<Key>>,
}

/// What becomes of a call that wants a worker.
#[derive(Debug)]
enum Pick {
    Take(Arc<Seat>, Arc<Session>),
    /// Until something changes.
    Wait,
    /// There is none, and there will be none soon enough.
    Down {
        reason: Arc<str>,
        retry_at: Option<Instant>,
    },
}

/// What a caller puts up with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Waits for a start, not for a restart after a failure.
    Start,
    /// Waits for a restart too. The caller bounds the time.
    Restart,
}

impl Pool {
    pub(crate) fn new(size: PoolSize, room: Option<Arc<Semaphore>>) -> Self {
        let shared = size.per == Sharing::All;
        Self {
            size: PoolSize {
                min: if shared { size.min } else { 1 },
                max: size.max.max(size.min).max(if shared { 1 } else { 2 }),
                ..size
            },
            seats: ArcSwap::default(),
            changed: watch::Sender::new(()),
            waiting: AtomicUsize::new(0),
            lead: AtomicU32::new(0),
            room,
            wanted: Notify::new(),
            hungry: Mutex::default(),
        }
    }

    /// Whether this session is the one of a worker that can be called now.
    pub(crate) fn is_served_by(&self, session: &Arc<Session>) -> bool {
        let seats = self.seats.load();
        seats
            .iter()
            .any(|seat| matches!(&**seat.phase.load(), Phase::Ready(now) if Arc::ptr_eq(now, session)))
    }

    /// Never more than one worker, so there is nothing to choose.
    fn is_one(&self) -> bool {
        self.size.max == 1
    }

    pub(crate) fn seats(&self) -> Arc<Vec<Arc<Seat>>> {
        self.seats.load_full()
    }

    pub(crate) fn set_seats(&self, seats: Vec<Arc<Seat>>) {
        self.seats.store(Arc::new(seats));
        self.changed.send_replace(());
    }

    pub(crate) fn set_phase(&self, seat: &Seat, phase: Phase) {
        seat.phase.store(Arc::new(phase));
        self.changed.send_replace(());
    }

    /// Whether one more worker may be started.
    pub(crate) fn has_room(&self) -> bool {
        self.room.as_ref().is_none_or(|room| room.available_permits() > 0)
    }

    /// Has everybody who waits look again.
    pub(crate) fn poke(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn lead(&self) -> u32 {
        self.lead.load(Ordering::Acquire)
    }

    pub(crate) fn set_lead(&self, seat: u32) {
        self.lead.store(seat, Ordering::Release);
    }

    /// Calls that wait for a free worker.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// A worker for a call: an idle one; or a new one, if there may be more; or the one with the fewest calls. `lost`: a
    /// session that is of no use any more, whatever its phase says. The error is why there is none, and when to retry.
    /// `key`: whose call it is, where callers do not share workers.
    pub(crate) async fn lease(
        self: &Arc<Self>,
        patience: Patience,
        lost: Option<&Arc<Session>>,
        key: Option<&Key>,
    ) -> Result<Lease, (Arc<str>, Option<Instant>)> {
        if let Pick::Take(seat, session) = self.pick(patience, lost, key) {
            return Ok(self.lend(seat, session));
        }
        let mut changed = self.changed.subscribe();
        let _waiting = Waiting::new(&self.waiting);
        loop {
            changed.mark_unchanged();
            match self.pick(patience, lost, key) {
                Pick::Take(seat, session) => return Ok(self.lend(seat, session)),
                Pick::Wait => {
                    if let Some(key) = key {
                        self.want(key);
                    }
                    self.wanted.notify_one();
                }
                Pick::Down { reason, retry_at } => {
                    if retry_at.is_some_and(|at| at <= Instant::now()) {
                        self.wanted.notify_one();
                    }
                    return Err((reason, retry_at));
                }
            }
            let _ = changed.changed().await;
        }
    }

    fn lend(self: &Arc<Self>, seat: Arc<Seat>, session: Arc<Session>) -> Lease {
        Lease {
            session,
            seat,
            pool: Arc::clone(self),
        }
    }

    fn want(&self, key: &Key) {
        let mut hungry = self.hungry.lock().unwrap_or_else(PoisonError::into_inner);
        if !hungry.contains(key) {
            hungry.push(Arc::clone(key));
        }
    }

    /// Whose calls wait and had no worker when they looked last. Who is not helped says so again at the next change.
    pub(crate) fn take_hungry(&self) -> Vec<Key> {
        std::mem::take(&mut *self.hungry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pick(&self, patience: Patience, lost: Option<&Arc<Session>>, key: Option<&Key>) -> Pick {
        let seats = self.seats.load();
        let mut best: Option<(usize, &Arc<Seat>, Arc<Session>)> = None;
        let (mut starting, mut down) = (false, None);
        for seat in seats.iter() {
            let calls = seat.in_flight.load(Ordering::Acquire);
            match &**seat.phase.load() {
                _ if calls >= CLOSED || seat.key.as_ref() != key => {}
                Phase::Ready(session) if lost.is_some_and(|lost| Arc::ptr_eq(lost, session)) => {
                    // Its end is about to be noticed.
                    starting |= matches!(patience, Patience::Restart);
                }
                Phase::Ready(session) => {
                    if best.as_ref().is_none_or(|(fewest, ..)| calls < *fewest) {
                        best = Some((calls, seat, Arc::clone(session)));
                    }
                }
                Phase::Starting { hopeful, last } => {
                    if *hopeful || matches!(patience, Patience::Restart) {
                        starting = true;
                    } else {
                        let soon = Instant::now() + Duration::from_secs(1);
                        down = down.or(Some((Arc::clone(last), Some(soon))));
                    }
                }
                Phase::Down { reason, retry_at, .. } => {
                    if matches!(patience, Patience::Restart) && retry_at.is_some() {
                        starting = true;
                    }
                    down = down.or(Some((Arc::clone(reason), *retry_at)));
                }
            }
        }
        let Some((calls, seat, session)) = best else {
            return match down {
                Some((reason, retry_at)) if !starting => Pick::Down { reason, retry_at },
                _ => Pick::Wait,
            };
        };
        // The caller's own worker takes all its calls.
        let share = self.is_one()
            || key.is_some()
            || calls > 0 && !starting && !self.can_grow(seats.len(), down.is_some());
        if seat.enter(!share) {
            return Pick::Take(Arc::clone(seat), session);
        }
        // Another call was quicker, or all are busy and one more is on its way. If it was quicker, a look again decides.
        if calls == 0 && !share {
            self.changed.send_replace(());
        }
        Pick::Wait
    }

    /// One that is down would be joined by another that is down.
    fn can_grow(&self, seats: usize, any_down: bool) -> bool {
        seats < self.size.max && !any_down && self.has_room()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
