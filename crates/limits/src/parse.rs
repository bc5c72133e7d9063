//! `100/s` and `64MiB/h`: amounts per period as people write them.

use std::fmt;
use std::time::Duration;

/// Where and why a text is no amount per period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Offset in bytes from the start of the text.
    pub position: usize,
    /// What was expected there.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.message, self.position + 1)
    }
}

impl std::error::Error for ParseError {}

const PERIODS: &[(&str, u64)] = &[
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("min", 60),
    ("minute", 60),
    ("h", 3_600),
    ("hour", 3_600),
    ("d", 86_400),
    ("day", 86_400),
];

const SIZES: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads calls per period: digits, `/`, and one of `s`, `sec`, `second`, `min`, `minute`, `h`, `hour`, `d`, `day`, as in
/// `100/s`, `1000/min`, `5/h`, `10/day`. White space may stand around each part.
///
/// # Errors
/// With the position of the first thing that is not as it should be. A count of 0 is refused.
pub fn parse_calls_per(text: &str) -> Result<(u64, Duration), ParseError> {
    parse(
        text,
        &[("", 1)],
        "a number of calls and a period, as in `100/s` or `1000/min`",
    )
}

/// Reads bytes per period: as [`parse_calls_per`], with a unit of size behind the digits: `B`, `kB`, `MB`, `GB`, `TB`
/// (powers of 1000), `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), as in `64MiB/h`.
///
/// # Errors
/// As [`parse_calls_per`].
pub fn parse_bytes_per(text: &str) -> Result<(u64, Duration), ParseError> {
    parse(text, SIZES, "a size and a period, as in `64MiB/h` or `10GB/day`")
}

fn parse(text: &str, units: &[(&str, u64)], expected: &str) -> Result<(u64, Duration), ParseError> {
    let error = |position: usize, message: String| ParseError { position, message };
    let start = text.len() - text.trim_start().len();
    let digits = run(&text[start..], |c| c.is_ascii_digit());
    if digits.is_empty() {
        return Err(error(start, format!("expected {expected}")));
    }
    let number: u64 = digits
        .parse()
        .map_err(|_| error(start, format!("the number {} is too large", shown(digits))))?;
    if number == 0 {
        return Err(error(
            start,
            "0 lets nothing through; deny the tool instead".to_owned(),
        ));
    }
    let mut position = start + digits.len();
    position += blank(&text[position..]);
    let unit = run(&text[position..], |c| c != '/' && !c.is_whitespace());
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let message = if units.len() == 1 {
            format!("expected `/` and a period behind the number, as in `{number}/s`")
        } else {
            format!(
                "{} is no unit of size; there are B, kB, MB, GB, TB, KiB, MiB, GiB, TiB",
                shown(unit)
            )
        };
        return Err(error(position, message));
    };
    let amount = number
        .checked_mul(*factor)
        .ok_or_else(|| error(start, "the size is too large".to_owned()))?;
    position += unit.len();
    position += blank(&text[position..]);
    if !text[position..].starts_with('/') {
        return Err(error(
            position,
            format!("expected `/` and a period, as in `{number}{unit}/s`"),
        ));
    }
    position += 1;
    position += blank(&text[position..]);
    let period = text[position..].trim_end();
    let Some((_, seconds)) = PERIODS.iter().find(|(name, _)| *name == period) else {
        let message = match period {
            "" => "a period is missing behind `/`: s, min, h or day".to_owned(),
            "m" | "M" => "`m` could be a minute or a month: write min".to_owned(),
            other => format!("{} is no period; there are s, min, h and day", shown(other)),
        };
        return Err(error(position, message));
    };
    Ok((amount, Duration::from_secs(*seconds)))
}

fn run(text: &str, accept: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !accept(c)).unwrap_or(text.len());
    &text[..end]
}

fn blank(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// At most 24 characters of what somebody wrote, quoted.
fn shown(text: &str) -> String {
    let mut cut: String = text.chars().take(24).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

#[cfg(test)]
mod tests;
