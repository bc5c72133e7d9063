use std::thread;

use super::*;

fn at(nanos: u64) -> Nanos {
    Nanos::new(1_000_000_000 + nanos)
}

/// Takes with several threads at one time until all have been refused; counts what passed.
fn drain(spread: &Spread, rate: &SpreadRate, now: Nanos) -> u64 {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut passed = 0;
                    while spread.take(rate, now).0.allowed() {
                        passed += 1;
                    }
                    passed
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn small_bursts_are_not_split() {
    let rate = SpreadRate::new(Rate::parse("100/s").unwrap());
    assert_eq!(rate.lease, 0);
    let spread = Spread::new(&rate);
    assert_eq!(drain(&spread, &rate, at(0)), 100);
    let (reading, _) = spread.take(&rate, at(0));
    assert_eq!(reading.retry_after().as_millis(), 10);
}

#[test]
fn all_threads_together_get_the_burst_and_then_the_rate() {
    let rate = SpreadRate::new(Rate::parse("100000/s").unwrap());
    assert_eq!(rate.lease, 64);
    let spread = Spread::new(&rate);
    assert_eq!(drain(&spread, &rate, at(0)), 100_000);
    assert!(!spread.peek(&rate, at(0)).allowed());
    // Nothing is lost on the way: after so many intervals exactly so many pass.
    let mut passed = 0;
    for step in 1..=50 {
        passed += drain(&spread, &rate, at(step * 1_234_567));
    }
    assert_eq!(passed, 50 * 1_234_567 / 10_000);
    // After a pause, all but what the shards may lack.
    let passed = drain(&spread, &rate, at(1 << 40));
    assert!((100_000 - 16 * 64..=100_000).contains(&passed), "{passed}");
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    let rate = SpreadRate::new(Rate::parse("100000/s").unwrap());
    let spread = Spread::new(&rate);
    let mut taken = 0;
    for round in 0..150_000 {
        let (reading, place) = spread.take(&rate, at(0));
        if !reading.allowed() {
            break;
        }
        if round % 3 == 0 {
            spread.give_back(&rate, place);
        } else {
            taken += 1;
        }
    }
    taken += drain(&spread, &rate, at(0));
    assert!((100_000 - 64..=100_000).contains(&taken), "{taken}");
}

#[test]
fn another_rate_never_gives_a_fresh_burst() {
    let from = SpreadRate::new(Rate::parse("100000/s").unwrap());
    for to in ["100000/s", "50000/min", "10/s", "1000000/s"] {
        let to = SpreadRate::new(Rate::parse(to).unwrap());
        let spread = Spread::new(&from);
        let used = drain(&spread, &from, at(0));
        spread.rescale(&from, &to, at(0));
        let more = drain(&spread, &to, at(0));
        assert!(
            used + more <= u64::from(to.whole().burst().max(100_000)),
            "{to:?}: {more}"
        );
    }
}

#[test]
fn a_shard_that_two_threads_fill_keeps_one_lease() {
    let rate = SpreadRate::new(Rate::parse("100000/s").unwrap());
    let spread = Spread::new(&rate);
    spread.fill(0);
    for _ in 0..2 {
        let (_, receipt) = spread.middle.0.take_many(&rate.middle, rate.lease, at(0));
        spread.keep(&rate, 3, receipt);
    }
    assert_eq!(spread.shards[3].0.load(Ordering::Relaxed), rate.lease - 1);
    // Two calls passed; the second lease went back but for its call.
    let left = drain(&spread, &rate, at(0));
    assert_eq!(left, u64::from(rate.middle.burst()) - 2);
}
