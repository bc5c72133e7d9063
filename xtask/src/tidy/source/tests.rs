use super::*;

fn source(text: &str) -> Source {
    Source::new("crates/x/src/a.rs", text)
}

#[test]
fn comments_and_literals_are_masked_byte_for_byte() {
    let text = "let a = \"{ fn x\"; // }\nlet b = '{'; /* { /* } */ */ let c = r#\"}\"}\"#;\nlet d: &'a str = b\"{\\\"\";\n";
    let masked = mask(text);
    assert_eq!(masked.len(), text.len());
    assert!(!masked.contains(['{', '}', '"']), "{masked}");
    assert!(masked.contains("let c"));
    assert!(masked.contains("&'a str"));
    assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
}

#[test]
fn unicode_in_literals_does_not_shift_anything() {
    let text = "let a = 'ß'; let b = \"世界 {\"; fn f() {}\n";
    let found = source(text);
    assert_eq!(found.code.len(), text.len());
    assert_eq!(found.functions()[0].name, "f");
}

#[test]
fn escaped_quotes_and_backslashes_end_where_they_should() {
    for text in [
        "let a = '\\''; fn f() {}",
        "let a = '\\\\'; fn f() {}",
        "let a = \"\\\\\"; fn f() {}",
        "let a = '\\u{1F600}'; fn f() {}",
    ] {
        let found = source(text);
        assert_eq!(found.functions().len(), 1, "{text}");
    }
}

#[test]
fn functions_are_measured_with_their_bodies_only() {
    let text = "trait T {\n    fn declared(&self);\n    fn given(&self) {\n        let _ = |x: fn(u8) -> u8| x;\n    }\n}\n";
    let functions = source(text).functions();
    assert_eq!(functions.len(), 1);
    assert_eq!(functions[0].name, "given");
    assert_eq!(functions[0].lines, 3);
}

#[test]
fn an_array_length_in_a_signature_is_no_end() {
    let text = "fn f(a: [u8; 4]) -> [u8; 2] {\n    g()\n}\n";
    assert_eq!(source(text).functions()[0].lines, 3);
}

#[test]
fn test_code_is_known() {
    let text = "fn a() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod other;\n";
    let found = source(text);
    let functions = found.functions();
    let tested: Vec<(&str, bool)> = functions
        .iter()
        .map(|function| (function.name.as_str(), found.in_test(function.start)))
        .collect();
    assert_eq!(tested, [("a", false), ("b", true), ("c", false)]);
    assert_eq!(found.product_lines(), 2);
}

#[test]
fn test_files_are_known_by_their_path() {
    for path in [
        "crates/x/src/tests.rs",
        "crates/x/src/a/tests.rs",
        "crates/x/tests/it/a.rs",
        "tests/src/lib.rs",
    ] {
        assert!(Source::new(path, "fn a() {}").is_test, "{path}");
    }
    assert!(!Source::new("crates/x/src/contests.rs", "").is_test);
}
