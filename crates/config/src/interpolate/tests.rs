use super::{MAX_REFERENCES, brought_in};

#[test]
fn files_that_are_brought_in_are_found_once_each_in_any_text() {
    for (text, found) in [
        ("", &[] as &[&str]),
        (
            "a: ${file:b}, c: \"x${file:/d/e f}${file:b}\" # ${file:g}",
            &["b", "/d/e f", "g"],
        ),
        ("${file:} ${file:a\nb} ${NAME} ${file:c", &[]),
        ("${file:${file:a}}", &["a"]),
        ("[{ ${file:ä}", &["ä"]),
    ] {
        assert_eq!(brought_in(text), found, "{text}");
    }
    let many: String = (0..=MAX_REFERENCES).map(|n| format!("${{file:{n}}}")).collect();
    assert_eq!(brought_in(&many).len(), MAX_REFERENCES);
}
