//! What an idle server costs: start to first answer, resident memory, and memory per idle legacy session.

use std::time::{Duration, Instant};

use crate::Result;
use crate::client::{Connection, Until, drive};
use crate::server::{Server, Start};
use crate::target::{Guards, Program, Shape, guarded, open_session, ping};

const STARTS: usize = 10;

/// Measures `ferromcp serve` with its defaults and prints a table.
///
/// # Errors
/// The server does not start, or an answer is wrong.
pub async fn run(sessions: usize) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(start_to_first_answer().await?);
    }
    starts.sort_unstable();
    let server = Server::start(Program::Ferromcp, &Start::default()).await?;
    // What happens after the first connection (lazy statics, first allocations) is part of being idle.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = server.resident_kib()?;
    let mut connection = Connection::open(server.address).await?;
    let first = open_session(&mut connection, "").await?;
    for _ in 1..sessions {
        open_session(&mut connection, "").await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = server.resident_kib()?;
    // A server that threw sessions away would look thrifty.
    ping(&mut connection, &first).await?;
    server.stop().await?;
    println!("| measure | value |");
    println!("|---|---:|");
    println!(
        "| start to first answer, median of {STARTS} | {:.1} ms |",
        starts[STARTS / 2].as_secs_f64() * 1e3
    );
    println!("| resident memory, idle | {:.1} MiB |", idle as f64 / 1024.0);
    println!(
        "| resident memory, {sessions} idle sessions | {:.1} MiB |",
        after as f64 / 1024.0
    );
    let each = after.saturating_sub(idle) as f64 / sessions.max(1) as f64;
    println!("| per idle session, first connection included | {each:.1} KiB |");
    Ok(())
}

/// From starting the process to the right answer of a tool call.
async fn start_to_first_answer() -> Result<Duration> {
    let call = guarded("start", Shape::Modern, Guards::Default, None);
    let begin = Instant::now();
    let server = Server::spawn(Program::Ferromcp, &Start::default())?;
    loop {
        match Connection::open(server.address).await {
            Ok(_) => break,
            Err(message) if begin.elapsed() > Duration::from_secs(60) => return Err(message),
            Err(_) => tokio::time::sleep(Duration::from_micros(200)).await,
        }
    }
    drive(call, server.site(), 0, Until::Count(1)).await?;
    let took = begin.elapsed();
    server.stop().await?;
    Ok(took)
}
