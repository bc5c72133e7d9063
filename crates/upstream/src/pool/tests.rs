use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Patience, Phase, Pick, Pool, PoolSize, Seat};

fn pool(max: usize, seats: u32) -> Arc<Pool> {
    let size = PoolSize {
        max,
        ..PoolSize::default()
    };
    let pool = Pool::new(size, Some(Arc::new(Semaphore::new(1))));
    pool.set_seats((1..=seats).map(|id| Arc::new(Seat::new(id, None))).collect());
    Arc::new(pool)
}

fn down(pool: &Pool, seat: usize, retry_at: Option<Instant>) {
    let phase = Phase::Down {
        reason: "broken".into(),
        retry_at,
        looping: false,
    };
    pool.set_phase(&pool.seats()[seat], phase);
}

fn starting(pool: &Pool, seat: usize, hopeful: bool) {
    let phase = Phase::Starting {
        hopeful,
        last: "it broke".into(),
    };
    pool.set_phase(&pool.seats()[seat], phase);
}

#[tokio::test]
async fn a_call_waits_for_a_first_start_and_not_for_a_hopeless_one() {
    let pool = pool(1, 1);
    assert!(matches!(pool.pick(Patience::Start, None, None), Pick::Wait));
    starting(&pool, 0, false);
    assert!(
        matches!(pool.pick(Patience::Start, None, None), Pick::Down { reason, .. } if &*reason == "it broke")
    );
    assert!(matches!(pool.pick(Patience::Restart, None, None), Pick::Wait));
}

#[tokio::test]
async fn what_is_down_says_why_unless_the_caller_waits_for_its_return() {
    let pool = pool(1, 1);
    let soon = Instant::now() + Duration::from_secs(1);
    down(&pool, 0, Some(soon));
    assert!(
        matches!(pool.pick(Patience::Start, None, None), Pick::Down { retry_at, .. } if retry_at == Some(soon))
    );
    assert!(matches!(pool.pick(Patience::Restart, None, None), Pick::Wait));
    down(&pool, 0, None);
    assert!(matches!(
        pool.pick(Patience::Restart, None, None),
        Pick::Down { retry_at: None, .. }
    ));
}

#[tokio::test]
async fn one_that_starts_is_hope_beside_one_that_is_down() {
    let pool = pool(2, 2);
    down(&pool, 0, Some(Instant::now()));
    assert!(matches!(pool.pick(Patience::Start, None, None), Pick::Wait));
}

#[tokio::test]
async fn there_is_room_for_more_below_the_maximum_unless_something_is_wrong() {
    let pool = pool(3, 2);
    assert!(pool.can_grow(2, false));
    assert!(!pool.can_grow(3, false), "enough");
    assert!(!pool.can_grow(2, true), "another one would fail too");
    let full = Pool::new(pool.size, Some(Arc::new(Semaphore::new(0))));
    assert!(!full.can_grow(2, false), "no more processes");
    assert!(
        Pool::new(pool.size, None).can_grow(2, false),
        "sessions are no processes"
    );
}

#[tokio::test]
async fn a_seat_with_a_call_cannot_be_closed_and_a_closed_one_takes_no_call() {
    let seat = Seat::new(1, None);
    assert!(
        seat.idle_at(Duration::ZERO)
            .is_some_and(|at| at <= Instant::now())
    );
    assert!(seat.enter(true));
    assert!(!seat.enter(true), "not idle");
    assert!(seat.enter(false));
    assert_eq!(
        (seat.in_flight(), seat.close(), seat.idle_at(Duration::ZERO)),
        (2, false, None)
    );
    let seat = Seat::new(2, None);
    assert!(seat.close());
    assert!(!seat.enter(true) && !seat.enter(false));
    assert_eq!(seat.in_flight(), 0);
}

#[tokio::test]
async fn the_maximum_is_never_below_the_minimum() {
    let size = PoolSize {
        min: 3,
        ..PoolSize::default()
    };
    assert_eq!(Pool::new(size, None).size.max, 3);
}
