//! Bounds of a scan.

/// Longest number token in bytes. Doubles need 24; nothing legitimate comes near, and parsers pay for every digit.
pub const MAX_NUMBER_BYTES: usize = 1024;

/// What a document may hold at most. All bounds are inclusive: a document that reaches one exactly is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanLimits {
    /// Length of the whole text in bytes. Default 4 MiB. Values above [`ScanLimits::CEILING_BYTES`] act as that.
    pub max_bytes: usize,
    /// Containers inside each other: a bare scalar has depth 0, `[]` has 1. Default 20. Values above
    /// [`ScanLimits::CEILING_DEPTH`] act as that.
    pub max_depth: usize,
    /// Length of a string value in bytes of its decoded UTF-8 text. Default 100 KiB (102,400).
    pub max_string: usize,
    /// Elements of one array, or members of one object. Default 10,000.
    pub max_items: usize,
    /// Length of an object key in bytes of its decoded UTF-8 text. Default 1 KiB (1,024).
    pub max_key: usize,
}

impl ScanLimits {
    /// Largest text that can be scanned at all: positions inside it are kept in 32 bits.
    pub const CEILING_BYTES: usize = u32::MAX as usize;
    /// Deepest nesting that can be allowed: one less than where `serde_json` refuses to build a tree, so a document
    /// that passed the scan never fails later for its depth.
    pub const CEILING_DEPTH: usize = 127;
    /// No limit but the ceilings. For text that was bounded and scanned before, and for trusted sources.
    pub const UNBOUNDED: Self = Self {
        max_bytes: Self::CEILING_BYTES,
        max_depth: Self::CEILING_DEPTH,
        max_string: usize::MAX,
        max_items: usize::MAX,
        max_key: usize::MAX,
    };

    /// The limits as they act: with the ceilings applied.
    pub(crate) fn effective(&self) -> Self {
        Self {
            max_bytes: self.max_bytes.min(Self::CEILING_BYTES),
            max_depth: self.max_depth.min(Self::CEILING_DEPTH),
            ..*self
        }
    }
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 20,
            max_depth: 20,
            max_string: 100 << 10,
            max_items: 10_000,
            max_key: 1 << 10,
        }
    }
}
