//! Questions to whoever sits at the terminal.

use std::io::Write as _;

use super::places::Candidate;
use crate::exit::Failure;

/// Times that an answer which is none is asked for again.
const ATTEMPTS: usize = 3;

pub(super) struct Asker {
    terminal: bool,
}

impl Asker {
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal }
    }

    /// Whether a host is to start us. No is what whoever only presses return, or goes away, means.
    pub(super) fn point(&mut self, host: &Candidate) -> Result<bool, Failure> {
        if !self.terminal {
            return Ok(false);
        }
        let failed = |e: std::io::Error| Failure::other("cannot ask", e);
        let shared = if host.project {
            " The file may be shared with others, who do not have this path."
        } else {
            ""
        };
        for _ in 0..ATTEMPTS {
            let mut out = std::io::stdout().lock();
            write!(
                out,
                "Let {} start ferromcp instead of its servers?{shared} [y/N] ",
                host.name
            )
            .and_then(|()| out.flush())
            .map_err(failed)?;
            drop(out);
            let mut answer = String::new();
            if std::io::stdin().read_line(&mut answer).map_err(failed)? == 0 {
                println!();
                self.terminal = false;
                return Ok(false);
            }
            match answer.trim().to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "" | "n" | "no" => return Ok(false),
                _ => println!("Please answer y or n."),
            }
        }
        Ok(false)
    }
}
