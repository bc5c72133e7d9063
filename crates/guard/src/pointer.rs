//! Finds the JSON Pointer (RFC 6901) of a byte offset. Only for messages about refused documents: it expects text that
//! is sound up to the offset and never fails, whatever it is given.

use crate::lex;

/// Longest pointer shown, in bytes.
const SHOWN_POINTER_BYTES: usize = 512;

enum Segment<'a> {
    Index(usize),
    /// The raw inside of the key, or nothing while the key has not come yet.
    Key(Option<&'a [u8]>),
}

#[derive(Default)]
pub(crate) struct Path<'a> {
    segments: Vec<Segment<'a>>,
}

impl<'a> Path<'a> {
    /// Leaves the element that was one too many, so that the path names its array.
    pub(crate) fn pop_index(&mut self) {
        if let Some(Segment::Index(_)) = self.segments.last() {
            self.segments.pop();
        }
    }

    /// Names the key of the innermost object.
    pub(crate) fn set_key(&mut self, raw: &'a [u8]) {
        if let Some(Segment::Key(key)) = self.segments.last_mut() {
            *key = Some(raw);
        }
    }

    pub(crate) fn to_pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Index(index) => {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                }
                Segment::Key(Some(raw)) => {
                    pointer.push('/');
                    pointer.push_str(&lex::decode(raw).replace('~', "~0").replace('/', "~1"));
                }
                Segment::Key(None) => {}
            }
            if pointer.len() > SHOWN_POINTER_BYTES {
                let cut = (0..=SHOWN_POINTER_BYTES)
                    .rev()
                    .find(|at| pointer.is_char_boundary(*at));
                pointer.truncate(cut.unwrap_or(0));
                pointer.push('…');
                break;
            }
        }
        pointer
    }
}

/// The path of the value that starts at or spans `offset`; of its container where no value has begun.
pub(crate) fn path_at(bytes: &[u8], offset: usize) -> Path<'_> {
    let mut path = Path::default();
    let mut pos = 0;
    while pos < offset {
        let Some(byte) = bytes.get(pos) else { break };
        pos += 1;
        match byte {
            b'{' => path.segments.push(Segment::Key(None)),
            b'[' => path.segments.push(Segment::Index(0)),
            b'}' | b']' => {
                path.segments.pop();
            }
            b',' => match path.segments.last_mut() {
                Some(Segment::Index(index)) => *index += 1,
                Some(Segment::Key(key)) => *key = None,
                None => {}
            },
            b'"' => {
                // A string that does not end soundly before the offset holds the fault.
                let Ok(token) = lex::string(bytes, pos - 1) else {
                    break;
                };
                if token.end > offset {
                    break;
                }
                if let Some(Segment::Key(key @ None)) = path.segments.last_mut() {
                    *key = Some(&bytes[pos..token.end - 1]);
                }
                pos = token.end;
            }
            _ => {}
        }
    }
    path
}
