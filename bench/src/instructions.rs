//! Instructions per request under callgrind: user code, one connection, one thread. Noise does not touch it.
//!
//! A run of N and a run of 2N requests: their difference over N has no start-up, no warm-up and no end in it.
//!
//! valgrind has no SHA instructions, so programs compute SHA-256 as on a processor without them, at about 2,100
//! instructions for a block of 64 bytes instead of about 150. That part is shown apart.

use std::process::{Command, Stdio};

use crate::Result;
use crate::behind::Backed;
use crate::client::{Until, drive};
use crate::server::Start;
use crate::target::{Behind, Program, Target};

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
    println!("| target | instructions per request | of it SHA-256 in software | vs hyper | vs rival |");
    println!("|---|---:|---:|---:|---:|");
    let mut known: Vec<(&str, f64)> = Vec::new();
    // Where the children are what costs, the instructions of the server say nothing.
    for target in targets
        .iter()
        .filter(|target| !matches!(target.behind, Some(Behind::Burning(_))))
    {
        let once = total(*target, requests).await?;
        let twice = total(*target, 2 * requests).await?;
        let difference = |of: fn(Cost) -> u64| of(twice).saturating_sub(of(once)) as f64 / requests as f64;
        let each = difference(|cost| cost.all);
        let hashing = difference(|cost| cost.hashing);
        let against = |name: Option<&str>| {
            let base = name.and_then(|name| known.iter().find(|(known, _)| *known == name));
            base.map_or("-".to_owned(), |(_, base)| format!("{:.2}", each / base))
        };
        let hyper = (target.program != Program::Hyper).then_some("hyper");
        println!(
            "| {} | {each:.0} | {hashing:.0} | {} | {} |",
            target.name,
            against(hyper),
            against(target.rival)
        );
        known.push((target.name, each));
    }
    Ok(())
}

/// Instructions of a server's life.
#[derive(Clone, Copy)]
struct Cost {
    all: u64,
    /// In the block function of SHA-256.
    hashing: u64,
}

/// What a server's life costs in which it answered `requests`.
async fn total(target: Target, requests: u64) -> Result<Cost> {
    let file = std::env::temp_dir().join(format!("callgrind-{}-{}", std::process::id(), target.name));
    let wrapper = ["valgrind", "--tool=callgrind", "--quiet"].map(str::to_owned);
    let mut start = Start {
        single_thread: true,
        wrapper: wrapper.to_vec(),
        ..Start::default()
    };
    start
        .wrapper
        .push(format!("--callgrind-out-file={}", file.display()));
    let backed = Backed::up(target, &start, None).await?;
    let server = backed.start(target).await?;
    drive(target, server.site(), 0, Until::Count(requests)).await?;
    server.stop().await?;
    backed.down().await?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let _ = std::fs::remove_file(&file);
    let all = text
        .lines()
        .find_map(|line| {
            line.strip_prefix("summary:")
                .or_else(|| line.strip_prefix("totals:"))?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| format!("callgrind wrote no total for {}", target.name))?;
    let hashing = own_cost(&text, "sha256_block_data_order");
    Ok(Cost { all, hashing })
}

/// Instructions in functions whose name has `part` in it, without what they call. The format: "Callgrind Format
/// Specification" in the valgrind manual.
fn own_cost(profile: &str, part: &str) -> u64 {
    let mut wanted = std::collections::HashSet::new();
    let mut inside = false;
    let mut called = false;
    let mut sum = 0;
    for line in profile.lines() {
        // `fn=(12) name` the first time, `fn=(12)` from then on.
        if let Some((kind @ ("" | "c"), name)) = line.split_once("fn=") {
            let id = name.split(' ').next().unwrap_or_default();
            if name.contains(part) {
                wanted.insert(id);
            }
            if kind.is_empty() {
                inside = wanted.contains(id);
            }
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '*')) {
            let cost: Option<u64> = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            // The line behind `calls=` is the cost of what was called.
            if inside && !std::mem::take(&mut called) {
                sum += cost.unwrap_or(0);
            }
            called = false;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::own_cost;

    #[test]
    fn what_is_called_is_not_counted() {
        let profile = "events: Ir\nfn=(1) main\n5 10\ncfn=(2) sha256_block_x\ncalls=2 0\n6 500\n+1 7\n\n\
                       fn=(2)\n3 200\n+2 100\ncfn=(3) other\ncalls=1 0\n* 50\n* 1\n\nfn=(3)\n1 50\n";
        assert_eq!(own_cost(profile, "sha256_block"), 301);
        assert_eq!(own_cost(profile, "main"), 17);
        assert_eq!(own_cost(profile, "nothing"), 0);
    }
}
