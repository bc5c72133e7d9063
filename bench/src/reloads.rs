//! Do calls feel a reload? Latency at a constant rate, while nothing changes and while the configuration does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Connection, Marked};
use crate::server::{Server, Start, beside_us};
use crate::settings::new_key;
use crate::target::{MARK, Program};
use crate::throughput::{Options, median, percentile};

/// Calls per second, by all connections together.
const RATE: u32 = 2000;
/// Connections for each kind of call.
const CONNECTIONS: u32 = 4;
/// Reloads in a row.
const SERIES: usize = 10;
/// Servers that no reload changes.
const KEPT: usize = 10;
/// How often the configuration changes.
const PACES: [(&str, Duration); 2] = [
    ("one a second", Duration::from_secs(1)),
    ("one after the other", Duration::ZERO),
];

/// What is called.
const KINDS: [(&str, &str); 3] = [
    ("built in", "echo"),
    ("server that stays", "kept-0__echo"),
    ("server that every reload replaces", "changed__echo"),
];

/// Measures and prints a table: medians over the rounds, ratios within a round.
///
/// # Errors
/// A server does not start, a reload is refused, or any answer is wrong.
pub async fn run(options: &Options, reloads: usize) -> Result<()> {
    for (pace, every) in PACES {
        at_pace(options, reloads, (pace, every)).await?;
    }
    Ok(())
}

async fn at_pace(options: &Options, reloads: usize, (pace, every): (&str, Duration)) -> Result<()> {
    let mut rows = vec![Vec::new(); KINDS.len()];
    let mut took = Vec::new();
    for _ in 0..options.rounds {
        let turn = turn(reloads, every).await?;
        for (row, phases) in rows.iter_mut().zip(turn.phases) {
            row.push(phases);
        }
        took.push(turn.took);
    }
    println!(
        "\n{reloads} reloads, {pace}, {} ms each, at {RATE} calls/s; {} children; server and load on {} cores",
        median(took).round(),
        KEPT + 1,
        std::thread::available_parallelism().map_or(1, usize::from),
    );
    println!(
        "| calls of | p50 us without | during | p99 us without | during | p99, during / without | best |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for ((name, _), row) in KINDS.iter().zip(&rows) {
        let of = |phase: usize, fraction: f64| {
            median(
                row.iter()
                    .map(|phases| percentile(&phases[phase], fraction))
                    .collect(),
            )
        };
        let mut ratios: Vec<f64> = row
            .iter()
            .map(|[without, during]| percentile(during, 0.99) / percentile(without, 0.99))
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} |",
            of(0, 0.5),
            of(1, 0.5),
            of(0, 0.99),
            of(1, 0.99),
            median(ratios.clone()),
            ratios[0],
        );
    }
    Ok(())
}

/// Sorted latencies while nothing changes and while the configuration does, in units of 100 ns.
type Phases = [Vec<u32>; 2];

struct Turn {
    /// For each of [`KINDS`].
    phases: Vec<Phases>,
    /// Of a reload, in milliseconds.
    took: f64,
}

const WARMING: usize = 0;
const WITHOUT: usize = 1;
const DURING: usize = 2;
const OVER: usize = 3;

async fn turn(reloads: usize, every: Duration) -> Result<Turn> {
    let quiet = (every * SERIES as u32).max(Duration::from_secs(1));
    let (key, hash) = new_key(&["--admin"])?;
    let admin = free_port()?;
    let config = Config::new(&hash, admin)?;
    let start = Start {
        config: Some(Arc::new(config.of(0))),
        ..Start::default()
    };
    let server = Server::start(Program::Ferromcp, &start).await?;
    for (_, tool) in KINDS {
        answered(&server, tool).await?;
    }
    let phase = Arc::new(AtomicUsize::new(WARMING));
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS * KINDS.len() as u32 {
        callers.spawn(call(server.site().address, number, Arc::clone(&phase)));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut admin = Connection::open(([127, 0, 0, 1], admin).into()).await?;
    let request = format!(
        "POST /admin/v1/reload HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-length: 0\r\n\r\n"
    );
    let mut took = Duration::ZERO;
    for round in 1..=reloads {
        // Quiet times as long as the others, between them: what else the machine does is in both.
        if round % SERIES == 1 {
            phase.store(WITHOUT, Ordering::Relaxed);
            tokio::time::sleep(quiet).await;
            phase.store(DURING, Ordering::Relaxed);
        }
        let begun = Instant::now();
        server.rewrite(&config.of(round))?;
        let answer = admin
            .exchange(request.as_bytes())
            .await
            .map_err(|message| format!("reload {round}: {message}"))?;
        if answer.status != 200 {
            let said = String::from_utf8_lossy(answer.body);
            return Err(format!("reload {round}, status {}: {said}", answer.status));
        }
        took += begun.elapsed();
        tokio::time::sleep_until((begun + every).into()).await;
    }
    phase.store(OVER, Ordering::Relaxed);
    let mut phases: Vec<Phases> = vec![Phases::default(); KINDS.len()];
    while let Some(joined) = callers.join_next().await {
        let (kind, mut seen) = joined.map_err(|error| error.to_string())??;
        for (all, seen) in phases[kind].iter_mut().zip(&mut seen) {
            all.append(seen);
        }
    }
    server.stop().await?;
    for latencies in phases.iter_mut().flatten() {
        latencies.sort_unstable();
    }
    if phases.iter().flatten().any(Vec::is_empty) {
        return Err("there is nothing to compare: take more reloads".to_owned());
    }
    Ok(Turn {
        phases,
        took: took.as_secs_f64() * 1e3 / reloads as f64,
    })
}

fn free_port() -> Result<u16> {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port: {error}"))
}

/// The configurations that take turns.
struct Config {
    admin: Value,
    program: String,
}

impl Config {
    fn new(hash: &str, port: u16) -> Result<Self> {
        Ok(Self {
            admin: json!({ "listen": format!("127.0.0.1:{port}"), "keys": [hash], "store": "store" }),
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
async fn call(
    address: std::net::SocketAddr,
    number: u32,
    phase: Arc<AtomicUsize>,
) -> Result<(usize, Phases)> {
    let kind = number as usize % KINDS.len();
    let mut connection = Connection::open(address).await?;
    let mut request = request(KINDS[kind].1)?;
    let every = Duration::from_secs(1) * CONNECTIONS * KINDS.len() as u32 / RATE;
    // Not all connections at the same moment.
    let mut due = Instant::now() + every * number / (CONNECTIONS * KINDS.len() as u32);
    let mut seen = Phases::default();
    for count in 0.. {
        let begun = if Instant::now() < due {
            tokio::time::sleep_until(due.into()).await;
            // Timers are late by up to a millisecond, which is not the server's doing.
            Instant::now()
        } else {
            due
        };
        let now = phase.load(Ordering::Relaxed);
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
            seen[now - WITHOUT].push((begun.elapsed().as_nanos() / 100) as u32);
        }
        due += every;
    }
    Ok((kind, seen))
}
