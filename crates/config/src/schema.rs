//! The table of settings as a JSON Schema, for completion and checks in editors.

use crate::json_text::Json;
use crate::settings::{ROOT, UPSTREAM};
use crate::spec::{Absent, Field, Kind, Object};
use crate::text::Form;

/// JSON Schema (draft 2020-12) of the configuration file. The same text on every call.
///
/// It accepts what [`Config::from_yaml`](crate::Config::from_yaml) accepts, apart from rules that a schema cannot say:
/// whether directories exist and variables are set, bounds of durations and sizes, and rules across distant keys.
pub fn json_schema() -> String {
    let schema = Json::object([
        (
            "$schema",
            Json::text("https://json-schema.org/draft/2020-12/schema"),
        ),
        ("title", Json::text("FerroMCP configuration (ferromcp.yaml)")),
    ]);
    let reference = Json::object([
        (
            "description",
            Json::text("Text with `${NAME}` (environment) or `${file:PATH}` in it."),
        ),
        ("type", Json::text("string")),
        ("pattern", Json::text(r"\$\{[^}]+\}")),
    ]);
    append(schema, object(&ROOT))
        .with("$defs", Json::object([("reference", reference)]))
        .pretty()
}

fn append(first: Json, second: Json) -> Json {
    match (first, second) {
        (Json::Object(mut members), Json::Object(more)) => {
            members.extend(more);
            Json::Object(members)
        }
        (first, _) => first,
    }
}

fn object(object: &'static Object) -> Json {
    let properties = object
        .fields
        .iter()
        .map(|field| (field.key.to_owned(), property(field)))
        .collect();
    let schema = Json::object([
        ("type", Json::text("object")),
        ("additionalProperties", Json::Bool(false)),
        ("properties", Json::Object(properties)),
    ]);
    let required: Vec<Json> = object
        .fields
        .iter()
        .filter(|field| matches!(field.default, Absent::Required))
        .map(|field| Json::text(field.key))
        .collect();
    let schema = if required.is_empty() {
        schema
    } else {
        schema.with("required", Json::List(required))
    };
    if std::ptr::eq(object, &raw const UPSTREAM) {
        schema.with(
            "oneOf",
            Json::List(vec![
                transport("command", &["url", "openapi", "grpc", "headers", "base_url"]),
                transport(
                    "url",
                    &["command", "openapi", "grpc", "args", "env", "cwd", "base_url"],
                ),
                transport("openapi", &["command", "url", "grpc", "args", "env", "cwd"]),
                transport(
                    "grpc",
                    &[
                        "command", "url", "openapi", "args", "env", "cwd", "base_url", "auth",
                    ],
                ),
            ]),
        )
    } else {
        schema
    }
}

/// A server has either the keys of a program, or those of a URL, or those of an HTTP API or a gRPC server.
fn transport(required: &str, excluded: &[&str]) -> Json {
    let any = excluded
        .iter()
        .map(|key| Json::object([("required", Json::List(vec![Json::text(*key)]))]))
        .collect();
    Json::object([
        ("required", Json::List(vec![Json::text(required)])),
        ("not", Json::object([("anyOf", Json::List(any))])),
    ])
}

fn property(field: &'static Field) -> Json {
    let schema = append(
        Json::object([("description", Json::text(field.doc))]),
        kind(&field.kind),
    );
    match field.default {
        Absent::Value(yaml) => schema.with("default", default_value(&field.kind, yaml)),
        Absent::Words(_) | Absent::Group | Absent::Required => schema,
    }
}

fn default_value(kind: &Kind, yaml: &str) -> Json {
    match (kind, yaml) {
        (Kind::Bool, _) => Json::Bool(yaml == "true"),
        (Kind::Count { .. }, _) => Json::Number(yaml.to_owned()),
        (_, "[]") => Json::List(Vec::new()),
        (_, "{}") => Json::Object(Vec::new()),
        (Kind::List { .. } | Kind::OneOrMore { .. }, _) => {
            let items = yaml.trim_matches(['[', ']']).split(", ");
            Json::List(items.map(Json::text).collect())
        }
        _ => Json::text(yaml),
    }
}

fn kind(kind: &'static Kind) -> Json {
    match kind {
        Kind::Bool => or_reference(Json::object([("type", Json::text("boolean"))])),
        Kind::Choice(choices) => {
            let words = choices
                .iter()
                .filter(|c| c.refused.is_none())
                .map(|c| Json::text(c.word))
                .collect();
            or_reference(Json::object([("enum", Json::List(words))]))
        }
        Kind::Duration { .. } => or_reference(pattern("^[0-9]+(ms|s|m|h|d)$")),
        Kind::Size { .. } => or_reference(pattern("^[0-9]+(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$")),
        Kind::Rate { .. } => or_reference(pattern("^[0-9]+/([0-9]*(s|m|min|h|d|day))$")),
        Kind::ByteRate { .. } => or_reference(pattern(
            "^[0-9]+(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)/([0-9]*(s|m|min|h|d|day))$",
        )),
        Kind::Count { min, max } => or_reference(Json::object([
            ("type", Json::text("integer")),
            ("minimum", Json::Number(min.to_string())),
            ("maximum", Json::Number(max.to_string())),
        ])),
        Kind::Text(form) => text(*form),
        Kind::OneOrMore { item, max } => {
            let list = Json::object([
                ("type", Json::text("array")),
                ("items", self::kind(item)),
                ("minItems", Json::Number("1".into())),
                ("maxItems", Json::Number(max.to_string())),
            ]);
            Json::object([("anyOf", Json::List(vec![self::kind(item), list]))])
        }
        Kind::List {
            item,
            may_be_empty,
            max,
        } => {
            let schema = Json::object([("type", Json::text("array")), ("items", self::kind(item))]);
            let schema = if *may_be_empty {
                schema
            } else {
                schema.with("minItems", Json::Number("1".into()))
            };
            schema.with("maxItems", Json::Number(max.to_string()))
        }
        Kind::Table { key, item, max } => Json::object([
            ("type", Json::text("object")),
            (
                "propertyNames",
                Json::object([("pattern", Json::text(key.pattern()))]),
            ),
            ("additionalProperties", self::kind(item)),
            ("maxProperties", Json::Number(max.to_string())),
        ]),
        Kind::Object(fields) => object(fields),
    }
}

fn text(form: Form) -> Json {
    if let Some(regex) = form.pattern() {
        return or_reference(pattern(regex));
    }
    let kinds = if form.numbers_as_written() {
        Json::List(vec![Json::text("string"), Json::text("number")])
    } else {
        Json::text("string")
    };
    let schema = Json::object([("type", kinds)]);
    if matches!(form, Form::Argument | Form::EnvValue | Form::HeaderValue) {
        schema
    } else {
        schema.with("minLength", Json::Number("1".into()))
    }
}

fn pattern(regex: &str) -> Json {
    Json::object([("type", Json::text("string")), ("pattern", Json::text(regex))])
}

/// Any scalar can be a `${...}` reference.
fn or_reference(schema: Json) -> Json {
    let reference = Json::object([("$ref", Json::text("#/$defs/reference"))]);
    Json::object([("anyOf", Json::List(vec![schema, reference]))])
}
