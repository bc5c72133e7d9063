//! Chooses the rules whose literals occur in a string: one pass over its runs of four bytes.
//!
//! Each run is hashed into a bitmap of 64 Ki bits, which honest text hits at about one place in 400; only hits are looked up. No step
//! waits for the one before it, unlike in an automaton, so this takes two cycles a byte; and it needs no lower-case copy.

use std::sync::LazyLock;

use super::ALL;

pub(in crate::patterns) static GATE: LazyLock<Gate> = LazyLock::new(Gate::new);

/// Sets the bit that tells upper from lower case in every byte. It also makes some other characters alike, which only
/// lets more through.
const FOLD: u32 = 0x2020_2020;
const WORDS: usize = 1024;

pub(in crate::patterns) struct Gate {
    bitmap: Box<[u64; WORDS]>,
    /// Runs and the rules that have them, sorted.
    runs: Vec<(u32, u64)>,
    /// Rules with literals; the others pass always.
    gated: u64,
}

#[inline(always)]
fn place(run: u32) -> (usize, u64) {
    let hash = run.wrapping_mul(0x9e37_79b1) >> 16;
    (hash as usize >> 6, 1 << (hash & 63))
}

impl Gate {
    fn new() -> Self {
        let mut bitmap = Box::new([0; WORDS]);
        let mut runs: Vec<(u32, u64)> = Vec::new();
        let mut gated = 0;
        for (at, compiled) in ALL.iter().enumerate() {
            for literal in compiled.rule.literals {
                let Some(first) = literal.as_bytes().first_chunk::<4>() else {
                    continue;
                };
                let run = u32::from_le_bytes(*first) | FOLD;
                gated |= 1 << at;
                let (word, bit) = place(run);
                bitmap[word & (WORDS - 1)] |= bit;
                runs.push((run, 1 << at));
            }
        }
        runs.sort_unstable();
        runs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 |= if same { next.1 } else { 0 };
            same
        });
        Self { bitmap, runs, gated }
    }

    /// Those of `rules` that have no literals, or one that occurs in `text`.
    #[inline]
    pub(in crate::patterns) fn pass(&self, rules: u64, text: &[u8]) -> u64 {
        let wanted = rules & self.gated;
        if wanted == 0 {
            return rules;
        }
        let mut hit = 0;
        for window in text.windows(4) {
            let Some(window) = window.first_chunk::<4>() else {
                break;
            };
            let run = u32::from_le_bytes(*window) | FOLD;
            let (word, bit) = place(run);
            if self.bitmap[word & (WORDS - 1)] & bit != 0 {
                hit |= self.rules_of(run);
            }
        }
        rules & (hit | !self.gated)
    }

    #[inline(never)]
    fn rules_of(&self, run: u32) -> u64 {
        match self.runs.binary_search_by_key(&run, |(run, _)| *run) {
            Ok(at) => self.runs[at].1,
            Err(_) => 0,
        }
    }
}
