//! The first look at a string: which classes of bytes occur in it. One table load per byte clears most strings, because
//! every rule names bytes without which it cannot match.

/// `<`
pub(crate) const LT: u32 = 1 << 0;
/// `'` and `"`
pub(crate) const QUOTE: u32 = 1 << 1;
/// `` ` ``
pub(crate) const TICK: u32 = 1 << 2;
pub(crate) const PERCENT: u32 = 1 << 3;
pub(crate) const AMP: u32 = 1 << 4;
pub(crate) const BACKSLASH: u32 = 1 << 5;
pub(crate) const DOLLAR: u32 = 1 << 6;
/// `{`
pub(crate) const BRACE: u32 = 1 << 7;
pub(crate) const SEMI: u32 = 1 << 8;
pub(crate) const PIPE: u32 = 1 << 9;
/// `(` and `)`
pub(crate) const PAREN: u32 = 1 << 10;
pub(crate) const EQUALS: u32 = 1 << 11;
pub(crate) const COLON: u32 = 1 << 12;
pub(crate) const SLASH: u32 = 1 << 13;
pub(crate) const DOT: u32 = 1 << 14;
pub(crate) const NUL: u32 = 1 << 15;
/// Carriage return and line feed.
pub(crate) const LINE: u32 = 1 << 16;
pub(crate) const HASH: u32 = 1 << 17;
pub(crate) const STAR: u32 = 1 << 18;
pub(crate) const DIGIT: u32 = 1 << 19;
/// Space, tab, `+`
pub(crate) const SPACE: u32 = 1 << 20;
pub(crate) const DASH: u32 = 1 << 21;
/// `>`
pub(crate) const GT: u32 = 1 << 22;
/// First bytes of characters that normalising changes or that the Unicode rules look for.
pub(crate) const UNICODE: u32 = 1 << 23;
pub(crate) const TILDE: u32 = 1 << 24;
pub(crate) const AT: u32 = 1 << 25;
/// First bytes of Cyrillic and Greek letters.
pub(crate) const LETTERS: u32 = 1 << 26;
pub(crate) const UNDERSCORE: u32 = 1 << 27;

/// A string with none of these is its own normal form.
pub(crate) const ENCODED: u32 = PERCENT | AMP | BACKSLASH | UNICODE;

pub(crate) const CLASSES: usize = 28;

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let singles = [
        (b'<', LT),
        (b'\'', QUOTE),
        (b'"', QUOTE),
        (b'`', TICK),
        (b'%', PERCENT),
        (b'&', AMP),
        (b'\\', BACKSLASH),
        (b'$', DOLLAR),
        (b'{', BRACE),
        (b';', SEMI),
        (b'|', PIPE),
        (b'(', PAREN),
        (b')', PAREN),
        (b'=', EQUALS),
        (b':', COLON),
        (b'/', SLASH),
        (b'.', DOT),
        (0, NUL),
        (b'\r', LINE),
        (b'\n', LINE),
        (b'#', HASH),
        (b'*', STAR),
        (b' ', SPACE),
        (b'\t', SPACE),
        (b'+', SPACE),
        (b'-', DASH),
        (b'>', GT),
        (b'~', TILDE),
        (b'@', AT),
        (b'_', UNDERSCORE),
        // Spaces, soft hyphen; modifier letters; Greek question mark and letters; Cyrillic letters.
        (0xc2, UNICODE),
        (0xca, UNICODE),
        (0xcd, UNICODE | LETTERS),
        (0xce, LETTERS),
        (0xcf, LETTERS),
        (0xd0, LETTERS),
        (0xd1, LETTERS),
        // Mongolian separator; punctuation; CJK spaces; full-width forms and selectors; mathematical letters; tags.
        (0xe1, UNICODE),
        (0xe2, UNICODE),
        (0xe3, UNICODE),
        (0xef, UNICODE),
        (0xf0, UNICODE),
        (0xf3, UNICODE),
    ];
    let mut at = 0;
    while at < singles.len() {
        table[singles[at].0 as usize] = singles[at].1;
        at += 1;
    }
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = DIGIT;
        digit += 1;
    }
    table
}

/// The classes of the bytes of `text`.
#[inline]
pub(crate) fn look(text: &[u8]) -> u32 {
    let (chunks, rest) = text.as_chunks::<8>();
    let mut sum = [0_u32; 4];
    for chunk in chunks {
        for lane in 0..4 {
            sum[lane] |= TABLE[chunk[lane] as usize] | TABLE[chunk[lane + 4] as usize];
        }
    }
    let mut classes = sum[0] | sum[1] | sum[2] | sum[3];
    for byte in rest {
        classes |= TABLE[*byte as usize];
    }
    classes
}
