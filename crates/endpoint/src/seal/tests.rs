use std::time::Duration;

use ferromcp_core::Principal;
use proptest::prelude::{any, proptest};

use super::{Binding, Carried, Seal, Unsealed};

fn carried() -> Carried {
    Carried {
        answers: vec![("key".into(), "{\"a\":1}".into())],
        state: Some("state".into()),
    }
}

fn principal(name: &str) -> Principal {
    Principal::unrestricted("t", name)
}

#[test]
fn opens_for_the_same_request_only() {
    let seal = Seal::new(Some([1; 32]), Duration::from_secs(60));
    let (one, two) = (principal("one"), principal("two"));
    let mine = Binding {
        principal: &one,
        method: "tools/call",
        name: "x",
        arguments: Some("{\"a\":1,\"b\":[\"\\u0041\"]}"),
    };
    let sealed = seal.seal(&mine, carried()).unwrap();
    assert_eq!(seal.open(&mine, &sealed), Ok(carried()));
    let same = Binding {
        arguments: Some(" { \"b\" : [ \"A\" ] , \"a\":1 } "),
        ..mine
    };
    assert_eq!(
        seal.open(&same, &sealed),
        Ok(carried()),
        "another way to write the same arguments"
    );
    for foreign in [
        Binding {
            principal: &two,
            ..mine
        },
        Binding {
            method: "prompts/get",
            ..mine
        },
        Binding { name: "y", ..mine },
        Binding {
            arguments: None,
            ..mine
        },
        Binding {
            arguments: Some("{\"a\":\"1\",\"b\":[\"A\"]}"),
            ..mine
        },
        Binding {
            arguments: Some("{\"a\":1,\"b\":\"A\"}"),
            ..mine
        },
    ] {
        assert_eq!(
            seal.open(&foreign, &sealed),
            Err(Unsealed::Foreign),
            "{foreign:?}"
        );
    }
    let other = Seal::new(Some([2; 32]), Duration::from_secs(60));
    assert_eq!(other.open(&mine, &sealed), Err(Unsealed::Forged));
    let nothing = Binding {
        arguments: None,
        ..mine
    };
    let sealed = seal.seal(&nothing, carried()).unwrap();
    assert_eq!(
        seal.open(
            &Binding {
                arguments: Some("{}"),
                ..mine
            },
            &sealed
        ),
        Ok(carried())
    );
}

#[test]
fn every_state_looks_different() {
    let seal = Seal::new(None, Duration::from_secs(60));
    let one = principal("one");
    let binding = Binding {
        principal: &one,
        method: "tools/call",
        name: "x",
        arguments: None,
    };
    assert_ne!(seal.seal(&binding, carried()), seal.seal(&binding, carried()));
}

proptest! {
    #[test]
    fn no_change_goes_unnoticed(at in any::<proptest::sample::Index>(), bit in 0u8..8) {
        let seal = Seal::new(Some([1; 32]), Duration::from_secs(60));
        let one = principal("one");
        let binding = Binding { principal: &one, method: "tools/call", name: "x", arguments: None };
        let sealed = seal.seal(&binding, carried()).unwrap();
        let mut bytes = sealed.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert_eq!(seal.open(&binding, &changed), Err(Unsealed::Forged));
        }
    }

    #[test]
    fn garbage_is_refused(text in ".{0,200}") {
        let seal = Seal::new(Some([1; 32]), Duration::from_secs(60));
        let one = principal("one");
        let binding = Binding { principal: &one, method: "tools/call", name: "x", arguments: None };
        assert_eq!(seal.open(&binding, &text), Err(Unsealed::Forged));
    }
}
