use super::{Mark, state_and_group};

#[test]
fn a_mark_is_found_as_a_whole_variable_only() {
    let mark = Mark::parse("0123456789abcdef.7").unwrap();
    let all = Mark::parse("0123456789abcdef.").unwrap();
    let on = |environment: &[u8]| (mark.is_on(environment), all.is_on(environment));
    assert_eq!(on(b"A=1\0FERROMCP_CHILD=0123456789abcdef.7\0B=2"), (true, true));
    assert_eq!(on(b"FERROMCP_CHILD=0123456789abcdef.7"), (true, true));
    assert_eq!(on(b"FERROMCP_CHILD=0123456789abcdef.71\0"), (false, true));
    assert_eq!(on(b"XFERROMCP_CHILD=0123456789abcdef.7\0"), (false, false));
    assert_eq!(on(b"A=FERROMCP_CHILD=0123456789abcdef.7\0"), (false, false));
    assert_eq!(on(b"FERROMCP_CHILD=1123456789abcdef.7\0"), (false, false));
    assert_eq!(on(b"FERROMCP_CHILD=\0\0"), (false, false));
    assert_eq!(on(b""), (false, false));
}

#[test]
fn marks_are_unique_and_begin_alike() {
    let (one, two, all) = (Mark::next(), Mark::next(), Mark::of_all());
    assert_ne!(one, two);
    for mark in [&one, &two] {
        assert!(mark.to_string().starts_with(&all.to_string()));
        assert_eq!(Mark::parse(&mark.to_string()).as_ref(), Some(mark));
    }
}

#[test]
fn what_could_match_strangers_is_no_mark() {
    for text in [
        "",
        ".",
        "x.1",
        "0123456789abcdef",
        "0123456789abcdef.x",
        "0123456789abcdeg.1",
    ] {
        assert_eq!(Mark::parse(text), None, "{text}");
    }
}

#[test]
fn names_with_brackets_and_spaces_do_not_confuse_the_reader() {
    assert_eq!(state_and_group("12 (a) Z) 1) R 1 77 77 0"), Some(('R', 77)));
    assert_eq!(state_and_group("12 (sh) T 1 -1 5"), Some(('T', -1)));
    for broken in ["", "12", "12 (sh)", "12 (sh) S", "12 (sh) S 1", "12 (sh) S 1 x"] {
        assert_eq!(state_and_group(broken), None, "{broken}");
    }
}
