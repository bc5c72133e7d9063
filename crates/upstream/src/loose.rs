//! The id of a message that cannot be read as one, so that its call fails now and not at its deadline.

/// Finds the numeric `id` of the outermost object in text that is broken or cut off. Strings are passed over and
/// brackets counted, whatever stands between them. `None` where the id is not there as a whole.
pub(crate) fn id(text: &[u8]) -> Option<u64> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let end = string_end(text, at)?;
                if depth == 1
                    && &text[at..end] == b"\"id\""
                    && let Some(found) = number_behind(&text[end..])
                {
                    return Some(found);
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Offset behind the closing quote of the string that opens at `start`.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The number behind a colon, if what ends it is there too: a number that is cut off is another number.
fn number_behind(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let end = text.iter().position(|b| !b.is_ascii_digit())?;
    if !matches!(text[end], b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n') {
        return None;
    }
    std::str::from_utf8(&text[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::id;

    #[test]
    fn an_id_is_found_only_where_it_is_certain() {
        for (text, found) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type""#, Some(7)),
            (r#"{"id": 8 , "jsonrpc":"2.0" , "result":{"#, Some(8)),
            (r#"{"result":{"id":1,"a":tru},"jsonrpc":"2.0","id":9}"#, Some(9)),
            (r#"{"result":{"a":"\"id\":3,"},"id":9}"#, Some(9)),
            (r#"{"result":{"id":7,"result":1"#, None),
            (r#"{"jsonrpc":"2.0","id":"7","result":{"#, None),
            (r#"{"jsonrpc":"2.0","id":7.5,"result":{"#, None),
            (r#"{"jsonrpc":"2.0","id":7"#, None),
            (r#"{"jsonrpc":"2.0","id":99999999999999999999,"#, None),
            (r#"}{"id":7,"#, None),
            (r#"{"id"#, None),
            (r#"{"id\"#, None),
            ("xxxxxxxxxxxxxx", None),
            ("", None),
        ] {
            assert_eq!(id(text.as_bytes()), found, "{text}");
        }
    }
}
