use ferromcp_core::Input;

use super::{State, brought, visited};

fn input(state: Option<&str>, answers: &[(&str, &str)]) -> Input {
    Input {
        answers: answers.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
        state: state.map(Into::into),
    }
}

#[test]
fn states_come_back_as_they_were() {
    for state in [
        State::Server {
            server: "s".into(),
            state: Some("a \"b\" \u{e9}\n".into()),
        },
        State::Server {
            server: "s".into(),
            state: None,
        },
        State::Parked {
            node: u64::MAX,
            id: 7,
        },
        State::Visits {
            server: "s".into(),
            keys: vec!["url1".into()],
        },
    ] {
        assert_eq!(State::of(&input(Some(&state.write()), &[])), Some(state));
    }
    for bad in [
        "",
        "{}",
        "null",
        "{\"Parked\":{\"node\":-1,\"id\":0}}",
        "{\"Server\":{}}",
    ] {
        assert_eq!(State::of(&input(Some(bad), &[])), None, "{bad}");
    }
}

#[test]
fn what_is_brought_is_for_one_server() {
    let state = State::Server {
        server: "s".into(),
        state: Some("x\"y".into()),
    };
    let given = input(Some(&state.write()), &[("a", "{\"n\": 1.0}"), ("b", "{}")]);
    let made = brought("s", &given).unwrap();
    assert_eq!(made.responses.as_deref(), Some(r#"{"a":{"n": 1.0},"b":{}}"#));
    assert_eq!(made.state.as_deref(), Some(r#""x\"y""#));
    assert!(brought("t", &given).is_err());
    assert!(visited("s", &given).is_err());
    // Answers without a state are what some servers ask for.
    assert_eq!(brought("s", &input(None, &[])).unwrap().responses, None);
}

#[test]
fn every_url_must_have_been_visited() {
    let state = State::Visits {
        server: "s".into(),
        keys: vec!["url1".into(), "url2".into()],
    };
    let state = state.write();
    let yes = "{\"action\":\"accept\"}";
    assert!(visited("s", &input(Some(&state), &[("url1", yes), ("url2", yes)])).is_ok());
    for answers in [
        &[("url1", yes)][..],
        &[("url1", yes), ("url2", "{\"action\":\"cancel\"}")],
        &[("url1", yes), ("url2", "7")],
    ] {
        assert!(visited("s", &input(Some(&state), answers)).is_err());
    }
    assert!(visited("t", &input(Some(&state), &[("url1", yes), ("url2", yes)])).is_err());
}
