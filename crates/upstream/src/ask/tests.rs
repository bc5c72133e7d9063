use ferromcp_core::InputKind;
use ferromcp_protocol::ProtocolVersion;
use ferromcp_protocol::json::Object;

use super::{Question, in_era, kind, unattributed};

fn found(method: &str, params: &str) -> Option<InputKind> {
    kind(method, &Object::parse(params).unwrap())
}

#[test]
fn only_what_is_known_is_passed_on() {
    assert_eq!(found("sampling/createMessage", "{}"), Some(InputKind::Sample));
    assert_eq!(found("roots/list", "{}"), Some(InputKind::Roots));
    assert_eq!(found("elicitation/create", "{}"), Some(InputKind::ElicitForm));
    assert_eq!(
        found("elicitation/create", r#"{"mode":"url"}"#),
        Some(InputKind::ElicitUrl)
    );
    assert_eq!(found("elicitation/create", r#"{"mode":"telepathy"}"#), None);
    assert_eq!(found("tools/call", "{}"), None);
}

#[test]
fn a_url_has_an_id_of_its_own_in_the_legacy_era_only() {
    let shown = |raw: &str, version| in_era(InputKind::ElicitUrl, raw, &Object::parse(raw).unwrap(), version);
    let (with, without) = (
        r#"{"mode":"url","elicitationId":"e","url":"https://a"}"#,
        r#"{"mode":"url","url":"https://a"}"#,
    );
    assert_eq!(shown(with, ProtocolVersion::V2025_11_25), with);
    assert_eq!(shown(with, ProtocolVersion::LATEST), without);
    assert_eq!(shown(without, ProtocolVersion::LATEST), without);
    let minted = shown(without, ProtocolVersion::V2025_11_25);
    let minted = Object::parse(&minted).unwrap();
    assert_eq!(minted.get_str("elicitationId").unwrap().len(), 32);
    assert_eq!(minted.get_str("url").unwrap(), "https://a");
}

#[test]
fn a_refusal_has_the_id_of_its_question() {
    let question = Question {
        id: "2.50".into(),
        method: "roots/list".into(),
        params: "{}".into(),
        others: Vec::new(),
    };
    let refusal = String::from_utf8(unattributed(&question)).unwrap();
    assert!(
        refusal.contains(r#""id":2.50,"#) && refusal.contains("-32013"),
        "{refusal}"
    );
}
