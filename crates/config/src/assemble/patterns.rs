//! `validation.patterns`, also of a tenant.

use super::no_effect;
use crate::fields::{Fields, Value};
use crate::model::{OutputRedaction, PatternAction, PatternExemption, Patterns};
use crate::problem::{Problem, Problems};

pub(super) fn patterns(mut fields: Fields, problems: &mut Problems) -> Patterns {
    let action = fields.word("action").map_or_else(PatternAction::default, action);
    if action == PatternAction::Off {
        for key in ["rules", "exempt"] {
            if let Some(span) = fields.span(key) {
                problems.push(
                    no_effect(span, &fields.path, key, "`action: off` turns all rules off")
                        .hint("remove it, or `action: off`"),
                );
            }
        }
    }
    let path = format!("{}.rules", fields.path);
    let mut rules = Vec::new();
    for (rule, checked) in fields.table("rules") {
        let Some(Value::Word(word)) = checked.value else {
            continue;
        };
        let own = self::action(word);
        if own == PatternAction::Block && action == PatternAction::Flag {
            problems.push(
                Problem::new(
                    checked.span,
                    &rule,
                    "`block` would never apply: with `action: flag` no rule blocks",
                )
                .inside(&path)
                .expected("`flag` or `off`")
                .hint("remove it, or `action: flag`"),
            );
        }
        rules.push((rule, own));
    }
    let exempt = fields.list("exempt").unwrap_or_default();
    Patterns {
        action,
        rules,
        exempt: exempt
            .into_iter()
            .filter_map(|item| match item {
                Value::Object(fields) => exemption(fields, problems),
                _ => None,
            })
            .collect(),
    }
}

fn action(word: &str) -> PatternAction {
    match word {
        "off" => PatternAction::Off,
        "flag" => PatternAction::Flag,
        _ => PatternAction::Block,
    }
}

fn exemption(mut fields: Fields, problems: &mut Problems) -> Option<PatternExemption> {
    if fields.span("tool").is_none() && fields.span("field").is_none() {
        problems.push(
            Problem::new(
                fields.span.clone(),
                &fields.path,
                "the exemption names neither `tool` nor `field`",
            )
            .expected("`tool`, `field` or both")
            .hint("to turn rules off everywhere, use `rules`"),
        );
        return None;
    }
    let all = || String::from("*");
    Some(PatternExemption {
        tool: fields.string("tool").unwrap_or_else(all),
        field: fields.string("field").unwrap_or_else(all),
        rules: fields.strings("rules"),
    })
}

pub(super) fn redaction(words: &[&str]) -> OutputRedaction {
    OutputRedaction {
        secrets: words.contains(&"secrets"),
        pii: words.contains(&"pii"),
    }
}
