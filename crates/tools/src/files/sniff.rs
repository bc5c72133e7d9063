//! What a file holds, by its first bytes.

/// How many bytes are looked at.
pub(super) const HEAD: usize = 8192;

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    /// An image that models can be shown, with its media type.
    Image(&'static str),
    /// Anything else, with a media type.
    Binary(&'static str),
}

/// Signatures at the start of a file. Images are the types that model APIs take.
const SIGNATURES: [(&[u8], Holds); 10] = [
    (b"\x89PNG\r\n\x1a\n", Holds::Image("image/png")),
    (b"\xff\xd8\xff", Holds::Image("image/jpeg")),
    (b"GIF87a", Holds::Image("image/gif")),
    (b"GIF89a", Holds::Image("image/gif")),
    (b"%PDF-", Holds::Binary("application/pdf")),
    (b"PK\x03\x04", Holds::Binary("application/zip")),
    (b"\x1f\x8b", Holds::Binary("application/gzip")),
    (b"SQLite format 3\0", Holds::Binary("application/vnd.sqlite3")),
    (b"\0asm", Holds::Binary("application/wasm")),
    (b"OggS", Holds::Binary("audio/ogg")),
];

/// Judges by the content; a name can say anything.
pub(super) fn sniff(head: &[u8]) -> Holds {
    if let Some((_, holds)) = SIGNATURES.iter().find(|(magic, _)| head.starts_with(magic)) {
        return *holds;
    }
    if head.starts_with(b"RIFF") {
        match head.get(8..12) {
            Some(b"WEBP") => return Holds::Image("image/webp"),
            Some(b"WAVE") => return Holds::Binary("audio/wav"),
            _ => {}
        }
    }
    if is_text(head) {
        Holds::Text
    } else {
        Holds::Binary("application/octet-stream")
    }
}

/// No NUL, and hardly anything that is not UTF-8: text in an old 8-bit encoding still passes where
/// it is mostly ASCII.
pub(super) fn is_text(head: &[u8]) -> bool {
    if memchr::memchr(0, head).is_some() {
        return false;
    }
    // The last character may be cut in two by the window: up to 3 bytes of it are no evidence.
    let strange: usize = head.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    strange.saturating_sub(3) * 10 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_apart() {
        let cases: [(&[u8], Holds); 12] = [
            (b"", Holds::Text),
            (b"fn main() {}\n", Holds::Text),
            ("Grüße, 世界".as_bytes(), Holds::Text),
            (
                b"caf\xe9 au lait, s'il vous pla\xeet, et un croissant",
                Holds::Text,
            ),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Holds::Text),
            (b"\x89PNG\r\n\x1a\n....", Holds::Image("image/png")),
            (b"\xff\xd8\xff\xe0..", Holds::Image("image/jpeg")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Holds::Image("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", Holds::Binary("audio/wav")),
            (b"%PDF-1.7", Holds::Binary("application/pdf")),
            (b"a\0b", Holds::Binary("application/octet-stream")),
            (
                b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a",
                Holds::Binary("application/octet-stream"),
            ),
        ];
        for (head, holds) in cases {
            assert_eq!(sniff(head), holds, "{head:?}");
        }
    }

    #[test]
    fn a_character_cut_by_the_window_is_no_evidence() {
        let text = "世".repeat(10);
        for end in 0..text.len() {
            assert_eq!(sniff(&text.as_bytes()[..end]), Holds::Text, "{end}");
        }
    }
}
