use std::time::Duration;

use super::{BATCH_BYTES, BATCH_LINES, Queue};

const LONG: Duration = Duration::from_secs(3600);

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

#[test]
fn what_has_no_room_is_counted_and_whole_lines_stay_whole() {
    let queue = Queue::new(10);
    assert_eq!(queue.push(b"1234\n5678\n9\n"), 1);
    assert_eq!(queue.push(b"x\n"), 1);
    queue.close(LONG);
    let batch = block_on(queue.next(LONG)).unwrap();
    assert_eq!(
        (batch.lines.as_slice(), batch.lost),
        (b"1234\n5678\n".as_slice(), 2)
    );
    // What is being sent takes room until it is done with.
    assert_eq!(queue.push(b"x\n"), 1);
    queue.done(0);
    assert_eq!(queue.push(b"x\n"), 0);
    let batch = block_on(queue.next(LONG)).unwrap();
    assert_eq!((batch.lines.as_slice(), batch.lost), (b"x\n".as_slice(), 1));
    queue.done(1);
    assert_eq!(queue.give_up(), 1);
    assert!(block_on(queue.next(LONG)).is_none());
}

#[test]
fn batches_are_bounded_and_come_at_once_when_they_are_full() {
    let queue = Queue::new(1 << 20);
    let line = [vec![b'x'; 99], vec![b'\n']].concat();
    let lines = line.repeat(BATCH_BYTES / 100 + 5);
    assert_eq!(queue.push(&lines), 0);
    // Nothing is closed and the time is long: it comes because there is enough.
    let first = block_on(queue.next(LONG)).unwrap();
    assert!(first.lines.len() <= BATCH_BYTES && first.lines.ends_with(b"x\n"));
    queue.done(0);
    queue.close(LONG);
    let mut all = first.lines.len();
    while let Some(batch) = block_on(queue.next(LONG)) {
        all += batch.lines.len();
        queue.done(0);
    }
    assert_eq!(all, lines.len());

    let queue = Queue::new(1 << 20);
    queue.push(&b"\n".repeat(BATCH_LINES + 1));
    queue.close(LONG);
    assert_eq!(block_on(queue.next(LONG)).unwrap().lines.len(), BATCH_LINES);
    assert_eq!(block_on(queue.next(LONG)).unwrap().lines.len(), 1);
}

#[test]
fn a_line_longer_than_a_batch_goes_by_itself() {
    let queue = Queue::new(4 << 20);
    let long = [vec![b'x'; 2 * BATCH_BYTES], vec![b'\n']].concat();
    queue.push(&long);
    queue.push(b"short\n");
    queue.close(LONG);
    assert_eq!(block_on(queue.next(LONG)).unwrap().lines.len(), long.len());
    assert_eq!(block_on(queue.next(LONG)).unwrap().lines, b"short\n");
}

#[test]
fn a_close_ends_a_pause_and_a_gathering() {
    let queue = std::sync::Arc::new(Queue::new(100));
    queue.push(b"1\n");
    let theirs = std::sync::Arc::clone(&queue);
    let waiting = std::thread::spawn(move || {
        block_on(async {
            theirs.pause(LONG).await;
            theirs.next(LONG).await.unwrap().lines
        })
    });
    queue.close(LONG);
    assert_eq!(waiting.join().unwrap(), b"1\n");
}
