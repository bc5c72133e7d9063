//! Requests per second: server on one core, load on another, targets in turn, rounds interleaved.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::behind::Backed;
use crate::client::{Until, drive};
use crate::server::{Start, pin_ourselves};
use crate::target::{Program, Target};

const WARM_UP: Duration = Duration::from_millis(500);

/// How to measure.
#[derive(Debug)]
pub struct Options {
    /// Times that every target has its turn.
    pub rounds: usize,
    /// Seconds per turn, after the warm-up.
    pub seconds: f64,
    /// Keep-alive connections.
    pub connections: u64,
}

/// One turn of one target.
#[derive(Clone, Copy, Debug)]
struct Turn {
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    resident_kib: u64,
}

/// Measures and prints a table of medians.
///
/// # Errors
/// A server does not start, or any answer is wrong.
pub async fn run(targets: &[Target], options: &Options) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 {
        pin_ourselves(1)?;
    } else {
        println!("one core only: server and load share it, absolute figures mean little");
    }
    let start = Start {
        core: (cores > 1).then_some(0),
        single_thread: true,
        ..Start::default()
    };
    let mut turns: Vec<Vec<Turn>> = targets.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.rounds {
        for (target, turns) in targets.iter().zip(&mut turns) {
            let turn = turn(*target, &start, options).await?;
            println!("round {round}: {:<12} {:>8.0} req/s", target.name, turn.rate);
            turns.push(turn);
        }
    }
    print_table(targets, &turns, options);
    Ok(())
}

/// A fresh server for every turn: no target inherits another's heap.
async fn turn(target: Target, start: &Start, options: &Options) -> Result<Turn> {
    let backed = Backed::up(target, start, start.core.map(|_| 1)).await?;
    let server = backed.start(target).await?;
    let begin = Instant::now() + WARM_UP;
    let end = begin + Duration::from_secs_f64(options.seconds);
    let mut connections = JoinSet::new();
    for number in 0..options.connections {
        connections.spawn(drive(target, server.site(), number, Until::Time(begin, end)));
    }
    tokio::time::sleep_until(begin.into()).await;
    let (cpu_before, measured_from) = (server.cpu()?, Instant::now());
    tokio::time::sleep_until(end.into()).await;
    let (cpu_after, measured_for) = (server.cpu()?, measured_from.elapsed());
    let mut latencies = Vec::new();
    while let Some(joined) = connections.join_next().await {
        latencies.extend(joined.map_err(|error| error.to_string())??.latencies);
    }
    let resident_kib = server.resident_kib()?;
    server.stop().await?;
    backed.down().await?;
    if latencies.is_empty() {
        return Err(format!("{}: no answer in the whole turn", target.name));
    }
    latencies.sort_unstable();
    let count = latencies.len() as f64;
    Ok(Turn {
        rate: count / measured_for.as_secs_f64(),
        p50_us: percentile(&latencies, 0.50),
        p99_us: percentile(&latencies, 0.99),
        cpu_us: (cpu_after.saturating_sub(cpu_before)).as_secs_f64() * 1e6 / count,
        resident_kib,
    })
}

/// Of sorted latencies in 100 ns, in microseconds.
pub(crate) fn percentile(sorted: &[u32], fraction: f64) -> f64 {
    let index = ((sorted.len() as f64 - 1.0) * fraction).round() as usize;
    f64::from(sorted[index]) / 10.0
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print_table(targets: &[Target], turns: &[Vec<Turn>], options: &Options) {
    println!(
        "\n{} connections, {} rounds of {} s, medians; server on core 0, load on core 1",
        options.connections, options.rounds, options.seconds
    );
    println!("| target | req/s | p50 us | p99 us | CPU us/req | RSS MiB | vs hyper | vs rival |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    let rate_of = |name: &str| {
        let index = targets.iter().position(|target| target.name == name)?;
        Some(median(turns[index].iter().map(|turn| turn.rate).collect()))
    };
    for (target, turns) in targets.iter().zip(turns) {
        let of = |value: fn(&Turn) -> f64| median(turns.iter().map(value).collect());
        let rate = of(|turn| turn.rate);
        let ratio = |rival: Option<f64>| rival.map_or("-".to_owned(), |rival| format!("{:.2}", rate / rival));
        let ours = target.program == Program::Ferromcp;
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {} |",
            target.name,
            rate,
            of(|turn| turn.p50_us),
            of(|turn| turn.p99_us),
            of(|turn| turn.cpu_us),
            of(|turn| turn.resident_kib as f64) / 1024.0,
            ratio(if ours || target.program == Program::Rmcp {
                rate_of("hyper")
            } else {
                None
            }),
            ratio(target.rival.and_then(rate_of)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub(crate) fn percentiles_and_medians_are_of_the_values_given() {
        let sorted: Vec<u32> = (1..=100).map(|value| value * 10).collect();
        assert!((percentile(&sorted, 0.99) - 99.0).abs() < 0.01);
        assert!((percentile(&sorted, 0.0) - 1.0).abs() < 0.01);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
