//! Bytes of a pipe, in two different cuts: the lines that come out must not depend on the cut.
#![no_main]

use ferromcp_protocol::lines::LineSplitter;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64;

fuzz_target!(|input: (usize, &[u8])| {
    let (step, data) = input;
    let step = step % 97 + 1;
    assert_eq!(lines(data, data.len().max(1)), lines(data, step));
});

/// Every line, or `None` in the place of one that was too long.
fn lines(data: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
    let mut splitter = LineSplitter::new(LIMIT);
    let mut lines = Vec::new();
    for piece in data.chunks(step) {
        splitter.feed(piece);
        while let Some(line) = splitter.next_line() {
            if let Ok(line) = &line {
                assert!(line.len() <= LIMIT);
            }
            lines.push(line.ok().map(|line| line.to_vec()));
        }
        assert!(
            splitter.buffered() <= LIMIT + step + 1,
            "kept {} bytes",
            splitter.buffered()
        );
    }
    lines
}
