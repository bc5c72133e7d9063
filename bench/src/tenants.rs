//! What many tenants cost: start to first answer, resident memory, and CPU per request, by their number.

use std::time::Duration;

use crate::Result;
use crate::client::{Connection, Until, drive};
use crate::server::{Server, Start};
use crate::target::{Guards, Program, Shape, Target, guarded};
use crate::throughput::median;

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: usize = 3;
const REQUESTS: u64 = 20_000;

const CALL: Target = guarded("tenants", Shape::Rest, Guards::On, None);

/// Measures and prints a table: medians of a few starts each, in turns.
///
/// # Errors
/// A server does not start, or an answer is wrong.
pub async fn run() -> Result<()> {
    let mut rows = COUNTS.map(|count| (count, Vec::new()));
    for _ in 0..ROUNDS {
        for (count, turns) in &mut rows {
            turns.push(turn(*count).await?);
        }
    }
    println!("| tenants | start to first answer | resident memory | CPU per request |");
    println!("|---:|---:|---:|---:|");
    for (count, turns) in rows {
        let of = |value: fn(&Turn) -> f64| median(turns.iter().map(value).collect());
        println!(
            "| {count} | {:.0} ms | {:.1} MiB | {:.1} us |",
            of(|turn| turn.start.as_secs_f64() * 1e3),
            of(|turn| turn.resident as f64 / 1024.0),
            of(|turn| turn.cpu.as_secs_f64() * 1e6 / REQUESTS as f64),
        );
    }
    Ok(())
}

struct Turn {
    start: Duration,
    /// In KiB.
    resident: u64,
    /// Of all requests.
    cpu: Duration,
}

async fn turn(tenants: usize) -> Result<Turn> {
    let how = Start {
        single_thread: true,
        tenants,
        ..Start::default()
    };
    let server = Server::spawn(Program::Ferromcp, &how)?;
    loop {
        match Connection::open(server.address).await {
            Ok(_) => break,
            Err(message) if server.started.elapsed() > Duration::from_secs(60) => return Err(message),
            Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
        }
    }
    drive(CALL, server.site(), 0, Until::Count(1)).await?;
    let start = server.started.elapsed();
    drive(CALL, server.site(), 1, Until::Count(1_000)).await?;
    let resident = server.resident_kib()?;
    let before = server.cpu()?;
    drive(CALL, server.site(), 2, Until::Count(REQUESTS)).await?;
    let cpu = server.cpu()?.saturating_sub(before);
    server.stop().await?;
    Ok(Turn { start, resident, cpu })
}
