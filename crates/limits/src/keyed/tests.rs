use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::Duration;

use super::*;

fn rate(text: &str) -> Rate {
    Rate::parse(text).unwrap()
}

fn at(seconds: u64) -> Nanos {
    Nanos::new(seconds * 1_000_000_000)
}

#[test]
fn clients_do_not_share() {
    let clients = Clients::new(1_000);
    let rate = rate("5/s");
    // So few that no bucket of eight can fill up, whatever the random hash does (chance below 1e-9).
    for client in 0u32..64 {
        let key = clients.key("tenant", &client.to_le_bytes());
        assert_eq!(
            (0..9)
                .filter(|_| clients.take(key, &rate, at(1)).allowed())
                .count(),
            5
        );
    }
    assert_eq!(clients.len(), 64);
    assert_ne!(clients.key("ab", b"c"), clients.key("a", b"bc"));
    assert_eq!(clients.key("ab", b"c"), clients.key("ab", b"c"));
}

#[test]
fn looking_enters_nobody() {
    let clients = Clients::new(0);
    let key = clients.key("t", b"x");
    assert!(clients.peek(key, &rate("1/s"), at(1)).allowed());
    assert!(clients.is_empty());
    assert_eq!(clients.slots(), 2 * MIN_CLIENTS);
}

#[test]
fn a_million_clients_in_the_memory_of_a_few() {
    let clients = Clients::new(4_096);
    let (rate, bytes) = (rate("100/s"), clients.bytes());
    for client in 0u32..1_000_000 {
        let key = clients.key("t", &client.to_le_bytes());
        clients.take(key, &rate, Nanos::new(u64::from(client) * 1_000_000));
    }
    assert_eq!(clients.bytes(), bytes);
    assert!(bytes < 300_000, "{bytes}");
    assert!(clients.len() <= clients.slots());
    assert!(clients.len() > clients.slots() / 2, "the table is used");
}

#[test]
fn one_client_has_one_slot() {
    let clients = Clients::new(1_024);
    let rate = rate("1000/s").with_burst(1_000).unwrap();
    let passed = AtomicUsize::new(0);
    let key = clients.key("t", b"the one");
    thread::scope(|scope| {
        for thread in 0u32..8 {
            let (clients, passed, rate) = (&clients, &passed, &rate);
            scope.spawn(move || {
                for round in 0..500 {
                    // Others come at the same time, few enough to need no eviction of the busy one.
                    let other = clients.key("t", &(thread % 2 * 50 + round % 50).to_le_bytes());
                    clients.take(other, rate, at(1));
                    let allowed = clients.take(key, rate, at(1)).allowed();
                    passed.fetch_add(usize::from(allowed), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 1_000);
    let keys = clients.buckets.iter().flat_map(|bucket| &bucket.keys);
    let owners: Vec<u64> = keys
        .map(|key| key.load(Ordering::Relaxed))
        .filter(|key| *key != NOBODY)
        .collect();
    assert_eq!(owners.len(), owners.iter().collect::<HashSet<_>>().len());
    assert_eq!(owners.len(), 101);
}

#[test]
fn who_is_evicted_comes_back_to_what_was_used() {
    let clients = Clients::new(MIN_CLIENTS);
    let rate = rate("1/min").with_burst(10).unwrap();
    let victim = clients.key("t", b"victim");
    while clients.take(victim, &rate, at(1)).allowed() {}
    // Inventing names until the exhausted client is gone: each of them uses up what it gets, as the attacker would.
    let mut invented = 0u64;
    let mut passed = 0u64;
    while clients.find(victim).is_some() && invented < 200_000 {
        let key = clients.key("t", &invented.to_le_bytes());
        while clients.take(key, &rate, at(1)).allowed() {
            passed += 1;
        }
        invented += 1;
    }
    assert!(
        clients.find(victim).is_none(),
        "the table is full of exhausted clients"
    );
    assert!(
        !clients.take(victim, &rate, at(1)).allowed(),
        "eviction gave a fresh burst"
    );
    // However many names: at most the slots' bursts in all.
    for name in invented..invented + 50_000 {
        passed += u64::from(
            clients
                .take(clients.key("t", &name.to_le_bytes()), &rate, at(1))
                .allowed(),
        );
    }
    assert!(passed <= clients.slots() as u64 * 10, "{passed}");
}

#[test]
fn whole_bursts_are_evicted_before_busy_ones() {
    let clients = Clients::new(MIN_CLIENTS);
    let slow = rate("1/h").with_burst(5).unwrap();
    let busy = clients.key("t", b"busy");
    clients.take(busy, &slow, at(1));
    // Each of these is whole again before the next comes.
    let fast = rate("1000/s");
    for name in 0u64..100_000 {
        clients.take(clients.key("t", &name.to_le_bytes()), &fast, at(2 + name));
    }
    assert!(clients.find(busy).is_none(), "after an hour it is whole as well");
    let clients = Clients::new(MIN_CLIENTS);
    clients.take(busy, &slow, at(1));
    for name in 0u64..100_000 {
        let now = Nanos::new(2_000_000_000 + name * 10_000_000);
        clients.take(clients.key("t", &name.to_le_bytes()), &fast, now);
    }
    assert_eq!(clients.peek(busy, &slow, at(1_002)).remaining(), 4, "still known");
}

#[test]
fn another_size_and_another_rate_keep_what_was_used() {
    let clients = Clients::new(MIN_CLIENTS);
    let (old, new) = (rate("10/min"), rate("10/h"));
    // So few that no bucket of eight can fill up, whatever the random hash does (chance below 1e-9).
    let keys: Vec<ClientKey> = (0u32..40)
        .map(|name| clients.key("t", &name.to_le_bytes()))
        .collect();
    for key in &keys {
        for _ in 0..3 {
            clients.take(*key, &old, at(1));
        }
    }
    clients.rescale(&old, &new, at(1));
    let larger = clients.resized(10 * MIN_CLIENTS, at(1)).unwrap();
    for key in &keys {
        assert_eq!(larger.peek(*key, &new, at(1)).remaining(), 7);
    }
    assert_eq!(larger.key("t", &7u32.to_le_bytes()), keys[7]);
    assert!(larger.resized(16 * MIN_CLIENTS, at(1)).is_none());
    let later = at(1).after(Duration::from_secs(3_600));
    assert!(
        larger.resized(0, later).unwrap().is_empty(),
        "whole bursts need not be kept"
    );
}

#[test]
fn a_newcomer_among_busy_clients_starts_from_the_least_used_burst() {
    let clients = Clients::new(MIN_CLIENTS);
    let rate = rate("1/min").with_burst(10).unwrap();
    // One bucket full of clients that have used 3 and more.
    let stride = clients.buckets.len() as u64;
    let owners: Vec<ClientKey> = (1..=WAYS as u64).map(|way| ClientKey(way * stride)).collect();
    for (number, owner) in owners.iter().enumerate() {
        for _ in 0..(3 + number).min(10) {
            clients.take(*owner, &rate, at(1));
        }
    }
    let newcomer = ClientKey(100 * stride);
    assert_eq!(clients.peek(newcomer, &rate, at(1)).remaining(), 7);
    assert_eq!(clients.take(newcomer, &rate, at(1)).remaining(), 6);
    assert!(clients.find(owners[0]).is_none() && clients.find(owners[1]).is_some());
    // Who was evicted comes back to at least what it had used.
    assert!(clients.take(owners[0], &rate, at(1)).remaining() <= 6);
}
