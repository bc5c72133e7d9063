//! Instructions per request under callgrind: user code, one connection, one thread. Noise does not touch it.
//!
//! A run of N and a run of 2N requests: their difference over N has no start-up, no warm-up and no end in it.

use std::process::{Command, Stdio};

use crate::Result;
use crate::client::{Until, drive};
use crate::server::{Server, Start};
use crate::target::{Program, Target};

/// Measures and prints a table.
///
/// # Errors
/// valgrind is missing, a server does not start, or any answer is wrong.
pub async fn run(targets: &[Target], requests: u64) -> Result<()> {
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !valgrind.is_ok_and(|status| status.success()) {
        return Err("valgrind is not installed (Debian: apt-get install valgrind)".to_owned());
    }
    println!("| target | instructions per request | vs hyper | vs rival |");
    println!("|---|---:|---:|---:|");
    let mut known: Vec<(&str, f64)> = Vec::new();
    for target in targets {
        let once = total(*target, requests).await?;
        let twice = total(*target, 2 * requests).await?;
        let each = twice.saturating_sub(once) as f64 / requests as f64;
        let against = |name: Option<&str>| {
            let base = name.and_then(|name| known.iter().find(|(known, _)| *known == name));
            base.map_or("-".to_owned(), |(_, base)| format!("{:.2}", each / base))
        };
        let hyper = (target.program != Program::Hyper).then_some("hyper");
        println!(
            "| {} | {each:.0} | {} | {} |",
            target.name,
            against(hyper),
            against(target.rival)
        );
        known.push((target.name, each));
    }
    Ok(())
}

/// All instructions of a server's life in which it answered `requests`.
async fn total(target: Target, requests: u64) -> Result<u64> {
    let file = std::env::temp_dir().join(format!("callgrind-{}-{}", std::process::id(), target.name));
    let wrapper = ["valgrind", "--tool=callgrind", "--quiet"].map(str::to_owned);
    let mut start = Start {
        single_thread: true,
        guards: target.guards,
        wrapper: wrapper.to_vec(),
        ..Start::default()
    };
    start
        .wrapper
        .push(format!("--callgrind-out-file={}", file.display()));
    let server = Server::start(target.program, &start).await?;
    drive(target, server.site(), 0, Until::Count(requests)).await?;
    server.stop().await?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let _ = std::fs::remove_file(&file);
    text.lines()
        .find_map(|line| {
            line.strip_prefix("summary:")
                .or_else(|| line.strip_prefix("totals:"))?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| format!("callgrind wrote no total for {}", target.name))
}
