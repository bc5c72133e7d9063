use super::same_number;

#[test]
fn numbers_are_compared_by_value() {
    for (header, body, same) in [
        ("42", "42", true),
        ("42.0", "42", true),
        ("4.2e1", "42", true),
        ("-0", "0", true),
        ("43", "42", false),
        ("inf", "42", false),
        ("+42", "42", false),
        ("", "42", false),
        ("9007199254740993", "9007199254740992", false),
    ] {
        assert_eq!(same_number(header, body), same, "{header} {body}");
    }
}
