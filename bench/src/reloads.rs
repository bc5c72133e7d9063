//! Do calls feel a reload? Latency at a constant rate, while nothing changes and while the configuration does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Connection, Marked};
use crate::server::{Server, Start, beside_us, free_address};
use crate::settings::new_key;
use crate::target::{MARK, Program};
use crate::throughput::{median, percentile};

/// Calls per second, by all connections together.
const RATE: u32 = 2000;
/// Connections for each kind of call.
const CONNECTIONS: u32 = 4;
/// Nothing changes and the configuration does, in turn, each for so long. Percentiles are of one such time, and what is
/// printed is the median of those: times in which the machine had no core for us count like any other, once.
const WINDOW: Duration = Duration::from_secs(1);
/// p99 while the configuration changes once a second, as a multiple of the one while it does not.
const GOAL: f64 = 2.0;
/// Servers that no reload changes.
const KEPT: usize = 10;

/// How the configuration changes.
#[derive(Clone, Copy)]
enum Pace {
    Each,
    WithoutPause,
}

/// What is called.
const KINDS: [(&str, &str); 3] = [
    ("built in", "echo"),
    ("server that stays", "kept-0__echo"),
    ("server that every reload replaces", "changed__echo"),
];

/// Measures and prints a table for each pace.
///
/// # Errors
/// A server does not start, a reload is refused, or any answer is wrong.
pub async fn run(reloads: usize) -> Result<()> {
    for pace in [Pace::Each, Pace::WithoutPause] {
        let measured = measured(reloads, pace).await?;
        let named = match pace {
            Pace::Each => "one a second",
            Pace::WithoutPause => "one after the other",
        };
        println!(
            "\n{} reloads, {named}, {:.1} ms each; {RATE} calls/s; {} children; server and load on {} cores; medians of {} times of 1 s",
            measured.reloads,
            measured.took.as_secs_f64() * 1e3 / measured.reloads as f64,
            KEPT + 1,
            std::thread::available_parallelism().map_or(1, usize::from),
            measured.kinds[0].len().div_ceil(2),
        );
        println!("| calls of | p50 us without | during | p99 us without | during | p99, during / without |");
        println!("|---|---:|---:|---:|---:|---:|");
        let mut worst = 0.0_f64;
        for ((name, _), windows) in KINDS.iter().zip(&measured.kinds) {
            let [p50, p99] = [0.5, 0.99].map(|fraction| {
                [0, 1].map(|during| {
                    let of_kind = windows.iter().skip(during).step_by(2);
                    median(of_kind.map(|window| percentile(window, fraction)).collect())
                })
            });
            let ratio = p99[1] / p99[0];
            worst = worst.max(ratio);
            println!(
                "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} |",
                p50[0], p50[1], p99[0], p99[1], ratio,
            );
        }
        if matches!(pace, Pace::Each) {
            let verdict = if worst <= GOAL { "met" } else { "missed" };
            println!("goal, p99 within {GOAL} of the one without: {verdict}");
        }
    }
    Ok(())
}

/// Sorted latencies in units of 100 ns, by the time in which a call began: nothing changed in the even ones.
type Windows = Vec<Vec<u32>>;

struct Measured {
    /// For each of [`KINDS`].
    kinds: Vec<Windows>,
    reloads: usize,
    took: Duration,
}

const WARMING: usize = usize::MAX;
const OVER: usize = usize::MAX - 1;

async fn measured(reloads: usize, pace: Pace) -> Result<Measured> {
    let (key, hash) = new_key(&["--admin"])?;
    let admin = free_address()?;
    let config = Config::new(&hash, admin)?;
    let start = Start {
        config: Some(Arc::new(config.of(0))),
        ..Start::default()
    };
    let server = Server::start(Program::Ferromcp, &start).await?;
    for (_, tool) in KINDS {
        answered(&server, tool).await?;
    }
    let window = Arc::new(AtomicUsize::new(WARMING));
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS * KINDS.len() as u32 {
        callers.spawn(call(server.site().address, number, Arc::clone(&window)));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut admin = Connection::open(admin).await?;
    let request = format!(
        "POST /admin/v1/reload HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-length: 0\r\n\r\n"
    );
    let (mut done, mut took) = (0, Duration::ZERO);
    for pair in 0.. {
        window.store(2 * pair, Ordering::Relaxed);
        tokio::time::sleep(WINDOW).await;
        if done >= reloads {
            break;
        }
        let end = Instant::now() + WINDOW;
        window.store(2 * pair + 1, Ordering::Relaxed);
        while Instant::now() < end {
            done += 1;
            let begun = Instant::now();
            server.rewrite(&config.of(done))?;
            let answer = admin
                .exchange(request.as_bytes())
                .await
                .map_err(|message| format!("reload {done}: {message}"))?;
            if answer.status != 200 {
                let said = String::from_utf8_lossy(answer.body);
                return Err(format!("reload {done}, status {}: {said}", answer.status));
            }
            took += begun.elapsed();
            if matches!(pace, Pace::Each) {
                tokio::time::sleep_until(end.into()).await;
            }
        }
    }
    window.store(OVER, Ordering::Relaxed);
    let mut kinds: Vec<Windows> = vec![Windows::new(); KINDS.len()];
    while let Some(joined) = callers.join_next().await {
        let (kind, seen) = joined.map_err(|error| error.to_string())??;
        for (number, mut seen) in seen.into_iter().enumerate() {
            at(&mut kinds[kind], number).append(&mut seen);
        }
    }
    server.stop().await?;
    for latencies in kinds.iter_mut().flatten() {
        latencies.sort_unstable();
        if latencies.is_empty() {
            return Err(format!(
                "a caller made no call in {WINDOW:?}: the machine is too busy to measure"
            ));
        }
    }
    Ok(Measured {
        kinds,
        reloads: done,
        took,
    })
}

fn at(windows: &mut Windows, number: usize) -> &mut Vec<u32> {
    if windows.len() <= number {
        windows.resize_with(number + 1, Vec::new);
    }
    &mut windows[number]
}

/// The configurations that take turns.
struct Config {
    admin: Value,
    program: String,
}

impl Config {
    fn new(hash: &str, admin: SocketAddr) -> Result<Self> {
        Ok(Self {
            admin: json!({ "listen": admin, "keys": [hash], "store": "store" }),
            program: beside_us("upstream-echo")?.to_string_lossy().into_owned(),
        })
    }

    /// Another environment of one server, one server more every other time, a tenant and a limit that are new.
    fn of(&self, round: usize) -> Value {
        let server = |mark: usize| {
            json!({
                "command": self.program,
                "era": "modern",
                "env": { "ROUND": mark.to_string() },
            })
        };
        let mut servers: serde_json::Map<_, _> = (0..KEPT)
            .map(|number| (format!("kept-{number}"), server(0)))
            .collect();
        servers.insert("changed".into(), server(round));
        if round % 2 == 1 {
            servers.insert("sometimes".into(), server(0));
        }
        json!({
            "admin": self.admin,
            "auth": { "anonymous": "local" },
            "servers": servers,
            "limits": { "max_in_flight": 1000 + round },
            "tenants": { format!("t{round}"): { "tools": { "allow": ["echo"] } } },
        })
    }
}

fn request(tool: &str) -> Result<Marked> {
    let body = json!({ "tool": tool, "arguments": { "msg": MARK } }).to_string();
    let head = format!(
        "POST /v1/tools/call HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Marked::new([head, body].concat().into_bytes())
}

/// Waits until the tool answers.
async fn answered(server: &Server, tool: &str) -> Result<()> {
    let mut connection = Connection::open(server.address).await?;
    let request = request(tool)?;
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = connection.exchange(&request.bytes).await?;
        if answer.status == 200 {
            return Ok(());
        }
        if Instant::now() > deadline {
            let said = String::from_utf8_lossy(answer.body);
            return Err(format!("{tool} does not answer: {said}"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Calls at a constant rate until it is over. A call that is due while the one before has no answer yet waits, and the wait
/// counts.
async fn call(address: SocketAddr, number: u32, window: Arc<AtomicUsize>) -> Result<(usize, Windows)> {
    let kind = number as usize % KINDS.len();
    let mut connection = Connection::open(address).await?;
    let mut request = request(KINDS[kind].1)?;
    let every = Duration::from_secs(1) * CONNECTIONS * KINDS.len() as u32 / RATE;
    // Not all connections at the same moment.
    let mut due = Instant::now() + every * number / (CONNECTIONS * KINDS.len() as u32);
    let mut seen = Windows::new();
    for count in 0.. {
        let begun = if Instant::now() < due {
            tokio::time::sleep_until(due.into()).await;
            // Timers are late by up to a millisecond, which is not the server's doing.
            Instant::now()
        } else {
            due
        };
        let now = window.load(Ordering::Relaxed);
        if now == OVER {
            break;
        }
        request.renew(u64::from(number) * 100_000_000 + count);
        let answer = connection
            .exchange(&request.bytes)
            .await
            .map_err(|message| format!("{}, call {count}: {message}", KINDS[kind].1))?;
        if answer.status != 200 || memmem::find(answer.body, request.mark()).is_none() {
            let said = String::from_utf8_lossy(answer.body);
            return Err(format!(
                "{}: wrong answer, status {}: {said}",
                KINDS[kind].1, answer.status
            ));
        }
        if now != WARMING {
            at(&mut seen, now).push((begun.elapsed().as_nanos() / 100) as u32);
        }
        due += every;
    }
    Ok((kind, seen))
}
