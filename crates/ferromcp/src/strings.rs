//! Typed values out of named texts: prompt arguments and URI template variables always travel as
//! text, but a handler may want numbers, booleans or enums.

use std::fmt;

use serde::de::value::{MapDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Reads a struct (or map) whose fields are given as text. Absent options are `None`.
pub(crate) fn read<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, Error> {
    let fields = pairs.iter().map(|(name, text)| (name.as_str(), Text(text)));
    T::deserialize(MapDeserializer::<'_, _, Error>::new(fields))
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de, Error> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $kind:literal),+ $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let parsed = self.0.trim().parse().map_err(|_| Error(format!("expected {}, found text", $kind)))?;
            visitor.$visit(parsed)
        }
    )+};
}

impl<'de> de::Deserializer<'de> for Text<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_bool visit_bool "true or false",
        deserialize_i8 visit_i8 "a whole number",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i32 visit_i32 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_u8 visit_u8 "a whole number",
        deserialize_u16 visit_u16 "a whole number",
        deserialize_u32 visit_u32 "a whole number",
        deserialize_u64 visit_u64 "a whole number",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        StrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
        Slow,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct All {
        name: String,
        count: u32,
        share: Option<f64>,
        sure: Option<bool>,
        mode: Mode,
    }

    #[test]
    fn fields_are_parsed_by_their_type() {
        let given = pairs(&[
            ("name", "7"),
            ("count", "7"),
            ("share", "0.5"),
            ("mode", "slow"),
            ("other", "x"),
        ]);
        let read: All = read(&given).unwrap();
        assert_eq!(
            read,
            All {
                name: "7".into(),
                count: 7,
                share: Some(0.5),
                sure: None,
                mode: Mode::Slow
            }
        );
    }

    #[test]
    fn wrong_text_and_missing_fields_are_said() {
        let wrong = read::<All>(&pairs(&[("name", ""), ("count", "many"), ("mode", "fast")])).unwrap_err();
        assert!(wrong.to_string().contains("whole number"), "{wrong}");
        let missing = read::<All>(&pairs(&[("name", "")])).unwrap_err();
        assert!(missing.to_string().contains("count"), "{missing}");
        assert!(read::<All>(&pairs(&[("name", ""), ("count", "1"), ("mode", "odd")])).is_err());
    }

    #[test]
    fn maps_and_json_values_work_too() {
        let given = pairs(&[("a", "1"), ("b", "x")]);
        let map: BTreeMap<String, String> = read(&given).unwrap();
        assert_eq!(map["a"], "1");
        let value: serde_json::Value = read(&given).unwrap();
        assert_eq!(value, serde_json::json!({ "a": "1", "b": "x" }));
    }
}
