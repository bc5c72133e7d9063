use super::{Action, Event, Generation, Policy, State, Worker};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::strategy::Just;
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A worker with its clock; `send` returns the actions.
struct Sim {
    worker: Worker,
    now: Instant,
}

impl Sim {
    fn new(policy: Policy) -> Self {
        Self {
            worker: Worker::new(policy),
            now: Instant::now(),
        }
    }

    fn send(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.worker.handle(event, self.now, 0, &mut actions);
        actions
    }

    /// Moves the clock to the deadline.
    fn tick(&mut self) -> Vec<Action> {
        self.now = self.worker.deadline().unwrap();
        self.send(Event::Tick)
    }
}

fn g(n: u64) -> Generation {
    Generation(n)
}

#[test]
fn the_good_life() {
    let mut sim = Sim::new(Policy::default());
    assert_eq!(sim.send(Event::Start), [Action::Spawn(g(1))]);
    assert_eq!(sim.send(Event::Start), []);
    assert_eq!(sim.send(Event::Ready(g(1))), [Action::Up(g(1))]);
    assert_eq!(sim.worker.state(), State::Ready { since: sim.now });
    assert_eq!(sim.worker.deadline(), None);
    assert_eq!(sim.send(Event::Stop), [Action::Down(g(1)), Action::Stop(g(1))]);
    assert_eq!(sim.worker.state(), State::Stopping);
    assert_eq!(sim.send(Event::Exited(g(1))), []);
    assert_eq!(sim.worker.state(), State::Stopped);
}

#[test]
fn a_crash_waits_and_starts_the_next_generation() {
    let mut sim = Sim::new(Policy::default());
    sim.send(Event::Start);
    sim.send(Event::Ready(g(1)));
    assert_eq!(sim.send(Event::Exited(g(1))), [Action::Down(g(1))]);
    assert_eq!(
        sim.worker.state(),
        State::Backoff {
            until: sim.now + 250 * MS
        }
    );
    sim.now += 249 * MS;
    assert_eq!(sim.send(Event::Tick), []);
    assert_eq!(sim.send(Event::Start), [], "a call does not shorten the delay");
    sim.now += MS;
    assert_eq!(sim.send(Event::Tick), [Action::Spawn(g(2))]);
    assert_eq!(sim.send(Event::Ready(g(1))), [], "late news of the first child");
    assert_eq!(sim.send(Event::Exited(g(1))), []);
    assert_eq!(sim.send(Event::Ready(g(2))), [Action::Up(g(2))]);
}

#[test]
fn a_child_that_never_gets_ready_is_stopped_before_the_next_is_started() {
    let mut sim = Sim::new(Policy::default());
    sim.send(Event::Start);
    assert_eq!(sim.tick(), [Action::Stop(g(1))]);
    assert_eq!(sim.send(Event::Ready(g(1))), [], "too late");
    assert_eq!(sim.worker.deadline(), None, "nothing to do until it has exited");
    assert_eq!(sim.send(Event::Exited(g(1))), []);
    assert_eq!(sim.tick(), [Action::Spawn(g(2))]);
}

#[test]
fn failures_grow_the_delay_until_it_gives_up_and_a_later_start_tries_once_more() {
    let policy = Policy {
        give_up_after: 3,
        ..Policy::default()
    };
    let mut sim = Sim::new(policy);
    sim.send(Event::Start);
    let mut delays = Vec::new();
    for n in 1..3 {
        sim.send(Event::Exited(g(n)));
        delays.push(sim.worker.deadline().unwrap() - sim.now);
        sim.tick();
    }
    assert_eq!(delays, [250 * MS, 500 * MS]);
    sim.send(Event::Exited(g(3)));
    assert_eq!(
        sim.worker.state(),
        State::Failed {
            retry_at: sim.now + policy.backoff_max
        }
    );
    assert_eq!(sim.send(Event::Start), [], "too early");
    sim.now += policy.backoff_max;
    assert_eq!(sim.send(Event::Start), [Action::Spawn(g(4))]);
    sim.send(Event::Exited(g(4)));
    assert!(
        matches!(sim.worker.state(), State::Failed { .. }),
        "one attempt, not a new series"
    );
}

#[test]
fn a_healthy_run_clears_the_failures_and_a_short_one_does_not() {
    let policy = Policy::default();
    let mut sim = Sim::new(policy);
    sim.send(Event::Start);
    for n in 1..=4 {
        sim.send(Event::Ready(g(n)));
        sim.send(Event::Exited(g(n)));
        assert_eq!(u64::from(sim.worker.failures()), n);
        sim.tick();
    }
    sim.send(Event::Ready(g(5)));
    sim.now += policy.healthy_after;
    sim.send(Event::Unusable(g(5)));
    sim.send(Event::Exited(g(5)));
    assert_eq!(sim.worker.failures(), 1);
    assert_eq!(sim.worker.deadline().unwrap() - sim.now, 250 * MS);
}

#[test]
fn stop_then_start_while_it_is_still_exiting_starts_anew_after_the_exit() {
    let mut sim = Sim::new(Policy::default());
    sim.send(Event::Start);
    sim.send(Event::Ready(g(1)));
    sim.send(Event::Stop);
    assert_eq!(sim.send(Event::Start), []);
    assert_eq!(sim.send(Event::Exited(g(1))), [Action::Spawn(g(2))]);
}

#[test]
fn extreme_policies_do_not_overflow() {
    let policy = Policy {
        start_timeout: Duration::MAX,
        backoff_min: Duration::MAX,
        backoff_max: Duration::MAX,
        healthy_after: Duration::MAX,
        give_up_after: 0,
        heartbeat: Some(Duration::MAX),
        misses: 0,
    };
    let mut sim = Sim::new(policy);
    sim.send(Event::Start);
    assert!(sim.worker.deadline().unwrap() > sim.now);
    sim.send(Event::Exited(g(1)));
    assert!(matches!(sim.worker.state(), State::Failed { .. }));
    assert!(Policy::default().delay(u32::MAX, u32::MAX) > 29 * 1000 * MS);
}

fn with_heart(misses: u32) -> Sim {
    let mut sim = Sim::new(Policy {
        heartbeat: Some(5000 * MS),
        misses,
        ..Policy::default()
    });
    sim.send(Event::Start);
    sim.send(Event::Ready(g(1)));
    sim
}

#[test]
fn a_silent_child_is_asked_and_killed_when_it_does_not_answer() {
    let mut sim = with_heart(2);
    let ready = sim.now;
    assert_eq!(sim.send(Event::Tick), [], "too early to ask");
    assert_eq!(sim.tick(), [Action::Ping(g(1))]);
    assert_eq!(sim.tick(), [Action::Ping(g(1))]);
    assert_eq!(sim.tick(), [Action::Down(g(1)), Action::Kill(g(1))]);
    assert_eq!(sim.now - ready, 15_000 * MS);
    assert_eq!(sim.worker.state(), State::Stopping);
    assert_eq!(sim.send(Event::Alive(g(1))), [], "too late");
    assert_eq!(sim.send(Event::Exited(g(1))), []);
    assert_eq!(sim.worker.failures(), 1);
    assert_eq!(sim.tick(), [Action::Spawn(g(2))]);
}

#[test]
fn a_sign_of_life_puts_the_question_off_and_forgives_what_was_missed() {
    let mut sim = with_heart(2);
    sim.now += 4000 * MS;
    assert_eq!(sim.send(Event::Alive(g(1))), []);
    assert_eq!(sim.worker.deadline(), Some(sim.now + 5000 * MS));
    for _ in 0..3 {
        assert_eq!(sim.tick(), [Action::Ping(g(1))]);
        assert_eq!(sim.tick(), [Action::Ping(g(1))]);
        sim.now += 4999 * MS;
        assert_eq!(sim.send(Event::Alive(g(1))), []);
    }
    assert_eq!(sim.tick(), [Action::Ping(g(1))]);
    assert_eq!(sim.send(Event::Alive(g(7))), [], "not of this child");
    assert_eq!(sim.tick(), [Action::Ping(g(1))]);
    assert_eq!(sim.tick(), [Action::Down(g(1)), Action::Kill(g(1))]);
}

#[test]
fn the_next_child_starts_with_a_clean_record() {
    let mut sim = with_heart(1);
    assert_eq!(sim.tick(), [Action::Ping(g(1))]);
    sim.send(Event::Exited(g(1)));
    sim.tick();
    sim.send(Event::Ready(g(2)));
    assert_eq!(sim.tick(), [Action::Ping(g(2))]);
    assert_eq!(sim.tick(), [Action::Down(g(2)), Action::Kill(g(2))]);
}

#[test]
fn three_failures_in_a_row_are_a_loop_and_a_healthy_run_ends_it() {
    let mut sim = Sim::new(Policy::default());
    sim.send(Event::Start);
    for n in 1..=3 {
        assert!(!sim.worker.is_looping());
        sim.send(Event::Exited(g(n)));
        sim.tick();
    }
    assert!(sim.worker.is_looping());
    sim.send(Event::Ready(g(4)));
    assert!(sim.worker.is_looping(), "being up for a moment proves nothing");
    sim.now += Policy::default().healthy_after;
    sim.send(Event::Exited(g(4)));
    assert!(!sim.worker.is_looping());
}

/// What the outside world may do next, whatever the worker thinks.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Stop,
    /// News of the latest child, or of one `u8` generations ago.
    Ready(u8),
    Unusable(u8),
    Exited(u8),
    Alive(u8),
    Deadline,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let age = prop_oneof![8 => Just(0u8), 1 => 1u8..4];
    prop_oneof![
        2 => Just(Step::Start),
        1 => Just(Step::Stop),
        3 => age.clone().prop_map(Step::Ready),
        1 => age.clone().prop_map(Step::Unusable),
        1 => age.clone().prop_map(Step::Alive),
        4 => age.prop_map(Step::Exited),
        5 => Just(Step::Deadline),
        2 => any::<u16>().prop_map(Step::Pass),
    ]
}

/// The real world as far as the actions imply it.
#[derive(Default)]
struct World {
    running: Option<Generation>,
    told_to_stop: bool,
    up: Option<Generation>,
    wanted: bool,
    /// Questions without an answer.
    asked: u32,
}

impl World {
    fn apply(&mut self, actions: &[Action]) -> Result<(), TestCaseError> {
        for action in actions {
            match *action {
                Action::Spawn(of) => {
                    prop_assert_eq!(self.running, None, "two children");
                    prop_assert!(self.wanted, "started unwanted");
                    self.running = Some(of);
                    self.told_to_stop = false;
                }
                Action::Stop(of) | Action::Kill(of) => {
                    prop_assert_eq!(self.running, Some(of));
                    prop_assert!(!self.told_to_stop, "stopped twice");
                    self.told_to_stop = true;
                }
                Action::Ping(of) => {
                    prop_assert_eq!(self.up, Some(of), "asked what is not up");
                    self.asked += 1;
                    prop_assert!(self.asked <= 2, "asked once too often");
                }
                Action::Up(of) => {
                    prop_assert_eq!(self.running, Some(of));
                    prop_assert_eq!(self.up, None);
                    self.up = Some(of);
                }
                Action::Down(of) => prop_assert_eq!(self.up.take(), Some(of)),
            }
        }
        prop_assert!(
            self.up.is_none() || self.up == self.running,
            "an exited child is up"
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn whatever_happens_the_invariants_hold(steps in prop::collection::vec((step(), any::<u32>()), 1..80)) {
        let policy = Policy { give_up_after: 4, heartbeat: Some(7 * MS), misses: 2, ..Policy::default() };
        let mut worker = Worker::new(policy);
        let mut now = Instant::now();
        let mut world = World::default();
        for (step, random) in steps {
            let of = |age: u8| Generation(worker.generation().0.saturating_sub(u64::from(age)));
            let event = match step {
                Step::Start => { world.wanted = true; Event::Start }
                Step::Stop => { world.wanted = false; Event::Stop }
                Step::Ready(age) => Event::Ready(of(age)),
                Step::Unusable(age) => Event::Unusable(of(age)),
                Step::Exited(age) => Event::Exited(of(age)),
                Step::Alive(age) => Event::Alive(of(age)),
                Step::Deadline => { now = worker.deadline().map_or(now, |at| at.max(now)); Event::Tick }
                Step::Pass(ms) => { now += u32::from(ms) * MS; Event::Tick }
            };
            if let Event::Exited(of) = event && world.running == Some(of) {
                world.running = None;
            }
            if let Event::Alive(of) | Event::Ready(of) = event && of == worker.generation() {
                world.asked = 0;
            }
            let before = (worker.state(), worker.failures());
            let mut actions = Vec::new();
            worker.handle(event, now, random, &mut actions);
            world.apply(&actions)?;
            if let State::Backoff { until } = worker.state() && !matches!(before.0, State::Backoff { .. }) {
                let delay = until - now;
                prop_assert!(delay >= policy.backoff_min && delay <= policy.backoff_max);
            }
            prop_assert_eq!(world.running.is_some(), matches!(
                worker.state(),
                State::Starting { .. } | State::Ready { .. } | State::Stopping
            ));
            prop_assert!(worker.failures() <= before.1 + 1);
        }
        // Whatever state that led to: a wanted worker whose child behaves gets up again, and soon.
        world.wanted = true;
        for _ in 0..8 {
            let event = match worker.state() {
                State::Stopped => Event::Start,
                State::Failed { retry_at } => { now = retry_at.max(now); Event::Start }
                State::Stopping => { world.running = None; Event::Exited(worker.generation()) }
                State::Backoff { until } => { now = until.max(now); Event::Tick }
                State::Starting { .. } => Event::Ready(worker.generation()),
                State::Ready { .. } => break,
            };
            let mut actions = Vec::new();
            worker.handle(event, now, 0, &mut actions);
            world.apply(&actions)?;
        }
        prop_assert!(matches!(worker.state(), State::Ready { .. }), "{:?}", worker.state());
        prop_assert!(world.up.is_some());
    }

    #[test]
    fn delays_are_bounded_and_their_lower_bound_only_grows(
        min in 1u64..5_000, max in 1u64..100_000, failures in 1u32..80, random in any::<u32>(),
    ) {
        let policy = Policy {
            backoff_min: Duration::from_millis(min), backoff_max: Duration::from_millis(max), ..Policy::default()
        };
        let delay = policy.delay(failures, random);
        prop_assert!(delay >= policy.backoff_min && delay <= policy.backoff_max.max(policy.backoff_min));
        prop_assert!(policy.delay(failures, 0) <= delay && delay <= policy.delay(failures, u32::MAX));
        prop_assert!(policy.delay(failures, 0) <= policy.delay(failures + 1, 0));
    }
}
