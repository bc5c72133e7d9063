use super::serve::{follow, serve};
use super::{ADD, REMOVE, record};

#[test]
fn groups_are_what_was_added_and_not_removed() {
    let mut line = Vec::new();
    for (kind, group) in [
        (ADD, 7),
        (ADD, 70_000),
        (ADD, 7),
        (REMOVE, 7),
        (REMOVE, 9),
        (ADD, 8),
    ] {
        line.extend(record(kind, group));
    }
    assert_eq!(follow(&line[..]).into_iter().collect::<Vec<_>>(), [8, 70_000]);
}

#[test]
fn a_line_that_is_cut_or_broken_keeps_what_came_before() {
    let mut line = record(ADD, 7).to_vec();
    line.extend(&record(ADD, 8)[..3]);
    assert_eq!(follow(&line[..]).into_iter().collect::<Vec<_>>(), [7]);
    let mut line = record(ADD, 7).to_vec();
    line.extend(record(b'x', 9));
    line.extend(record(ADD, 8));
    assert_eq!(follow(&line[..]).into_iter().collect::<Vec<_>>(), [7]);
    assert!(follow(&b""[..]).is_empty());
}

#[test]
fn groups_that_would_mean_everybody_are_refused() {
    for group in [0, 1, u32::MAX, 1 << 31] {
        assert!(follow(&record(ADD, group)[..]).is_empty(), "{group}");
    }
}

#[test]
fn it_does_not_run_without_a_mark() {
    assert_eq!(serve("").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(serve("0.").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
