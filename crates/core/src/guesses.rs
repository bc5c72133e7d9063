//! How many keys and tokens that are nobody's one address may show.
//!
//! What refuses a guess is its 256 random bits, not this. This keeps whoever guesses all the same from taking the time of
//! others and from filling the audit log. An address (of IPv6, its /64) that has used up what it may get wrong is told to
//! wait before what it shows is looked at. A key that was good from there a while ago is looked at all the same: many may
//! sit behind one address, and one of them must not lock the others out.
//!
//! Memory is bounded: a table of addresses that forgets the ones idle the longest, and one of marks of what was good. Each
//! is allocated when the first wrong or good credential is shown.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ferromcp_limits::{ClientKey, Clients, Nanos, Rate};

use crate::error::{CallError, Challenge, ErrorCode};

/// Addresses that are remembered while they are busy guessing.
const ADDRESSES: usize = 8_192;
/// Good credentials that are remembered, a power of two.
const GOOD: usize = 4_096;
/// Bytes at the end of a credential that tell it from others: of a key or a signature, all of them random.
const TAIL: usize = 16;
/// The log tells of it this often at most.
const LOG: Duration = Duration::from_secs(60);

/// What is told instead of looking at a key or token that is shown too early.
pub fn refusal(wait: Duration) -> CallError {
    let text = "too many keys or tokens from this address were wrong, so this one was not looked at; correct it, and retry later";
    CallError::new(ErrorCode::RateLimited, text)
        .with_rule("auth.guesses")
        .with_retry_after(wait)
}

/// Counts guesses by address.
#[derive(Debug)]
pub struct Guesses {
    rate: Rate,
    addresses: LazyLock<Clients>,
    good: LazyLock<Box<[AtomicU64]>>,
    started: Instant,
    /// The time before which no address can be out of guesses; then a request need not look.
    calm_from: AtomicU64,
    /// The time of the next line in the log.
    log_from: AtomicU64,
}

/// A credential, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    from: IpAddr,
    mark: u64,
}

impl Guesses {
    /// `rate`: how many one address may show in what time.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            addresses: LazyLock::new(|| Clients::new(ADDRESSES)),
            good: LazyLock::new(|| (0..GOOD).map(|_| AtomicU64::new(0)).collect()),
            started: Instant::now(),
            calm_from: AtomicU64::new(0),
            log_from: AtomicU64::new(0),
        }
    }

    /// A key or token as sent, and where from.
    pub fn shown(&self, from: IpAddr, text: &[u8]) -> Shown {
        let from = network(from);
        Shown {
            from,
            mark: mark(from, text),
        }
    }

    /// How long the address has to wait before this is looked at; `None` if it is looked at now.
    pub fn wait(&self, shown: Shown) -> Option<Duration> {
        self.wait_at(shown, self.now())
    }

    fn wait_at(&self, shown: Shown, now: Nanos) -> Option<Duration> {
        if now.get() >= self.calm_from.load(Ordering::Relaxed) || self.is_good(shown.mark) {
            return None;
        }
        let reading = self.addresses.peek(self.key(shown.from), &self.rate, now);
        (!reading.allowed()).then(|| reading.retry_after())
    }

    /// What came of it: whether the answer is one that only comes after the credential was found good, and what its caller is
    /// asked for.
    pub fn learn(&self, shown: Shown, good: bool, asked: Option<&Challenge>) {
        match asked {
            Some(Challenge::Unknown) => self.wrong_at(shown.from, self.now()),
            Some(_) => {}
            None if good => self.good[slot(shown.mark)].store(shown.mark, Ordering::Relaxed),
            None => {}
        }
    }

    fn wrong_at(&self, from: IpAddr, now: Nanos) {
        let reading = self.addresses.take(self.key(from), &self.rate, now);
        let calm = now.after(reading.reset_after());
        self.calm_from.fetch_max(calm.get(), Ordering::Relaxed);
        if reading.remaining() > 0 {
            return;
        }
        let from_then = self.log_from.load(Ordering::Relaxed);
        let next = now.after(LOG).get();
        let ours = now.get() >= from_then
            && self
                .log_from
                .compare_exchange(from_then, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if ours {
            tracing::warn!(address = %from, rate = %self.rate, "too many wrong keys or tokens from one address (auth.guesses); further ones are refused unseen");
        }
    }

    fn is_good(&self, mark: u64) -> bool {
        self.good[slot(mark)].load(Ordering::Relaxed) == mark
    }

    fn key(&self, from: IpAddr) -> ClientKey {
        match from {
            IpAddr::V4(address) => self.addresses.key("", &address.octets()),
            IpAddr::V6(address) => self.addresses.key("", &address.octets()),
        }
    }

    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The address by which somebody is counted. Who has one IPv6 address has the whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        },
    }
}

/// Tells credentials of addresses apart, and tells nothing about them. Two that share one only means that the second is
/// looked at.
fn mark(from: IpAddr, text: &[u8]) -> u64 {
    let mut tail = [0; TAIL];
    let end = &text[text.len().saturating_sub(TAIL)..];
    tail[..end.len()].copy_from_slice(end);
    let from = match from {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let fold = |a: u128, odd: u128| {
        let product = a.wrapping_mul(odd);
        product ^ product >> 64
    };
    let mixed = fold(
        u128::from_le_bytes(tail),
        0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835,
    );
    let mixed = fold(
        mixed ^ from ^ text.len() as u128,
        0xD1B5_4A32_D192_ED03_AEF1_7502_B3F4_A9E5,
    );
    (mixed as u64).max(1)
}

fn slot(mark: u64) -> usize {
    (mark >> 40) as usize % GOOD
}

#[cfg(test)]
mod tests;
