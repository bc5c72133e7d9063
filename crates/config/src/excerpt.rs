//! The line of the source that an error shows, with everything masked that could be a secret.
//!
//! The rule is "masked unless known to be harmless": a value is shown only after the validator took it for a setting that
//! never holds a secret. Unknown keys, wrong shapes and comments therefore cannot leak what stands beside them.

use crate::source::{Source, Span, floor_char_boundary};

/// What stands in for a masked value, whatever its length.
const MASK: &str = "***";
/// Widest excerpt, in characters; longer lines are cut around the marked place.
const MAX_WIDTH: usize = 120;
/// How many bytes before and behind the marked place are looked at.
const MAX_SPREAD: usize = 600;

/// One line of source, ready to print, and the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) text: String,
    /// First marked column, counted from 0, in characters of `text`.
    pub(crate) start: usize,
    /// Number of marked columns, at least 1.
    pub(crate) width: usize,
}

/// Cuts the line in which `span` starts. `masked` lists the values to hide, sorted; without it, everything in the line
/// that looks like a value is hidden.
pub(crate) fn cut(source: &Source<'_>, span: &Span, masked: Option<&[Span]>) -> Excerpt {
    let at = floor_char_boundary(source.text, span.start);
    let line = source.line(source.position(at).0);
    // Only the neighbourhood: a line may be as long as the file.
    let start = floor_char_boundary(source.text, at.saturating_sub(MAX_SPREAD)).max(line.start);
    let end =
        floor_char_boundary(source.text, at.saturating_add(MAX_SPREAD)).clamp(start, line.end.max(start));
    let cut = start > line.start;
    let line = start..end;
    let guessed;
    let masked = match masked {
        Some(masked) => {
            let first = masked.partition_point(|m| m.end <= line.start);
            &masked[first..]
        }
        None => {
            guessed = guess_values(source.text, &line, cut);
            &guessed[..]
        }
    };
    let mut shown = Shown::default();
    if cut {
        shown.push('…');
    }
    let mut masked = masked.iter().peekable();
    let mut offset = line.start;
    let mut mark_start = None;
    let mut mark_end = None;
    while offset < line.end {
        while masked.next_if(|m| m.end <= offset).is_some() {}
        if mark_start.is_none() && offset >= at {
            mark_start = Some(shown.width);
        }
        if mark_end.is_none() && offset >= span.end {
            mark_end = Some(shown.width);
        }
        if let Some(mask) = masked.peek().filter(|m| m.start <= offset) {
            shown.push_str(MASK);
            let end = mask.end.min(line.end);
            if (offset + 1..end).contains(&at) {
                mark_start = Some(shown.width - MASK.len());
            }
            offset = end;
            continue;
        }
        let rest = &source.text[offset..line.end];
        let Some(c) = rest.chars().next() else { break };
        if c == '#' && shown.text.chars().next_back().is_none_or(char::is_whitespace) {
            break;
        }
        shown.push(c);
        offset += c.len_utf8();
    }
    let start = mark_start.unwrap_or(shown.width);
    let end = mark_end.unwrap_or(shown.width).max(start + 1);
    shrink(shown.text.trim_end(), start, end - start)
}

#[derive(Default)]
struct Shown {
    text: String,
    width: usize,
}

impl Shown {
    fn push(&mut self, c: char) {
        self.text.push(match c {
            '\t' => ' ',
            c if is_unprintable(c) => '\u{fffd}',
            c => c,
        });
        self.width += 1;
    }

    fn push_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }
}

/// Characters that could drive a terminal or reorder a line.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn shrink(text: &str, start: usize, width: usize) -> Excerpt {
    let chars: Vec<char> = text.chars().collect();
    let width = width.min(MAX_WIDTH / 2);
    if chars.len() <= MAX_WIDTH {
        return Excerpt {
            text: text.to_owned(),
            start,
            width,
        };
    }
    let from = start.min(chars.len()).saturating_sub(MAX_WIDTH / 2);
    let to = (from + MAX_WIDTH).min(chars.len());
    let mut text = String::new();
    let mut start = start - from;
    if from > 0 {
        text.push('…');
        start += 1;
    }
    text.extend(&chars[from..to]);
    if to < chars.len() {
        text.push('…');
    }
    Excerpt { text, start, width }
}

/// Finds what may be values in a line that no parser understood: every run of characters but YAML's own signs and a key
/// (`name:`) that begins the line.
fn guess_values(text: &str, line: &Span, cut: bool) -> Vec<Span> {
    let body = &text[line.clone()];
    let mut out = Vec::new();
    let mut run: Option<usize> = None;
    let mut first = !cut;
    let is_sign = |c: char| c.is_whitespace() || "{}[],\"'".contains(c);
    for (at, c) in body.char_indices().chain(std::iter::once((body.len(), ' '))) {
        match (run, is_sign(c)) {
            (None, false) => run = Some(at),
            (Some(start), true) => {
                run = None;
                let word = &body[start..at];
                if matches!(word, "-" | ":" | "?" | "---" | "...") {
                    continue;
                }
                let quoted_key = matches!(c, '"' | '\'') && body[at + 1..].starts_with(':');
                let plain_key = c.is_whitespace() && word.find(':') == Some(word.len() - 1);
                if !(first && (quoted_key || plain_key)) {
                    out.push(line.start + start..line.start + at);
                }
                first = false;
            }
            _ => {}
        }
    }
    out
}
