use super::{LINES_PER_WINDOW, Sink, TAIL_LINE_BYTES, TAIL_LINES, Tail, capture, clean};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

#[derive(Debug, PartialEq)]
enum Out {
    Line(String),
    Suppressed(u64),
}

impl Sink for SyncSender<Out> {
    fn line(&mut self, line: &str) {
        self.send(Out::Line(line.to_owned())).unwrap();
    }
    fn suppressed(&mut self, lines: u64) {
        self.send(Out::Suppressed(lines)).unwrap();
    }
}

/// All in one window.
async fn captured(input: Vec<u8>) -> (Vec<Out>, Vec<String>) {
    let (tx, rx) = sync_channel(10_000);
    let tail = Tail::default();
    capture(&input[..], tail.clone(), tx, Duration::from_secs(3600)).await;
    (rx.iter().collect(), tail.lines())
}

#[tokio::test]
async fn a_flood_is_cut_and_counted() {
    let flood: String = (0..1000).map(|i| format!("line {i}\n")).collect();
    let (out, tail) = captured(flood.into_bytes()).await;
    let limit = LINES_PER_WINDOW as usize;
    assert_eq!(out.len(), limit + 1);
    assert_eq!(out[limit - 1], Out::Line(format!("line {}", limit - 1)));
    assert_eq!(out[limit], Out::Suppressed(1000 - limit as u64));
    assert_eq!(tail.len(), TAIL_LINES);
    assert_eq!(tail.last().unwrap(), "line 999");
}

#[tokio::test]
async fn the_note_comes_without_waiting_for_another_line_and_the_next_window_logs_again() {
    let (mut write, read) = tokio::io::duplex(1 << 20);
    let (tx, rx) = sync_channel(10_000);
    let task = tokio::spawn(capture(read, Tail::default(), tx, Duration::from_millis(100)));
    let (mut told, mut cut) = (0, 0);
    let next = async || {
        loop {
            match rx.try_recv() {
                Ok(out) => return out,
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    write.write_all("x\n".repeat(5000).as_bytes()).await.unwrap();
    while told + cut < 5000 {
        match next().await {
            Out::Line(line) => told += u64::from(line == "x"),
            Out::Suppressed(lines) => cut += lines,
        }
    }
    assert!(
        cut > 0 && told >= u64::from(LINES_PER_WINDOW),
        "{told} logged, {cut} suppressed"
    );
    write.write_all(b"again\n").await.unwrap();
    assert_eq!(next().await, Out::Line("again".into()));
    drop(write);
    task.await.unwrap();
}

#[tokio::test]
async fn long_broken_and_unfinished_lines_are_shown_as_far_as_possible() {
    let mut input = vec![b'y'; 100_000];
    input.extend(b"\nbad \xff byte\nend");
    let (out, tail) = captured(input).await;
    let Out::Line(first) = &out[0] else {
        panic!("{out:?}")
    };
    assert!(first.ends_with("y... (line cut)") && first.len() < 2000);
    assert_eq!(
        out[1..],
        [Out::Line("bad \u{fffd} byte".into()), Out::Line("end".into())]
    );
    assert_eq!(tail[0].len(), TAIL_LINE_BYTES);
}

#[test]
fn control_characters_do_not_reach_the_log() {
    assert_eq!(
        clean(b"\x1b[1;31mred\x1b[0m\tok\x07\x1b]0;t"),
        "red\tok\u{fffd}\u{fffd}]0;t"
    );
    assert_eq!(clean(b"\x1b["), "");
}
