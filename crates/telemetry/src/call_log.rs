//! One line per call, written off the call path.
//!
//! The call path formats its line into a buffer under a short lock and goes on; a thread of its
//! own writes the buffer to its sink. If the sink is slower than the calls, lines beyond the
//! bound are dropped, counted, and the gap is marked in the log: calls are never slowed down by it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ferromcp_core::{CallRecord, Observer};

/// Bytes that may wait for the sink.
const MAX_PENDING: usize = 4 << 20;
/// How long lines may wait to be written together.
const BATCH: Duration = Duration::from_millis(20);
/// Longest name in a line, in characters: names come from callers.
const MAX_SHOWN: usize = 128;

/// Observer that writes one JSON line for each call:
/// `{"time","level","event":"call","request_id","door","tenant","principal","client"?,"method","name","source"?,"outcome","rule"?,"flagged"?,"latency_us","bytes_in","bytes_out"}`.
#[derive(Clone, Debug)]
pub struct CallLog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pending: Vec<u8>,
    dropped: u64,
    closed: bool,
}

/// Keeps the writing thread; flushes and ends it on drop.
#[derive(Debug)]
pub struct CallLogWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl CallLog {
    /// Starts the writing thread over a sink.
    pub fn start(sink: impl Write + Send + 'static) -> io::Result<(Self, CallLogWriter)> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("call-log".into())
            .spawn(move || write_all(&theirs, sink))?;
        Ok((
            Self {
                shared: Arc::clone(&shared),
            },
            CallLogWriter {
                shared,
                thread: Some(thread),
            },
        ))
    }
}

impl Observer for CallLog {
    fn call_ended(&self, record: &CallRecord<'_>) {
        let mut state = lock(&self.shared);
        if state.pending.len() > MAX_PENDING {
            state.dropped += 1;
            return;
        }
        let was_empty = state.pending.is_empty();
        line(&mut state.pending, record);
        drop(state);
        // The writer sleeps only while nothing is pending; waking it for every line would cost a
        // system call per call.
        if was_empty {
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for CallLogWriter {
    fn drop(&mut self) {
        lock(&self.shared).closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was already reported by the panic hook.
            let _ = thread.join();
        }
    }
}

fn write_all(shared: &Shared, mut sink: impl Write) {
    let mut batch = Vec::new();
    loop {
        let (dropped, closed) = {
            let mut state = lock(shared);
            while state.pending.is_empty() && !state.closed {
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.closed {
                // Let a batch gather; nobody waits for this thread.
                state = shared
                    .wake
                    .wait_timeout(state, BATCH)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            std::mem::swap(&mut batch, &mut state.pending);
            (std::mem::take(&mut state.dropped), state.closed)
        };
        if dropped > 0 {
            let text =
                format!("{{\"level\":\"warn\",\"event\":\"call_log_overflow\",\"dropped\":{dropped}}}\n");
            batch.extend_from_slice(text.as_bytes());
        }
        // A closed or full standard error must not end the server; the next batch tries again.
        let _ = sink.write_all(&batch).and_then(|()| sink.flush());
        batch.clear();
        if closed && lock(shared).pending.is_empty() {
            return;
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of every line, with the places that are filled in.
const HEAD: [u8; 115] =
    *b"{\"time\":\"0000-00-00T00:00:00.000000Z\",\"level\":\"info\",\"event\":\"call\",\"request_id\":\"00000000000000000000000000000000\"";
const TIME_AT: usize = 9;
const ID_AT: usize = 82;

/// Pieces are as long as can be: each costs a call, whatever its length.
fn line(out: &mut Vec<u8>, record: &CallRecord<'_>) {
    let mut head = HEAD;
    timestamp(&mut head[TIME_AT..TIME_AT + 27], record.time);
    head[ID_AT..ID_AT + 32].copy_from_slice(&record.request_id.to_hex());
    out.extend_from_slice(&head);
    word(out, b",\"door\":\"", record.door.as_str());
    if let Some(principal) = record.principal {
        text(out, b",\"tenant\":", &principal.tenant);
        text(out, b",\"principal\":", &principal.name);
    }
    if let Some(client) = record.client {
        text(out, b",\"client\":", client);
    }
    word(out, b",\"method\":\"", record.operation.method());
    text(out, b",\"name\":", record.name);
    if let Some(source) = record.source {
        text(out, b",\"source\":", source);
    }
    word(out, b",\"outcome\":\"", record.ending.as_str());
    if let Some(rule) = record.rule {
        word(out, b",\"rule\":\"", rule);
    }
    if let Some(flagged) = record.flagged {
        word(out, b",\"flagged\":\"", flagged);
    }
    let latency = u64::try_from(record.latency.as_micros()).unwrap_or(u64::MAX);
    number(out, b",\"latency_us\":", latency);
    number(out, b",\"bytes_in\":", record.bytes_in as u64);
    number(out, b",\"bytes_out\":", record.bytes_out as u64);
    out.extend_from_slice(b"}\n");
}

/// Bytes that stand for themselves in a JSON string, of those that names are made of.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut b = 0u8;
    while b < 128 {
        plain[b as usize] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/' | b'.' | b' ' | b':');
        b += 1;
    }
    plain
};

/// A member whose value is a word of our own: nothing in it needs an escape. `opening` ends in a quote.
#[inline]
fn word(out: &mut Vec<u8>, opening: &'static [u8], value: &'static str) {
    out.extend_from_slice(opening);
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// A member with a string value, cut where it is long: names come from callers.
fn text(out: &mut Vec<u8>, opening: &'static [u8], value: &str) {
    out.extend_from_slice(opening);
    if value.len() <= MAX_SHOWN && value.bytes().all(|b| PLAIN[b as usize]) {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
        return;
    }
    let end = value
        .char_indices()
        .nth(MAX_SHOWN)
        .map_or(value.len(), |(i, _)| i);
    // Writing a str to a Vec cannot fail.
    let _ = serde_json::to_writer(out, &value[..end]);
}

#[inline]
fn number(out: &mut Vec<u8>, opening: &'static [u8], value: u64) {
    out.extend_from_slice(opening);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// RFC 3339 in UTC with microseconds, into 27 bytes. By hand: formatting it costs more than the rest of the line.
fn timestamp(place: &mut [u8], time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    digits(&mut place[0..4], year);
    digits(&mut place[5..7], month);
    digits(&mut place[8..10], day);
    digits(&mut place[11..13], rest / 3600);
    digits(&mut place[14..16], rest / 60 % 60);
    digits(&mut place[17..19], rest % 60);
    digits(&mut place[20..26], u64::from(since.subsec_micros()));
}

/// Fills `place` with the last decimal digits of a number.
fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Days since 1970-01-01 to a date of the Gregorian calendar, counting in eras of 400 years that
/// begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
