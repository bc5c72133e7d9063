//! `read_file`: text by lines, images as images, the rest as base64.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::File;
use ferromcp_core::Payload;
use ferromcp_protocol::json;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Files;
use super::job::Job;
use super::refusal::{Refusal, quoted};
use super::sniff::{self, Holds};

/// Read at once; the call's end is looked for in between.
const BUFFER: usize = 64 << 10;

/// What stays as it is in the path of a URI (RFC 3986, section 2.3, and the separator).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    path: String,
    offset: Option<u64>,
    limit: Option<u64>,
}

pub(super) fn run(files: &Files, args: &Args, job: &Job) -> Result<Payload, Refusal> {
    let spot = files.jail.locate_one(&args.path)?;
    let (mut file, metadata) = files.jail.open_file(&spot)?;
    let failed = |e: io::Error| Refusal::io("read", &spot.shown, &e);
    let mut head = Vec::with_capacity(sniff::HEAD);
    (&mut file)
        .take(sniff::HEAD as u64)
        .read_to_end(&mut head)
        .map_err(failed)?;
    let wanted = Wanted {
        shown: &spot.shown,
        size: metadata.len(),
        max: files.settings.max_read,
    };
    match sniff::sniff(&head) {
        Holds::Text => {
            let first = args.offset.unwrap_or(1).max(1);
            let count = args.limit.unwrap_or(u64::MAX).max(1);
            wanted.text(Cursor::new(head).chain(file), first, count, job)
        }
        Holds::Image(_) | Holds::Binary(_) if args.offset.is_some() || args.limit.is_some() => {
            Err(Refusal::new(format!(
                "cannot read lines of {}: it is a binary file; leave \"offset\" and \"limit\" out",
                quoted(&spot.shown)
            )))
        }
        Holds::Image(media) => {
            let (data, cut) = wanted.bytes(head, file, job)?;
            if cut {
                return Err(Refusal::new(format!(
                    "cannot read {}: it is an image of {} bytes, and at most {} bytes can be read",
                    quoted(&spot.shown),
                    wanted.size,
                    wanted.max
                )));
            }
            let data = STANDARD.encode(data);
            let content = format!(r#"[{{"type":"image","data":"{data}","mimeType":"{media}"}}]"#);
            Ok(Payload::tool(&content, None, false, None))
        }
        Holds::Binary(media) => {
            let (data, cut) = wanted.bytes(head, file, job)?;
            Ok(wanted.blob(&data, media, cut))
        }
    }
}

/// What is being read.
struct Wanted<'a> {
    shown: &'a str,
    /// As the file system says.
    size: u64,
    /// Most bytes of an answer.
    max: u64,
}

impl Wanted<'_> {
    fn failed(&self, error: &io::Error) -> Refusal {
        Refusal::io("read", self.shown, error)
    }

    /// Everything, or as much as is allowed; true if that is not all.
    fn bytes(&self, head: Vec<u8>, file: File, job: &Job) -> Result<(Vec<u8>, bool), Refusal> {
        let mut data = head;
        let most = usize::try_from(self.max).unwrap_or(usize::MAX);
        let mut rest = BufReader::with_capacity(BUFFER, file);
        while data.len() <= most {
            job.check()?;
            let got = rest.fill_buf().map_err(|e| self.failed(&e))?;
            if got.is_empty() {
                break;
            }
            data.extend_from_slice(got);
            let used = got.len();
            rest.consume(used);
        }
        let cut = data.len() > most;
        data.truncate(most);
        Ok((data, cut))
    }

    fn blob(&self, data: &[u8], media: &str, cut: bool) -> Payload {
        let uri = format!("ferromcp-file:///{}", utf8_percent_encode(self.shown, KEPT));
        let mut content = format!(
            r#"[{{"type":"resource","resource":{{"uri":{},"mimeType":"{media}","blob":"{}"}}}}"#,
            json::quote(&uri),
            STANDARD.encode(data)
        );
        if cut {
            let mark = format!(
                "[cut: the first {} of {} bytes; no more can be read of a binary file]",
                data.len(),
                self.size
            );
            push_text(&mut content, &mark);
        }
        content.push(']');
        Payload::tool(&content, None, false, None)
    }

    fn text(&self, file: impl Read, first: u64, count: u64, job: &Job) -> Result<Payload, Refusal> {
        let mut file = BufReader::with_capacity(BUFFER, file);
        let skipped = skip_lines(&mut file, first - 1, job).map_err(|e| self.stopped(e))?;
        let at_end = file.fill_buf().map_err(|e| self.failed(&e))?.is_empty();
        if first > 1 && (skipped.lines < first - 1 || at_end) {
            let lines = skipped.lines + u64::from(skipped.open);
            return Err(Refusal::new(format!(
                "cannot read {} from line {first}: it has {lines} lines",
                quoted(self.shown)
            )));
        }
        let mut taken = take_lines(&mut file, count, self.max, job).map_err(|e| self.stopped(e))?;
        let more = taken.full || !file.fill_buf().map_err(|e| self.failed(&e))?.is_empty();
        let mut marks = Vec::new();
        if taken.full {
            // Only whole lines, so that reading can go on at the next; where not even one fits, a
            // part of it.
            match memchr::memrchr(b'\n', &taken.data) {
                Some(end) => taken.data.truncate(end + 1),
                None => {
                    let keep = whole_characters(&taken.data);
                    taken.data.truncate(keep);
                    marks.push(format!(
                        "[cut: line {first} is longer than {} bytes; the rest of it cannot be read]",
                        self.max
                    ));
                    taken.lines = 1;
                }
            }
        }
        if more {
            let next = first + taken.lines;
            marks.push(format!(
                "[cut: lines {first} to {} of a file of {} bytes; go on with \"offset\": {next}]",
                next - 1,
                self.size
            ));
        }
        let text = String::from_utf8(taken.data).unwrap_or_else(|e| {
            marks.push("[some bytes are not UTF-8 and are shown as \u{fffd}]".to_owned());
            String::from_utf8_lossy(e.as_bytes()).into_owned()
        });
        if marks.is_empty() {
            return Ok(Payload::text(&text));
        }
        // The marks have a block of their own: the first one is what is in the file, exactly.
        let mut content = String::from("[");
        push_text(&mut content, &text);
        push_text(&mut content, &marks.join("\n"));
        content.push(']');
        Ok(Payload::tool(&content, None, false, None))
    }

    fn stopped(&self, stop: Stop) -> Refusal {
        match stop {
            Stop::Io(e) => self.failed(&e),
            Stop::Refused(refusal) => refusal,
        }
    }
}

enum Stop {
    Io(io::Error),
    Refused(Refusal),
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<Refusal> for Stop {
    fn from(r: Refusal) -> Self {
        Self::Refused(r)
    }
}

struct Skipped {
    /// Whole lines that were passed.
    lines: u64,
    /// The file ended in a line without its end.
    open: bool,
}

fn skip_lines(file: &mut impl BufRead, count: u64, job: &Job) -> Result<Skipped, Stop> {
    let mut skipped = Skipped {
        lines: 0,
        open: false,
    };
    while skipped.lines < count {
        job.check()?;
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        let mut used = buffer.len();
        skipped.open = true;
        for end in memchr::memchr_iter(b'\n', buffer) {
            skipped.lines += 1;
            skipped.open = end + 1 < buffer.len();
            if skipped.lines == count {
                used = end + 1;
                break;
            }
        }
        file.consume(used);
    }
    Ok(skipped)
}

struct Taken {
    data: Vec<u8>,
    /// Whole lines in `data`, counting a last one without its end.
    lines: u64,
    /// There is more, but no room for it.
    full: bool,
}

fn take_lines(file: &mut impl BufRead, count: u64, max: u64, job: &Job) -> Result<Taken, Stop> {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let mut taken = Taken {
        data: Vec::new(),
        lines: 0,
        full: false,
    };
    while taken.lines < count {
        job.check()?;
        let buffer = file.fill_buf()?;
        if buffer.is_empty() {
            taken.lines += u64::from(taken.data.last().is_some_and(|b| *b != b'\n'));
            break;
        }
        let room = &buffer[..buffer.len().min(max - taken.data.len())];
        if room.is_empty() {
            taken.full = true;
            break;
        }
        let mut used = room.len();
        for end in memchr::memchr_iter(b'\n', room) {
            taken.lines += 1;
            if taken.lines == count {
                used = end + 1;
                break;
            }
        }
        taken.data.extend_from_slice(&room[..used]);
        file.consume(used);
    }
    Ok(taken)
}

/// The length without a character that is cut in two at the end.
fn whole_characters(data: &[u8]) -> usize {
    match std::str::from_utf8(data) {
        Err(e) if e.error_len().is_none() => e.valid_up_to(),
        _ => data.len(),
    }
}

/// Adds a text block to a JSON array that is being written.
fn push_text(content: &mut String, text: &str) {
    if content.len() > 1 {
        content.push(',');
    }
    content.push_str(r#"{"type":"text","text":"#);
    content.push_str(&json::quote(text));
    content.push('}');
}
