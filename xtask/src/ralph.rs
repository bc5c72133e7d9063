//! `cargo xtask ralph`: the whole suite, again and again, until something is found to be flaky.

use std::time::{Duration, Instant};

use crate::process::capture;
use crate::{Outcome, workspace};

pub(crate) const HELP: &str = "\
cargo xtask ralph N [--keep-going] [-- TEST OPTIONS]

Runs `cargo xtask test` N times. Stops at the first run that fails and shows what it printed; with --keep-going
it goes on and reports every failing run at the end. Everything after -- goes to `cargo xtask test`, for
example `cargo xtask ralph 20 -- --quick`.";

/// No single run takes longer than this.
const LIMIT: Duration = Duration::from_secs(3600);

pub(crate) fn main(arguments: &[String]) -> Outcome {
    let split = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    let (own, passed_on) = arguments.split_at(split);
    let mut times = None;
    let mut keep_going = false;
    for argument in own {
        match argument.as_str() {
            "--keep-going" => keep_going = true,
            number => match number.parse::<u32>() {
                Ok(number) if number > 0 && times.is_none() => times = Some(number),
                _ => {
                    return Err(format!(
                        "`{number}` is no option; say how often, as in: cargo xtask ralph 20"
                    ));
                }
            },
        }
    }
    let times = times.ok_or("say how often, as in: cargo xtask ralph 20")?;
    let xtask = std::env::current_exe().map_err(|error| format!("cannot find xtask itself: {error}"))?;
    let mut durations = Vec::new();
    let mut failed = Vec::new();
    for round in 1..=times {
        let started = Instant::now();
        let mut command = std::process::Command::new(&xtask);
        command
            .current_dir(workspace::root())
            .arg("test")
            .args(passed_on.iter().skip(1));
        let finished = capture(&mut command, LIMIT, false)?;
        let took = started.elapsed().as_secs_f64();
        durations.push(took);
        let counts = finished
            .lines
            .iter()
            .rev()
            .find(|line| line.text.contains(" passed, "));
        let counts = counts.map_or("no result", |line| line.text.as_str());
        println!("run {round} of {times}: {took:.1} s, {counts}");
        if !finished.success() {
            println!("{}", finished.tail(usize::MAX));
            println!("run {round} of {times} failed: {}", finished.ending(LIMIT));
            failed.push(round.to_string());
            if !keep_going {
                break;
            }
        }
    }
    let fastest = durations.iter().copied().fold(f64::INFINITY, f64::min);
    let slowest = durations.iter().copied().fold(0.0, f64::max);
    println!(
        "{} runs, {} clean; fastest {fastest:.1} s, slowest {slowest:.1} s",
        durations.len(),
        durations.len() - failed.len()
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed in run {}", failed.join(", ")))
    }
}
