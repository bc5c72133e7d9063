//! Audit records to a collector: what arrives when it is well, slow, down, busy, or hangs up half way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, Served, eventually};

/// What a collector does with a request.
#[derive(Clone, Copy)]
enum Answer {
    /// Takes it.
    Ok,
    /// This status and these headers.
    Status(&'static str),
    /// Takes it, but for one record.
    Partial,
    /// Reads half of the request and hangs up.
    HangUp,
    /// Sends half of a good answer.
    Half,
    /// Answers nothing.
    Silence,
}

/// One request as it came.
struct Request {
    head: String,
    /// The bodies of the log records: lines of the audit log, or words on losses.
    records: Vec<String>,
    /// What was answered.
    taken: bool,
    at: Instant,
}

struct Collector {
    address: String,
    requests: Receiver<Request>,
}

impl Collector {
    /// Answers in turn as the script says, then always well.
    fn start(script: &'static [Answer]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    fn on(listener: TcpListener, script: &'static [Answer]) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = sync_channel(10_000);
        std::thread::spawn(move || {
            let mut script = script.iter().copied();
            for socket in listener.incoming().flatten() {
                serve(socket, &mut script, &sender);
            }
        });
        Self { address, requests }
    }

    /// Requests until `enough`.
    fn until(&self, mut enough: impl FnMut(&[Request]) -> bool) -> Vec<Request> {
        let mut all = Vec::new();
        while !enough(&all) {
            all.push(self.requests.recv_timeout(PATIENCE).expect("another request"));
        }
        all
    }
}

fn serve(socket: TcpStream, script: &mut impl Iterator<Item = Answer>, sender: &SyncSender<Request>) {
    let mut writer = socket.try_clone().unwrap();
    let mut reader = BufReader::new(socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(str::to_owned)
            })
            .and_then(|value| value.trim().parse::<usize>().ok())
            .unwrap();
        let answer = script.next().unwrap_or(Answer::Ok);
        let mut body = vec![
            0;
            if matches!(answer, Answer::HangUp) {
                length / 2
            } else {
                length
            }
        ];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let whole = body.len() == length;
        let request = Request {
            records: if whole { bodies(&body) } else { Vec::new() },
            head,
            taken: matches!(answer, Answer::Ok | Answer::Partial | Answer::Half),
            at: Instant::now(),
        };
        let ok = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n";
        let said = match answer {
            Answer::Ok => format!("{ok}Content-Length: 0\r\n\r\n"),
            Answer::Partial => format!("{ok}Content-Length: 10\r\n\r\n\n\x08\x08\x01\x12\x04full"),
            Answer::Half => format!("{ok}Content-Length: 10\r\n\r\n\n"),
            Answer::Status(status) => format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"),
            Answer::HangUp | Answer::Silence => String::new(),
        };
        let _ = writer.write_all(said.as_bytes());
        sender.send(request).unwrap();
        match answer {
            Answer::HangUp | Answer::Half => return,
            Answer::Silence => {
                // Until the other side gives up.
                let _ = reader.read(&mut [0]);
                return;
            }
            _ => {}
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().expect("a number");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return value;
        }
        shift += 7;
    }
}

/// The fields of a message that are messages or strings, by number. Panics where it is not protobuf.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                varint(&mut message);
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            kind => panic!("a field of kind {kind}"),
        };
        let (value, rest) = message.split_at(length);
        message = rest;
        if tag & 7 == 2 {
            found.push((tag >> 3, value));
        }
    }
    found
}

fn all(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(message)
        .into_iter()
        .filter(move |(n, _)| *n == number)
        .map(|(_, value)| value)
}

/// `resource_logs.scope_logs.log_records.body.string_value`.
fn bodies(request: &[u8]) -> Vec<String> {
    all(request, 1)
        .flat_map(|resource_logs| all(resource_logs, 2))
        .flat_map(|scope_logs| all(scope_logs, 2))
        .flat_map(|record| all(record, 5))
        .flat_map(|body| all(body, 1))
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

struct Gateway {
    directory: TempDir,
    served: Served,
}

impl Gateway {
    fn start(address: &str, more: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut otlp = json!({
            "endpoint": format!("http://{address}/v1/logs"), "interval": "50ms", "timeout": "2s", "headers": { "X-Key": "k1" },
        });
        for (key, value) in more.as_object().unwrap() {
            otlp[key] = value.clone();
        }
        let config = json!({ "audit": { "file": "audit", "otlp": otlp } });
        let file = directory.path().join("ferromcp.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        Self {
            served: Served::with_config(&file),
            directory,
        }
    }

    fn call(&self, number: usize) {
        let text = self
            .served
            .door
            .rest_text("echo", &json!({ "msg": format!("m{number}") }));
        assert_eq!(text, format!("m{number}"));
    }

    /// Ends it; returns how long that took and the lines of the log on disk.
    fn end(&mut self) -> (Duration, Vec<String>) {
        let since = Instant::now();
        self.served.process.signal(Signal::TERM);
        assert_eq!(self.served.process.exit_code(PATIENCE), 0);
        let took = since.elapsed();
        let mut lines = Vec::new();
        let mut files: Vec<_> = std::fs::read_dir(self.directory.path().join("audit"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
            .collect();
        files.sort();
        for file in files {
            lines.extend(std::fs::read_to_string(file).unwrap().lines().map(str::to_owned));
        }
        (took, lines)
    }
}

/// The lines that were taken, each once, in order.
fn taken(requests: &[Request]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for request in requests.iter().filter(|request| request.taken) {
        for line in &request.records {
            if !lines.contains(line) {
                lines.push(line.clone());
            }
        }
    }
    lines
}

fn is_close(line: &str) -> bool {
    line.contains(r#""note":"close""#)
}

fn closed(requests: &[Request]) -> bool {
    requests
        .iter()
        .any(|request| request.taken && request.records.iter().any(|line| is_close(line)))
}

#[test]
fn a_collector_gets_every_line_of_the_log() {
    let collector = Collector::start(&[]);
    let mut gateway = Gateway::start(&collector.address, &json!({}));
    for number in 0..20 {
        gateway.call(number);
    }
    let (_, lines) = gateway.end();
    let requests = collector.until(closed);
    assert_eq!(taken(&requests), lines);
    assert!(lines.len() > 20);
    let head = requests[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/logs http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf\r\n") && head.contains("x-key: k1\r\n"),
        "{head}"
    );
}

#[test]
fn what_a_collector_does_not_take_comes_again() {
    let collector = Collector::start(&[
        Answer::HangUp,
        Answer::Status("503 Service Unavailable"),
        Answer::Status("429 Too Many Requests\r\nRetry-After: 1"),
        Answer::Silence,
        Answer::Half,
    ]);
    let mut gateway = Gateway::start(&collector.address, &json!({}));
    gateway.call(1);
    let requests = collector.until(|requests| requests.iter().any(|request| request.taken));
    assert!(requests.len() >= 5);
    let waited = requests[3].at - requests[2].at;
    assert!(
        waited >= Duration::from_millis(990),
        "Retry-After was not heeded: {waited:?}"
    );
    gateway
        .served
        .process
        .stderr
        .wait(|line| line.contains("reach the collector again").then_some(()));
    let mut requests = requests;
    let (_, lines) = gateway.end();
    requests.extend(collector.until(closed));
    assert_eq!(taken(&requests), lines);
}

#[test]
fn what_is_refused_for_good_is_counted_and_told() {
    let collector = Collector::start(&[Answer::Status("401 Unauthorized"), Answer::Partial]);
    let mut gateway = Gateway::start(&collector.address, &json!({}));
    let refused = collector
        .until(|requests| requests.len() == 1)
        .remove(0)
        .records
        .len();
    gateway.call(1);
    let second = collector.until(|requests| requests.len() == 1).remove(0);
    let words = format!("{refused} audit records before this one could not be delivered");
    assert_eq!(second.records[0], words);
    gateway
        .served
        .process
        .stderr
        .wait(|line| line.contains("401").then_some(()));
    gateway.call(2);
    let third = collector.until(|requests| requests.len() == 1).remove(0);
    assert!(
        third.records[0].starts_with("1 audit records"),
        "{:?}",
        third.records
    );
    gateway
        .served
        .process
        .stderr
        .wait(|line| line.contains("rejected").then_some(()));
    gateway.end();
}

#[test]
fn calls_do_not_wait_for_a_collector_and_neither_does_the_end_for_ever() {
    // Accepts connections, and nothing else.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut gateway = Gateway::start(&address, &json!({ "queue": "64KiB", "timeout": "60s" }));
    // More than the queue holds.
    for number in 0..400 {
        gateway.call(number);
    }
    let (took, lines) = gateway.end();
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(lines.len() > 400);
    let told = gateway.served.process.stderr.all();
    assert!(
        told.iter()
            .any(|line| line.contains("have not reached the collector")),
        "{told:?}"
    );
}

#[test]
fn a_collector_that_comes_later_gets_what_waited() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody listens there now.
    drop(listener);
    let mut gateway = Gateway::start(&address.to_string(), &json!({}));
    gateway.call(1);
    gateway
        .served
        .process
        .stderr
        .wait(|line| line.contains("cannot be sent to the collector").then_some(()));
    let listener = eventually("the port is free again", || TcpListener::bind(address).ok());
    let collector = Collector::on(listener, &[]);
    let mut requests = collector.until(|requests| !requests.is_empty());
    let (_, lines) = gateway.end();
    requests.extend(collector.until(closed));
    assert_eq!(taken(&requests), lines);
}
