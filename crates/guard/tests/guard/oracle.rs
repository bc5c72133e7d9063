//! What `serde_json` says about a document, and generators of documents good and bad.

use std::collections::HashSet;
use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Parses what `serde_json::Value` parses, less duplicate keys.
pub(crate) struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                while seq.next_element::<Strict>()?.is_some() {}
                Ok(Strict)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut keys = HashSet::new();
                while let Some((key, _)) = map.next_entry::<String, Strict>()? {
                    if !keys.insert(key) {
                        return Err(A::Error::custom("duplicate key"));
                    }
                }
                Ok(Strict)
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

/// The inside of a string token: plain text, multi-byte characters, escapes, now and then half a surrogate pair.
fn string_inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-c ]{0,12}",
        2 => "[äß€𝄞]{1,3}",
        1 => prop::sample::select(vec![
            r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0061", r"\u00e4", r"\uFFFF", r"\ud834\udd1e",
        ]).prop_map(str::to_owned),
    ];
    prop_oneof![
        20 => prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat()),
        1 => prop::sample::select(vec![r"\ud834", r"\udd1e", r"\ud834\u0061", r"\ud834x", r"\ud834\ud834"])
            .prop_map(str::to_owned),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        (290_usize..330).prop_map(|digits| "9".repeat(digits)),
    ]
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \n\r\t]{1,3}"]
}

/// JSON text, nearly always sound; keys collide now and then.
pub(crate) fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["true", "false", "null", "{}", "[]"]).prop_map(str::to_owned),
        number(),
        string_inside().prop_map(|inside| format!("\"{inside}\"")),
    ];
    leaf.prop_recursive(6, 80, 24, |inner| {
        prop_oneof![
            (prop::collection::vec((space(), inner.clone()), 0..6), space()).prop_map(|(items, end)| {
                let items: Vec<String> = items
                    .into_iter()
                    .map(|(space, item)| format!("{space}{item}"))
                    .collect();
                format!("[{}{end}]", items.join(","))
            }),
            (
                prop::collection::vec((space(), string_inside(), inner), 0..24),
                space(),
                any::<bool>()
            )
                .prop_map(|(members, end, distinct)| {
                    let members: Vec<String> = members
                        .into_iter()
                        .enumerate()
                        .map(|(at, (space, key, value))| {
                            let tail = if distinct { at.to_string() } else { String::new() };
                            format!("{space}\"{key}{tail}\"{space}:{space}{value}")
                        })
                        .collect();
                    format!("{{{}{end}}}", members.join(","))
                }),
        ]
    })
}

/// A document with a few characters removed, replaced, inserted, or its end cut off.
pub(crate) fn broken_document() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        0..4_u8,
        prop::sample::select(r#"{}[]",:\u0 1-+.eEtfn"#.chars().collect::<Vec<_>>()),
    );
    (document(), prop::collection::vec(edit, 1..4)).prop_map(|(text, edits)| {
        let mut text: Vec<char> = text.chars().collect();
        for (at, kind, character) in edits {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match kind {
                0 => drop(text.remove(at)),
                1 => text[at] = character,
                2 => text.insert(at, character),
                _ => text.truncate(at),
            }
        }
        text.into_iter().collect()
    })
}
