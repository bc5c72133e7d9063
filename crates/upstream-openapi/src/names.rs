//! Names of tools and arguments that every client can use.

/// Longest name.
const MAX: usize = 64;

/// The name of an operation: its `operationId`, or what it does where. `method` and `path` tell it from all others.
pub(crate) fn tool(id: &str, method: &str, path: &str) -> String {
    let given = match id.is_empty() {
        true => format!("{method}_{path}"),
        false => id.to_owned(),
    };
    let name = clean(&given);
    match name.len() {
        0 => unique("operation", method, path),
        1..=MAX => name,
        _ => unique(&name, method, path),
    }
}

/// The same for one of several operations that would have the same name. It does not depend on what else there is.
pub(crate) fn unique(name: &str, method: &str, path: &str) -> String {
    let hash = fnv1a(format!("{method} {path}").as_bytes());
    let end = name.len().min(MAX - 9);
    format!("{}_{:08x}", name[..end].trim_end_matches('_'), hash as u32)
}

/// The name of a parameter as an argument: model APIs take no others.
pub(crate) fn argument(name: &str) -> String {
    let mut clean = clean(name);
    clean.truncate(MAX);
    clean
}

/// ASCII letters, digits, `_` and `-`; whatever else there is becomes one `_`.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| {
        (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (id, expected) in [
            ("listPets", "listPets"),
            ("repos/list-for-org", "repos_list-for-org"),
            ("", "get_pets_petId"),
            ("../../etc/passwd", "etc_passwd"),
            ("drop table;--\u{202e}", "drop_table_--"),
            ("名前", "operation_8ae1d1a2"),
        ] {
            let name = tool(id, "get", "/pets/{petId}");
            assert!(name.len() <= MAX && !name.is_empty());
            if id == "名前" {
                assert!(name.starts_with("operation_"), "{name}");
            } else {
                assert_eq!(name, expected);
            }
        }
        let long = tool(&"a".repeat(100), "get", "/a");
        assert_eq!(
            (long.len(), tool(&"a".repeat(100), "get", "/b") == long),
            (64, false)
        );
        assert_eq!(argument("filter[name]"), "filter_name");
        assert_eq!(argument("$top"), "top");
    }
}
