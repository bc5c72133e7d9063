use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

const SECOND: u64 = 1_000_000_000;
const WINDOW: Duration = Duration::from_secs(16);

fn at(seconds: u64) -> Nanos {
    Nanos::new(seconds * SECOND)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stretch_of_the_windows_length_is_within_the_limit(
        start in 0u64..100 * SECOND,
        calls in prop::collection::vec((0u64..3 * SECOND, 1u64..8), 1..300),
    ) {
        let (limit, length) = (20, nanos_of(WINDOW));
        let mut window = Window::new(WINDOW, Nanos::new(start));
        let mut log: Vec<(u64, u64)> = Vec::new();
        let mut now = start;
        for (pause, amount) in calls {
            now += pause;
            let used_since = |from: u64| log.iter().filter(|(time, _)| *time > from || from == 0).map(|(_, n)| n).sum::<u64>();
            // What must be allowed: what would be within the limit even if the window were a slot longer.
            let surely_free = used_since(now.saturating_sub(length + window.slot)) + amount <= limit;
            match window.fits(amount, limit, Nanos::new(now)) {
                Ok(()) => {
                    window.add(amount, Nanos::new(now));
                    log.push((now, amount));
                    let since = now.saturating_sub(length);
                    let used: u64 = log.iter().filter(|(time, _)| *time > since).map(|(_, n)| n).sum();
                    prop_assert!(used <= limit);
                }
                Err(wait) => {
                    prop_assert!(!surely_free);
                    let wait = wait.unwrap();
                    let then = Nanos::new(now).after(wait);
                    prop_assert!(window.clone().fits(amount, limit, then).is_ok());
                    let before = Nanos::new(then.get() - 1);
                    prop_assert!(window.clone().fits(amount, limit, before).is_err());
                }
            }
            prop_assert_eq!(window.total, window.ring.iter().sum::<u64>());
        }
    }

    #[test]
    fn any_times_and_amounts_keep_the_sum(
        steps in prop::collection::vec((any::<u64>(), any::<u64>()), 1..100),
        seconds in 1u64..1_000_000,
    ) {
        let mut window = Window::new(Duration::from_secs(seconds), Nanos::new(steps[0].0));
        for (time, amount) in steps {
            let now = Nanos::new(time);
            // Whatever the answer, it is one.
            let _ = window.fits(amount, amount / 2, now);
            window.add(amount, now);
            prop_assert_eq!(window.total, window.ring.iter().fold(0u64, |sum, slot| sum.checked_add(*slot).unwrap()));
            prop_assert!(window.used(now) >= amount.min(window.total));
        }
    }

    #[test]
    fn another_length_forgets_nothing_too_early(
        calls in prop::collection::vec((0u64..2 * SECOND, 1u64..5), 1..60),
        other in 1u64..100,
    ) {
        let mut window = Window::new(WINDOW, at(50));
        let mut log = Vec::new();
        let mut now = 50 * SECOND;
        for (pause, amount) in calls {
            now += pause;
            window.add(amount, Nanos::new(now));
            log.push((now, amount));
        }
        let length = Duration::from_secs(other);
        let mut resized = window.resized(length, Nanos::new(now));
        let shorter = nanos_of(length.min(WINDOW));
        let used: u64 = log.iter().filter(|(time, _)| *time > now.saturating_sub(shorter)).map(|(_, n)| n).sum();
        prop_assert!(resized.used(Nanos::new(now)) >= used);
        prop_assert!(resized.used(Nanos::new(now)) <= log.iter().map(|(_, n)| n).sum());
        let mut again = Window::restored(&window.save(Nanos::new(now)), WINDOW, Nanos::new(now));
        prop_assert_eq!(again.used(Nanos::new(now)), window.used(Nanos::new(now)));
        prop_assert_eq!(again.ring.iter().sum::<u64>(), again.total);
    }
}

#[test]
fn no_burst_at_a_boundary() {
    let mut window = Window::new(WINDOW, at(0));
    let take = |window: &mut Window, now| {
        let fits = window.fits(1, 100, now).is_ok();
        if fits {
            window.add(1, now);
        }
        fits
    };
    let passed = (0..500).filter(|_| take(&mut window, at(15))).count();
    assert_eq!(passed, 100);
    // A fixed window would start anew here.
    assert!(!take(&mut window, at(16)));
    assert_eq!(window.fits(1, 100, at(16)), Err(Some(Duration::from_secs(16))));
    assert!(take(&mut window, at(32)));
    assert_eq!(window.fits(101, 100, at(32)), Err(None));
}

#[test]
fn clock_jumps() {
    let mut window = Window::new(WINDOW, at(1_000));
    window.add(7, at(1_000));
    window.add(1, at(990));
    assert_eq!(window.used(at(1_000)), 8, "a little back: time stands still");
    assert_eq!(window.used(at(5)), 8, "far back: nothing is given back");
    assert_eq!(
        window.fits(1, 8, at(5)),
        Err(Some(Duration::from_secs(17))),
        "but it leaves in due time"
    );
    assert_eq!(window.used(at(21)), 8);
    assert_eq!(window.used(at(22)), 0);
    window.add(3, at(22));
    assert_eq!(window.used(Nanos::MAX), 0);
    window.add(u64::MAX, Nanos::MAX);
    window.add(u64::MAX, Nanos::MAX);
    assert_eq!(window.used(Nanos::MAX), u64::MAX);
    assert!(window.fits(u64::MAX, u64::MAX, Nanos::MAX).is_err());
}

#[test]
fn saved_state_is_not_trusted() {
    let lies = WindowState {
        used: vec![
            (Nanos::MAX, u64::MAX),
            (Nanos::MAX, u64::MAX),
            (Nanos::new(0), 5),
            (at(99), 5),
        ],
    };
    let mut window = Window::restored(&lies, WINDOW, at(100));
    assert_eq!(window.used(at(100)), u64::MAX);
    assert_eq!(window.used(at(117)), 0);
}

#[test]
fn bounds_of_quotas() {
    assert_eq!(Quota::new(0, WINDOW), Err(QuotaError::Amount));
    assert_eq!(Quota::new(1, Duration::from_millis(999)), Err(QuotaError::Window));
    assert_eq!(Quota::new(1, Duration::MAX), Err(QuotaError::Window));
    let quota = Quota::parse_calls("1000/min").unwrap();
    assert_eq!(
        (quota.amount(), quota.window(), quota.to_string()),
        (1_000, Duration::from_secs(60), "1000/min".into())
    );
    assert_eq!(Quota::parse_bytes("1KiB/s").unwrap().amount(), 1_024);
    assert!(matches!(Quota::parse_calls("1000"), Err(QuotaError::Syntax(error)) if error.position == 4));
}
