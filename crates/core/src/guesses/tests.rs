use super::*;

fn guesses() -> Guesses {
    Guesses::new(Rate::new(30, Duration::from_secs(60), 60).unwrap())
}

fn at(seconds: u64) -> Nanos {
    Nanos::new(seconds * 1_000_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Shows wrong keys until one has to wait; how many were looked at, and how long it has to wait.
fn flood(guesses: &Guesses, from: &str, now: Nanos) -> (usize, Duration) {
    for count in 0..1_000 {
        let shown = guesses.shown(ip(from), format!("Bearer wrong-{count}").as_bytes());
        if let Some(wait) = guesses.wait_at(shown, now) {
            return (count, wait);
        }
        guesses.wrong_at(shown.from, now);
    }
    panic!("nobody stopped it");
}

#[test]
fn an_address_may_be_wrong_so_often_and_others_are_left_alone() {
    let guesses = guesses();
    assert_eq!(flood(&guesses, "10.0.0.1", at(1)), (60, Duration::from_secs(2)));
    assert_eq!(flood(&guesses, "10.0.0.1", at(3)), (1, Duration::from_secs(2)));
    let other = guesses.shown(ip("10.0.0.2"), b"Bearer good");
    assert_eq!(guesses.wait_at(other, at(3)), None);
    assert_eq!(flood(&guesses, "10.0.0.2", at(3)).0, 60);
    // After as long as the burst takes to come back, nobody has to look.
    assert!(guesses.calm_from.load(Ordering::Relaxed) <= at(3 + 120).get());
    assert_eq!(flood(&guesses, "10.0.0.1", at(200)).0, 60);
}

#[test]
fn what_was_good_from_an_address_is_looked_at_still() {
    let guesses = guesses();
    let (here, there) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let good = guesses.shown(here, b"Bearer fmcp_a_0123456789");
    guesses.learn(good, true, None);
    flood(&guesses, "10.0.0.1", at(1));
    flood(&guesses, "10.0.0.2", at(1));
    assert_eq!(guesses.wait_at(good, at(1)), None);
    for other in [
        guesses.shown(here, b"Bearer fmcp_a_0123456780"),
        guesses.shown(here, b""),
        guesses.shown(there, b"Bearer fmcp_a_0123456789"),
    ] {
        assert!(guesses.wait_at(other, at(1)).is_some(), "{other:?}");
    }
}

#[test]
fn only_what_says_that_a_credential_is_good_or_wrong_counts() {
    let guesses = guesses();
    let from = ip("10.0.0.1");
    for _ in 0..1_000 {
        let shown = guesses.shown(from, b"Bearer expired");
        for asked in [Challenge::Invalid, Challenge::Missing, Challenge::Scope] {
            guesses.learn(shown, false, Some(&asked));
        }
        guesses.learn(shown, false, None);
    }
    let (looked_at, _) = flood(&guesses, "10.0.0.1", guesses.now());
    assert_eq!(looked_at, 60);
    let unread = guesses.shown(from, b"Bearer expired");
    assert!(guesses.wait(unread).is_some(), "a 400 says nothing about it");
}

#[test]
fn a_network_of_ipv6_and_a_mapped_address_are_one() {
    let guesses = guesses();
    flood(&guesses, "2001:db8::1", at(1));
    let wait = |from: &str| guesses.wait_at(guesses.shown(ip(from), b"x"), at(1)).is_some();
    assert!(wait("2001:db8::ffff:1"));
    assert!(!wait("2001:db8:0:1::1"));
    flood(&guesses, "::ffff:10.0.0.1", at(1));
    assert!(wait("10.0.0.1"));
}

#[test]
fn memory_does_not_grow_with_addresses() {
    let guesses = guesses();
    let (bytes, slots) = (guesses.addresses.bytes(), guesses.addresses.slots());
    for address in 0..200_000u32 {
        let shown = guesses.shown(IpAddr::from(address.to_be_bytes()), b"wrong");
        guesses.wrong_at(shown.from, at(1));
        guesses.learn(shown, true, None);
    }
    assert!(guesses.addresses.len() <= slots);
    assert_eq!(guesses.addresses.bytes(), bytes);
    assert!(bytes + size_of_val(&*guesses.good) < 512 << 10, "{bytes}");
}
