use std::time::{Duration, Instant};

use super::{Breaker, FAILURES, OPEN_MAX, OPEN_MIN, Pass, Verdict, WINDOW};

struct Sim {
    breaker: Breaker,
    now: Instant,
}

impl Sim {
    fn new() -> Self {
        Self {
            breaker: Breaker::new(),
            now: Instant::now(),
        }
    }

    fn call(&mut self, verdict: Verdict) -> Result<Pass, Duration> {
        let pass = self.breaker.enter(self.now)?;
        self.breaker.leave(pass, verdict, self.now);
        Ok(pass)
    }

    fn opened() -> Self {
        let mut sim = Self::new();
        for _ in 0..FAILURES {
            assert_eq!(sim.call(Verdict::Failed), Ok(Pass::Normal));
        }
        sim
    }
}

#[test]
fn failures_in_a_row_open_it_and_a_try_that_goes_well_closes_it() {
    let mut sim = Sim::opened();
    assert_eq!(sim.call(Verdict::Healthy), Err(OPEN_MIN));
    assert_eq!(sim.breaker.word(sim.now), "open");
    sim.now += OPEN_MIN;
    assert_eq!(sim.breaker.word(sim.now), "half_open");
    assert_eq!(sim.breaker.enter(sim.now), Ok(Pass::Probe));
    assert!(sim.breaker.enter(sim.now).is_err(), "one try at a time");
    sim.breaker.leave(Pass::Probe, Verdict::Healthy, sim.now);
    assert!(sim.breaker.is_calm());
    assert_eq!(sim.call(Verdict::Healthy), Ok(Pass::Normal));
}

#[test]
fn one_good_call_in_between_keeps_it_closed() {
    let mut sim = Sim::new();
    for _ in 0..10 {
        for _ in 1..FAILURES {
            assert_eq!(sim.call(Verdict::Failed), Ok(Pass::Normal));
        }
        assert!(!sim.breaker.is_calm());
        assert_eq!(sim.call(Verdict::Healthy), Ok(Pass::Normal));
    }
}

#[test]
fn failures_far_apart_do_not_add_up() {
    let mut sim = Sim::new();
    for _ in 0..FAILURES * 3 {
        assert_eq!(sim.call(Verdict::Failed), Ok(Pass::Normal));
        sim.now += WINDOW / (FAILURES - 2);
    }
}

#[test]
fn each_failed_try_doubles_the_pause_up_to_a_limit() {
    let mut sim = Sim::opened();
    let mut pause = OPEN_MIN;
    for _ in 0..30 {
        assert_eq!(sim.breaker.enter(sim.now), Err(pause));
        sim.now += pause;
        assert_eq!(sim.call(Verdict::Failed), Ok(Pass::Probe));
        pause = (pause * 2).min(OPEN_MAX);
    }
    assert_eq!(pause, OPEN_MAX);
}

#[test]
fn a_try_that_is_given_up_or_never_ends_lets_the_next_one_try() {
    let mut sim = Sim::opened();
    sim.now += OPEN_MIN;
    assert_eq!(sim.call(Verdict::Unknown), Ok(Pass::Probe));
    assert_eq!(sim.breaker.enter(sim.now), Ok(Pass::Probe));
    sim.now += OPEN_MAX;
    assert_eq!(sim.breaker.enter(sim.now), Ok(Pass::Probe));
}

#[test]
fn calls_from_before_it_opened_change_nothing() {
    let mut sim = Sim::opened();
    sim.breaker.leave(Pass::Normal, Verdict::Healthy, sim.now);
    sim.breaker.leave(Pass::Normal, Verdict::Failed, sim.now);
    assert_eq!(sim.breaker.enter(sim.now), Err(OPEN_MIN));
}
