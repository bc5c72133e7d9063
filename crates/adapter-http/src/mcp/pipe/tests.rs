use std::task::Waker;

use super::*;

/// All that a reader finds now: places and lengths, and whether that was the end.
fn drain(pipe: &Pipe, reader: u32) -> (Vec<(u64, usize)>, bool) {
    let cx = Context::from_waker(Waker::noop());
    let mut found = Vec::new();
    loop {
        let mut seen = None;
        let read = pipe.read(reader, &cx, |place, json| {
            seen = Some((place, json.len()));
            Bytes::new()
        });
        match read {
            Poll::Ready(Some(_)) => found.extend(seen),
            Poll::Ready(None) => return (found, true),
            Poll::Pending => return (found, false),
        }
    }
}

fn places(found: &[(u64, usize)]) -> Vec<u64> {
    found.iter().map(|(place, _)| *place).collect()
}

#[test]
fn messages_are_read_once_and_go() {
    let pipe = Pipe::new(true);
    assert!(!pipe.wants_stream());
    assert!(pipe.send(vec![0; 3]));
    assert!(pipe.wants_stream());
    let reader = pipe.attach(0);
    assert_eq!(drain(&pipe, reader), (vec![(1, 3)], false));
    assert!(pipe.send(vec![0; 4]));
    pipe.end(Some(vec![0; 5]));
    assert!(!pipe.send(vec![0; 6]), "nothing comes after the end");
    assert_eq!(drain(&pipe, reader), (vec![(2, 4), (3, 5)], true));
    assert_eq!(pipe.state().bytes, 0);
}

#[test]
fn a_pipe_that_reaches_nobody_takes_nothing() {
    let pipe = Pipe::new(false);
    assert!(!pipe.send(vec![0; 3]));
    assert!(!pipe.wants_stream());
}

#[test]
fn kept_messages_are_read_again_by_the_latest_reader_only() {
    let budget = Arc::new(Budget::new(1000));
    let pipe = Pipe::new(true);
    assert!(pipe.send(vec![0; 10]));
    pipe.keep(&budget);
    assert!(pipe.send(vec![0; 20]));
    assert_eq!(budget.used(), 30);
    let first = pipe.attach(0);
    assert_eq!(places(&drain(&pipe, first).0), [1, 2]);
    let second = pipe.attach(1);
    assert_eq!(drain(&pipe, first), (vec![], true));
    assert_eq!(places(&drain(&pipe, second).0), [2]);
    pipe.end(None);
    let third = pipe.attach(7);
    assert_eq!(drain(&pipe, third), (vec![], true));
    drop(pipe);
    assert_eq!(budget.used(), 0);
}

#[test]
fn the_oldest_messages_go_when_there_are_too_many() {
    let pipe = Pipe::new(true);
    for _ in 0..MAX_MESSAGES + 10 {
        assert!(pipe.send(vec![0]));
    }
    pipe.end(Some(vec![0; 2]));
    let reader = pipe.attach(0);
    let (found, ended) = drain(&pipe, reader);
    assert!(ended);
    assert_eq!(found.len(), MAX_MESSAGES);
    assert_eq!(found.last(), Some(&(MAX_MESSAGES as u64 + 11, 2)));
}

#[test]
fn the_answer_is_never_dropped_for_its_size() {
    let pipe = Pipe::new(true);
    assert!(pipe.send(vec![0; MAX_BYTES]));
    assert!(!pipe.send(vec![0; MAX_BYTES + 1]));
    pipe.end(Some(vec![0; MAX_BYTES + 1]));
    let reader = pipe.attach(0);
    assert_eq!(drain(&pipe, reader), (vec![(2, MAX_BYTES + 1)], true));
}

#[test]
fn without_budget_what_was_read_goes_first_and_then_nothing_new_is_taken() {
    let budget = Arc::new(Budget::new(100));
    let pipe = Pipe::new(true);
    pipe.keep(&budget);
    let reader = pipe.attach(0);
    assert!(pipe.send(vec![0; 60]));
    assert!(!pipe.send(vec![0; 60]), "the first was not read yet");
    assert_eq!(places(&drain(&pipe, reader).0), [1]);
    assert!(pipe.send(vec![0; 60]), "the first was read and goes");
    pipe.end(Some(vec![0; 70]));
    assert_eq!(drain(&pipe, reader), (vec![(2, 60), (3, 70)], true));
    assert_eq!(budget.used(), 130);
}
