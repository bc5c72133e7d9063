use std::sync::mpsc;

use ferromcp_core::record::Ending;
use ferromcp_core::{Door, ErrorCode, Operation, Principal, RequestId};

use super::*;

fn record<'a>(name: &'a str, principal: &'a Principal) -> CallRecord<'a> {
    CallRecord {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_709_210_096_000_001),
        request_id: RequestId::next(),
        door: Door::Rest,
        principal: Some(principal),
        client: Some("test"),
        operation: Operation::CallTool,
        name,
        source: None,
        ending: Ending::Failed(ErrorCode::ToolNotFound),
        rule: Some("a.rule"),
        latency: Duration::from_micros(12),
        flagged: None,
        arguments: None,
        traceparent: None,
        bytes_in: 3,
        bytes_out: 0,
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines(sink: &Sink) -> Vec<serde_json::Value> {
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn every_record_is_one_line_of_json_even_with_hostile_names() {
    let sink = Sink::default();
    let principal = Principal::local();
    let (log, writer) = CallLog::start(sink.clone()).unwrap();
    log.call_ended(&record("na\"me\n{}", &principal));
    log.call_ended(&record(&"é".repeat(10_000), &principal));
    drop(writer);
    let lines = lines(&sink);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["name"], "na\"me\n{}");
    assert_eq!(lines[0]["outcome"], "tool_not_found");
    assert_eq!(lines[0]["time"], "2024-02-29T12:34:56.000001Z");
    assert_eq!(lines[0]["tenant"], "local");
    assert_eq!(lines[0]["latency_us"], 12);
    assert_eq!(lines[1]["name"].as_str().unwrap().chars().count(), MAX_SHOWN);
}

#[test]
fn a_stuck_sink_drops_and_counts_but_never_blocks() {
    struct Stuck(mpsc::Receiver<()>, Sink);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Waits for the first message, then for nothing once the sender is gone.
            let _ = self.0.recv();
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let principal = Principal::local();
    let (release, gate) = mpsc::sync_channel(1);
    let (log, writer) = CallLog::start(Stuck(gate, sink.clone())).unwrap();
    let many = 2 * MAX_PENDING / 100;
    for _ in 0..many {
        log.call_ended(&record("n", &principal));
    }
    drop(release);
    drop(writer);
    let lines = lines(&sink);
    let dropped: u64 = lines.iter().filter_map(|l| l["dropped"].as_u64()).sum();
    let written = lines.iter().filter(|l| l["event"] == "call").count() as u64;
    assert!(dropped > 0);
    assert_eq!(written + dropped, many as u64);
}

#[test]
fn dates() {
    assert_eq!(civil(0), (1970, 1, 1));
    assert_eq!(civil(11_016), (2000, 2, 29));
    assert_eq!(civil(20_513), (2026, 3, 1));
}
