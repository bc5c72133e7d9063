//! Lines out of a reader, with memory bounded by the longest line.

use std::io::{self, Read};

use crate::line::MAX_LINE;

const BLOCK: usize = 256 << 10;

pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of lines given out, with their ends.
    consumed: u64,
    over: bool,
}

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Whole(&'a [u8]),
    /// Longer than [`MAX_LINE`]; these are its first bytes, and the rest was passed over.
    TooLong(&'a [u8]),
    /// The end of the input without the end of a line.
    Torn(&'a [u8]),
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BLOCK],
            start: 0,
            end: 0,
            consumed: 0,
            over: false,
        }
    }

    /// Where the next line begins, in bytes from where reading began.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(length) = memchr::memchr(b'\n', &waiting[searched..]) {
                let length = searched + length;
                let line = self.start..self.start + length;
                self.start += length + 1;
                self.consumed += length as u64 + 1;
                return Ok(Some(Line::Whole(&self.buffer[line])));
            }
            searched = waiting.len();
            if searched >= MAX_LINE {
                self.pass_over()?;
                return Ok(Some(Line::TooLong(&self.buffer[..64])));
            }
            if self.over {
                if searched == 0 {
                    return Ok(None);
                }
                let line = self.start..self.end;
                self.start = self.end;
                self.consumed += searched as u64;
                return Ok(Some(Line::Torn(&self.buffer[line])));
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        match self.input.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.over = true,
            Ok(count) => self.end += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Drops the line at hand up to its end; leaves its first bytes at the front of the buffer.
    fn pass_over(&mut self) -> io::Result<()> {
        let head: [u8; 64] = self.buffer[self.start..self.start + 64]
            .try_into()
            .unwrap_or([0; 64]);
        loop {
            self.consumed += (self.end - self.start) as u64;
            (self.start, self.end) = (0, 0);
            if self.over {
                break;
            }
            self.fill()?;
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[..self.end]) {
                self.consumed += length as u64 + 1;
                // Behind the first bytes, which are about to be put in front.
                let rest = length + 1..self.end;
                let size = rest.len();
                self.buffer.resize(self.buffer.len() + 64, 0);
                self.buffer.copy_within(rest, 64);
                (self.start, self.end) = (64, 64 + size);
                break;
            }
        }
        self.buffer[..64].copy_from_slice(&head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn whole_empty_and_torn_lines() {
        for step in [1, 3, 1000] {
            let mut lines = Lines::new(Slow(b"one\n\nthree\nfo", step));
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"one")));
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"")));
            assert_eq!(lines.consumed(), 5);
            assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"three")));
            assert_eq!(lines.next().unwrap(), Some(Line::Torn(b"fo")));
            assert_eq!(lines.next().unwrap(), None);
            assert_eq!(lines.consumed(), 13);
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut text = vec![b'x'; 3 * MAX_LINE];
        text.extend_from_slice(b"\nnext\n");
        text.extend(vec![b'y'; MAX_LINE + 5]);
        let mut lines = Lines::new(Slow(&text, 100_000));
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong(&[b'x'; 64])));
        assert_eq!(lines.next().unwrap(), Some(Line::Whole(b"next")));
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong(&[b'y'; 64])));
        assert_eq!(lines.next().unwrap(), None);
        assert_eq!(lines.consumed(), text.len() as u64);
        assert!(lines.buffer.len() <= 3 * MAX_LINE, "{}", lines.buffer.len());
    }
}
