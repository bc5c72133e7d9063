//! Durations, sizes and addresses: how they are written, and what is said when they are not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const DURATION_UNITS: &[(&str, u64)] = &[
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// Of rates; each also without a number.
const PERIOD_UNITS: &[(&str, u64)] = &[
    ("day", 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("min", 60_000),
    ("m", 60_000),
    ("s", 1000),
];
/// Shortest period of a rate.
pub(crate) const MIN_PERIOD: Duration = Duration::from_secs(1);
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// `30s`, `500ms`, `5m`, `1h`, `1d`: a whole number and its unit. The error is a hint.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let hint = "write a whole number and ms, s, m, h or d, as in 500ms, 30s, 5m, 1h, 1d";
    with_unit(text, DURATION_UNITS)
        .map(Duration::from_millis)
        .ok_or(hint)
}

/// `4MiB`, `100KiB`, `512B`, `1MB`: a whole number and its unit. The error is a hint.
pub(crate) fn size(text: &str) -> Result<u64, &'static str> {
    let hint = "write a whole number and B, KB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024), as in 4MiB";
    with_unit(text, SIZE_UNITS).ok_or(hint)
}

/// `100/s`, `1000/min`, `100/10s`: a whole number and a period. The error is a hint.
pub(crate) fn rate(text: &str) -> Result<(u64, Duration), &'static str> {
    let hint = "write a whole number, `/` and s, min, h or day (with a number before it if it is not 1), as in 100/s, 1000/min, \
                100/10s";
    let (count, per) = text.split_once('/').ok_or(hint)?;
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    // More digits than fit are still a number: above any bound.
    let count = digits.then(|| count.parse().unwrap_or(u64::MAX)).ok_or(hint)?;
    Ok((count, period(per).ok_or(hint)?))
}

/// `10MiB/h`, `1GB/day`: a size and a period. The error is a hint.
pub(crate) fn byte_rate(text: &str) -> Result<(u64, Duration), &'static str> {
    let hint = "write a size, `/` and s, min, h or day (with a number before it if it is not 1), as in 10MiB/h, 1GiB/7d";
    let (bytes, per) = text.split_once('/').ok_or(hint)?;
    Ok((
        with_unit(bytes, SIZE_UNITS).ok_or(hint)?,
        period(per).ok_or(hint)?,
    ))
}

fn period(text: &str) -> Option<Duration> {
    let bare = PERIOD_UNITS.iter().find(|(unit, _)| *unit == text);
    let ms = match bare {
        Some((_, factor)) => *factor,
        None => with_unit(text, PERIOD_UNITS)?,
    };
    Some(Duration::from_millis(ms))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[digits..])?;
    number.checked_mul(*factor)
}

/// The shortest exact way to write a duration.
pub(crate) fn show_duration(value: Duration) -> String {
    let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    show(ms, DURATION_UNITS, "0s")
}

/// The shortest exact way to write a size in binary units.
pub(crate) fn show_size(value: u64) -> String {
    let binary: Vec<_> = SIZE_UNITS
        .iter()
        .copied()
        .filter(|(unit, _)| *unit == "B" || unit.contains('i'))
        .collect();
    show(value, &binary, "0B")
}

fn show(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    match units
        .iter()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
    {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => zero.to_owned(),
    }
}

/// Reads an address to listen on: `HOST:PORT`, where HOST is an IP address (IPv6 in brackets), `localhost`, or empty
/// or `*` for all IPv4 interfaces (`[::]:PORT` adds IPv6). Port 0 lets the system choose.
///
/// # Errors
/// A sentence that says what is wrong with `text`, fit to follow the text itself.
pub fn parse_listen_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(addr);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(
            "the port is missing: write HOST:PORT, as in 127.0.0.1:8080, or :8080 for all interfaces".into(),
        );
    };
    if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("the port must be a number from 0 to 65535".into());
    }
    let port: u16 = port
        .parse()
        .map_err(|_| String::from("the port must be a number from 0 to 65535"))?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host if host.contains(':') => return Err("write an IPv6 address in brackets, as in [::1]:8080".into()),
        host => host.parse().map_err(|_| {
            String::from("the host must be an IP address, `localhost`, or nothing for all interfaces (names are not looked up)")
        })?,
    };
    Ok(SocketAddr::new(ip, port))
}
