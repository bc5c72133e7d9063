use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;
use std::thread;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::rate::RateError;

const SECOND: u64 = 1_000_000_000;

fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}

/// A token bucket, told in another way than GCRA: it fills by one nanosecond per nanosecond.
struct Model {
    tokens: u128,
    at: u64,
}

impl Model {
    fn take(&mut self, rate: &Rate, now: u64) -> bool {
        let full = u128::from(rate.tolerance());
        self.tokens = full.min(self.tokens + u128::from(now.saturating_sub(self.at)));
        self.at = self.at.max(now);
        let cost = u128::from(rate.interval_nanos());
        if self.tokens < cost {
            return false;
        }
        self.tokens -= cost;
        true
    }
}

fn rates() -> impl Strategy<Value = Rate> {
    (1u32..2_000, 1u64..100_000, 1u32..500).prop_map(|(count, millis, burst)| {
        let period = Duration::from_millis(millis.max(u64::from(count) / 1_000 + 1));
        Rate::new(count, period, burst).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decides_as_a_token_bucket(rate in rates(), steps in prop::collection::vec(0.0f64..3.0, 1..400)) {
        let gcra = Gcra::new();
        let mut now = 7 * SECOND;
        let mut model = Model { tokens: u128::from(rate.tolerance()), at: now };
        for step in steps {
            // Squared twice: many short steps, some of the length of several intervals.
            now += (step.powi(4) * rate.interval_nanos() as f64) as u64;
            let at = Nanos::new(now);
            let before = gcra.peek(&rate, at);
            let reading = gcra.take(&rate, at);
            prop_assert_eq!(reading.allowed(), before.allowed());
            prop_assert_eq!(reading.allowed(), model.take(&rate, now));
            let left = if reading.allowed() { model.tokens / u128::from(rate.interval_nanos()) } else { 0 };
            prop_assert_eq!(u128::from(reading.remaining()), left);
            prop_assert_eq!(reading.reset_after().as_nanos(), u128::from(rate.tolerance()) - model.tokens);
            let wait = reading.retry_after();
            if !reading.allowed() {
                prop_assert!(wait > Duration::ZERO);
                prop_assert!(gcra.peek(&rate, at.after(wait)).allowed());
                prop_assert!(!gcra.peek(&rate, at.after(wait - Duration::from_nanos(1))).allowed());
            }
        }
    }

    #[test]
    fn no_time_and_no_order_of_times_gives_more_than_time_does(
        rate in rates(),
        times in prop::collection::vec(any::<u64>(), 1..200),
    ) {
        // Whatever the clock does, what passes is at most one burst plus one call per interval of forward motion.
        let gcra = Gcra::new();
        let mut passed = 0u128;
        let (mut forward, mut last) = (0u128, None);
        for time in times {
            let now = Nanos::new(time);
            forward += u128::from(last.map_or(0, |last| now.get().saturating_sub(last)));
            last = Some(now.get());
            let reading = gcra.take(&rate, now);
            passed += u128::from(reading.allowed());
            prop_assert!(reading.reset_after().as_nanos() <= u128::from(rate.tolerance() + BACKSTEP));
        }
        prop_assert!(passed <= u128::from(rate.burst()) + forward / u128::from(rate.interval_nanos()));
    }

    #[test]
    fn giving_back_undoes(rate in rates(), used in 0u32..100, between in 0u32..50) {
        let now = Nanos::new(SECOND);
        let (undone, never) = (Gcra::new(), Gcra::new());
        for _ in 0..used {
            undone.take(&rate, now);
            never.take(&rate, now);
        }
        let (reading, receipt) = undone.take_many(&rate, 1, now);
        for _ in 0..between {
            let one = undone.take(&rate, now);
            let other = never.peek(&rate, now);
            if one.allowed() {
                assert!(other.allowed());
                never.take(&rate, now);
            }
        }
        if reading.allowed() {
            undone.give_back(&rate, 1, receipt);
        }
        prop_assert_eq!(undone.peek(&rate, now), never.peek(&rate, now));
    }
}

#[test]
fn what_time_gave_back_is_not_given_back_again() {
    let rate = rate("10/s").with_burst(1).unwrap();
    let gcra = Gcra::new();
    let (_, receipt) = gcra.take_many(&rate, 1, Nanos::new(SECOND));
    // The burst is whole again, and somebody else has used it, before the first call is undone.
    let later = Nanos::new(2 * SECOND + 12_345);
    assert!(gcra.take(&rate, later).allowed());
    gcra.give_back(&rate, 1, receipt);
    assert!(!gcra.take(&rate, later).allowed());
}

#[test]
fn small_steps_back_change_nothing_and_large_ones_count_as_used_up() {
    let rate = rate("1/s").with_burst(3).unwrap();
    let gcra = Gcra::new();
    let start = Nanos::new(1_000_000 * SECOND);
    for _ in 0..3 {
        assert!(gcra.take(&rate, start).allowed());
    }
    let little = Nanos::new(start.get() - 10 * SECOND);
    let reading = gcra.take(&rate, little);
    assert_eq!(
        (reading.allowed(), reading.retry_after()),
        (false, Duration::from_secs(11))
    );
    assert!(gcra.take(&rate, start.after(Duration::from_secs(1))).allowed());

    let long_ago = Nanos::new(5 * SECOND);
    let reading = gcra.peek(&rate, long_ago);
    assert_eq!(
        (reading.allowed(), reading.retry_after()),
        (false, Duration::from_secs(1))
    );
    assert!(gcra.take(&rate, long_ago.after(Duration::from_secs(1))).allowed());
    assert!(!gcra.take(&rate, long_ago.after(Duration::from_secs(1))).allowed());
}

#[test]
fn a_huge_jump_forward_gives_one_burst() {
    let rate = rate("100/s");
    for now in [Nanos::MAX, Nanos::new(u64::MAX), Nanos::new(Nanos::MAX.get() - 1)] {
        let gcra = Gcra::new();
        assert!(gcra.take(&rate, Nanos::new(1)).allowed());
        let passed = (0..1_000).filter(|_| gcra.take(&rate, now).allowed()).count();
        assert_eq!(passed, 100);
    }
}

#[test]
fn the_largest_and_smallest_rates() {
    let year = Duration::from_secs(366 * 86_400);
    let slow = Rate::new(1, year, 72).unwrap();
    let gcra = Gcra::new();
    assert_eq!(
        (0..100)
            .filter(|_| gcra.take(&slow, Nanos::MAX).allowed())
            .count(),
        72
    );
    assert_eq!(Rate::new(1, year, u32::MAX), Err(RateError::Burst));
    assert_eq!(Rate::new(1, year, 0), Err(RateError::Burst));
    assert_eq!(Rate::new(0, year, 1), Err(RateError::Count));
    assert_eq!(Rate::new(1, Duration::ZERO, 1), Err(RateError::Period));
    assert_eq!(Rate::new(1, Duration::MAX, 1), Err(RateError::Period));
    assert_eq!(
        Rate::new(1_000_001, Duration::from_secs(1), 1),
        Err(RateError::TooFast)
    );
    let fast = Rate::new(1_000_000, Duration::from_secs(1), u32::MAX).unwrap();
    assert!(Gcra::new().take(&fast, Nanos::MAX).allowed());
    assert_eq!(Rate::parse("5000000000/s"), Err(RateError::Count));
    assert_eq!(rate("1000/min").to_string(), "1000/min");
    assert_eq!(rate("5/s").with_burst(9).unwrap().to_string(), "5/s (burst 9)");
}

#[test]
fn another_rate_keeps_what_was_used() {
    let (one, two) = (rate("10/s"), rate("100/min").with_burst(20).unwrap());
    let now = Nanos::new(9 * SECOND);
    let gcra = Gcra::new();
    for _ in 0..4 {
        gcra.take(&one, now);
    }
    gcra.rescale(&one, &two, now);
    assert_eq!(gcra.take(&two, now).remaining(), 15);
    let saved = gcra.save(&two, now).unwrap();
    let restored = Gcra::new();
    restored.restore(&saved, &rate("3/h"), now);
    assert!(!restored.peek(&rate("3/h"), now).allowed(), "5 used of 3");
    assert_eq!(Gcra::new().save(&one, now), None);
}

#[test]
fn threads_take_the_burst_and_not_one_more() {
    let rate = rate("1000/s").with_burst(10_000).unwrap();
    let gcra = Gcra::new();
    let (passed, barrier) = (AtomicUsize::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..4_000 {
                    let allowed = gcra.take(&rate, Nanos::new(SECOND)).allowed();
                    passed.fetch_add(usize::from(allowed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 10_000);
}
