use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
enum Colour {
    /// As the sky
    Blue,
    /// As grass
    Green,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
struct Order {
    /// Who orders?
    name: String,
    count: u32,
    price: Option<f64>,
    gift: bool,
    size: Size,
    colour: Option<Colour>,
    #[serde(default)]
    extras: Vec<Size>,
}

fn form() -> Form<Order> {
    Form::new("What do you want?").unwrap()
}

#[test]
fn a_typed_form_is_flat_and_primitive() {
    let schema = form().schema;
    let fields = schema["properties"].as_object().unwrap();
    assert_eq!(
        fields["name"],
        json!({ "type": "string", "description": "Who orders?" })
    );
    assert_eq!(fields["count"], json!({ "type": "integer", "minimum": 0 }));
    assert_eq!(fields["price"], json!({ "type": "number" }));
    assert_eq!(fields["gift"], json!({ "type": "boolean" }));
    assert_eq!(
        fields["size"],
        json!({ "type": "string", "enum": ["small", "large"] })
    );
    assert_eq!(fields["colour"]["type"], "string");
    assert_eq!(
        fields["colour"]["oneOf"],
        json!([{ "const": "Blue", "title": "As the sky" }, { "const": "Green", "title": "As grass" }])
    );
    assert_eq!(
        fields["extras"]["items"],
        json!({ "type": "string", "enum": ["small", "large"] })
    );
    assert_eq!(schema["required"], json!(["name", "count", "gift", "size"]));
    assert!(schema.get("$defs").is_none() && schema.get("title").is_none());
}

#[test]
fn answers_are_checked_against_what_was_asked() {
    let form = form();
    let good =
        json!({ "action": "accept", "content": { "name": "A", "count": 2, "gift": false, "size": "small" } });
    let Answer::Accepted(order) = form.decode(&good.to_string()).unwrap() else {
        panic!()
    };
    assert_eq!((order.count, order.size, order.colour), (2, Size::Small, None));
    for bad in [
        json!(12345),
        json!({ "content": {} }),
        json!({ "action": "agree" }),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "name": "A", "count": -1, "gift": false, "size": "small" } }),
        json!({ "action": "accept", "content": { "name": 1, "count": 1, "gift": false, "size": "small" } }),
        json!({ "action": "accept", "content": { "name": "A", "count": 1, "gift": false, "size": "huge" } }),
    ] {
        assert!(form.decode(&bad.to_string()).is_err(), "{bad}");
        assert!(form.check().run(&bad.to_string()).is_err(), "{bad}");
    }
    assert_eq!(form.decode(r#"{"action":"decline"}"#).unwrap(), Answer::Declined);
    assert_eq!(form.decode(r#"{"action":"cancel"}"#).unwrap(), Answer::Cancelled);
}

#[test]
fn what_a_person_cannot_fill_in_is_refused() {
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Nested {
        inner: Order,
    }
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Texts {
        names: Vec<String>,
    }
    let error = Form::<Nested>::new("?").unwrap_err().to_string();
    assert!(
        error.contains("Nested") && error.contains("`inner`") && error.contains("flat"),
        "{error}"
    );
    let error = Form::<Texts>::new("?").unwrap_err().to_string();
    assert!(error.contains("`names`"), "{error}");
    assert!(Form::<String>::new("?").is_err());
    assert!(Form::raw("?", json!({ "type": "string" })).is_err());
    assert!(
        Form::raw(
            "?",
            json!({ "type": "object", "properties": { "a": { "type": 7 } } })
        )
        .is_err()
    );
}
