//! Does one tenant feel another one that floods? Latency of a quiet tenant alone, and beside the flood.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Connection, Marked};
use crate::server::{Server, Site, Start, pin_ourselves};
use crate::settings::FLOODER_RATE;
use crate::target::{Guards, Program, Shape, Target, guarded};
use crate::throughput::{Options, median, percentile};

/// The quiet tenant sends this many requests a second, over this many connections.
const QUIET_RATE: u32 = 500;
const QUIET_CONNECTIONS: u32 = 4;
/// The flood, as a multiple of what the flooding tenant may send.
const FLOOD_FACTOR: u32 = 100;

const CALL: Target = guarded("isolation", Shape::Rest, Guards::On, None);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    None,
    /// So many requests in a second, whatever the answers take.
    Paced(u32),
    /// As fast as the connections can.
    Closed,
}

/// Measures and prints a table: medians over the rounds, ratios within a round.
///
/// # Errors
/// A server does not start, or the quiet tenant gets a wrong answer.
pub async fn run(options: &Options) -> Result<()> {
    if std::thread::available_parallelism().map_or(1, usize::from) > 1 {
        pin_ourselves(1)?;
    }
    let floods = [
        ("alone", Flood::None),
        (
            "flood at 100 times its rate",
            Flood::Paced(FLOODER_RATE * FLOOD_FACTOR),
        ),
        ("flood without pause", Flood::Closed),
    ];
    let mut rows = vec![Vec::new(); floods.len()];
    for _ in 0..options.rounds {
        for ((_, flood), row) in floods.iter().zip(&mut rows) {
            row.push(turn(*flood, options).await?);
        }
    }
    println!(
        "| quiet tenant | p50 us | p99 us | p99 vs alone, median | best | answers to the flood, all / refused |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for ((name, _), row) in floods.iter().zip(&rows) {
        let mut ratios: Vec<f64> = row
            .iter()
            .zip(&rows[0])
            .map(|(turn, alone)| turn.p99 / alone.p99)
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.2} | {} / {} |",
            median(row.iter().map(|turn| turn.p50).collect()),
            median(row.iter().map(|turn| turn.p99).collect()),
            median(ratios.clone()),
            ratios[0],
            row.iter().map(|turn| turn.flooded).sum::<u64>(),
            row.iter().map(|turn| turn.refused).sum::<u64>(),
        );
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    p50: f64,
    p99: f64,
    flooded: u64,
    refused: u64,
}

async fn turn(flood: Flood, options: &Options) -> Result<Turn> {
    let start = Start {
        core: Some(0),
        single_thread: true,
        guards: Guards::On,
        ..Start::default()
    };
    let server = Server::start(Program::Ferromcp, &start).await?;
    let begin = Instant::now() + Duration::from_millis(500);
    let end = begin + Duration::from_secs_f64(options.seconds);
    let mut flooding = JoinSet::new();
    let connections = u32::try_from(options.connections).unwrap_or(32);
    for number in 0..connections {
        let pause = match flood {
            Flood::None => break,
            Flood::Paced(rate) => Some(Duration::from_secs(1) * connections / rate),
            Flood::Closed => None,
        };
        flooding.spawn(send(
            server.second_site(),
            u64::from(number),
            pause,
            (begin, end),
            true,
        ));
    }
    let mut quiet = JoinSet::new();
    let pause = Duration::from_secs(1) * QUIET_CONNECTIONS / QUIET_RATE;
    for number in 0..QUIET_CONNECTIONS {
        let number = 1000 + u64::from(number);
        quiet.spawn(send(server.site(), number, Some(pause), (begin, end), false));
    }
    let mut latencies = Vec::new();
    while let Some(joined) = quiet.join_next().await {
        latencies.extend(joined.map_err(|error| error.to_string())??.latencies);
    }
    let (mut flooded, mut refused) = (0, 0);
    while let Some(joined) = flooding.join_next().await {
        let sent = joined.map_err(|error| error.to_string())??;
        flooded += sent.answers;
        refused += sent.refused;
    }
    server.stop().await?;
    if latencies.is_empty() {
        return Err("the quiet tenant got no answer".to_owned());
    }
    if flood != Flood::None && refused == 0 {
        return Err("nothing of the flood was refused: it was none".to_owned());
    }
    latencies.sort_unstable();
    Ok(Turn {
        p50: percentile(&latencies, 0.50),
        p99: percentile(&latencies, 0.99),
        flooded,
        refused,
    })
}

#[derive(Debug, Default)]
struct Sent {
    /// In units of 100 ns.
    latencies: Vec<u32>,
    answers: u64,
    refused: u64,
}

async fn send(
    site: Site,
    number: u64,
    pause: Option<Duration>,
    (begin, end): (Instant, Instant),
    may_be_refused: bool,
) -> Result<Sent> {
    let mut connection = Connection::open(site.address).await?;
    let mut request = Marked::new(CALL.request(&mut connection, site.key.as_deref()).await?)?;
    let mut sent = Sent::default();
    // Not all connections at the same moment.
    let mut due = Instant::now() + pause.unwrap_or_default() * (number % 32) as u32 / 32;
    while due < end {
        if pause.is_some() {
            tokio::time::sleep_until(due.into()).await;
        }
        let started = Instant::now();
        request.renew(number * 1_000_000 + sent.answers);
        let status = connection.exchange(&request.bytes).await?.status;
        let now = Instant::now();
        sent.answers += 1;
        match status {
            200 => {}
            429 if may_be_refused => sent.refused += 1,
            other => return Err(format!("status {other} for a tenant that did nothing wrong")),
        }
        if started >= begin && !may_be_refused {
            sent.latencies.push(((now - started).as_nanos() / 100) as u32);
        }
        due = match pause {
            Some(pause) => due + pause,
            None => now,
        };
    }
    Ok(sent)
}
