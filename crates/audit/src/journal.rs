//! Calls that began and have not ended: what the writer carries from segment to segment, and what the next start finds
//! after a crash.

use std::collections::BTreeMap;
use std::io;

use crate::entry::Entry;
use crate::lines::{Line, Lines};
use crate::storage::Storage;
use crate::text;

/// Bytes of calls that are remembered; further ones are only counted.
const MAX_BYTES: usize = 32 << 20;

type Id = [u8; 16];

/// By request id, which is in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    calls: BTreeMap<Id, Box<[u8]>>,
    bytes: usize,
    /// Calls that found no room here.
    pub(crate) beyond: u64,
}

impl Journal {
    /// A call began. `record` is whatever is needed to tell of it later.
    pub(crate) fn begin(&mut self, id: Id, record: &[u8]) {
        if self.calls.contains_key(&id) {
            return;
        }
        if self.bytes + record.len() > MAX_BYTES {
            self.beyond += 1;
            return;
        }
        self.bytes += record.len();
        self.calls.insert(id, record.into());
    }

    /// A call ended, or was told of.
    pub(crate) fn end(&mut self, id: &Id) {
        if let Some(record) = self.calls.remove(id) {
            self.bytes -= record.len();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The records, oldest first.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.calls.values().map(|record| &**record)
    }

    /// What a file of the log says, up to `end` bytes. Its lines were checked, or are about to be by who verifies: what is no
    /// line of a call is passed over.
    pub(crate) fn read(&mut self, storage: &dyn Storage, name: &str, end: u64) -> io::Result<()> {
        let mut lines = Lines::new(storage.read(name, 0)?);
        while lines.consumed() < end {
            match lines.next()? {
                None => break,
                Some(Line::Whole(line)) => self.line(line),
                Some(Line::TooLong(_) | Line::Torn(_)) => {}
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) {
        match event(line) {
            Some((true, id)) => self.begin(id, line),
            Some((false, id)) => self.end(&id),
            None => {}
        }
    }

    /// The calls as entries, oldest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.records().filter_map(|line| Entry::parse(line).ok())
    }
}

/// Whether a line says that a call began (`true`) or that it ended, and which. Looks at the fixed places only.
fn event(line: &[u8]) -> Option<(bool, Id)> {
    const TIME: &[u8] = b",\"time\":\"";
    const KIND: &[u8] = b"\",\"kind\":\"";
    const REQUEST: &[u8] = b"\",\"request_id\":\"";
    let after = line.strip_prefix(b"{\"seq\":")?;
    let digits = after.iter().position(|byte| !byte.is_ascii_digit())?;
    let after = after[digits..].strip_prefix(TIME)?;
    let kind = after.get(text::TIME_LEN..)?.strip_prefix(KIND)?;
    let (begins, rest) = if let Some(rest) = kind.strip_prefix(b"begin") {
        (true, rest)
    } else if let Some(rest) = kind.strip_prefix(b"call") {
        (false, rest)
    } else {
        (false, kind.strip_prefix(b"interrupted")?)
    };
    let id = rest.strip_prefix(REQUEST)?.get(..32)?;
    Some((begins, text::unhex::<16>(id)?))
}

#[cfg(test)]
mod tests;
